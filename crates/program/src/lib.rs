//! The intervention program: what a user asked to look at and to change, as plain data.
//!
//! A [`Program`] can be built ([`Builder`]), printed ([`std::fmt::Display`]), parsed ([`parse`]), checked ([`verify()`])
//! and analysed ([`Dependence`]). This crate knows no tensors, no models and no files; what it must be told about them comes through the
//! [`Environment`] trait.
//!
//! The three parts of a program are its invokes (inputs), its nodes (in the order written) and its regions (session, trace,
//! condition, loop, ...). All refer to one another by typed `u32` ids, which print as they parse: `%12`, `@0`, `^1`, `#3`, `$0`.
//!
//! ```
//! use pellucid_program::{Builder, Input, Kind, Place, RegionKind};
//!
//! let mut b = Builder::new();
//! b.open(RegionKind::trace(0));
//! b.invoke(Input::text("The Eiffel Tower is in the city of"));
//! let hidden = b.node(Kind::Read(Place::output("transformer.h.3")));
//! let doubled = b.op("mul", [hidden.into(), 2.0.into()]);
//! b.node(Kind::Save { value: doubled, name: Some("doubled".into()) });
//! let program = b.finish();
//! assert_eq!(program.nodes.len(), 4); // the trace itself stands in the root region as a node
//! ```

mod arg;
mod builder;
mod closest;
mod constant;
mod dependence;
mod environment;
mod id;
mod kind;
mod ops;
mod place;
mod program;
pub mod text;
pub mod verify;

pub use arg::Arg;
pub use builder::Builder;
pub use closest::closest;
pub use constant::{Constant, ConstantSizeError, Dtype};
pub use dependence::{Dependence, Effects, changed, effects, receiver};
pub use environment::{Environment, Signature};
pub use id::{ConstantId, InvokeId, NodeId, RegionId, SourceId};
pub use kind::{Kind, StopScope};
pub use ops::{is_container_write, is_in_place_op, is_random_op, is_view_op};
pub use place::{Place, Point, Steps};
pub use program::{Input, Invoke, Line, Node, Program, Region, RegionKind};
pub use text::{Limits, ParseError, TEXT_VERSION, parse, parse_with};
pub use verify::{Fault, FaultKind, MAX_FAULTS, Spot, Subject, verify};
