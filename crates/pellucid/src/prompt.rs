//! What invokes run on.

use pellucid_program::{Arg, Input};

use crate::proxy::Proxy;
use crate::recording::Owner;

/// What an invoke runs on: a prompt, several prompts, token ids, or a value of the program that is one of these.
#[derive(Clone, Debug)]
pub struct Prompt(pub(crate) Input, pub(crate) Owner);

impl From<&str> for Prompt {
    fn from(text: &str) -> Prompt {
        Prompt(Input::Text(vec![text.into()]), Owner::None)
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Prompt {
        Prompt(Input::Text(vec![text]), Owner::None)
    }
}

impl From<&String> for Prompt {
    fn from(text: &String) -> Prompt {
        Prompt(Input::Text(vec![text.clone()]), Owner::None)
    }
}

impl<const N: usize> From<[&str; N]> for Prompt {
    fn from(texts: [&str; N]) -> Prompt {
        Prompt(Input::Text(texts.iter().map(|&t| t.into()).collect()), Owner::None)
    }
}

impl From<&[String]> for Prompt {
    fn from(texts: &[String]) -> Prompt {
        Prompt(Input::Text(texts.to_vec()), Owner::None)
    }
}

impl<const N: usize> From<[i64; N]> for Prompt {
    fn from(ids: [i64; N]) -> Prompt {
        Prompt(Input::Tokens(vec![ids.to_vec()]), Owner::None)
    }
}

impl From<&[i64]> for Prompt {
    fn from(ids: &[i64]) -> Prompt {
        Prompt(Input::Tokens(vec![ids.to_vec()]), Owner::None)
    }
}

impl From<&Vec<i64>> for Prompt {
    fn from(ids: &Vec<i64>) -> Prompt {
        Prompt(Input::Tokens(vec![ids.clone()]), Owner::None)
    }
}

impl From<Vec<Vec<i64>>> for Prompt {
    fn from(rows: Vec<Vec<i64>>) -> Prompt {
        Prompt(Input::Tokens(rows), Owner::None)
    }
}

impl From<&Proxy> for Prompt {
    fn from(value: &Proxy) -> Prompt {
        Prompt(Input::Value(Arg::Node(value.node())), value.owner())
    }
}

impl Prompt {
    /// No input: the invoke sees, and may change, the rows of all other invokes of its trace.
    #[must_use]
    pub fn all_rows() -> Prompt {
        Prompt(Input::Empty, Owner::None)
    }

    /// Token ids `[batch, seq]` with their mask, 1 where a token counts; both values of the program.
    #[must_use]
    pub fn masked(input_ids: &Proxy, attention_mask: &Proxy) -> Prompt {
        let input = Input::Batch {
            input_ids: Arg::Node(input_ids.node()),
            attention_mask: Some(Arg::Node(attention_mask.node())),
        };
        Prompt(input, input_ids.owner().and(attention_mask.owner()))
    }
}
