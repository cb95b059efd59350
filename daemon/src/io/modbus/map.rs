//! The register map, as docs/PLC.md has it: signals to registers and back. Numbers of 32 bits take two registers, the higher half first;
//! text has two characters a register, the first in the higher byte.

use std::sync::Arc;

use crate::io::signals::{Answer, Heard, Outcome, Said};

/// Version of the map. It grows when registers are added; none ever changes its meaning.
pub const VERSION: u16 = 1;
/// Registers that the line writes and the PLC reads.
pub const OUTPUTS: usize = 20;
/// Registers that the PLC writes and the line reads.
pub const INPUTS: usize = 20;
/// Coils: the bits of [`CONTROL`].
pub const COILS: usize = 2;
/// Discrete inputs: the bits of [`STATUS`].
pub const BITS: usize = 8;

/// Of the PLC's registers: id (2), recipe, serial (16), and last the word whose bits announce them.
const ID: usize = 0;
const RECIPE: usize = 2;
const SERIAL: usize = 3;
const SERIAL_END: usize = 19;
/// Bit 0 trigger, bit 1 acknowledgement of the result.
pub const CONTROL: usize = 19;

/// Of the line's registers: first the word whose bits announce the others.
pub const STATUS: usize = 0;

/// What the PLC has written.
pub fn heard(registers: &[u16; INPUTS]) -> Heard {
    let control = registers[CONTROL];
    Heard {
        trigger: control & 1 != 0,
        result_ack: control & 2 != 0,
        id: wide(registers[ID], registers[ID + 1]),
        recipe: registers[RECIPE],
        serial: text(&registers[SERIAL..SERIAL_END]),
    }
}

/// What a PLC writes to say this: for the simulator and for tests.
pub fn to_say(heard: &Heard) -> [u16; INPUTS] {
    let mut registers = [0; INPUTS];
    [registers[ID], registers[ID + 1]] = halves(heard.id);
    registers[RECIPE] = heard.recipe;
    let bytes = heard.serial.as_deref().unwrap_or_default().as_bytes();
    for (register, pair) in registers[SERIAL..SERIAL_END].iter_mut().zip(bytes.chunks(2)) {
        *register = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    }
    registers[CONTROL] = u16::from(heard.trigger) | u16::from(heard.result_ack) << 1;
    registers
}

/// What the PLC reads.
pub fn registers(said: &Said) -> [u16; OUTPUTS] {
    let [ack_high, ack_low] = halves(said.ack_id);
    let [missed_high, missed_low] = halves(said.missed);
    let result = &said.result;
    let [id_high, id_low] = halves(result.id);
    let [part_high, part_low] = halves(result.part);
    let [latency_high, latency_low] = halves(result.latency_us);
    [
        word(&bits(said)),
        said.beat,
        said.session,
        said.error_code,
        said.recipe,
        ack_high,
        ack_low,
        missed_high,
        missed_low,
        result.verdict as u16,
        result.cause,
        id_high,
        id_low,
        result.label,
        result.score,
        part_high,
        part_low,
        latency_high,
        latency_low,
        VERSION,
    ]
}

/// The bits of the status word, as discrete inputs.
pub fn bits(said: &Said) -> [bool; BITS] {
    [
        said.trigger_ready,
        said.trigger_ack,
        said.result_ready,
        said.result.accept,
        said.busy,
        said.error,
        said.heartbeat,
        said.ack_overdue,
    ]
}

/// What a PLC understands of the registers; none: a verdict that there is none of.
pub fn understood(registers: &[u16; OUTPUTS]) -> Option<Said> {
    let status = registers[STATUS];
    let bit = |at: usize| status >> at & 1 != 0;
    let pair = |at: usize| wide(registers[at], registers[at + 1]);
    let verdict = [Answer::NoDecision, Answer::Pass, Answer::Fail, Answer::Review];
    Some(Said {
        trigger_ready: bit(0),
        trigger_ack: bit(1),
        result_ready: bit(2),
        busy: bit(4),
        error: bit(5),
        heartbeat: bit(6),
        ack_overdue: bit(7),
        beat: registers[1],
        session: registers[2],
        error_code: registers[3],
        recipe: registers[4],
        ack_id: pair(5),
        missed: pair(7),
        result: Outcome {
            id: pair(11),
            verdict: *verdict.get(usize::from(registers[9]))?,
            cause: registers[10],
            accept: bit(3),
            label: registers[13],
            score: registers[14],
            part: pair(15),
            latency_us: pair(17),
        },
    })
}

fn word(bits: &[bool]) -> u16 {
    bits.iter().enumerate().fold(0, |word, (at, &bit)| word | u16::from(bit) << at)
}

fn wide(high: u16, low: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

fn halves(number: u32) -> [u16; 2] {
    // The lower half, on purpose.
    [(number >> 16) as u16, number as u16]
}

/// Printable ASCII up to the first other byte, without spaces around it; none: there is nothing.
fn text(registers: &[u16]) -> Option<Arc<str>> {
    let bytes = registers.iter().flat_map(|register| register.to_be_bytes());
    let text: String = bytes.take_while(|byte| (b' '..=b'~').contains(byte)).map(char::from).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The addresses that docs/PLC.md promises.
    #[test]
    fn every_signal_has_its_place() {
        let said = Said {
            trigger_ready: true,
            result_ready: true,
            heartbeat: true,
            beat: 11,
            session: 12,
            error_code: 13,
            recipe: 14,
            ack_id: 0x0001_0002,
            missed: 0x0003_0004,
            result: Outcome {
                id: 0x0005_0006,
                verdict: Answer::Review,
                cause: 15,
                accept: true,
                label: 16,
                score: 9876,
                part: 0x0007_0008,
                latency_us: 0x0009_000a,
            },
            ..Said::SAFE
        };
        assert_eq!(
            registers(&said),
            [0b0100_1101, 11, 12, 13, 14, 1, 2, 3, 4, 3, 15, 5, 6, 16, 9876, 7, 8, 9, 10, VERSION]
        );
        assert_eq!(understood(&registers(&said)), Some(said));
        let safe = registers(&Said::SAFE);
        assert_eq!(safe[..19], [0; 19], "memory that nobody has written says the same");

        let mut written = [0; INPUTS];
        (written[0], written[1], written[2]) = (1, 2, 7);
        (written[3], written[4], written[5]) = (0x5331, 0x3233, 0x2000);
        written[CONTROL] = 3;
        let heard = heard(&written);
        assert_eq!((heard.id, heard.recipe, heard.serial.as_deref()), (0x0001_0002, 7, Some("S123")));
        assert!(heard.trigger && heard.result_ack);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_plc_writes_is_understood(registers in prop::array::uniform20(any::<u16>())) {
            let heard = heard(&registers);
            if let Some(serial) = &heard.serial {
                prop_assert!(serial.len() <= 32 && serial.is_ascii());
            }
            let again = super::heard(&to_say(&heard));
            prop_assert_eq!(again, heard);
        }
    }
}
