//! A record in 60 bytes: what can be filtered by and counted, with names as numbers.

use stages::inspection::{Inspection, KeptHeat};
use stages::verdict::{Cause, Verdict};

use super::names::{KINDS, Kind, Names};
use super::purpose::PurposeKind;
use super::query::{VerdictKind, score_of};

/// Bytes of a row: id, time and labels (8 each), six numbers of names and the score (4 each), verdict, purpose, cell (2), checksum (4).
pub(crate) const BYTES: usize = 60;

/// Cells across and down, into which the place of a defect is sorted.
pub(crate) const SIDE: u16 = 16;

/// What a record says, as far as it is searched and counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    /// Microseconds since 1970 of the trigger.
    pub(crate) at_us: i64,
    /// A bit for each label: the one that the verdict rests on, and those found ([`label_bit`]).
    pub(crate) labels: u64,
    /// By [`Kind`].
    pub(crate) codes: [u32; KINDS],
    /// Of the label that the verdict rests on; NaN: none.
    pub(crate) score: f32,
    /// [`verdict_code`].
    pub(crate) verdict: u8,
    /// [`PurposeKind::code`].
    pub(crate) purpose: u8,
    /// Where the defect is, in rows of [`SIDE`] cells; [`NOWHERE`]: there is none, or nothing says where.
    pub(crate) cell: u16,
}

/// No cell.
pub(crate) const NOWHERE: u16 = u16::MAX;

impl Row {
    /// Of a record. New names get their numbers.
    pub(crate) fn of(part: &Inspection, names: &mut Names) -> Row {
        let mut labels = 0;
        for label in part.label.iter().chain(part.found.iter().map(|found| &found.label)) {
            labels |= label_bit(names.code(Kind::Label, label));
        }
        let mut code = |kind, name: Option<&_>| name.map_or(0, |name| names.code(kind, name));
        let codes = [
            code(Kind::Label, part.label.as_ref()),
            code(Kind::Recipe, Some(&part.recipe)),
            code(Kind::Model, Some(&part.model)),
            code(Kind::Camera, Some(&part.camera)),
            code(Kind::Region, part.regions.first().map(|region| &region.region)),
            code(Kind::Lot, part.lot.as_ref()),
        ];
        let bad = matches!(part.verdict, Verdict::Fail | Verdict::Review);
        Row {
            id: part.id,
            at_us: part.triggered_at.as_microsecond(),
            labels,
            codes,
            score: part.label.as_deref().and_then(|label| score_of(part, label)).unwrap_or(f32::NAN),
            verdict: verdict_code(part.verdict),
            purpose: PurposeKind::of(part).code(),
            cell: part.heat.as_ref().filter(|_| bad).map_or(NOWHERE, peak),
        }
    }

    /// The number of a name.
    pub(crate) fn code(&self, kind: Kind) -> u32 {
        self.codes[kind as usize]
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let from = into.len();
        into.extend(self.id.to_le_bytes());
        into.extend(self.at_us.to_le_bytes());
        into.extend(self.labels.to_le_bytes());
        self.codes.iter().for_each(|code| into.extend(code.to_le_bytes()));
        into.extend(self.score.to_le_bytes());
        into.extend([self.verdict, self.purpose]);
        into.extend(self.cell.to_le_bytes());
        let check = crc32fast::hash(&into[from..]);
        into.extend(check.to_le_bytes());
    }

    /// `bytes` has [`BYTES`] bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Row {
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let mut codes = [0; KINDS];
        codes.iter_mut().enumerate().for_each(|(at, code)| *code = four(24 + 4 * at));
        Row {
            id: eight(0),
            at_us: eight(8) as i64,
            labels: eight(16),
            codes,
            score: f32::from_bits(four(48)),
            verdict: bytes[52],
            purpose: bytes[53],
            cell: u16::from_le_bytes([bytes[54], bytes[55]]),
        }
    }

    /// Whether these are the bytes of a row, as they were written.
    pub(crate) fn is_whole(bytes: &[u8]) -> bool {
        crc32fast::hash(&bytes[..BYTES - 4]).to_le_bytes() == bytes[BYTES - 4..BYTES]
    }
}

/// The bit of a label by its number. With up to 64 labels no two share one; beyond that, readers check the record itself.
pub(crate) fn label_bit(code: u32) -> u64 {
    code.checked_sub(1).map_or(0, |at| 1 << (at % 64))
}

