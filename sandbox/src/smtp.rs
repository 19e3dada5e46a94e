//! A small SMTP server that takes every mail, unless it was told not to.

mod lines;

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use self::lines::{Line, Lines};
use crate::{
    faults::Smtp,
    inbox::{self, AtHome},
    world::{World, now},
};

const MOST_CONNECTIONS: usize = 200;
const MOST_RECIPIENTS: usize = 100;
const LARGEST_MESSAGE: usize = 1 << 20;
/// Whoever says nothing for so long is let go; so is whoever has been here for so long.
const QUIET_FOR: Duration = Duration::from_secs(60);
const HERE_FOR: Duration = Duration::from_secs(30 * 60);
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

pub(crate) async fn serve(listener: TcpListener, world: Arc<World>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = world.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else {
            tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
            continue;
        };
        match world.faults.now().smtp {
            Smtp::Down => continue,
            Smtp::Silent => {
                world.beside(say_nothing(stream));
                continue;
            }
            Smtp::Up | Smtp::TempFail | Smtp::Refuse => {}
        }
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else {
            let _ = stream.try_write(b"421 4.3.2 too many connections\r\n");
            let _ = stream.shutdown().await;
            continue;
        };
        let of = Arc::clone(&world);
        world.beside(async move {
            let _seat = seat;
            let _ = stream.set_nodelay(true);
            // How a connection ends is its own affair.
            let _ = tokio::time::timeout(HERE_FOR, Session::new(stream, of).converse()).await;
        });
    }
}

struct Session {
    lines: Lines<BufStream<TcpStream>>,
    world: Arc<World>,
    greeted: bool,
    /// None before MAIL.
    from: Option<String>,
    to: Vec<String>,
}

