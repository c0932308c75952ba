//! Operations inside modules as places: all are announced as listed, looking changes nothing, writing takes effect.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::goldens::{Case, cases};
use crate::parity::{logits, model};
use pellucid_models::FAMILIES;
use pellucid_nn::{Args, Forward, Hooks, KvCache, Model, ModuleId, Reach, Result, Value};
use pellucid_tensor::{DType, Tensor, grad::grad};

type Label = (ModuleId, &'static str);

/// What is done at the places that are looked at.
#[derive(Clone, Copy)]
enum Deed {
    /// The value is only taken note of.
    Read,
    /// The same value is put back, in a storage of its own.
    PutBack,
    /// The value gets a node of its own, as where its gradient is read.
    Isolate,
    /// Something is added to every element.
    Change,
}

/// Hooks that look at some operations.
struct Looker<'a> {
    model: &'a Model,
    wanted: &'a BTreeSet<Label>,
    deed: Deed,
    seen: RefCell<Vec<(Label, Tensor)>>,
}

impl Looker<'_> {
    fn run(&self, args: Args) -> Tensor {
        let pass = Forward { model: self.model, hooks: self, memory: None };
        let root = self.model.layer(self.model.tree().root()).expect("a root");
        let future = std::pin::pin!(pass.call(&**root, args));
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => logits(&output.expect("a forward pass")),
            Poll::Pending => panic!("these hooks never wait"),
        }
    }
}

impl Hooks for Looker<'_> {
    fn reach(&self, module: ModuleId) -> Reach {
        if self.watches(module) { Reach::Here } else { Reach::Inside }
    }

    fn poll_enter(&self, _: ModuleId, _: &mut Args) -> Poll<Result<Option<Value>>> {
        Poll::Ready(Ok(None))
    }

    fn poll_exit(&self, _: ModuleId, _: &mut Value) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn watches(&self, module: ModuleId) -> bool {
        self.wanted.iter().any(|(id, _)| *id == module)
    }

    fn wants(&self, module: ModuleId, label: &'static str) -> bool {
        self.wanted.contains(&(module, label))
    }

    fn poll_inner(&self, module: ModuleId, label: &'static str, value: &mut Value) -> Poll<Result<()>> {
        let var = value.as_var().expect("a tensor").clone();
        match self.deed {
            Deed::Read => {}
            Deed::PutBack => *value = Value::tensor(var.get()?),
            Deed::Isolate => var.isolate()?,
            Deed::Change => {
                let own = var.get()?;
                let waves = (0..own.numel()).map(|i| 0.5 * (1.0 + 0.7 * i as f32).sin()).collect();
                let waves = own.engine().from_vec::<f32>(waves, own.dims())?;
                *value = Value::tensor(own.add(&waves.cast(own.dtype()))?);
            }
        }
        self.seen.borrow_mut().push(((module, label), value.as_var().expect("a tensor").get()?));
        Poll::Ready(Ok(()))
    }
}

fn all_cases() -> impl Iterator<Item = (String, Case)> {
    let families = FAMILIES.iter().map(|f| f.model_type);
    families.flat_map(|f| cases(f).into_iter().map(move |case| (format!("{f} {}", case.name), case)))
}

/// The first single-precision and the first half-precision case of every family.
fn each_type() -> impl Iterator<Item = (String, Case)> {
    FAMILIES.iter().flat_map(|family| {
        let mut all = cases(family.model_type);
        let half = all.iter().position(|c| c.dtype() == DType::BF16).map(|i| all.swap_remove(i));
        let single = all.into_iter().find(|c| c.dtype() == DType::F32);
        half.into_iter().chain(single).map(|case| (format!("{} {}", family.model_type, case.name), case))
    })
}

fn labels(model: &Model) -> BTreeSet<Label> {
    let of = |id: ModuleId| model.ops(id).iter().map(move |op| (id, op.label));
    model.tree().iter().flat_map(|(id, _)| of(id)).collect()
}

/// Two rows of five tokens; the first has two of padding if `padded`.
fn batch(model: &Model, padded: bool) -> Args {
    let ids = model.engine().from_vec((0..10).map(|i| (i * i * 7 + 3) % 94 + 1).collect(), &[2, 5]);
    let mask = padded
        .then(|| model.engine().from_vec(vec![0i64, 0, 1, 1, 1, 1, 1, 1, 1, 1], &[2, 5]).expect("a mask"));
    Model::root_args(ids.expect("two rows"), mask, None)
}

/// The bits of all elements, whichever their type.
fn bits(tensor: &Tensor) -> Vec<u64> {
    tensor.to_f64s().expect("values").into_iter().map(f64::to_bits).collect()
}

fn name(model: &Model, (id, label): Label) -> String {
    format!("{}.{label}", model.tree().node(id).path)
}

