//! Values on their way between processes: little endian, lists with their length before them. All processes run the same program, so there
//! is no version; what is cut off or too long is none.

use half::f16;

use crate::batch::Targets;
use crate::loss::Score;

/// A value that can be handed on to another process.
pub(crate) trait Wire: Sized {
    /// Adds it to what is sent.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes it from what came; `None` where that is no such value.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// A value alone, as bytes.
pub(crate) fn bytes<W: Wire>(value: &W) -> Vec<u8> {
    let mut out = Vec::new();
    value.put(&mut out);
    out
}

/// A value that is all that came.
pub(crate) fn value<W: Wire>(mut bytes: &[u8]) -> Option<W> {
    let value = W::take(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

macro_rules! number {
    ($($kind:ty),*) => {
        $(impl Wire for $kind {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<$kind> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$kind>::from_le_bytes(*bytes))
            }
        })*
    };
}

number!(u8, u64, f16, f32, f64);

impl Wire for usize {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<usize> {
        usize::try_from(u64::take(from)?).ok()
    }
}

impl<W: Wire> Wire for Vec<W> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(from: &mut &[u8]) -> Option<Vec<W>> {
        let count = usize::take(from)?;
        // No value here has less than a byte, so a length that is none takes no memory.
        if count > from.len() {
            return None;
        }
        (0..count).map(|_| W::take(from)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<(A, B)> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl Wire for Score {
    fn put(&self, out: &mut Vec<u8>) {
        ((self.loss, self.weight), (self.right, self.count)).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Score> {
        let ((loss, weight), (right, count)) = Wire::take(from)?;
        Some(Score { loss, weight, right, count })
    }
}

impl Wire for Targets {
    fn put(&self, out: &mut Vec<u8>) {
        [&self.images, &self.weights, &self.cells, &self.cell_weights].iter().for_each(|list| list.put(out));
        self.labels.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Targets> {
        Some(Targets {
            images: Wire::take(from)?,
            weights: Wire::take(from)?,
            cells: Wire::take(from)?,
            cell_weights: Wire::take(from)?,
            labels: Wire::take(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_comes_and_what_was_cut_off_does_not() {
        let score = Score { loss: 0.1, weight: 3.0, right: 2, count: 3 };
        let targets = Targets {
            images: vec![0.25, 0.75],
            weights: vec![1.0],
            cells: vec![0.0, 1.0],
            cell_weights: vec![f32::MIN_POSITIVE],
            labels: vec![vec![1, 0]],
        };
        let sent = (vec![vec![f16::from_f32(0.1), f16::MAX]], (vec![score], vec![targets]));
        let bytes = bytes(&sent);
        type Sent = (Vec<Vec<f16>>, (Vec<Score>, Vec<Targets>));
        let (maps, (scores, targets)): Sent = value(&bytes).expect("whole");
        assert_eq!((maps, scores), (sent.0, vec![score]));
        let [mine, theirs] = [&sent.1.1[0], &targets[0]];
        assert_eq!(
            (&mine.images, &mine.cell_weights, &mine.labels),
            (&theirs.images, &theirs.cell_weights, &theirs.labels)
        );
        for end in 0..bytes.len() {
            assert!(value::<Sent>(&bytes[..end]).is_none(), "cut at {end}");
        }
        assert!(value::<Vec<f32>>(&u64::MAX.to_le_bytes()).is_none(), "a length that nothing follows");
    }
}
