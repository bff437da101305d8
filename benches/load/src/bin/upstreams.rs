//! Mock upstreams: one epoll loop that answers prepared JSON, several times faster than any gateway asks for it.
//!
//! `upstreams PORT…` serves the same on every port. What a request gets, its target says:
//!
//! - `/json?bytes=N&id=I`: a document of N bytes (default 1000) with `"id":"doc-0000I"`
//! - also `delay_ms=D`; `hang=1`: no answer ever; `fail=P`: a share P is answered 500
//! - `/__count`: requests so far of each port, as a JSON array

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;

/// What a request target is answered with.
struct Script {
    good: Rc<[u8]>,
    delay: Duration,
    hang: bool,
    fail: f64,
    /// Failures due; one is given whenever it reaches 1.
    owed: Cell<f64>,
}

struct Connection {
    stream: TcpStream,
    port: usize,
    /// The request, as far as it has come.
    request: Vec<u8>,
    /// The answer, and how much of it is written.
    answer: Option<(Rc<[u8]>, usize)>,
}

struct Mock {
    epoll: std::os::fd::OwnedFd,
    listeners: Vec<TcpListener>,
    /// Slots: the epoll key of a connection is its slot plus the number of listeners.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scripts: HashMap<Vec<u8>, Rc<Script>>,
    /// Answers that wait for their moment: when, slot, serial of the request.
    held: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    answers: HashMap<u64, Rc<[u8]>>,
    serial: u64,
    counts: Vec<u64>,
}

fn main() -> io::Result<()> {
    // Delays are kept to the microsecond: they are what latencies are measured against.
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1000))?;
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().expect("upstreams PORT…")).collect();
    let mut mock = Mock {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        listeners: ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port))).collect::<Result<_, _>>()?,
        connections: Vec::new(),
        free: Vec::new(),
        scripts: HashMap::new(),
        held: BinaryHeap::new(),
        answers: HashMap::new(),
        serial: 0,
        counts: vec![0; ports.len()],
    };
    for (key, listener) in mock.listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        epoll::add(&mock.epoll, listener, epoll::EventData::new_u64(key as u64), epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(512);
    loop {
        let next = mock.held.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        let timeout = next.map(|wait| Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() });
        epoll::wait(&mock.epoll, spare_capacity(&mut events), timeout.as_ref())?;
        for event in events.drain(..) {
            match event.data.u64() as usize {
                key if key < ports.len() => mock.accept(key)?,
                key => mock.progress(key - ports.len()),
            }
        }
        mock.release();
    }
}

impl Mock {
    fn accept(&mut self, port: usize) -> io::Result<()> {
        while let Ok((stream, _)) = self.listeners[port].accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let key = epoll::EventData::new_u64((slot + self.listeners.len()) as u64);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &stream, key, flags)?;
            self.connections[slot] = Some(Connection { stream, port, request: Vec::new(), answer: None });
        }
        Ok(())
    }

    /// Reads and writes what can be; a connection that ended frees its slot.
    fn progress(&mut self, slot: usize) {
        let Some(connection) = &mut self.connections[slot] else { return };
        let mut alive = connection.write();
        let mut piece = [0; 4096];
        while alive {
            match connection.stream.read(&mut piece) {
                Ok(0) => alive = false,
                Ok(n) => {
                    connection.request.extend_from_slice(&piece[..n]);
                    if n < piece.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => alive = false,
            }
        }
        // Clients here send one GET at a time, and no body.
        if alive && connection.request.ends_with(b"\r\n\r\n") {
            let request = std::mem::take(&mut connection.request);
            let port = connection.port;
            alive = self.answer(slot, port, &request);
        }
        if !alive {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }

    fn answer(&mut self, slot: usize, port: usize, request: &[u8]) -> bool {
        let target = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if target == b"/__count" {
            return self.send(slot, response(200, format!("{:?}", self.counts).as_bytes()));
        }
        self.counts[port] += 1;
        let script = match self.scripts.get(target) {
            Some(script) => Rc::clone(script),
            None => {
                let script = Rc::new(Script::new(&String::from_utf8_lossy(target)));
                self.scripts.insert(target.to_vec(), Rc::clone(&script));
                script
            }
        };
        if script.hang {
            return true;
        }
        let answer = script.next();
        if script.delay.is_zero() {
            return self.send(slot, answer);
        }
        self.serial += 1;
        self.held.push(Reverse((Instant::now() + script.delay, slot, self.serial)));
        self.answers.insert(self.serial, answer);
        true
    }

    /// Sends the held answers whose moment has come. (To a caller that left, or to who has its slot now: as a late answer
    /// on a connection in use would be an error, callers here leave only when a run ends.)
    fn release(&mut self) {
        while let Some(Reverse((due, slot, serial))) = self.held.peek().copied() {
            if due > Instant::now() {
                return;
            }
            self.held.pop();
            if let Some(answer) = self.answers.remove(&serial) {
                self.send(slot, answer);
            }
        }
    }

    fn send(&mut self, slot: usize, answer: Rc<[u8]>) -> bool {
        let Some(connection) = &mut self.connections[slot] else { return false };
        connection.answer = Some((answer, 0));
        connection.write()
    }
}
