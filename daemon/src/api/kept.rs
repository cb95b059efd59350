//! What is kept and how long: retention's part of `/api/v1/health`.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::VerdictWord;
use crate::retention::{LetGo, OfVerdict, Standing};
use crate::store::VerdictKind;
use crate::supervise::Board;

/// What is kept, and for how long it goes on so.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
pub(super) struct KeptView {
    /// Pictures or records are let go by limits of `[store.retention]`.
    limited: bool,
    /// Pictures were counted after the start; before that, nothing is let go.
    counted: bool,
    /// Pictures are let go just now.
    busy: bool,
    /// Why nothing is let go, or not all that should be.
    #[schema(required = true)]
    trouble: Option<String>,
    /// Kept pictures.
    pictures: u64,
    /// Their size.
    picture_bytes: u64,
    /// What they may take together; null: as much as there is.
    #[schema(required = true)]
    most_bytes: Option<u64>,
    /// By verdict.
    by_verdict: Vec<KeptOfView>,
    /// Pictures of parts that wait for a person's look: the last to go.
    waiting: u64,
    /// Pictures that were to go and are held.
    held: u64,
    /// Holds that stand.
    holds: usize,
    /// Bytes of pictures that come in a day, by the last day. Null: too little is known.
    #[schema(required = true)]
    bytes_a_day: Option<f64>,
    /// Days until pictures have to go to make room; 0: they do. Null: nothing asks for it, or too little is known.
    #[schema(required = true)]
    days_left: Option<f64>,
    /// Size of the journal.
    record_bytes: u64,
    /// The oldest record, where older ones were let go. Null: none were.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    records_since: Option<Timestamp>,
    /// Since the line first ran.
    let_go: LetGoView,
}

/// Kept pictures of one verdict.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeptPictures)]
struct KeptOfView {
    verdict: VerdictWord,
    pictures: u64,
    bytes: u64,
    /// The trigger of the oldest.
    #[schema(required = true, value_type = Option<String>, format = DateTime)]
    oldest: Option<Timestamp>,
}

/// What was let go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LetGo)]
struct LetGoView {
    pictures: u64,
    bytes: u64,
    records: u64,
}

impl KeptView {
    /// Looks at the journal's files, too.
    pub(super) fn of(board: &Board) -> KeptView {
        let retention = &board.retention;
        let section = retention.section();
        let Standing {
            counted,
            pictures,
            bytes,
            by_verdict,
            waiting,
            held,
            bytes_a_day,
            days_left,
            gone,
            busy,
            trouble,
        } = retention.standing();
        let LetGo { pictures: gone_pictures, bytes: gone_bytes, records, .. } = gone;
        KeptView {
            limited: section.bounds_pictures() || section.bounds_records(),
            counted,
            busy,
            trouble,
            pictures,
            picture_bytes: bytes,
            most_bytes: section.pictures_mb.map(|mb| mb << 20),
            by_verdict: by_verdict.into_iter().map(KeptOfView::from).collect(),
            waiting,
            held,
            holds: retention.holds.read().all().count(),
            bytes_a_day,
            days_left,
            record_bytes: board.store.journal_bytes(),
            records_since: board.store.records_since(),
            let_go: LetGoView { pictures: gone_pictures, bytes: gone_bytes, records },
        }
    }
}

impl From<OfVerdict> for KeptOfView {
    fn from(OfVerdict { verdict, pictures, bytes, oldest }: OfVerdict) -> KeptOfView {
        let verdict = match verdict {
            VerdictKind::Pass => VerdictWord::Pass,
            VerdictKind::Fail => VerdictWord::Fail,
            VerdictKind::Review => VerdictWord::Review,
            VerdictKind::NoDecision => VerdictWord::NoDecision,
        };
        KeptOfView { verdict, pictures, bytes, oldest }
    }
}
