//! The cutting proxy, in front of servers that keep what they read.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use guestlist_testkit::proxy::{Cut, CuttingProxy};

/// More than any test here takes; a test that hangs fails instead.
const LIMIT: Duration = Duration::from_secs(60);

/// A client and the server's end of its connection, through the proxy.
fn pair(proxy: &CuttingProxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(proxy.address()).unwrap();
    let (server, _) = server.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
    }
    (client, server)
}

fn proxied() -> (CuttingProxy, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = CuttingProxy::start(server.local_addr().unwrap()).unwrap();
    (proxy, server)
}

/// Everything until the other side is closed, in order or not.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return read,
            Ok(length) => read.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return read,
            Err(error) => panic!("{error} after {} bytes", read.len()),
        }
    }
}

fn exactly(stream: &mut TcpStream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read, expected);
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited too long until {what}");
}

fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[test]
fn a_mebibyte_passes_unharmed_both_ways_at_once() {
    const LENGTH: usize = 1 << 20;
    let (proxy, server) = proxied();
    let (client, server) = pair(&proxy, &server);
    let (up, down) = (bytes(LENGTH, 1), bytes(LENGTH, 2));
    thread::scope(|scope| {
        for (stream, own, other) in [(&client, &up, &down), (&server, &down, &up)] {
            scope.spawn(move || {
                let mut stream = stream;
                stream.write_all(own).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut stream = stream.try_clone().unwrap();
                assert!(rest(&mut stream) == *other, "other bytes arrive");
            });
        }
    });
    assert_eq!(proxy.sent(), LENGTH as u64);
    assert_eq!(proxy.received(), LENGTH as u64);
    assert_eq!(proxy.cuts(), 0);
    wait_for("the connection is forgotten", || proxy.connections() == 0);
}

#[test]
fn after_sent_cuts_at_exactly_that_byte() {
    let (proxy, server) = proxied();
    let stream = bytes(200_000, 3);
    for cut in [0, 1, 17, 65_535, 65_536, 65_537, 199_999, 200_000] {
        let before = (proxy.sent(), proxy.cuts());
        proxy.cut(Cut::AfterSent(cut as u64));
        let (mut client, mut server) = pair(&proxy, &server);
        thread::scope(|scope| {
            // Fails somewhere, as it does for a client.
            scope.spawn(|| (&client).write_all(&stream));
            assert!(rest(&mut server) == stream[..cut], "cut at {cut}");
        });
        assert_eq!(rest(&mut client), b"");
        assert_eq!(proxy.sent() - before.0, cut as u64);
        assert_eq!(proxy.cuts() - before.1, 1);
        assert!(!proxy.is_armed());
    }
}

#[test]
fn after_received_cuts_at_exactly_that_byte() {
    let (proxy, server) = proxied();
    let stream = bytes(200_000, 4);
    for cut in [0, 1, 17, 65_535, 65_536, 65_537, 199_999, 200_000] {
        let before = (proxy.received(), proxy.cuts());
        proxy.cut(Cut::AfterReceived(cut as u64));
        let (mut client, mut server) = pair(&proxy, &server);
        thread::scope(|scope| {
            // What the client doesn't get is read all the same: no server hangs.
            scope.spawn(|| (&server).write_all(&stream).unwrap());
            assert!(rest(&mut client) == stream[..cut], "cut at {cut}");
        });
        assert_eq!(rest(&mut server), b"");
        assert_eq!(proxy.received() - before.0, cut as u64);
        assert_eq!(proxy.cuts() - before.1, 1);
    }
}

#[test]
fn a_cut_counts_from_its_order_and_happens_once() {
    let (proxy, server) = proxied();
    let (mut client, mut end) = pair(&proxy, &server);
    client.write_all(b"12345").unwrap();
    exactly(&mut end, b"12345");
    proxy.cut(Cut::AfterSent(3));
    let (mut other, mut other_end) = pair(&proxy, &server);
    other.write_all(b"ab").unwrap();
    exactly(&mut other_end, b"ab");
    client.write_all(b"6789").unwrap();
    assert_eq!(rest(&mut end), b"678");
    assert_eq!(rest(&mut client), b"");
    other.write_all(b"cdef").unwrap();
    exactly(&mut other_end, b"cdef");
    assert_eq!((proxy.cuts(), proxy.sent()), (1, 14));

    proxy.cut(Cut::AfterSent(1));
    proxy.disarm();
    other.write_all(b"gh").unwrap();
    exactly(&mut other_end, b"gh");
    assert_eq!(proxy.cuts(), 1);
}

#[test]
fn now_cuts_what_is_open_and_not_what_comes() {
    let (proxy, server) = proxied();
    let mut open: Vec<_> = (0..3).map(|_| pair(&proxy, &server)).collect();
    for (client, end) in &mut open {
        client.write_all(b"up").unwrap();
        exactly(end, b"up");
    }
    proxy.cut(Cut::Now);
    for (client, end) in &mut open {
        assert_eq!(rest(client), b"");
        assert_eq!(rest(end), b"");
    }
    assert_eq!(proxy.cuts(), 3);
    let (mut client, mut end) = pair(&proxy, &server);
    client.write_all(b"on").unwrap();
    exactly(&mut end, b"on");
    end.write_all(b"and on").unwrap();
    exactly(&mut client, b"and on");
}

