//! Indices as Rust writes them: numbers, ranges, tuples of them.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use pellucid_program::Arg;

use crate::proxy::{Operand, Proxy};
use crate::recording::Owner;

/// What stands in `x[...]`. Numbers, ranges, [`Index::ALL`], proxies, and tuples of these become one.
#[derive(Clone, Debug)]
pub struct Index(pub(crate) Vec<Arg>, Owner);

impl Index {
    /// A whole dimension, `:`.
    pub const ALL: RangeFull = ..;

    /// All dimensions not mentioned, `...`.
    #[must_use]
    pub fn ellipsis() -> Index {
        Index::plain(Arg::Ellipsis)
    }

    /// A new dimension, `None`.
    #[must_use]
    pub fn new_axis() -> Index {
        Index::plain(Arg::None)
    }

    /// Several positions of a dimension.
    #[must_use]
    pub fn positions(positions: &[i64]) -> Index {
        Index::plain(Arg::List(positions.iter().map(|&p| Arg::Int(p)).collect()))
    }

    fn plain(item: Arg) -> Index {
        Index(vec![item], Owner::default())
    }

    pub(crate) fn into_operand(self) -> Operand {
        let arg = match <[Arg; 1]>::try_from(self.0) {
            Ok([one]) => one,
            Err(many) => Arg::Tuple(many),
        };
        Operand(arg, self.1)
    }
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Index {
            fn from(i: $t) -> Index { Index::plain(Arg::Int(i as i64)) }
        }
        impl From<Range<$t>> for Index {
            fn from(r: Range<$t>) -> Index {
                Index::plain(Arg::slice(Some(r.start as i64), Some(r.end as i64), None))
            }
        }
        impl From<RangeFrom<$t>> for Index {
            fn from(r: RangeFrom<$t>) -> Index { Index::plain(Arg::slice(Some(r.start as i64), None, None)) }
        }
        impl From<RangeTo<$t>> for Index {
            fn from(r: RangeTo<$t>) -> Index { Index::plain(Arg::slice(None, Some(r.end as i64), None)) }
        }
    )*};
}
from_int!(i32, i64, usize);

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Index {
        Index::plain(Arg::full_slice())
    }
}

impl From<&str> for Index {
    fn from(key: &str) -> Index {
        Index::plain(Arg::Str(key.into()))
    }
}

impl From<&Proxy> for Index {
    fn from(proxy: &Proxy) -> Index {
        Index(vec![Arg::Node(proxy.node())], proxy.owner())
    }
}

macro_rules! from_tuple {
    ($($t:ident),*) => {
        impl<$($t: Into<Index>),*> From<($($t,)*)> for Index {
            fn from(($($t,)*): ($($t,)*)) -> Index {
                let (mut all, mut owner) = (Vec::new(), Owner::default());
                $(
                    let part: Index = $t.into();
                    owner = owner.and(part.1);
                    all.extend(part.0);
                )*
                Index(all, owner)
            }
        }
    };
}

#[expect(non_snake_case, reason = "type parameters name the tuple's parts")]
mod tuples {
    use super::{Index, Owner};
    from_tuple!(A, B);
    from_tuple!(A, B, C);
    from_tuple!(A, B, C, D);
}
