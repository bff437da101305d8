//! Whom a request counts for, as a number: names, addresses and header values are hashed under seeds that nobody
//! outside knows, so that a key is of one size whatever a client sends.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::net::IpAddr;

use http::HeaderMap;

use crate::policy::quota::KeyPart;

/// What a request says of who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// Of the key shown.
    pub(crate) tenant: Option<&'a str>,
    /// The name of the key shown.
    pub(crate) api_key: Option<&'a str>,
    pub(crate) address: IpAddr,
    /// The route as declared.
    pub(crate) route: &'a str,
    /// `None`: nothing that they say is believed.
    pub(crate) headers: Option<&'a HeaderMap>,
}

/// The seeds of one limit.
#[derive(Debug, Default)]
pub(super) struct Seeds(RandomState, RandomState);

/// One thing that tells keys apart, with what it is: a tenant named `10.0.0.1` is no address.
enum Part<'a> {
    Text(u8, &'a [u8]),
    Address(IpAddr),
}

impl Seeds {
    /// The key of a request.
    pub(super) fn key_of(&self, parts: &[KeyPart], asker: &Asker<'_>) -> u128 {
        let (mut high, mut low) = (self.0.build_hasher(), self.1.build_hasher());
        for part in parts {
            let part = asker.part(part);
            part.hash(&mut high);
            part.hash(&mut low);
        }
        u128::from(high.finish()) << 64 | u128::from(low.finish())
    }
}

impl Asker<'_> {
    fn part(&self, part: &KeyPart) -> Part<'_> {
        // Who says nothing of himself counts by his address.
        self.text(part).unwrap_or(Part::Address(self.address))
    }

    fn text(&self, part: &KeyPart) -> Option<Part<'_>> {
        match part {
            KeyPart::Tenant => self.tenant.map(|tenant| Part::Text(1, tenant.as_bytes())),
            KeyPart::ApiKey => self.api_key.map(|key| Part::Text(2, key.as_bytes())),
            KeyPart::Route => Some(Part::Text(3, self.route.as_bytes())),
            KeyPart::Header(name) => self.headers?.get(name).map(|value| Part::Text(4, value.as_bytes())),
            KeyPart::Ip => None,
        }
    }
}

impl Part<'_> {
    fn hash(&self, hasher: &mut impl Hasher) {
        match self {
            Part::Text(kind, bytes) => {
                hasher.write_u8(*kind);
                hasher.write_usize(bytes.len());
                hasher.write(bytes);
            }
            Part::Address(address) => match address.to_canonical() {
                IpAddr::V4(address) => {
                    hasher.write_u8(5);
                    hasher.write(&address.octets());
                }
                IpAddr::V6(address) => {
                    // A client has a whole network of 64 bits, and could come from another address each time.
                    let [a, b, c, d, e, f, g, h, ..] = address.octets();
                    hasher.write_u8(6);
                    hasher.write(&[a, b, c, d, e, f, g, h]);
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker<'a>(tenant: Option<&'a str>, address: &str, headers: &'a HeaderMap) -> Asker<'a> {
        Asker { tenant, api_key: None, address: address.parse().unwrap(), route: "/r", headers: Some(headers) }
    }

    #[test]
    fn irl_10_who_shows_no_key_counts_by_address_whatever_he_claims() {
        let (seeds, mut spoofed) = (Seeds::default(), HeaderMap::new());
        spoofed.insert("x-tenant-id", "acme".parse().unwrap());
        let none = HeaderMap::new();
        let key = |asker: &Asker<'_>| seeds.key_of(&[KeyPart::Tenant], asker);
        let anonymous = key(&asker(None, "192.0.2.1", &none));
        assert_eq!(key(&asker(None, "192.0.2.1", &spoofed)), anonymous);
        assert_ne!(key(&asker(None, "192.0.2.2", &none)), anonymous);
        let acme = key(&asker(Some("acme"), "192.0.2.1", &none));
        assert_ne!(acme, anonymous);
        assert_eq!(key(&asker(Some("acme"), "192.0.2.2", &none)), acme);
        assert_ne!(key(&asker(Some("192.0.2.1"), "192.0.2.9", &none)), anonymous, "a tenant is no address");
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_address_is_itself() {
        let (seeds, none) = (Seeds::default(), HeaderMap::new());
        let key = |address| seeds.key_of(&[KeyPart::Ip], &asker(None, address, &none));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn composites_are_told_apart_by_every_part() {
        let (seeds, mut headers) = (Seeds::default(), HeaderMap::new());
        headers.insert("x-tenant-id", "acme".parse().unwrap());
        let parts = [KeyPart::Header(http::HeaderName::from_static("x-tenant-id")), KeyPart::Ip];
        let key = |asker: &Asker<'_>| seeds.key_of(&parts, asker);
        let none = HeaderMap::new();
        let keys = [
            key(&asker(None, "192.0.2.1", &headers)),
            key(&asker(None, "192.0.2.2", &headers)),
            key(&asker(None, "192.0.2.1", &none)),
        ];
        let believed_nothing = Asker { headers: None, ..asker(None, "192.0.2.1", &headers) };
        assert_eq!(key(&believed_nothing), keys[2]);
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
        assert_ne!(
            Seeds::default().key_of(&parts, &asker(None, "192.0.2.1", &none)),
            keys[2],
            "each limit has its own"
        );
    }
}
