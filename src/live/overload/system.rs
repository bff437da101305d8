//! What the system says of itself: the share of CPU time and of memory that is used.
//!
//! Within a cgroup (version 2) with a limit, the share of that limit; else that of the whole machine, from `/proc`. Files
//! are read in full each time: limits may change while we run.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::Moment;

/// Reads the files. It remembers the counters of the last time, for what they count only grows.
#[derive(Debug)]
pub(super) struct Reader {
    proc: PathBuf,
    cgroup: PathBuf,
    /// Which counters these are, and what they said when.
    before: Option<Counters>,
}

/// CPU time at one moment: used and, where the system says it, all there was.
#[derive(Clone, Debug, PartialEq)]
struct Counters {
    of: Of,
    used: f64,
    total: f64,
}

/// Whose counters they are.
#[derive(Clone, Debug, PartialEq)]
enum Of {
    Cgroup(PathBuf),
    Machine,
}

impl Reader {
    /// The files of this system.
    pub(super) fn new() -> Self {
        Self::of("/proc".into(), "/sys/fs/cgroup".into())
    }

    fn of(proc: PathBuf, cgroup: PathBuf) -> Self {
        Self { proc, cgroup, before: None }
    }

    /// The share of CPU time used since the last call. `Ok(None)`: there was no last call, or no time passed;
    /// `Err`: what can't be read.
    pub(super) fn cpu(&mut self, now: Moment) -> Result<Option<f64>, String> {
        let counters = match self.cgroup_cpu(now) {
            Some(counters) => counters,
            None => self.machine_cpu()?,
        };
        let before = self.before.replace(counters.clone()).filter(|before| before.of == counters.of);
        Ok(before.and_then(|before| share(counters.used - before.used, counters.total - before.total)))
    }

    /// The share of memory used; what the kernel would give back at once does not count.
    pub(super) fn memory(&self) -> Result<f64, String> {
        if let Some(used) = self.cgroup_memory() {
            return Ok(used);
        }
        let path = self.proc.join("meminfo");
        let text = read(&path)?;
        let kb = |name: &str| number(field(&text, name)?.split_whitespace().next()?);
        let (Some(total), Some(available)) = (kb("MemTotal:"), kb("MemAvailable:")) else {
            return Err(format!("{} has no MemTotal or no MemAvailable", path.display()));
        };
        share(total - available, total).ok_or_else(|| format!("{} has no memory", path.display()))
    }

    fn machine_cpu(&self) -> Result<Counters, String> {
        let path = self.proc.join("stat");
        let text = read(&path)?;
        let times = field(&text, "cpu ").map(|line| line.split_whitespace().map(number).collect::<Option<Vec<_>>>());
        let Some(Some(times)) = times.filter(|times| times.as_ref().is_some_and(|times| times.len() >= 4)) else {
            return Err(format!("{} has no line of CPU times", path.display()));
        };
        // user nice system idle iowait irq softirq steal; guests are part of user.
        let total: f64 = times.iter().take(8).sum();
        let idle: f64 = times.iter().skip(3).take(2).sum();
        Ok(Counters { of: Of::Machine, used: total - idle, total })
    }

    /// The nearest cgroup with a limit of CPU time, and how much of it was used.
    fn cgroup_cpu(&self, now: Moment) -> Option<Counters> {
        let (folder, limit) = self.limited("cpu.max", |text| {
            let mut words = text.split_whitespace();
            let (quota, period) = (number(words.next()?)?, number(words.next()?)?);
            (quota > 0.0 && period > 0.0).then(|| quota / period)
        })?;
        let stat = read(&folder.join("cpu.stat")).ok()?;
        let micros = number(field(&stat, "usage_usec ")?.trim())?;
        let since: Duration = now.since(Moment::ZERO);
        Some(Counters { of: Of::Cgroup(folder), used: micros / 1e6, total: since.as_secs_f64() * limit })
    }

    /// The same of memory.
    fn cgroup_memory(&self) -> Option<f64> {
        let (folder, limit) = self.limited("memory.max", |text| number(text.trim()))?;
        let used = number(read(&folder.join("memory.current")).ok()?.trim())?;
        let stat = read(&folder.join("memory.stat")).unwrap_or_default();
        let idle = field(&stat, "inactive_file ").and_then(|text| number(text.trim())).unwrap_or_default();
        share((used - idle).max(0.0), limit)
    }

