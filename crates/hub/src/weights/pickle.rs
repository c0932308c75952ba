//! A reader of the pickles inside PyTorch state dicts, which executes nothing.
//!
//! Pickle is a program for a stack machine that may call any Python function. A state dict needs only a few of its
//! instructions and four functions, all of which are data here: building an `OrderedDict`, naming a storage, and
//! `_rebuild_tensor_v2` and `_rebuild_parameter`, which describe a tensor. Any other global is an error that names it.
//!
//! Objects live in one table and refer to each other by index, so that nesting costs no recursion.

use std::collections::HashMap;
use std::path::Path;

use super::entry::MAX_RANK;
use super::view::WeightDtype;
use crate::error::{HubError, Result};

/// The longest pickle accepted, in bytes; a state dict of a thousand tensors takes about 150 KB.
pub(crate) const PICKLE_LIMIT: usize = 16 << 20;
/// The most objects, stack slots and memo slots; a tensor takes about 18 objects.
const OBJECT_LIMIT: usize = 1 << 20;

/// A tensor as a state dict describes it; nothing about it has been compared with the storages yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PickledTensor<'a> {
    pub(crate) dtype: WeightDtype,
    /// The name of the storage's entry under `data/`.
    pub(crate) storage: &'a str,
    /// Elements in the storage.
    pub(crate) storage_len: usize,
    /// In elements.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// In elements.
    pub(crate) strides: Vec<usize>,
}

/// Reads the names and tensors of a pickled state dict, in the order written; `path` is used for errors only.
pub(crate) fn read_state_dict<'a>(
    path: &'a Path,
    pickle: &'a [u8],
) -> Result<Vec<(&'a str, PickledTensor<'a>)>> {
    let mut machine = Machine::new(path, pickle);
    if pickle.len() > PICKLE_LIMIT {
        return Err(machine.fault(
            "pickle",
            format!("at most {PICKLE_LIMIT} bytes"),
            pickle.len().to_string(),
        ));
    }
    let result = machine.run()?;
    machine.state_dict(result)
}

type ObjectId = u32;
const NONE: ObjectId = 0;
const FALSE: ObjectId = 1;
const TRUE: ObjectId = 2;
const EMPTY_TUPLE: ObjectId = 3;

#[derive(Debug)]
enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float,
    Text(&'a str),
    Tuple(Vec<ObjectId>),
    List(Vec<ObjectId>),
    Dict(Vec<(ObjectId, ObjectId)>),
    Global(Global),
    Storage { dtype: WeightDtype, key: &'a str, len: usize },
    Tensor { storage: ObjectId, offset: usize, shape: Vec<usize>, strides: Vec<usize> },
}

/// The Python globals that state dicts need.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(WeightDtype),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", storage) => Self::Storage(match storage {
                "DoubleStorage" => WeightDtype::F64,
                "FloatStorage" => WeightDtype::F32,
                "HalfStorage" => WeightDtype::F16,
                "BFloat16Storage" => WeightDtype::Bf16,
                "LongStorage" => WeightDtype::I64,
                "IntStorage" => WeightDtype::I32,
                "ShortStorage" => WeightDtype::I16,
                "CharStorage" => WeightDtype::I8,
                "ByteStorage" => WeightDtype::U8,
                "BoolStorage" => WeightDtype::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

struct Machine<'a> {
    path: &'a Path,
    pickle: &'a [u8],
    at: usize,
    /// Where the current instruction starts.
    instruction: usize,
    objects: Vec<Object<'a>>,
    stack: Vec<ObjectId>,
    /// Stack heights at the marks still open.
    marks: Vec<usize>,
    memo: HashMap<u32, ObjectId>,
}

