//! Places of a model that a program can read and write, and which call of a module is meant.

/// A point of a module: what flows through the model there can be read and replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The Hugging Face path of the module, `transformer.h.3.attn`; empty for the model itself.
    pub module: String,
    /// Which of the module's values.
    pub point: Point,
}

/// Which value of a module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Point {
    /// The first positional argument.
    Input,
    /// All arguments: a pair of positional arguments and keyword arguments.
    Inputs,
    /// What the module returns.
    Output,
    /// An operation inside the module's forward code, by its label such as `softmax_0`.
    Op(String),
    /// The attention pattern, `[batch, n_heads, seq_q, seq_k]`.
    Pattern,
}

impl Place {
    /// The first positional argument of a module.
    pub fn input(module: impl Into<String>) -> Self {
        Self { module: module.into(), point: Point::Input }
    }

    /// All arguments of a module.
    pub fn inputs(module: impl Into<String>) -> Self {
        Self { module: module.into(), point: Point::Inputs }
    }

    /// What a module returns.
    pub fn output(module: impl Into<String>) -> Self {
        Self { module: module.into(), point: Point::Output }
    }

    /// An operation inside a module, by its label.
    pub fn op(module: impl Into<String>, label: impl Into<String>) -> Self {
        Self { module: module.into(), point: Point::Op(label.into()) }
    }

    /// The attention pattern of an attention module, `[batch, n_heads, seq_q, seq_k]`.
    pub fn pattern(module: impl Into<String>) -> Self {
        Self { module: module.into(), point: Point::Pattern }
    }
}

/// How messages name a place: `transformer.h.3.output`, `transformer.h.3.attn.op("softmax_0")`.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let module = if self.module.is_empty() { "model" } else { &self.module };
        match &self.point {
            Point::Input => write!(f, "{module}.input"),
            Point::Inputs => write!(f, "{module}.inputs"),
            Point::Output => write!(f, "{module}.output"),
            Point::Op(label) => write!(f, "{module}.op({label:?})"),
            Point::Pattern => write!(f, "{module}.pattern"),
        }
    }
}

/// Which calls of a module, or which steps of a generation, a node belongs to. Counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Steps {
    /// The first call; what a program means when it says nothing.
    #[default]
    First,
    /// One call.
    At(u64),
    /// Every `step`-th call from `start` up to, without, `stop`; without end where `stop` is `None`.
    Range {
        /// The first call.
        start: u64,
        /// The call after the last.
        stop: Option<u64>,
        /// The distance between calls, at least 1.
        step: u64,
    },
    /// Just these calls.
    List(Vec<u64>),
}

impl Steps {
    /// Every call.
    #[must_use]
    pub fn all() -> Self {
        Self::Range { start: 0, stop: None, step: 1 }
    }

    /// Whether the node belongs to the call of that number.
    #[must_use]
    pub fn contains(&self, call: u64) -> bool {
        match self {
            Self::First => call == 0,
            Self::At(at) => call == *at,
            Self::Range { start, stop, step } => {
                call >= *start
                    && stop.is_none_or(|stop| call < stop)
                    && (call - start).checked_rem(*step) == Some(0)
            }
            Self::List(calls) => calls.contains(&call),
        }
    }

    /// The first call it belongs to; `None` when it belongs to none.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        match self {
            Self::First => Some(0),
            Self::At(at) => Some(*at),
            Self::Range { start, stop, step } => {
                (*step > 0 && stop.is_none_or(|stop| *start < stop)).then_some(*start)
            }
            Self::List(calls) => calls.iter().copied().min(),
        }
    }

    /// The last call it belongs to; `None` when there is no last or it belongs to none.
    #[must_use]
    pub fn last(&self) -> Option<u64> {
        match self {
            Self::First => Some(0),
            Self::At(at) => Some(*at),
            Self::Range { start, stop, step } => {
                self.first()?;
                let stop = (*stop)?;
                Some(stop - 1 - (stop - 1 - start) % step)
            }
            Self::List(calls) => calls.iter().copied().max(),
        }
    }

    /// Whether it can belong to more than one call.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        match self {
            Self::First | Self::At(_) => false,
            Self::Range { .. } => self.first() != self.last(),
            Self::List(calls) => calls.len() > 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_agree_with_membership() {
        let selections = [
            Steps::First,
            Steps::At(4),
            Steps::Range { start: 1, stop: Some(9), step: 3 },
            Steps::Range { start: 5, stop: Some(5), step: 1 },
            Steps::Range { start: 0, stop: Some(5), step: 0 },
            Steps::List(vec![7, 2]),
            Steps::List(vec![]),
        ];
        for steps in selections {
            let members: Vec<u64> = (0..20).filter(|&call| steps.contains(call)).collect();
            assert_eq!(steps.first(), members.first().copied(), "{steps:?}");
            assert_eq!(steps.last(), members.last().copied(), "{steps:?}");
        }
        assert!(Steps::all().contains(u64::MAX));
        assert_eq!(Steps::all().last(), None);
        assert!(Steps::all().is_repeated());
    }

    #[test]
    fn places_read_as_users_write_them() {
        assert_eq!(Place::output("transformer.h.3").to_string(), "transformer.h.3.output");
        assert_eq!(Place::inputs("").to_string(), "model.inputs");
        assert_eq!(Place::op("h.0.attn", "softmax_0").to_string(), "h.0.attn.op(\"softmax_0\")");
    }
}
