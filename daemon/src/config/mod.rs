//! Configuration: loaded strictly, validated without touching a file or a device.

use std::path::PathBuf;

/// Where records are kept when nobody says otherwise: what systemd gives the service, else below the user's home.
pub fn default_state_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("STATE_DIRECTORY") {
        // Several are joined by `:`; the first is ours.
        let text = dir.to_string_lossy().into_owned();
        return text.split(':').next().unwrap_or_default().into();
    }
    user_state_dir().unwrap_or_else(|| "/var/lib".into()).join("inspectd")
}

/// XDG base directory specification: `$XDG_STATE_HOME`, else `~/.local/state`.
fn user_state_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}
