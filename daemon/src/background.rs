//! Threads that work for people who look on: where the processors are busy, verdicts come first and answers later.

use std::io;

use scheduler::{Which, set_self_priority};

/// A thirtieth of the share that a thread of the line gets; less in the service, whose line stands at -5. Not lower: on a line that
/// takes all there is, the page must still answer.
const NICE: i32 = 15;

/// From now on this thread runs when the line leaves it time.
pub(crate) fn yield_to_the_line() {
    if set_self_priority(Which::Process, NICE).is_err() {
        tracing::debug!("a thread keeps its priority: {}", io::Error::last_os_error());
    }
}
