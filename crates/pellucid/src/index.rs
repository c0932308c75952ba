//! Indices as Rust writes them: numbers, ranges, tuples of them.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use pellucid_program::Arg;

use crate::proxy::Proxy;

/// What stands in `x[...]`. Numbers, ranges, [`Index::ALL`], proxies, and tuples of these become one.
#[derive(Clone, Debug)]
pub struct Index(pub(crate) Vec<Arg>);

impl Index {
    /// A whole dimension, `:`.
    pub const ALL: RangeFull = ..;

    /// All dimensions not mentioned, `...`.
    #[must_use]
    pub fn ellipsis() -> Index {
        Index(vec![Arg::Ellipsis])
    }

    /// A new dimension, `None`.
    #[must_use]
    pub fn new_axis() -> Index {
        Index(vec![Arg::None])
    }

    /// Several positions of a dimension.
    #[must_use]
    pub fn positions(positions: &[i64]) -> Index {
        Index(vec![Arg::List(positions.iter().map(|&p| Arg::Int(p)).collect())])
    }

    pub(crate) fn into_arg(self) -> Arg {
        match <[Arg; 1]>::try_from(self.0) {
            Ok([one]) => one,
            Err(many) => Arg::Tuple(many),
        }
    }
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Index {
            fn from(i: $t) -> Index { Index(vec![Arg::Int(i as i64)]) }
        }
        impl From<Range<$t>> for Index {
            fn from(r: Range<$t>) -> Index {
                Index(vec![Arg::slice(Some(r.start as i64), Some(r.end as i64), None)])
            }
        }
        impl From<RangeFrom<$t>> for Index {
            fn from(r: RangeFrom<$t>) -> Index { Index(vec![Arg::slice(Some(r.start as i64), None, None)]) }
        }
        impl From<RangeTo<$t>> for Index {
            fn from(r: RangeTo<$t>) -> Index { Index(vec![Arg::slice(None, Some(r.end as i64), None)]) }
        }
    )*};
}
from_int!(i32, i64, usize);

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Index {
        Index(vec![Arg::full_slice()])
    }
}

impl From<&str> for Index {
    fn from(key: &str) -> Index {
        Index(vec![Arg::Str(key.into())])
    }
}

impl From<&Proxy> for Index {
    fn from(proxy: &Proxy) -> Index {
        Index(vec![Arg::Node(proxy.node())])
    }
}

macro_rules! from_tuple {
    ($($t:ident),*) => {
        impl<$($t: Into<Index>),*> From<($($t,)*)> for Index {
            fn from(($($t,)*): ($($t,)*)) -> Index {
                let mut all = Vec::new();
                $(all.extend($t.into().0);)*
                Index(all)
            }
        }
    };
}

#[expect(non_snake_case, reason = "type parameters name the tuple's parts")]
mod tuples {
    use super::Index;
    from_tuple!(A, B);
    from_tuple!(A, B, C);
    from_tuple!(A, B, C, D);
}
