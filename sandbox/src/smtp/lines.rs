//! Lines of SMTP, none longer than it may be.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Longer ones are no commands.
const LONGEST: usize = 4096;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Is(Vec<u8>),
    TooLong,
    End,
}

pub(super) struct Lines<S> {
    stream: S,
    /// The last look found no more than was taken.
    empty: bool,
}

impl<S: AsyncBufRead + Unpin> Lines<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, empty: true }
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Whether nothing more is here already.
    pub(super) fn is_empty(&self) -> bool {
        self.empty
    }

    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let mut line = Vec::new();
        let mut too_long = false;
        loop {
            let (piece, whole) = self.piece().await?;
            if piece.is_empty() {
                return Ok(Line::End);
            }
            too_long |= line.len() + piece.len() > LONGEST;
            if !too_long {
                line.extend(piece);
            }
            if whole {
                return Ok(if too_long { Line::TooLong } else { Line::Is(line) });
            }
        }
    }

    /// Up to the line that is a dot alone, without the dots that were put before others. None if it is too much, but
    /// read to its end all the same.
    pub(super) async fn message(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut too_much = false;
        // Of the line that is under way.
        let mut line = Vec::new();
        let mut at_beginning = true;
        // Only after a proper end of line can a dot be the end: anything else is somebody's text.
        let mut after_proper_end = true;
        loop {
            let (piece, whole) = self.piece().await?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            line.extend(piece);
            if !whole && line.len() < LONGEST {
                continue;
            }
            let mut text = line.as_slice();
            if at_beginning {
                if after_proper_end && text == b".\r\n" {
                    return Ok((!too_much).then_some(message));
                }
                text = text.strip_prefix(b".").unwrap_or(text);
            }
            too_much |= message.len() + text.len() > most;
            if too_much {
                message = Vec::new();
            } else {
                message.extend_from_slice(text);
            }
            at_beginning = whole;
            after_proper_end = line.ends_with(b"\r\n");
            line.clear();
        }
    }

    /// What is there of a line, and whether it ends with that. Nothing at the end of everything.
    async fn piece(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let there = self.stream.fill_buf().await?;
        let end = there.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
        let taken = end.unwrap_or(there.len());
        let piece = there.get(..taken).unwrap_or_default().to_vec();
        self.empty = taken == there.len();
        self.stream.consume(taken);
        Ok((piece, end.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn message(text: &[u8], buffer: usize) -> io::Result<Option<Vec<u8>>> {
        Lines::new(BufReader::with_capacity(buffer, text)).message(10_000).await
    }

    #[tokio::test]
    async fn a_message_ends_with_a_dot_and_loses_those_that_were_added() {
        let text = b"a\r\n..b\r\n\r\n.c\r\nd.\r\n.\r\nQUIT\r\n";
        for buffer in [1, 2, 3, 100] {
            assert_eq!(
                message(text, buffer).await.ok().flatten(),
                Some(b"a\r\n.b\r\n\r\nc\r\nd.\r\n".to_vec()),
                "{buffer}"
            );
        }
    }

    #[tokio::test]
    async fn only_a_proper_dot_ends_it() {
        for smuggled in [&b"a\n.\r\nb\r\n.\r\n"[..], b"a\r\n.\nb\r\n.\r\n"] {
            let read = message(smuggled, 100).await.ok().flatten().unwrap_or_default();
            assert!(read.ends_with(b"b\r\n"), "{read:?}");
        }
        assert!(message(b"a\r\n.", 100).await.is_err());
    }

    #[tokio::test]
    async fn what_is_too_much_is_read_to_its_end() {
        let text = [&b"a".repeat(20_000), &b"\r\n.\r\nNOOP\r\n"[..]].concat();
        let mut lines = Lines::new(BufReader::new(text.as_slice()));
        assert_eq!(lines.message(10_000).await.ok(), Some(None));
        assert_eq!(lines.next().await.ok(), Some(Line::Is(b"NOOP\r\n".to_vec())));
        assert_eq!(lines.next().await.ok(), Some(Line::End));
        let long = [&b"a".repeat(5_000), &b"\r\nNOOP\r\n"[..]].concat();
        let mut lines = Lines::new(BufReader::new(long.as_slice()));
        assert_eq!(lines.next().await.ok(), Some(Line::TooLong));
        assert_eq!(lines.next().await.ok(), Some(Line::Is(b"NOOP\r\n".to_vec())));
    }
}
