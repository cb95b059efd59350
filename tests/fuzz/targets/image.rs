//! A picture from a camera, a folder or an upload. Whole and at a fraction of its size: no panic beyond the decoder's own, which is caught; after an error nothing is
//! left of an old picture.
#![no_main]

use libfuzzer_sys::fuzz_target;
use models::image::{Image, PixelFormat, decode_into, decode_reduced_into};

// libfuzzer's hook ends the process at a panic before anybody can catch it; without the hook, one that nobody catches ends it still.
fuzz_target!(init: drop(std::panic::take_hook()), |bytes: &[u8]| {
    let mut out = Image { width: 1, height: 1, format: PixelFormat::Mono8, data: vec![7] };
    match decode_into(bytes, &mut out) {
        Ok(()) => assert!(out.view().is_consistent()),
        Err(_) => assert!(out.data.is_empty() && out.width == 0 && out.height == 0),
    }
    let whole = (out.width, out.height);
    match decode_reduced_into(bytes, |[width, height]| width >= 16 && height >= 16, &mut out) {
        Ok([width, height]) => {
            assert!(out.view().is_consistent() && out.width <= width && out.height <= height);
            assert!(whole == (0, 0) || whole == (width, height));
        }
        Err(_) => assert!(out.data.is_empty()),
    }
});
