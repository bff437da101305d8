//! A size in bytes, written with its unit.

use std::fmt;

/// A size in bytes. Written `64KiB` in YAML, never as a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub(crate) const fn bytes(count: u64) -> Self {
        Self(count)
    }

    /// So many KiB.
    #[cfg(test)]
    pub(crate) const fn kib(count: u64) -> Self {
        Self(count * 1024)
    }

    /// So many MiB.
    pub(crate) const fn mib(count: u64) -> Self {
        Self(count * 1024 * 1024)
    }

    /// The size in bytes.
    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }

    /// The size in bytes, as an index type.
    pub(crate) fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_prints_in_its_largest_whole_unit() {
        assert_eq!(ByteSize::kib(64).to_string(), "64KiB");
        assert_eq!(ByteSize::mib(1024).to_string(), "1GiB");
        assert_eq!(ByteSize::bytes(1500).to_string(), "1500B");
    }
}
