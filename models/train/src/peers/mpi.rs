//! Processes and hosts linked by MPI, as `mpirun` starts them.
//!
//! MPI's usual calls wait for ever, and its usual answer to a broken connection is to end the process on the spot. Here every call is one
//! that does not wait, asked for again and again until it is done or the patience is over, and errors come back as errors. The `mpi` crate
//! starts and ends MPI; its own requests may neither fail nor be given up, so the calls are made directly, each with the reason why it
//! is sound. A sum is made on the first process and sent to all, so that no two can have other bytes (MPI promises that of no all-reduce).
#![allow(unsafe_code)]

use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::environment::{Universe, initialize_with_threading};
use mpi::ffi;
use mpi::topology::Communicator;

use super::{Link, Lost};

/// Looks at a request before a pause is made between them: a step's words are there within microseconds, the work of others is not.
const LOOKS: u32 = 2_000;
/// The pause. Others on this core get on with their share meanwhile.
const PAUSE: Duration = Duration::from_micros(100);

/// The processes of one `mpirun`.
pub struct Mpi {
    /// Ends MPI when it goes; `None` once a process is lost, because ending waits for all.
    universe: Option<Universe>,
    rank: usize,
    ranks: usize,
    /// Something is still on its way that will never come.
    broken: AtomicBool,
}

impl Mpi {
    /// Joins the processes that `mpirun` started together; without `mpirun` this one is alone.
    ///
    /// # Errors
    /// When MPI runs in this process already, or allows it no threads.
    pub fn join() -> Result<Mpi, Lost> {
        let lost = |words: &str| Lost(words.to_owned());
        let joined = initialize_with_threading(Threading::Serialized);
        let (universe, threading) = joined.ok_or_else(|| lost("MPI runs in this process already"))?;
        if threading < Threading::Funneled {
            return Err(lost("this MPI allows no threads in a program: use one that does (Debian's Open MPI)"));
        }
        // SAFETY: MPI is initialised, and both values are the library's own constants.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(ffi::RSMPI_COMM_WORLD, ffi::RSMPI_ERRORS_RETURN) };
        checked("MPI_Comm_set_errhandler", code)?;
        let world = universe.world();
        let [rank, ranks] = [world.rank(), world.size()].map(|number| usize::try_from(number).unwrap_or_default());
        Ok(Mpi { universe: Some(universe), rank, ranks, broken: AtomicBool::new(false) })
    }

    /// Starts a call by `start` and waits until it is done. `buffers` are what it reads and writes: given back when it is done, and never
    /// freed when it is not, because MPI may touch them as long as this process lives.
    fn finish<B>(
        &self,
        call: &str,
        buffers: B,
        patience: Duration,
        start: impl FnOnce(&mut B, *mut ffi::MPI_Request) -> c_int,
    ) -> Result<B, Lost> {
        // Boxed, so that it does not move while MPI has its address.
        let mut buffers = Box::new(buffers);
        // SAFETY: reading a constant of the library.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        let code = start(&mut buffers, &raw mut request);
        match checked(call, code).and_then(|()| self.wait(call, &mut request, patience)) {
            Ok(()) => Ok(*buffers),
            Err(lost) => {
                self.broken.store(true, Ordering::Relaxed);
                std::mem::forget(buffers);
                Err(lost)
            }
        }
    }

    fn wait(&self, call: &str, request: &mut ffi::MPI_Request, patience: Duration) -> Result<(), Lost> {
        let since = Instant::now();
        let (mut looks, mut done): (u32, c_int) = (0, 0);
        loop {
            // SAFETY: `request` came from the library and was not completed before; no status is asked for.
            let code = unsafe { ffi::MPI_Test(request, &raw mut done, ffi::RSMPI_STATUS_IGNORE) };
            checked(call, code)?;
            if done != 0 {
                return Ok(());
            }
            if since.elapsed() > patience {
                let seconds = patience.as_secs();
                return Err(Lost(format!("process {} waited {seconds} s for the others", self.rank)));
            }
            looks = looks.saturating_add(1);
            if looks < LOOKS { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
        }
    }
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.ranks
    }

