//! Examples in the pages: fenced blocks with `group=NAME` in their info string, played in the order of the page.
//!
//! | block | what it is |
//! |---|---|
//! | `yaml file=PATH` (or `text`) | a file of the configuration; after a command, a change of it, which is loaded |
//! | `json upstream=/path status=503` | what the upstream answers at that path from here on; `hang=yes`: nothing |
//! | `http sent=/path` | what the upstream was sent last at that path: the request line, headers among others, the body |
//! | `console` | `$ command` lines, each with what it prints, where the page shows that |
//!
//! Commands are `aggd …`, run in the folder, and `curl …`, sent to the running gateway; `| grep PATTERN` after one keeps
//! the lines that match. `exit=1` is what `aggd` ends with. `soon=yes`: it is so after a while, and asked again till then.
//! `https://api.example.org` is the scripted upstream, `localhost:8080` the gateway, `localhost:9090` its
//! `admin.listen`.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use http::Method;
use regex::Regex;

use crate::docs::alike::alike;
use crate::docs::alike::assert_alike;
use crate::docs::alike::assert_reply_alike;
use crate::harness::Gateway;
use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::eventually;

const SOON: Duration = Duration::from_secs(10);
const UPSTREAM: &str = "https://api.example.org";

/// Blocks that belong together.
pub(super) struct Group {
    /// `docs/configuration.md, group first`.
    place: String,
    name: String,
    steps: Vec<Step>,
}

enum Step {
    File { path: String, text: String },
    Upstream { path: String, script: Script },
    Sent { path: String, text: String },
    Command(Command),
}

struct Command {
    command: String,
    shown: String,
    exit: i32,
    /// Whether it may take a while until it is as shown.
    soon: bool,
}

/// The groups of a page, in order of their first blocks.
pub(super) fn groups(page: &str, text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let attribute = |name: &str| words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let Some(name) = attribute("group") else { continue };
        let step = |step: Step| vec![step];
        let text = || format!("{}\n", body.join("\n"));
        let steps = if let Some(path) = attribute("file") {
            step(Step::File { path: path.to_owned(), text: text() })
        } else if let Some(path) = attribute("upstream") {
            let kind = attribute("type").unwrap_or("application/json");
            let hangs = attribute("hang").is_some();
            let script = if hangs { Script::hang() } else { script(attribute("status"), kind, &text()) };
            step(Step::Upstream { path: path.to_owned(), script })
        } else if let Some(path) = attribute("sent") {
            step(Step::Sent { path: path.to_owned(), text: text() })
        } else {
            let exit = attribute("exit").map_or(0, |exit| exit.parse().unwrap());
            commands(&body, exit, attribute("soon").is_some())
        };
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.steps.extend(steps),
            None => groups.push(Group { place: format!("{page}, group {name}"), name: name.to_owned(), steps }),
        }
    }
    groups
}

fn script(status: Option<&str>, kind: &str, body: &str) -> Script {
    match status {
        None => Script::text(kind, body),
        Some(status) => {
            let head = format!("content-type: {kind}\r\ncontent-length: {}\r\nconnection: close", body.len());
            Script::raw(format!("HTTP/1.1 {status} Shown\r\n{head}\r\n\r\n{body}"))
        }
    }
}

fn commands(body: &[&str], exit: i32, soon: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    for line in body {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                let (command, shown) = (command.to_owned(), String::new());
                steps.push(Step::Command(Command { command, shown, exit, soon }));
            }
            (None, Some(Step::Command(Command { shown, .. }))) => shown.push_str(&format!("{line}\n")),
            (None, _) => panic!("a console begins with a command: {line}"),
        }
    }
    steps
}

