//! The stack machine.

use std::collections::HashMap;

use super::{
    bytes::{Bytes, Fault},
    calls,
    literals::literal,
    persistent::{LONGEST_NAME, Persistent},
    value::{Id, Value, Values},
};

/// Runs one pickle up to its end; returns its result. `values` receives all values.
pub(crate) fn load(bytes: &mut Bytes<'_>, persistent: Persistent<'_>, values: &mut Values) -> Result<Id, Fault> {
    let machine = Machine { values, persistent, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    machine.run(bytes)
}

struct Machine<'v, 'p> {
    values: &'v mut Values,
    persistent: Persistent<'p>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks were set.
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
            if let Some(value) = literal(opcode, bytes)? {
                self.push(value);
            } else if !self.read(opcode, bytes)? {
                self.step(opcode, bytes).map_err(|problem| Fault { position, problem })?;
            }
        }
    }

    /// Instructions followed by bytes that are not literals: the protocol, the memo, and persistent ids as text.
    fn read(&mut self, opcode: u8, bytes: &mut Bytes<'_>) -> Result<bool, Fault> {
        match opcode {
            // Protocol and frame: only skip their arguments.
            0x80 => drop(bytes.u8()?),
            0x95 => drop(bytes.u64()?),
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
            }
            b'P' => {
                let position = bytes.position();
                let key = Value::Text(bytes.line()?.to_owned());
                let key = self.values.add(key);
                let value = self.resolve(key).map_err(|problem| Fault { position, problem })?;
                self.stack.push(value);
            }
            _ => return Ok(false),
        }
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
                // Sets the state of an object. Our values have none; attributes of an ordered dictionary (a module's
                // `_metadata`) and of opaque values are not needed.
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

    /// Height of the last mark; values below it must not be popped.
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
        let value = self.persistent.resolve(self.values, key)?;
        Ok(self.values.add(value))
    }
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
