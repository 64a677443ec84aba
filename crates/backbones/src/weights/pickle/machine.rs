//! The stack machine.

use std::collections::HashMap;

use super::{
    bytes::{Bytes, Fault},
    calls,
    value::{Id, Storage, StridedTensor, Value, Values},
};
use crate::weights::dtype::Dtype;

/// Names that are copied are short, so that recalling a long one many times does not fill the memory.
const LONGEST_NAME: usize = 256;

/// What a persistent id of the pickle stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Persistent<'a> {
    /// Nothing: this pickle must not contain any.
    Nothing,
    /// `("storage", class, key, location, length[, view])`, the zip and the legacy form.
    Storages,
    /// The number of a tensor, the tar form.
    Tensors(&'a HashMap<String, StridedTensor>),
}

/// Runs one pickle up to its end; returns its result. `values` receives all values.
pub(crate) fn load(bytes: &mut Bytes<'_>, persistent: Persistent<'_>, values: &mut Values) -> Result<Id, Fault> {
    let machine = Machine { values, persistent, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    machine.run(bytes)
}

struct Machine<'v, 'p> {
    values: &'v mut Values,
    persistent: Persistent<'p>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks lie.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_, '_> {
    fn run(mut self, bytes: &mut Bytes<'_>) -> Result<Id, Fault> {
        loop {
            let position = bytes.position();
            let opcode = bytes.u8()?;
            if opcode == b'.' {
                return self.pop().map_err(|problem| Fault { position, problem });
            }
            if !self.push_literal(opcode, bytes)? {
                self.step(opcode, bytes).map_err(|problem| Fault { position, problem })?;
            }
        }
    }

    /// Numbers, texts and names, whose bytes follow the opcode.
    fn push_literal(&mut self, opcode: u8, bytes: &mut Bytes<'_>) -> Result<bool, Fault> {
        let value = match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'I' | b'L' => match bytes.line()?.trim_end_matches('L') {
                "00" => Value::Bool(false),
                "01" => Value::Bool(true),
                digits => digits.parse().map_or(Value::Opaque, Value::Int),
            },
            b'J' => Value::Int(i64::from(i32::from_le_bytes(bytes.array()?))),
            b'K' => Value::Int(i64::from(bytes.u8()?)),
            b'M' => Value::Int(i64::from(bytes.u16()?)),
            0x8a => {
                let length = bytes.u8()?;
                long(bytes.take(usize::from(length))?)
            }
            0x8b => {
                let length = bytes.u32()?;
                long(bytes.take(length as usize)?)
            }
            b'F' => bytes.line()?.parse().map_or(Value::Opaque, Value::Float),
            b'G' => Value::Float(f64::from_be_bytes(bytes.array()?)),
            b'S' => Value::Text(bytes.line()?.trim_matches(['\'', '"']).to_owned()),
            b'V' => Value::Text(bytes.line()?.to_owned()),
            b'U' | 0x8c => {
                let length = bytes.u8()?;
                python_text(bytes.take(usize::from(length))?)
            }
            b'T' | b'X' => {
                let length = bytes.u32()?;
                python_text(bytes.take(length as usize)?)
            }
            0x8d => {
                let length = bytes.size()?;
                python_text(bytes.take(length)?)
            }
            b'C' => {
                let length = bytes.u8()?;
                bytes.take(usize::from(length))?;
                Value::Opaque
            }
            b'B' => {
                let length = bytes.u32()?;
                bytes.take(length as usize)?;
                Value::Opaque
            }
            0x8e | 0x96 => {
                let length = bytes.size()?;
                bytes.take(length)?;
                Value::Opaque
            }
            b'c' => Value::Global(format!("{} {}", bytes.line()?, bytes.line()?)),
            b')' => Value::Tuple(Vec::new()),
            b']' => Value::List(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            0x8f => Value::Opaque,
            // Protocol, frame: nothing to do but to skip their arguments.
            0x80 => return bytes.u8().map(|_| true),
            0x95 => return bytes.u64().map(|_| true),
            // The memo.
            b'p' | b'q' | b'r' | 0x94 => {
                let position = bytes.position();
                let slot = match opcode {
                    b'p' => index(bytes)?,
                    b'q' => u64::from(bytes.u8()?),
                    b'r' => u64::from(bytes.u32()?),
                    _ => self.memo.len() as u64,
                };
                let Some(&top) = self.stack.last() else {
                    return Err(Fault { position, problem: "remembers a value where there is none".to_owned() });
                };
                self.memo.insert(slot, top);
                return Ok(true);
            }
            b'g' | b'h' | b'j' => {
                let position = bytes.position();
                let slot = match opcode {
                    b'g' => index(bytes)?,
                    b'h' => u64::from(bytes.u8()?),
                    _ => u64::from(bytes.u32()?),
                };
                let Some(&id) = self.memo.get(&slot) else {
                    return Err(Fault {
                        position,
                        problem: format!("recalls value {slot}, which was never remembered"),
                    });
                };
                self.stack.push(id);
                return Ok(true);
            }
            b'P' => {
                let position = bytes.position();
                let key = Value::Text(bytes.line()?.to_owned());
                let key = self.values.add(key);
                let value = self.resolve(key).map_err(|problem| Fault { position, problem })?;
                self.stack.push(value);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.push(value);
        Ok(true)
    }

    /// Instructions that work on the stack alone.
    fn step(&mut self, opcode: u8, bytes: &Bytes<'_>) -> Result<(), String> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(items));
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Value::Dict(pairs));
            }
            b'a' => {
                let item = self.pop_many(1)?;
                self.append(item)?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(&items)?;
            }
            0x91 => {
                self.pop_mark()?;
                self.push(Value::Opaque);
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let (Some(module), Some(name)) = (self.values.text(names[0]), self.values.text(names[1])) else {
                    return Err("a class without a name".to_owned());
                };
                if module.len() + name.len() > LONGEST_NAME {
                    return Err(format!("a class whose name has {} bytes", module.len() + name.len()));
                }
                let global = Value::Global(format!("{module} {name}"));
                self.push(global);
            }
            b'R' | 0x81 => {
                let call = self.pop_many(2)?;
                let value = calls::call(self.values, call[0], call[1])?;
                self.stack.push(value);
            }
            0x92 => {
                let call = self.pop_many(3)?;
                let value = calls::call(self.values, call[0], call[1])?;
                self.stack.push(value);
            }
            b'b' => {
                // State of an object made before. What we make has none; attributes of an ordered dictionary (a module's
                // `_metadata`) and of opaque values are of no use here.
                self.pop()?;
                let object = *self.stack.last().ok_or("state for an object where there is none")?;
                if !matches!(self.values.get(object), Value::Dict(_) | Value::Opaque) {
                    return Err("state for something that has none".to_owned());
                }
            }
            b'Q' => {
                let key = self.pop()?;
                let value = self.resolve(key)?;
                self.stack.push(value);
            }
            b'i' | b'o' => {
                return Err("asks to build an object of an old-style class, expected tensors only".to_owned());
            }
            _ => return Err(format!("unknown pickle instruction 0x{opcode:02x} before byte {}", bytes.position())),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        let id = self.values.add(value);
        self.stack.push(id);
    }

    /// Values above the last mark are not to be popped past it.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Result<Id, String> {
        if self.stack.len() <= self.floor() {
            return Err("takes a value from an empty stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "takes a value from an empty stack".to_owned())
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(count).filter(|&s| s >= self.floor());
        start.map(|s| self.stack.split_off(s)).ok_or_else(|| format!("takes {count} values from a shorter stack"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("takes values up to a mark that is not there")?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = *self.stack.last().ok_or("appends to nothing")?;
        match self.values.get_mut(list) {
            Value::List(list) => list.extend(items),
            Value::Opaque => {} // a set
            _ => return Err("appends to something that is not a list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let new = pairs(items)?;
        let dict = *self.stack.last().ok_or("sets entries of nothing")?;
        match self.values.get_mut(dict) {
            Value::Dict(dict) => dict.extend(new),
            Value::Opaque => {}
            _ => return Err("sets entries of something that is not a dictionary".to_owned()),
        }
        Ok(())
    }

    fn resolve(&mut self, key: Id) -> Result<Id, String> {
        let value = match self.persistent {
            Persistent::Nothing => return Err("refers to data outside, expected none here".to_owned()),
            Persistent::Storages => Value::Storage(self.storage(key)?),
            Persistent::Tensors(tensors) => match self.values.get(key) {
                Value::Text(key) => match tensors.get(key) {
                    Some(tensor) => Value::Tensor(tensor.clone()),
                    None => return Err(format!("refers to tensor {key:.64}, which the file does not hold")),
                },
                _ => return Err("refers to a tensor by something that is not text".to_owned()),
            },
        };
        Ok(self.values.add(value))
    }

    fn storage(&self, key: Id) -> Result<Storage, String> {
        let Value::Tuple(items) = self.values.get(key) else {
            return Err("refers to outside data by something that is not a tuple".to_owned());
        };
        let [kind, class, key, _location, length, rest @ ..] = items.as_slice() else {
            return Err(format!("refers to outside data by {} values, expected 5 or 6", items.len()));
        };
        let (Some("storage"), Value::Global(class)) = (self.values.text(*kind), self.values.get(*class)) else {
            return Err("refers to outside data that is not a storage".to_owned());
        };
        let name = class.strip_prefix("torch ").or(class.strip_prefix("torch.cuda ")).unwrap_or_default();
        let dtype = Dtype::of_storage(name).ok_or_else(|| format!("numbers of unknown kind: {class}"))?;
        let (Some(key), Some(length)) = (self.values.text(*key), self.values.size(*length)) else {
            return Err("a storage without key or length".to_owned());
        };
        if key.len() > LONGEST_NAME {
            return Err(format!("a storage whose key has {} bytes", key.len()));
        }
        let view = rest.first().map(|&view| self.values.get(view));
        let start = match view {
            None | Some(Value::None) => 0,
            Some(Value::Tuple(view)) if view.len() == 3 => {
                self.values.size(view[1]).ok_or("a view of a storage without its start")?
            }
            Some(_) => return Err("a view of a storage that is not described by three values".to_owned()),
        };
        Ok(Storage { key: key.to_owned(), dtype, length, start })
    }
}

/// Little-endian two's complement.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

/// Strings of Python 2 may hold any bytes; those that are no text are none of ours.
fn python_text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or(Value::Opaque, |text| Value::Text(text.to_owned()))
}

fn index(bytes: &mut Bytes<'_>) -> Result<u64, Fault> {
    let position = bytes.position();
    let line = bytes.line()?;
    line.parse().map_err(|_| Fault { position, problem: format!("{line:?} is not a number") })
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    if !items.len().is_multiple_of(2) {
        return Err("a dictionary entry without its value".to_owned());
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}
