//! Products of matrices and vectors, and distances.

use pellucid_nn::Value;
use pellucid_tensor::{DType, Scalar, Tensor, shape};

use super::functional::floats;
use super::{Call, OpDef, bad_shape, op, tensor};
use crate::error::Result;

type Built = pellucid_tensor::Result<Tensor>;

pub(super) const OPS: &[OpDef] = &[
    op("matmul", &["input", "other"], |c| product(c, "other", None)),
    op("rmatmul", &["input", "other"], |c| tensor(c.tensor("other")?.matmul(&c.tensor("input")?))),
    op("mm", &["input", "mat2|other"], |c| product(c, "mat2", Some((2, 2)))),
    op("bmm", &["input", "mat2|other"], |c| product(c, "mat2", Some((3, 3)))),
    op("mv", &["input", "vec|other"], |c| product(c, "vec", Some((2, 1)))),
    op("dot", &["input", "tensor|other"], |c| product(c, "tensor", Some((1, 1)))),
    op("vdot", &["input", "other"], |c| product(c, "other", Some((1, 1)))),
    op("inner", &["input", "other"], inner),
    op("outer", &["input", "vec2|other"], outer),
    op("ger", &["input", "vec2|other"], outer),
    op("addmm", &["input", "mat1", "mat2", "beta?", "alpha?"], |c| added(c, "mat1", "mat2", 2)),
    op("addmv", &["input", "mat", "vec", "beta?", "alpha?"], |c| added(c, "mat", "vec", 2)),
    op("addbmm", &["input", "batch1", "batch2", "beta?", "alpha?"], |c| {
        let (a, b) = (c.tensor("batch1")?, c.tensor("batch2")?);
        if a.rank() != 3 || b.rank() != 3 || a.dims()[0] != b.dims()[0] {
            return Err(c.bad("batch1", "two batches of matrices"));
        }
        combined(c, &a.matmul(&b)?.sum(&[0], false)?)
    }),
    op("baddbmm", &["input", "batch1", "batch2", "beta?", "alpha?"], |c| added(c, "batch1", "batch2", 3)),
    op("matrix_power", &["input", "n"], |c| {
        let (x, n) = (c.tensor("input")?, c.int("n")?);
        if x.rank() < 2 || x.dims()[x.rank() - 1] != x.dims()[x.rank() - 2] || !(1..=1 << 20).contains(&n) {
            return Err(c.bad("n", "a power of 1 to 2^20 of a square matrix"));
        }
        let (mut square, mut out, mut left) = (x, None::<Tensor>, n);
        while left > 0 {
            if left % 2 == 1 {
                out = Some(match out {
                    Some(out) => out.matmul(&square)?,
                    None => square.clone(),
                });
            }
            left /= 2;
            square = if left > 0 { square.matmul(&square)? } else { square };
        }
        out.map(Value::tensor).ok_or_else(|| c.bad("n", "a power above zero"))
    }),
    op("tensordot", &["input|a", "other|b", "dims?"], tensordot),
    op("kron", &["input", "other"], kron),
    op("cross", &["input", "other", "dim?"], cross),
    op("cosine_similarity", &["x1|input", "x2|other", "dim?", "eps?"], |c| {
        tensor(cosine(&c.tensor("x1")?, &c.tensor("x2")?, c.int_or("dim", 1)?, c.float_or("eps", 1e-8)?))
    }),
    op("pairwise_distance", &["x1|input", "x2|other", "p?", "eps?", "keepdim?"], |c| {
        let apart = c.tensor("x1")?.sub(&c.tensor("x2")?)?.add_scalar(c.float_or("eps", 1e-6)?)?;
        tensor(apart.norm(c.float_or("p", 2.0)?, &[-1], c.flag_or("keepdim", false)?))
    }),
    op("dist", &["input", "other", "p?"], |c| {
        let apart = floats(c)?.sub(&c.tensor("other")?)?;
        tensor(apart.norm(c.float_or("p", 2.0)?, &[], false))
    }),
    op("cdist", &["x1|input", "x2|other", "p?"], |c| {
        let (a, b) = (c.tensor("x1")?, c.tensor("x2")?);
        if a.rank() < 2 || b.rank() < 2 || a.dims()[a.rank() - 1] != b.dims()[b.rank() - 1] {
            return Err(c.bad("x2", "rows as long as those of `x1`"));
        }
        let (a, b) = (a.unsqueeze(-2)?, b.unsqueeze(-3)?);
        c.check_size("x1", &shape::broadcast("cdist", a.dims(), b.dims())?)?;
        tensor(a.sub(&b)?.norm(c.float_or("p", 2.0)?, &[-1], false))
    }),
    op("cov", &["input", "correction?"], |c| {
        Ok(Value::tensor(covariance(c, c.float_or("correction", 1.0)?)?))
    }),
    op("corrcoef", &["input"], |c| {
        let cov = covariance(c, 1.0)?;
        if cov.rank() == 0 {
            return tensor(cov.div(&cov));
        }
        let scale = cov.diagonal(0, 0, 1)?.sqrt()?;
        tensor(
            cov.div(&scale.unsqueeze(1)?)?
                .div(&scale)?
                .clamp(Some(Scalar::Float(-1.0)), Some(Scalar::Float(1.0))),
        )
    }),
];

