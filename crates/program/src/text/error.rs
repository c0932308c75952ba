//! What a text can be refused for, and how large it may be.

/// A text is not a program: where, what was expected there, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, got {got}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What would have been accepted.
    pub expected: String,
    /// What stands there, shortened.
    pub got: String,
}

/// How large a program a text may describe. What is beyond is refused before memory is spent on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub text_bytes: usize,
    /// Nodes; also bindings.
    pub nodes: usize,
    /// Regions.
    pub regions: usize,
    /// Invokes.
    pub invokes: usize,
    /// Constants.
    pub constants: usize,
    /// Bytes of all constants together.
    pub constant_bytes: usize,
    /// File names.
    pub sources: usize,
    /// Arguments, list elements, prompts, token ids and selected steps, all together.
    pub items: usize,
}

impl Default for Limits {
    /// 256 MiB of text, a million nodes, 8 million items, 128 MiB of constants; enough for any program a person writes, and under
    /// 2 GB in memory whatever the text says.
    fn default() -> Self {
        Self {
            text_bytes: 256 << 20,
            nodes: 1 << 20,
            regions: 1 << 18,
            invokes: 1 << 18,
            constants: 1 << 16,
            constant_bytes: 128 << 20,
            sources: 1 << 16,
            items: 8 << 20,
        }
    }
}