impl Group {
    /// Whether it shows what is refused.
    pub(super) fn is_bad(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Command(Command { exit, .. }) if *exit != 0))
    }

    /// Fails unless `aggd check` finds nothing at all, as it stands in the page.
    pub(super) fn check(&self) {
        let folder = tempfile::tempdir().unwrap();
        let mut files = 0;
        for (path, text) in self.files_at_first() {
            write(folder.path(), path, text);
            files += 1;
        }
        assert!(files > 0, "{}: no files", self.place);
        let output = aggd(folder.path(), &["check"]);
        assert_eq!(output.status, 0, "{}: {}", self.place, output.out);
        assert!(output.out.starts_with("ok: "), "{}: {}", self.place, output.out);
    }

    fn files_at_first(&self) -> impl Iterator<Item = (&str, &str)> {
        let first = self.steps.iter().take_while(|step| !matches!(step, Step::Command(_)));
        first.filter_map(|step| if let Step::File { path, text } = step { Some((&**path, &**text)) } else { None })
    }

    fn needs_gateway(&self) -> bool {
        let runs = |command: &str| ["curl ", "aggd get", "aggd history"].iter().any(|word| command.starts_with(word));
        self.steps.iter().any(|step| matches!(step, Step::Command(Command { command, .. }) if runs(command)))
    }

    /// Does all that it shows, and holds what comes against it; gives the number of commands.
    pub(super) async fn play(&self) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Upstream::start();
        let mut gateway: Option<Gateway> = None;
        let mut ran = 0;
        for step in &self.steps {
            match step {
                Step::File { path, text } => {
                    write(folder.path(), path, text);
                    if let Some(gateway) = &gateway {
                        gateway.save(path, &real(text, &upstream));
                        gateway.reload().await;
                    }
                }
                Step::Upstream { path, script } => upstream.on(path, script.clone()),
                Step::Sent { path, text } => self.sent(&upstream, path, text),
                Step::Command(command) => {
                    if ran == 0 && self.needs_gateway() {
                        gateway = Some(self.start(&upstream).await);
                    }
                    ran += 1;
                    self.hold(command, folder.path(), gateway.as_ref(), &upstream).await;
                }
            }
        }
        ran
    }

    /// Runs a command, and holds what comes against what is shown.
    async fn hold(&self, step: &Command, folder: &Path, gateway: Option<&Gateway>, upstream: &Upstream) {
        let Command { command, shown, exit, soon } = step;
        let place = format!("{}, `{command}`", self.place);
        let (first, pattern) = command.split_once(" | grep ").unwrap_or((command, ""));
        let began = Instant::now();
        let printed = loop {
            let printed = perform(&words(first), folder, gateway, *exit, &place).await;
            let printed = printed.replace(&upstream.url(""), UPSTREAM);
            let printed = match words(pattern).first() {
                Some(pattern) => matching(&printed, pattern),
                None => printed,
            };
            if !soon || alike(shown, &printed).is_ok() || began.elapsed() > SOON {
                break printed;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        match shown.trim() {
            "" => {}
            with_head if with_head.starts_with("HTTP/") => assert_reply_alike(shown, &printed, &place),
            _ => assert_alike(shown, &printed, &place),
        }
    }

    /// The gateway with these files, its upstream in place of the one that they name.
    async fn start(&self, upstream: &Upstream) -> Gateway {
        let mut setup = Setup::new().arg("--listen").arg("127.0.0.1:0");
        for (path, text) in self.files_at_first() {
            let text = real(text, upstream).replace("127.0.0.1:9090", "127.0.0.1:0");
            setup = if path == "aggd.yaml" { setup.server(&text) } else { setup.file(path, &text) };
        }
        let gateway = setup.start();
        eventually(SOON, "ready", async || gateway.get("/readyz").await.status == 200).await;
        gateway
    }

    fn sent(&self, upstream: &Upstream, path: &str, shown: &str) {
        let seen = upstream.last(path);
        let (head, body) = shown.split_once("\n\n").unwrap_or((shown, ""));
        let mut lines = head.lines();
        let first = format!("{} {}", seen.method, seen.target);
        assert_eq!(lines.next(), Some(first.as_str()), "{}: sent {path}", self.place);
        for header in lines.filter(|line| !line.is_empty()) {
            let (name, value) = header.split_once(": ").unwrap_or_else(|| panic!("{}: {header}", self.place));
            assert_eq!(seen.header(&name.to_lowercase()), Some(value), "{}: `{name}` of what was sent", self.place);
        }
        assert_alike(body, &String::from_utf8_lossy(&seen.body), &format!("{}, sent to {path}", self.place));
    }
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn real(text: &str, upstream: &Upstream) -> String {
    text.replace(UPSTREAM, upstream.url("").trim_end_matches('/'))
}

/// What a command prints. What only reads files reads them as they stand in the page.
async fn perform(words: &[String], folder: &Path, gateway: Option<&Gateway>, exit: i32, place: &str) -> String {
    match (words, gateway) {
        ([first, rest @ ..], Some(gateway)) if first == "curl" => curl(rest, gateway, place).await,
        ([first, rest @ ..], _) if first == "aggd" => {
            let as_written = rest.first().is_some_and(|word| ["check", "routes", "test"].contains(&word.as_str()));
            let real = gateway.filter(|_| !as_written).map(Gateway::path);
            run(real.unwrap_or(folder), rest, exit, place)
        }
        _ => panic!("{place}: neither `aggd` nor `curl`"),
    }
}

/// The lines that match.
fn matching(text: &str, pattern: &str) -> String {
    let pattern = Regex::new(pattern).unwrap();
    text.lines().filter(|line| pattern.is_match(line)).map(|line| format!("{line}\n")).collect()
}

/// What `aggd` prints: its explanations first, as a terminal shows them.
fn run(folder: &Path, arguments: &[String], exit: i32, place: &str) -> String {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = aggd(folder, &arguments);
    assert_eq!(output.status, exit, "{place}: {}{}", output.out, output.err);
    format!("{}{}", output.err, output.out)
}

/// A command's words, with quotes as a shell reads them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What `curl` prints: the body, and with `-i` the head before it.
async fn curl(arguments: &[String], gateway: &Gateway, place: &str) -> String {
    let (mut method, mut headers, mut body, mut url, mut head) = (None, Vec::new(), None, None, false);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{place}: `{argument}` wants a value"));
        match argument.as_str() {
            "-s" | "-sN" => {}
            "-i" | "-si" => head = true,
            "-X" => method = Some(Method::from_bytes(value().as_bytes()).unwrap()),
            "-H" => headers.push(value().clone()),
            "-d" => body = Some(value().clone()),
            option if option.starts_with('-') => panic!("{place}: unknown option `{option}`"),
            target => url = Some(target.to_owned()),
        }
    }
    let url = url.unwrap_or_else(|| panic!("{place}: no URL"));
    let method = method.unwrap_or(if body.is_some() { Method::POST } else { Method::GET });
    let mut ask = match (url.strip_prefix("localhost:8080"), url.strip_prefix("localhost:9090")) {
        (Some(path), _) => gateway.ask(method, path),
        (None, Some(path)) => gateway.ask_admin(method, path),
        (None, None) => panic!("{place}: `{url}` is not the gateway"),
    };
    if url.contains("/history") {
        // Records are written behind the reply.
        eventually(SOON, "written", async || gateway.health().await["audit"]["pending"] == 0).await;
    }
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap_or_else(|| panic!("{place}: `{header}`"));
        ask = ask.header(name, value);
    }
    let reply = ask.body(body.unwrap_or_default()).send().await;
    if !head {
        return reply.text();
    }
    let mut text = format!("HTTP/1.1 {}\n", http::StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    format!("{text}\n{}", reply.text())
}