    fn gather(&self, mine: Vec<u8>, patience: Duration) -> Result<Vec<Vec<u8>>, Lost> {
        let lengths = ([length(mine.len())?], vec![0; self.ranks]);
        let start = |(mine, all): &mut ([c_int; 1], Vec<c_int>), request| {
            // SAFETY: one number is read and as many are written as there are processes, in buffers that `finish` keeps.
            unsafe {
                let (from, to) = (mine.as_ptr().cast(), all.as_mut_ptr().cast());
                let (kind, world) = (ffi::RSMPI_INT32_T, ffi::RSMPI_COMM_WORLD);
                ffi::MPI_Iallgather(from, 1, kind, to, 1, kind, world, request)
            }
        };
        let (_, lengths) = self.finish("MPI_Iallgather", lengths, patience, start)?;
        let (mut places, mut end) = (Vec::with_capacity(lengths.len()), 0_usize);
        for &length in &lengths {
            places.push(self::length(end)?);
            end += usize::try_from(length).map_err(|_| Lost("a length below nothing".into()))?;
        }
        let count = length(mine.len())?;
        let start = |(mine, all, lengths, places): &mut (Vec<u8>, Vec<u8>, Vec<c_int>, Vec<c_int>), request| {
            // SAFETY: all of `mine` is read, and `all` has room for what the lengths and places say, in buffers that `finish` keeps.
            unsafe {
                let (from, to) = (mine.as_ptr().cast(), all.as_mut_ptr().cast());
                let (kind, world) = (ffi::RSMPI_UINT8_T, ffi::RSMPI_COMM_WORLD);
                let (lengths, places) = (lengths.as_ptr(), places.as_ptr());
                ffi::MPI_Iallgatherv(from, count, kind, to, lengths, places, kind, world, request)
            }
        };
        let buffers = (mine, vec![0; end], lengths, places);
        let (_, all, lengths, _) = self.finish("MPI_Iallgatherv", buffers, patience, start)?;
        let mut rest = all.as_slice();
        Ok(lengths.iter().map(|&length| rest.split_off(..length as usize).unwrap_or_default().to_vec()).collect())
    }

    fn sum(&self, mine: Vec<f64>, patience: Duration) -> Result<Vec<f64>, Lost> {
        let count = length(mine.len())?;
        let sum = vec![0.0; mine.len()];
        let start = |(mine, sum): &mut (Vec<f64>, Vec<f64>), request| {
            // SAFETY: `count` numbers are read and, on the first process, written, in buffers that `finish` keeps.
            unsafe {
                let (from, to): (*const c_void, *mut c_void) = (mine.as_ptr().cast(), sum.as_mut_ptr().cast());
                let (kind, add, world) = (ffi::RSMPI_DOUBLE, ffi::RSMPI_SUM, ffi::RSMPI_COMM_WORLD);
                ffi::MPI_Ireduce(from, to, count, kind, add, 0, world, request)
            }
        };
        let (_, sum) = self.finish("MPI_Ireduce", (mine, sum), patience, start)?;
        let start = |sum: &mut Vec<f64>, request| {
            // SAFETY: `count` numbers are read on the first process and written on the others, in a buffer that `finish` keeps.
            unsafe {
                ffi::MPI_Ibcast(sum.as_mut_ptr().cast(), count, ffi::RSMPI_DOUBLE, 0, ffi::RSMPI_COMM_WORLD, request)
            }
        };
        self.finish("MPI_Ibcast", sum, patience, start)
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if self.broken.load(Ordering::Relaxed) || std::thread::panicking() {
            std::mem::forget(self.universe.take());
        }
    }
}

fn checked(call: &str, code: c_int) -> Result<(), Lost> {
    // Zero is success in every MPI.
    if code == 0 { Ok(()) } else { Err(Lost(format!("{call} failed with code {code}"))) }
}

fn length(bytes: usize) -> Result<c_int, Lost> {
    c_int::try_from(bytes).map_err(|_| Lost(format!("{bytes} values are more than MPI takes at once")))
}
