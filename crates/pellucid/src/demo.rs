//! The demo model, which ships inside the library.

use std::io;
use std::path::Path;

/// The files of its folder.
const FILES: [(&str, &[u8]); 6] = [
    ("config.json", include_bytes!("../../../models/demo/config.json")),
    ("generation_config.json", include_bytes!("../../../models/demo/generation_config.json")),
    ("model.safetensors", include_bytes!("../../../models/demo/model.safetensors")),
    ("special_tokens_map.json", include_bytes!("../../../models/demo/special_tokens_map.json")),
    ("tokenizer.json", include_bytes!("../../../models/demo/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../../../models/demo/tokenizer_config.json")),
];

/// The name it is opened by.
pub(crate) const NAME: &str = "demo";

/// Writes the model's folder, so that it is opened as any other.
pub(crate) fn unpack(into: &Path) -> io::Result<()> {
    FILES.iter().try_for_each(|(name, bytes)| std::fs::write(into.join(name), bytes))
}
