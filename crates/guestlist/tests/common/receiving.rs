//! A receiver of webhooks, over real connections on this machine.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::spawn;

use guestlist::webhook::{ReceivedHeaders, TOLERANCE, WebhookSecret, verify};
use guestlist::{EndpointUrl, Timestamp};

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Hit {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            bytes.push(byte[0]);
        }
        let mut hit = Self {
            head: String::from_utf8(bytes).unwrap(),
            body: Vec::new(),
        };
        let length = hit.header("content-length").unwrap().parse().unwrap();
        hit.body.resize(length, 0);
        stream.read_exact(&mut hit.body).unwrap();
        Some(hit)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn verifies(&self, secret: &WebhookSecret, now: Timestamp) -> bool {
        let headers = ReceivedHeaders::find(|name| self.header(name));
        verify(&[secret], headers, &self.body, now, TOLERANCE).is_ok()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// Never, until the test is over.
    Hang,
}

/// A receiver that answers as it is told, one connection after the other, and hands on what it
/// got.
pub(crate) struct Receiving {
    port: u16,
    hits: Receiver<Hit>,
    answers: Sender<Answer>,
}

impl Receiving {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hit, hits) = channel();
        let (answers, told) = channel::<Answer>();
        spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(read) = Hit::read(&mut stream) else {
                    continue;
                };
                if hit.send(read).is_err() {
                    return;
                }
                match told.recv() {
                    Ok(Answer::Status(status)) => {
                        let location = format!("location: http://127.0.0.1:{port}/elsewhere\r\n");
                        let more = if (300..400).contains(&status) {
                            location.as_str()
                        } else {
                            ""
                        };
                        let reply = format!(
                            "HTTP/1.1 {status} x\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
                        );
                        // Whoever has gone meanwhile needs no answer.
                        let _ = stream.write_all(reply.as_bytes());
                    }
                    Ok(Answer::Hang) => hanging.push(stream),
                    Err(_) => return,
                }
            }
        });
        Self {
            port,
            hits,
            answers,
        }
    }

    pub(crate) fn url(&self) -> EndpointUrl {
        EndpointUrl::parse_insecure(&format!("http://127.0.0.1:{}/hooks", self.port)).unwrap()
    }

    pub(crate) fn will(&self, answers: &[Answer]) {
        for answer in answers {
            self.answers.send(*answer).unwrap();
        }
    }

    pub(crate) fn got(&self) -> Vec<Hit> {
        self.hits.try_iter().collect()
    }
}
