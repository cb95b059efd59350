//! Which cameras are held by an inspectd on this machine.
//!
//! A name among the abstract Unix sockets: nothing on disk, and gone with the process however it ends. It says what the camera's own
//! refusal cannot: that it is one of us. Between machines the camera itself sees to it that one alone controls it.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use crate::capture::SourceError;

/// Held as long as the camera is.
#[derive(Debug)]
pub(super) struct Claim {
    _socket: Option<UnixListener>,
}

impl Claim {
    /// Claims a camera.
    ///
    /// # Errors
    /// Another inspectd on this machine has it.
    pub(super) fn take(id: &str) -> Result<Claim, SourceError> {
        match address(id).and_then(|address| UnixListener::bind_addr(&address)) {
            Ok(socket) => Ok(Claim { _socket: Some(socket) }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(SourceError(format!(
                "camera `{id}` is held by an inspectd that runs on this machine: stop that first (`systemctl stop inspectd`)"
            ))),
            // A system without such sockets; the camera itself still has one master only.
            Err(error) => {
                tracing::debug!("camera `{id}` cannot be claimed: {error}");
                Ok(Claim { _socket: None })
            }
        }
    }
}

/// Whether an inspectd on this machine has the camera.
pub(super) fn is_held(id: &str) -> bool {
    address(id).and_then(|address| UnixStream::connect_addr(&address)).is_ok()
}

fn address(id: &str) -> std::io::Result<SocketAddr> {
    // Such names have at most 107 bytes; ids of cameras are shorter, but come from the network.
    let name: String = id.chars().filter(char::is_ascii_graphic).take(80).collect();
    SocketAddr::from_abstract_name(format!("inspectd-camera/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_held_once_and_free_again_afterwards() {
        let id = format!("test-{}\u{7}ä{}", std::process::id(), "x".repeat(300));
        assert!(!is_held(&id));
        let claim = Claim::take(&id).expect("free");
        assert!(is_held(&id));
        let refused = Claim::take(&id).expect_err("held").0;
        assert!(refused.contains("held by an inspectd"), "{refused}");
        drop(claim);
        assert!(!is_held(&id));
        Claim::take(&id).expect("free again");
    }
}
