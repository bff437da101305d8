//! Which addresses may be called: the guard against requests that reach where they should not (SSRF).
//!
//! Asked on every connection: for each address a name resolves to, and for addresses written in URLs and redirects.
//!
//! | addresses | called |
//! |---|---|
//! | metadata services, link-local, unspecified, multicast, broadcast | never |
//! | `client.deny_networks` | never |
//! | loopback, private, unique local, shared (CGNAT), reserved | unless `client.allow_private_networks: false` |
//! | IPv6 that carries an IPv4 address (mapped, compatible, NAT64, 6to4) | as both |

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use thiserror::Error;

use crate::config::spec::ClientSpec;
use crate::config::spec::Network;

/// The rules of one configuration.
#[derive(Debug)]
pub(crate) struct Guard {
    allow_private: bool,
    deny: Vec<Network>,
}

/// Why an address is not called. Names the rule and the setting, not the address: clients may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    /// Where clouds hand out credentials.
    #[error("the address is that of a cloud metadata service, which is never called")]
    Metadata,
    /// 169.254.0.0/16, fe80::/10.
    #[error("the address is link-local (169.254.0.0/16, fe80::/10), which is never called")]
    LinkLocal,
    /// 0.0.0.0/8, ::.
    #[error("the address is unspecified (0.0.0.0/8, ::), which is never called")]
    Unspecified,
    /// 224.0.0.0/4, 255.255.255.255, ff00::/8.
    #[error("the address is multicast or broadcast, which is never called")]
    Multicast,
    /// Loopback, private networks and what else is not the internet.
    #[error("the address is in a private network, and `client.allow_private_networks` is false")]
    Private,
    /// The operator's list.
    #[error("the address is in {}/{} of `client.deny_networks`", .0.address, .0.prefix)]
    Listed(Network),
}

/// Metadata services beside 169.254.169.254: Alibaba, Oracle, Azure.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// AWS and Google.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

const PRIVATE_V4: [(Ipv4Addr, u8); 8] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

const PRIVATE_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10),
    // NAT64 inside one's own network.
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
];

impl Guard {
    /// The guard that the configuration asks for.
    pub(crate) fn new(spec: &ClientSpec) -> Self {
        Self {
            allow_private: spec.allow_private_networks,
            deny: spec.deny_networks.iter().map(|network| unmapped(*network)).collect(),
        }
    }

    /// Whether this address may be called.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Denied> {
        match address {
            IpAddr::V4(v4) => self.check_v4(v4),
            IpAddr::V6(v6) => {
                self.check_v6(v6)?;
                embedded(v6).map_or(Ok(()), |v4| self.check_v4(v4))
            }
        }
    }

    /// Checks the host of a URL if it is an address; names are checked when they are resolved. Odd spellings of
    /// addresses (`0x7f.1`, `2130706433`) are names here: the system's resolver makes addresses of them.
    pub(crate) fn check_host(&self, host: &str) -> Result<(), Denied> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        bare.parse().map_or(Ok(()), |address| self.check(address))
    }

    fn check_v4(&self, address: Ipv4Addr) -> Result<(), Denied> {
        if METADATA_V4.contains(&address) {
            return Err(Denied::Metadata);
        }
        if address.is_link_local() {
            return Err(Denied::LinkLocal);
        }
        // Linux takes all of 0.0.0.0/8 for this very host.
        if in_v4(address, Ipv4Addr::UNSPECIFIED, 8) {
            return Err(Denied::Unspecified);
        }
        if address.is_multicast() || address.is_broadcast() {
            return Err(Denied::Multicast);
        }
        self.check_listed(IpAddr::V4(address))?;
        if !self.allow_private && PRIVATE_V4.iter().any(|(base, prefix)| in_v4(address, *base, *prefix)) {
            return Err(Denied::Private);
        }
        Ok(())
    }

    fn check_v6(&self, address: Ipv6Addr) -> Result<(), Denied> {
        if METADATA_V6.contains(&address) {
            return Err(Denied::Metadata);
        }
        if address.is_unicast_link_local() {
            return Err(Denied::LinkLocal);
        }
        if address.is_unspecified() {
            return Err(Denied::Unspecified);
        }
        if address.is_multicast() {
            return Err(Denied::Multicast);
        }
        self.check_listed(IpAddr::V6(address))?;
        if !self.allow_private && PRIVATE_V6.iter().any(|(base, prefix)| in_v6(address, *base, *prefix)) {
            return Err(Denied::Private);
        }
        Ok(())
    }

    fn check_listed(&self, address: IpAddr) -> Result<(), Denied> {
        let listed = self.deny.iter().find(|network| match (address, network.address) {
            (IpAddr::V4(a), IpAddr::V4(base)) => in_v4(a, base, network.prefix),
            (IpAddr::V6(a), IpAddr::V6(base)) => in_v6(a, base, network.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        });
        listed.map_or(Ok(()), |network| Err(Denied::Listed(*network)))
    }
}

