//! What the journal holds, and how an entry becomes bytes.
//!
//! A frame is `marker, length, checksum, payload`: 4 bytes each, little endian, then `length` bytes of MessagePack with named
//! fields. The checksum (CRC-32, IEEE) covers length and payload. The marker holds a byte that occurs neither in UTF-8 nor as a
//! MessagePack type, so that a reader finds the next frame after damage.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stages::inspection::{Inspection, LabelScore};
use stages::record::LateResult;
use stages::verdict::Verdict;

/// Starts every frame.
pub(crate) const MARKER: [u8; 4] = [0xC1, b'I', b'F', 0xC1];
/// Marker, length, checksum.
pub(crate) const FRAME_HEAD: usize = 12;
/// No entry comes near; a longer length is damage.
pub(crate) const MAX_PAYLOAD: usize = 16 << 20;
/// No frame that carries an id is shorter than this: bounds how many ids a damaged range can hide.
pub(crate) const MIN_FRAME: u64 = FRAME_HEAD as u64 + 12;

/// One entry of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A process took the journal over. `boot` is the kernel's boot id: if it is another one than now, the machine went down.
    /// Ids go on at `next_id`, which after a power cut is more than one above the last one seen.
    Started { boot: Arc<str>, at: Timestamp, program: Arc<str>, next_id: u64 },
    /// No id at or above `below` is used before a higher reservation is on disk. After a power cut, ids go on from there.
    Reserved { below: u64 },
    /// A trigger came.
    Opened { id: u64, at: Timestamp },
    /// A part is decided.
    Decided(Arc<Inspection>),
    /// A result came after its part's verdict.
    Late(Arc<LateRecord>),
    /// The process ended in order.
    Closed { at: Timestamp },
}

/// The same bytes, read only as far as recovery needs: ids. Several times faster than decoding whole inspections.
#[derive(Debug, Deserialize)]
pub(crate) enum Brief {
    Started { boot: Arc<str>, next_id: u64 },
    Reserved { below: u64 },
    Opened { id: u64, at: Timestamp },
    Decided(BriefId),
    Late(BriefId),
    Closed {},
}

/// Any record's id.
#[derive(Debug, Deserialize)]
pub(crate) struct BriefId {
    pub(crate) id: u64,
}

/// A result that came after its part's verdict, as kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LateRecord {
    /// The part.
    pub id: u64,
    /// What the line would have said.
    pub verdict: Verdict,
    /// The label it rests on.
    pub label: Option<Arc<str>>,
    /// Every label over its threshold, worst first.
    pub found: Vec<LabelScore>,
    /// Every label's score, in the model's order.
    pub scores: Vec<LabelScore>,
    /// In words, if there is something to say.
    pub detail: Option<String>,
    /// How long after the trigger it came, in microseconds.
    pub after_us: u32,
}

impl From<LateResult> for LateRecord {
    fn from(late: LateResult) -> LateRecord {
        let decision = late.decision;
        LateRecord {
            id: late.id,
            verdict: decision.verdict,
            label: decision.label,
            found: decision.found,
            scores: decision.scores,
            detail: decision.detail,
            after_us: late.after_us,
        }
    }
}

/// An entry as a frame, ready to append.
pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>, String> {
    let mut frame = vec![0; FRAME_HEAD];
    rmp_serde::encode::write_named(&mut frame, entry).map_err(|e| format!("the record cannot be encoded: {e}"))?;
    let length = frame.len() - FRAME_HEAD;
    if length > MAX_PAYLOAD {
        return Err(format!("the record has {length} bytes, more than the {MAX_PAYLOAD} that the journal takes"));
    }
    let length = (length as u32).to_le_bytes();
    let crc = checksum(length, &frame[FRAME_HEAD..]).to_le_bytes();
    frame[..4].copy_from_slice(&MARKER);
    frame[4..8].copy_from_slice(&length);
    frame[8..12].copy_from_slice(&crc);
    Ok(frame)
}

/// CRC-32 over length and payload.
pub(crate) fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}
