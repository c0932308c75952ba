//! Rearrangements by patterns, as einops' `rearrange`, `reduce` and `repeat`.

use pellucid_nn::{Value, Var};
use pellucid_tensor::{ReduceOp, Tensor, ViewStep};
use rustc_hash::FxHashMap;

use super::{Call, OpDef, op, tensor};
use crate::error::{Result, RunError, RunErrorKind};

pub(super) const OPS: &[OpDef] = &[
    op("rearrange", &["input|tensor", "pattern", "**axes_lengths"], rearrange),
    op("einops.rearrange", &["input|tensor", "pattern", "**axes_lengths"], rearrange),
    op("einops.reduce", &["input|tensor", "pattern", "reduction", "**axes_lengths"], reduce),
    op("einops.repeat", &["input|tensor", "pattern", "**axes_lengths"], repeat),
];

/// One dimension of a side of a pattern: the names it is composed of; `...` stands alone. Ones are left out of groups.
type Side = Vec<Vec<String>>;

fn fault(pattern: &str, expected: &str) -> RunError {
    RunErrorKind::Argument {
        op: "einops".into(),
        argument: "pattern".into(),
        expected: expected.into(),
        got: format!("{pattern:?}"),
    }
    .into()
}

fn parse_side(pattern: &str, side: &str) -> Result<Side> {
    let spaced =
        side.replace('(', " ( ").replace(')', " ) ").replace("...", " ... ").replace('\u{2026}', " ... ");
    let mut out = Side::new();
    let mut group: Option<Vec<String>> = None;
    for word in spaced.split_whitespace() {
        match (word, &mut group) {
            ("(", None) => group = Some(Vec::new()),
            (")", Some(_)) => out.extend(group.take()),
            ("(" | ")", _) => return Err(fault(pattern, "brackets that fit, one level deep")),
            ("1", None) => out.push(Vec::new()),
            ("1", Some(_)) => {}
            (name, group) => {
                if name != "..." && !name.chars().all(|ch| ch.is_alphanumeric() || ch == '_') {
                    return Err(fault(pattern, "names of letters, digits and underscores"));
                }
                match group {
                    Some(names) => names.push(name.to_owned()),
                    None => out.push(vec![name.to_owned()]),
                }
            }
        }
    }
    if group.is_some() {
        return Err(fault(pattern, "brackets that fit, one level deep"));
    }
    Ok(out)
}

/// A pattern applied to the sizes of a tensor.
struct Plan {
    /// Every name of the left side, in order, with its size.
    left: Vec<String>,
    /// Sizes of all names, those only on the right included.
    sizes: FxHashMap<String, usize>,
    right: Side,
}

fn plan(c: &Call<'_>, pattern: &str, dims: &[usize]) -> Result<Plan> {
    let (left, right) = pattern.split_once("->").ok_or_else(|| fault(pattern, "a pattern with `->`"))?;
    let (left, right) = (parse_side(pattern, left)?, parse_side(pattern, right)?);
    // `...` becomes names of its own, which no user can write.
    let fixed = left.iter().filter(|g| !g.iter().any(|n| n == "...")).count();
    let has_dots = left.len() > fixed;
    if left.len() - fixed > 1 || fixed > dims.len() || (!has_dots && fixed != dims.len()) {
        return Err(fault(pattern, &format!("names for the {} dimensions of the tensor", dims.len())));
    }
    let dots: Vec<String> = (0..dims.len() - fixed).map(|i| format!(".{i}")).collect();
    let fill = |side: &Side, split: bool| -> Side {
        let mut out = Side::new();
        for group in side {
            if split && group.as_slice() == ["..."] {
                out.extend(dots.iter().map(|d| vec![d.clone()]));
                continue;
            }
            let mut names = Vec::new();
            for name in group {
                if name == "..." {
                    names.extend(dots.iter().cloned());
                } else {
                    names.push(name.clone());
                }
            }
            out.push(names);
        }
        out
    };
    if left.iter().any(|g| g.len() > 1 && g.iter().any(|n| n == "...")) {
        return Err(fault(pattern, "`...` outside brackets on the left"));
    }
    if !has_dots && right.iter().flatten().any(|n| n == "...") {
        return Err(fault(pattern, "`...` on the left too"));
    }
    let (left, right) = (fill(&left, true), fill(&right, true));
    let mut sizes: FxHashMap<String, usize> = FxHashMap::default();
    for (name, value) in c.named() {
        let size = super::call::integer(value)?.and_then(|i| usize::try_from(i).ok());
        let size = size.ok_or_else(|| super::bad("einops", name, "a size", value))?;
        sizes.insert(name.clone(), size);
    }
    for (group, &size) in left.iter().zip(dims) {
        let mut known = 1usize;
        let mut open = None;
        for name in group {
            match sizes.get(name) {
                Some(&s) => known = known.saturating_mul(s),
                None if open.is_none() => open = Some(name),
                None => return Err(fault(pattern, "at most one size to infer in each group")),
            }
        }
        match open {
            Some(name) if known > 0 && size.is_multiple_of(known) => {
                _ = sizes.insert(name.clone(), size / known)
            }
            None if known == size => {}
            _ => return Err(fault(pattern, &format!("sizes whose product is {size}, the dimension's"))),
        }
    }
    let left: Vec<String> = left.into_iter().flatten().collect();
    let all: Vec<&String> = right.iter().flatten().collect();
    let distinct = |names: &[&String]| names.iter().enumerate().all(|(i, n)| !names[..i].contains(n));
    if !distinct(&left.iter().collect::<Vec<_>>()) || !distinct(&all) {
        return Err(fault(pattern, "each name at most once on each side"));
    }
    Ok(Plan { left, sizes, right })
}

