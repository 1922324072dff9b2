//! A TCP proxy that counts bytes and cuts connections at exactly one of them.
//!
//! What a client can't know when its connection dies is whether its last statement was carried
//! out. A [`CuttingProxy`] between client and server makes either happen, on demand:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! use guestlist_testkit::proxy::{Cut, CuttingProxy};
//!
//! let server = TcpListener::bind("127.0.0.1:0")?;
//! let proxy = CuttingProxy::start(server.local_addr()?)?;
//! proxy.cut(Cut::BeforeForwarding(b"commit".to_vec()));
//!
//! let mut client = TcpStream::connect(proxy.address())?;
//! client.write_all(b"insert; commit;")?;
//!
//! let mut read = String::new();
//! server.accept()?.0.read_to_string(&mut read)?;
//! assert_eq!(read, "insert; commi");
//! # std::io::Result::Ok(())
//! ```

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    mem,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// Where a connection is cut.
///
/// The client's side is closed at once. To the server it looks like a client that is gone: it can
/// read everything that was forwarded, and what it answers is thrown away.
///
/// Bytes and patterns are looked for in each connection by itself, from when the cut was ordered;
/// the first connection to get there is cut, and the others go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// All connections that are open, at once.
    Now,
    /// When the n-th byte from client to server has been forwarded; with 0, in place of the first.
    AfterSent(u64),
    /// When the n-th byte from server to client has been forwarded; with 0, in place of the first.
    AfterReceived(u64),
    /// In place of the last byte of the pattern, from client to server.
    ///
    /// So the statement that holds the pattern never reaches the server as a whole.
    BeforeForwarding(Vec<u8>),
    /// When the server begins to answer what holds the pattern; the client sees nothing of that.
    ///
    /// The pattern and everything after it has been forwarded by then. A server that answers when
    /// it is done, as PostgreSQL does, has carried it out by the time that the client is cut off.
    AfterForwarding(Vec<u8>),
}

/// A proxy on a loopback port, in front of one server.
///
/// Dropping it closes every connection and its port.
#[derive(Debug)]
pub struct CuttingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl CuttingProxy {
    /// Forwards everything, in both directions, until it is told to cut.
    ///
    /// # Errors
    ///
    /// When it can't listen. A server that can't be reached is no error here: then each connection
    /// is closed as soon as it is made.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor = thread::Builder::new().name("proxy".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, target, &shared)
        })?;
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Orders one cut, in place of one that was ordered before and has not happened.
    ///
    /// # Panics
    ///
    /// When the pattern is empty.
    pub fn cut(&self, cut: Cut) {
        let mut state = self.shared.lock();
        state.order += 1;
        state.cut = match cut {
            Cut::Now => {
                let open: Vec<u64> = state.open.keys().copied().collect();
                for id in open {
                    state.sever(id);
                }
                self.shared.changed.notify_all();
                None
            }
            Cut::BeforeForwarding(pattern) | Cut::AfterForwarding(pattern)
                if pattern.is_empty() =>
            {
                panic!("a pattern without bytes is everywhere")
            }
            cut => Some(cut),
        };
    }

    /// Whether a cut was ordered that no connection has come to yet.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.shared.lock().cut.is_some()
    }

    /// Forgets the cut that was ordered.
    pub fn disarm(&self) {
        self.shared.lock().cut = None;
    }

    /// Forwards nothing any more, in no connection, but keeps them open and takes new ones.
    pub fn stall(&self) {
        self.shared.lock().is_stalled = true;
    }

    /// Goes on after [`stall`](Self::stall), with what has come meanwhile.
    pub fn resume(&self) {
        self.shared.lock().is_stalled = false;
        self.shared.changed.notify_all();
    }

    /// How many bytes were forwarded from clients to the server.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// How many bytes were forwarded from the server to clients.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// How many connections were cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.lock().cuts
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().open.len()
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        let threads = {
            let mut state = self.shared.lock();
            state.is_closed = true;
            for connection in state.open.values().chain(state.dying.values()) {
                let _ = connection.client.shutdown(Shutdown::Both);
                let _ = connection.server.shutdown(Shutdown::Both);
            }
            self.shared.changed.notify_all();
            mem::take(&mut state.threads)
        };
        // Nothing else ends an accept.
        let _ = TcpStream::connect(self.address);
        for thread in self.acceptor.take().into_iter().chain(threads) {
            let _ = thread.join();
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// When a stall or the proxy ends, or connections were cut.
    changed: Condvar,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    /// Which order `cut` is: whoever counts starts over when it changes.
    order: u64,
    is_stalled: bool,
    is_closed: bool,
    cuts: u64,
    last_id: u64,
    open: BTreeMap<u64, Connection>,
    /// Cut, but not closed by the server yet.
    dying: BTreeMap<u64, Connection>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// The next answer cuts it.
    is_awaited: bool,
    /// How many of its two directions have ended.
    ended: u8,
}

