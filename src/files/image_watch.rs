//! How far a pass over images is, for whoever watches.

use std::{fmt, sync::Arc};

use ndarray::Array3;

/// Is told before every batch how many images of how many have been through a network, and at the end that all have.
///
/// It is no setting of an evaluation: any two are equal, and it is not written down.
#[derive(Clone, Default)]
pub struct ImageWatch(Option<Arc<Told>>);

type Told = dyn Fn(usize, usize) + Send + Sync;

impl ImageWatch {
    /// Calls `told` with the images done and the images of the pass; a pass begins with 0 and ends with all.
    pub fn new(told: impl Fn(usize, usize) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    /// The batches as they are, of a pass over `total` images.
    pub(crate) fn over<I, T, E>(
        &self,
        mut batches: I,
        total: usize,
    ) -> impl Iterator<Item = Result<(Array3<u8>, T), E>> + use<I, T, E>
    where
        I: Iterator<Item = Result<(Array3<u8>, T), E>>,
    {
        let (told, mut done) = (self.0.clone(), 0);
        std::iter::from_fn(move || {
            let tell = |done| told.iter().for_each(|told| told(done, total));
            tell(done);
            let batch = batches.next();
            match &batch {
                Some(Ok((images, _))) => done += images.dim().0,
                Some(Err(_)) => {}
                // A last batch that is not full may be left out.
                None => tell(total),
            }
            batch
        })
    }
}

impl PartialEq for ImageWatch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for ImageWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ImageWatch(..)" } else { "ImageWatch(nobody)" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_pass_begins_with_nothing_and_ends_with_all() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let watch = ImageWatch::new({
            let told = told.clone();
            move |done, total| told.lock().unwrap().push((done, total))
        });
        let batches = [3, 3].map(|images| Ok::<_, ()>((Array3::zeros((images, 1, 1)), ())));
        assert_eq!(watch.over(batches.into_iter(), 7).count(), 2, "the batches themselves");
        assert_eq!(*told.lock().unwrap(), [(0, 7), (3, 7), (6, 7), (7, 7)]);
    }
}
