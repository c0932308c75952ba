//! The plan of a computation: which nodes run, in which order, fused into which groups, and how long values are needed.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::sync::Arc;

use pellucid_kernels::gemm::Activation;
use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};

use super::function::Function;
use super::tiles::{Program, Source, Step};
use super::{Rewrites, demand};
use crate::dtype::DType;
use crate::graph::Tensor;
use crate::op::{BinaryOp, Op, UnaryOp};

/// Steps of a program at most, so that its registers stay in the cache.
const LONGEST: usize = 16;

/// A node is fused with its user only if at most this many nodes run between them: what it reads stays in memory until
/// then.
const REACH: u32 = 32;

/// What is done for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing: the value was there before.
    Ready,
    /// Nothing: no other node reads it, or a fused group computes it on the way.
    Nothing,
    /// The node's operation on its operands.
    Node,
    /// A matrix product and what follows it.
    Product(usize),
    /// A tree of elementwise operations.
    Program(usize),
}

/// A matrix product with what follows it. Its operands are those of the product, then the bias, then the residual.
#[derive(Clone, Debug)]
pub(super) struct Product {
    /// The node of the product.
    pub(super) node: usize,
    pub(super) bias: bool,
    pub(super) activation: Option<Activation>,
    pub(super) residual: bool,
}

/// The demanded nodes, numbered as they were found, and what is done for them.
pub(super) struct Plan<'a> {
    pub(super) nodes: Vec<&'a Tensor>,
    /// Numbers of the nodes that are not evaluated, operands first.
    pub(super) order: Vec<u32>,
    pub(super) work: Vec<Work>,
    /// How often each value is read, once more if somebody asked for it.
    pub(super) uses: Vec<u32>,
    pub(super) products: Vec<Product>,
    pub(super) programs: Vec<Program>,
    operands: Vec<u32>,
    ranges: Vec<(u32, u32)>,
    wanted: Vec<bool>,
    /// The numbers of the targets.
    pub(super) asked: SmallVec<[u32; 4]>,
}

/// What the search for groups knows of each node.
struct Users {
    count: Vec<u32>,
    /// One of the users.
    user: Vec<u32>,
    /// The place in the order.
    rank: Vec<u32>,
}

