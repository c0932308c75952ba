//! Tells the linker that the interpreter's symbols come from the process that loads the library.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
