//! Memory stays in proportion to the file, whatever its pickle does. One test, because it measures the whole process.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::fs;

use backbones::WeightFile;

/// `torch.save`'s legacy form around a pickle of ours, with no storages.
fn legacy(pickle: Vec<u8>) -> Vec<u8> {
    let start =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.";
    [start.to_vec(), pickle, b"\x80\x02].".to_vec()].concat()
}

/// A pickle whose instructions are repeated up to `size` bytes.
fn repeated(before: &[u8], again: &[u8], after: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = before.to_vec();
    (0..size / again.len()).for_each(|_| bytes.extend(again));
    bytes.extend(after);
    bytes
}

/// Largest resident size in bytes since [`reset`]; only Linux says.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

fn reset() -> Option<()> {
    fs::write("/proc/self/clear_refs", "5").ok()
}

/// 30 MB of empty lists took 3.8 GB before; they may take ten times the file now, the file included, and nothing that an
/// instruction does more than forty times its bytes.
#[test]
fn memory_is_in_proportion_to_the_file() {
    if reset().is_none() || peak().is_none() {
        println!("skipped: this system does not say how much memory a process takes");
        return;
    }
    let long_text = [b"\x80\x04U\xff", &[b'n'; 255][..], b"q\x00]("].concat();
    let cases: [(&str, Vec<u8>, usize, u64); 14] = [
        ("empty lists on the stack", repeated(b"\x80\x02}", b"]", b"0.", 30 << 20), 30 << 20, 10),
        ("empty lists in a list", repeated(b"\x80\x02](", b"]", b"e.", 30 << 20), 30 << 20, 20),
        ("marks", repeated(b"\x80\x02", b"(", b"].", 8 << 20), 8 << 20, 10),
        ("nothings", repeated(b"\x80\x02](", b"N", b"e.", 8 << 20), 8 << 20, 20),
        ("small numbers", repeated(b"\x80\x02](", b"K\x07", b"e.", 8 << 20), 8 << 20, 20),
        ("large numbers", repeated(b"\x80\x02](", b"M\xff\xff", b"e.", 8 << 20), 8 << 20, 30),
        ("remembered lists", repeated(b"\x80\x04](", b"]\x94", b"e.", 8 << 20), 8 << 20, 40),
        ("remembered in one place", repeated(b"\x80\x02](", b"]q\x00", b"e.", 8 << 20), 8 << 20, 40),
        ("lists of one", repeated(b"\x80\x02](", b"]Na", b"e.", 8 << 20), 8 << 20, 40),
        ("dictionaries of one", repeated(b"\x80\x02](", b"}NNs", b"e.", 8 << 20), 8 << 20, 40),
        ("tuples of one", repeated(b"\x80\x02](", b"N\x85", b"e.", 8 << 20), 8 << 20, 40),
        ("calls", repeated(b"\x80\x02cm\nf\nq\x00](", b"h\x00)R", b"e.", 8 << 20), 8 << 20, 40),
        ("names", repeated(&long_text, b"h\x00h\x00\x93", b"e.", 8 << 20), 8 << 20, 40),
        ("numbers in a dictionary", repeated(b"\x80\x02}X\x01\x00\x00\x00a](", b"K\x07", b"es.", 8 << 20), 8 << 20, 20),
    ];
    for (name, pickle, size, times) in cases {
        let file = legacy(pickle);
        reset();
        let before = peak().unwrap_or(0);
        let opened = WeightFile::from_bytes("bomb.pth", file);
        let taken = peak().unwrap_or(0).saturating_sub(before);
        println!("{name}: {:.1} times the file", taken as f64 / size as f64);
        assert!(taken <= times * size as u64, "{name}: {taken} bytes for {size}, {:?}", opened.err());
    }
}
