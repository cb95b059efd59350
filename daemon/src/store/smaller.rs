//! Pictures made smaller for those who look on. Each is made once, however many ask for it: ten screens cost the machine what one does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use models::image::{decode, encode_jpeg};

use super::evidence::{PictureError, StoredPicture};
use super::preview::shrink;

/// Pictures that are remembered, and the bytes that they may take together.
const MOST: usize = 512;
const MOST_BYTES: usize = 24 << 20;

/// A part and the longer side that was asked for.
type Key = (u64, u32);

/// See the module.
#[derive(Default)]
pub(super) struct Smaller {
    /// The oldest first.
    made: Mutex<VecDeque<(Key, StoredPicture)>>,
    /// A page asks for many small pictures at once, and each is a large one first: one at a time, so that they do not fill the memory.
    making: Mutex<()>,
}

impl Smaller {
    /// The picture that `whole` gives, with a longer side of so many pixels at most. What cannot be decoded stays as it is.
    pub(super) fn of(
        &self,
        (id, side): Key,
        whole: impl FnOnce() -> Result<StoredPicture, PictureError>,
    ) -> Result<StoredPicture, PictureError> {
        if let Some(made) = self.made((id, side)) {
            return Ok(made);
        }
        let _one = lock(&self.making);
        if let Some(made) = self.made((id, side)) {
            return Ok(made);
        }
        let picture = whole()?.at_most(side);
        let mut made = lock(&self.made);
        made.push_back(((id, side), picture.clone()));
        let mut bytes: usize = made.iter().map(|(_, picture)| picture.bytes.len()).sum();
        while made.len() > MOST || bytes > MOST_BYTES {
            let Some((_, oldest)) = made.pop_front() else { break };
            bytes -= oldest.bytes.len();
        }
        Ok(picture)
    }

    fn made(&self, key: Key) -> Option<StoredPicture> {
        // The newest are asked for most.
        lock(&self.made).iter().rev().find(|(of, _)| *of == key).map(|(_, picture)| picture.clone())
    }
}

impl StoredPicture {
    /// The same with a longer side of so many pixels at most. What cannot be decoded stays as it is.
    pub(crate) fn at_most(self, side: u32) -> StoredPicture {
        let Ok(image) = decode(&self.bytes) else { return self };
        let Some(small) = shrink(image.view(), side) else { return self };
        match encode_jpeg(small.view(), 80) {
            Ok(bytes) => StoredPicture { bytes: bytes.into(), mime: "image/jpeg", ..self },
            Err(_) => self,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use models::image::{Image, PixelFormat};

    use super::*;

    fn picture(side: u32) -> StoredPicture {
        let image =
            Image { width: side, height: side, format: PixelFormat::Mono8, data: vec![90; (side * side) as usize] };
        let bytes = encode_jpeg(image.view(), 90).expect("an image");
        StoredPicture { bytes: bytes.into(), mime: "image/jpeg", evidence: true }
    }

    #[test]
    fn a_size_is_made_once_and_another_size_is_another_picture() {
        let (smaller, asked) = (Smaller::default(), Cell::new(0));
        let whole = || {
            asked.set(asked.get() + 1);
            Ok(picture(400))
        };
        let first = smaller.of((7, 100), whole).expect("a picture");
        assert_eq!(decode(&first.bytes).map(|image| (image.width, image.height)).expect("a picture"), (100, 100));
        assert_eq!(smaller.of((7, 100), whole).expect("a picture"), first);
        assert_eq!(asked.get(), 1, "the second was remembered");
        assert_eq!(smaller.of((7, 800), whole).expect("a picture"), picture(400), "one that fits stays as it is");
        assert!(smaller.of((8, 100), || Err(PictureError::NotKept(8))).is_err());
        assert!(smaller.of((8, 100), whole).is_ok(), "a refusal is not remembered: the picture may follow");
        for id in 10..10 + MOST as u64 {
            smaller.of((id, 100), whole).expect("a picture");
        }
        assert_eq!(lock(&smaller.made).len(), MOST, "the oldest are let go");
    }
}
