//! Tiles of 2x2 pixels of the result, and of 4x4 of the source around them, in groups that a task works on.

use std::ops::Range;

use crate::cpu::{
    Real,
    conv::geometry::Geometry,
    kernel::{Kernels, Transform},
    memory::Buffer,
};

/// Channels turned at a time, so that their pixels stay in the second cache.
const TURNED: usize = 64;

/// The tiles of all images: groups are some images, or some rows of tiles of one.
pub(super) struct Tiles {
    batch: usize,
    height: usize,
    width: usize,
    /// Rows of tiles of an image, and of a group.
    rows: usize,
    group_rows: usize,
    group_images: usize,
}

/// Rows of tiles of some images.
pub(super) struct Group {
    pub(super) images: Range<usize>,
    rows: Range<usize>,
    height: usize,
    width: usize,
}

impl Tiles {
    /// Aims at some number of groups of some number of tiles, from the fewest to the most.
    pub(super) fn new(g: &Geometry, groups: usize, [fewest, most]: [usize; 2]) -> Self {
        let (rows, columns) = (g.height.div_ceil(2), g.width.div_ceil(2));
        let image = rows * columns;
        let aim = (g.batch * image / groups).clamp(fewest, most);
        let images = (aim / image).clamp(1, g.batch.max(1));
        // As many images in one group as in the next.
        let group_images = g.batch.div_ceil(g.batch.div_ceil(images));
        let pieces = ((image + aim / 2) / aim).max(1);
        Self { batch: g.batch, height: g.height, width: g.width, rows, group_rows: rows.div_ceil(pieces), group_images }
    }

    fn pieces(&self) -> usize {
        self.rows.div_ceil(self.group_rows)
    }

    pub(super) fn groups(&self) -> usize {
        self.batch.div_ceil(self.group_images) * self.pieces()
    }

    /// Pixels of a plane that belong to one group.
    pub(super) fn part(&self) -> usize {
        2 * self.group_rows * self.width
    }

    pub(super) fn group_of(&self, image: usize, piece: usize) -> usize {
        image / self.group_images * self.pieces() + piece
    }

    pub(super) fn group(&self, index: usize) -> Group {
        let image = index / self.pieces() * self.group_images;
        let row = index % self.pieces() * self.group_rows;
        Group {
            images: image..self.batch.min(image + self.group_images),
            rows: row..self.rows.min(row + self.group_rows),
            height: self.height,
            width: self.width,
        }
    }
}

impl Group {
    pub(super) fn tiles(&self) -> usize {
        self.images.len() * self.rows.len() * self.width.div_ceil(2)
    }

    /// Rows of pixels of the result.
    fn lines(&self) -> Range<usize> {
        2 * self.rows.start..self.height.min(2 * self.rows.end)
    }

    /// Pixels of the result in an image.
    pub(super) fn length(&self) -> usize {
        self.lines().len() * self.width
    }

    /// Where the 2x2 pixels of every tile lie in `[pixel, channel]`; those beyond the edge behind all others.
    pub(super) fn targets(&self, channels: usize) -> Vec<usize> {
        let beyond = self.images.len() * self.length();
        self.table::<2>(self.lines(), 0, channels, [0, beyond])
    }

    /// How [`Self::turn`] lays out the source of the 4x4 pixels of every tile, for so many channels at a time.
    pub(super) fn input(&self, channels: usize) -> Pixels {
        let lines = self.lines();
        let lines = lines.start.saturating_sub(1)..self.height.min(lines.end + 1);
        let row = TURNED.min(channels);
        let starts = self.table::<4>(lines.clone(), 1, row, [1, 0]);
        Pixels { transform: Transform::Input, lines, row, starts }
    }

    /// As [`Self::input`], of the 2x2 pixels of the output's gradient.
    pub(super) fn grad(&self, channels: usize) -> Pixels {
        let row = TURNED.min(channels);
        let starts = self.table::<2>(self.lines(), 0, row, [1, 0]);
        Pixels { transform: Transform::OutputGrad, lines: self.lines(), row, starts }
    }

    /// Where the `SIDE` x `SIDE` pixels of every tile, from `before` its first one on, lie in `[pixel, channel]` of some lines of
    /// the images: the pixel `first` is the first of them, `beyond` stands for all that are not in the image.
    fn table<const SIDE: usize>(
        &self,
        lines: Range<usize>,
        before: usize,
        channels: usize,
        [first, beyond]: [usize; 2],
    ) -> Vec<usize> {
        const NOWHERE: usize = usize::MAX;
        let offsets = |start: usize, inside: &Range<usize>, step: usize| -> [usize; SIDE] {
            std::array::from_fn(|i| match (start + i).checked_sub(before) {
                Some(at) if inside.contains(&at) => (at - inside.start) * step,
                _ => NOWHERE,
            })
        };
        let columns = self.width.div_ceil(2);
        let columns: Vec<_> = (0..columns).map(|column| offsets(2 * column, &(0..self.width), channels)).collect();
        let mut table = Vec::with_capacity(self.tiles() * SIDE * SIDE);
        for image in 0..self.images.len() {
            let start = (first + image * lines.len() * self.width) * channels;
            for row in self.rows.clone() {
                let ys = offsets(2 * row, &lines, self.width * channels);
                for xs in &columns {
                    for y in ys {
                        let at =
                            |x: usize| if x == NOWHERE || y == NOWHERE { beyond * channels } else { start + y + x };
                        table.extend(xs.map(at));
                    }
                }
            }
        }
        table
    }

    /// Maps the pixels of every tile for `channels` of `all` of the source; the 16 results of a tile begin at `ends`.
    pub(super) fn map<T: Real>(
        &self,
        kernels: &Kernels<T>,
        pixels: &Pixels,
        source: &[T],
        (channels, all): (Range<usize>, usize),
        (to, ends): (&mut [T], &[usize]),
        buffer: &mut Buffer<T>,
    ) {
        let Pixels { transform, lines, row, starts } = pixels;
        let size = self.height * self.width;
        let length = lines.len() * self.width;
        buffer.grow((1 + self.images.len() * length) * row);
        // The first pixel stands for those beyond the edge.
        buffer[..*row].fill(T::zero());
        for first in channels.clone().step_by(*row) {
            let used = (*row).min(channels.end - first);
            for (i, image) in self.images.clone().enumerate() {
                let from = &source[(image * all + first) * size + lines.start * self.width..];
                kernels.transpose(from, size, &mut buffer[(1 + i * length) * row..], *row, [used, length]);
            }
            kernels.transform(*transform, (buffer, starts), (&mut to[first - channels.start..], ends), used);
        }
    }
}

/// Pixels of some lines of a group as `[pixel, channel]`, behind one that stands for those beyond the edge.
pub(super) struct Pixels {
    transform: Transform,
    lines: Range<usize>,
    /// Channels.
    row: usize,
    /// Where the pixels of every tile begin.
    starts: Vec<usize>,
}
