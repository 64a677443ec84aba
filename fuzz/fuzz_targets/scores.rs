#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(moco_cxr_fuzz::target("scores")(bytes)));
