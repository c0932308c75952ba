//! What forward passes of one trace share without being built again.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::configurations::skeleton;
use crate::goldens::cases;
use pellucid_models::FAMILIES;
use pellucid_nn::forward::{Memory, NoHooks};
use pellucid_nn::{Forward, KvCache, Model, Value};
use pellucid_tensor::{DType, Tensor};

/// Builds a forward pass of four tokens, and gives its logits.
fn logits(model: &Model, memory: Option<&Memory>, cache: &Rc<KvCache>) -> Tensor {
    let ids = model.engine().zeros(&[1, 4], DType::I64);
    let pass = Forward { model, hooks: &NoHooks, memory };
    let root = model.layer(model.tree().root()).expect("a root");
    let future = std::pin::pin!(pass.call(&**root, Model::root_args(ids, None, Some(cache.clone()))));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Value::Record(record))) => {
            record.get("logits").and_then(|v| v.as_var()?.get().ok()).expect("logits")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_are_remembered_and_what_holds_their_list_is_not() {
    for family in FAMILIES {
        let model = skeleton(cases(family.model_type)[0].config()).expect("a model");
        let sizes = model.skeleton();
        for (id, node) in model.tree().iter() {
            let within = node.path.strip_prefix(&sizes.blocks).is_some_and(|rest| !rest.is_empty());
            assert_eq!(model.is_remembered(id), within && !node.children.is_empty(), "{}", node.path);
        }
    }
}

#[test]
fn a_remembered_pass_is_the_same_graph_and_fills_its_own_cache() {
    for family in FAMILIES {
        let model = skeleton(cases(family.model_type)[0].config()).expect("a model");
        let memory = Memory::default();
        let caches: [Rc<KvCache>; 3] = Default::default();
        let plain = logits(&model, None, &caches[0]);
        for cache in &caches[1..] {
            assert!(logits(&model, Some(&memory), cache).same_node(&plain), "{}", family.model_type);
            let pairs = cache.tensors().into_iter().zip(caches[0].tensors());
            assert!(pairs.into_iter().all(|(a, b)| a.same_node(&b)), "{}", family.model_type);
            assert_eq!(cache.tensors().len(), 2 * model.skeleton().n_layers);
        }
        // Each block once, and nothing inside a block beside it.
        assert_eq!(memory.len(), model.skeleton().n_layers, "{}", family.model_type);
    }
}
