//! An open-loop load generator: so many requests a second, whatever the answers do.
//!
//! `openloop URL RATE SECONDS CONNECTIONS` (`http://127.0.0.1:PORT/path`). A latency counts from when its request was
//! due, so one that waited for a connection is as slow as its client would have found it. Prints one line of JSON.

use std::collections::VecDeque;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll;

/// How long after the last request answers are waited for.
const GRACE: Duration = Duration::from_secs(10);

struct Connection {
    stream: TcpStream,
    /// When the request in flight was due.
    due: Option<Instant>,
    answer: Vec<u8>,
    /// How long the answer will be, once its head is there.
    length: Option<usize>,
}

struct Run {
    epoll: std::os::fd::OwnedFd,
    address: String,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    latencies: Vec<Duration>,
    errors: usize,
}

fn main() -> io::Result<()> {
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1000))?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, rate, seconds, connections] = arguments.as_slice() else {
        panic!("openloop URL RATE SECONDS CONNECTIONS")
    };
    let (address, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("http://HOST:PORT/path");
    let rate: f64 = rate.parse().expect("a rate");
    let total = (rate * seconds.parse::<f64>().expect("seconds")) as usize;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut run = Run {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        address: address.to_owned(),
        connections: Vec::new(),
        idle: Vec::new(),
        latencies: Vec::with_capacity(total),
        errors: 0,
    };
    for slot in 0..connections.parse().expect("connections") {
        let connection = run.connect(slot)?;
        run.connections.push(connection);
        run.idle.push(slot);
    }

    let start = Instant::now();
    let due = |n: usize| start + Duration::from_secs_f64(n as f64 / rate);
    let (mut issued, mut queue) = (0, VecDeque::new());
    let mut events = Vec::with_capacity(512);
    while run.latencies.len() + run.errors < total {
        let now = Instant::now();
        while issued < total && due(issued) <= now {
            queue.push_back(due(issued));
            issued += 1;
        }
        while !queue.is_empty()
            && let Some(slot) = run.idle.pop()
        {
            let connection = &mut run.connections[slot];
            connection.due = queue.pop_front();
            connection.stream.write_all(request.as_bytes())?;
        }
        let until = if issued < total { due(issued) } else { due(total) + GRACE };
        let wait = until.saturating_duration_since(Instant::now());
        if issued == total && wait.is_zero() {
            break;
        }
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        epoll::wait(&run.epoll, spare_capacity(&mut events), Some(&timeout))?;
        for event in events.drain(..) {
            run.progress(event.data.u64() as usize)?;
        }
    }
    run.report(total, start.elapsed());
    Ok(())
}

impl Run {
    fn connect(&self, slot: usize) -> io::Result<Connection> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&self.epoll, &stream, epoll::EventData::new_u64(slot as u64), epoll::EventFlags::IN)?;
        Ok(Connection { stream, due: None, answer: Vec::new(), length: None })
    }

    fn progress(&mut self, slot: usize) -> io::Result<()> {
        let connection = &mut self.connections[slot];
        let mut piece = [0; 65536];
        match connection.stream.read(&mut piece) {
            Ok(n) if n > 0 => connection.answer.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Ok(_) | Err(_) => {
                let in_flight = connection.due.is_some();
                self.connections[slot] = self.connect(slot)?;
                if in_flight {
                    self.errors += 1;
                    self.idle.push(slot);
                }
                return Ok(());
            }
        }
        if connection.length.is_none() {
            connection.length = length(&connection.answer);
        }
        if connection.length.is_some_and(|length| connection.answer.len() >= length) {
            match connection.due.take() {
                Some(due) if connection.answer.starts_with(b"HTTP/1.1 200 ") => self.latencies.push(due.elapsed()),
                _ => self.errors += 1,
            }
            connection.answer.clear();
            connection.length = None;
            self.idle.push(slot);
        }
        Ok(())
    }

    fn report(mut self, total: usize, wall: Duration) {
        self.latencies.sort_unstable();
        let answered = self.latencies.len();
        let at = |share: f64| {
            let latency = self.latencies.get((answered as f64 * share) as usize).or(self.latencies.last());
            latency.map_or("null".to_owned(), |latency| format!("{:.3}", latency.as_secs_f64() * 1000.0))
        };
        println!(
            r#"{{"requests":{answered},"errors":{},"wall":{},"p50":{},"p99":{},"p999":{}}}"#,
            total - answered,
            wall.as_secs_f64(),
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
}

/// The length of a whole answer, when its head is there.
fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let value =
        text.lines().find_map(|line| line.strip_prefix("content-length:")).expect("an answer with a Content-Length");
    Some(head + value.trim().parse::<usize>().expect("a length"))
}
