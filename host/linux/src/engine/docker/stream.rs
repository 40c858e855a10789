//! Requests whose answer is a stream, or comes late: a container's output, and its end.
//!
//! There are two of them for each running container, so that what each holds while nothing comes is a socket. The
//! answer's bytes come as they are: in HTTP/1.0 they are in no chunks, and end with the connection. An end is hence no
//! promise that all has come, and who reads looks whether it can be.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::Context,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use longshore_core::error::{HostError, Result};
use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, ReadBuf},
    time::timeout,
};

use super::connect::{CALL_SECONDS, Connection, Engine, MAX_ERROR_BYTES, refused_with};
use crate::watch::watched;

/// Longest head of an answer, bytes.
const HEAD_BYTES: usize = 16 << 10;
/// Most headers of an answer.
const HEADERS: usize = 64;
/// Most that is read at once, bytes.
const READ_BYTES: usize = 64 << 10;

/// The body of an answer, as it comes. Nothing is read ahead: what comes while nobody asks stays in the kernel, and
/// wakes nobody.
pub(super) struct Body {
    line: Line,
    /// What came together with the head.
    early: Bytes,
}

/// Where a body comes from.
enum Line {
    /// A socket that is watched only while somebody waits for it.
    Socket(OwnedFd),
    /// What must be decrypted first.
    Wrapped(Connection),
}

impl Engine {
    /// Asks for a stream; `path` begins with a slash and carries the query.
    pub(super) async fn read_stream(&self, path: &str) -> Result<Body> {
        timeout(Duration::from_secs(CALL_SECONDS), self.stream("GET", path)).await.map_err(|_| self.too_slow())?
    }

    /// Asks to be told when something happens, however late; answers what was told.
    pub(super) async fn be_told(&self, path: &str) -> Result<Bytes> {
        self.stream("POST", path).await?.all(self, MAX_ERROR_BYTES).await
    }

    async fn stream(&self, method: &str, path: &str) -> Result<Body> {
        if path.contains(|c: char| c.is_ascii_control() || c == ' ') {
            return Err(HostError::Invalid(format!("no request can be made of {path:?}")));
        }
        let mut connection = self.connect().await?;
        let head = format!("{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Length: 0\r\n\r\n");
        let answered = async {
            connection.write_all(head.as_bytes()).await?;
            let (status, early) = read_head(&mut connection).await?;
            let line = connection.into_socket()?.map_or_else(Line::Wrapped, Line::Socket);
            io::Result::Ok((status, Body { line, early }))
        };
        let (status, mut body) = answered.await.map_err(|error| self.silent(&error))?;
        if status == 200 {
            return Ok(body);
        }
        let said = timeout(Duration::from_secs(CALL_SECONDS), body.all(self, MAX_ERROR_BYTES))
            .await
            .map_err(|_| self.too_slow())?;
        Err(refused_with(status, &said.unwrap_or_default()))
    }
}

impl Body {
    /// Waits until there is something to read, if that can be known beforehand; answers whether more may come after it.
    /// Cancel-safe.
    pub(super) async fn ready(&mut self, engine: &Engine) -> Result<bool> {
        match &self.line {
            Line::Socket(socket) if self.early.is_empty() => {
                readable(socket).await.map_err(|error| engine.silent(&error))
            }
            _ => Ok(true),
        }
    }

    /// The next bytes; none at the end. Cancel-safe.
    pub(super) async fn next(&mut self, engine: &Engine) -> Result<Option<Bytes>> {
        let data = self.read().await.map_err(|error| engine.silent(&error))?;
        Ok((!data.is_empty()).then_some(data))
    }

    /// Whoever finds nothing holds no buffer meanwhile: all of a thread read into the same.
    async fn read(&mut self) -> io::Result<Bytes> {
        thread_local! {
            static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
        }
        if !self.early.is_empty() {
            return Ok(std::mem::take(&mut self.early));
        }
        match &mut self.line {
            Line::Socket(socket) => loop {
                let read = BUFFER.with_borrow_mut(|buffer| {
                    let length = rustix::io::read(&*socket, &mut **buffer)?;
                    Ok(Bytes::copy_from_slice(&buffer[..length]))
                });
                match read {
                    Err(Errno::AGAIN) => {
                        readable(socket).await?;
                    }
                    Err(Errno::INTR) => {}
                    read => return read.map_err(Into::into),
                }
            },
            Line::Wrapped(connection) => {
                let poll = |context: &mut Context<'_>| {
                    BUFFER.with_borrow_mut(|buffer| {
                        let mut buffer = ReadBuf::new(buffer);
                        let polled = Pin::new(&mut *connection).poll_read(context, &mut buffer);
                        polled.map_ok(|()| Bytes::copy_from_slice(buffer.filled()))
                    })
                };
                poll_fn(poll).await
            }
        }
    }

    /// All that comes up to the end, if it is as short as it should be.
    pub(super) async fn all(&mut self, engine: &Engine, most: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while all.len() < most {
            let Some(data) = self.next(engine).await? else { break };
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }
}

/// Waits for bytes or the end; answers whether the end has not come.
async fn readable(socket: &OwnedFd) -> io::Result<bool> {
    let watched = watched(socket.as_fd(), Interest::READABLE)?;
    let found = watched.readable().await?;
    Ok(!found.ready().is_read_closed())
}

/// The status of an answer, and what came of its body.
async fn read_head(connection: &mut Connection) -> io::Result<(u16, Bytes)> {
    let mut data = Vec::with_capacity(512);
    loop {
        if let Some((status, length)) = parse_head(&data)? {
            return Ok((status, Bytes::copy_from_slice(&data[length..])));
        }
        if data.len() >= HEAD_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of its answer does not end"));
        }
        if connection.read_buf(&mut data).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Status and length of a head, once it is whole.
fn parse_head(data: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let wrong = |said: String| io::Error::new(io::ErrorKind::InvalidData, format!("its answer is not HTTP: {said}"));
    let length = match head.parse(data).map_err(|error| wrong(error.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    if head.headers.iter().any(|header| header.name.eq_ignore_ascii_case("transfer-encoding")) {
        return Err(wrong("it comes in chunks though HTTP/1.0 was asked for".into()));
    }
    Ok(Some((head.code.unwrap_or_default(), length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_once_they_are_whole() {
        let whole = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nbody";
        for cut in 0..whole.len() - 4 {
            assert_eq!(parse_head(&whole[..cut]).unwrap(), None, "{cut}");
        }
        assert_eq!(parse_head(whole).unwrap(), Some((200, whole.len() - 4)));
        assert_eq!(parse_head(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap(), Some((404, 26)));
        for wrong in [&b"SSH-2.0-x\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
            assert!(parse_head(wrong).is_err());
        }
    }
}