#[test]
fn operations_are_announced_as_they_are_listed() {
    for (case_name, case) in all_cases() {
        let model = model(&case);
        let wanted = labels(&model);
        let looker = Looker { model: &model, wanted: &wanted, deed: Deed::Read, seen: RefCell::default() };
        looker.run(batch(&model, false));
        let mut seen: BTreeMap<ModuleId, Vec<(&str, Tensor)>> = BTreeMap::new();
        for ((id, label), value) in looker.seen.take() {
            seen.entry(id).or_default().push((label, value));
        }
        let sizes = model.skeleton();
        // Sizes that only weights tell, which must agree within a module.
        for (id, node) in model.tree().iter() {
            let mut own = BTreeMap::new();
            let listed = model.ops(id);
            let Some(announced) = seen.get(&id) else {
                assert!(
                    listed.is_empty() || node.type_name == "Dropout",
                    "{case_name}: {} is never run",
                    node.path
                );
                continue;
            };
            let order: Vec<&str> = announced.iter().map(|(label, _)| *label).collect();
            assert_eq!(
                order,
                listed.iter().map(|op| op.label).collect::<Vec<_>>(),
                "{case_name}: {}",
                node.path
            );
            for (op, (_, value)) in listed.iter().zip(announced) {
                let place = format!(
                    "{case_name}: {} is {} of {:?}",
                    name(&model, (id, op.label)),
                    op.shape(),
                    value.dims()
                );
                if op.axes == ["..."] {
                    continue;
                }
                assert_eq!(op.axes.len(), value.dims().len(), "{place}");
                for (axis, &size) in op.axes.iter().zip(value.dims()) {
                    let expected = match *axis {
                        "1" => 1,
                        "batch" => 2,
                        "seq" | "seq_q" | "seq_k" => 5,
                        "n_heads" => sizes.n_heads,
                        "n_kv_heads" => sizes.n_kv_heads,
                        "d_head" => sizes.d_head,
                        "3 * d_head" => 3 * sizes.d_head,
                        "n_heads * d_head" => sizes.n_heads * sizes.d_head,
                        "d_vocab" => sizes.d_vocab,
                        "d_model" => sizes.d_model,
                        "d_mlp" | "d_out" | "d_rotary" | "d_rotary / 2" => *own.entry(*axis).or_insert(size),
                        "rows" if size <= 2 => size,
                        other => panic!("{place}: what is `{other}`?"),
                    };
                    assert_eq!(size, expected, "{place}: {axis}");
                }
            }
        }
    }
}

#[test]
fn labels_and_names_are_each_once_in_a_module_and_attention_has_the_same_names_everywhere() {
    for (case_name, case) in all_cases() {
        let model = model(&case);
        for (id, node) in model.tree().iter() {
            let ops = model.ops(id);
            let names: Vec<&str> =
                ops.iter().flat_map(|op| std::iter::once(op.label).chain(op.alias)).collect();
            assert_eq!(
                names.iter().collect::<BTreeSet<_>>().len(),
                names.len(),
                "{case_name}: {}",
                node.path
            );
            let has = |name: &str| model.op(id, name).is_some();
            if node.name == model.skeleton().attention {
                assert!(
                    ["query", "key", "value", "scores", "pattern", "heads"].into_iter().all(has),
                    "{case_name}"
                );
            }
            if node.name == model.skeleton().mlp {
                assert!(["pre", "post"].into_iter().all(has), "{case_name}");
            }
        }
        assert!(model.op(model.tree().root(), "logits").is_some(), "{case_name}");
    }
}

#[test]
fn looking_at_any_operations_leaves_every_bit() {
    for (case_name, case) in all_cases() {
        let model = model(&case);
        let all: Vec<Label> = labels(&model).into_iter().collect();
        // Each alone in one place is left to the next test; here all of them, and every second, third and so on.
        let sets = (1..8).map(|n| all.iter().copied().skip(n / 2).step_by(n).collect::<BTreeSet<Label>>());
        let sets: Vec<_> = sets.collect();
        for padded in [false, true] {
            let plain = bits(&logits(&model.forward(batch(&model, padded)).expect("a forward pass")));
            for (n, wanted) in sets.iter().enumerate() {
                for deed in [Deed::Read, Deed::PutBack] {
                    let looker = Looker { model: &model, wanted, deed, seen: RefCell::default() };
                    let looked = looker.run(batch(&model, padded));
                    let mut together: Vec<Tensor> = looker.seen.take().into_iter().map(|(_, t)| t).collect();
                    together.push(looked.clone());
                    model.engine().eval(&together).expect("values");
                    assert!(bits(&looked) == plain, "{case_name}: set {n} changes bits, padded {padded}");
                }
            }
        }
    }
}

