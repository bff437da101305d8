//! Where a request comes from: the other end of its connection, or, where that is a proxy of ours, whom it names.
//!
//! Each proxy appends the address that it was asked from to `X-Forwarded-For`. Read from the right, addresses are true
//! as long as a trusted proxy wrote them: the first that is none of ours is the client, and what stands left of it is
//! its own claim. `Forwarded` is not read: a proxy that writes one of the two passes the other on as it came.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;

use crate::config::spec::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client.
pub(crate) fn client(peer: IpAddr, trusted: &[Network], headers: &HeaderMap) -> IpAddr {
    let mut client = peer;
    if !is_trusted(client, trusted) {
        return client;
    }
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        // What is no text was written by no proxy.
        for hop in line.to_str().unwrap_or("?").rsplit(',') {
            let Some(address) = parse(hop.trim()) else { return client };
            client = address;
            if !is_trusted(client, trusted) {
                return client;
            }
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`
fn parse(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// Whether an address is of a proxy of ours.
pub(crate) fn is_trusted(address: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| contains(*network, address))
}

fn contains(network: Network, address: IpAddr) -> bool {
    let (base, prefix) = match (network.address, network.address.to_canonical()) {
        // A mapped network is one of IPv4.
        (IpAddr::V6(_), base @ IpAddr::V4(_)) if network.prefix >= 96 => (base, network.prefix - 96),
        (base, _) => (base, network.prefix),
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => same(base.to_bits().into(), address.to_bits().into(), 32, prefix),
        (IpAddr::V6(base), IpAddr::V6(address)) => same(base.to_bits(), address.to_bits(), 128, prefix),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether the first so many of their bits are the same.
fn same(one: u128, other: u128, bits: u32, prefix: u8) -> bool {
    (one ^ other).checked_shr(bits.saturating_sub(prefix.into())).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, trusted: &[(&str, u8)], forwarded: &[&str]) -> String {
        let network = |(address, prefix): &(&str, u8)| Network { address: address.parse().unwrap(), prefix: *prefix };
        let trusted: Vec<_> = trusted.iter().map(network).collect();
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, http::HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client(peer.parse::<IpAddr>().unwrap().to_canonical(), &trusted, &headers).to_string()
    }

    const OURS: &[(&str, u8)] = &[("10.0.0.0", 8), ("fd00::", 8)];

    #[test]
    fn the_right_most_address_that_is_none_of_ours_is_the_client() {
        assert_eq!(seen("10.0.0.1", OURS, &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", OURS, &["6.6.6.6, 198.51.100.7, 10.0.0.2"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", OURS, &["6.6.6.6", "198.51.100.7", "10.1.2.3,10.0.0.2"]), "198.51.100.7");
        assert_eq!(seen("fd00::1", OURS, &["2001:db8::9"]), "2001:db8::9");
        assert_eq!(seen("::ffff:10.0.0.1", OURS, &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn who_is_no_proxy_of_ours_is_the_client_whatever_he_claims() {
        assert_eq!(seen("198.51.100.7", OURS, &["10.0.0.1"]), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &[], &["198.51.100.7"]), "10.0.0.1");
        assert_eq!(seen("11.0.0.1", OURS, &["198.51.100.7"]), "11.0.0.1");
    }

    #[test]
    fn what_is_no_address_ends_the_search_at_the_proxy_that_wrote_it() {
        assert_eq!(seen("10.0.0.1", OURS, &[]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", OURS, &["198.51.100.7, unknown, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", OURS, &["198.51.100.7, "]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", OURS, &["198.51.100.7, \u{e9}"]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", OURS, &["10.0.0.9, 10.0.0.2"]), "10.0.0.9");
    }

    #[test]
    fn ports_and_brackets_are_no_part_of_an_address() {
        for hop in ["198.51.100.7:4711", "198.51.100.7"] {
            assert_eq!(seen("10.0.0.1", OURS, &[hop]), "198.51.100.7", "{hop}");
        }
        for hop in ["[2001:db8::9]:4711", "[2001:db8::9]", "2001:db8::9"] {
            assert_eq!(seen("10.0.0.1", OURS, &[hop]), "2001:db8::9", "{hop}");
        }
    }

    #[test]
    fn networks_have_edges() {
        let edge = |address: &str, trusted| seen(address, trusted, &["192.0.2.1"]) == "192.0.2.1";
        assert!(edge("10.255.255.255", OURS) && !edge("9.255.255.255", OURS));
        assert!(edge("1.2.3.4", &[("0.0.0.0", 0)]) && !edge("2001:db8::1", &[("0.0.0.0", 0)]));
        assert!(edge("2001:db8::1", &[("::", 0)]) && !edge("1.2.3.4", &[("::", 0)]));
        assert!(edge("10.1.2.3", &[("::ffff:10.0.0.0", 104)]) && !edge("11.1.2.3", &[("::ffff:10.0.0.0", 104)]));
        assert!(edge("10.0.0.7", &[("10.0.0.7", 32)]) && !edge("10.0.0.6", &[("10.0.0.7", 32)]));
    }
}
