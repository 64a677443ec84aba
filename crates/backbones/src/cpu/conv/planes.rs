//! Padded planes of the source of [`Shifts`], and where the pixels under consecutive positions lie in them.

use std::ops::Range;

use rayon::prelude::*;

use super::shifts::Shifts;
use crate::cpu::{
    Real,
    kernel::Run,
    memory::{Buffer, Values},
};

/// Padded planes of some channels of some images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes<'a, T> {
    pub(super) data: &'a [T],
    /// Distance of images.
    pub(super) image: usize,
}

/// Consecutive positions of one row of a grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) column: usize,
    pub(super) image: usize,
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) length: usize,
}

impl Shifts {
    /// Elements of the planes of a channel.
    pub(super) fn channel(&self) -> usize {
        self.phases[0] * self.phases[1] * self.plane[0] * self.plane[1]
    }

    /// Whether the planes are the source itself.
    fn is_source(&self) -> bool {
        self.before == [0, 0] && self.stride == 1 && self.plane == self.source[1..]
    }

    /// The padded planes of `channels` of `images`.
    pub(super) fn planes<'a, T: Real>(
        &self,
        x: &'a [T],
        images: Range<usize>,
        channels: Range<usize>,
        buffer: &'a mut Buffer<T>,
    ) -> Planes<'a, T> {
        let [all, height, width] = self.source;
        let size = height * width;
        if self.is_source() {
            let data = &x[(images.start * all + channels.start) * size..images.end * all * size];
            return Planes { data, image: all * size };
        }
        buffer.grow(images.len() * channels.len() * self.channel());
        let sources = images.flat_map(|n| channels.clone().map(move |c| n * all + c));
        for (source, planes) in sources.zip(buffer.chunks_exact_mut(self.channel())) {
            planes.fill(T::zero());
            self.pad(&x[source * size..][..size], planes);
        }
        Planes { data: buffer, image: channels.len() * self.channel() }
    }

    /// The padded planes of all channels of all images, made by all threads.
    pub(super) fn all_planes<'a, T: Real>(&self, x: &'a [T]) -> Values<'a, T> {
        if self.is_source() {
            return Values::There(x);
        }
        let size = self.source[1] * self.source[2];
        let mut buffer = Buffer::scratch(x.len() / size * self.channel());
        let planes = buffer.par_chunks_exact_mut(self.channel()).with_min_len(64);
        planes.zip(x.par_chunks_exact(size)).for_each(|(planes, source)| {
            planes.fill(T::zero());
            self.pad(source, planes);
        });
        Values::Made(buffer)
    }

    /// Sorts one channel into its planes, which hold zeros.
    fn pad<T: Real>(&self, source: &[T], planes: &mut [T]) {
        let [_, height, width] = self.source;
        let [rows, columns] = self.plane;
        for (phase, plane) in planes.chunks_exact_mut(rows * columns).enumerate() {
            let (py, px) = (phase / self.phases[1], phase % self.phases[1]);
            let (inside, from) = self.inside(px, 1, columns, width);
            if inside.is_empty() {
                continue;
            }
            let (inside_rows, mut y) = self.inside(py, 0, rows, height);
            for to in plane.chunks_exact_mut(columns).take(inside_rows.end).skip(inside_rows.start) {
                let line = &source[y * width + from..(y + 1) * width];
                let to = &mut to[inside.clone()];
                if self.stride == 1 {
                    to.copy_from_slice(&line[..to.len()]);
                } else {
                    for (to, from) in to.iter_mut().zip(line.iter().step_by(self.stride)) {
                        *to = *from;
                    }
                }
                y += self.stride;
            }
        }
    }

    /// `channels` of `images` in the result of [`Self::all_planes`].
    pub(super) fn of<'a, T>(&self, all: &'a [T], images: &Range<usize>, channels: &Range<usize>) -> Planes<'a, T> {
        let image = self.source[0] * self.channel();
        let data = &all[images.start * image + channels.start * self.channel()..images.end * image];
        Planes { data, image }
    }

    /// Rows (or columns) of a phase's plane that hold pixels, and the pixel in the first of them.
    fn inside(&self, phase: usize, axis: usize, length: usize, pixels: usize) -> (Range<usize>, usize) {
        // Real `i` of the plane is pixel `i * stride + phase - before`.
        let (stride, start) = (self.stride as isize, phase as isize - self.before[axis]);
        let first = (-start).max(0).div_euclid(stride) + isize::from((-start).max(0) % stride != 0);
        let end = (pixels as isize - start + stride - 1).div_euclid(stride).clamp(0, length as isize).max(first);
        let first = first.min(length as isize);
        let end = end.min(length as isize);
        (first as usize..end as usize, (first * stride + start).max(0) as usize)
    }

    /// Rows of the grid that `columns` covers, columns counting positions over images: the first column, image, row and x
    /// of each, and how many positions.
    pub(super) fn lines(&self, columns: Range<usize>) -> impl Iterator<Item = Line> {
        let (width, positions) = (self.grid[1], self.positions());
        let mut next = columns.start;
        std::iter::from_fn(move || {
            let column = next;
            let (image, position) = (column / positions, column % positions);
            let x = position % width;
            next = (column + width - x).min(columns.end);
            (column < columns.end).then_some(Line { column, image, y: position / width, x, length: next - column })
        })
    }

    /// Adds the vectors to copy for `columns`, from images `image` apart, to `to` and the columns behind it.
    pub(super) fn runs(&self, columns: Range<usize>, image: usize, lanes: usize, to: usize, runs: &mut Vec<Run>) {
        let mut last: Option<(usize, usize)> = None;
        for line in self.lines(columns.clone()) {
            let source = line.image * image + line.y * self.plane[1] + line.x;
            let column = line.column - columns.start;
            // Rows that follow one another in the planes too are one run.
            let covered = match last {
                Some((end, next)) if next == source => end - column,
                _ => 0,
            };
            let mut at = covered;
            while at < line.length {
                runs.push(Run { column: to + column + at, source: source + at });
                at += lanes;
            }
            last = Some((column + at, source + line.length));
        }
    }
}
