//! What a program is checked against: the operations and models at hand.

use crate::Place;

/// The operations and models that a program will meet. Models go by the numbers that the program uses.
///
/// Paths are Hugging Face paths; the empty path is the model itself.
pub trait Environment {
    /// The arguments of an operation; `None` when there is no such operation.
    fn op_signature(&self, name: &str) -> Option<Signature>;

    /// Names among which the closest to an unknown operation is sought.
    fn similar_ops(&self, name: &str) -> Vec<String> {
        let _ = name;
        Vec::new()
    }

    /// Whether the model has a module of that path.
    fn module_exists(&self, model: u32, path: &str) -> bool;

    /// Paths among which the closest to an unknown one is sought.
    fn similar_modules(&self, model: u32, path: &str) -> Vec<String> {
        let _ = (model, path);
        Vec::new()
    }

    /// Whether the model has a parameter of that full path.
    fn parameter_exists(&self, model: u32, name: &str) -> bool;

    /// Paths among which the closest to an unknown parameter is sought.
    fn similar_parameters(&self, model: u32, name: &str) -> Vec<String> {
        let _ = (model, name);
        Vec::new()
    }

    /// Whether the module, which exists, has that point.
    fn place_exists(&self, model: u32, place: &Place) -> bool;

    /// Places among which the closest to an unknown one of an existing module is sought, as operation labels.
    fn similar_places(&self, model: u32, place: &Place) -> Vec<String> {
        let _ = (model, place);
        Vec::new()
    }

    /// When the place is passed in a forward pass, counted from its beginning; places passed earlier have smaller numbers.
    /// `None` when it is not known, and nothing is checked then.
    fn forward_order(&self, model: u32, place: &Place) -> Option<u64>;

    /// How often the module is called in one forward pass. `None` when it is not known, and nothing is checked then.
    fn calls_per_forward(&self, model: u32, path: &str) -> Option<u64> {
        let _ = (model, path);
        None
    }
}

/// What arguments an operation takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// How many arguments it needs at least, given by position or by keyword.
    pub required: usize,
    /// How many it takes by position at most; `None` for any number.
    pub positional: Option<usize>,
    /// The keywords it takes; `None` for any.
    pub keywords: Option<Vec<String>>,
}

impl Signature {
    /// An operation that takes exactly so many arguments and no keywords.
    #[must_use]
    pub fn exactly(count: usize) -> Self {
        Self { required: count, positional: Some(count), keywords: Some(Vec::new()) }
    }

    /// An operation that takes at least so many arguments, by position or by any keyword.
    #[must_use]
    pub fn at_least(count: usize) -> Self {
        Self { required: count, positional: None, keywords: None }
    }
}
