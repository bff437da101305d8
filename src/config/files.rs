//! The bytes of a configuration, read once: what is loaded is what was hashed.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::Digest as _;
use sha2::Sha256;

use crate::config::codes;
use crate::config::environment::Environment;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::Text;
use crate::config::interpolate;
use crate::config::locate::Location;
use crate::config::node::Node;
use crate::config::parse;
use crate::diag::Finding;
use crate::diag::Place;
use crate::diag::Report;
use crate::diag::Severity;

/// Of one file. A larger one is no configuration.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Everything that a configuration is made from.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) server: Option<File>,
    /// In byte order of their names.
    pub(crate) documents: Vec<File>,
    pub(crate) included: Included,
    /// What relative paths of settings are relative to.
    pub(crate) base: PathBuf,
    /// The folder that `documents` came from.
    pub(crate) folder: PathBuf,
}

/// One YAML file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// As people are told it: relative where that is shorter.
    pub(crate) name: Arc<str>,
    /// The text without a byte order mark, or why there is none.
    pub(crate) text: Result<Arc<str>, Unreadable>,
    /// Where it is not UTF-8: line and column of the first such byte of each line. In the text stands U+FFFD there.
    pub(crate) garbled: Garbled,
}

/// Lines and columns, from 1.
type Garbled = Vec<(usize, usize)>;

/// Why there is no text.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Files that others refer to (`${file:…}`, PEM files): content, or why there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Included(BTreeMap<PathBuf, Result<Vec<u8>, String>>);

impl Included {
    /// What a file held when the configuration was read.
    pub(crate) fn content(&self, path: &Path) -> Result<&[u8], &str> {
        match self.0.get(path) {
            Some(Ok(content)) => Ok(content),
            Some(Err(reason)) => Err(reason),
            None => Err("it was not read"),
        }
    }

    /// Adds a file.
    pub(crate) fn insert(&mut self, path: PathBuf, content: Result<Vec<u8>, String>) {
        self.0.insert(path, content);
    }

    fn read(&mut self, path: PathBuf) {
        let content = bounded(&path).map_err(|unreadable| unreadable.message);
        self.insert(path, content);
    }
}

impl Files {
    /// A hash of all there is: as long as it stays the same there is nothing to load.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(bytes);
        };
        for file in self.all() {
            part(file.path.as_os_str().as_encoded_bytes());
            match &file.text {
                Ok(text) => part(text.as_bytes()),
                Err(unreadable) => part(unreadable.message.as_bytes()),
            }
        }
        for (path, content) in &self.included.0 {
            part(path.as_os_str().as_encoded_bytes());
            match content {
                Ok(content) => part(content),
                Err(reason) => part(reason.as_bytes()),
            }
        }
        hash.finalize().into()
    }

    /// The same with one more file of documents, which is nowhere on disk.
    pub(crate) fn with(&self, name: &str, text: &str) -> Self {
        let mut files = self.clone();
        let garbled = Garbled::default();
        files.documents.push(File { path: self.folder.join(name), name: name.into(), text: Ok(text.into()), garbled });
        files
    }

    /// Every YAML file, in reading order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &File> {
        self.server.iter().chain(&self.documents)
    }

    /// Every path whose change changes the configuration: files, those they refer to, and the folder.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.all().map(|file| file.path.clone()).collect();
        paths.extend(self.included.0.keys().cloned());
        paths.push(self.folder.clone());
        paths
    }

    /// Names and texts, for findings.
    pub(crate) fn texts(&self) -> Vec<Text> {
        let text = |file: &File| Text {
            name: Arc::clone(&file.name),
            text: file.text.as_ref().map(Arc::clone).unwrap_or_default(),
        };
        self.all().map(text).collect()
    }
}

