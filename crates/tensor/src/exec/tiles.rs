//! Elementwise programs, run tile by tile.
//!
//! A program is one elementwise operation or a tree of them. It runs over tiles that fit the first-level cache, operation by
//! operation, so that every element goes through the same roundings as when each operation runs alone over whole arrays.
//! Operands may repeat along dimensions; they are spread within the tile, never as a whole.

use half::{bf16, f16};
use pellucid_kernels::convert;
use pellucid_kernels::elementwise as kernels;
use smallvec::SmallVec;

use super::function::{Function, reversed};
use super::parts::over_parts;
use crate::dtype::DType;
use crate::value::Value;

/// Elements of a tile: a register of it takes 8 KiB.
const TILE: usize = 2048;

/// Elements that make a task worth handing to another thread, for plain arithmetic.
const GRAIN: usize = 16 * 1024;

/// An operand of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An operand of the program.
    Input(usize),
    /// The result of an earlier step, which no other step uses.
    Step(usize),
}

/// One operation of a program.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) function: Function,
    pub(super) sources: SmallVec<[Source; 3]>,
    /// The type of the result, to which it is rounded.
    pub(super) dtype: DType,
}

/// A tree of elementwise operations; the last step gives the result.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) steps: SmallVec<[Step; 1]>,
}

