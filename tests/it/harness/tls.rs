//! An upstream that speaks TLS, with the certificate for `localhost` that the unit tests have too.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// The authority that signed it.
pub(crate) const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/outbound/tests/tls/ca.pem");
const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/outbound/tests/tls/localhost.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/outbound/tests/tls/localhost.key");

/// Its port; every request is answered 200 with `{"over": "tls"}`, one per connection.
pub(crate) fn speaking_tls() -> u16 {
    let certificate = CertificateDer::from_pem_file(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            // A client that refuses the certificate is no error of the server.
            drop(answer(&config, &mut socket));
        }
    });
    port
}

fn answer(config: &Arc<ServerConfig>, socket: &mut TcpStream) -> std::io::Result<()> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut stream = rustls::Stream::new(&mut connection, socket);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.extend_from_slice(&byte);
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 15\r\n\r\n";
    stream.write_all(format!("{head}{{\"over\": \"tls\"}}").as_bytes())?;
    stream.flush()?;
    connection.send_close_notify();
    connection.write_tls(socket).map(drop)
}
