//! A scripted peer: accepts, reads a request's head, writes whatever bytes the test wants.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

pub(crate) struct Peer {
    listener: TcpListener,
    pub(crate) port: u16,
}

pub(crate) struct Connection(TcpStream);

impl Peer {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn accept(&self) -> Connection {
        Connection(soon(self.listener.accept()).await.unwrap().0)
    }

    /// One connection, one request, one answer. The connection is given back open.
    pub(crate) async fn answer(&self, answer: &[u8]) -> (String, Connection) {
        let mut connection = self.accept().await;
        let request = connection.request().await;
        connection.send(answer).await;
        (request, connection)
    }
}

impl Connection {
    /// Reads a request's head.
    pub(crate) async fn request(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(self.0.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Writes the same bytes until the other side is gone, or all of 1 GiB.
    pub(crate) async fn send_for_ever(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < 1 << 30 && self.0.write_all(bytes).await.is_ok() {
            sent += bytes.len();
        }
        sent
    }

    /// Waits until the other side closes.
    pub(crate) async fn closed(&mut self) {
        while !matches!(soon(self.0.read(&mut [0; 64])).await, Ok(0) | Err(_)) {}
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// What a test waits for comes, or the test fails instead of hanging.
async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event).await.expect("nothing came in 20 s")
}
