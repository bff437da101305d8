//! The guided tour that the demo prints: what runs where, and commands to paste, each with what to look for.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use crate::cli::demo::CACHE_TTL_SECONDS as TTL;
use crate::cli::demo::FAILURE_THRESHOLD as THRESHOLD;
use crate::cli::demo::RECOVERY_SECONDS as RECOVERY;
use crate::cli::demo::TIMEOUT_SECONDS as TIMEOUT;

/// What the tour edits in `sources.d/news.yaml`: found once there, and what it becomes.
const EDIT: (&str, &str) = ("limit: 10", "limit: 2");

/// The tour; its `Display` is the text.
pub(crate) struct Tour<'a> {
    /// The gateway's address: `127.0.0.1:8080` or `unix:/path`.
    pub(crate) gateway: &'a str,
    /// `http://127.0.0.1:PORT` of the upstreams.
    pub(crate) upstreams: &'a str,
    pub(crate) folder: &'a Path,
}

/// How a path of the gateway is asked for.
struct Curl {
    /// The command, with what reaches a unix socket.
    command: String,
    base: String,
}

impl Curl {
    fn to(gateway: &str) -> Self {
        if let Some(path) = gateway.strip_prefix("unix:") {
            return Self { command: format!("curl -s --unix-socket {path}"), base: "http://localhost".to_owned() };
        }
        let base = match gateway.parse::<SocketAddr>() {
            // "Every network" is an address to listen on, not one to call.
            Ok(SocketAddr::V4(any)) if any.ip().is_unspecified() => format!("http://127.0.0.1:{}", any.port()),
            Ok(SocketAddr::V6(any)) if any.ip().is_unspecified() => format!("http://[::1]:{}", any.port()),
            Ok(_) | Err(_) => format!("http://{gateway}"),
        };
        Self { command: "curl -s".to_owned(), base }
    }

    fn get(&self, path: &str) -> String {
        format!("{} '{}{path}'", self.command, self.base)
    }

    fn post(&self, path: &str) -> String {
        format!("{} -X POST '{}{path}'", self.command, self.base)
    }
}

impl fmt::Display for Tour<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gateway, upstreams, folder } = self;
        let folder = folder.display();
        writeln!(f, "\n  gateway    {}", Curl::to(gateway).base)?;
        writeln!(f, "  upstreams  {upstreams}, built in: weather, news, markets; nothing leaves this machine")?;
        writeln!(f, "  files      {folder}: aggd.yaml and sources.d, as shipped; gone when the demo ends")?;
        writeln!(f, "  times      answers are fresh for {TTL}s, a call may take {TIMEOUT}s,")?;
        writeln!(f, "             {THRESHOLD} failures in a row open a circuit, for {RECOVERY}s")?;
        writeln!(f, "\nPaste these into a second terminal; this one shows what the gateway logs.")?;
        for (number, (text, commands)) in (1..).zip(self.steps()) {
            writeln!(f, "\n{number}. {text}")?;
            for command in commands {
                writeln!(f, "     {command}")?;
            }
        }
        writeln!(f, "\nOther modes of an upstream: garbage, slow (&delay=1500ms). Ctrl-C ends the demo.")
    }
}

