//! Instructions that push a value whose bytes follow them, or the same one every time.

use super::{
    bytes::{Bytes, Fault},
    value::Value,
};

/// The number or text that an instruction pushes; `None` for any other instruction.
pub(super) fn literal<'f>(opcode: u8, bytes: &mut Bytes<'f>) -> Result<Option<Value<'f>>, Fault> {
    Ok(Some(match opcode {
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
        b'S' => Value::Text(bytes.line()?.trim_matches(['\'', '"'])),
        b'V' => Value::Text(bytes.line()?),
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
        b')' => Value::Tuple(Box::default()),
        _ => return Ok(None),
    }))
}

/// Little-endian two's complement.
fn long(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Opaque;
    }
    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

/// Strings of Python 2 may hold any bytes; those that are not text are not needed.
fn python_text(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Opaque, Value::Text)
}
