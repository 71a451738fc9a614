//! As much of D-Bus as it takes to ask a service a question over a socket (D-Bus specification, "Message Protocol",
//! "Authentication Protocol"). What comes back is not trusted: every length is checked against the bytes that are there.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest answer that is taken.
const MAX_MESSAGE: usize = 16 << 20;
/// Longest line of the authentication.
const MAX_LINE: usize = 1024;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    serial: u32,
    until: Instant,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    /// Texts.
    pub(super) arguments: &'a [&'a str],
}

impl Connection {
    /// Connects and says who this process is; everything on the connection must be over after a time.
    pub(super) fn open(path: &Path, patience: Duration) -> io::Result<Connection> {
        let mut connection = Connection {
            stream: UnixStream::connect(path)?,
            serial: 0,
            until: Instant::now() + patience,
        };
        // SAFETY: no preconditions.
        let me = unsafe { libc::geteuid() }.to_string();
        let name: String = me.bytes().map(|b| format!("{b:02x}")).collect();
        connection.send(format!("\0AUTH EXTERNAL {name}\r\n").as_bytes())?;
        let answer = connection.line()?;
        if !answer.starts_with(b"OK ") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        connection.send(b"BEGIN\r\n")?;
        Ok(connection)
    }

    /// Asks, and gives the body of the answer.
    pub(super) fn call(&mut self, call: &Call<'_>) -> io::Result<Body> {
        let number = self.ask(call)?;
        self.answer(number)
    }

    /// Asks; gives the number of the question.
    pub(super) fn ask(&mut self, call: &Call<'_>) -> io::Result<u32> {
        self.serial += 1;
        let message = call.message(self.serial);
        self.send(&message)?;
        Ok(self.serial)
    }

    /// The body of the answer to a question. Answers come in the order of the questions.
    ///
    /// # Errors
    /// [`io::ErrorKind::Other`] where the service refuses; the connection can still be used then.
    pub(super) fn answer(&mut self, number: u32) -> io::Result<Body> {
        // Signals and answers to nobody may come before.
        loop {
            let (head, body) = self.message()?;
            match head {
                Head { kind, reply_to } if reply_to == number => match kind {
                    METHOD_RETURN => return Ok(body),
                    ERROR => return Err(io::Error::other("the service refuses the call")),
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes)
    }

    fn receive(&mut self, to: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while let Some(rest) = to.get_mut(at..).filter(|rest| !rest.is_empty()) {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(rest) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => at += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.receive(&mut byte)?;
            line.extend(byte);
            if line.len() > MAX_LINE {
                return Err(malformed());
            }
        }
        Ok(line)
    }

    fn message(&mut self) -> io::Result<(Head, Body)> {
        let mut fixed = [0; 16];
        self.receive(&mut fixed)?;
        let big = match fixed[0] {
            b'l' => false,
            b'B' => true,
            _ => return Err(malformed()),
        };
        let mut lengths = Body {
            bytes: fixed.to_vec(),
            at: 4,
            big,
        };
        let (Some(body), Some(_serial), Some(fields)) = (lengths.u32(), lengths.u32(), lengths.u32()) else {
            return Err(malformed());
        };
        let (body, fields) = (body as usize, fields as usize);
        if body > MAX_MESSAGE || fields > MAX_MESSAGE {
            return Err(malformed());
        }
        let mut head = vec![0; fields.next_multiple_of(8)];
        self.receive(&mut head)?;
        head.truncate(fields);
        let reply_to = reply_to(Body {
            bytes: head,
            at: 0,
            big,
        });
        let mut bytes = vec![0; body];
        self.receive(&mut bytes)?;
        let kind = fixed[1];
        Ok((Head { kind, reply_to }, Body { bytes, at: 0, big }))
    }
}

/// What is of interest in the head of a message.
struct Head {
    kind: u8,
    /// Number of the call that it answers; 0 for none.
    reply_to: u32,
}

/// Field 5 of the header: which call is answered. The array begins at a multiple of eight, as its fields do.
fn reply_to(mut fields: Body) -> u32 {
    const REPLY_SERIAL: u8 = 5;
    loop {
        fields.align(8);
        let (Some(code), Some(signature)) = (fields.u8(), fields.signature()) else {
            return 0;
        };
        let number = match signature.as_slice() {
            b"u" => fields.u32(),
            b"s" | b"o" => fields.text().map(|_| 0),
            b"g" => fields.signature().map(|_| 0),
            _ => None,
        };
        match number {
            Some(number) if code == REPLY_SERIAL => return number,
            Some(_) => {}
            None => return 0,
        }
    }
}

impl Call<'_> {
    fn message(&self, serial: u32) -> Vec<u8> {
        let mut body = Vec::new();
        for text in self.arguments {
            put_text(&mut body, text);
        }
        let mut fields = Vec::new();
        for (code, ty, text) in [
            (1, b'o', self.path),
            (2, b's', self.interface),
            (3, b's', self.member),
            (6, b's', self.destination),
        ] {
            pad(&mut fields, 8);
            fields.extend([code, 1, ty, 0]);
            put_text(&mut fields, text);
        }
        if !self.arguments.is_empty() {
            pad(&mut fields, 8);
            let signature = vec![b's'; self.arguments.len()];
            fields.extend([8, 1, b'g', 0, signature.len() as u8]);
            fields.extend(signature);
            fields.push(0);
        }
        let mut message = vec![b'l', METHOD_CALL, 0, 1];
        for number in [body.len() as u32, serial, fields.len() as u32] {
            message.extend(number.to_le_bytes());
        }
        message.extend(fields);
        pad(&mut message, 8);
        message.extend(body);
        message
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    pad(to, 4);
    to.extend((text.len() as u32).to_le_bytes());
    to.extend(text.as_bytes());
    to.push(0);
}

fn pad(to: &mut Vec<u8>, size: usize) {
    to.resize(to.len().next_multiple_of(size), 0);
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The values of a message, read one after the other. Each is absent where the bytes end before it does.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Vec<u8>,
    at: usize,
    big: bool,
}

impl Body {
    pub(super) fn align(&mut self, size: usize) {
        self.at = self.at.next_multiple_of(size);
    }

    /// Whether nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N);
        let mut bytes: [u8; N] = *self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]: [u8; 1]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = self.u32()? as usize;
        self.characters(len)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
    }