    /// The nearest cgroup, from ours upwards, in which a file states a limit.
    fn limited(&self, file: &str, limit: impl Fn(&str) -> Option<f64>) -> Option<(PathBuf, f64)> {
        let own = read(&self.proc.join("self/cgroup")).ok()?;
        // Version 2 is the hierarchy without a number. Inside a container its path may be that of the host.
        let path = field(&own, "0::")?.trim().trim_start_matches('/');
        let mut folder = self.cgroup.join(path);
        loop {
            if let Some(limit) = read(&folder.join(file)).ok().and_then(|text| limit(&text)) {
                return Some((folder, limit));
            }
            if folder == self.cgroup || !folder.pop() || !folder.starts_with(&self.cgroup) {
                return None;
            }
        }
    }
}

/// The rest of the line that begins so.
fn field<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(start))
}

/// A number; `max` is none.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn share(used: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| (used / of).clamp(0.0, 1.0))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct System(tempfile::TempDir);

    impl System {
        fn new(files: &[(&str, &str)]) -> Self {
            let system = Self(tempfile::tempdir().unwrap());
            files.iter().for_each(|(path, text)| system.write(path, text));
            system
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn reader(&self) -> Reader {
            Reader::of(self.0.path().join("proc"), self.0.path().join("cgroup"))
        }
    }

    fn at(ms: u64) -> Moment {
        Moment::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn within_a_limit_the_share_of_the_limit_counts() {
        let system = System::new(&[
            ("proc/self/cgroup", "0::/pod/container\n"),
            ("cgroup/pod/container/cpu.max", "max 100000\n"),
            ("cgroup/pod/container/memory.max", "1000\n"),
            ("cgroup/pod/container/memory.current", "900\n"),
            ("cgroup/pod/container/memory.stat", "anon 500\ninactive_file 300\n"),
            ("cgroup/pod/cpu.max", "50000 100000\n"),
            ("cgroup/pod/cpu.stat", "usage_usec 1000000\nuser_usec 1\n"),
        ]);
        let mut reader = system.reader();
        assert_eq!(reader.cpu(at(1000)), Ok(None), "one look tells nothing");
        system.write("cgroup/pod/cpu.stat", "usage_usec 1100000\n");
        assert!((reader.cpu(at(1400)).unwrap().unwrap() - 0.5).abs() < 1e-9, "0.1 of the 0.2 s that there were");
        assert!((reader.memory().unwrap() - 0.6).abs() < 1e-9);
    }

    #[test]
    fn without_a_limit_the_machine_counts() {
        let system = System::new(&[
            ("proc/self/cgroup", "9:name=systemd:/\n0::/\n"),
            ("cgroup/cpu.max", "max 100000\n"),
            ("proc/stat", "cpu  10 0 10 60 20 0 0 0 5 0\ncpu0 1 1 1 1\n"),
            ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n"),
        ]);
        let mut reader = system.reader();
        assert_eq!(reader.cpu(at(0)), Ok(None));
        system.write("proc/stat", "cpu  40 0 20 110 30 0 0 0 5 0\n");
        assert!((reader.cpu(at(250)).unwrap().unwrap() - 0.4).abs() < 1e-9);
        assert_eq!(reader.cpu(at(250)), Ok(None), "no time passed");
        assert!((reader.memory().unwrap() - 0.75).abs() < 1e-9);
        // A limit that comes later is another counter: what the old one said is not compared with it.
        system.write("cgroup/cpu.max", "100000 100000\n");
        system.write("cgroup/cpu.stat", "usage_usec 9\n");
        assert_eq!(reader.cpu(at(500)), Ok(None));
    }

    #[test]
    fn a_system_without_these_files_says_which() {
        let mut reader = System::new(&[]).reader();
        assert!(reader.cpu(at(0)).unwrap_err().contains("proc/stat"));
        assert!(reader.memory().unwrap_err().contains("proc/meminfo"));
        let garbage = System::new(&[("proc/stat", "nothing\n"), ("proc/meminfo", "MemTotal: x kB\n")]);
        assert!(garbage.reader().cpu(at(0)).is_err() && garbage.reader().memory().is_err());
    }
}