/// Reads all files of a configuration.
///
/// The environment is needed to know which files those are: `sources` and `client.ca` may hold `${…}`.
pub(crate) fn read(location: &Location, environment: &Environment) -> Result<Files, Report> {
    let server = location.server.as_deref().map(|path| file(path, location));
    let mut files = Files {
        server,
        documents: Vec::new(),
        included: Included::default(),
        base: location.base.clone(),
        folder: location.sources.clone(),
    };
    include_expansions(&mut files);
    let referred = referred(&files, environment);
    if let Some(folder) = &referred.sources {
        files.folder = files.base.join(folder);
    }
    if let Some(ca) = &referred.ca {
        let path = files.base.join(ca);
        files.included.read(path);
    }
    // A server without sources is complete; a folder that is named must be there.
    if referred.sources.is_some() || location.server.is_none() || files.folder.exists() {
        let paths = listed(&files.folder).map_err(|message| no_folder(&files.folder, message))?;
        files.documents = paths.iter().map(|path| file(path, location)).collect();
        include_expansions(&mut files);
    }
    Ok(files)
}

fn no_folder(folder: &Path, message: String) -> Report {
    Report::of(Finding {
        code: codes::NOT_FOUND,
        severity: Severity::Error,
        place: Place::of_file(&folder.display().to_string()),
        path: String::new(),
        line_text: String::new(),
        message: format!("the folder of sources cannot be read: {message}"),
        help: Some("make the folder, or set `sources` in aggd.yaml to where it is".into()),
    })
}

/// The YAML files of a folder, in byte order of their names.
fn listed(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"));
        if wanted && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(paths)
}

fn file(path: &Path, location: &Location) -> File {
    let name = path.strip_prefix(&location.shown_from).unwrap_or(path).display().to_string();
    let (text, garbled) = match bounded(path).and_then(decoded) {
        Ok((text, garbled)) => (Ok(text), garbled),
        Err(unreadable) => (Err(unreadable), Vec::new()),
    };
    File { path: path.to_path_buf(), name: name.into(), text, garbled }
}

/// The text of these bytes, and where they are none.
fn decoded(bytes: Vec<u8>) -> Result<(Arc<str>, Garbled), Unreadable> {
    let no_text = |what: &str| Unreadable { code: codes::UNREADABLE, message: what.to_owned() };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(no_text("it is UTF-16, not UTF-8"));
    }
    if bytes.contains(&0) {
        return Err(no_text("it is no text: it holds a zero byte"));
    }
    let (text, garbled) = match String::from_utf8(bytes) {
        Ok(text) => (text, Vec::new()),
        Err(error) => {
            let bytes = error.as_bytes();
            let bad = |line: &[u8]| {
                let at = std::str::from_utf8(line).err()?.valid_up_to();
                let before = line.get(..at).and_then(|before| std::str::from_utf8(before).ok())?;
                Some(before.chars().count() + 1)
            };
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            let garbled = lines.filter_map(|(index, line)| Some((index + 1, bad(line)?))).collect();
            (String::from_utf8_lossy(bytes).into_owned(), garbled)
        }
    };
    Ok((Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text)), garbled))
}