#[test]
fn before_forwarding_the_server_never_sees_the_whole_pattern() {
    let (proxy, server) = proxied();
    let stream = b"begin; insert; COMMIT; more";
    for split in 1..stream.len() {
        let before = proxy.sent();
        proxy.cut(Cut::BeforeForwarding(b"COMMIT".to_vec()));
        let (mut client, mut end) = pair(&proxy, &server);
        client.write_all(&stream[..split]).unwrap();
        // The rest is a chunk of its own for sure when the first one has passed.
        let passed = split.min(20);
        wait_for("the first part has passed", || {
            proxy.sent() - before == passed as u64
        });
        let _ = client.write_all(&stream[split..]);
        assert_eq!(rest(&mut end), b"begin; insert; COMMI");
        assert_eq!(rest(&mut client), b"");
        assert_eq!(proxy.sent() - before, 20);
    }
    assert_eq!(proxy.cuts(), stream.len() as u64 - 1);
}

#[test]
fn after_forwarding_the_server_has_all_and_the_client_no_answer() {
    let (proxy, server) = proxied();
    for split in 1..6 {
        let (mut client, mut end) = pair(&proxy, &server);
        client.write_all(b"insert;").unwrap();
        exactly(&mut end, b"insert;");
        end.write_all(b"inserted").unwrap();
        exactly(&mut client, b"inserted");

        let (sent, received) = (proxy.sent(), proxy.received());
        proxy.cut(Cut::AfterForwarding(b"COMMIT".to_vec()));
        let (one, two) = b"COMMIT\0".split_at(split);
        client.write_all(one).unwrap();
        exactly(&mut end, one);
        client.write_all(two).unwrap();
        exactly(&mut end, two);
        // What comes after the pattern, and before the answer, belongs to it.
        client.write_all(b"sync").unwrap();
        exactly(&mut end, b"sync");
        assert_eq!(proxy.connections(), 1, "it waits for the answer");

        end.write_all(b"committed").unwrap();
        assert_eq!(rest(&mut client), b"");
        assert_eq!(rest(&mut end), b"");
        assert_eq!(proxy.sent() - sent, 11);
        assert_eq!(proxy.received(), received);
        assert_eq!(proxy.cuts(), split as u64);
        drop(end);
        wait_for("it is forgotten", || proxy.connections() == 0);
    }
}

#[test]
fn a_stall_holds_everything_back_and_loses_nothing() {
    let (proxy, server) = proxied();
    let (mut client, mut end) = pair(&proxy, &server);
    proxy.stall();
    client.write_all(b"up").unwrap();
    end.write_all(b"down").unwrap();
    let (mut late, mut late_end) = pair(&proxy, &server);
    late.write_all(b"late").unwrap();
    for stream in [&mut client, &mut end, &mut late_end] {
        stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let error = stream.read(&mut [0; 8]).unwrap_err();
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }
    assert_eq!((proxy.sent(), proxy.received()), (0, 0));
    proxy.resume();
    exactly(&mut end, b"up");
    exactly(&mut client, b"down");
    exactly(&mut late_end, b"late");

    proxy.stall();
    client.write_all(b"lost").unwrap();
    proxy.cut(Cut::Now);
    assert_eq!(rest(&mut client), b"");
    assert_eq!(rest(&mut end), b"");
    assert_eq!(proxy.cuts(), 2);
}

#[test]
fn a_server_that_is_not_there_looks_like_a_closed_connection() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = CuttingProxy::start(address).unwrap();
    let mut client = TcpStream::connect(proxy.address()).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(rest(&mut client), b"");
    assert_eq!(proxy.cuts(), 0);
}

#[test]
fn dropping_it_closes_everything() {
    let (proxy, server) = proxied();
    let address = proxy.address();
    let (mut client, mut end) = pair(&proxy, &server);
    proxy.stall();
    client.write_all(b"held").unwrap();
    drop(proxy);
    assert_eq!(rest(&mut client), b"");
    assert_eq!(rest(&mut end), b"");
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[cfg(target_os = "linux")]
mod commits {
    //! What it is for: the answer to a COMMIT is lost, or the COMMIT is.

    use std::process::Command;

    use guestlist_testkit::postgres::{self, Database};

    use super::*;

    /// Inserts a row, in a transaction with a statement of its own for each step.
    fn insert(proxy: &CuttingProxy, database: &Database, row: u32) -> bool {
        let url = format!(
            "postgres://postgres@{}/{}?sslmode=disable",
            proxy.address(),
            database.name()
        );
        let insert = format!("insert into t values ({row})");
        Command::new(postgres::shared().bin_dir().join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url])
            .args(["-c", "begin", "-c", &insert, "-c", "commit"])
            .output()
            .unwrap()
            .status
            .success()
    }

    #[test]
    fn a_commit_is_lost_or_its_answer_is() {
        let server = postgres::shared();
        let database = server.create_database().unwrap();
        database.psql("create table t (n int)").unwrap();
        let proxy = CuttingProxy::start(server.address()).unwrap();

        assert!(insert(&proxy, &database, 1));
        proxy.cut(Cut::BeforeForwarding(b"commit".to_vec()));
        assert!(!insert(&proxy, &database, 2));
        assert_eq!(proxy.cuts(), 1);
        proxy.cut(Cut::AfterForwarding(b"commit".to_vec()));
        assert!(!insert(&proxy, &database, 3));
        assert_eq!(proxy.cuts(), 2);
        // The server was answering already, so there is nothing to wait for.
        let rows = database.psql("select string_agg(n::text, ' ' order by n) from t");
        assert_eq!(rows.unwrap(), "1 3");
    }
}
