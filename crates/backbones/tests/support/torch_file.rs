//! Writes files as `torch.save` does, to give tests the layouts of other tools.
#![allow(clippy::unwrap_used, missing_docs)]

use backbones::{Arch, layout};

/// A value of a checkpoint.
#[derive(Debug, Clone)]
pub enum Item {
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Item>),
    Dict(Vec<(String, Item)>),
    /// Shape, one number for all elements, and places with other numbers.
    Tensor(Vec<usize>, f32, Vec<(usize, f32)>),
    /// Module and name of a class, and the state of its object.
    Object(&'static str, &'static str, Box<Item>),
}

impl Item {
    pub fn dict(entries: Vec<(&str, Item)>) -> Self {
        Self::Dict(entries.into_iter().map(|(name, item)| (name.to_owned(), item)).collect())
    }

    /// Changes one number of a tensor.
    pub fn set(&mut self, place: usize, value: f32) {
        let Self::Tensor(_, _, others) = self else { panic!("no tensor") };
        others.push((place, value));
    }
}

/// All tensors of a backbone, with counters of batch normalisation and the same number everywhere.
pub fn network(arch: Arch, value: f32) -> Vec<(String, Item)> {
    layout(arch, 3, None).into_iter().map(|(name, shape)| (name, Item::Tensor(shape, value, Vec::new()))).collect()
}

/// Tensors by name, shape and the number they are full of.
pub fn named(tensors: &[(&str, &[usize], f32)]) -> Vec<(String, Item)> {
    let tensor = |&(name, shape, value): &(&str, &[usize], f32)| {
        (name.to_owned(), Item::Tensor(shape.to_vec(), value, Vec::new()))
    };
    tensors.iter().map(tensor).collect()
}

pub fn under(prefix: &str, tensors: Vec<(String, Item)>) -> Vec<(String, Item)> {
    tensors.into_iter().map(|(name, item)| (format!("{prefix}{name}"), item)).collect()
}

/// The pickle of a checkpoint, and the numbers that it refers to.
#[derive(Default)]
pub struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Vec<u8>>,
}

impl Pickle {
    /// A file of `torch.save`.
    pub fn zip(content: &Item) -> Vec<u8> {
        let mut pickle = Self { bytes: b"\x80\x02".to_vec(), storages: Vec::new() };
        pickle.item(content);
        pickle.bytes.push(b'.');
        let storages = pickle.storages.into_iter().enumerate().map(|(key, numbers)| (format!("data/{key}"), numbers));
        let entries: Vec<_> = std::iter::once(("data.pkl".to_owned(), pickle.bytes)).chain(storages).collect();
        archive(&entries)
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Int(n) => {
                self.bytes.extend(b"\x8a\x08");
                self.bytes.extend(n.to_le_bytes());
            }
            Item::Float(n) => {
                self.bytes.push(b'G');
                self.bytes.extend(n.to_be_bytes());
            }
            Item::Text(text) => self.text(text),
            Item::List(items) => {
                self.bytes.extend(b"](");
                items.iter().for_each(|item| self.item(item));
                self.bytes.push(b'e');
            }
            Item::Dict(entries) => {
                self.bytes.extend(b"}(");
                for (name, item) in entries {
                    self.text(name);
                    self.item(item);
                }
                self.bytes.push(b'u');
            }
            Item::Tensor(shape, value, others) => self.tensor(shape, *value, others),
            Item::Object(module, name, state) => {
                self.bytes.extend(format!("c{module}\n{name}\n)").bytes());
                self.bytes.push(0x81);
                self.item(state);
                self.bytes.push(b'b');
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
        self.bytes.extend(text.bytes());
    }

    fn tensor(&mut self, shape: &[usize], value: f32, others: &[(usize, f32)]) {
        let count = shape.iter().product();
        let mut numbers: Vec<f32> = vec![value; count];
        others.iter().for_each(|&(place, value)| numbers[place] = value);
        let key = self.storages.len().to_string();
        self.storages.push(numbers.iter().flat_map(|n| n.to_le_bytes()).collect());
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.text("storage");
        self.bytes.extend(b"ctorch\nFloatStorage\n");
        self.text(&key);
        self.text("cpu");
        self.item(&Item::Int(count as i64));
        self.bytes.extend(b"tQK\x00(");
        shape.iter().for_each(|&size| self.item(&Item::Int(size as i64)));
        self.bytes.extend(b"t(");
        let strides = (0..shape.len()).map(|i| shape[i + 1..].iter().product::<usize>());
        strides.for_each(|stride| self.item(&Item::Int(stride as i64)));
        self.bytes.extend(b"t\x89}tR");
    }
}

/// A zip archive of `torch.save`, without checksums.
pub fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in entries {
        let name = format!("archive/{name}");
        let start = u32::try_from(file.len()).unwrap();
        let mut facts = vec![0, 0, 0, 0, 0, 0, 0, 0]; // flags, method, time, date
        facts.extend([0; 4]); // checksum
        let size = u32::try_from(content.len()).unwrap().to_le_bytes();
        facts.extend(size);
        facts.extend(size);
        facts.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        facts.extend([0; 2]); // extra
        file.extend(b"PK\x03\x04\x14\x00");
        file.extend(&facts);
        file.extend(name.bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        directory.extend(&facts);
        directory.extend([0; 10]); // comment, disk, attributes
        directory.extend(start.to_le_bytes());
        directory.extend(name.bytes());
    }
    let start = u32::try_from(file.len()).unwrap();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    file.extend(&directory);
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    file.extend(count);
    file.extend(count);
    file.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}
