//! Laws that hold for every expression, checked on random ones.

use pellucid_tensor::{DType, Engine, IndexItem, Result, Rewrites, Tensor, grad::grad};
use proptest::prelude::*;

/// Elements that differ from each other, between -2 and 2.
fn leaf(engine: &Engine, dims: &[usize], seed: usize) -> Tensor {
    let count = dims.iter().product::<usize>();
    let data = (0..count).map(|i| ((i * 37 + seed * 101) % 257) as f32 / 64.0 - 2.0).collect();
    engine.from_vec::<f32>(data, dims).expect("as many elements as the shape has")
}

/// One step of a random program: an operation, two operands and a parameter, all taken modulo what there is.
type Step = (u8, u8, u8, u8);

fn leaves(engine: &Engine) -> Vec<Tensor> {
    let shapes: [&[usize]; 5] = [&[2, 3, 4], &[4, 4], &[3, 4], &[4], &[1]];
    shapes.iter().enumerate().map(|(i, dims)| leaf(engine, dims, i)).collect()
}

/// The values of a random program.
fn values(engine: &Engine, steps: &[Step]) -> Vec<Tensor> {
    program(leaves(engine), steps)
}

/// Leaves and what a random program makes of them. Steps that do not fit their operands' shapes are left out.
fn program(leaves: Vec<Tensor>, steps: &[Step]) -> Vec<Tensor> {
    let mut all = leaves;
    for &(op, a, b, p) in steps {
        let x = all[a as usize % all.len()].clone();
        let y = all[b as usize % all.len()].clone();
        let dim = i64::from(p) % (x.rank().max(1) as i64);
        let size = x.dims().get(dim as usize).copied().unwrap_or(1) as i64;
        let result = match op % 20 {
            0 => x.add(&y),
            1 => x.sub(&y),
            2 => x.mul(&y).and_then(|t| t.tanh()),
            3 => x.maximum(&y),
            4 => x.matmul(&y).and_then(|t| t.tanh()),
            5 => x.linear(&all[1], Some(&all[3])).and_then(|t| t.gelu_tanh()),
            6 => x.tanh(),
            7 => x.gelu(),
            8 => x.sigmoid(),
            9 => x.softmax(dim),
            10 => x.layer_norm(None, None, 0.1),
            11 => x.mean(&[dim], p % 2 == 0),
            12 => x.mul(&x).and_then(|t| t.add_scalar(0.5)).and_then(|t| t.rsqrt()),
            13 => x.transpose(0, dim),
            14 => x.flip(&[dim]),
            15 => x.narrow(dim, size / 2, (size - size / 2) as usize),
            16 => Tensor::cat(&[x.clone(), y.clone()], dim),
            17 => x.reshape(&[-1]),
            18 => x.unsqueeze(dim),
            _ => x.index_assign(&[IndexItem::At(0)], &y),
        };
        if let Ok(t) = result
            && t.numel() <= 4096
        {
            all.push(t);
        }
    }
    all
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 1..16)
}

/// A chain of views of a tensor, chosen by numbers.
fn viewed(mut x: Tensor, views: &[(u8, u8, u8)]) -> Tensor {
    for &(view, p, q) in views {
        let dim = i64::from(p) % (x.rank().max(1) as i64);
        let size = x.dims().get(dim as usize).map_or(1, |&s| s as i64);
        let mut items = vec![IndexItem::ALL; dim as usize];
        let next = match view % 6 {
            0 => x.transpose(dim, i64::from(q) % (x.rank().max(1) as i64)),
            1 => x.flip(&[dim]),
            2 => {
                let step = [1, 2, -1, -2, 3][q as usize % 5];
                items.push(IndexItem::Slice { start: None, stop: None, step: Some(step) });
                x.index(&items)
            }
            3 => {
                items.push(IndexItem::from(i64::from(q) % size.max(1)..size));
                x.index(&items)
            }
            4 => x.unsqueeze(dim).and_then(|t| {
                let mut sizes = vec![-1; t.rank()];
                sizes[dim as usize] = 1 + i64::from(q % 3);
                t.expand(&sizes)
            }),
            _ => x.flatten(0, dim),
        };
        match next {
            Ok(next) if next.rank() <= 6 && next.numel() <= 2048 => x = next,
            _ => {}
        }
    }
    x
}

type Function<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

fn bits(t: &Tensor) -> Vec<u32> {
    t.to_vec::<f32>().expect("a computable tensor").into_iter().map(f32::to_bits).collect()
}