impl<'a> Machine<'a> {
    fn new(path: &'a Path, pickle: &'a [u8]) -> Self {
        let objects = vec![Object::None, Object::Bool(false), Object::Bool(true), Object::Tuple(Vec::new())];
        Self {
            path,
            pickle,
            at: 0,
            instruction: 0,
            objects,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs to the `STOP` instruction and returns the one object left.
    fn run(&mut self) -> Result<ObjectId> {
        loop {
            self.instruction = self.at;
            let [opcode] = self.take::<1>()?;
            match opcode {
                0x80 => {
                    let [version] = self.take::<1>()?;
                    if version != 2 {
                        return Err(self.fault("pickle protocol", "2", version.to_string()));
                    }
                }
                b'.' => {
                    let result = self.pop()?;
                    if !self.stack.is_empty() {
                        return Err(self.fault("pickle stack at the end", "one object", "more"));
                    }
                    return Ok(result);
                }
                b'(' => {
                    self.marks.push(self.stack.len());
                    self.limit("open marks", self.marks.len())?;
                }
                b'N' => self.push_id(NONE)?,
                0x88 => self.push_id(TRUE)?,
                0x89 => self.push_id(FALSE)?,
                b')' => self.push_id(EMPTY_TUPLE)?,
                b'K' => {
                    let [value] = self.take::<1>()?;
                    self.push(Object::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Object::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Object::Int(value.into()))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take::<8>()?;
                    self.push(Object::Float)?;
                }
                b'X' => {
                    let len = u32::from_le_bytes(self.take()?) as usize;
                    let bytes = self.take_slice(len)?;
                    let text =
                        std::str::from_utf8(bytes).map_err(|_| self.fault("text", "UTF-8", "other bytes"))?;
                    self.push(Object::Text(text))?;
                }
                b'c' => self.global()?,
                b'}' => self.push(Object::Dict(Vec::new()))?,
                b']' => self.push(Object::List(Vec::new()))?,
                0x85..=0x87 => {
                    let start = self.below(usize::from(opcode - 0x84))?;
                    self.tuple(start)?;
                }
                b't' => {
                    let start = self.mark()?;
                    self.tuple(start)?;
                }
                b's' => {
                    let start = self.below(2)?;
                    self.set_items(start)?;
                }
                b'u' => {
                    let start = self.mark()?;
                    self.set_items(start)?;
                }
                b'a' => {
                    let start = self.below(1)?;
                    self.append(start)?;
                }
                b'e' => {
                    let start = self.mark()?;
                    self.append(start)?;
                }
                b'q' => {
                    let [slot] = self.take::<1>()?;
                    self.remember(slot.into())?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.remember(slot)?;
                }
                b'h' => {
                    let [slot] = self.take::<1>()?;
                    self.recall(slot.into())?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.take()?);
                    self.recall(slot)?;
                }
                b'Q' => self.storage()?,
                b'R' => self.call()?,
                b'b' => self.build()?,
                other => {
                    return Err(self.fault(
                        "pickle instruction",
                        "one that state dicts use",
                        format!("{other:#04x}"),
                    ));
                }
            }
        }
    }

    fn fault(&self, what: &'static str, expected: impl Into<String>, got: impl Into<String>) -> HubError {
        HubError::InvalidCheckpoint {
            path: self.path.to_owned(),
            offset: self.instruction as u64,
            what,
            expected: expected.into(),
            got: got.into(),
        }
    }

    fn limit(&self, what: &'static str, count: usize) -> Result<()> {
        if count > OBJECT_LIMIT {
            return Err(self.fault(what, format!("at most {OBJECT_LIMIT}"), "more"));
        }
        Ok(())
    }

    fn take_slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let rest = &self.pickle[self.at..];
        let Some(bytes) = rest.get(..len) else {
            return Err(self.fault(
                "pickle",
                format!("{len} more bytes"),
                format!("{} before its end", rest.len()),
            ));
        };
        self.at += len;
        Ok(bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take_slice(N)?);
        Ok(out)
    }

