//! What became of a worker: from its last message, how its process ended, and its last words.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Message, WorkerError};

/// How libraries say that there is no more memory: Rust's allocator, C++, the C library.
const NO_MEMORY: &[&str] =
    &["memory allocation of", "bad_alloc", "Cannot allocate memory", "Resource temporarily unavailable"];

fn is_memory(words: &str) -> bool {
    NO_MEMORY.iter().any(|sign| words.contains(sign))
}

/// What a last message says of why there is no result; nothing where it does not say.
pub(super) fn refusal(message: Message, ceiling_mib: u64) -> Option<WorkerError> {
    match message {
        Message::Failed(words) if is_memory(&words) => Some(WorkerError::MemoryCeiling { mib: ceiling_mib, words }),
        Message::Failed(words) => Some(WorkerError::Failed(words)),
        Message::Stopped(words) => Some(WorkerError::Stopped(words)),
        Message::Done(_) | Message::Progress(_) => None,
    }
}

/// The result, or why there is none. A result counts only from a process that ended with success.
pub(super) fn outcome(
    message: Option<Message>,
    status: ExitStatus,
    last_words: &VecDeque<String>,
    ceiling_mib: u64,
) -> Result<Value, WorkerError> {
    match message {
        Some(Message::Done(value)) if status.success() => return Ok(value),
        Some(message) => {
            if let Some(error) = refusal(message, ceiling_mib) {
                return Err(error);
            }
        }
        None => {}
    }
    if let Some(words) = last_words.iter().find(|line| is_memory(line)) {
        return Err(WorkerError::MemoryCeiling { mib: ceiling_mib, words: words.clone() });
    }
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => match Signal::try_from(signal) {
            Ok(signal) => format!("was ended by {signal}"),
            Err(_) => format!("was ended by signal {signal}"),
        },
        (None, code) => format!("ended with exit code {}", code.unwrap_or_default()),
    };
    let words = last_words.back().map_or_else(String::new, |line| format!(": {line}"));
    Err(WorkerError::Died { how, words })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As `wait` gives it: a signal's number, or an exit code in the second byte.
    fn died(message: Option<Message>, status: i32, words: &[&str]) -> Result<Value, String> {
        let words = words.iter().map(|&line| line.to_owned()).collect();
        outcome(message, ExitStatus::from_raw(status), &words, 512).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_result_and_a_good_end_count() {
        assert_eq!(died(Some(Message::Done(json!(1))), 0, &[]), Ok(json!(1)));
        let crashed_late = died(Some(Message::Done(json!(1))), 11, &[]).unwrap_err();
        assert!(crashed_late.contains("SIGSEGV"), "{crashed_late}");
        let silent = died(None, 0, &[]).unwrap_err();
        assert!(silent.contains("exit code 0 before it was done"), "{silent}");
    }

    #[test]
    fn a_death_has_its_reason() {
        let killed = died(None, 9, &["INFO all: 3 %"]).unwrap_err();
        assert!(killed.contains("SIGKILL") && killed.contains("all: 3 %") && killed.contains("--resume"), "{killed}");
        for (message, words) in [
            (None, "memory allocation of 4096 bytes failed"),
            (Some(Message::Failed("ONNX Runtime: std::bad_alloc".into())), ""),
        ] {
            let full = died(message, 6, &[words, "note: run with"]).unwrap_err();
            assert!(full.contains("memory ceiling of 512 MiB"), "{full}");
        }
        assert_eq!(died(Some(Message::Failed("no such folder".into())), 256, &[]), Err("no such folder".into()));
    }
}
