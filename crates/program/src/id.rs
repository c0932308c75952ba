//! Typed ids: an index into one table of a program, printed with the sigil of its table.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $sigil:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in the table.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }

            /// The id of a table position.
            ///
            /// # Panics
            /// When the position does not fit `u32`: a table of four thousand million entries.
            #[must_use]
            pub fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("a program table holds fewer than 2^32 entries"))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($sigil, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A node of the program and, where it has one, its value; prints `%12`.
    NodeId, "%");
id!(
    /// An invoke; prints `@0`.
    InvokeId, "@");
id!(
    /// A region; prints `^1`.
    RegionId, "^");
id!(
    /// A constant; prints `#3`.
    ConstantId, "#");
id!(
    /// A source file name; prints `$0`.
    SourceId, "$");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_with_the_sigil_of_their_table() {
        let printed = [
            NodeId(12).to_string(),
            InvokeId(0).to_string(),
            RegionId(1).to_string(),
            ConstantId(3).to_string(),
            SourceId(2).to_string(),
        ];
        assert_eq!(printed, ["%12", "@0", "^1", "#3", "$2"]);
    }
}
