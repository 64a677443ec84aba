//! What the tests of weight files share.
#![allow(dead_code, unreachable_pub)] // not every test uses all

pub mod torch_file;
