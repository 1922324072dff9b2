//! As much of the wire protocol as it takes to run a statement that answers nothing.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use super::ServerError;

const PROTOCOL: u32 = 3 << 16;

/// Runs one statement in the database `postgres`, outside of a transaction.
pub(super) fn execute(socket: &Path, sql: &str) -> Result<(), ServerError> {
    let mut stream = UnixStream::connect(socket).map_err(ServerError::Unreachable)?;
    for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
        set(&stream, Some(Duration::from_secs(120))).map_err(ServerError::Unreachable)?;
    }
    let mut startup = PROTOCOL.to_be_bytes().to_vec();
    startup.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    send(&mut stream, &[], &startup)?;
    read_until_ready(&mut stream)?;
    let query: Vec<u8> = [sql.as_bytes(), b"\0"].concat();
    send(&mut stream, b"Q", &query)?;
    read_until_ready(&mut stream)?;
    send(&mut stream, b"X", &[])
}

fn send(stream: &mut impl Write, kind: &[u8], body: &[u8]) -> Result<(), ServerError> {
    let length = u32::try_from(body.len() + 4).expect("a statement is short");
    let message = [kind, &length.to_be_bytes(), body].concat();
    stream.write_all(&message).map_err(ServerError::Unreachable)
}

fn read_until_ready(stream: &mut impl Read) -> Result<(), ServerError> {
    let mut refused = None;
    loop {
        let (kind, body) = match read(stream) {
            Ok(message) => message,
            // A connection that is refused is closed without getting ready.
            Err(error) => {
                return Err(refused.unwrap_or(ServerError::Unreachable(error)));
            }
        };
        match kind {
            b'E' => {
                refused = Some(ServerError::Query {
                    message: message(&body),
                });
            }
            b'Z' => return refused.map_or(Ok(()), Err),
            _ => {}
        }
    }
}

fn read(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_be_bytes(length).saturating_sub(4);
    let mut body = Vec::new();
    if stream.take(u64::from(length)).read_to_end(&mut body)? as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((kind, body))
}

/// The field `M` of an error: each field is its letter and its text, ended by a zero.
fn message(body: &[u8]) -> String {
    body.split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(b"M"))
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSAL: &[u8] = b"E\0\0\0\x1bSERROR\0C42P04\0Mno, no\0\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";

    #[test]
    fn an_error_is_kept_until_the_server_is_ready() {
        assert_eq!(usize::from(REFUSAL[4]), REFUSAL.len() - 1);
        for rest in [READY, b""] {
            let bytes = [REFUSAL, rest].concat();
            let error = read_until_ready(&mut bytes.as_slice()).unwrap_err();
            assert!(matches!(error, ServerError::Query { message } if message == "no, no"));
        }
        assert!(read_until_ready(&mut [b"C\0\0\0\x04", READY].concat().as_slice()).is_ok());
    }

    #[test]
    fn an_end_in_the_middle_is_no_answer() {
        for end in 0..READY.len() {
            let error = read_until_ready(&mut &READY[..end]).unwrap_err();
            assert!(matches!(error, ServerError::Unreachable(_)), "{end}");
        }
    }
}
