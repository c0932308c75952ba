//! The words of the golden programs, as calls of the builder.

use pellucid_tensor::{
    Attention, BinaryOp, Convolution, DType, Engine, IndexItem, Interpolation, Reduction, Result,
    RotaryPairs, Scalar, ScanOp, Tensor, UnaryOp,
};
use serde_json::Value as Json;

const UNARY: &[UnaryOp] = &[
    UnaryOp::Neg,
    UnaryOp::Abs,
    UnaryOp::Sign,
    UnaryOp::Exp,
    UnaryOp::Expm1,
    UnaryOp::Log,
    UnaryOp::Log1p,
    UnaryOp::Sqrt,
    UnaryOp::Rsqrt,
    UnaryOp::Reciprocal,
    UnaryOp::Sin,
    UnaryOp::Cos,
    UnaryOp::Tan,
    UnaryOp::Tanh,
    UnaryOp::Erf,
    UnaryOp::Sigmoid,
    UnaryOp::Relu,
    UnaryOp::Silu,
    UnaryOp::GeluErf,
    UnaryOp::GeluTanh,
    UnaryOp::Floor,
    UnaryOp::Ceil,
    UnaryOp::Round,
    UnaryOp::Trunc,
    UnaryOp::BitNot,
    UnaryOp::LogicalNot,
    UnaryOp::IsNan,
    UnaryOp::IsInf,
];

const BINARY: &[BinaryOp] = &[
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::FloorDiv,
    BinaryOp::Remainder,
    BinaryOp::Fmod,
    BinaryOp::Pow,
    BinaryOp::Maximum,
    BinaryOp::Minimum,
    BinaryOp::Atan2,
    BinaryOp::BitAnd,
    BinaryOp::BitOr,
    BinaryOp::BitXor,
    BinaryOp::ShiftLeft,
    BinaryOp::ShiftRight,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::Lt,
    BinaryOp::Le,
    BinaryOp::Gt,
    BinaryOp::Ge,
];

fn text(x: &Json) -> &str {
    x.as_str().expect("text")
}

fn flag(x: &Json) -> bool {
    x.as_bool().expect("a truth value")
}

fn int(x: &Json) -> i64 {
    x.as_i64().expect("an integer")
}

fn size(x: &Json) -> usize {
    int(x).try_into().expect("a size")
}

fn float(x: &Json) -> f64 {
    x.as_f64().unwrap_or_else(|| text(x).parse().expect("a number"))
}

fn dtype(x: &Json) -> DType {
    DType::parse(text(x)).expect("a type")
}

fn scalar(x: &Json) -> Scalar {
    match x {
        Json::Bool(b) => Scalar::Bool(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| Scalar::Float(float(x)), Scalar::Int),
        _ => Scalar::Float(float(x)),
    }
}

fn option<T>(x: &Json, f: impl Fn(&Json) -> T) -> Option<T> {
    (!x.is_null()).then(|| f(x))
}

fn list<T>(x: &Json, f: impl Fn(&Json) -> T) -> Vec<T> {
    x.as_array().expect("a list").iter().map(f).collect()
}

fn ints(x: &Json) -> Vec<i64> {
    list(x, int)
}

fn items(x: &Json, tensors: &[Tensor]) -> Vec<IndexItem> {
    list(x, |item| match item {
        Json::Null => IndexItem::NewAxis,
        Json::Number(_) => IndexItem::At(int(item)),
        Json::String(s) if s == "..." => IndexItem::Ellipsis,
        Json::String(s) => IndexItem::Tensor(tensors[s[1..].parse::<usize>().expect("a number")].clone()),
        bounds => {
            let bounds = list(bounds, |b| option(b, int));
            let (start, stop, step) = match bounds[..] {
                [stop] => (None, stop, None),
                [start, stop] => (start, stop, None),
                _ => (bounds[0], bounds[1], bounds[2]),
            };
            IndexItem::Slice { start, stop, step }
        }
    })
}

fn attention(a: &[Json]) -> Attention {
    Attention {
        scale: float(&a[0]) as f32,
        causal: flag(&a[1]),
        window: option(&a[2], size),
        softcap: option(&a[3], |x| float(x) as f32),
    }
}

fn convolution<const N: usize>(a: &[Json]) -> Convolution<N> {
    let each = |x: &Json| list(x, size).try_into().expect("one for each dimension");
    Convolution { stride: each(&a[0]), padding: each(&a[1]), dilation: each(&a[2]), groups: size(&a[3]) }
}

