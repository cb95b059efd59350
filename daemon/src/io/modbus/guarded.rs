//! A connection of which the decoder behind sees whole, well-formed requests only. Bytes that are none end the connection; so do a
//! client that sends no whole request for a while (half-open, asleep, dribbling) and one that does not read its answers. Requests
//! come no faster than the line can bear.
//!
//! tokio-modbus 0.17 panics where a request's count does not fit its bytes; what it must not see is checked in [`fault`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Header: transaction, protocol, length, unit.
const HEADER: usize = 7;
/// The longest request, header and all.
const LONGEST: usize = HEADER + 253;
/// Requests of one connection within [`WINDOW`].
const AT_MOST: u32 = 500;
const WINDOW: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Guarded<T> {
    inner: T,
    /// What came and is not a whole request yet.
    buffer: [u8; LONGEST],
    filled: usize,
    /// How much of `buffer` the reader may have, and has had.
    whole: usize,
    taken: usize,
    idle: Duration,
    /// When the connection is given up.
    deadline: Pin<Box<Sleep>>,
    /// Until when no request is passed on.
    pause: Option<Pin<Box<Sleep>>>,
    window: Instant,
    in_window: u32,
}

impl<T> Guarded<T> {
    pub(super) fn new(inner: T, idle: Duration) -> Guarded<T> {
        let now = Instant::now();
        Guarded {
            inner,
            buffer: [0; LONGEST],
            filled: 0,
            whole: 0,
            taken: 0,
            idle,
            deadline: Box::pin(sleep_until(now + idle)),
            pause: None,
            window: now,
            in_window: 0,
        }
    }

    /// Something was achieved: the client has its time again.
    fn alive(&mut self) {
        let until = Instant::now() + self.idle;
        self.deadline.as_mut().reset(until);
    }