proptest! {
    #[test]
    fn rewritten_results_equal_those_of_the_reference_interpreter(steps in steps()) {
        let (fast, slow) = (Engine::new(), Engine::new());
        slow.set_rewrites(Rewrites::OFF);
        let (fast, slow) = (values(&fast, &steps), values(&slow, &steps));
        prop_assert_eq!(fast.len(), slow.len());
        for (a, b) in fast.iter().zip(&slow).rev() {
            prop_assert_eq!(a.dims(), b.dims());
            for (x, y) in a.to_vec::<f32>().unwrap().into_iter().zip(b.to_vec::<f32>().unwrap()) {
                let close = (x - y).abs() <= 1e-5 * (1.0 + y.abs());
                prop_assert!(close || x.is_nan() && y.is_nan() || x == y, "{:?}: {} instead of {}", a, x, y);
            }
        }
    }

    #[test]
    fn looking_at_every_value_changes_no_bit_of_the_last(steps in steps()) {
        let (one, every) = (Engine::new(), Engine::new());
        let (one, every_value) = (values(&one, &steps), values(&every, &steps));
        every.eval(&every_value).unwrap();
        let last = one.len() - 1;
        prop_assert_eq!(bits(&one[last]), bits(&every_value[last]));
    }

    #[test]
    fn gradients_are_the_limits_of_differences(steps in steps()) {
        let engine = Engine::new();
        // The maximum has corners, at which differences are no guide.
        let steps: Vec<Step> = steps.into_iter().filter(|s| s.0 % 20 != 3).collect();
        let wide: Vec<Tensor> = leaves(&engine).iter().map(|t| t.cast(DType::F64)).collect();
        let loss = |leaves: &[Tensor]| -> Result<Tensor> {
            let last = program(leaves.to_vec(), &steps).pop().expect("never empty");
            let weights = leaf(&engine, last.dims(), 9).cast(DType::F64);
            last.mul(&weights)?.sum(&[], false)
        };
        let gradients = grad(&loss(&wide).unwrap(), &wide).unwrap();
        for (i, gradient) in gradients.iter().enumerate() {
            let direction = leaf(&engine, wide[i].dims(), 17).cast(DType::F64);
            let along = match gradient {
                Some(g) => g.mul(&direction).unwrap().to_f64s().unwrap().iter().sum(),
                None => 0.0,
            };
            let moved = |by: f64| {
                let mut leaves = wide.clone();
                leaves[i] = wide[i].add(&direction.mul_scalar(by).unwrap()).unwrap();
                loss(&leaves).unwrap().to_f64s().unwrap()[0]
            };
            let step = 1e-5;
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            let close = (along - difference).abs() <= 1e-5 * (1.0 + difference.abs());
            prop_assert!(close, "at leaf {}: {} instead of {}", i, along, difference);
        }
    }

    #[test]
    fn gradients_of_gradients_are_the_limits_of_differences(steps in steps()) {
        let engine = Engine::new();
        let steps: Vec<Step> = steps.into_iter().filter(|s| s.0 % 20 != 3).take(6).collect();
        let wide: Vec<Tensor> = leaves(&engine).iter().map(|t| t.cast(DType::F64)).collect();
        // How fast the loss changes in a direction: a sum over its gradients.
        let rate = |leaves: &[Tensor]| -> Result<Tensor> {
            let last = program(leaves.to_vec(), &steps).pop().expect("never empty");
            let loss = last.mul(&leaf(&engine, last.dims(), 9).cast(DType::F64))?.sum(&[], false)?;
            let mut rate = engine.zeros(&[], DType::F64);
            for (i, gradient) in grad(&loss, leaves)?.into_iter().enumerate() {
                let direction = leaf(&engine, leaves[i].dims(), 17 + i).cast(DType::F64);
                if let Some(gradient) = gradient {
                    rate = rate.add(&gradient.mul(&direction)?.sum(&[], false)?)?;
                }
            }
            Ok(rate)
        };
        let gradients = grad(&rate(&wide).unwrap(), &wide).unwrap();
        for (i, gradient) in gradients.iter().enumerate() {
            let direction = leaf(&engine, wide[i].dims(), 31).cast(DType::F64);
            let along = match gradient {
                Some(g) => g.mul(&direction).unwrap().to_f64s().unwrap().iter().sum(),
                None => 0.0,
            };
            let moved = |by: f64| {
                let mut leaves = wide.clone();
                leaves[i] = wide[i].add(&direction.mul_scalar(by).unwrap()).unwrap();
                rate(&leaves).unwrap().to_f64s().unwrap()[0]
            };
            let step = 1e-5;
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            let close = (along - difference).abs() <= 1e-4 * (1.0 + difference.abs());
            prop_assert!(close, "at leaf {}: {} instead of {}", i, along, difference);
        }
    }

    #[test]
    fn operations_do_not_depend_on_strides(views in prop::collection::vec(any::<(u8, u8, u8)>(), 1..6)) {
        let engine = Engine::new();
        let view = viewed(leaf(&engine, &[3, 4, 2], 7), &views);
        let copy = engine.from_value(view.eval().unwrap().contiguous(), None);
        // The copy is made by the executor; the chain of views is checked against it by moving elements one by one.
        let weights = leaf(&engine, view.dims().last().map_or(&[][..], std::slice::from_ref), 8);
        let functions: [Function<'_>; 6] = [
            &|x| x.mul(&weights),
            &|x| x.sum(&[0], false),
            &|x| x.softmax(-1),
            &|x| x.reshape(&[-1])?.cumsum(0),
            &|x| x.layer_norm(None, None, 1e-5),
            &|x| x.matmul(&weights),
        ];
        for (i, f) in functions.iter().enumerate() {
            match (f(&view), f(&copy)) {
                (Ok(a), Ok(b)) => prop_assert_eq!(bits(&a), bits(&b), "function {}", i),
                (a, b) => prop_assert_eq!(a.is_err(), b.is_err()),
            }
        }
    }

    #[test]
    fn a_slice_of_a_slice_is_what_python_gives(
        size in 0usize..9,
        slices in prop::collection::vec((prop::option::of(-10i64..10), prop::option::of(-10i64..10), step()), 1..4),
    ) {
        let engine = Engine::new();
        let mut x = engine.arange(0, 1, size, DType::I64);
        let mut expected: Vec<i64> = (0..size as i64).collect();
        for (start, stop, step) in slices {
            x = x.index(&[IndexItem::Slice { start, stop, step: Some(step) }]).unwrap();
            expected = python_slice(start, stop, step, expected.len())
                .into_iter()
                .map(|i| expected[i])
                .collect();
        }
        prop_assert_eq!(x.to_vec::<i64>().unwrap(), expected);
    }

    #[test]
    fn indexing_reads_and_writes_the_elements_of_a_naive_model(
        wishes in prop::collection::vec(any::<(u8, u8, u8)>(), 0..5),
    ) {
        let engine = Engine::new();
        let dims = [3, 4, 2];
        let x = leaf(&engine, &dims, 3);
        let elements = x.to_vec::<f32>().unwrap();
        let (items, model) = index_of(&engine, &dims, &wishes);
        let read = x.index(&items).unwrap();
        prop_assert_eq!(read.dims(), &model.dims[..], "{:?}", items);
        let expected: Vec<f32> = model.places.iter().map(|&p| elements[p]).collect();
        prop_assert_eq!(read.to_vec::<f32>().unwrap(), expected, "{:?}", items);

        let value = leaf(&engine, &model.dims, 11);
        let new = value.to_vec::<f32>().unwrap();
        let (mut assigned, mut added) = (elements.clone(), elements);
        for (&p, &v) in model.places.iter().zip(&new) {
            assigned[p] = v;
            added[p] += v;
        }
        let got = x.index_assign(&items, &value).unwrap().to_vec::<f32>().unwrap();
        prop_assert_eq!(got, assigned, "{:?}", items);
        let got = x.index_add(&items, &value).unwrap().to_vec::<f32>().unwrap();
        prop_assert_eq!(got, added, "{:?}", items);
    }

    #[test]
    fn a_draw_split_anywhere_is_the_same_draw(seed in any::<u64>(), offset in any::<u64>(), at in 0usize..20) {
        let engine = Engine::new();
        let draw = |n: usize, offset: u64| bits(&engine.randn(&[n], DType::F32, seed, offset));
        let parts = [draw(at, offset), draw(20 - at, offset.wrapping_add(at as u64))].concat();
        prop_assert_eq!(draw(20, offset), parts);
    }

    #[test]
    fn drawn_integers_lie_in_their_range(low in any::<i64>(), size in 1i64..1000, seed in any::<u64>()) {
        let engine = Engine::new();
        let high = low.saturating_add(size);
        prop_assume!(low < high);
        let all = engine.randint(low..high, &[64], DType::I64, seed, 0).unwrap().to_vec::<i64>().unwrap();
        prop_assert!(all.iter().all(|i| (low..high).contains(i)));
    }
}

