//! The few calls of Aravis that the safe crate lacks. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::sync::{Mutex, PoisonError};

use aravis::Buffer;

/// A camera as discovery lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) physical_id: String,
    pub(super) vendor: String,
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) protocol: String,
    pub(super) address: String,
}

/// Aravis' list of devices is global: it is updated and read under this lock.
static LIST: Mutex<()> = Mutex::new(());

/// Looks for cameras on every interface; takes a second, in which cameras on the network may answer.
pub(super) fn list() -> Vec<Listed> {
    let _guard = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the calls take no pointers but an index below the count, and `LIST` keeps the list from changing between them.
    unsafe {
        aravis_sys::arv_update_device_list();
        let count = aravis_sys::arv_get_n_devices();
        (0..count)
            .map(|at| Listed {
                id: text(aravis_sys::arv_get_device_id(at)),
                physical_id: text(aravis_sys::arv_get_device_physical_id(at)),
                vendor: text(aravis_sys::arv_get_device_vendor(at)),
                model: text(aravis_sys::arv_get_device_model(at)),
                serial: text(aravis_sys::arv_get_device_serial_nbr(at)),
                protocol: text(aravis_sys::arv_get_device_protocol(at)),
                address: text(aravis_sys::arv_get_device_address(at)),
            })
            .collect()
    }
}

/// Makes the camera inside this process available.
pub(super) fn enable_fake() {
    // SAFETY: the name is a constant C string; Aravis only compares it.
    unsafe { aravis_sys::arv_enable_interface(c"Fake".as_ptr()) }
}

/// The bytes of a buffer that the stream has handed out.
pub(super) fn bytes(buffer: &Buffer) -> &[u8] {
    let (data, len) = buffer.data();
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: Aravis allocated `len` bytes at `data` (`Buffer::new_allocate`), and they live as long as the buffer, which the result
    // borrows. It writes there only while the buffer is in a stream; giving it back (`push_buffer`) takes it by value.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// # Safety
/// Null, or a C string that lives during the call.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
