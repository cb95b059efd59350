//! Large scratch values that are used again instead of allocated again: decoded pictures and tensors.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use models::image::{Image, PixelFormat};

/// Keeps at most `keep` idle values. Unlike a [`FramePool`](crate::frame::FramePool) it never refuses: how many are in use
/// is bounded by the line's queues.
pub struct Recycler<T>(Arc<Shelf<T>>);

struct Shelf<T> {
    idle: Mutex<Vec<T>>,
    keep: usize,
}

impl<T> Shelf<T> {
    fn idle(&self) -> MutexGuard<'_, Vec<T>> {
        // A push or a pop leaves the list whole even if a thread dies right after it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Recycler<T> {
    fn clone(&self) -> Self {
        Recycler(self.0.clone())
    }
}

impl<T> Recycler<T> {
    /// Keeps at most `keep` idle values.
    pub fn new(keep: usize) -> Self {
        Recycler(Arc::new(Shelf { idle: Mutex::new(Vec::with_capacity(keep)), keep }))
    }

    /// A used value, contents and all, or a fresh one.
    pub fn take(&self, fresh: impl FnOnce() -> T) -> Recycled<T> {
        let used = self.0.idle().pop();
        Recycled { value: Some(used.unwrap_or_else(fresh)), home: Some(self.0.clone()) }
    }

    /// Idle values.
    pub fn idle(&self) -> usize {
        self.0.idle().len()
    }
}

/// A value that goes back to its [`Recycler`] when dropped.
pub struct Recycled<T> {
    value: Option<T>,
    home: Option<Arc<Shelf<T>>>,
}

const FULL: &str = "only `drop` takes the value out";

impl<T> From<T> for Recycled<T> {
    /// A value without a home: it is simply dropped.
    fn from(value: T) -> Self {
        Recycled { value: Some(value), home: None }
    }
}

impl<T> Deref for Recycled<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value.as_ref().expect(FULL)
    }
}

impl<T> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect(FULL)
    }
}

impl<T> Drop for Recycled<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(home)) = (self.value.take(), &self.home) {
            let mut idle = home.idle();
            if idle.len() < home.keep {
                idle.push(value);
            }
        }
    }
}

/// The scratch values of one line. Cloning gives another handle on the same ones.
#[derive(Clone)]
pub struct Buffers {
    images: Recycler<Image>,
    tensors: Recycler<Vec<f32>>,
}

impl Buffers {
    /// Keeps at most `keep` idle values of each kind.
    pub fn new(keep: usize) -> Buffers {
        Buffers { images: Recycler::new(keep), tensors: Recycler::new(keep) }
    }

    /// A picture to decode into; what it shows is of no meaning.
    pub fn image(&self) -> Recycled<Image> {
        self.images.take(|| Image { width: 0, height: 0, format: PixelFormat::Mono8, data: Vec::new() })
    }

    /// A tensor of `len` values to fill; what it holds is of no meaning.
    pub fn tensor(&self, len: usize) -> Recycled<Vec<f32>> {
        let mut tensor = self.tensors.take(|| Vec::with_capacity(len));
        tensor.resize(len, 0.0);
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_is_used_again() {
        let buffers = Buffers::new(1);
        let first = buffers.tensor(100);
        let place = first.as_ptr();
        drop(first);
        let again = buffers.tensor(100);
        assert_eq!(again.as_ptr(), place);
        assert_eq!(again.len(), 100);
    }

    #[test]
    fn no_more_are_kept_than_asked_for() {
        let recycler = Recycler::new(2);
        let taken: Vec<_> = (0..5).map(|_| recycler.take(String::new)).collect();
        drop(taken);
        assert_eq!(recycler.idle(), 2);
    }
}