fn step() -> impl Strategy<Value = i64> {
    prop_oneof![-4i64..0, 1i64..5]
}

/// The positions of `range(size)[start:stop:step]`.
fn python_slice(start: Option<i64>, stop: Option<i64>, step: i64, size: usize) -> Vec<usize> {
    let n = size as i64;
    let from_end = |i: i64| if i < 0 { i + n } else { i };
    let mut at = match start.map(from_end) {
        Some(i) if step > 0 => i.max(0),
        Some(i) => i.min(n - 1),
        None if step > 0 => 0,
        None => n - 1,
    };
    let end = match stop.map(from_end) {
        Some(i) if step > 0 => i.min(n),
        Some(i) => i.max(-1),
        None if step > 0 => n,
        None => -1,
    };
    let mut out = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        out.push(at as usize);
        at += step;
    }
    out
}

/// What an index picks: the result's shape, and for each of its elements the place in the source.
struct Model {
    dims: Vec<usize>,
    places: Vec<usize>,
}

/// What one item does to the result.
enum Slot {
    New,
    /// Positions in a dimension of the source, which become a dimension of the result.
    Range(usize, Vec<usize>),
    /// Positions in a dimension of the source, indexed together with those of other such slots.
    Together(usize, Vec<usize>),
}

/// An index made from wishes, and what it means by definition.
///
/// Tensors of positions are all of shape `[2]`, so the result has one dimension for all of them: where the first stands
/// if they are neighbours, in front if not.
fn index_of(engine: &Engine, dims: &[usize], wishes: &[(u8, u8, u8)]) -> (Vec<IndexItem>, Model) {
    let mut items = Vec::new();
    let mut slots = Vec::new();
    let mut fixed: Vec<(usize, usize)> = Vec::new();
    let mut source = 0;
    let all = |dim: usize| Slot::Range(dim, (0..dims[dim]).collect());
    for &(what, p, q) in wishes {
        let what = what % 5;
        if what == 4 {
            items.push(IndexItem::NewAxis);
            slots.push(Slot::New);
            continue;
        }
        let Some(&size) = dims.get(source) else { continue };
        let position = |p: u8| i64::from(p) % (2 * size as i64) - size as i64;
        let resolved = |i: i64| (i + size as i64) as usize % size;
        match what {
            0 => {
                items.push(IndexItem::At(position(p)));
                fixed.push((source, resolved(position(p))));
            }
            1 | 2 => {
                let (start, stop) = (i64::from(p % 12) - 6, i64::from(q % 12) - 6);
                let start = (p < 200).then_some(start);
                let stop = (q < 200).then_some(stop);
                let step = [1, 2, -1, -3][(p ^ q) as usize % 4];
                items.push(IndexItem::Slice { start, stop, step: Some(step) });
                slots.push(Slot::Range(source, python_slice(start, stop, step, size)));
            }
            _ => {
                let pair = [position(p), position(q)];
                items.push(IndexItem::Tensor(engine.from_vec(pair.to_vec(), &[2]).unwrap()));
                slots.push(Slot::Together(source, pair.into_iter().map(resolved).collect()));
            }
        }
        source += 1;
    }
    slots.extend((source..dims.len()).map(all));
    (items, model_of(dims, &slots, &fixed))
}