    /// The type of the value that follows, of a variant.
    pub(super) fn signature(&mut self) -> Option<Vec<u8>> {
        let len = usize::from(self.u8()?);
        self.characters(len)
    }

    /// So many bytes and the NUL behind them.
    fn characters(&mut self, len: usize) -> Option<Vec<u8>> {
        let end = self.at.checked_add(len)?;
        let text = self.bytes.get(self.at..end)?.to_vec();
        (self.bytes.get(end) == Some(&0)).then_some(())?;
        self.at = end + 1;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const CALL: Call<'_> = Call {
        destination: "org.example",
        path: "/org/example",
        interface: "org.example.Some",
        member: "Get",
        arguments: &["one", "three"],
    };

    /// A service that answers once with some bytes.
    fn answering(answer: Vec<u8>) -> io::Result<Body> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a socket");
        let service = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut said = [0; 4096];
            let n = stream.read(&mut said).expect("the greeting");
            assert!(said[..n].starts_with(b"\0AUTH EXTERNAL "));
            stream.write_all(b"OK 0123456789abcdef\r\n").expect("heard");
            let mut heard: Vec<u8> = Vec::new();
            while !heard.windows(6).any(|w| w == b"three\0") {
                let n = stream.read(&mut said).expect("the call");
                heard.extend(&said[..n]);
            }
            let _ = stream.write_all(&answer);
        });
        let body = Connection::open(&path, Duration::from_secs(20)).and_then(|mut c| c.call(&CALL));
        service.join().expect("no panic");
        body
    }

    /// An answer to the first call with a text and a number, behind a signal that is none of ours.
    fn answer() -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&mut body, "hello");
        pad(&mut body, 8);
        body.extend(0x0102_0304_0506_0708_u64.to_le_bytes());
        let mut bytes = vec![b'l', 4, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([b'l', METHOD_RETURN, 0, 1, body.len() as u8, 0, 0, 0, 8, 0, 0, 0]);
        bytes.extend([8, 0, 0, 0, 5, 1, b'u', 0, 1, 0, 0, 0]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn an_answer_is_found_and_read() {
        let mut body = answering(answer()).expect("an answer");
        assert_eq!(body.text().as_deref(), Some("hello"));
        assert_eq!(body.u64(), Some(0x0102_0304_0506_0708));
        assert!(body.is_at_end() && body.u32().is_none());
    }

    #[test]
    fn damaged_answers_are_errors_or_read_as_far_as_they_go() {
        let whole = answer();
        for len in 0..whole.len() {
            assert!(answering(whole[..len].to_vec()).is_err(), "{len} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Ok(mut body) = answering(damaged) {
                let _ = (body.text(), body.u64(), body.signature());
            }
        }
    }
}