fn interpolation(a: &[Json]) -> Interpolation {
    match text(&a[1]) {
        "nearest" => Interpolation::Nearest,
        _ => Interpolation::Linear { align_corners: flag(&a[2]) },
    }
}

fn rotary(x: &Json) -> RotaryPairs {
    if text(x) == "halves" { RotaryPairs::Halves } else { RotaryPairs::Adjacent }
}

/// The results of an operation with operands `o` and arguments `a`.
pub(crate) fn apply(engine: &Engine, name: &str, o: &[Tensor], a: &[Json]) -> Result<Vec<Tensor>> {
    if let Some(op) = UNARY.iter().find(|op| op.name() == name) {
        return Ok(vec![o[0].unary(*op)?]);
    }
    if let Some(op) = BINARY.iter().find(|op| op.name() == name) {
        return Ok(vec![match a {
            [] => o[0].binary(*op, &o[1])?,
            a => o[0].binary_scalar(*op, scalar(&a[0]))?,
        }]);
    }
    if let Some(op) = BINARY.iter().find(|op| name.strip_prefix("scalar_") == Some(op.name())) {
        return Ok(vec![o[0].scalar_binary(*op, scalar(&a[0]))?]);
    }
    let pair = |(a, b): (Tensor, Tensor)| vec![a, b];
    if let Some(results) = reduction(name, o, a)? {
        return Ok(results);
    }
    if let Some(results) = rearrangement(name, o, a)? {
        return Ok(results);
    }
    Ok(match name {
        "arange" => vec![engine.arange(scalar(&a[0]), scalar(&a[1]), size(&a[2]), dtype(&a[3]))],
        "full" => vec![engine.full(&list(&a[0], size), scalar(&a[1]), dtype(&a[2]))],
        "logical_and" => vec![o[0].logical(BinaryOp::BitAnd, &o[1])?],
        "logical_or" => vec![o[0].logical(BinaryOp::BitOr, &o[1])?],
        "logical_xor" => vec![o[0].logical(BinaryOp::BitXor, &o[1])?],
        "isfinite" => vec![o[0].isfinite()?],
        "where" => vec![o[0].where_(&o[1], &o[2])?],
        "masked_fill" => vec![o[0].masked_fill(&o[1], scalar(&a[0]))?],
        "clamp" => vec![o[0].clamp(option(&a[0], scalar), option(&a[1], scalar))?],
        "softplus" => vec![o[0].softplus(float(&a[0]), float(&a[1]))?],
        "cast" => vec![o[0].cast(dtype(&a[0]))],
        "max" | "min" => pair(o[0].extreme(name == "max", int(&a[0]), flag(&a[1]))?),
        "argsort" => vec![o[0].argsort(int(&a[0]), flag(&a[1]))?],
        "sort" => pair(o[0].sort(int(&a[0]), flag(&a[1]))?),
        "topk" => pair(o[0].topk(size(&a[0]), int(&a[1]), flag(&a[2]))?),
        "softmax" => vec![o[0].softmax(int(&a[0]))?],
        "log_softmax" => vec![o[0].log_softmax(int(&a[0]))?],
        "layer_norm" => {
            let weight = flag(&a[1]).then(|| &o[1]);
            let bias = flag(&a[2]).then(|| &o[o.len() - 1]);
            vec![o[0].layer_norm(weight, bias, float(&a[0]))?]
        }
        "rms_norm" => vec![o[0].rms_norm(&o[1], float(&a[0]), float(&a[1]) as f32, flag(&a[2]))?],
        "cross_entropy" => {
            let reduction = match text(&a[1]) {
                "none" => Reduction::None,
                "mean" => Reduction::Mean,
                _ => Reduction::Sum,
            };
            vec![o[0].cross_entropy(&o[1], int(&a[0]), reduction)?]
        }
        "matmul" => vec![o[0].matmul(&o[1])?],
        "linear" => vec![o[0].linear(&o[1], o.get(2))?],
        "attention" => vec![o[0].attention(&o[1], &o[2], o.get(3), attention(a))?],
        "attention_pattern" => vec![o[0].attention_pattern(&o[1], o.get(2), attention(a))?],
        "attend" => vec![o[0].attend(&o[1])?],
        "conv1d" => vec![o[0].conv1d(&o[1], o.get(2), convolution(a))?],
        "conv2d" => vec![o[0].conv2d(&o[1], o.get(2), convolution(a))?],
        "resize" => vec![o[0].resize(&list(&a[0], size), interpolation(a))?],
        "rotary" => vec![o[0].rotary(&o[1], &o[2], rotary(&a[0]))?],
        "index" => vec![o[0].index(&items(&a[0], &o[1..]))?],
        "index_assign" => vec![o[0].index_assign(&items(&a[0], &o[2..]), &o[1])?],
        "index_add" => vec![o[0].index_add(&items(&a[0], &o[2..]), &o[1])?],
        "embed" => vec![o[0].embed(&o[1])?],
        "index_select" => vec![o[0].index_select(int(&a[0]), &o[1])?],
        "gather" => vec![o[0].gather(int(&a[0]), &o[1])?],
        "scatter" => vec![o[0].scatter(int(&a[0]), &o[1], &o[2], flag(&a[1]))?],
        "nonzero" => vec![o[0].nonzero()?],
        _ => panic!("`{name}` is not in the vocabulary"),
    })
}

