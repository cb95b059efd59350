//! The part of Python's pickle that `torch.save` writes, read as data: nothing is ever imported or called.
//!
//! Source: `Lib/pickletools.py` of CPython, which documents each opcode. Values live in one arena and refer to each other by
//! index, so that a value that is used twice is shared as in Python, and neither nesting nor cycles can exhaust the stack.

use std::collections::HashMap;

/// Index of a value.
pub(super) type Id = usize;

/// A value as far as state dictionaries need it.
#[derive(Debug)]
pub(super) enum Value {
    /// `None`, a number with a fraction, or anything else that no tensor is made of.
    Other,
    Int(i64),
    Text(String),
    /// A class or function: module and name, with a space between.
    Global(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function and the tuple of its arguments: what would be called.
    Call(Id, Id),
    /// What lies outside the pickle, as `torch` describes its storages.
    Persistent(Id),
}

/// A pickle that was read.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads a pickle to its end mark.
    pub(super) fn read(bytes: &[u8]) -> Result<Pickle, String> {
        Self::read_first(bytes).map(|(pickle, _)| pickle)
    }

    /// The same; gives what follows the end mark too.
    pub(super) fn read_first(bytes: &[u8]) -> Result<(Pickle, &[u8]), String> {
        let mut machine =
            Machine { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        loop {
            let opcode = machine.byte()?;
            if opcode == b'.' {
                let root = machine.pop()?;
                return Ok((Pickle { values: machine.values, root }, machine.rest));
            }
            machine.step(opcode)?;
        }
    }

    /// The value that the pickle stands for.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// What lies outside of the pickle: the tuples that describe it.
    pub(super) fn outside(&self) -> impl Iterator<Item = &[Id]> {
        self.values.iter().filter_map(|value| match value {
            Value::Persistent(id) => self.tuple(*id),
            _ => None,
        })
    }

    /// The items of a list.
    pub(super) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A tuple of numbers that are not negative.
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        self.tuple(id)?.iter().map(|&item| self.size(item)).collect()
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at which collections began.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, opcode: u8) -> Result<(), String> {
        match opcode {
            // PROTO, FRAME: what follows is the same in all versions.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            b'J' => {
                let bytes = self.take(4)?;
                self.push(Value::Int(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into()));
            }
            0x8a => self.push_long()?,
            b'X' => self.push_text(4)?,
            0x8c => self.push_text(1)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module} {name}")));
            }
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let from =
                    self.stack.len().checked_sub(usize::from(opcode - 0x84)).filter(|&from| from >= self.floor());
                let items = self.stack.split_off(from.ok_or("a tuple of too few values")?);
                self.push(Value::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            b'q' => {
                let key = self.number(1)?;
                self.remember(key as u32)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.remember(key as u32)?;
            }
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'R' => self.reduce()?,
            // BUILD sets attributes (a state dictionary's `_metadata`), which no tensor needs.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            other => return Err(format!("opcode {other:#04x} is none that state dictionaries need")),
        }
        Ok(())
    }

    /// An ordered dictionary is the one thing that is made at once; every other call is kept as data.
    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        match &self.values[function] {
            Value::Global(name) if name == "collections OrderedDict" => self.push(Value::Dict(Vec::new())),
            _ => self.push(Value::Call(function, arguments)),
        }
        Ok(())
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.extend(items),
            _ => return Err("values are added to something that is no list".into()),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), String> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[dict] {
            Value::Dict(dict) if rest.is_empty() => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err("pairs are added to something that is no dictionary".into()),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn push_int(&mut self, bytes: usize) -> Result<(), String> {
        let number = self.number(bytes)?;
        self.push(Value::Int(number as i64));
        Ok(())
    }

    fn push_long(&mut self) -> Result<(), String> {
        let length = self.number(1)?;
        let bytes = self.take(length)?;
        // Two's complement, little-endian; longer numbers are none that a tensor needs.
        let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [sign; 8];
        let value = match bytes.len() <= 8 {
            true => {
                wide[..bytes.len()].copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            false => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn push_text(&mut self, length_bytes: usize) -> Result<(), String> {
        let length = self.number(length_bytes)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text is not UTF-8")?;
        self.push(Value::Text(text.into()));
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key_bytes: usize) -> Result<(), String> {
        let key = self.number(key_bytes)? as u32;
        let id = *self.memo.get(&key).ok_or("a value is recalled that was never kept")?;
        self.stack.push(id);
        Ok(())
    }

    /// Values below the last mark belong to an outer collection.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        self.stack[self.floor()..].last().copied().ok_or_else(|| "the stack is empty".into())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("a collection ends that never began")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned number, little-endian, of at most four bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, String> {
        let bytes = self.take(bytes)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or("a name does not end")?;
        let line = &self.take(end + 1)?[..end];
        std::str::from_utf8(line).map_err(|_| "a name is not UTF-8".into())
    }
}
