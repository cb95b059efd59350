//! `--distributed`: several processes that `mpirun` has started learn one thing together (docs/DISTRIBUTED.md). The first of them writes and
//! speaks; the others are silent but for errors.

use std::collections::BTreeSet;
use std::time::Duration;

use models_train::TrainError;
use models_train::peers::Peers;
use serde::{Deserialize, Serialize};

use super::Ended;
use crate::words;

/// See the fields.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Distributed {
    /// Share the work with the other processes that `mpirun` has started, on this host and on others: `mpirun -n 2 inspectd train ...
    /// --distributed`. All get the same options. Needs a program that was built with MPI.
    #[arg(long)]
    distributed: bool,
    /// Seconds without a word from another process after which it counts as lost, and the training ends.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "distributed")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lost_after: u32,
    /// The others, once they are joined.
    #[arg(skip)]
    peers: Peers,
}

impl Distributed {
    /// Joins the others, where this is asked for.
    ///
    /// # Errors
    /// When this program was built without MPI, or MPI does not start.
    pub(super) fn join(&mut self) -> anyhow::Result<()> {
        if self.distributed {
            self.peers = joined(Duration::from_secs(self.lost_after.into()))?;
        }
        Ok(())
    }

    pub(super) fn is_asked(&self) -> bool {
        self.distributed
    }

    pub(in crate::cli) fn peers(&self) -> &Peers {
        &self.peers
    }

    /// How many threads this process has among those on its host; `None` where it is alone: one per core.
    ///
    /// # Errors
    /// When another process has failed or is lost.
    pub(super) fn threads(&self) -> anyhow::Result<Option<u16>> {
        if self.peers.is_alone() {
            return Ok(None);
        }
        let mine = Place::here();
        let all = self.peers.gather("cores", Ok(serde_json::to_vec(&mine)?))?;
        let all = all.iter().map(|place| serde_json::from_slice(place)).collect::<Result<Vec<Place>, _>>()?;
        // No more than a container has of them.
        let usable = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = mine.threads(&all).min(usable);
        tracing::info!("{} processes, {threads} threads in each here", self.peers.ranks());
        Ok(u16::try_from(threads).ok())
    }
}

#[cfg(feature = "mpi")]
fn joined(patience: Duration) -> anyhow::Result<Peers> {
    use anyhow::Context;
    let link = models_train::peers::mpi::Mpi::join().context("--distributed: MPI does not start")?;
    let peers = Peers::together(Box::new(link), patience);
    if peers.ranks() == 1 {
        tracing::warn!("--distributed: this process is alone; start several by `mpirun -n 2 inspectd ...`");
    }
    Ok(peers)
}

#[cfg(not(feature = "mpi"))]
fn joined(_: Duration) -> anyhow::Result<Peers> {
    anyhow::bail!(
        "--distributed: this program was built without MPI, as the package is; build it with `cargo build --release --workspace --bin inspectd \
         --features inspectd/mpi` where Debian's libopenmpi-dev is installed (docs/DISTRIBUTED.md), or train without --distributed"
    )
}

/// Tells the others how this process ended, and hears whether they ended well.
pub(in crate::cli) fn close(peers: &Peers, ended: anyhow::Result<Ended>) -> anyhow::Result<Ended> {
    let error = match &ended {
        Ok(Ended::Done(_)) => None,
        Ok(Ended::Stopped(_)) => Some(TrainError::Stopped),
        Err(error) => Some(TrainError::Settings(words::of(error))),
    };
    match (peers.close(error), ended) {
        (Err(theirs), Ok(Ended::Done(_))) => Err(theirs.into()),
        // Its own words say it best.
        (_, ended) => ended,
    }
}

/// Where a process runs: the host, and the cores that it may use there (`mpirun` may have bound it to some).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    host: String,
    cores: BTreeSet<u32>,
}

impl Place {
    /// As the kernel says it. A kernel that does not gives a place that is shared with nobody.
    fn here() -> Place {
        let host = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Place { host, cores: list.and_then(cores).unwrap_or_default() }
    }

    /// Threads for this process: each of its cores is divided by those that may use it, one thread at least.
    fn threads(&self, all: &[Place]) -> usize {
        if self.cores.is_empty() {
            return usize::MAX;
        }
        let users =
            |core: &u32| all.iter().filter(|place| place.host == self.host && place.cores.contains(core)).count();
        let share: f64 = self.cores.iter().map(|core| 1.0 / users(core).max(1) as f64).sum();
        // Thirds add up to a little less than one.
        ((share + 1e-9) as usize).max(1)
    }
}

/// The numbers of a list as the kernel writes it: `0-3,8`.
fn cores(list: &str) -> Option<BTreeSet<u32>> {
    let range = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(from.parse::<u32>().ok()?..=to.parse().ok()?)
    };
    let ranges = list.trim().split(',').map(range).collect::<Option<Vec<_>>>()?;
    Some(ranges.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str, list: &str) -> Place {
        Place { host: host.into(), cores: cores(list).expect("a list") }
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(cores("\t0-3,8\n"), Some([0, 1, 2, 3, 8].into()));
        assert_eq!(cores(""), None);
        assert_eq!(cores("0-x"), None);
    }

    #[test]
    fn cores_are_shared_among_the_processes_of_a_host() {
        // Free to run anywhere: 16 cores for two; on another host eight for one.
        let all = [place("a", "0-15"), place("a", "0-15"), place("b", "0-7")];
        assert_eq!(all.iter().map(|place| place.threads(&all)).collect::<Vec<_>>(), [8, 8, 8]);
        // Bound by mpirun: each has its own.
        let all = [place("a", "0-3"), place("a", "4-7")];
        assert_eq!(all.iter().map(|place| place.threads(&all)).collect::<Vec<_>>(), [4, 4]);
        // More processes than cores.
        let all: Vec<Place> = (0..3).map(|_| place("a", "0-1")).collect();
        assert_eq!(all[0].threads(&all), 1);
        let all: Vec<Place> = (0..3).map(|_| place("a", "0-8")).collect();
        assert_eq!(all[0].threads(&all), 3);
    }
}
