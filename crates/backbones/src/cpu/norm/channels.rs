//! Feature maps `[B, C, H, W]` by channel: one work item is a channel of a group of images.
//!
//! Letters: B batch, C channels; a plane is one channel of one image.

use std::ops::Range;

/// Channels that are read, in one tensor or in several that follow each other.
#[derive(Debug)]
pub(super) struct Channels<'a, T> {
    pieces: Vec<(&'a [T], usize)>,
    /// Piece, and channel in it, of each channel.
    places: Vec<(usize, usize)>,
    /// Elements of a plane.
    plane: usize,
}

impl<'a, T> Channels<'a, T> {
    /// From the values `[B, c, plane]` and the number `c` of channels of each piece.
    pub(super) fn new(pieces: Vec<(&'a [T], usize)>, plane: usize) -> Self {
        let places = pieces.iter().enumerate().flat_map(|(piece, &(_, c))| (0..c).map(move |channel| (piece, channel)));
        let places = places.collect();
        Self { pieces, places, plane }
    }

    /// Channels of all pieces.
    pub(super) fn count(&self) -> usize {
        self.places.len()
    }

    pub(super) fn elements(&self) -> usize {
        self.plane
    }

    /// The piece of a channel, and its number in it.
    pub(super) fn place(&self, channel: usize) -> (usize, usize) {
        self.places[channel]
    }

    #[inline(always)]
    pub(super) fn plane(&self, image: usize, channel: usize) -> &'a [T] {
        let (piece, channel) = self.places[channel];
        let (values, channels) = self.pieces[piece];
        &values[(image * channels + channel) * self.plane..][..self.plane]
    }
}

/// One channel of a group of images.
#[derive(Debug)]
pub(super) struct Channel<'a, T> {
    pub(super) maps: &'a Channels<'a, T>,
    pub(super) channel: usize,
    pub(super) images: Range<usize>,
}

impl<'a, T> Channel<'a, T> {
    #[inline(always)]
    pub(super) fn planes(&self) -> impl Iterator<Item = &'a [T]> {
        self.images.clone().map(|image| self.maps.plane(image, self.channel))
    }
}

/// Planes to be written, channel by channel and in a channel image by image; with groups of `n` images, every `n` of them
/// are a work item, those of one channel beside each other.
pub(super) fn by_channel<T>(values: &mut [T], channels: usize, plane: usize) -> Vec<&mut [T]> {
    let images = values.chunks_mut(channels * plane);
    let mut images: Vec<_> = images.map(|image| image.chunks_mut(plane)).collect();
    let mut planes = Vec::with_capacity(images.len() * channels);
    for _ in 0..channels {
        planes.extend(images.iter_mut().filter_map(Iterator::next));
    }
    planes
}
