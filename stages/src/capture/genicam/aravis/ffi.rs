//! The few calls of Aravis that the safe crate lacks. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use aravis::glib::translate::ToGlibPtr;
use aravis::{Buffer, FakeCamera};
use aravis_sys::ArvBuffer;

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

/// Draws a picture: its bytes, and how many make a row.
pub(super) type Draw = fn(&mut [u8], usize);

/// Has `draw` fill the pictures of a camera that this process plays.
pub(super) fn draw_by(camera: &FakeCamera, draw: Draw) {
    unsafe extern "C" fn fill(buffer: *mut ArvBuffer, draw: *mut c_void, _exposure: u32, _gain: u32, format: u32) {
        // SAFETY: Aravis calls this with a buffer that nobody else has yet, whose size it has just set, and for which it has allocated what a
        // picture of that size and format takes (it says how much only later); `draw` is what was given below.
        unsafe {
            let side = |length: i32| usize::try_from(length).unwrap_or(0);
            let data = aravis_sys::arv_buffer_get_data(buffer, std::ptr::null_mut()).cast::<u8>();
            // The format's second byte from above are its bits a pixel (GenICam PFNC).
            let row = side(aravis_sys::arv_buffer_get_image_width(buffer)) * (format >> 16 & 0xff) as usize / 8;
            let size = row * side(aravis_sys::arv_buffer_get_image_height(buffer));
            if data.is_null() || size == 0 {
                return;
            }
            let draw: Draw = std::mem::transmute(draw);
            draw(std::slice::from_raw_parts_mut(data, size), row);
        }
    }
    // SAFETY: the camera lives during the call; a function lives for ever, and fits into a pointer.
    unsafe {
        aravis_sys::arv_fake_camera_set_fill_pattern(camera.to_glib_none().0, Some(fill), draw as *mut c_void);
    }
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