/// Until the other side has had enough.
async fn say_nothing(mut stream: impl AsyncRead + Unpin) {
    let _ = tokio::time::timeout(HERE_FOR, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
}

enum After {
    GoOn,
    Bye,
}

impl Session {
    fn new(stream: TcpStream, world: Arc<World>) -> Self {
        Self { lines: Lines::new(BufStream::new(stream)), world, greeted: false, from: None, to: Vec::new() }
    }

    async fn converse(mut self) -> io::Result<()> {
        self.reply("220 sandbox ESMTP").await?;
        loop {
            // Answers to commands that came together leave together.
            if self.lines.is_empty() {
                self.lines.stream().flush().await?;
            }
            let line = match tokio::time::timeout(QUIET_FOR, self.lines.next()).await {
                Ok(line) => line?,
                Err(_) => {
                    self.reply("421 4.4.2 nothing was said for too long").await?;
                    return self.lines.stream().flush().await;
                }
            };
            // Down is down for those as well who are here already, and so is silent.
            match self.world.faults.now().smtp {
                Smtp::Down => return Ok(()),
                Smtp::Silent => {
                    say_nothing(self.lines.stream()).await;
                    return Ok(());
                }
                Smtp::Up | Smtp::TempFail | Smtp::Refuse => {}
            }
            match line {
                Line::End => return Ok(()),
                Line::TooLong => self.reply("500 5.5.2 the line is too long").await?,
                Line::Is(line) => {
                    if matches!(self.obey(&String::from_utf8_lossy(&line)).await?, After::Bye) {
                        return self.lines.stream().flush().await;
                    }
                }
            }
        }
    }

    async fn obey(&mut self, line: &str) -> io::Result<After> {
        let line = line.trim_end();
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.begin();
                self.reply("250-sandbox").await?;
                for extension in ["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"] {
                    self.reply(&format!("250-{extension}")).await?;
                }
                self.reply(&format!("250 SIZE {LARGEST_MESSAGE}")).await?;
            }
            "HELO" => {
                self.begin();
                self.reply("250 sandbox").await?;
            }
            "MAIL" => self.mail(argument).await?,
            "RCPT" => self.rcpt(argument).await?,
            "DATA" => return self.data().await,
            "RSET" => {
                self.forget();
                self.reply("250 2.0.0 forgotten").await?;
            }
            "NOOP" => self.reply("250 2.0.0 fine").await?,
            "VRFY" => self.reply("252 2.0.0 try it").await?,
            "QUIT" => {
                self.reply("221 2.0.0 bye").await?;
                return Ok(After::Bye);
            }
            _ => self.reply("502 5.5.1 not known here").await?,
        }
        Ok(After::GoOn)
    }

    async fn mail(&mut self, argument: &str) -> io::Result<()> {
        if !self.greeted || self.from.is_some() {
            return self.reply("503 5.5.1 not now").await;
        }
        if self.world.faults.now().smtp == Smtp::TempFail {
            return self.reply("451 4.3.0 not now, come again").await;
        }
        let Some((from, parameters)) = path(argument, "FROM:") else {
            return self.reply("501 5.5.4 MAIL FROM:<address>").await;
        };
        let announced = parameters.split(' ').find_map(|parameter| {
            parameter.to_ascii_uppercase().strip_prefix("SIZE=").map(|size| size.parse().unwrap_or(usize::MAX))
        });
        if announced.is_some_and(|size| size > LARGEST_MESSAGE) {
            return self.reply("552 5.3.4 that is too much").await;
        }
        self.from = Some(from);
        self.reply("250 2.1.0 go on").await
    }

    async fn rcpt(&mut self, argument: &str) -> io::Result<()> {
        if self.from.is_none() {
            return self.reply("503 5.5.1 MAIL first").await;
        }
        let Some((to, _)) = path(argument, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return self.reply("501 5.5.4 RCPT TO:<address>").await;
        };
        if self.to.len() >= MOST_RECIPIENTS {
            return self.reply("452 4.5.3 too many recipients").await;
        }
        if self.world.faults.now().smtp == Smtp::Refuse {
            return self.reply("550 5.7.1 not wanted here").await;
        }
        let at_home = self.world.inbox().ask_for(&to);
        match at_home {
            AtHome::Never => self.reply("550 5.1.1 nobody of that name is here").await,
            AtHome::NotYet => self.reply("451 4.2.1 not at home, come again").await,
            AtHome::Yes => {
                self.to.push(to);
                self.reply("250 2.1.5 go on").await
            }
        }
    }

    async fn data(&mut self) -> io::Result<After> {
        let Some(from) = self.from.clone().filter(|_| !self.to.is_empty()) else {
            self.reply("503 5.5.1 MAIL and RCPT first").await?;
            return Ok(After::GoOn);
        };
        self.reply("354 go on, and end with a dot").await?;
        self.lines.stream().flush().await?;
        let message = match tokio::time::timeout(QUIET_FOR * 5, self.lines.message(LARGEST_MESSAGE)).await {
            Ok(message) => message?,
            Err(_) => {
                self.reply("421 4.4.2 the message took too long").await?;
                return Ok(After::Bye);
            }
        };
        let to = std::mem::take(&mut self.to);
        self.forget();
        let Some(message) = message else {
            self.reply("552 5.3.4 that was too much").await?;
            return Ok(After::GoOn);
        };
        let at = now();
        let mails: Vec<_> = to.iter().map(|to| inbox::read(&message, &from, to, at)).collect();
        {
            let mut inbox = self.world.inbox();
            mails.into_iter().for_each(|mail| inbox.take(mail));
        }
        self.reply("250 2.0.0 taken").await?;
        Ok(After::GoOn)
    }

    fn begin(&mut self) {
        self.greeted = true;
        self.forget();
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn reply(&mut self, line: &str) -> io::Result<()> {
        let stream = self.lines.stream();
        stream.write_all(line.as_bytes()).await?;
        stream.write_all(b"\r\n").await
    }
}

/// `FROM:<address> parameters`. The address may be empty.
fn path<'a>(argument: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let begins = argument.get(..keyword.len())?.eq_ignore_ascii_case(keyword);
    let rest = argument.get(keyword.len()..).filter(|_| begins)?.trim_start().strip_prefix('<')?;
    let (address, parameters) = rest.split_once('>')?;
    let plain = address.len() <= 320 && !address.chars().any(|c| c.is_control() || c == '<' || c == ' ');
    plain.then(|| (address.to_owned(), parameters.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let of = |argument| path(argument, "FROM:");
        assert_eq!(of("FROM:<a@b> SIZE=3 BODY=8BITMIME"), Some(("a@b".to_owned(), "SIZE=3 BODY=8BITMIME")));
        assert_eq!(of("from: <>"), Some((String::new(), "")));
        let long = format!("FROM:<{}>", "a".repeat(400));
        for bad in ["", "FROM", "FROM:a@b", "TO:<a@b>", "FROM:<a b>", "FROM:<a\u{0}b>", "FRÖM:<a>", long.as_str()] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
