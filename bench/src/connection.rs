//! A kept-alive connection of the load. A general client would take as much of the processors as a service that is
//! measured; here a request is bytes that were written once, and an answer is taken apart only as far as it must be.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// No answer is longer.
const MOST: usize = 64 * 1024;

pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(1024) })
    }

    /// Sends a request as it stands, and returns the status and the body of its answer.
    pub async fn send(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the connection was closed before the answer was whole");
            }
            if let Some((status, body)) = whole(&self.answer)? {
                return Ok((status, &self.answer[body]));
            }
            if self.answer.len() > MOST {
                bail!("the answer is longer than {MOST} bytes");
            }
        }
    }
}

/// The status, and where the body is, once all of it is there.
fn whole(answer: &[u8]) -> Result<Option<(u16, Range<usize>)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else { return Ok(None) };
    let status = response.code.context("an answer without a status")?;
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without a content-length")?;
    let end = head + std::str::from_utf8(length.value)?.parse::<usize>()?.min(MOST + 1);
    Ok((answer.len() >= end).then_some((status, head..end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        for end in 0..ANSWER.len() {
            assert_eq!(whole(&ANSWER[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(whole(ANSWER).unwrap(), Some((200, ANSWER.len() - 2..ANSWER.len())));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(whole(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").is_err());
    }
}
