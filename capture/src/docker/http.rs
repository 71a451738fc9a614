//! HTTP/1.1 over a unix socket, as far as an engine needs it: one GET per connection.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::body::{BodyDecoder, BodyError};
use super::endpoint::Endpoint;

/// Longest response head that is accepted.
const MAX_HEAD: usize = 64 * 1024;
/// Most header lines that are accepted.
const MAX_HEADERS: usize = 64;
/// How much is read at once.
const READ_SIZE: usize = 32 * 1024;

/// What can go wrong between the request and the end of the body.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer does not speak HTTP/1.
    #[error("malformed HTTP response: {0}")]
    Head(#[from] httparse::Error),
    /// The head does not end.
    #[error("HTTP response head of more than {MAX_HEAD} bytes")]
    LongHead,
    /// The body's framing is broken.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The body is longer than this request allows.
    #[error("HTTP body of more than {limit} bytes")]
    LongBody {
        /// The request's limit.
        limit: usize,
    },
    /// The connection ended before the response did.
    #[error("connection closed by the engine")]
    Closed,
    /// The engine does not run, and systemd would start it for whoever connects.
    #[error("{service} does not run, and asking it would start it")]
    Asleep {
        /// The unit that would be started.
        service: String,
    },
    /// The engine did not answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// The head of a response, and the body as it arrives.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    stream: UnixStream,
    decoder: BodyDecoder,
    /// Body bytes that came in one read with the head.
    early: Vec<u8>,
    buffer: Box<[u8]>,
}

/// What one read of a body brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Something, perhaps only framing.
    Data,
    /// Nothing within the stream's timeout.
    Idle,
    /// The body is whole.
    End,
}

/// Sends a GET and reads the head of the answer. `path` must be a valid request target.
pub(super) fn get(endpoint: &Endpoint, path: &str, timeout: Duration) -> Result<Response, HttpError> {
    let deadline = Instant::now() + timeout;
    let mut stream = UnixStream::connect(endpoint.path())?;
    stream.set_write_timeout(Some(timeout))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: docker\r\nUser-Agent: ctrace\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .map_err(|e| timed_out(e, timeout))?;
    read_head(stream, deadline, timeout)
}

fn read_head(mut stream: UnixStream, deadline: Instant, timeout: Duration) -> Result<Response, HttpError> {
    let mut buffer = vec![0; READ_SIZE].into_boxed_slice();
    let mut head = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HttpError::Timeout(timeout));
        }
        stream.set_read_timeout(Some(left))?;
        let n = stream.read(&mut buffer).map_err(|e| timed_out(e, timeout))?;
        if n == 0 {
            return Err(HttpError::Closed);
        }
        head.extend_from_slice(buffer.get(..n).unwrap_or_default());
        if let Some((length, status, decoder)) = parse_head(&head)? {
            return Ok(Response {
                status,
                stream,
                decoder,
                early: head.split_off(length),
                buffer,
            });
        }
        if head.len() > MAX_HEAD {
            return Err(HttpError::LongHead);
        }
    }
}

/// Length of the head, status and body framing; `None` while the head is incomplete.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, u16, BodyDecoder)>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let chunked = header("transfer-encoding").is_some_and(|v| v.to_ascii_lowercase().contains("chunked"));
    let decoder = if chunked {
        BodyDecoder::chunked()
    } else {
        match header("content-length").and_then(|v| v.trim().parse().ok()) {
            Some(length) => BodyDecoder::plain(length),
            None => BodyDecoder::until_close(),
        }
    };
    Ok(Some((length, response.code.unwrap_or(0), decoder)))
}

impl AsRawFd for Response {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Response {
    /// Sets how long [`Response::read`] waits before it says [`Progress::Idle`].
    pub(super) fn set_wait(&self, wait: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(wait))
    }

    /// Appends the next part of the body to `out`.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<Progress, HttpError> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            self.decoder.feed(&early, out)?;
            return Ok(Progress::Data);
        }
        if self.decoder.is_done() {
            return Ok(Progress::End);
        }
        match self.stream.read(&mut self.buffer) {
            Ok(0) if self.decoder.may_close() => Ok(Progress::End),
            Ok(0) => Err(HttpError::Closed),
            Ok(n) => {
                self.decoder.feed(self.buffer.get(..n).unwrap_or_default(), out)?;
                Ok(Progress::Data)
            }
            Err(e) if is_timeout(&e) => Ok(Progress::Idle),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Progress::Data),
            Err(e) => Err(e.into()),
        }
    }

    /// Reads the whole body, at most `limit` bytes and for at most `timeout`.
    pub(super) fn read_all(mut self, limit: usize, timeout: Duration) -> Result<Vec<u8>, HttpError> {
        let deadline = Instant::now() + timeout;
        let mut body = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(HttpError::Timeout(timeout));
            }
            self.set_wait(left)?;
            let progress = self.read(&mut body)?;
            if body.len() > limit {
                return Err(HttpError::LongBody { limit });
            }
            if progress == Progress::End {
                return Ok(body);
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn timed_out(error: io::Error, timeout: Duration) -> HttpError {
    if is_timeout(&error) {
        HttpError::Timeout(timeout)
    } else {
        HttpError::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_only_with_its_empty_line() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
        for end in 0..head.len() - 2 {
            assert!(matches!(parse_head(&head[..end]), Ok(None)), "cut at {end}");
        }
        let (length, status, _) = parse_head(head).expect("well-formed").expect("complete");
        assert_eq!((length, status), (head.len() - 2, 200));
    }

    #[test]
    fn other_protocols_are_errors() {
        assert!(matches!(parse_head(b"SSH-2.0-OpenSSH\r\n"), Err(HttpError::Head(_))));
    }
}
