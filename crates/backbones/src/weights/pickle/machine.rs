//! The stack machine.

use std::collections::HashMap;

use super::{
    bytes::{Bytes, Fault},
    calls,
    literals::literal,
    persistent::Persistent,
    value::{Id, Items, Object, Value, Values},
};

/// Runs one pickle up to its end; returns its result. `values` receives all values.
pub(crate) fn load<'f>(
    bytes: &mut Bytes<'f>,
    persistent: Persistent<'_, 'f>,
    values: &mut Values<'f>,
) -> Result<Id, Fault> {
    let machine = Machine { values, persistent, stack: Vec::new(), marks: Vec::new(), memo: Memo::default() };
    machine.run(bytes)
}

struct Machine<'v, 'p, 'f> {
    values: &'v mut Values<'f>,
    persistent: Persistent<'p, 'f>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks were set.
    marks: Vec<u32>,
    memo: Memo,
}

/// Remembered values by their slots, which pickles number from 0 on.
#[derive(Default)]
struct Memo {
    first: Vec<Id>,
    others: HashMap<u64, Id>,
}

impl Memo {
    fn insert(&mut self, slot: u64, id: Id) {
        let length = self.first.len() as u64;
        if slot == length {
            self.first.push(id);
        } else if let Some(place) = usize::try_from(slot).ok().and_then(|slot| self.first.get_mut(slot)) {
            *place = id;
        } else {
            self.others.insert(slot, id);
        }
    }

    fn get(&self, slot: u64) -> Option<Id> {
        let first = usize::try_from(slot).ok().and_then(|slot| self.first.get(slot));
        first.or_else(|| self.others.get(&slot)).copied()
    }

    fn len(&self) -> u64 {
        (self.first.len() + self.others.len()) as u64
    }
}

impl<'f> Machine<'_, '_, 'f> {
    fn run(mut self, bytes: &mut Bytes<'f>) -> Result<Id, Fault> {
        loop {
            let position = bytes.position();
            let opcode = bytes.u8()?;
            self.values.instructions += 1;
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

    /// Instructions followed by bytes that are not literals: the protocol, the memo, names, and persistent ids as text.
    fn read(&mut self, opcode: u8, bytes: &mut Bytes<'f>) -> Result<bool, Fault> {
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
                    _ => self.memo.len(),
                };
                let top = self
                    .top()
                    .map_err(|_| Fault { position, problem: "remembers a value where there is none".to_owned() })?;
                self.memo.insert(slot, top);
            }
            b'g' | b'h' | b'j' => {
                let position = bytes.position();
                let slot = match opcode {
                    b'g' => index(bytes)?,
                    b'h' => u64::from(bytes.u8()?),
                    _ => u64::from(bytes.u32()?),
                };
                let Some(id) = self.memo.get(slot) else {
                    return Err(Fault {
                        position,
                        problem: format!("recalls value {slot}, which was never remembered"),
                    });
                };
                self.stack.push(id);
            }
            b'P' => {
                let position = bytes.position();
                let key = self.values.add(Value::Text(bytes.line()?));
                let value = self.resolve(key).map_err(|problem| Fault { position, problem })?;
                self.stack.push(value);
            }
            b'c' => {
                let names = [bytes.line()?, bytes.line()?].map(|name| self.values.add(Value::Text(name)));
                self.push(Value::Global(names[0], names[1]));
            }
            b'i' => {
                let position = bytes.position();
                let names = [bytes.line()?, bytes.line()?].map(|name| self.values.add(Value::Text(name)));
                let class = self.values.add(Value::Global(names[0], names[1]));
                let arguments = self.pop_mark().map_err(|problem| Fault { position, problem })?;
                self.object(class, arguments);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Instructions that work on the stack alone.
    fn step(&mut self, opcode: u8, bytes: &Bytes<'_>) -> Result<(), String> {
        match opcode {
            b'(' => self.marks.push(self.stack.len() as u32),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b']' => self.stack.push(Id::NEW_LIST),
            b'}' => self.stack.push(Id::NEW_DICT),
            0x8f => self.push(Value::Opaque), // a set
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items.into()));
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push(Value::Tuple(items.into()));
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Value::List(Items::new(items)));
            }
            b'd' => {
                let items = self.pop_mark()?;
                let pairs = pairs(&items)?;
                self.push(Value::Dict(Items::new(pairs)));
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
                if names.iter().any(|&name| self.values.text(name).is_none()) {
                    return Err("a class without a name".to_owned());
                }
                self.push(Value::Global(names[0], names[1]));
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
                // The state of an object is not needed; attributes of an ordered dictionary (a module's `_metadata`) and of
                // a tensor are not either.
                let state = self.pop()?;
                let object = self.top()?;
                if let Value::Object(object) = self.values.get_mut(object) {
                    object.parts.push(state);
                }
            }
            b'Q' => {
                let key = self.pop()?;
                let value = self.resolve(key)?;
                self.stack.push(value);
            }
            b'o' => {
                let items = self.pop_mark()?;
                let (&class, arguments) = items.split_first().ok_or("an object without a class")?;
                self.object(class, arguments.to_vec());
            }
            _ => return Err(format!("unknown pickle instruction 0x{opcode:02x} before byte {}", bytes.position())),
        }
        Ok(())
    }

    fn push(&mut self, value: Value<'f>) {
        let id = self.values.add(value);
        self.stack.push(id);
    }

    /// An object of an old-style class.
    fn object(&mut self, class: Id, parts: Vec<Id>) {
        self.push(Value::Object(Box::new(Object { class: Some(class), parts, entries: Vec::new() })));
    }

    /// The value on top, which stays there and may be changed or referred to again.
    fn top(&mut self) -> Result<Id, String> {
        let top = self.stack.last_mut().ok_or("asks for a value where there is none")?;
        *top = self.values.settled(*top);
        Ok(*top)
    }

    /// Height of the last mark; values below it must not be popped.
    fn floor(&self) -> usize {
        self.marks.last().map_or(0, |&mark| mark as usize)
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
        Ok(self.stack.split_off(mark as usize))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match self.values.get_mut(list) {
            Value::List(list) => list.extend(items),
            Value::Object(object) => object.parts.extend(items),
            Value::Opaque => {} // a set
            _ => return Err("appends to something that is not a list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let new = pairs(items)?;
        let dict = self.top()?;
        match self.values.get_mut(dict) {
            Value::Dict(dict) => dict.extend(new),
            Value::Object(object) => object.entries.extend(new),
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
