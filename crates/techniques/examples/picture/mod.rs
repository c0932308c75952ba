//! Saving the picture of an example: the path is its first argument, `target/NAME.svg` if there is none.

use std::{error::Error, fs, path::PathBuf};

use pellucid_techniques::plot::{Figure, png, svg};

/// Writes a figure as SVG, or as PNG if the path ends so, and says where it is.
pub(crate) fn save(name: &str, figure: &dyn Figure) -> Result<String, Box<dyn Error>> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let path = given.unwrap_or_else(|| PathBuf::from(format!("target/{name}.svg")));
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    if path.extension().is_some_and(|e| e == "png") {
        fs::write(&path, png(figure, 2.0)?)?;
    } else {
        fs::write(&path, svg(figure))?;
    }
    Ok(format!("picture: {}", path.display()))
}