/// `input @ other`, of operands whose numbers of dimensions are given.
fn product(c: &Call<'_>, other: &str, ranks: Option<(usize, usize)>) -> Result<Value> {
    let (a, b) = (c.tensor("input")?, c.tensor(other)?);
    if let Some((x, y)) = ranks {
        if a.rank() != x {
            return Err(c.bad("input", &format!("a tensor of {x} dimensions")));
        }
        if b.rank() != y || (x == 3 && a.dims()[0] != b.dims()[0]) {
            return Err(c.bad(other, &format!("a tensor of {y} dimensions that fits {:?}", a.dims())));
        }
    }
    tensor(a.matmul(&b))
}

/// `beta * input + alpha * (a @ b)`.
fn added(c: &Call<'_>, a: &str, b: &str, rank: usize) -> Result<Value> {
    let (x, y) = (c.tensor(a)?, c.tensor(b)?);
    if x.rank() != rank || (rank == 3 && (y.rank() != 3 || x.dims()[0] != y.dims()[0])) {
        return Err(c.bad(a, &format!("a tensor of {rank} dimensions")));
    }
    combined(c, &x.matmul(&y)?)
}

fn combined(c: &Call<'_>, product: &Tensor) -> Result<Value> {
    let mut base = c.tensor("input")?;
    if c.has("beta") {
        let beta = c.scalar("beta")?;
        // Nothing of the input is taken over then, not even NaN.
        base =
            if beta.to_f64() == 0.0 { c.engine.zeros(&[], product.dtype()) } else { base.mul_scalar(beta)? };
    }
    let product = if c.has("alpha") { product.mul_scalar(c.scalar("alpha")?)? } else { product.clone() };
    tensor(base.add(&product))
}

fn inner(c: &Call<'_>) -> Result<Value> {
    let (a, b) = (c.tensor("input")?, c.tensor("other")?);
    if a.rank() == 0 || b.rank() == 0 {
        return tensor(a.mul(&b));
    }
    if a.dims()[a.rank() - 1] != b.dims()[b.rank() - 1] {
        return Err(c.bad("other", &format!("a last dimension as that of {:?}", a.dims())));
    }
    contract(c, &a, &b, &[a.rank() - 1], &[b.rank() - 1])
}

fn outer(c: &Call<'_>) -> Result<Value> {
    let (a, b) = (c.tensor("input")?, c.tensor("vec2")?);
    if a.rank() != 1 || b.rank() != 1 {
        return Err(c.bad("vec2", "two tensors of one dimension"));
    }
    c.check_size("vec2", &[a.numel(), b.numel()])?;
    tensor(a.unsqueeze(1)?.mul(&b))
}

fn tensordot(c: &Call<'_>) -> Result<Value> {
    let (a, b) = (c.tensor("input")?, c.tensor("other")?);
    let nested = |v: &Value| matches!(v, Value::List(_) | Value::Tuple(_));
    let (left, right): (Vec<i64>, Vec<i64>) = match c.get("dims") {
        Value::List(_) | Value::Tuple(_) => {
            let pair = super::python::elements(c, "dims")?;
            let [x, y] = pair.as_slice() else { return Err(c.bad("dims", "two lists of dimensions")) };
            let ints = |v: &Value| -> Result<Vec<i64>> {
                let all = if nested(v) { super::python::iterate(c, "dims", v)? } else { vec![v.clone()] };
                all.iter()
                    .map(|v| super::call::integer(v)?.ok_or_else(|| c.bad("dims", "two lists of dimensions")))
                    .collect()
            };
            (ints(x)?, ints(y)?)
        }
        _ => {
            let n = c.int_or("dims", 2)?;
            if n < 0 || n as usize > a.rank().min(b.rank()) {
                return Err(c.bad("dims", "a number of dimensions that both have"));
            }
            ((a.rank() as i64 - n..a.rank() as i64).collect(), (0..n).collect())
        }
    };
    let axes = |all: &[i64], rank: usize| -> Result<Vec<usize>> {
        all.iter().map(|&d| Ok(shape::axis(d, rank)?)).collect()
    };
    let (left, right) = (axes(&left, a.rank())?, axes(&right, b.rank())?);
    let distinct =
        |all: &[usize], rank: usize| all.iter().enumerate().all(|(i, d)| *d < rank && !all[..i].contains(d));
    let fits = left.len() == right.len()
        && distinct(&left, a.rank())
        && distinct(&right, b.rank())
        && left.iter().zip(&right).all(|(&x, &y)| a.dims()[x] == b.dims()[y]);
    if !fits {
        return Err(c.bad("dims", "dimensions of equal sizes, each named once"));
    }
    contract(c, &a, &b, &left, &right)
}

