//! HTTP/2 servers that refuse streams: what was never begun is sent once more, and no more than that.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::outbound::tests::LIMITS;
use crate::outbound::tests::client;
use crate::outbound::tests::get;
use crate::outbound::tests::tls::CERTIFICATE;
use crate::outbound::tests::tls::KEY;
use crate::outbound::tests::tls::trusting;
use crate::policy::outcome::Kind;

const REFUSED_STREAM: u8 = 7;
const INTERNAL_ERROR: u8 = 2;

/// One frame: its type, flags, stream and payload.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Speaks HTTP/2 on one connection: resets the first `resets` streams for this reason, and answers the next.
fn serve(resets: usize, reason: u8) -> (u16, std::thread::JoinHandle<usize>) {
    crate::outbound::install_crypto();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let mut config = config.unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        let mut seen = 0;
        // The client's preface; then our settings.
        if stream.read_exact(&mut [0; 24]).is_err() || stream.write_all(&frame(4, 0, 0, &[])).is_err() {
            return seen;
        }
        let mut head = [0; 9];
        while stream.read_exact(&mut head).is_ok() {
            let length = usize::from(head[1]) << 8 | usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).unwrap();
            let answer = match (head[3], head[4]) {
                (4, 0) => frame(4, 1, 0, &[]),
                (1, _) => {
                    seen += 1;
                    let number = head[8];
                    if seen <= resets {
                        frame(3, 0, number, &[0, 0, 0, reason])
                    } else {
                        // `:status: 200` is the eighth entry of the table that both sides know.
                        [frame(1, 4, number, &[0x88]), frame(0, 1, number, b"late")].concat()
                    }
                }
                _ => continue,
            };
            if stream.write_all(&answer).and_then(|()| stream.flush()).is_err() {
                break;
            }
        }
        seen
    });
    (port, serving)
}

async fn ask(resets: usize, reason: u8) -> (Result<Vec<u8>, Kind>, usize) {
    let (port, serving) = serve(resets, reason);
    let client = client(&trusting());
    let answer = client.exchange(get(&format!("https://localhost:{port}/")), LIMITS, 0).await;
    let result = answer.map(|answer| answer.body.to_vec()).map_err(|error| error.kind());
    drop(client);
    // It goes on until the client hangs up, which the runtime must be free to do.
    (result, tokio::task::spawn_blocking(|| serving.join().unwrap()).await.unwrap())
}

#[tokio::test]
async fn a_stream_that_was_refused_is_sent_once_more_as_the_same_attempt() {
    assert_eq!(ask(1, REFUSED_STREAM).await, (Ok(b"late".to_vec()), 2));
}

#[tokio::test]
async fn a_second_refusal_is_the_end_of_the_attempt() {
    assert_eq!(ask(2, REFUSED_STREAM).await, (Err(Kind::Reset), 2));
}

#[tokio::test]
async fn a_stream_that_broke_off_for_another_reason_may_have_been_worked_on() {
    assert_eq!(ask(1, INTERNAL_ERROR).await, (Err(Kind::Reset), 1));
}
