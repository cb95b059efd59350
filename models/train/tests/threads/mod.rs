//! Processes that learn together, played by threads that talk over channels; some fail as processes do.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use models_train::peers::{Link, Lost, Peers};

/// What becomes of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It lives to the end.
    Lives,
    /// It says nothing any more from the sum of this number on, until the others have lost their patience.
    Dies { after_sums: usize },
}

/// Runs `f` as so many processes; what each of them gives, in the order of their ranks.
pub(crate) fn together<T: Send>(
    ranks: usize,
    patience: Duration,
    fate: impl Fn(usize) -> Fate,
    f: impl Fn(Peers) -> T + Sync,
) -> Vec<T> {
    let links: Vec<Thread> = linked(ranks, fate);
    std::thread::scope(|scope| {
        let f = &f;
        let start = |link| scope.spawn(move || f(Peers::together(Box::new(link), patience)));
        let threads: Vec<_> = links.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    })
}

/// One of the threads: it sends to each, and hears from each on a channel of its own.
struct Thread {
    rank: usize,
    to: Vec<SyncSender<Vec<u8>>>,
    from: Mutex<Vec<Receiver<Vec<u8>>>>,
    fate: Fate,
    sums: AtomicUsize,
}

fn linked(ranks: usize, fate: impl Fn(usize) -> Fate) -> Vec<Thread> {
    let mut to: Vec<Vec<SyncSender<Vec<u8>>>> = (0..ranks).map(|_| Vec::new()).collect();
    let mut from: Vec<Vec<Receiver<Vec<u8>>>> = (0..ranks).map(|_| Vec::new()).collect();
    for sender in &mut to {
        for receivers in &mut from {
            // They keep step: no more than a word or two wait.
            let (send, receive) = sync_channel(16);
            sender.push(send);
            receivers.push(receive);
        }
    }
    let thread = |(rank, (to, from))| {
        let (fate, from, sums) = (fate(rank), Mutex::new(from), AtomicUsize::new(0));
        Thread { rank, to, from, fate, sums }
    };
    to.into_iter().zip(from).enumerate().map(thread).collect()
}

impl Link for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.to.len()
    }

    fn gather(&self, mine: Vec<u8>, patience: Duration) -> Result<Vec<Vec<u8>>, Lost> {
        if matches!(self.fate, Fate::Dies { after_sums } if self.sums.load(Ordering::Relaxed) >= after_sums) {
            std::thread::sleep(2 * patience);
            return Err(Lost("it hung".into()));
        }
        for to in &self.to {
            // Who is gone hears nothing.
            let _ = to.send(mine.clone());
        }
        let from = self.from.lock().expect("one thread alone asks");
        let hear = |from: &Receiver<Vec<u8>>| from.recv_timeout(patience).map_err(|error| Lost(error.to_string()));
        from.iter().map(hear).collect()
    }

    fn sum(&self, mine: Vec<f64>, patience: Duration) -> Result<Vec<f64>, Lost> {
        self.sums.fetch_add(1, Ordering::Relaxed);
        let all = self.gather(mine.iter().flat_map(|value| value.to_le_bytes()).collect(), patience)?;
        let mut sum = vec![0.0; mine.len()];
        for theirs in all {
            for (sum, bytes) in sum.iter_mut().zip(theirs.as_chunks::<8>().0) {
                *sum += f64::from_le_bytes(*bytes);
            }
        }
        Ok(sum)
    }
}