/// Causes by their numbers, from 3 on. Never changed, only added to: the index holds them.
const CAUSES: [Cause; 14] = [
    Cause::Late,
    Cause::Overload,
    Cause::NoFrame,
    Cause::Truncated,
    Cause::Unreadable,
    Cause::WrongSize,
    Cause::Blank,
    Cause::Saturated,
    Cause::OutOfFocus,
    Cause::LightChanged,
    Cause::NotAligned,
    Cause::StageFailed,
    Cause::SafeHold,
    Cause::Restart,
];

/// A verdict as a number below 32.
pub(crate) fn verdict_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Review => 2,
        Verdict::NoDecision(cause) => 3 + CAUSES.iter().position(|it| *it == cause).unwrap_or(CAUSES.len()) as u8,
    }
}

/// And back.
pub(crate) fn verdict_of(code: u8) -> Option<Verdict> {
    Some(match code {
        0 => Verdict::Pass,
        1 => Verdict::Fail,
        2 => Verdict::Review,
        _ => Verdict::NoDecision(*CAUSES.get(usize::from(code) - 3)?),
    })
}

/// A bit for each verdict of a kind.
pub(crate) fn verdict_bits(kind: VerdictKind) -> u32 {
    match kind {
        VerdictKind::Pass => 1,
        VerdictKind::Fail => 2,
        VerdictKind::Review => 4,
        VerdictKind::NoDecision => !7,
    }
}

/// The cell under the middle of the strongest part of a heat map.
fn peak(heat: &KeptHeat) -> u16 {
    let (width, height) = (usize::from(heat.width), usize::from(heat.height));
    let most = heat.cells.iter().copied().max().unwrap_or(0);
    if most == 0 || width == 0 || heat.cells.len() != width * height {
        return NOWHERE;
    }
    let (mut x, mut y, mut count) = (0, 0, 0);
    // A plateau of equal cells that belong together counts as one place: that of its first row, in the middle.
    let first = heat.cells.iter().position(|&cell| cell == most).unwrap_or(0);
    for at in first..(first / width + 1) * width {
        if heat.cells[at] != most {
            break;
        }
        (x, y, count) = (x + at % width, at / width, count + 1);
    }
    let side = usize::from(SIDE);
    let across = (2 * x + count) * side / (2 * count * width);
    let down = (2 * y + 1) * side / (2 * height);
    (down * side + across) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_number_of_its_own() {
        let all = [Verdict::Pass, Verdict::Fail, Verdict::Review];
        for verdict in all.into_iter().chain(CAUSES.map(Verdict::NoDecision)) {
            assert_eq!(verdict_of(verdict_code(verdict)), Some(verdict));
            assert_ne!(verdict_bits(verdict.into()) & 1 << verdict_code(verdict), 0);
        }
        assert_eq!(verdict_of(3 + CAUSES.len() as u8), None);
    }

    #[test]
    fn a_row_is_what_was_written_or_is_refused() {
        let codes = [1, 2, 3, 4, 5, 6];
        let row = Row { id: 7, at_us: -3, labels: 5, codes, score: 0.25, verdict: 4, purpose: 2, cell: 9 };
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        assert_eq!((bytes.len(), Row::decode(&bytes), Row::is_whole(&bytes)), (BYTES, row, true));
        for at in 0..BYTES {
            bytes[at] ^= 0x10;
            assert!(!Row::is_whole(&bytes), "byte {at}");
            bytes[at] ^= 0x10;
        }
    }

    #[test]
    fn the_peak_is_where_the_map_is_highest() {
        let heat = |width, height, hot: &[usize]| {
            let mut cells = vec![3; usize::from(width) * usize::from(height)];
            hot.iter().for_each(|&at| cells[at] = 200);
            KeptHeat { label: "pit".into(), width, height, cells }
        };
        assert_eq!(peak(&heat(16, 16, &[0])), 0);
        assert_eq!(peak(&heat(16, 16, &[255])), 255);
        assert_eq!(peak(&heat(64, 32, &[31 * 64 + 63])), 255);
        // A map coarser than the cells: its middle cell lies in the middle.
        assert_eq!(peak(&heat(3, 3, &[4])), 8 * 16 + 8);
        assert_eq!(peak(&heat(16, 16, &[32, 33, 34])), 2 * 16 + 1);
        assert_eq!(peak(&KeptHeat { label: "pit".into(), width: 2, height: 2, cells: vec![0; 4] }), NOWHERE);
        assert_eq!(peak(&KeptHeat { label: "pit".into(), width: 2, height: 2, cells: vec![9; 3] }), NOWHERE);
    }
}