impl State {
    fn sever(&mut self, id: u64) {
        if let Some(connection) = self.open.remove(&id) {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Write);
            self.dying.insert(id, connection);
            self.cuts += 1;
        }
    }

    /// For one side that is broken: so is the other, unless it was cut and ends by itself.
    fn close(&mut self, id: u64) {
        if let Some(connection) = self.open.get(&id) {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
    }

    fn end(&mut self, id: u64) {
        for connections in [&mut self.open, &mut self.dying] {
            if let Some(connection) = connections.get_mut(&id) {
                connection.ended += 1;
                if connection.ended == 2 {
                    connections.remove(&id);
                }
            }
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.lock().is_closed {
            return;
        }
        // A connection that can't be made is closed, as the client has to expect.
        if let Ok(client) = client {
            let _ = connect(client, target, shared);
        }
    }
}

fn connect(client: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ends = [Direction::Up, Direction::Down]
        .map(|direction| io::Result::Ok((direction, client.try_clone()?, server.try_clone()?)));
    let mut state = shared.lock();
    if state.is_closed {
        return Ok(());
    }
    state.last_id += 1;
    let id = state.last_id;
    let connection = Connection {
        client,
        server,
        is_awaited: false,
        ended: 0,
    };
    state.open.insert(id, connection);
    state.threads.retain(|thread| !thread.is_finished());
    for end in ends {
        let (direction, client, server) = end?;
        let shared = Arc::clone(shared);
        let thread = thread::Builder::new().spawn(move || {
            match direction {
                Direction::Up => forward(&shared, id, direction, client, server),
                Direction::Down => forward(&shared, id, direction, server, client),
            }
            shared.lock().end(id);
        })?;
        state.threads.push(thread);
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From client to server.
    Up,
    /// From server to client.
    Down,
}

fn forward(shared: &Shared, id: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
    let forwarded = match direction {
        Direction::Up => &shared.sent,
        Direction::Down => &shared.received,
    };
    let mut aim = Aim::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let chunk = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(_) => return shared.lock().close(id),
        };
        let verdict = judge(shared, id, direction, &mut aim, chunk);
        let chunk = &chunk[..verdict.forward];
        // Counted first: whoever has read a byte finds it counted.
        forwarded.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        if to.write_all(chunk).is_err() {
            forwarded.fetch_sub(chunk.len() as u64, Ordering::SeqCst);
            shared.lock().close(id);
        }
        if verdict.sever {
            shared.lock().sever(id);
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// What becomes of a chunk.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    forward: usize,
    sever: bool,
}

fn judge(shared: &Shared, id: u64, direction: Direction, aim: &mut Aim, chunk: &[u8]) -> Verdict {
    let mut state = shared.lock();
    while state.is_stalled && !state.is_closed && state.open.contains_key(&id) {
        state = shared
            .changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
    let State {
        cut, order, open, ..
    } = &mut *state;
    // Read on, so that the server isn't held up by answers that nobody wants.
    let Some(connection) = open.get_mut(&id) else {
        return Verdict {
            forward: 0,
            sever: false,
        };
    };
    if direction == Direction::Down && connection.is_awaited {
        return Verdict {
            forward: 0,
            sever: true,
        };
    }
    let hit = cut
        .as_ref()
        .and_then(|cut| aim.at(cut, *order, direction, chunk));
    let Some(forward) = hit else {
        return Verdict {
            forward: chunk.len(),
            sever: false,
        };
    };
    let is_awaited = matches!(cut, Some(Cut::AfterForwarding(_)));
    *cut = None;
    connection.is_awaited = is_awaited;
    Verdict {
        forward,
        sever: !is_awaited,
    }
}

/// How far one direction of a connection has come towards the cut that was ordered.
#[derive(Debug, Default)]
struct Aim {
    order: u64,
    passed: u64,
    /// The last bytes that passed, one less than the pattern has.
    tail: Vec<u8>,
}

impl Aim {
    /// How much of this chunk is still forwarded, if the cut is in it.
    fn at(&mut self, cut: &Cut, order: u64, direction: Direction, chunk: &[u8]) -> Option<usize> {
        if self.order != order {
            *self = Self {
                order,
                ..Self::default()
            };
        }
        match (cut, direction) {
            (Cut::AfterSent(bytes), Direction::Up)
            | (Cut::AfterReceived(bytes), Direction::Down) => {
                let left = bytes - self.passed;
                self.passed += chunk.len() as u64;
                usize::try_from(left)
                    .ok()
                    .filter(|left| *left <= chunk.len())
            }
            (Cut::BeforeForwarding(pattern), Direction::Up) => {
                self.end_of(pattern, chunk).map(|end| end - 1)
            }
            (Cut::AfterForwarding(pattern), Direction::Up) => {
                self.end_of(pattern, chunk).map(|_| chunk.len())
            }
            (
                Cut::Now
                | Cut::AfterSent(_)
                | Cut::AfterReceived(_)
                | Cut::BeforeForwarding(_)
                | Cut::AfterForwarding(_),
                Direction::Up | Direction::Down,
            ) => None,
        }
    }

    /// Where in this chunk the pattern ends, which may have begun in an earlier one.
    fn end_of(&mut self, pattern: &[u8], chunk: &[u8]) -> Option<usize> {
        let before = self.tail.len();
        self.tail.extend_from_slice(chunk);
        let found = self
            .tail
            .windows(pattern.len())
            .position(|window| window == pattern);
        // It can't end before this chunk, for it would have been found in the earlier one.
        let end = found.map(|start| start + pattern.len() - before);
        let kept = self.tail.len().min(pattern.len() - 1);
        self.tail.drain(..self.tail.len() - kept);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_does_not_depend_on_how_bytes_are_split() {
        let stream = b"ababaabab-commit-and-more";
        let cuts = [
            (Cut::AfterSent(0), 0),
            (Cut::AfterSent(7), 7),
            (Cut::BeforeForwarding(b"commit".to_vec()), 15),
            (Cut::BeforeForwarding(b"a".to_vec()), 0),
            (Cut::BeforeForwarding(b"abaab".to_vec()), 6),
        ];
        for (cut, expected) in cuts {
            for size in 1..=stream.len() {
                let mut aim = Aim::default();
                let mut forwarded = 0;
                let hit = stream.chunks(size).find_map(|chunk| {
                    let hit = aim.at(&cut, 1, Direction::Up, chunk);
                    forwarded += hit.unwrap_or(chunk.len());
                    hit
                });
                assert!(hit.is_some(), "{cut:?} in chunks of {size}");
                assert_eq!(forwarded, expected, "{cut:?} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_new_order_counts_from_its_beginning() {
        let mut aim = Aim::default();
        let five = Cut::AfterSent(5);
        assert_eq!(aim.at(&five, 1, Direction::Up, b"1234"), None);
        assert_eq!(aim.at(&five, 2, Direction::Up, b"1234"), None);
        assert_eq!(aim.at(&five, 2, Direction::Down, b"567"), None);
        assert_eq!(aim.at(&five, 2, Direction::Up, b"567"), Some(1));
        // Nor does it see half a pattern from before.
        let pattern = Cut::BeforeForwarding(b"xy".to_vec());
        assert_eq!(aim.at(&pattern, 3, Direction::Up, b"x"), None);
        assert_eq!(aim.at(&pattern, 4, Direction::Up, b"y"), None);
        assert_eq!(aim.at(&pattern, 4, Direction::Up, b"xy"), Some(1));
    }
}
