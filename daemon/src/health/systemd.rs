//! What the service manager is told: ready, reloading, stopping, alive. Without one, nothing is sent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Speaks to the service manager.
pub struct Notifier {
    /// Half the time after which the manager gives up on us; none: it does not watch.
    every: Option<Duration>,
    fed: Option<Instant>,
}

impl Notifier {
    /// Reads from the environment whether anybody listens.
    pub fn new() -> Notifier {
        Notifier { every: sd_notify::watchdog_enabled().map(|limit| limit / 2), fed: None }
    }

    /// The line takes parts.
    pub fn ready(&self, status: &str) {
        send(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A new recipe is being read. [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!("the service manager is not told of the reload: no monotonic clock: {error}"),
        }
    }

    /// No more parts are taken.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping, NotifyState::Status("finishing the parts in flight")]);
    }

    /// The line is well: the watchdog may wait again. Called often, sent seldom.
    pub fn alive(&mut self) {
        let Some(every) = self.every else { return };
        if self.fed.is_none_or(|fed| fed.elapsed() >= every / 2) {
            send(&[NotifyState::Watchdog]);
            self.fed = Some(Instant::now());
        }
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Notifier::new()
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
