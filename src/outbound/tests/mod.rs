//! The whole edge against peers on real sockets, which all misbehave.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;

use crate::base::ByteSize;
use crate::base::Name;
use crate::base::Secret;
use crate::config::spec::ClientSpec;
use crate::outbound::Call;
use crate::outbound::Client;
use crate::outbound::Clients;
use crate::outbound::ReadLimits;

mod answers;
mod failures;
mod peer;
mod redirects;
mod refused;
mod tls;

/// A `client:` block with the defaults.
pub(crate) fn client_spec() -> ClientSpec {
    ClientSpec {
        user_agent: "aggd-test".to_owned(),
        connect_timeout: Duration::from_secs(2),
        pool_idle_timeout: Duration::from_secs(30),
        pool_max_idle_per_host: 64,
        proxy: None,
        ca: None,
        allow_private_networks: true,
        deny_networks: Vec::new(),
    }
}

const LIMITS: ReadLimits = ReadLimits { max_response_bytes: ByteSize::kib(64), read_timeout: None };

fn client(spec: &ClientSpec) -> Arc<Client> {
    crate::outbound::install_crypto();
    Clients::new(spec, None).unwrap().for_source(&Name::parse("a").unwrap(), spec.connect_timeout)
}

/// Both transports for a peer: straight to it, and through reqwest, to which the peer is a proxy.
fn transports(port: u16, connect_timeout: Duration) -> [(&'static str, Arc<Client>); 2] {
    let mut spec = client_spec();
    spec.connect_timeout = connect_timeout;
    let direct = client(&spec);
    spec.proxy = Some(Secret::new(format!("http://127.0.0.1:{port}")));
    [("direct", direct), ("reqwest", client(&spec))]
}

fn get(url: &str) -> Call {
    Call { method: Method::GET, url: url.parse().unwrap(), headers: HeaderMap::new(), body: Bytes::new() }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}