    /// The waiting side of whatever is pending.
    fn waits(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.deadline.as_mut().poll(context));
        let words = format!("nothing whole was sent, or no answer taken, for {} ms", self.idle.as_millis());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, words)))
    }

    /// Counts a request; holds the next one back where they come too fast.
    fn pace(&mut self) {
        let now = Instant::now();
        if now >= self.window + WINDOW {
            (self.window, self.in_window) = (now, 0);
        }
        self.in_window += 1;
        if self.in_window >= AT_MOST {
            self.pause = Some(Box::pin(sleep_until(self.window + WINDOW)));
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(context));
            this.pause = None;
        }
        loop {
            if this.taken < this.whole {
                let some = out.remaining().min(this.whole - this.taken);
                out.put_slice(&this.buffer[this.taken..this.taken + some]);
                this.taken += some;
                if this.taken == this.whole {
                    this.buffer.copy_within(this.whole..this.filled, 0);
                    (this.filled, this.whole, this.taken) = (this.filled - this.whole, 0, 0);
                    this.pace();
                }
                return Poll::Ready(Ok(()));
            }
            if let Some(length) = length(&this.buffer[..this.filled])?
                && this.filled >= length
            {
                if let Some(why) = fault(&this.buffer[HEADER..length]) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                this.whole = length;
                this.alive();
                continue;
            }
            let mut free = ReadBuf::new(&mut this.buffer[this.filled..]);
            match Pin::new(&mut this.inner).poll_read(context, &mut free) {
                Poll::Ready(Ok(())) if free.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.filled += free.filled().len(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return this.waits(context),
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Pending => self.waits(context).map_ok(|()| 0),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Pending => self.waits(context),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// How long the request is that begins here; none: its header is not there yet.
fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let wrong = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    if bytes.len() >= 4 && bytes[2..4] != [0, 0] {
        return wrong(format!("protocol {:02x}{:02x} is not Modbus", bytes[2], bytes[3]));
    }
    if bytes.len() < 6 {
        return Ok(None);
    }
    // Unit and at least a function code; at most what the specification allows.
    let rest = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    if !(2..=LONGEST - 6).contains(&rest) {
        return wrong(format!("a request of {rest} bytes: there are 2 to {}", LONGEST - 6));
    }
    Ok(Some(6 + rest))
}

/// What is wrong with a request's own bytes, function code first. One with a function code that nobody knows is passed on: it is
/// answered by an exception.
fn fault(request: &[u8]) -> Option<String> {
    let pair = |at: usize| request.get(at..at + 2).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
    let byte = |at: usize| request.get(at).map(|&byte| usize::from(byte));
    let function = request.first().copied()?;
    let fits = match function {
        0x01..=0x04 | 0x06 => request.len() == 5,
        // A coil is 0000 or ff00.
        0x05 => request.len() == 5 && matches!(pair(3), Some(0 | 0xff00)),
        0x0f => counted(request, (pair(3), byte(5)), 6, |coils| coils.div_ceil(8)),
        0x10 => counted(request, (pair(3), byte(5)), 6, |registers| 2 * registers),
        0x17 => counted(request, (pair(7), byte(9)), 10, |registers| 2 * registers),
        0x11 => request.len() == 1,
        0x16 => request.len() == 7,
        0x80.. => false,
        _ => true,
    };
    (!fits).then(|| format!("function {function:#04x} does not have these {} bytes", request.len()))
}

/// Whether a request that says how many things it carries carries them.
fn counted(
    request: &[u8],
    said: (Option<usize>, Option<usize>),
    head: usize,
    bytes_of: impl Fn(usize) -> usize,
) -> bool {
    let (Some(things), Some(bytes)) = said else { return false };
    bytes == bytes_of(things) && request.len() == head + bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes through, and how it ends.
    fn through(pieces: &[Vec<u8>]) -> (Vec<u8>, io::Result<()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(4096);
            let mut guarded = Guarded::new(far, Duration::from_secs(60));
            let read = tokio::spawn(async move {
                let mut out = Vec::new();
                let end = guarded.read_to_end(&mut out).await;
                (out, end.map(drop))
            });
            for piece in pieces {
                // The other side may have given up.
                let _ = near.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            drop(near);
            read.await.expect("no panic")
        })
    }

    fn request(body: &[u8]) -> Vec<u8> {
        let length = (body.len() + 1) as u16;
        [&[0, 1, 0, 0][..], &length.to_be_bytes(), &[1], body].concat()
    }

    #[test]
    fn whole_requests_pass_in_any_pieces_and_others_end_the_connection() {
        let good = [request(&[4, 0, 0, 0, 20]), request(&[0x0f, 0, 0, 0, 2, 1, 3]), request(&[0x41, 9, 9])].concat();
        for size in [1, 3, 7, good.len()] {
            let pieces: Vec<Vec<u8>> = good.chunks(size).map(<[u8]>::to_vec).collect();
            let (out, end) = through(&pieces);
            assert_eq!((out, end.is_ok()), (good.clone(), true), "in pieces of {size}");
        }
        for bad in [
            request(&[4, 0, 0, 0]),
            request(&[5, 0, 0, 0x12, 0x34]),
            // 2000 coils in one byte, 40,000 registers in none: these would be a panic.
            request(&[0x0f, 0, 0, 0x07, 0xd0, 1, 3]),
            request(&[0x10, 0, 0, 0x9c, 0x40, 0]),
            request(&[0x17, 0, 0, 0, 1, 0, 0, 0x80, 0, 0]),
            request(&[0x84, 1]),
            vec![0, 1, 0, 7, 0, 6, 1, 4, 0, 0, 0, 1],
            vec![0, 1, 0, 0, 0, 0, 1],
            vec![0, 1, 0, 0, 0xff, 0xff, 1],
        ] {
            let (out, end) = through(&[good.clone(), bad.clone(), good.clone()]);
            assert_eq!((out.len(), end.is_err()), (good.len(), true), "{bad:02x?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever comes: what passes is whole requests that were sent, and nothing is read past a fault.
        #[test]
        fn nothing_else_passes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let sent = pieces.concat();
            let (out, _) = through(&pieces);
            prop_assert!(sent.starts_with(&out));
            let mut rest = &out[..];
            while !rest.is_empty() {
                let length = length(rest).expect("well-formed").expect("a header");
                prop_assert!(rest.len() >= length && fault(&rest[HEADER..length]).is_none());
                rest = &rest[length..];
            }
        }
    }

    #[tokio::test]
    async fn who_sends_nothing_whole_is_not_waited_for() {
        let (mut near, far) = tokio::io::duplex(64);
        let mut guarded = Guarded::new(far, Duration::from_millis(400));
        let read = tokio::spawn(async move { guarded.read(&mut [0; 64]).await });
        for byte in [0, 1, 0, 0] {
            // The last one comes after the end.
            let _ = near.write_all(&[byte]).await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let end = read.await.expect("no panic");
        assert_eq!(end.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
    }
}
