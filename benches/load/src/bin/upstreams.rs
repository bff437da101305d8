//! Mock upstreams: one epoll loop that answers prepared JSON, several times faster than any gateway asks for it.
//!
//! `upstreams PORT…` serves the same on every port. What a request gets, its target says:
//!
//! - `/json?bytes=N&id=I`: a document of N bytes (default 1000) with `"id":"doc-0000I"`
//! - also `delay_ms=D`; `hang=1`: no answer ever; `fail=P`: a share P is answered 500
//! - `/__count`: requests so far of each port, as a JSON array

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
    owed: f64,
}

struct Connection {
    stream: TcpStream,
    port: usize,
    /// The request, as far as it has come.
    request: Vec<u8>,
    /// The answer, and how much of it is written.
    answer: Option<(Rc<[u8]>, usize)>,
    /// An answer that waits for its moment.
    held: Option<Rc<[u8]>>,
    /// Tells this connection from others that had its slot.
    serial: u64,
}

struct Mock {
    epoll: std::os::fd::OwnedFd,
    listeners: Vec<TcpListener>,
    /// Slots: the epoll key of a connection is its slot plus the number of listeners.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scripts: HashMap<Vec<u8>, Script>,
    /// When which connection's held answer is due: moment, slot, serial.
    timers: BinaryHeap<Reverse<(Instant, usize, u64)>>,
    accepted: u64,
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
        timers: BinaryHeap::new(),
        accepted: 0,
        counts: vec![0; ports.len()],
    };
    for (key, listener) in mock.listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        // The 128 of the standard library overflow, and a caller whose SYN is dropped waits a second.
        rustix::net::listen(listener, 4096)?;
        epoll::add(&mock.epoll, listener, epoll::EventData::new_u64(key as u64), epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(512);
    loop {
        let next = mock.timers.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
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
            let flags =
                epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&self.epoll, &stream, key, flags)?;
            self.accepted += 1;
            let serial = self.accepted;
            self.connections[slot] =
                Some(Connection { stream, port, request: Vec::new(), answer: None, held: None, serial });
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
            alive = self.answer(slot);
        }
        if !alive {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }

    /// Whether the connection lives on.
    fn answer(&mut self, slot: usize) -> bool {
        let Some(connection) = &mut self.connections[slot] else { return false };
        let request = std::mem::take(&mut connection.request);
        let target = request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if target == b"/__count" {
            connection.answer = Some((response(200, format!("{:?}", self.counts).as_bytes()), 0));
            return connection.write();
        }
        self.counts[connection.port] += 1;
        if !self.scripts.contains_key(target) {
            self.scripts.insert(target.to_vec(), Script::new(&String::from_utf8_lossy(target)));
        }
        let Some(script) = self.scripts.get_mut(target) else { return false };
        if script.hang {
            return true;
        }
        let answer = script.next();
        if script.delay.is_zero() {
            connection.answer = Some((answer, 0));
            return connection.write();
        }
        connection.held = Some(answer);
        self.timers.push(Reverse((Instant::now() + script.delay, slot, connection.serial)));
        true
    }

    /// Sends the held answers whose moment has come, unless their caller left.
    fn release(&mut self) {
        while let Some(Reverse((due, slot, serial))) = self.timers.peek().copied() {
            if due > Instant::now() {
                return;
            }
            self.timers.pop();
            let held = self.connections[slot].as_mut().filter(|connection| connection.serial == serial);
            if let Some(connection) = held {
                connection.answer = connection.held.take().map(|answer| (answer, 0));
                // A connection that broke meanwhile is found at its next event.
                connection.write();
            }
        }
    }
}

impl Connection {
    /// Writes what the socket takes; false when it is broken.
    fn write(&mut self) -> bool {
        while let Some((answer, written)) = &mut self.answer {
            match self.stream.write(&answer[*written..]) {
                Ok(n) => *written += n,
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
            if *written == answer.len() {
                self.answer = None;
            }
        }
        true
    }
}

impl Script {
    fn new(target: &str) -> Self {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let pairs: HashMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let number = |name: &str, default: f64| pairs.get(name).map_or(default, |text| text.parse().expect("a number"));
        Self {
            good: response(200, document(number("bytes", 1000.0) as usize, number("id", 0.0) as usize).as_bytes()),
            delay: Duration::from_secs_f64(number("delay_ms", 0.0) / 1000.0),
            hang: number("hang", 0.0) != 0.0,
            fail: number("fail", 0.0),
            owed: 0.0,
        }
    }

    fn next(&mut self) -> Rc<[u8]> {
        self.owed += self.fail;
        if self.owed >= 1.0 {
            self.owed -= 1.0;
            return response(500, b"{\"error\":\"as asked\"}");
        }
        Rc::clone(&self.good)
    }
}

fn response(status: u16, body: &[u8]) -> Rc<[u8]> {
    let head =
        format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat().into()
}

/// A document of just so many bytes, at least some 200. Members before and after its large array, so that a projection
/// has to look through all of it.
fn document(bytes: usize, id: usize) -> String {
    let head = format!("{{\"id\":\"doc-{id:05}\",\"name\":\"Zürich \\\"{id}\\\"\",\"items\":[");
    let tail = "],\"summary\":{\"total\":4711.50},\"status\":\"active\",\"updated_at\":\"2026-03-14T09:29:58Z\",\"note\":\"\"}";
    let mut text = head;
    for n in 0.. {
        let comma = if n == 0 { "" } else { "," };
        let item = format!(
            "{comma}{{\"sku\":\"SKU-{n:06}\",\"title\":\"Größe \\\"{}\\\"\",\"price\":{}.{:02},\"qty\":{},\"in_stock\":{},\"dims\":[{},{},{}],\"discount\":null}}",
            n % 97,
            n * 7919 % 10_000,
            n % 100,
            n % 13,
            n % 3 != 0,
            n % 41,
            n % 59,
            n % 83,
        );
        if text.len() + item.len() + tail.len() > bytes {
            break;
        }
        text.push_str(&item);
    }
    text.push_str(tail);
    let filling = "x".repeat(bytes.saturating_sub(text.len()));
    text.insert_str(text.len() - 2, &filling);
    text
}
