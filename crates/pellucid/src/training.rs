//! Optimisers of a program.

use pellucid_program::{Arg, Kind};

use crate::proxy::Proxy;

/// Settings of stochastic gradient descent; the defaults are `torch.optim.SGD`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdSettings {
    /// Learning rate.
    pub lr: f64,
    /// Share of the earlier direction that is kept.
    pub momentum: f64,
    /// Multiple of the parameter that is added to its gradient.
    pub weight_decay: f64,
}

impl Default for SgdSettings {
    fn default() -> Self {
        SgdSettings { lr: 1e-3, momentum: 0.0, weight_decay: 0.0 }
    }
}

/// Settings of Adam with decoupled weight decay; the defaults are `torch.optim.AdamW`'s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWSettings {
    /// Learning rate.
    pub lr: f64,
    /// Shares of the earlier mean and mean square that are kept.
    pub betas: (f64, f64),
    /// Multiple of the parameter that is taken off at each step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        AdamWSettings { lr: 1e-3, betas: (0.9, 0.999), weight_decay: 1e-2 }
    }
}

fn kind(name: &str, parameters: &[&Proxy], kwargs: Vec<(String, Arg)>) -> Kind {
    let list = Arg::List(parameters.iter().map(|p| Arg::Node(p.node())).collect());
    Kind::Op { name: name.into(), args: vec![list], kwargs }
}

impl SgdSettings {
    pub(crate) fn kind(self, parameters: &[&Proxy]) -> Kind {
        let kwargs = vec![
            ("lr".into(), Arg::Float(self.lr)),
            ("momentum".into(), Arg::Float(self.momentum)),
            ("weight_decay".into(), Arg::Float(self.weight_decay)),
        ];
        kind("sgd", parameters, kwargs)
    }
}

impl AdamWSettings {
    pub(crate) fn kind(self, parameters: &[&Proxy]) -> Kind {
        let betas = Arg::Tuple(vec![Arg::Float(self.betas.0), Arg::Float(self.betas.1)]);
        let kwargs = vec![
            ("lr".into(), Arg::Float(self.lr)),
            ("betas".into(), betas),
            ("weight_decay".into(), Arg::Float(self.weight_decay)),
        ];
        kind("adamw", parameters, kwargs)
    }
}

/// An optimiser of a program.
#[derive(Clone, Debug)]
pub struct OptimizerProxy {
    value: Proxy,
}

impl OptimizerProxy {
    pub(crate) fn new(value: Proxy) -> OptimizerProxy {
        OptimizerProxy { value }
    }

    /// One update from the gradients that every backward since the last [`OptimizerProxy::zero_grad`] has added up.
    #[track_caller]
    pub fn step(&self) {
        self.value.statement(Kind::OptimizerStep { optimizer: self.value.node() });
    }

    /// Forgets the gradients of its parameters.
    #[track_caller]
    pub fn zero_grad(&self) {
        self.value.statement(Kind::ZeroGrad { optimizer: self.value.node() });
    }
}
