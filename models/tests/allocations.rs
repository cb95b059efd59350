//! From file bytes to tensor, nothing of a frame's size is allocated once the buffers have their size.

#![allow(clippy::unwrap_used, reason = "a failed test should say where")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use models::image::{Image, PixelFormat, decode_into, encode_jpeg};
use models::preprocess::Preprocess;
use rand::{RngCore, SeedableRng};

/// Allocations of this many bytes count as one of a frame's size.
const LARGE: usize = 64 * 1024;

static LARGE_ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count of large requests.
struct Counting;

impl Counting {
    fn count(size: usize) {
        if size >= LARGE {
            LARGE_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is handed to the system's allocator as it came.
#[allow(unsafe_code, reason = "an allocator cannot be written without it")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count(new_size);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from the system's allocator with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest allocations of one pass over files of this size, in the steady state.
fn large_allocations(width: u32, height: u32, format: PixelFormat) -> usize {
    let mut data = vec![0; width as usize * height as usize * format.channels()];
    rand_chacha::ChaCha8Rng::seed_from_u64(7).fill_bytes(&mut data);
    let jpeg = encode_jpeg(Image { width, height, format, data }.view(), 60).unwrap();
    let recipe = Preprocess::imagenet(256);
    let (mut image, mut tensor) = (Image::empty(), vec![0.0; recipe.tensor_len()]);
    let mut pass = || {
        decode_into(&jpeg, &mut image).unwrap();
        recipe.fill(image.view(), &mut tensor);
    };
    pass();
    let before = LARGE_ALLOCATIONS.load(Ordering::Relaxed);
    (0..3).for_each(|_| pass());
    LARGE_ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn decoding_and_preprocessing_reuse_their_buffers() {
    let before = LARGE_ALLOCATIONS.load(Ordering::Relaxed);
    drop(vec![1u8; LARGE]);
    assert_eq!(LARGE_ALLOCATIONS.load(Ordering::Relaxed), before + 1, "the counter counts");
    // Above about 2,000 pixels across, the JPEG decoder's three row buffers pass the mark (78 KiB at 2448, freed at once);
    // above 4,000 the resize's table of weights. They grow with a side of the frame and not with its area.
    for format in [PixelFormat::Mono8, PixelFormat::Rgb8] {
        assert_eq!(large_allocations(1280, 1024, format), 0, "{format:?}");
    }
}
