//! Gradients: a backward statement builds them, and the statements that read and change them take part.

use pellucid_nn::{Value, Var};
use pellucid_program::{Arg, Kind, NodeId};
use pellucid_tensor::Tensor;
use pellucid_tensor::grad::backward;

use super::Block;
use crate::error::{Result, RunError, RunErrorKind};

impl Block<'_> {
    /// Carries out a backward: gradients come to hand in backward order, and what is written to one flows on upstream.
    pub(super) fn run_backward(&self, node: NodeId, loss: NodeId, gradient: Option<&Arg>) -> Result<()> {
        let loss = self.tensor_of(loss, "backward", "loss")?;
        let seed = match gradient.map(|g| self.argument(g)).transpose()? {
            None | Some(Value::None) => {
                if loss.numel() != 1 {
                    return Err(RunError::new(pellucid_tensor::TensorError::NoGradient {
                        what: format!(
                            "grad can be implicitly created only for scalar outputs, not for shape {:?}",
                            loss.dims()
                        ),
                    }));
                }
                loss.engine().ones(loss.dims(), loss.dtype())
            }
            Some(Value::Tensor(var)) => var.get()?,
            Some(other) => {
                return Err(RunErrorKind::Argument {
                    op: "backward".into(),
                    argument: "gradient".into(),
                    expected: "a tensor".into(),
                    got: other.kind(),
                }
                .into());
            }
        };
        let due: Vec<NodeId> =
            self.gradients.get(&node).into_iter().flatten().copied().filter(|&n| self.is_due(n)).collect();
        let mut points: Vec<(Tensor, Vec<NodeId>)> = Vec::new();
        for &statement in &due {
            let (Kind::Grad { of } | Kind::SetGrad { of, .. }) = &self.node(statement).kind else { continue };
            let Some(point) = self.state.watch_points.borrow().get(of).cloned() else {
                return Err(RunError::new(RunErrorKind::Argument {
                    op: "grad".into(),
                    argument: "of".into(),
                    expected: "a tensor".into(),
                    got: self.value(*of).unwrap_or_default().kind(),
                })
                .at(self.program, statement));
            };
            match points.iter_mut().find(|(t, _)| t.same_node(&point)) {
                Some((_, statements)) => statements.push(statement),
                None => points.push((point, vec![statement])),
            }
        }
        let trained = self.state.training.tensors()?;
        let wrt: Vec<Tensor> = points.iter().map(|(t, _)| t).chain(&trained).cloned().collect();
        // A fault of the program inside the reverse pass comes out beside the tensor crate's own.
        let mut fault: Option<RunError> = None;
        let found = backward(&[(loss, seed)], &wrt, &mut |i, gradient| {
            if i >= points.len() {
                return Ok(gradient);
            }
            self.at_gradient(&points[i].1, gradient).map_err(|e| {
                fault = Some(e);
                pellucid_tensor::TensorError::Interrupted
            })
        });
        let found = match (found, fault) {
            (_, Some(fault)) => return Err(fault),
            (found, None) => found?,
        };
        for ((_, statements), gradient) in points.iter().zip(&found) {
            if gradient.is_none() {
                return Err(RunError::new(RunErrorKind::NoGradient).at(self.program, statements[0]));
            }
        }
        self.state.training.add_gradients(&found[points.len()..], self.state.scan)
    }

    /// The reverse pass has arrived at a watched value: its statements are carried out, and what they leave flows on.
    fn at_gradient(&self, statements: &[NodeId], gradient: Tensor) -> Result<Tensor> {
        let mut cell = Var::new(gradient);
        for &statement in statements {
            let at = |e: RunError| e.at(self.program, statement);
            match &self.node(statement).kind {
                Kind::Grad { of } => {
                    let view = self.same_view(*of, &cell).map_err(at)?;
                    self.finish(statement, Some(Value::Tensor(view)))?;
                    self.run_ready()?;
                }
                Kind::SetGrad { of, value } => {
                    if !self.has_inputs(statement) {
                        return Err(at(RunError::new(RunErrorKind::Argument {
                            op: "grad".into(),
                            argument: "value".into(),
                            expected: "a value that is known when the reverse pass arrives here".into(),
                            got: "one that comes later".into(),
                        })));
                    }
                    // A replacement is no write: what was read before keeps its value.
                    cell = Var::new(cell.get()?);
                    let view = self.same_view(*of, &cell).map_err(at)?;
                    let value = self.argument(value).map_err(at)?;
                    crate::ops::assign(&view, &[], &value).map_err(at)?;
                    self.finish(statement, None)?;
                    self.run_ready()?;
                }
                _ => {}
            }
        }
        Ok(cell.get()?)
    }

    /// The gradient of a value that views a storage, as the same view of the storage's gradient.
    fn same_view(&self, of: NodeId, gradient: &Var) -> Result<Var> {
        let value = self.value(of).unwrap_or_default();
        match value.as_var() {
            Some(var) => Ok(var.rebase(gradient)?),
            None => Ok(gradient.clone()),
        }
    }
}
