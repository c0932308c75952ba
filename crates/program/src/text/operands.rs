//! Reading the operands of a node.

use super::parser::{Parser, Result};
use crate::{Kind, Place, Point, StopScope};

impl Parser<'_> {
    /// What follows the word, invoke and steps of a node, up to its line.
    pub(super) fn operands(&mut self, word: &str) -> Result<Kind> {
        Ok(match word {
            "read" => Kind::Read(self.place()?),
            "write" => {
                let place = self.place()?;
                self.word("with")?;
                Kind::Write { place, value: self.arg()? }
            }
            "parameter" => Kind::Parameter { name: self.string("the path of a parameter in quotes")? },
            "op" => {
                let name = self.name("the name of an operation")?;
                let (args, kwargs) = self.call()?;
                Kind::Op { name, args, kwargs }
            }
            "module" => {
                let hooks = self.take_word("hooked")?;
                let path = self.string("the path of a module in quotes")?;
                let (args, kwargs) = self.call()?;
                Kind::Module { path, args, kwargs, hooks }
            }
            "save" => {
                let value = self.node_id()?;
                let name = if self.take_word("as")? { Some(self.string("a name in quotes")?) } else { None };
                Kind::Save { value, name }
            }
            "log" => Kind::Log { args: self.positional()? },
            "stop" => self.stop()?,
            "backward" => {
                let loss = self.node_id()?;
                let gradient = if self.take_word("gradient")? { Some(self.arg()?) } else { None };
                Kind::Backward { loss, gradient, retain_graph: self.take_word("retain")? }
            }
            "grad" => Kind::Grad { of: self.node_id()? },
            "set_grad" => {
                let of = self.node_id()?;
                self.word("with")?;
                Kind::SetGrad { of, value: self.arg()? }
            }
            "requires_grad" => {
                let of = self.node_id()?;
                let value = self.take_word("true")?;
                if !value && !self.take_word("false")? {
                    return self.expected("`true` or `false`");
                }
                Kind::RequiresGrad { of, value }
            }
            "skip" => {
                let module = self.string("the path of a module in quotes")?;
                self.word("with")?;
                Kind::Skip { module, value: self.arg()? }
            }
            "optimizer_step" => Kind::OptimizerStep { optimizer: self.node_id()? },
            "zero_grad" => Kind::ZeroGrad { optimizer: self.node_id()? },
            "host" => {
                let callback = self.int("the number of a callback")?;
                Kind::Host { callback, args: self.positional()? }
            }
            "region" => Kind::RegionRef(self.region_id()?),
            "item" => Kind::Item(self.region_id()?),
            "merge" => {
                self.mark('[')?;
                Kind::Merge { values: self.list(']', Self::node_id)? }
            }
            _ => return self.expected("what the node does"),
        })
    }

    fn place(&mut self) -> Result<Place> {
        let module = self.string("the path of a module in quotes")?;
        for (word, point) in [
            ("input", Point::Input),
            ("inputs", Point::Inputs),
            ("output", Point::Output),
            ("pattern", Point::Pattern),
        ] {
            if self.take_word(word)? {
                return Ok(Place { module, point });
            }
        }
        if self.take_word("op")? {
            let label = self.string("the label of an operation in quotes")?;
            return Ok(Place { module, point: Point::Op(label) });
        }
        self.expected("one of `input`, `inputs`, `output`, `pattern`, `op`")
    }

    fn positional(&mut self) -> Result<Vec<crate::Arg>> {
        self.mark('(')?;
        self.list(')', Self::arg)
    }

    fn stop(&mut self) -> Result<Kind> {
        for scope in [StopScope::Trace, StopScope::Loop, StopScope::Session] {
            if self.take_word(scope.name())? {
                let after = if self.take_word("after")? { Some(self.node_id()?) } else { None };
                return Ok(Kind::Stop { scope, after });
            }
        }
        self.expected("one of `trace`, `loop`, `session`")
    }
}
