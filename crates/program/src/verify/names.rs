//! Operations, modules, places and parameters against what the environment knows.

use std::collections::HashMap;

use super::fault;
use super::{FaultKind, Subject, Verifier};
use crate::{Arg, Kind, NodeId, Place, Point, Signature};

impl<'a> Verifier<'a> {
    pub(super) fn names(&mut self) {
        let mut signatures: HashMap<&'a str, Option<Signature>> = HashMap::new();
        let program = self.program;
        for (id, node) in program.nodes() {
            let model = self.model_of(node.region);
            let subject = Subject::Node(id);
            match &node.kind {
                Kind::Op { name, args, kwargs } => {
                    let environment = self.environment;
                    let signature =
                        signatures.entry(name.as_str()).or_insert_with(|| environment.op_signature(name));
                    match signature {
                        Some(signature) => self.call(id, name, signature, args, kwargs),
                        None => {
                            let similar = self.similar(name, || environment.similar_ops(name));
                            self.report(subject, FaultKind::UnknownOp { name: name.clone(), similar });
                        }
                    }
                }
                Kind::Read(place) | Kind::Write { place, .. } => self.place(subject, model, place),
                Kind::Skip { module: path, .. } | Kind::Module { path, .. } => {
                    self.module(subject, model, path);
                }
                Kind::Parameter { name } if !self.environment.parameter_exists(model, name) => {
                    let similar = self.similar(name, || self.environment.similar_parameters(model, name));
                    self.report(subject, FaultKind::UnknownParameter { name: name.clone(), similar });
                }
                _ => {}
            }
        }
    }

    /// The candidate that a name was meant to be, for the first faults: a search among thousands of paths takes a while.
    fn similar(&self, name: &str, candidates: impl FnOnce() -> Vec<String>) -> Option<String> {
        const HINTED: usize = 100;
        if self.faults.len() < HINTED { fault::similar(name, &candidates()) } else { None }
    }

    fn module(&mut self, subject: Subject, model: u32, path: &str) -> bool {
        let exists = self.environment.module_exists(model, path);
        if !exists {
            let similar = self.similar(path, || self.environment.similar_modules(model, path));
            self.report(subject, FaultKind::UnknownModule { path: path.to_owned(), similar });
        }
        exists
    }

    fn place(&mut self, subject: Subject, model: u32, place: &Place) {
        if self.module(subject, model, &place.module) && !self.environment.place_exists(model, place) {
            let similar = match &place.point {
                Point::Op(label) => self.similar(label, || self.environment.similar_places(model, place)),
                _ => None,
            };
            self.report(subject, FaultKind::UnknownPlace { place: place.clone(), similar });
        }
    }

    fn call(
        &mut self,
        id: NodeId,
        name: &str,
        signature: &Signature,
        args: &[Arg],
        kwargs: &[(String, Arg)],
    ) {
        let subject = Subject::Node(id);
        let got = args.len() + kwargs.len();
        if got < signature.required {
            let required = signature.required;
            let name = name.to_owned();
            self.report(subject, FaultKind::TooFewArguments { name, required, got });
        }
        if let Some(most) = signature.positional
            && args.len() > most
        {
            let got = args.len();
            self.report(subject, FaultKind::TooManyArguments { name: name.to_owned(), most, got });
        }
        let Some(known) = &signature.keywords else { return };
        for (keyword, _) in kwargs {
            if !known.contains(keyword) {
                let kind = FaultKind::UnknownKeyword {
                    name: name.to_owned(),
                    keyword: keyword.clone(),
                    similar: self.similar(keyword, || known.clone()),
                };
                self.report(subject, kind);
            }
        }
    }
}
