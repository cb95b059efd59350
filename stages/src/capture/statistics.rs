//! What a source counts of itself, readable while it runs: on the page, in the API, in tests.

use std::sync::{Arc, Mutex, PoisonError};

/// A snapshot of what a camera has delivered and lost since the program started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceStatistics {
    /// Whether the camera answers at this moment.
    pub connected: bool,
    /// Which camera, in words: vendor, model, serial number, address.
    pub device: Option<String>,
    /// Values that the camera has taken otherwise than asked for, in words.
    pub adjusted: Vec<String>,
    /// Whole pictures that came.
    pub pictures: u64,
    /// Pictures that came with holes; each is a part without a decision.
    pub incomplete: u64,
    /// Numbers left out in the camera's count of its pictures; each is a part without a decision.
    pub missing: u64,
    /// Pictures, whole or not, that others overtook: they had been counted as missing, and come too late for their parts.
    pub late: u64,
    /// Pictures of a stream that were too old for a verdict, or overtaken by newer ones before the line took them.
    pub stale: u64,
    /// Numbers that came a second time.
    pub repeated: u64,
    /// Pictures equal bit for bit to the one before, beyond what is allowed.
    pub frozen: u64,
    /// Pictures that nobody had asked for, under a software trigger; they are thrown away.
    pub unasked: u64,
    /// Software triggers without a picture in time.
    pub unanswered: u64,
    /// Pictures for which no buffer was free.
    pub unbuffered: u64,
    /// Times that the camera was connected.
    pub connections: u64,
    /// Times that it was lost: no answer, control lost, a call that failed or hung.
    pub lost: u64,
    /// Times that pictures stayed away although the camera answered.
    pub stalls: u64,
    /// Exposure that the camera reports with its last picture, microseconds.
    pub exposure_us: Option<f64>,
    /// Packets of the present connection.
    pub packets: Packets,
}

/// What the network lost, and how it was mended. All zero for cameras without packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Packets {
    /// Packets that did not come by themselves.
    pub missing: u64,
    /// Times that packets were asked for again.
    pub resend_requests: u64,
    /// Packets that came when asked for again.
    pub resent: u64,
    /// Pictures that found no free buffer in the driver.
    pub underruns: u64,
}

/// Where a source writes its statistics. Cloning gives another handle on the same.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Mutex<SourceStatistics>>);

impl Gauge {
    /// What it says now.
    pub fn read(&self) -> SourceStatistics {
        self.change(|now| now.clone())
    }

    /// What several cameras say together: sums, and connected only if each of `all` is.
    pub(super) fn total<'a>(&self, each: impl Iterator<Item = (&'a str, &'a SourceStatistics)>, all: usize) {
        let mut sum = SourceStatistics::default();
        let (mut connected, mut devices) = (0, Vec::new());
        for (name, one) in each {
            connected += usize::from(one.connected);
            devices.extend(one.device.as_ref().map(|device| format!("{name}: {device}")));
            sum.adjusted.extend(one.adjusted.iter().map(|note| format!("{name}: {note}")));
            for (to, from) in [
                (&mut sum.pictures, one.pictures),
                (&mut sum.incomplete, one.incomplete),
                (&mut sum.missing, one.missing),
                (&mut sum.late, one.late),
                (&mut sum.repeated, one.repeated),
                (&mut sum.frozen, one.frozen),
                (&mut sum.unasked, one.unasked),
                (&mut sum.unanswered, one.unanswered),
                (&mut sum.unbuffered, one.unbuffered),
                (&mut sum.connections, one.connections),
                (&mut sum.lost, one.lost),
                (&mut sum.stalls, one.stalls),
                (&mut sum.packets.missing, one.packets.missing),
                (&mut sum.packets.resend_requests, one.packets.resend_requests),
                (&mut sum.packets.resent, one.packets.resent),
                (&mut sum.packets.underruns, one.packets.underruns),
            ] {
                *to += from;
            }
        }
        sum.connected = connected == all;
        sum.device = (!devices.is_empty()).then(|| devices.join("; "));
        self.change(|now| *now = sum);
    }

    pub(super) fn change<R>(&self, change: impl FnOnce(&mut SourceStatistics) -> R) -> R {
        // Plain counting: nothing is half done after a panic.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