#[test]
fn each_operation_alone_leaves_every_bit_has_a_gradient_and_can_be_changed() {
    for (case_name, case) in each_type() {
        let model = model(&case);
        let plain = bits(&logits(&model.forward(batch(&model, false)).expect("a forward pass")));
        for label in labels(&model) {
            let wanted = BTreeSet::from([label]);
            let run = |deed| {
                let looker = Looker { model: &model, wanted: &wanted, deed, seen: RefCell::default() };
                let looked = looker.run(batch(&model, false));
                (looked, looker.seen.take().pop())
            };
            let place = format!("{case_name}: {}", name(&model, label));
            let (looked, Some((_, value))) = run(Deed::Read) else { continue };
            model.engine().eval(&[value, looked.clone()]).expect("values");
            assert!(bits(&looked) == plain, "{place} read");
            let (looked, Some((_, own))) = run(Deed::Isolate) else { panic!("{place} is there once only") };
            assert!(bits(&looked) == plain, "{place} with a node of its own");
            let loss = looked.cast(DType::F32).sin().and_then(|x| x.sum(&[], false)).expect("a loss");
            let gradient = grad(&loss, &[own]).expect("a gradient").remove(0);
            let gradient = gradient.unwrap_or_else(|| panic!("{place} has no gradient"));
            assert!(gradient.to_f64s().expect("values").iter().all(|g| !g.is_nan()), "{place}: {gradient:?}");
            let (changed, _) = run(Deed::Change);
            assert!(bits(&changed) != plain, "{place} changed has no effect");
        }
    }
}

#[test]
fn looking_leaves_every_bit_of_a_pass_with_a_cache() {
    for (case_name, case) in each_type() {
        let model = model(&case);
        let wanted = labels(&model);
        let none = BTreeSet::new();
        let second = |wanted: &BTreeSet<Label>| {
            let looker = Looker { model: &model, wanted, deed: Deed::Read, seen: RefCell::default() };
            let cache = Rc::new(KvCache::default());
            looker.run(batch(&model, false).with("past_key_values", Value::Cache(cache.clone())));
            looker.seen.take();
            let next = model.engine().full(&[2, 1], 9, DType::I64);
            let logits = looker.run(Model::root_args(next, None, Some(cache)));
            (logits, looker.seen.take())
        };
        let (looked, seen) = second(&wanted);
        assert!(bits(&looked) == bits(&second(&none).0), "{case_name}");
        let keys = seen
            .iter()
            .find(|((_, label), t)| *label == "cat_0" && t.rank() == 4)
            .expect("the keys of all tokens");
        assert_eq!(keys.1.dims()[2], 6, "{case_name}");
    }
}

#[test]
fn what_the_fused_attention_holds_is_read_without_taking_it_apart() {
    for (case_name, case) in all_cases() {
        let model = model(&case);
        let kept = ["transpose_", "split_", "rotary_", "cat_", "matmul_1", "reshape_", "add_", "layer_norm_"];
        let is_kept = |label: &str| kept.iter().any(|k| label.starts_with(k));
        let wanted = labels(&model).into_iter().filter(|(_, label)| is_kept(label)).collect();
        let looker = Looker { model: &model, wanted: &wanted, deed: Deed::Read, seen: RefCell::default() };
        let args = batch(&model, false);
        let plain = logits(&model.forward(args.clone()).expect("a forward pass"));
        assert!(looker.run(args).same_node(&plain), "{case_name}: another graph");
    }
}

#[test]
fn heads_are_rows_of_patterns_times_values() {
    for (case_name, case) in each_type().filter(|(_, case)| case.dtype() == DType::F32) {
        let model = model(&case);
        let wanted = labels(&model);
        let looker = Looker { model: &model, wanted: &wanted, deed: Deed::Read, seen: RefCell::default() };
        looker.run(batch(&model, false));
        let seen = looker.seen.take();
        let sizes = model.skeleton();
        let module =
            model.tree().find(&format!("{}.1.{}", sizes.blocks, sizes.attention)).expect("attention");
        let value = |name: &str| {
            let label = model.op(module, name).expect("a place").label;
            let found = seen.iter().find(|(at, _)| *at == (module, label)).expect("announced");
            (found.1.dims().to_vec(), found.1.to_f64s().expect("values"))
        };
        let ((_, pattern), (_, values), (dims, heads)) = (value("pattern"), value("value"), value("heads"));
        let (n, seq, d) = (dims[1], dims[2], dims[3]);
        let groups = n / sizes.n_kv_heads;
        for (i, head) in heads.iter().enumerate() {
            let (c, q, h, b) = (i % d, i / d % seq, i / d / seq % n, i / d / seq / n);
            let row = &pattern[((b * n + h) * seq + q) * seq..][..seq];
            let column = (0..seq).map(|k| values[((b * sizes.n_kv_heads + h / groups) * seq + k) * d + c]);
            let expected: f64 = row.iter().zip(column).map(|(p, v)| p * v).sum();
            assert!((head - expected).abs() < 1e-5, "{case_name}: {head} {expected}");
        }
    }
}