fn bounded(path: &Path) -> Result<Vec<u8>, Unreadable> {
    use std::io::Read as _;
    let unreadable = |error: std::io::Error| {
        let kind = error.kind();
        let message = if kind == std::io::ErrorKind::NotFound {
            "there is no such file".to_owned()
        } else if kind == std::io::ErrorKind::PermissionDenied {
            "aggd may not read it".to_owned()
        } else {
            error.to_string()
        };
        Unreadable { code: codes::UNREADABLE, message }
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        let message = format!("it is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024));
        return Err(Unreadable { code: codes::TOO_LARGE, message });
    }
    Ok(bytes)
}

/// Reads what `${file:…}` names, wherever it stands: one in a comment costs a read, nothing else.
fn include_expansions(files: &mut Files) {
    let mut wanted = Vec::new();
    for file in files.all() {
        let Ok(text) = &file.text else { continue };
        let folder = file.path.parent().unwrap_or(&files.base);
        for (at, mark) in text.match_indices("${file:") {
            if let Some((path, _)) = text.get(at + mark.len()..).and_then(|rest| rest.split_once('}')) {
                wanted.push(folder.join(path));
            }
        }
    }
    for path in wanted {
        if !files.included.0.contains_key(&path) {
            files.included.read(path);
        }
    }
}

/// What `aggd.yaml` refers to.
#[derive(Default)]
struct Referred {
    sources: Option<String>,
    ca: Option<String>,
}

/// Looks ahead into `aggd.yaml`; its mistakes are told when it is loaded.
fn referred(files: &Files, environment: &Environment) -> Referred {
    let Some(File { path, text: Ok(text), .. }) = &files.server else { return Referred::default() };
    let mut ignored = Findings::over(Vec::new());
    let Some(mut node) = parse::parse(text, 0, &mut ignored).documents.into_iter().next() else {
        return Referred::default();
    };
    let folder = path.parent().unwrap_or(&files.base);
    let values = interpolate::Values { environment, included: &files.included, folder };
    interpolate::expand(&mut node, values, &At::document(""), &mut ignored);
    let text = |node: Option<&Node>| node.and_then(Node::text).map(str::to_owned);
    Referred { sources: text(node.get("sources")), ca: text(node.get("client").and_then(|client| client.get("ca"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::locate::locate;

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read_in(dir: &Path) -> Result<Files, Report> {
        let environment = Environment::from_pairs([("WHERE", "here")]);
        read(&locate(None, dir).unwrap(), &environment)
    }

    #[test]
    fn files_come_in_byte_order_and_others_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "Z.yaml", ".c.yaml", "d.yaml~", "e.txt"] {
            write(dir.path(), &format!("sources.d/{name}"), "");
        }
        let files = read_in(dir.path()).unwrap();
        let names: Vec<_> = files.documents.iter().map(|file| &*file.name).collect();
        assert_eq!(names, ["sources.d/Z.yaml", "sources.d/a.yml", "sources.d/b.yaml"]);
    }

    #[test]
    fn what_files_refer_to_is_read_and_changes_the_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "aggd.yaml", "sources: ${WHERE}\nclient: {ca: ca.pem}\n");
        write(dir.path(), "here/a.yaml", "source: a\nauth: {bearer: '${file:token}'}\n");
        write(dir.path(), "here/token", "one");
        let before = read_in(dir.path()).unwrap();
        assert_eq!(before.documents.len(), 1);
        assert_eq!(before.included.content(&dir.path().join("here/token")), Ok(&b"one"[..]));
        assert!(before.included.content(&dir.path().join("ca.pem")).is_err());
        assert!(before.watched().contains(&dir.path().join("ca.pem")));
        assert_eq!(before.fingerprint(), read_in(dir.path()).unwrap().fingerprint());
        write(dir.path(), "here/token", "two");
        assert_ne!(before.fingerprint(), read_in(dir.path()).unwrap().fingerprint());
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_read_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "sources.d/a.yaml", "");
        std::fs::write(dir.path().join("sources.d/b.yaml"), b"a: 1\nb: \xff").unwrap();
        let files = read_in(dir.path()).unwrap();
        assert_eq!(
            (files.documents[1].text.as_deref().unwrap(), &*files.documents[1].garbled),
            ("a: 1\nb: \u{fffd}", &[(2, 4)][..])
        );
        std::fs::write(dir.path().join("sources.d/b.yaml"), b"\xff\xfea\0").unwrap();
        let files = read_in(dir.path()).unwrap();
        assert_eq!(files.documents[1].text.as_ref().unwrap_err().message, "it is UTF-16, not UTF-8");
    }

    #[test]
    fn a_named_folder_that_is_missing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "aggd.yaml", "sources: nowhere\n");
        let report = read_in(dir.path()).unwrap_err();
        assert!(report.findings()[0].message.contains("cannot be read"));
        write(dir.path(), "aggd.yaml", "");
        assert!(read_in(dir.path()).unwrap().documents.is_empty());
    }
}
