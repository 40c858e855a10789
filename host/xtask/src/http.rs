//! The smallest HTTP client that can look at an answer: one request, one connection, HTTP/1.0 so that nothing is
//! chunked or kept open.

use crate::failure::{Doing, Failure, Outcome};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// What it answered.
#[derive(Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The lines after the status line.
    headers: String,
    /// The body; text that is not UTF-8 is mended.
    pub body: String,
}

impl Answer {
    /// A header's value; none when it is not there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

impl Endpoint {
    /// Fetches a page.
    pub fn get(&self, path: &str) -> Outcome<Answer> {
        self.get_within(PATIENCE, path)
    }

    /// Fetches a page from a server that may take so long to accept, and to say something.
    pub fn get_within(&self, patience: Duration, path: &str) -> Outcome<Answer> {
        self.ask(patience, "GET", path, "", &[])
    }

    /// Sends a request with a body of media type `kind` and reads the whole answer.
    pub fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Outcome<Answer> {
        self.ask(PATIENCE, method, path, kind, body)
    }

    fn ask(&self, patience: Duration, method: &str, path: &str, kind: &str, body: &[u8]) -> Outcome<Answer> {
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let talk = |stream: &mut dyn Stream| -> std::io::Result<Vec<u8>> {
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let mut stream = self.connect(patience).doing(|| format!("cannot reach {self}"))?;
        let answer = talk(stream.as_mut()).doing(|| format!("{method} {path} at {self}"))?;
        parse(&answer).ok_or_else(|| Failure::new(format!("{method} {path} at {self}: the answer is not HTTP")))
    }

    fn connect(&self, patience: Duration) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                Box::new(stream)
            }
            Self::Tcp(address) => {
                let address = address.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(&address, patience)?;
                stream.set_read_timeout(Some(patience))?;
                Box::new(stream)
            }
        })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn parse(answer: &[u8]) -> Option<Answer> {
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..split]).ok()?;
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, headers: headers.into(), body: String::from_utf8_lossy(&answer[split + 4..]).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_page_is_fetched_over_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\nno such page").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = Endpoint::Tcp(address).get("/page").unwrap();
        assert_eq!(answer, Answer { status: 404, headers: "Server: x".into(), body: "no such page".into() });
        assert_eq!((answer.header("server"), answer.header("date")), (Some("x"), None));
        assert!(server.join().unwrap().starts_with("GET /page HTTP/1.0\r\n"));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for answer in [&b""[..], b"HTTP/1.1 200 OK", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 many\r\n\r\n"] {
            assert_eq!(parse(answer), None);
        }
    }
}