/// A network written as `::ffff:10.0.0.0/104` means the IPv4 one.
fn unmapped(network: Network) -> Network {
    match network.address {
        IpAddr::V6(v6) if network.prefix >= 96 => match v6.to_ipv4_mapped() {
            Some(v4) => Network { address: IpAddr::V4(v4), prefix: network.prefix - 96 },
            None => network,
        },
        IpAddr::V4(_) | IpAddr::V6(_) => network,
    }
}

/// The IPv4 address that an IPv6 one stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(high, low)),
        // Deprecated "compatible" addresses; `::1` is loopback, not 0.0.0.1.
        (0, 0, 0, 0, 0, 0) if address != Ipv6Addr::LOCALHOST => Some(join(high, low)),
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

fn in_v4(address: Ipv4Addr, base: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

fn in_v6(address: Ipv6Addr, base: Ipv6Addr, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
    address.to_bits() & mask == base.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allow_private: bool, deny: &[(&str, u8)]) -> Guard {
        let network = |(address, prefix): &(&str, u8)| Network { address: address.parse().unwrap(), prefix: *prefix };
        Guard { allow_private, deny: deny.iter().map(network).map(unmapped).collect() }
    }

    #[test]
    fn some_addresses_are_denied_whatever_is_configured() {
        let open = guard(true, &[]);
        for (address, why) in [
            ("169.254.169.254", Denied::Metadata),
            ("100.100.100.200", Denied::Metadata),
            ("fd00:ec2::254", Denied::Metadata),
            ("::ffff:169.254.169.254", Denied::Metadata),
            ("64:ff9b::a9fe:a9fe", Denied::Metadata),
            ("2002:a9fe:a9fe::", Denied::Metadata),
            ("::169.254.169.254", Denied::Metadata),
            ("169.254.0.1", Denied::LinkLocal),
            ("fe80::1", Denied::LinkLocal),
            ("0.0.0.0", Denied::Unspecified),
            ("0.1.2.3", Denied::Unspecified),
            ("::", Denied::Unspecified),
            ("::ffff:0.0.0.0", Denied::Unspecified),
            ("224.0.0.1", Denied::Multicast),
            ("255.255.255.255", Denied::Multicast),
            ("ff02::1", Denied::Multicast),
        ] {
            assert_eq!(open.check(address.parse().unwrap()), Err(why), "{address}");
        }
    }

    #[test]
    fn private_networks_are_open_until_the_setting_closes_them() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "198.19.0.1",
            "240.0.0.1",
            "::1",
            "fc00::1",
            "fdff::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
        ];
        for address in private.map(|text| text.parse().unwrap()) {
            assert_eq!(guard(true, &[]).check(address), Ok(()), "{address}");
            assert_eq!(guard(false, &[]).check(address), Err(Denied::Private), "{address}");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert_eq!(guard(false, &[]).check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_listed_network_is_denied_up_to_its_edges() {
        let guard = guard(true, &[("203.0.113.64", 26), ("2001:db8::", 32), ("::ffff:198.51.100.0", 120)]);
        for (address, denied) in [
            ("203.0.113.63", false),
            ("203.0.113.64", true),
            ("203.0.113.127", true),
            ("203.0.113.128", false),
            ("::ffff:203.0.113.64", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("198.51.100.7", true),
        ] {
            assert_eq!(guard.check(address.parse().unwrap()).is_err(), denied, "{address}");
        }
    }

    #[test]
    fn prefix_zero_denies_the_whole_family_and_only_it() {
        let guard = guard(true, &[("0.0.0.0", 0)]);
        assert!(guard.check("8.8.8.8".parse().unwrap()).is_err());
        assert_eq!(guard.check("2606:4700::1111".parse().unwrap()), Ok(()));
    }

    #[test]
    fn the_host_of_a_url_is_checked_when_it_is_an_address() {
        let guard = guard(false, &[]);
        assert_eq!(guard.check_host("[::1]"), Err(Denied::Private));
        assert_eq!(guard.check_host("127.0.0.1"), Err(Denied::Private));
        assert_eq!(guard.check_host("localhost"), Ok(()), "checked when it is resolved");
    }

    #[test]
    fn a_refusal_names_its_setting_and_not_the_address() {
        let text = guard(true, &[("10.0.0.0", 8)]).check("10.1.2.3".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(text, "the address is in 10.0.0.0/8 of `client.deny_networks`");
    }
}
