//! A model's file: refused in words, or accepted with labels. Its seeds are pieces, so what stands behind the digests is hardly reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use models::bundle::Bundle;

fuzz_target!(|bytes: &[u8]| {
    match Bundle::from_bytes(bytes) {
        Ok(bundle) => assert!(!bundle.manifest.labels.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
