//! Where to listen, which database, which proxy, which networks.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use url::Url;

use crate::base::Secret;
use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::spec::Database;
use crate::config::spec::Listen;
use crate::config::spec::Network;

/// `127.0.0.1:8080`, `[::1]:8080`, `unix:/path`.
pub(crate) fn listen(scalar: &Scalar) -> Result<Listen, Problem> {
    parse_listen(&scalar.text).map_err(|help| {
        let message = format!("{} is not an address to listen on", scalar.shown());
        problem(codes::BAD_LISTEN, message).help(help)
    })
}

/// The same from a text, for the command line; `Err` says what to write.
pub(crate) fn parse_listen(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        if path.starts_with('/') && path.len() > 1 {
            return Ok(Listen::Unix(PathBuf::from(path)));
        }
        return Err("write the socket's absolute path: `unix:/run/aggd.sock`".to_owned());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen::Tcp(address));
    }
    if let Some(port) = text.strip_prefix("localhost:").filter(|port| port.parse::<u16>().is_ok()) {
        return Err(format!("write `127.0.0.1:{port}`"));
    }
    if let Some(port) = text.strip_prefix(':').or(Some(text)).filter(|port| port.parse::<u16>().is_ok()) {
        return Err(format!("write `127.0.0.1:{port}`, or `0.0.0.0:{port}` to listen on every network"));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err("write the port too: `127.0.0.1:8080`".to_owned());
    }
    Err("write address and port (`127.0.0.1:8080`, `[::1]:8080`) or `unix:/path`".to_owned())
}

/// `off`, `sqlite://PATH`, `postgres://…`; `base` is what a relative path is relative to.
pub(crate) fn database(scalar: &Scalar, base: &Path) -> Result<Database, Problem> {
    let text = scalar.text.as_str();
    if text == "off" {
        return Ok(Database::Off);
    }
    let refuse = |help: &str| {
        // A URL may hold a password even where it was written out.
        let what = if scalar.is_secret() || !text.contains('@') { scalar.shown() } else { "this".to_owned() };
        problem(codes::BAD_DATABASE, format!("{what} is not a database")).help(help)
    };
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.contains(['?', '#']) {
            return Err(refuse("write the path alone: `sqlite://aggd.db`"));
        }
        if path.is_empty() || path == ":memory:" {
            return Err(refuse("write the file: `sqlite://aggd.db`; or `off` to keep nothing"));
        }
        return Ok(Database::Sqlite(base.join(path)));
    }
    let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    match Url::parse(text) {
        Ok(url) if postgres && url.has_host() => Ok(Database::Postgres(Secret::new(text))),
        Ok(_) | Err(_) if postgres => Err(refuse("write `postgres://user:password@host:5432/name`")),
        Ok(_) | Err(_) => Err(refuse("write `sqlite://PATH`, `postgres://user:password@host/name` or `off`")),
    }
}

/// The URL of a proxy.
pub(crate) fn proxy(scalar: &Scalar) -> Result<Secret, Problem> {
    match Url::parse(&scalar.text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Secret::new(&scalar.text)),
        Ok(_) | Err(_) => {
            let what = if scalar.text.contains('@') && !scalar.is_secret() { "this".into() } else { scalar.shown() };
            let help = "write `http://proxy.example.org:3128`";
            Err(problem(codes::BAD_PROXY, format!("{what} is not the URL of an http or https proxy")).help(help))
        }
    }
}

/// A network in CIDR notation; an address alone is a network of one.
pub(crate) fn network(scalar: &Scalar) -> Result<Network, Problem> {
    let refuse = |help: &str| problem(codes::BAD_NETWORK, format!("{} is not a network", scalar.shown())).help(help);
    let (address, prefix) = match scalar.text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (scalar.text.as_str(), None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(refuse("write address and prefix: `10.0.0.0/8`, `fd00::/8`"));
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Ok(most), str::parse::<u8>);
    match prefix {
        Ok(prefix) if prefix <= most => Ok(Network { address, prefix }),
        Ok(_) | Err(_) => Err(refuse(&format!("write a prefix from 0 to {most}: `{address}/{most}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::testing::help;
    use crate::config::values::testing::plain;

    #[test]
    fn listen_takes_addresses_and_sockets() {
        assert!(matches!(listen(&plain("[::1]:0")), Ok(Listen::Tcp(_))));
        assert_eq!(listen(&plain("unix:/run/a.sock")), Ok(Listen::Unix("/run/a.sock".into())));
        assert_eq!(help(listen(&plain("localhost:8080"))), "write `127.0.0.1:8080`");
        assert!(help(listen(&plain(":80"))).starts_with("write `127.0.0.1:80`, or"));
        assert!(help(listen(&plain("8080"))).starts_with("write `127.0.0.1:8080`, or"));
        assert!(help(listen(&plain("127.0.0.1"))).starts_with("write the port"));
        assert!(listen(&plain("unix:relative")).is_err() && listen(&plain("127.0.0.1:99999")).is_err());
    }

    #[test]
    fn databases_are_files_servers_or_off() {
        let base = Path::new("/etc/aggd");
        assert_eq!(database(&plain("off"), base), Ok(Database::Off));
        assert_eq!(database(&plain("sqlite://aggd.db"), base), Ok(Database::Sqlite("/etc/aggd/aggd.db".into())));
        assert_eq!(database(&plain("sqlite:///var/a.db"), base), Ok(Database::Sqlite("/var/a.db".into())));
        assert!(matches!(database(&plain("postgresql://u:p@h/n"), base), Ok(Database::Postgres(_))));
        for bad in ["mysql://h/n", "aggd.db", "sqlite://", "sqlite://:memory:", "postgres://"] {
            assert!(database(&plain(bad), base).is_err(), "{bad}");
        }
        assert!(!format!("{:?}", database(&plain("mysql://u:pw@h"), base)).contains("pw"));
    }

    #[test]
    fn networks_have_a_prefix_that_fits() {
        assert_eq!(network(&plain("10.0.0.0/8")), Ok(Network { address: "10.0.0.0".parse().unwrap(), prefix: 8 }));
        assert_eq!(network(&plain("::1")).map(|network| network.prefix), Ok(128));
        for bad in ["10.0.0.0/33", "10.0.0/8", "x", "fd00::/129", "10.0.0.0/"] {
            assert!(network(&plain(bad)).is_err(), "{bad}");
        }
        assert!(proxy(&plain("http://p:3128")).is_ok() && proxy(&plain("socks5://p:1")).is_err());
    }
}
