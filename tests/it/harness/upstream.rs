//! A scripted upstream: HTTP/1.1 on a raw socket, so that it can break every rule on purpose.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

use crate::harness::script::Script;
use crate::harness::script::Way;

/// Where upstreams run: a test may block its own thread meanwhile.
fn background() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("no runtime")
    })
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// Path and query as sent.
    pub(crate) target: String,
    /// Names in lower case, in the order sent.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header, if there is one.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One path.
#[derive(Default)]
struct Place {
    /// Each is used once, the last one for ever.
    scripts: VecDeque<Script>,
    seen: Vec<Seen>,
    active: usize,
    peak: usize,
    /// Requests whose sender left before the answer was sent.
    left: usize,
}

type Places = Arc<Mutex<HashMap<String, Place>>>;

/// A listening upstream. It ends with the value.
pub(crate) struct Upstream {
    address: SocketAddr,
    places: Places,
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Upstream {
    /// Starts one on a port of the kernel's choice. Paths without a script answer 418.
    pub(crate) fn start() -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("no port");
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let places = Places::default();
        let shared = Arc::clone(&places);
        let _entered = background().enter();
        let listener = TcpListener::from_std(socket).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let accepting = background().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, places, connections, accepting: accepting.abort_handle() }
    }

    /// One with scripts from the start.
    pub(crate) fn with(scripts: &[(&str, Script)]) -> Self {
        let upstream = Self::start();
        for (path, script) in scripts {
            upstream.on(path, script.clone());
        }
        upstream
    }

    /// From now on requests of this path are answered so.
    pub(crate) fn on(&self, path: &str, script: Script) {
        self.on_each(path, [script]);
    }

    /// From now on requests of this path are answered so, one after the other; the last one stays.
    pub(crate) fn on_each(&self, path: &str, scripts: impl IntoIterator<Item = Script>) {
        self.places.lock().unwrap().entry(path.to_owned()).or_default().scripts = scripts.into_iter().collect();
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many requests of this path came.
    pub(crate) fn calls(&self, path: &str) -> usize {
        self.read(path, |place| place.seen.len())
    }

    /// How many requests came in all.
    pub(crate) fn total(&self) -> usize {
        self.places.lock().unwrap().values().map(|place| place.seen.len()).sum()
    }

    /// The requests of this path.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.read(path, |place| place.seen.clone())
    }

    /// The last request of this path.
    pub(crate) fn last(&self, path: &str) -> Seen {
        self.seen(path).pop().expect("no request of this path came")
    }

    /// The most requests of this path at once.
    pub(crate) fn peak(&self, path: &str) -> usize {
        self.read(path, |place| place.peak)
    }

    /// Requests being answered now, over all paths.
    pub(crate) fn active(&self) -> usize {
        self.places.lock().unwrap().values().map(|place| place.active).sum()
    }

    /// How many requests of this path were given up by their sender.
    pub(crate) fn left(&self, path: &str) -> usize {
        self.read(path, |place| place.left)
    }

    fn read<T: Default>(&self, path: &str, read: impl FnOnce(&Place) -> T) -> T {
        self.places.lock().unwrap().get(path).map(read).unwrap_or_default()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An address that refuses connections, as long as the value lives: bound, and nobody listens.
pub(crate) fn refusing() -> (String, socket2::Socket) {
    let socket = bound();
    (format!("http://{}", local(&socket)), socket)
}

/// An address whose connections are never established, as long as the value lives: its queue is full.
pub(crate) fn unanswering() -> (String, Vec<socket2::Socket>) {
    let socket = bound();
    socket.listen(0).unwrap();
    let address = local(&socket);
    let mut held = vec![socket];
    for _ in 0..4 {
        let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        // In progress, or established and never accepted: either fills the queue.
        drop(filler.connect(&address.into()));
        held.push(filler);
    }
    std::thread::sleep(Duration::from_millis(20));
    (format!("http://{address}"), held)
}

/// An `https` URL whose host greets before it is spoken to, and not in TLS.
pub(crate) fn speaking_no_tls() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in socket.incoming().flatten() {
            drop(stream.write_all(b"220 no TLS here\r\n"));
        }
    });
    format!("https://{address}/")
}

fn bound() -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket
}

fn local(socket: &socket2::Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// One connection, request after request.
async fn serve(mut stream: TcpStream, places: Places) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await {
        let path = seen.target.split('?').next().unwrap_or_default().to_owned();
        let script = {
            let mut places = places.lock().unwrap();
            let place = places.entry(path.clone()).or_default();
            place.seen.push(seen);
            place.active += 1;
            place.peak = place.peak.max(place.active);
            if place.scripts.len() > 1 { place.scripts.pop_front() } else { place.scripts.front().cloned() }
        };
        let end = answer(&mut stream, &script.unwrap_or_else(|| Script::status(418))).await;
        let mut places = places.lock().unwrap();
        let place = places.entry(path).or_default();
        place.active -= 1;
        place.left += usize::from(end == End::Left);
        if end != End::Next {
            return;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The connection can be used again.
    Next,
    /// It is over, on purpose.
    Closed,
    /// The other side left first.
    Left,
}

async fn answer(stream: &mut TcpStream, script: &Script) -> End {
    if gone_within(stream, script.delay).await {
        return End::Left;
    }
    match script.way {
        Way::Whole => {
            let mut bytes = script.head();
            bytes.extend_from_slice(&script.body);
            written(stream.write_all(&bytes).await)
        }
        Way::HangBeforeHead => hang(stream).await,
        Way::HangAfterHead => {
            drop(stream.write_all(&script.head()).await);
            hang(stream).await
        }
        Way::Trickle(pause) => trickle(stream, script, pause).await,
        Way::Cut(bytes) => {
            let mut sent = script.head();
            sent.extend_from_slice(&script.body[..bytes]);
            drop(stream.write_all(&sent).await);
            End::Closed
        }
        Way::Endless => endless(stream, script).await,
        Way::Raw => {
            drop(stream.write_all(&script.body).await);
            End::Closed
        }
        Way::Close => End::Closed,
        Way::Reset => {
            stream.set_zero_linger().unwrap();
            End::Closed
        }
    }
}

async fn hang(stream: &mut TcpStream) -> End {
    gone_within(stream, Duration::from_secs(3600)).await;
    End::Left
}

async fn trickle(stream: &mut TcpStream, script: &Script, pause: Duration) -> End {
    drop(stream.write_all(&script.head()).await);
    for byte in &script.body {
        if gone_within(stream, pause).await || stream.write_all(&[*byte]).await.is_err() {
            return End::Left;
        }
    }
    End::Next
}

async fn endless(stream: &mut TcpStream, script: &Script) -> End {
    drop(stream.write_all(&script.head()).await);
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    while stream.write_all(chunk.as_bytes()).await.is_ok() {}
    End::Left
}

/// Waits; `true`: the other side closed meanwhile.
async fn gone_within(stream: &mut TcpStream, length: Duration) -> bool {
    if length.is_zero() {
        return false;
    }
    let mut byte = [0];
    tokio::time::timeout(length, stream.read(&mut byte)).await.is_ok()
}

fn written(result: std::io::Result<()>) -> End {
    if result.is_ok() { End::Next } else { End::Left }
}

/// Reads one request; `None`: the connection is over.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let mut seen = Seen { at: Instant::now(), method, target, headers, body: Vec::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    seen.body = buffer.drain(..length).collect();
    Some(seen)
}