    fn take_line(&mut self) -> Result<&'a str> {
        let rest = &self.pickle[self.at..];
        // Names of Python modules and classes are short; a longer line is no name.
        let end = rest.iter().take(256).position(|&byte| byte == b'\n');
        let Some(line) = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok()) else {
            return Err(self.fault("global", "a line of at most 255 bytes of UTF-8", "something else"));
        };
        self.at += line.len() + 1;
        Ok(line)
    }

    fn push(&mut self, object: Object<'a>) -> Result<()> {
        self.limit("objects", self.objects.len() + 1)?;
        let id = self.objects.len() as ObjectId;
        self.objects.push(object);
        self.push_id(id)
    }

    fn push_id(&mut self, id: ObjectId) -> Result<()> {
        self.limit("stack", self.stack.len() + 1)?;
        self.stack.push(id);
        Ok(())
    }

    /// The stack height `count` objects below the top, above the innermost mark.
    fn below(&self, count: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .len()
            .checked_sub(count)
            .filter(|&start| start >= floor)
            .ok_or_else(|| self.fault("pickle stack", format!("{count} objects"), "fewer"))
    }

    fn mark(&mut self) -> Result<usize> {
        self.marks.pop().ok_or_else(|| self.fault("pickle stack", "an open mark", "none"))
    }

    fn pop(&mut self) -> Result<ObjectId> {
        let start = self.below(1)?;
        Ok(self.stack.remove(start))
    }

    fn get(&self, id: ObjectId) -> &Object<'a> {
        &self.objects[id as usize]
    }

    fn long(&mut self) -> Result<()> {
        let [len] = self.take::<1>()?;
        let bytes = self.take_slice(len.into())?;
        if bytes.len() > 8 {
            return Err(self.fault("integer", "at most 8 bytes", len.to_string()));
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Object::Int(i64::from_le_bytes(wide)))
    }

    fn global(&mut self) -> Result<()> {
        let module = self.take_line()?;
        let name = self.take_line()?;
        let global = Global::find(module, name).ok_or_else(|| HubError::UnsupportedGlobal {
            path: self.path.to_owned(),
            global: format!("{module}.{name}"),
        })?;
        self.push(Object::Global(global))
    }

    fn tuple(&mut self, start: usize) -> Result<()> {
        let items = self.stack.split_off(start);
        self.push(Object::Tuple(items))
    }

    fn set_items(&mut self, start: usize) -> Result<()> {
        let items = self.stack.split_off(start);
        let target = self.stack.last().copied().unwrap_or(NONE);
        if !items.len().is_multiple_of(2) {
            return Err(self.fault("dict items", "pairs", format!("{} objects", items.len())));
        }
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        if let Object::Dict(entries) = &mut self.objects[target as usize] {
            entries.extend(pairs);
            return Ok(());
        }
        Err(self.fault("target of dict items", "a dict", self.describe(target)))
    }

    fn append(&mut self, start: usize) -> Result<()> {
        let items = self.stack.split_off(start);
        let target = self.stack.last().copied().unwrap_or(NONE);
        if let Object::List(entries) = &mut self.objects[target as usize] {
            entries.extend(items);
            return Ok(());
        }
        Err(self.fault("target of list items", "a list", self.describe(target)))
    }

    fn remember(&mut self, slot: u32) -> Result<()> {
        let top = self.stack[self.below(1)?];
        self.memo.insert(slot, top);
        self.limit("memo", self.memo.len())
    }

    fn recall(&mut self, slot: u32) -> Result<()> {
        match self.memo.get(&slot) {
            Some(&id) => self.push_id(id),
            None => Err(self.fault("memo", "a slot that was filled", slot.to_string())),
        }
    }

    /// `BINPERSID`: a tuple that names a storage.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        let expected = "('storage', a torch storage type, key, location, element count)";
        let parts = match self.get(id) {
            Object::Tuple(items) if items.len() == 5 => items,
            _ => return Err(self.fault("storage", expected, self.describe(id))),
        };
        match [parts[0], parts[1], parts[2], parts[4]].map(|part| self.get(part)) {
            [
                Object::Text("storage"),
                &Object::Global(Global::Storage(dtype)),
                &Object::Text(key),
                &Object::Int(len),
            ] if len >= 0 => self.push(Object::Storage { dtype, key, len: len as usize }),
            _ => Err(self.fault("storage", expected, "a tuple of other things")),
        }
    }

    /// `REDUCE`: a call of one of the known globals.
    fn call(&mut self) -> Result<()> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let Object::Tuple(arguments) = self.get(arguments) else {
            return Err(self.fault("call", "a tuple of arguments", self.describe(arguments)));
        };
        match self.get(function) {
            Object::Global(Global::OrderedDict) if arguments.is_empty() => {
                self.push(Object::Dict(Vec::new()))
            }
            Object::Global(Global::RebuildTensor) if arguments.len() >= 4 => {
                let [storage, offset, shape, strides] =
                    [arguments[0], arguments[1], arguments[2], arguments[3]];
                if !matches!(self.get(storage), Object::Storage { .. }) {
                    return Err(self.fault("tensor's storage", "a storage", self.describe(storage)));
                }
                let offset = match self.get(offset) {
                    &Object::Int(value) if value >= 0 => value as usize,
                    _ => return Err(self.fault("tensor's offset", "a whole number", self.describe(offset))),
                };
                let shape = self.lengths(shape, "tensor's shape")?;
                let strides = self.lengths(strides, "tensor's strides")?;
                if shape.len() != strides.len() {
                    return Err(self.fault(
                        "tensor's strides",
                        shape.len().to_string(),
                        strides.len().to_string(),
                    ));
                }
                self.push(Object::Tensor { storage, offset, shape, strides })
            }
            Object::Global(Global::RebuildParameter) if !arguments.is_empty() => {
                let tensor = arguments[0];
                if !matches!(self.get(tensor), Object::Tensor { .. }) {
                    return Err(self.fault("parameter", "a tensor", self.describe(tensor)));
                }
                self.push_id(tensor)
            }
            _ => Err(self.fault("call", "a known function with its arguments", self.describe(function))),
        }
    }

    /// `BUILD`: sets attributes. State dicts carry a `_metadata` attribute, which holds module versions only.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        let target = self.stack[self.below(1)?];
        match self.get(target) {
            Object::Dict(_) => Ok(()),
            _ => Err(self.fault("target of attributes", "a dict", self.describe(target))),
        }
    }

    /// A tuple of whole numbers.
    fn lengths(&self, id: ObjectId, what: &'static str) -> Result<Vec<usize>> {
        let items = match self.get(id) {
            Object::Tuple(items) if items.len() <= MAX_RANK => items,
            _ => return Err(self.fault(what, format!("a tuple of at most {MAX_RANK}"), self.describe(id))),
        };
        let number = |&item: &ObjectId| match self.get(item) {
            &Object::Int(value) => usize::try_from(value).ok(),
            _ => None,
        };
        items
            .iter()
            .map(number)
            .collect::<Option<_>>()
            .ok_or_else(|| self.fault(what, "whole numbers", "something else"))
    }

    fn state_dict(&self, id: ObjectId) -> Result<Vec<(&'a str, PickledTensor<'a>)>> {
        let Object::Dict(entries) = self.get(id) else {
            return Err(self.fault("checkpoint", "a dict of tensors", self.describe(id)));
        };
        let mut tensors = Vec::new();
        for &(name, value) in entries {
            let &Object::Text(name) = self.get(name) else {
                return Err(self.fault("checkpoint", "names that are texts", self.describe(name)));
            };
            let Object::Tensor { storage, offset, shape, strides } = self.get(value) else {
                return Err(HubError::InvalidTensor {
                    path: self.path.to_owned(),
                    tensor: name.to_owned(),
                    what: "entry",
                    expected: "a tensor".into(),
                    got: self.describe(value),
                });
            };
            let &Object::Storage { dtype, key, len } = self.get(*storage) else {
                return Err(self.fault("tensor's storage", "a storage", self.describe(*storage)));
            };
            let (shape, strides) = (shape.clone(), strides.clone());
            tensors.push((
                name,
                PickledTensor { dtype, storage: key, storage_len: len, offset: *offset, shape, strides },
            ));
        }
        Ok(tensors)
    }

    fn describe(&self, id: ObjectId) -> String {
        match self.get(id) {
            Object::None => "None".into(),
            Object::Bool(value) => format!("the truth value {value}"),
            Object::Int(value) => format!("the integer {value}"),
            Object::Float => "a float".into(),
            Object::Text(_) => "a text".into(),
            Object::Tuple(items) => format!("a tuple of {}", items.len()),
            Object::List(items) => format!("a list of {}", items.len()),
            Object::Dict(items) => format!("a dict of {}", items.len()),
            Object::Global(global) => format!("{global:?}"),
            Object::Storage { .. } => "a storage".into(),
            Object::Tensor { .. } => "a tensor".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pickle: &[u8]) -> Result<Vec<(&str, PickledTensor<'_>)>> {
        read_state_dict(Path::new("m.bin"), pickle)
    }

    fn refuse(pickle: &[u8]) -> String {
        read(pickle).unwrap_err().to_string()
    }

    #[test]
    fn a_call_of_a_foreign_function_is_refused_by_name() {
        // What `os.system("...")` looks like in a hostile checkpoint.
        let pickle = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00trueq\x00\x85q\x01R.";
        let error = read(pickle).unwrap_err();
        assert!(matches!(&error, HubError::UnsupportedGlobal { global, .. } if global == "posix.system"));
        assert!(error.hint().unwrap().contains("nothing in the file was executed"));
    }

    #[test]
    fn an_empty_dict_is_an_empty_state_dict() {
        assert_eq!(read(b"\x80\x02}q\x00.").unwrap(), []);
    }

    #[test]
    fn stack_and_memo_faults_are_errors_with_a_position() {
        assert_eq!(refuse(b"\x80\x02."), "`m.bin`, byte 2: pickle stack: expected 1 objects, got fewer");
        assert_eq!(refuse(b"\x80\x02t."), "`m.bin`, byte 2: pickle stack: expected an open mark, got none");
        assert_eq!(
            refuse(b"\x80\x02h\x07."),
            "`m.bin`, byte 2: memo: expected a slot that was filled, got 7"
        );
        assert_eq!(
            refuse(b"\x80\x02}"),
            "`m.bin`, byte 3: pickle: expected 1 more bytes, got 0 before its end"
        );
        assert_eq!(
            refuse(b"\x80\x02NN."),
            "`m.bin`, byte 4: pickle stack at the end: expected one object, got more"
        );
        assert_eq!(
            refuse(b"\x80\x02}NNNu."),
            "`m.bin`, byte 6: pickle stack: expected an open mark, got none"
        );
        assert_eq!(refuse(b"\x80\x02}(NNNu."), "`m.bin`, byte 7: dict items: expected pairs, got 3 objects");
        assert_eq!(refuse(b"\x80\x04."), "`m.bin`, byte 0: pickle protocol: expected 2, got 4");
        assert!(
            refuse(b"\x80\x02\x93.")
                .contains("pickle instruction: expected one that state dicts use, got 0x93")
        );
    }

    #[test]
    fn an_instruction_cannot_reach_below_the_innermost_mark() {
        assert!(refuse(b"\x80\x02N(\x85.").contains("pickle stack: expected 1 objects, got fewer"));
    }

    #[test]
    fn a_million_marks_are_refused_and_a_dict_inside_itself_is_harmless() {
        let mut pickle = b"\x80\x02".to_vec();
        pickle.extend(std::iter::repeat_n(b'(', OBJECT_LIMIT + 1));
        assert!(refuse(&pickle).contains("open marks: expected at most 1048576"));
        // d = {}; d["a"] = d
        let text = refuse(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.");
        assert_eq!(text, "`m.bin`, tensor `a`: entry: expected a tensor, got a dict of 1");
    }

    #[test]
    fn integers_of_any_width_keep_their_sign() {
        for (bytes, expected) in [
            (&b"\x8a\x01\xfe"[..], -2),
            (b"\x8a\x00", 0),
            (b"\x8a\x02\xff\x00", 255),
            (b"J\xff\xff\xff\xff", -1),
        ] {
            let pickle = [b"\x80\x02", bytes, b"."].concat();
            assert!(refuse(&pickle).ends_with(&format!("got the integer {expected}")), "{bytes:?}");
        }
    }
}