fn reduction(name: &str, o: &[Tensor], a: &[Json]) -> Result<Option<Vec<Tensor>>> {
    use pellucid_tensor::ReduceOp as R;
    let simple = |op| o[0].reduce(op, &ints(&a[0]), flag(&a[1]));
    Ok(Some(vec![match name {
        "sum" => o[0].sum(&ints(&a[0]), flag(&a[1]))?,
        "prod" => simple(R::Prod)?,
        "amax" => simple(R::Max)?,
        "amin" => simple(R::Min)?,
        "any" => simple(R::Any)?,
        "all" => simple(R::All)?,
        "mean" => o[0].mean(&ints(&a[0]), flag(&a[1]))?,
        "var" => o[0].var(&ints(&a[0]), float(&a[1]), flag(&a[2]))?,
        "std" => o[0].std(&ints(&a[0]), float(&a[1]), flag(&a[2]))?,
        "norm" => o[0].norm(float(&a[0]), &ints(&a[1]), flag(&a[2]))?,
        "logsumexp" => o[0].logsumexp(&ints(&a[0]), flag(&a[1]))?,
        "argmax" | "argmin" => o[0].arg_extreme(name == "argmax", option(&a[0], int), flag(&a[1]))?,
        "cumsum" => o[0].cumsum(int(&a[0]))?,
        "cumprod" => o[0].scan(ScanOp::Prod, int(&a[0]))?,
        "cummax" => o[0].scan(ScanOp::Max, int(&a[0]))?,
        "cummin" => o[0].scan(ScanOp::Min, int(&a[0]))?,
        _ => return Ok(None),
    }]))
}

fn rearrangement(name: &str, o: &[Tensor], a: &[Json]) -> Result<Option<Vec<Tensor>>> {
    Ok(Some(match name {
        "reshape" => vec![o[0].reshape(&ints(&a[0]))?],
        "permute" => vec![o[0].permute(&ints(&a[0]))?],
        "transpose" => vec![o[0].transpose(int(&a[0]), int(&a[1]))?],
        "expand" => vec![o[0].expand(&ints(&a[0]))?],
        "squeeze" => vec![o[0].squeeze(option(&a[0], int))?],
        "unsqueeze" => vec![o[0].unsqueeze(int(&a[0]))?],
        "flatten" => vec![o[0].flatten(int(&a[0]), int(&a[1]))?],
        "narrow" => vec![o[0].narrow(int(&a[0]), int(&a[1]), size(&a[2]))?],
        "split" => o[0].split(size(&a[0]), int(&a[1]))?,
        "split_sizes" => o[0].split_sizes(&list(&a[0], size), int(&a[1]))?,
        "chunk" => o[0].chunk(size(&a[0]), int(&a[1]))?,
        "flip" => vec![o[0].flip(&ints(&a[0]))?],
        "cat" => vec![Tensor::cat(o, int(&a[0]))?],
        "stack" => vec![Tensor::stack(o, int(&a[0]))?],
        "repeat" => vec![o[0].repeat(&list(&a[0], size))?],
        "repeat_interleave" => vec![o[0].repeat_interleave(size(&a[0]), int(&a[1]))?],
        "tril" | "triu" => vec![o[0].triangle(int(&a[0]), name == "triu")?],
        "diagonal" => vec![o[0].diagonal(int(&a[0]), int(&a[1]), int(&a[2]))?],
        _ => return Ok(None),
    }))
}
