//! Threads that a verdict waits for may run before all others on the machine: the scheduler else lets a thread that is woken wait some
//! milliseconds for one that is at work.
//!
//! Only where the machine sets the pace, so that they have time to spare: a line that fetches its parts as fast as it can would leave
//! nothing to those that answer the page. A triggered line under overload leaves them what the kernel always does, a twentieth.

use scheduler::{Policy, set_self_policy};

/// Highest priority that may be asked for: from here on the kernel's own threads run.
pub const MOST: u8 = 49;

/// From now on this thread, and those that it starts, run by `priority` before all ordinary threads; 0: nothing changes. Where the
/// system does not allow it (`RLIMIT_RTPRIO`; `LimitRTPRIO=` in the unit) the thread goes on as it was.
pub fn from_now_on(priority: u8) {
    if priority > 0 && set_self_policy(Policy::RoundRobin, i32::from(priority)).is_err() {
        tracing::warn!(
            thread = std::thread::current().name(),
            "no real-time priority {priority} ({}): verdicts may come some milliseconds later; raise LimitRTPRIO= in the unit, or set \
             `limits.realtime_priority = 0`",
            std::io::Error::last_os_error()
        );
    }
}
