//! The text form of a program: what people read, tests compare and servers receive.
//!
//! Printing a program (its [`Display`](std::fmt::Display)) and [`parse`] are inverse to each other for every program, well formed or not
//! (whose arguments are nested at most [`Arg::MAX_DEPTH`](crate::Arg::MAX_DEPTH) deep); [`verify`](crate::verify()) judges the
//! result. A small one looks like this:
//!
//! ```text
//! pellucid program 1
//!
//! source $0 "patch.py"
//!
//! region ^0 root
//! ^0:
//!   region ^1 trace 0 in ^0
//!   %0 = region ^1 $0:3
//!   ^1:
//!     invoke @0 in ^1 text ["The Eiffel Tower is in the city of"] $0:3
//!     %1 = read @0 "transformer.h.3" output $0:4
//!     %2 = op @0 getitem(%1, (<:>, -1)) $0:4
//!     %3 = save @0 %2 as "last" $0:4
//! bind "last" %3
//! ```
//!
//! # Grammar
//!
//! A statement fills one line. Blank lines, indentation and comments (`;` to the end of the line) mean nothing. The entries
//! of each table appear in the order of their ids, from 0, without gaps; tables may be interleaved.
//!
//! ```text
//! program   = "pellucid" "program" "1" { statement }
//! statement = source | constant | region | invoke | label | node | bind
//! source    = "source" $N STRING
//! constant  = "const" #N DTYPE "[" [ INT { "," INT } ] "]" STRING      ; little-endian bytes in base64
//! region    = "region" ^N what [ "in" ^N ]
//! what      = "root" | "session" | "local"
//!           | "trace" INT [ "generate" options ]                       ; which model
//!           | "cond" arg [ "after" ^N ]                                ; ^N: the branch before it in the chain
//!           | "else" [ "after" ^N ]
//!           | "iter" arg
//!           | "edit" INT "as" INT                                      ; which model becomes which
//! invoke    = "invoke" @N "in" ^N input [ "with" options ] [ line ]
//! input     = "empty" | "text" "[" STRING, … "]" | "tokens" "[" "[" INT, … "]", … "]"
//!           | "batch" arg [ "mask" arg ] | "value" arg
//! label     = ^N ":"                                                   ; the region of the nodes that follow
//! node      = %N "=" word [ @N ] [ steps ] operands [ line ]           ; word and operands as below
//! steps     = "step" INT | "steps" "all" | "steps" INT ".." ( INT | "end" ) [ "by" INT ] | "steps" "[" INT, … "]"
//! bind      = "bind" STRING %N
//! line      = $N ":" INT                                               ; file and line number
//! ```
//!
//! | word and operands | [`Kind`](crate::Kind) |
//! |---|---|
//! | `read` place | `Read` |
//! | `write` place `with` arg | `Write` |
//! | `parameter` STRING | `Parameter` |
//! | `op` name call | `Op` |
//! | `module` \[`hooked`\] STRING call | `Module` |
//! | `save` %N \[`as` STRING\] | `Save` |
//! | `log` list | `Log` |
//! | `stop` (`trace` or `loop` or `session`) \[`after` %N\] | `Stop` |
//! | `backward` %N \[`gradient` arg\] \[`retain`\] | `Backward` |
//! | `grad` %N | `Grad` |
//! | `set_grad` %N `with` arg | `SetGrad` |
//! | `requires_grad` %N (`true` or `false`) | `RequiresGrad` |
//! | `skip` STRING `with` arg | `Skip` |
//! | `optimizer_step` %N | `OptimizerStep` |
//! | `zero_grad` %N | `ZeroGrad` |
//! | `host` INT list | `Host` |
//! | `region` ^N | `RegionRef` |
//! | `item` ^N | `Item` |
//! | `merge` `[`%N, …`]` | `Merge` |
//!
//! ```text
//! place     = STRING ( "input" | "inputs" | "output" | "pattern" | "op" STRING )
//! call      = "(" arg, … name ":" arg, … ")"                           ; keyword arguments last
//! list      = "(" arg, … ")"
//! options   = "{" name ":" arg, … "}"
//! name      = WORD | STRING
//! arg       = %N | #N | "none" | "true" | "false" | INT | FLOAT | STRING | "..." | DTYPE
//!           | "device" "(" STRING ")"
//!           | "[" arg, … "]" | "(" ")" | "(" arg "," ")" | "(" arg "," arg, … ")"
//!           | "{" arg ":" arg, … "}"
//!           | "<" [ arg ] ":" [ arg ] [ ":" [ arg ] ] ">"              ; slice
//! WORD      = ( letter | "_" ) { letter | digit | "_" | "." }
//! INT       = [ "-" ] digits
//! FLOAT     = INT with a fraction or an exponent | [ "-" ] "inf" | "nan" [ "(" STRING ")" ]
//! STRING    = '"' … '"' with \" \\ \n \r \t and \u{hex}
//! ```
//!
//! A float with a fraction or an exponent is an `f64` and prints in its shortest form that reads back; a NaN other than the usual one carries its bits in hexadecimal. `steps all` is `steps 0..end`.

mod base64;
mod error;
mod lexer;
mod operands;
mod parser;
mod print;

pub use error::{Limits, ParseError};
pub use parser::{parse, parse_with};

/// The version of the text form that this crate writes and reads.
pub const TEXT_VERSION: u32 = 1;
