//! What the training text never shows, so that the evaluation can ask for it.
//!
//! | skill | held out | where the parts are still seen |
//! |---|---|---|
//! | facts | one in eight `(relation, subject, template)` triples | the subject in other templates, the template with other subjects |
//! | indirect objects | one in five names, as a giver or receiver | those names alone, in stories, agreement sentences and copied lists |
//! | indirect objects | some beginnings and some endings of sentences ([`templates`]) | their words, in other sentences |
//! | in-context pairs | one in six pairs of every task, in every in-context form | the pair, in plain sentences |
//! | agreement | one in five `(subject noun, distracting noun)` pairs | either noun with others |
//!
//! [`templates`]: crate::corpus::indirect_object::templates

/// Which part of a prompt the training text never held in this use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HeldOut {
    /// Nothing: such prompts occur in training.
    Nothing,
    /// The names, in this kind of sentence.
    Names,
    /// The sentence template.
    Template,
    /// This subject with this template, or this pair in an in-context list.
    Pairing,
    /// The very sequence, which was drawn at random for the evaluation.
    Sequence,
}

impl HeldOut {
    /// Whether anything was held out.
    pub const fn is_held_out(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The word used in files and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Names => "names",
            Self::Template => "template",
            Self::Pairing => "pairing",
            Self::Sequence => "sequence",
        }
    }
}

/// Whether `subject` is never paired with `template` in sentences about `relation` (positions in their lists).
pub const fn fact_is_held_out(relation: usize, subject: usize, template: usize) -> bool {
    // Coprime strides spread the held-out triples evenly: over the templates of a subject and the subjects of a template.
    (subject * 3 + template * 5 + relation * 2) % 8 == 1
}

/// Whether the name at this position of its list is never a giver or receiver.
pub const fn name_is_held_out(position: usize) -> bool {
    position % 5 == 4
}

/// Whether the pair at this position of its task is never shown in an in-context list.
pub const fn list_item_is_held_out(position: usize) -> bool {
    position % 6 == 2
}

/// Whether `subject` never appears with `distractor` between it and its verb.
pub const fn agreement_is_held_out(subject: usize, distractor: usize) -> bool {
    (subject * 2 + distractor) % 5 == 3
}
