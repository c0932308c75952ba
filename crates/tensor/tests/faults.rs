//! A fault found while computing names the node it was found at, whatever rewrites made of the graph.

use pellucid_tensor::{BinaryOp, DType, Engine, Rewrites, Tensor, TensorError};

/// An engine with all rewrites, and one that computes as written.
fn engines() -> [Engine; 2] {
    let plain = Engine::new();
    plain.set_rewrites(Rewrites::OFF);
    [Engine::new(), plain]
}

fn ramp(engine: &Engine, dims: &[usize]) -> Tensor {
    let count: usize = dims.iter().product();
    engine.from_vec((0..count).map(|i| i as f32 / 8.0).collect::<Vec<_>>(), dims).unwrap()
}

fn ids(engine: &Engine, ids: &[i64]) -> Tensor {
    engine.from_vec(ids.to_vec(), &[ids.len()]).unwrap()
}

/// The failing node of an evaluation.
fn failed(engine: &Engine, asked: &[Tensor]) -> (Tensor, TensorError) {
    let error = engine.eval(asked).expect_err("a faulty computation");
    (error.node().expect("an error with its node").clone(), error.cause().clone())
}

#[test]
fn each_kind_of_fault_names_its_own_node() {
    for engine in engines() {
        let x = ramp(&engine, &[3, 4]);
        let bad = ids(&engine, &[0, 9, 1]);
        let wide = bad.reshape(&[3, 1]).unwrap();
        let zero = ids(&engine, &[0, 0, 0]);
        let source = ramp(&engine, &[3, 1]);
        let faulty = [
            x.embed(&bad).unwrap(),
            x.gather(1, &wide).unwrap(),
            x.scatter(1, &wide, &source, false).unwrap(),
            x.scatter(1, &wide, &source, true).unwrap(),
            bad.binary(BinaryOp::FloorDiv, &zero).unwrap(),
            bad.binary(BinaryOp::Remainder, &zero).unwrap(),
            engine.unloaded(&[3, 4], DType::F32, "wte.weight"),
        ];
        for node in faulty {
            let used = node.cast(DType::F32).add_scalar(1).unwrap().exp().unwrap().sum(&[], false).unwrap();
            let (found, cause) = failed(&engine, &[used]);
            assert!(found.same_node(&node), "{found:?} instead of {node:?}");
            assert!(!matches!(cause, TensorError::Computing { .. }));
        }
    }
}

#[test]
fn a_fault_reads_as_before_and_keeps_its_hint() {
    for engine in engines() {
        let weight = engine.unloaded(&[2, 2], DType::F32, "lm_head.weight");
        let error = weight.exp().unwrap().eval().unwrap_err();
        assert_eq!(error.to_string(), "the values of `lm_head.weight` are not loaded");
        assert!(error.hint().is_some());
    }
}

#[test]
fn the_statement_of_an_inner_node_is_the_nearest_one() {
    for engine in engines() {
        let x = ramp(&engine, &[3, 4]);
        let picked = x.index_select(1, &ids(&engine, &[1, 7])).unwrap();
        let view = picked.unsqueeze(0).unwrap();
        let sum = view.exp().unwrap().sum(&[], false).unwrap();
        let other = x.exp().unwrap();
        let table = [x, other, sum.clone(), view.clone(), picked.clone()];
        let (node, _) = failed(&engine, &[sum]);
        assert_eq!(node.asked_by(&table), [4]);
        assert_eq!(node.asked_by(&table[..4]), [3]);
        assert_eq!(node.asked_by(&table[..3]), [2]);
        assert!(node.asked_by(&table[..2]).is_empty());
    }
}

#[test]
fn equal_statements_and_separate_branches_are_all_named() {
    for engine in engines() {
        let x = ramp(&engine, &[3, 4]);
        let line = || x.embed(&ids(&engine, &[8])).unwrap();
        let table = [line(), x.exp().unwrap(), line()];
        let (node, _) = failed(&engine, &[table[2].neg().unwrap()]);
        assert_eq!(node.asked_by(&table), [0, 2]);
        let branches = [line().neg().unwrap(), line().exp().unwrap(), line().neg().unwrap().abs().unwrap()];
        assert_eq!(node.asked_by(&branches), [0, 1]);
    }
}

#[test]
fn an_interruption_has_no_node() {
    let engine = Engine::new();
    engine.interrupt_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    let error = ramp(&engine, &[2]).exp().unwrap().eval().unwrap_err();
    assert_eq!(error, TensorError::Interrupted);
    assert!(error.node().is_none());
}

#[test]
fn errors_can_be_sent_to_other_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<TensorError>();
}
