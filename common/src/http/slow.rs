//! A connection that does not wait for ever: not for a client that does not read, nor for one that does not stop sending.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::seat::Seat;

/// How long what a refused client still sends is read and thrown away, so that it finds the answer before the end.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Patient {
    stream: TokioIo<TcpStream>,
    seat: Arc<Seat>,
    write_within: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    leaving: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    pub(super) fn new(stream: TcpStream, seat: Arc<Seat>, write_within: Duration) -> Self {
        Self { stream: TokioIo::new(stream), seat, write_within, stalled: None, leaving: None }
    }

    /// A write that stays pending fails in the end.
    fn not_for_ever<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let within = self.write_within;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(within)));
        ready!(stalled.as_mut().poll(cx));
        metrics::counter!("conveyor_http_dropped_total", "why" => "does not read").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl Read for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.not_for_ever(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.not_for_ever(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.leaving.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.seat.lingers() {
                return Poll::Ready(Ok(()));
            }
        }
        let leaving = this.leaving.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut thrown_away = [0; 4_096];
        while leaving.as_mut().poll(cx).is_pending() {
            let mut read = ReadBuf::new(&mut thrown_away);
            match ready!(Pin::new(this.stream.inner_mut()).poll_read(cx, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {}
                // It has read what there was to read, and gone.
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