fn model_of(dims: &[usize], slots: &[Slot], fixed: &[(usize, usize)]) -> Model {
    let together: Vec<usize> = (0..slots.len()).filter(|&i| matches!(slots[i], Slot::Together(..))).collect();
    let neighbours = together.windows(2).all(|w| w[1] == w[0] + 1);
    let at = if neighbours { together.first().copied().unwrap_or(0) } else { 0 };
    // The result's dimensions in order: a slot each, and one for all that go together.
    let mut axes: Vec<Option<usize>> = (0..slots.len()).filter(|i| !together.contains(i)).map(Some).collect();
    if !together.is_empty() {
        axes.insert(at, None);
    }
    let size = |axis: &Option<usize>| match axis.map(|i| &slots[i]) {
        Some(Slot::Range(_, positions)) => positions.len(),
        Some(_) => 1,
        None => 2,
    };
    let out: Vec<usize> = axes.iter().map(size).collect();
    let place = |flat: usize| {
        let mut rest = flat;
        let mut source: Vec<usize> = vec![0; dims.len()];
        for &(dim, i) in fixed {
            source[dim] = i;
        }
        for (axis, &size) in axes.iter().zip(&out).rev() {
            let i = rest % size;
            rest /= size;
            match axis {
                Some(slot) => {
                    if let Slot::Range(dim, positions) = &slots[*slot] {
                        source[*dim] = positions[i];
                    }
                }
                None => {
                    for &slot in &together {
                        if let Slot::Together(dim, positions) = &slots[slot] {
                            source[*dim] = positions[i];
                        }
                    }
                }
            }
        }
        source.iter().zip(dims).fold(0, |acc, (&i, &size)| acc * size + i)
    };
    let places = (0..out.iter().product()).map(place).collect();
    Model { dims: out, places }
}