impl Plan {
    fn size(&self, pattern: &str, name: &str) -> Result<usize> {
        self.sizes.get(name).copied().ok_or_else(|| fault(pattern, &format!("a size for `{name}`")))
    }

    /// The sizes of the result.
    fn composed(&self, c: &Call<'_>, pattern: &str) -> Result<Vec<i64>> {
        let mut out = Vec::new();
        for group in &self.right {
            let mut size = 1usize;
            for name in group {
                size = size.saturating_mul(self.size(pattern, name)?);
            }
            out.push(i64::try_from(size).unwrap_or(i64::MAX));
        }
        c.dims("pattern", &out)?;
        Ok(out)
    }

    /// The sizes of the names in the order of the left side.
    fn apart(&self, pattern: &str) -> Result<Vec<i64>> {
        self.left.iter().map(|n| Ok(self.size(pattern, n)? as i64)).collect()
    }

    /// The names of the right side that the left one has.
    fn kept(&self) -> impl Iterator<Item = &String> {
        self.right.iter().flatten().filter(|n| self.left.contains(n))
    }

    fn place(&self, name: &str) -> Option<i64> {
        self.left.iter().position(|n| n == name).map(|i| i as i64)
    }
}

/// The tensor to rearrange; a list of tensors is stacked.
fn input(c: &Call<'_>) -> Result<Var> {
    match c.get("input") {
        Value::Tensor(var) => Ok(var.clone()),
        Value::List(_) | Value::Tuple(_) => {
            let all = c.tensors("input")?;
            if all.is_empty() {
                return Err(c.bad("input", "at least one tensor"));
            }
            Ok(Var::new(Tensor::stack(&all, 0)?))
        }
        _ => Err(c.bad("input", "a tensor, or a list of tensors")),
    }
}

fn rearrange(c: &Call<'_>) -> Result<Value> {
    let (x, pattern) = (input(c)?, c.text("pattern")?);
    let plan = plan(c, &pattern, x.get()?.dims())?;
    let dims = plan.composed(c, &pattern)?;
    let order: Vec<i64> = plan.kept().filter_map(|n| plan.place(n)).collect();
    let names = plan.right.iter().flatten().count();
    if order.len() != plan.left.len() || names != plan.left.len() {
        return Err(fault(&pattern, "the same names on both sides"));
    }
    c.dims("pattern", &plan.apart(&pattern)?)?;
    super::var(x.reshape(&plan.apart(&pattern)?)?.permute(&order)?.reshape(&dims))
}

fn reduce(c: &Call<'_>) -> Result<Value> {
    let (x, pattern) = (input(c)?.get()?, c.text("pattern")?);
    let plan = plan(c, &pattern, x.dims())?;
    let dims = plan.composed(c, &pattern)?;
    if plan.right.iter().flatten().any(|n| !plan.left.contains(n)) {
        return Err(fault(&pattern, "only names on the right that stand on the left"));
    }
    c.dims("pattern", &plan.apart(&pattern)?)?;
    let apart = x.reshape(&plan.apart(&pattern)?)?;
    let kept: Vec<&String> = plan.kept().collect();
    let gone: Vec<i64> =
        (0..plan.left.len()).filter(|&i| !kept.contains(&&plan.left[i])).map(|i| i as i64).collect();
    let reduced = if gone.is_empty() {
        apart
    } else {
        match &*c.text("reduction")? {
            "sum" => apart.sum(&gone, true)?,
            "mean" => apart.mean(&gone, true)?,
            "max" => apart.reduce(ReduceOp::Max, &gone, true)?,
            "min" => apart.reduce(ReduceOp::Min, &gone, true)?,
            "prod" => apart.reduce(ReduceOp::Prod, &gone, true)?,
            "any" => apart.reduce(ReduceOp::Any, &gone, true)?,
            "all" => apart.reduce(ReduceOp::All, &gone, true)?,
            _ => {
                return Err(
                    c.bad("reduction", "\"sum\", \"mean\", \"max\", \"min\", \"prod\", \"any\" or \"all\"")
                );
            }
        }
    };
    let order: Vec<i64> = kept.iter().filter_map(|n| plan.place(n)).chain(gone.iter().copied()).collect();
    tensor(reduced.permute(&order)?.reshape(&dims))
}

fn repeat(c: &Call<'_>) -> Result<Value> {
    let (x, pattern) = (input(c)?, c.text("pattern")?);
    let plan = plan(c, &pattern, x.get()?.dims())?;
    let dims = plan.composed(c, &pattern)?;
    let order: Vec<i64> = plan.kept().filter_map(|n| plan.place(n)).collect();
    if order.len() != plan.left.len() {
        return Err(fault(&pattern, "every name of the left on the right"));
    }
    let apart = plan.apart(&pattern)?;
    let (mut ones, mut wide) = (Vec::new(), Vec::new());
    for name in plan.right.iter().flatten() {
        let size = plan.size(&pattern, name)?;
        wide.push(size);
        ones.push(if plan.left.contains(name) { size as i64 } else { 1 });
    }
    c.check_size("pattern", &wide)?;
    c.dims("pattern", &apart)?;
    let spread = x.reshape(&apart)?.permute(&order)?.reshape(&ones)?;
    super::var(spread.step(ViewStep::Expand(wide.as_slice().into()))?.reshape(&dims))
}
