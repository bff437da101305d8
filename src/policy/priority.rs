//! How important a request is: what is shed last, served first, and never hedged. Classes and rules: policies.md §4.

use std::str::FromStr;

/// A class of requests; the greater, the more important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Priority {
    /// Refreshes, prefetches, batch work.
    Low,
    /// What says nothing of itself.
    #[default]
    Normal,
    /// More important than most.
    High,
    /// Shed last.
    Critical,
}

impl Priority {
    /// Every class, the least important first.
    pub(crate) const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The class's name in headers, configurations and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The class that a request is treated as: what it asks for, else what its route says, never above what its tenant
    /// may have.
    pub(crate) fn effective(asked: Option<Self>, route: Option<Self>, most: Self) -> Self {
        asked.or(route).unwrap_or_default().min(most)
    }
}

/// What was written is no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnknownPriority;

impl FromStr for Priority {
    type Err = UnknownPriority;

    /// Upper and lower case are one.
    fn from_str(text: &str) -> Result<Self, UnknownPriority> {
        Self::ALL.into_iter().find(|class| class.as_str().eq_ignore_ascii_case(text)).ok_or(UnknownPriority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_in_any_case_and_nothing_else_is_one() {
        for class in Priority::ALL {
            assert_eq!(class.as_str().parse(), Ok(class));
            assert_eq!(class.as_str().to_uppercase().parse(), Ok(class));
        }
        for other in ["", "urgent", "normal ", "0"] {
            assert_eq!(other.parse::<Priority>(), Err(UnknownPriority), "{other:?}");
        }
    }

    #[test]
    fn a_request_is_never_more_important_than_its_tenant_may_be() {
        use Priority::*;
        assert_eq!(Priority::effective(Some(Critical), None, Normal), Normal);
        assert_eq!(Priority::effective(Some(Low), Some(High), Critical), Low);
        assert_eq!(Priority::effective(None, Some(High), Critical), High);
        assert_eq!(Priority::effective(None, None, Critical), Normal);
    }
}
