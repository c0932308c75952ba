//! The repository, as the tests of its architecture and its house rules see it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this crate lies two folders below the root").to_owned()
}

/// The paths of all files that are or could be committed, relative to the root, with `/` between folders.
///
/// Git knows them; where the code was unpacked from an archive, they are all files outside `target` and hidden folders.
pub(crate) fn files() -> Vec<String> {
    let root = root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout)
            .split('\0')
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect(),
        _ => walk(&root),
    };
    files.retain(|f| root.join(f).is_file());
    files.sort();
    assert!(files.iter().any(|f| f == "Cargo.toml"), "no files found under {}", root.display());
    files
}

/// The text of a file of the repository, or nothing if it is not text.
pub(crate) fn text(file: &str) -> Option<String> {
    let bytes = std::fs::read(root().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    String::from_utf8(bytes).ok().filter(|t| !t.contains('\0'))
}

fn walk(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for entry in entries.map(|e| e.expect("a folder that can be listed")) {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') && name != ".ci";
            if path.is_dir() && !hidden && name != "target" {
                folders.push(path);
            } else if path.is_file() && !hidden {
                let inside = path.strip_prefix(root).expect("found below the root");
                let parts: Vec<_> = inside.iter().map(|p| p.to_string_lossy()).collect();
                files.push(parts.join("/"));
            }
        }
    }
    files
}