/// The sum over pairs of dimensions, as one product of matrices.
fn contract(c: &Call<'_>, a: &Tensor, b: &Tensor, left: &[usize], right: &[usize]) -> Result<Value> {
    let free =
        |t: &Tensor, gone: &[usize]| -> Vec<usize> { (0..t.rank()).filter(|d| !gone.contains(d)).collect() };
    let (kept_a, kept_b) = (free(a, left), free(b, right));
    let size = |t: &Tensor, dims: &[usize]| dims.iter().map(|&d| t.dims()[d]).product::<usize>() as i64;
    let order = |x: &[usize], y: &[usize]| x.iter().chain(y).map(|&d| d as i64).collect::<Vec<_>>();
    let rows = a.permute(&order(&kept_a, left))?.reshape(&[size(a, &kept_a), size(a, left)])?;
    let columns = b.permute(&order(right, &kept_b))?.reshape(&[size(b, right), size(b, &kept_b)])?;
    let dims: Vec<i64> = kept_a
        .iter()
        .map(|&d| a.dims()[d])
        .chain(kept_b.iter().map(|&d| b.dims()[d]))
        .map(|d| d as i64)
        .collect();
    c.dims("other", &dims)?;
    tensor(rows.matmul(&columns)?.reshape(&dims))
}

fn kron(c: &Call<'_>) -> Result<Value> {
    let (mut a, mut b) = (c.tensor("input")?, c.tensor("other")?);
    while a.rank() < b.rank() {
        a = a.unsqueeze(0)?;
    }
    while b.rank() < a.rank() {
        b = b.unsqueeze(0)?;
    }
    let (mut left, mut right, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for (&x, &y) in a.dims().iter().zip(b.dims()) {
        left.extend([x as i64, 1]);
        right.extend([1, y as i64]);
        whole.push((x as i64).saturating_mul(y as i64));
    }
    c.dims("other", &whole)?;
    if left.len() > super::call::MOST_DIMS {
        return Err(bad_shape("kron", "fewer dimensions", a.dims()));
    }
    tensor(a.reshape(&left)?.mul(&b.reshape(&right)?)?.reshape(&whole))
}

fn cross(c: &Call<'_>) -> Result<Value> {
    let (a, b) = (c.tensor("input")?, c.tensor("other")?);
    let dims = shape::broadcast("cross", a.dims(), b.dims())?;
    let wide: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let (a, b) = (a.expand(&wide)?, b.expand(&wide)?);
    let dim = match c.optional_int("dim")? {
        Some(dim) => dim,
        None => dims.iter().position(|&d| d == 3).map_or(-1, |d| d as i64),
    };
    if dims.get(shape::axis(dim, dims.len())?) != Some(&3) {
        return Err(c.bad("dim", "a dimension of size three"));
    }
    let (next, after) =
        (c.engine.from_vec(vec![1i64, 2, 0], &[3])?, c.engine.from_vec(vec![2i64, 0, 1], &[3])?);
    let pick = |t: &Tensor, i: &Tensor| t.index_select(dim, i);
    let forth = pick(&a, &next)?.mul(&pick(&b, &after)?)?;
    tensor(forth.sub(&pick(&a, &after)?.mul(&pick(&b, &next)?)?))
}

/// `a . b / (|a| |b|)`, each length at least `eps`.
pub(super) fn cosine(a: &Tensor, b: &Tensor, dim: i64, eps: f64) -> Built {
    let float = |t: &Tensor| if t.dtype().is_float() { t.clone() } else { t.cast(DType::F32) };
    let dims = shape::broadcast("cosine_similarity", a.dims(), b.dims())?;
    let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let (a, b) = (float(a).expand(&dims)?, float(b).expand(&dims)?);
    let unit = |t: &Tensor| t.div(&t.norm(2.0, &[dim], true)?.clamp(Some(Scalar::Float(eps)), None)?);
    unit(&a)?.mul(&unit(&b)?)?.sum(&[dim], false)
}

fn covariance(c: &Call<'_>, correction: f64) -> Result<Tensor> {
    let x = floats(c)?;
    if x.rank() > 2 {
        return Err(bad_shape("cov", "at most two dimensions: variables and observations", x.dims()));
    }
    let rows = if x.rank() == 2 { x.clone() } else { x.reshape(&[1, -1])? };
    let n = rows.dims()[1] as f64;
    let centred = rows.sub(&rows.mean(&[1], true)?)?;
    let cov = centred.matmul(&centred.transpose(0, 1)?)?.div_scalar((n - correction).max(0.0))?;
    Ok(if x.rank() == 2 { cov } else { cov.reshape(&[])? })
}