impl Tour<'_> {
    /// What to look for, and the commands that show it.
    fn steps(&self) -> Vec<(String, Vec<String>)> {
        let mut steps = self.of_one_circuit();
        steps.extend(self.of_the_rest());
        steps
    }

    fn of_one_circuit(&self) -> Vec<(String, Vec<String>)> {
        let gateway = Curl::to(self.gateway);
        let (aggregate, health) = (gateway.get("/aggregate"), gateway.get("/health"));
        let switch = |name: &str, mode: &str| format!("curl -s -X POST '{}/{name}?mode={mode}'", self.upstreams);
        let fresh = "Three sources, called at the same time. Again at once: \"cached\":true, and nobody was called.";
        let fail = format!(
            "News breaks. Its last answer stands in (\"status\":\"stale\"), and the page stays whole.\n   \
            The first {THRESHOLD} calls fail; from then on it is \"circuit open\"."
        );
        let open = "Its circuit is open: see \"circuit_state\", and that news is called no more (\"calls\").";
        let heal = format!(
            "News is mended. {RECOVERY}s after it opened the circuit is half_open; one call probes, and closes it."
        );
        vec![
            (fresh.to_owned(), vec![format!("{aggregate}; echo"), format!("{aggregate}; echo")]),
            (fail, vec![switch("news", "fail"), format!("sleep {TTL}; for n in 1 2 3 4; do {aggregate}; echo; done")]),
            (open.to_owned(), vec![format!("{health}; echo"), format!("curl -s '{}/'", self.upstreams)]),
            (
                heal,
                vec![
                    switch("news", "ok"),
                    format!("sleep {RECOVERY}; {health}; echo"),
                    format!("{aggregate}; echo; {health}; echo"),
                ],
            ),
        ]
    }

    fn of_the_rest(&self) -> Vec<(String, Vec<String>)> {
        let gateway = Curl::to(self.gateway);
        let (command, base, folder) = (&gateway.command, &gateway.base, self.folder.display());
        let (old, new) = EDIT;
        let hang = format!(
            "Markets hangs, and no cached answer may stand in: {TIMEOUT}s, and the others are there all the same."
        );
        let edit = "Configuration is live when it is saved: two headlines now. (A mistake in it changes nothing: it is told here.)";
        vec![
            (
                hang,
                vec![
                    format!("curl -s -X POST '{}/markets?mode=hang'", self.upstreams),
                    format!("{}; echo", gateway.post("/cache/invalidate")),
                    format!("{command} -w '\\n%{{time_total}}s\\n' '{base}/aggregate'"),
                    format!("curl -s -X POST '{}/markets?mode=ok'", self.upstreams),
                ],
            ),
            (
                edit.to_owned(),
                vec![
                    format!("sed -i.bak 's/{old}/{new}/' '{folder}/sources.d/news.yaml'"),
                    format!("sleep 1; {}; echo", gateway.get("/aggregate/news")),
                ],
            ),
            (
                "What happened: the audit log, and numbers for Prometheus.".to_owned(),
                vec![
                    format!("{}; echo", gateway.get("/history?failed=true&limit=5")),
                    format!("{} | grep -E '^aggd_breaker_(state|transitions)'", gateway.get("/metrics")),
                ],
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::shipped;

    fn commands(gateway: &str) -> Vec<String> {
        let tour = Tour { gateway, upstreams: "http://127.0.0.1:9", folder: Path::new("/tmp/demo") };
        let text = tour.to_string();
        text.lines()
            .filter_map(|line| line.strip_prefix("     "))
            .filter(|line| !line.starts_with(' '))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_command_can_be_pasted_as_it_is() {
        let commands = commands("127.0.0.1:8080");
        assert_eq!(commands.len(), 17, "{commands:#?}");
        assert_eq!(commands[0], "curl -s 'http://127.0.0.1:8080/aggregate'; echo");
        for command in &commands {
            assert_eq!(command.matches('\'').count() % 2, 0, "{command}");
            assert!(["curl", "sleep", "sed"].iter().any(|known| command.starts_with(known)), "{command}");
        }
    }

    #[test]
    fn a_socket_and_every_network_are_called_where_they_can_be_reached() {
        assert_eq!(
            commands("unix:/run/a.sock")[0],
            "curl -s --unix-socket /run/a.sock 'http://localhost/aggregate'; echo"
        );
        assert_eq!(commands("0.0.0.0:80")[0], "curl -s 'http://127.0.0.1:80/aggregate'; echo");
        assert_eq!(commands("[::]:80")[0], "curl -s 'http://[::1]:80/aggregate'; echo");
    }

    #[test]
    fn what_it_edits_is_in_the_shipped_file_once() {
        let (_, news) = shipped::FILES.into_iter().find(|(name, _)| name.ends_with("news.yaml")).unwrap();
        assert_eq!(news.matches(EDIT.0).count(), 1);
    }
}