impl<'a> Plan<'a> {
    /// The plan of computing `targets`, or, in `narrowed`, targets of the same values that need less.
    pub(super) fn new(
        targets: &'a [Tensor],
        rewrites: Rewrites,
        narrowed: &'a OnceCell<Vec<Tensor>>,
    ) -> Plan<'a> {
        let mut plan = Plan::find(targets);
        if rewrites.demand
            && let Some(smaller) = demand::narrowed(&plan)
        {
            plan = Plan::find(narrowed.get_or_init(|| smaller));
        }
        if rewrites.fast_kernels && (rewrites.epilogues || rewrites.chains) {
            let users = plan.users();
            if rewrites.epilogues {
                plan.fuse_products(&users);
            }
            if rewrites.chains {
                plan.fuse_elementwise(&users);
            }
        }
        plan.count_uses();
        plan
    }

    /// Numbers the demanded nodes and orders those to be computed.
    fn find(targets: &'a [Tensor]) -> Plan<'a> {
        // Nodes that stand for one node or its operands share its number.
        let mut numbers: FxHashMap<usize, u32> = FxHashMap::default();
        let mut nodes: Vec<&Tensor> = Vec::new();
        let mut number = |tensor: &'a Tensor, nodes: &mut Vec<&'a Tensor>| {
            *numbers.entry(Arc::as_ptr(&tensor.node) as usize).or_insert_with(|| {
                nodes.push(tensor);
                nodes.len() as u32 - 1
            })
        };
        let asked: SmallVec<[u32; 4]> = targets.iter().map(|t| number(t, &mut nodes)).collect();
        let (mut operands, mut ranges, mut work) = (Vec::new(), Vec::new(), Vec::new());
        // Of nodes with one number, operands are found later than their users.
        let mut order: Vec<(u64, Reverse<u32>)> = Vec::new();
        let mut next = 0;
        while next < nodes.len() {
            let tensor = nodes[next];
            let start = operands.len() as u32;
            if tensor.is_evaluated() {
                work.push(Work::Ready);
            } else {
                work.push(Work::Node);
                order.push((tensor.id(), Reverse(next as u32)));
                for input in tensor.inputs() {
                    operands.push(number(input, &mut nodes));
                }
            }
            ranges.push((start, operands.len() as u32));
            next += 1;
        }
        order.sort_unstable();
        let mut wanted = vec![false; nodes.len()];
        asked.iter().for_each(|&i| wanted[i as usize] = true);
        Plan {
            order: order.into_iter().map(|(_, Reverse(i))| i).collect(),
            work,
            uses: vec![0; nodes.len()],
            products: Vec::new(),
            programs: Vec::new(),
            operands,
            ranges,
            wanted,
            asked,
            nodes,
        }
    }

    /// The numbers of the nodes whose values a node or its group reads.
    pub(super) fn operands(&self, i: usize) -> &[u32] {
        let (start, end) = self.ranges[i];
        &self.operands[start as usize..end as usize]
    }

    /// Whether somebody asked for the value.
    pub(super) fn is_wanted(&self, i: usize) -> bool {
        self.wanted[i]
    }

    fn users(&self) -> Users {
        let n = self.nodes.len();
        let mut users = Users { count: vec![0; n], user: vec![0; n], rank: vec![0; n] };
        for (rank, &i) in self.order.iter().enumerate() {
            users.rank[i as usize] = rank as u32;
            for &operand in self.operands(i as usize) {
                users.count[operand as usize] += 1;
                users.user[operand as usize] = i;
            }
        }
        users
    }

    /// The only reader of a value that nobody asked for, if it runs soon after `first`.
    fn only_user(&self, users: &Users, i: usize, first: usize) -> Option<usize> {
        let user = users.user[i] as usize;
        // A sum of two products belongs to the first of them.
        let free = self.work[i] == Work::Node && self.work[user] == Work::Node;
        let lone = users.count[i] == 1 && !self.wanted[i] && free;
        (lone && users.rank[user] - users.rank[first] <= REACH).then_some(user)
    }

    fn set_operands(&mut self, i: usize, operands: &[u32]) {
        let start = self.operands.len() as u32;
        self.operands.extend_from_slice(operands);
        self.ranges[i] = (start, self.operands.len() as u32);
    }

    fn fuse_products(&mut self, users: &Users) {
        for at in 0..self.order.len() {
            let node = self.order[at] as usize;
            let product = self.nodes[node];
            if !matches!(product.op(), Op::Matmul) || product.dtype() != DType::F32 || product.numel() == 0 {
                continue;
            }
            let mut group = Product { node, bias: false, activation: None, residual: false };
            let mut operands: SmallVec<[u32; 4]> = self.operands(node).into();
            // Nodes that the group may take in, and how many of them it has.
            let mut path: SmallVec<[usize; 8]> = smallvec![node];
            let mut taken = 1;
            while let Some(user) = self.only_user(users, path[path.len() - 1], node) {
                if !self.follow(&mut group, &mut operands, path[path.len() - 1], user) {
                    break;
                }
                path.push(user);
                if !matches!(self.nodes[user].op(), Op::Reshape | Op::Identity { .. } | Op::Detach) {
                    taken = path.len();
                }
            }
            path.truncate(taken);
            let Some((&root, inner)) = path.split_last() else { continue };
            if inner.is_empty() {
                continue;
            }
            inner.iter().for_each(|&i| self.work[i] = Work::Nothing);
            self.work[root] = Work::Product(self.products.len());
            self.products.push(group);
            self.set_operands(root, &operands);
        }
    }

    /// Whether a product that has come to the value `from` can go on through its user.
    fn follow(
        &self,
        group: &mut Product,
        operands: &mut SmallVec<[u32; 4]>,
        from: usize,
        user: usize,
    ) -> bool {
        let (product, tensor) = (self.nodes[group.node], self.nodes[user]);
        let n = product.dims()[product.rank() - 1];
        if tensor.dims().last() != Some(&n) || tensor.dtype() != DType::F32 {
            return false;
        }
        match tensor.op() {
            Op::Reshape | Op::Identity { .. } | Op::Detach => true,
            Op::Unary(op) if group.activation.is_none() && !group.residual => {
                group.activation = activation(*op);
                group.activation.is_some()
            }
            Op::Binary(BinaryOp::Add) => {
                let pair = self.operands(user);
                let other = if pair[0] as usize == from { pair[1] } else { pair[0] };
                let added = self.nodes[other as usize];
                let is_row = |t: &Tensor| t.numel() == n && t.dims().last() == Some(&n);
                let row = match added.op() {
                    _ if is_row(added) => Some(other),
                    Op::Expand if !added.is_evaluated() && is_row(&added.inputs()[0]) => {
                        Some(self.operands(other as usize)[0])
                    }
                    _ => None,
                };
                match row {
                    Some(row) if !group.bias && group.activation.is_none() && !group.residual => {
                        group.bias = true;
                        operands.push(row);
                        true
                    }
                    _ if !group.residual && added.dims() == tensor.dims() => {
                        group.residual = true;
                        operands.push(other);
                        true
                    }
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn fuse_elementwise(&mut self, users: &Users) {
        for at in (0..self.order.len()).rev() {
            let root = self.order[at] as usize;
            if self.work[root] != Work::Node || self.function(root).is_none() {
                continue;
            }
            let mut program = Program::default();
            let mut inputs: SmallVec<[u32; 8]> = SmallVec::new();
            self.grow(users, root, root, &mut program, &mut inputs);
            if program.steps.len() > 1 {
                self.work[root] = Work::Program(self.programs.len());
                self.programs.push(program);
                self.set_operands(root, &inputs);
            }
        }
    }

    /// The function of a node that runs in tiles.
    fn function(&self, i: usize) -> Option<Function> {
        function(self.nodes[i])
    }

    /// Adds a node to a program, after the operands that can be computed with it.
    fn grow(
        &mut self,
        users: &Users,
        root: usize,
        i: usize,
        program: &mut Program,
        inputs: &mut SmallVec<[u32; 8]>,
    ) -> Option<usize> {
        let function = self.function(i)?;
        let operands: SmallVec<[u32; 4]> = self.operands(i).into();
        let mut sources = SmallVec::new();
        for operand in operands {
            let o = operand as usize;
            let fits = self.nodes[o].dims() == self.nodes[root].dims()
                && program.steps.len() + inputs.len() < LONGEST
                && self.work[o] == Work::Node
                && users.rank[root] - users.rank[o] <= REACH
                && self.only_user(users, o, o).is_some();
            let step = if fits { self.grow(users, root, o, program, inputs) } else { None };
            sources.push(match step {
                Some(step) => {
                    self.work[o] = Work::Nothing;
                    Source::Step(step)
                }
                None => {
                    inputs.push(operand);
                    Source::Input(inputs.len() - 1)
                }
            });
        }
        program.steps.push(Step { function, sources, dtype: self.nodes[i].dtype() });
        Some(program.steps.len() - 1)
    }

    /// Counts readers, from the last node on, and leaves out what nobody reads.
    fn count_uses(&mut self) {
        for (uses, &wanted) in self.uses.iter_mut().zip(&self.wanted) {
            *uses = u32::from(wanted);
        }
        for at in (0..self.order.len()).rev() {
            let i = self.order[at] as usize;
            if self.uses[i] == 0 {
                self.work[i] = Work::Nothing;
            }
            if self.work[i] == Work::Nothing {
                continue;
            }
            let (start, end) = self.ranges[i];
            for operand in start..end {
                self.uses[self.operands[operand as usize] as usize] += 1;
            }
        }
    }
}

/// The function of a node that runs in tiles.
pub(super) fn function(tensor: &Tensor) -> Option<Function> {
    // The type of the numbers: of a choice, that of its alternatives.
    let operand = tensor.inputs().first()?;
    Function::of(tensor.op(), operand.dtype(), tensor.dtype())
}

fn activation(op: UnaryOp) -> Option<Activation> {
    Some(match op {
        UnaryOp::GeluTanh => Activation::GeluTanh,
        UnaryOp::GeluErf => Activation::GeluErf,
        UnaryOp::Silu => Activation::Silu,
        UnaryOp::Relu => Activation::Relu,
        UnaryOp::Tanh => Activation::Tanh,
        UnaryOp::Sigmoid => Activation::Sigmoid,
        _ => return None,
    })
}
