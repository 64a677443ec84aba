//! How a device multiplies, and in which tiles.

use burn::tensor::DType;
use cubecl::{
    client::Client,
    ir::{ElemType, FloatKind, features::MmaConfig},
};

use super::place::Pass;

/// Rows and columns of a fragment, and the distance of a unit's results where units multiply.
pub(super) const SIDE: usize = 16;
/// Units of a cube.
pub(super) const UNITS: usize = 256;
/// Planes of a cube, of 32 units each.
pub(super) const PLANES: usize = 8;
/// Inner side of a step.
pub(super) const STEP: usize = 32;

/// A cube's results, and how they are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Inner side of a fragment; 0 on a device without matrix units, where units multiply.
    pub(super) fragment: usize,
    /// Elements between rows of shared memory, so that a column lies in different banks.
    pub(super) gap: usize,
}

impl Tile {
    pub(super) const fn on_matrix_units(self) -> bool {
        self.fragment > 0
    }

    pub(super) const fn planes_across(self) -> usize {
        if self.rows == 128 && self.columns == 32 { 1 } else { 2 }
    }

    /// Fragments of a plane, down and across.
    pub(super) const fn fragments(self) -> (usize, usize) {
        let across = self.planes_across();
        (self.rows / SIDE / (PLANES / across), self.columns / SIDE / across)
    }

    /// Results of a unit where units multiply, down and across: every 16th row and column.
    pub(super) const fn of_a_unit(self) -> (usize, usize) {
        (self.rows / SIDE, self.columns / SIDE)
    }

    /// Rows of the left operand in shared memory, and elements of each without the gap.
    pub(super) const fn left(self, pass: Pass) -> (usize, usize) {
        if matches!(pass, Pass::WeightGrad) { (STEP, self.rows) } else { (self.rows, STEP) }
    }

    /// [`left`](Self::left) of the right operand.
    pub(super) const fn right(self, pass: Pass) -> (usize, usize) {
        if matches!(pass, Pass::Forward) { (self.columns, STEP) } else { (STEP, self.columns) }
    }
}

/// What multiplies on a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    /// Precision of the operands in shared memory.
    pub(super) stage: ElemType,
    fragment: usize,
}

impl Units {
    /// `None` for a precision that the device's matrix units do not take in fragments of 16 by 16.
    pub(super) fn of(client: &Client, dtype: DType) -> Option<Self> {
        let properties = client.properties();
        let matmul = &properties.features.matmul;
        if matmul.cmma.is_empty() && matmul.mma.is_empty() {
            let stage = ElemType::Float(FloatKind::F32);
            return (dtype == DType::F32).then_some(Self { stage, fragment: 0 });
        }
        let (kind, fragment) = if dtype == DType::BF16 { (FloatKind::BF16, 16) } else { (FloatKind::TF32, 8) };
        let (stage, side) = (ElemType::Float(kind), SIDE as u32);
        let sum = ElemType::Float(FloatKind::F32);
        let wanted = MmaConfig { a_type: stage, b_type: stage, cd_type: sum, m: side, n: side, k: fragment as u32 };
        let hardware = &properties.hardware;
        let planes_of_32 = hardware.plane_size_min == 32 && hardware.plane_size_max == 32;
        (planes_of_32 && matmul.cmma.contains(&wanted)).then_some(Self { stage, fragment })
    }

    /// Elements in a vector of 16 bytes, or fewer where these lengths do not divide into such; 1 where units multiply.
    pub(super) fn vector(self, dtype: DType, lengths: &[usize]) -> usize {
        let most = if self.fragment == 0 { 1 } else { 16 / dtype.size() };
        let divides = |n: &usize| *n <= most && lengths.iter().all(|length| length.is_multiple_of(*n));
        [8, 4, 2].into_iter().find(divides).unwrap_or(1)
    }

    /// The tile for a product of so many rows and columns.
    pub(super) fn tile(self, dtype: DType, rows: usize, columns: usize) -> Tile {
        let tall = self.fragment > 0 && rows > 64;
        let wide = self.fragment > 0 && columns.is_multiple_of(128);
        Tile {
            rows: if tall { 128 } else { 64 },
            columns: if wide && tall {
                128
            } else if columns > 32 {
                64
            } else {
                32
            },
            fragment: self.fragment,
            gap: if self.fragment > 0 { 16 / dtype.size() } else { 1 },
        }
    }
}