/// How a program reads an operand.
enum Access<'a> {
    Floats(&'a [f32]),
    Halves(DType, &'a [u8]),
    Flags(&'a [u8]),
    Number(f32),
    Flag(u8),
    /// Runs of equal or successive elements: the block, and sizes and strides from the outermost on.
    Runs(&'a Value, SmallVec<[(usize, isize); 4]>),
    /// The memory the result is written to.
    Result,
}

/// Results of steps within a tile. A step's result takes a register of its own until it is used.
#[derive(Default)]
struct Registers {
    floats: SmallVec<[Vec<f32>; 4]>,
    flags: SmallVec<[Vec<u8>; 2]>,
}

/// An operand within a tile.
enum Floats<'a> {
    Slice(&'a [f32]),
    Number(f32),
}

impl Program {
    /// The result over operands of the shape of the result. An operand whose memory may be `reuse`d is overwritten.
    pub(super) fn run(&self, mut inputs: SmallVec<[Value; 6]>, dims: &[usize], reuse: bool) -> Value {
        let Some(last) = self.steps.last() else { return inputs.swap_remove(0) };
        let dtype = last.dtype;
        let len = crate::shape::numel(dims);
        for input in &mut inputs {
            if !is_walkable(input) {
                *input = input.contiguous();
            }
        }
        let mut reused = None;
        if reuse && dtype == DType::F32 && len > 0 {
            let fits =
                |value: &mut Value| value.dtype == dtype && super::is_whole(value) && value.is_reusable();
            reused = inputs.iter_mut().position(fits);
        }
        let mut out = match reused {
            // The block moves to the result; the operand keeps its place in the list.
            Some(at) => std::mem::replace(&mut inputs[at], Value::alloc(&[], dtype)),
            None => Value::alloc(dims, dtype),
        };
        out.dims = dims.into();
        out.strides = crate::shape::contiguous_strides(dims);
        let accesses: SmallVec<[Access<'_>; 6]> = inputs
            .iter()
            .enumerate()
            .map(|(i, value)| if reused == Some(i) { Access::Result } else { access(value) })
            .collect();
        let grain = if self.steps.iter().any(|s| s.function.is_costly()) { GRAIN / 8 } else { GRAIN };
        match dtype {
            DType::F32 => over_parts(out.slice_mut::<f32>(), grain, 64, &|start, part| {
                self.run_part(&accesses, start, part.len(), &mut Output::Floats(part));
            }),
            DType::Bool => over_parts(out.slice_mut::<u8>(), grain, 64, &|start, part| {
                self.run_part(&accesses, start, part.len(), &mut Output::Flags(part));
            }),
            DType::F16 => over_parts(out.slice_mut::<f16>(), grain, 64, &|start, part| {
                self.run_part(&accesses, start, part.len(), &mut Output::F16(part));
            }),
            _ => over_parts(out.slice_mut::<bf16>(), grain, 64, &|start, part| {
                self.run_part(&accesses, start, part.len(), &mut Output::Bf16(part));
            }),
        }
        out
    }

    fn run_part(&self, accesses: &[Access<'_>], start: usize, len: usize, out: &mut Output<'_>) {
        let mut loads = Registers::default();
        let mut results = Registers::default();
        let n = accesses.len();
        loads.floats.resize_with(n, Vec::new);
        loads.flags.resize_with(n, Vec::new);
        results.floats.resize_with(self.steps.len(), Vec::new);
        results.flags.resize_with(self.steps.len(), Vec::new);
        let mut spare: SmallVec<[Vec<f32>; 4]> = SmallVec::new();
        let mut from = 0;
        while from < len {
            let width = TILE.min(len - from);
            for (i, access) in accesses.iter().enumerate() {
                load(access, start + from, width, &mut loads.floats[i], &mut loads.flags[i]);
            }
            for (i, step) in self.steps.iter().enumerate() {
                let tile = Tile { accesses, loads: &loads, at: start + from, width };
                if i + 1 == self.steps.len() {
                    tile.finish(step, &mut results, out, from, &mut spare);
                } else {
                    let mut floats = spare.pop().unwrap_or_default();
                    let mut flags = std::mem::take(&mut results.flags[i]);
                    let result: &[f32] = match out {
                        Output::Floats(out) => &out[from..from + width],
                        _ => &[],
                    };
                    tile.step(step, &results, result, &mut floats, &mut flags);
                    round(step.dtype, &mut floats);
                    for source in &step.sources {
                        if let Source::Step(s) = source {
                            let free = std::mem::take(&mut results.floats[*s]);
                            if free.capacity() > 0 {
                                spare.push(free);
                            }
                        }
                    }
                    results.floats[i] = floats;
                    results.flags[i] = flags;
                }
            }
            from += width;
        }
    }
}

enum Output<'a> {
    Floats(&'a mut [f32]),
    Flags(&'a mut [u8]),
    F16(&'a mut [f16]),
    Bf16(&'a mut [bf16]),
}

/// Rounds to the type of a step's result.
fn round(dtype: DType, floats: &mut [f32]) {
    let mut bits = [bf16::ZERO; 256];
    match dtype {
        DType::BF16 => {
            for part in floats.chunks_mut(256) {
                convert::f32_to_bf16(part, &mut bits[..part.len()]);
                convert::bf16_to_f32(&bits[..part.len()], part);
            }
        }
        DType::F16 => {
            let bits: &mut [f16] = bytemuck::cast_slice_mut(&mut bits);
            for part in floats.chunks_mut(256) {
                convert::f32_to_f16(part, &mut bits[..part.len()]);
                convert::f16_to_f32(&bits[..part.len()], part);
            }
        }
        _ => {}
    }
}

/// Sizes and strides without dimensions of size one, neighbours joined where one stride walks both.
fn collapsed(value: &Value) -> SmallVec<[(usize, isize); 4]> {
    let mut axes: SmallVec<[(usize, isize); 4]> = SmallVec::new();
    for (&size, &stride) in value.dims.iter().zip(&value.strides) {
        if size == 1 {
            continue;
        }
        match axes.last_mut() {
            Some((count, outer)) if *outer == stride * size as isize => {
                *count *= size;
                *outer = stride;
            }
            _ => axes.push((size, stride)),
        }
    }
    axes
}

/// Whether an operand can be read in runs, so that it need not be copied first.
fn is_walkable(value: &Value) -> bool {
    if value.is_contiguous() {
        return true;
    }
    match collapsed(value).last() {
        Some(&(size, stride)) => stride == 0 || (stride == 1 && size >= 8),
        None => true,
    }
}

fn access(value: &Value) -> Access<'_> {
    let axes = if value.is_contiguous() && value.numel() != 1 {
        match value.dtype {
            DType::F32 => return Access::Floats(value.slice()),
            DType::Bool => return Access::Flags(value.slice()),
            dtype => return Access::Halves(dtype, value.bytes()),
        }
    } else {
        collapsed(value)
    };
    if axes.iter().all(|&(_, stride)| stride == 0) && value.numel() > 0 {
        return match value.dtype {
            DType::Bool => Access::Flag(value.block::<u8>()[value.offset]),
            DType::F32 => Access::Number(value.block::<f32>()[value.offset]),
            DType::F16 => Access::Number(value.block::<f16>()[value.offset].to_f32()),
            _ => Access::Number(value.block::<bf16>()[value.offset].to_f32()),
        };
    }
    Access::Runs(value, axes)
}

/// Copies `out.len()` elements from the row-major position `start` on.
fn gather<T: Copy>(block: &[T], offset: usize, axes: &[(usize, isize)], start: usize, out: &mut [T]) {
    let Some((&(size, stride), outer)) = axes.split_last() else { return };
    let (mut row, mut col) = (start / size, start % size);
    let mut done = 0;
    while done < out.len() {
        let mut rest = row;
        let mut at = offset as isize + col as isize * stride;
        for &(size, stride) in outer.iter().rev() {
            at += (rest % size) as isize * stride;
            rest /= size;
        }
        let count = (size - col).min(out.len() - done);
        let target = &mut out[done..done + count];
        let at = at as usize;
        if stride == 0 {
            target.fill(block[at]);
        } else {
            target.copy_from_slice(&block[at..at + count]);
        }
        done += count;
        col = 0;
        row += 1;
    }
}

fn widen(dtype: DType, bytes: &[u8], out: &mut [f32]) {
    if dtype == DType::F16 {
        convert::f16_to_f32(bytemuck::cast_slice(bytes), out);
    } else {
        convert::bf16_to_f32(bytemuck::cast_slice(bytes), out);
    }
}

/// Brings what is not read in place into a register.
fn load(access: &Access<'_>, start: usize, width: usize, floats: &mut Vec<f32>, flags: &mut Vec<u8>) {
    match access {
        Access::Halves(dtype, bytes) => {
            floats.resize(width, 0.0);
            widen(*dtype, &bytes[start * 2..(start + width) * 2], floats);
        }
        Access::Runs(value, axes) => match value.dtype {
            DType::F32 => {
                floats.resize(width, 0.0);
                gather(value.block::<f32>(), value.offset, axes, start, floats);
            }
            DType::Bool => {
                flags.resize(width, 0);
                gather(value.block::<u8>(), value.offset, axes, start, flags);
            }
            dtype => {
                floats.resize(width, 0.0);
                let mut halves = [bf16::ZERO; TILE];
                let halves = &mut halves[..width];
                match dtype {
                    DType::F16 => {
                        let halves: &mut [f16] = bytemuck::cast_slice_mut(halves);
                        gather(value.block::<f16>(), value.offset, axes, start, halves);
                    }
                    _ => gather(value.block::<bf16>(), value.offset, axes, start, halves),
                }
                widen(dtype, bytemuck::cast_slice(halves), floats);
            }
        },
        _ => {}
    }
}

/// The operands of a program within a tile.
struct Tile<'a> {
    accesses: &'a [Access<'a>],
    loads: &'a Registers,
    at: usize,
    width: usize,
}

impl<'a> Tile<'a> {
    fn floats<'b>(&self, source: Source, results: &'b Registers, result: &'b [f32]) -> Floats<'b>
    where
        'a: 'b,
    {
        match source {
            Source::Step(s) => Floats::Slice(&results.floats[s][..self.width]),
            Source::Input(i) => match &self.accesses[i] {
                Access::Floats(all) => Floats::Slice(&all[self.at..self.at + self.width]),
                Access::Number(x) => Floats::Number(*x),
                Access::Result => Floats::Slice(result),
                _ => Floats::Slice(&self.loads.floats[i][..self.width]),
            },
        }
    }

    /// Truth values; one that is the same everywhere has one element.
    fn flags<'b>(&'b self, source: Source, results: &'b Registers) -> &'b [u8] {
        match source {
            Source::Step(s) => &results.flags[s][..self.width],
            Source::Input(i) => match &self.accesses[i] {
                Access::Flags(all) => &all[self.at..self.at + self.width],
                Access::Flag(flag) => std::slice::from_ref(flag),
                _ => &self.loads.flags[i][..self.width],
            },
        }
    }

    /// Runs a step whose result goes to a register.
    fn step(
        &self,
        step: &Step,
        results: &Registers,
        result: &[f32],
        floats: &mut Vec<f32>,
        flags: &mut Vec<u8>,
    ) {
        if step.dtype == DType::Bool {
            flags.resize(self.width, 0);
            self.truth(step, results, result, flags);
        } else {
            floats.resize(self.width, 0.0);
            self.number(step, results, result, floats);
        }
    }

    /// Runs the last step.
    fn finish(
        &self,
        step: &Step,
        results: &mut Registers,
        out: &mut Output<'_>,
        from: usize,
        spare: &mut SmallVec<[Vec<f32>; 4]>,
    ) {
        match out {
            Output::Flags(out) => self.truth(step, results, &[], &mut out[from..from + self.width]),
            Output::Floats(out) => {
                let out = &mut out[from..from + self.width];
                let in_place = step.sources.iter().position(
                    |s| matches!(s, Source::Input(i) if matches!(self.accesses[*i], Access::Result)),
                );
                match in_place {
                    None => self.number(step, results, &[], out),
                    Some(at) => self.number_in_place(step, at, results, out, spare),
                }
            }
            Output::F16(_) | Output::Bf16(_) => {
                let mut floats = spare.pop().unwrap_or_default();
                floats.resize(self.width, 0.0);
                self.number(step, results, &[], &mut floats);
                match out {
                    Output::F16(out) => convert::f32_to_f16(&floats, &mut out[from..from + self.width]),
                    Output::Bf16(out) => convert::f32_to_bf16(&floats, &mut out[from..from + self.width]),
                    _ => {}
                }
                spare.push(floats);
            }
        }
        for floats in &mut results.floats {
            if floats.capacity() > 0 {
                spare.push(std::mem::take(floats));
            }
        }
    }

    /// A step whose operand number `at` is the memory it writes to.
    fn number_in_place(
        &self,
        step: &Step,
        at: usize,
        results: &Registers,
        out: &mut [f32],
        spare: &mut SmallVec<[Vec<f32>; 4]>,
    ) {
        match (&step.function, at) {
            (Function::Unary(kind), _) => return kernels::unary_in_place(*kind, out),
            (Function::Binary(kind), 0) => {
                return match self.floats(step.sources[1], results, &[]) {
                    Floats::Slice(b) => kernels::binary_in_place(*kind, out, b),
                    Floats::Number(b) => kernels::binary_scalar_in_place(*kind, out, b),
                };
            }
            (Function::Binary(kind), 1) => {
                if let Some(kind) = reversed(*kind) {
                    return match self.floats(step.sources[0], results, &[]) {
                        Floats::Slice(a) => kernels::binary_in_place(kind, out, a),
                        Floats::Number(a) => kernels::binary_scalar_in_place(kind, out, a),
                    };
                }
            }
            _ => {}
        }
        let mut copy = spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(out);
        self.number(step, results, &copy, out);
        spare.push(copy);
    }

    fn number(&self, step: &Step, results: &Registers, result: &[f32], out: &mut [f32]) {
        let floats = |i: usize| self.floats(step.sources[i], results, result);
        match &step.function {
            Function::Unary(kind) => match floats(0) {
                Floats::Slice(x) => kernels::unary(*kind, x, out),
                Floats::Number(x) => {
                    out.fill(x);
                    kernels::unary_in_place(*kind, out);
                }
            },
            Function::Map(f) => match floats(0) {
                Floats::Slice(x) => out.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x)),
                Floats::Number(x) => out.fill(f(x)),
            },
            Function::Copy => match floats(0) {
                Floats::Slice(x) => out.copy_from_slice(x),
                Floats::Number(x) => out.fill(x),
            },
            Function::FromTruth => {
                spread(self.flags(step.sources[0], results), out, |c| f32::from(u8::from(c != 0)));
            }
            Function::Binary(kind) => match (floats(0), floats(1)) {
                (Floats::Slice(a), Floats::Slice(b)) => kernels::binary(*kind, a, b, out),
                (Floats::Slice(a), Floats::Number(b)) => kernels::binary_scalar(*kind, a, b, out),
                (Floats::Number(a), Floats::Slice(b)) => match reversed(*kind) {
                    Some(kind) => kernels::binary_scalar(kind, b, a, out),
                    None => {
                        out.fill(a);
                        kernels::binary_in_place(*kind, out, b);
                    }
                },
                (Floats::Number(a), Floats::Number(b)) => {
                    out.fill(a);
                    kernels::binary_scalar_in_place(*kind, out, b);
                }
            },
            Function::Zip(f) => pairs(&floats(0), &floats(1), out, f),
            Function::Where => choose(self.flags(step.sources[0], results), &floats(1), &floats(2), out),
            // Functions with truth values are run by `truth`.
            _ => {}
        }
    }

    fn truth(&self, step: &Step, results: &Registers, result: &[f32], out: &mut [u8]) {
        let floats = |i: usize| self.floats(step.sources[i], results, result);
        let flags = |i: usize| self.flags(step.sources[i], results);
        match &step.function {
            Function::Test(f) => match floats(0) {
                Floats::Slice(x) => out.iter_mut().zip(x).for_each(|(y, &x)| *y = u8::from(f(x))),
                Floats::Number(x) => out.fill(u8::from(f(x))),
            },
            Function::Truth => match floats(0) {
                Floats::Slice(x) => out.iter_mut().zip(x).for_each(|(y, &x)| *y = u8::from(x != 0.0)),
                Floats::Number(x) => out.fill(u8::from(x != 0.0)),
            },
            Function::Compare(op) => compare(*op, &floats(0), &floats(1), out),
            Function::Not => spread(flags(0), out, |c| u8::from(c == 0)),
            Function::Logic(op) => logic(*op, flags(0), flags(1), out),
            // Functions with numbers are run by `number`.
            _ => {}
        }
    }
}

fn pairs<T>(a: &Floats<'_>, b: &Floats<'_>, out: &mut [T], f: impl Fn(f32, f32) -> T) {
    match (a, b) {
        (Floats::Slice(a), Floats::Slice(b)) => {
            out.iter_mut().zip(*a).zip(*b).for_each(|((y, &a), &b)| *y = f(a, b));
        }
        (Floats::Slice(a), Floats::Number(b)) => out.iter_mut().zip(*a).for_each(|(y, &a)| *y = f(a, *b)),
        (Floats::Number(a), Floats::Slice(b)) => out.iter_mut().zip(*b).for_each(|(y, &b)| *y = f(*a, b)),
        (Floats::Number(a), Floats::Number(b)) => out.iter_mut().for_each(|y| *y = f(*a, *b)),
    }
}

/// A function of truth values, of which there may be one for all.
fn spread<T: Copy>(flags: &[u8], out: &mut [T], f: impl Fn(u8) -> T) {
    match flags {
        [flag] => out.fill(f(*flag)),
        _ => out.iter_mut().zip(flags).for_each(|(y, &c)| *y = f(c)),
    }
}

fn compare(op: crate::BinaryOp, a: &Floats<'_>, b: &Floats<'_>, out: &mut [u8]) {
    use crate::BinaryOp as B;
    match op {
        B::Eq => pairs(a, b, out, |a, b| u8::from(a == b)),
        B::Ne => pairs(a, b, out, |a, b| u8::from(a != b)),
        B::Lt => pairs(a, b, out, |a, b| u8::from(a < b)),
        B::Le => pairs(a, b, out, |a, b| u8::from(a <= b)),
        B::Gt => pairs(a, b, out, |a, b| u8::from(a > b)),
        _ => pairs(a, b, out, |a, b| u8::from(a >= b)),
    }
}

fn logic(op: crate::BinaryOp, a: &[u8], b: &[u8], out: &mut [u8]) {
    use crate::BinaryOp as B;
    fn each(a: &[u8], b: &[u8], out: &mut [u8], f: impl Fn(u8, u8) -> u8) {
        match (a, b) {
            ([a], [b]) => out.fill(f(*a, *b)),
            ([a], b) => out.iter_mut().zip(b).for_each(|(y, &b)| *y = f(*a, b)),
            (a, [b]) => out.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a, *b)),
            (a, b) => out.iter_mut().zip(a).zip(b).for_each(|((y, &a), &b)| *y = f(a, b)),
        }
    }
    match op {
        B::BitAnd => each(a, b, out, |a, b| a & b),
        B::BitOr => each(a, b, out, |a, b| a | b),
        B::BitXor | B::Ne => each(a, b, out, |a, b| a ^ b),
        B::Eq => each(a, b, out, |a, b| u8::from(a == b)),
        B::Lt => each(a, b, out, |a, b| u8::from(a < b)),
        B::Le => each(a, b, out, |a, b| u8::from(a <= b)),
        B::Gt => each(a, b, out, |a, b| u8::from(a > b)),
        _ => each(a, b, out, |a, b| u8::from(a >= b)),
    }
}

fn choose(condition: &[u8], on_true: &Floats<'_>, on_false: &Floats<'_>, out: &mut [f32]) {
    fn put(x: &Floats<'_>, out: &mut [f32]) {
        match x {
            Floats::Slice(x) => out.copy_from_slice(x),
            Floats::Number(x) => out.fill(*x),
        }
    }
    if let [one] = condition
        && out.len() != 1
    {
        return put(if *one != 0 { on_true } else { on_false }, out);
    }
    let all = out.iter_mut().zip(condition);
    match (on_true, on_false) {
        (Floats::Slice(t), Floats::Slice(f)) => {
            all.zip(*t).zip(*f).for_each(|(((y, &c), &t), &f)| *y = if c != 0 { t } else { f });
        }
        (Floats::Slice(t), Floats::Number(f)) => {
            all.zip(*t).for_each(|((y, &c), &t)| *y = if c != 0 { t } else { *f });
        }
        (Floats::Number(t), Floats::Slice(f)) => {
            all.zip(*f).for_each(|((y, &c), &f)| *y = if c != 0 { *t } else { f });
        }
        (Floats::Number(t), Floats::Number(f)) => {
            all.for_each(|(y, &c)| *y = if c != 0 { *t } else { *f });
        }
    }
}
