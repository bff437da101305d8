//! Ids of events: ULIDs, so that they sort by time over a fleet, whose lower half says where to go on.
//!
//! | bits | |
//! |---|---|
//! | 48 | milliseconds since 1970, never less than in the id before |
//! | 32 | the instance: drawn when the process starts |
//! | 32 | how many events this instance kept so far, this one included |
//! | 16 | the events since that are not kept |

use std::fmt;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;
const MAX_MILLIS: u64 = (1 << 48) - 1;

/// An id. Later ones of an instance are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventId {
    pub(super) millis: u64,
    pub(super) instance: u32,
    pub(super) kept: u32,
    pub(super) live: u16,
}

impl EventId {
    /// Before every event of an instance.
    pub(super) fn before(instance: u32) -> Self {
        Self { millis: 0, instance, kept: 0, live: 0 }
    }

    /// The id of the next event. `millis` is the wall clock's, which may have gone back.
    pub(super) fn next(self, millis: u64, is_kept: bool) -> Self {
        let later = self.millis.max(millis).min(MAX_MILLIS);
        let one_on = self.millis.saturating_add(1).max(later);
        let (kept, live) =
            if is_kept { (self.kept.checked_add(1), Some(0)) } else { (Some(self.kept), self.live.checked_add(1)) };
        match (kept, live) {
            (Some(kept), Some(live)) => Self { millis: later, kept, live, ..self },
            // A number that begins anew takes a millisecond of its own, so that the order stays.
            (kept, live) => {
                Self { millis: one_on, kept: kept.unwrap_or_default(), live: live.unwrap_or_default(), ..self }
            }
        }
    }

    /// Reads the text of an id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bits: u128 = 0;
        if text.len() != LENGTH || !text.starts_with(|first: char| first <= '7') {
            return None;
        }
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == byte.to_ascii_uppercase())?;
            bits = (bits << 5) | u128::try_from(digit).ok()?;
        }
        Some(Self {
            millis: u64::try_from(bits >> 80).ok()?,
            instance: u32::try_from((bits >> 48) & u128::from(u32::MAX)).ok()?,
            kept: u32::try_from((bits >> 16) & u128::from(u32::MAX)).ok()?,
            live: u16::try_from(bits & u128::from(u16::MAX)).ok()?,
        })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = (u128::from(self.millis) << 80)
            | (u128::from(self.instance) << 48)
            | (u128::from(self.kept) << 16)
            | u128::from(self.live);
        let digits = (0..LENGTH).rev().map(|place| {
            let digit = usize::try_from((bits >> (5 * place)) & 31).ok();
            char::from(digit.and_then(|digit| ALPHABET.get(digit)).copied().unwrap_or(b'0'))
        });
        f.write_str(&digits.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is() {
        let first = EventId::before(0xDEAD_BEEF).next(1_700_000_000_000, true);
        let text = first.to_string();
        assert_eq!((text.len(), &text[..10]), (26, "01HF7YAT00"), "{text}: the time as every ULID has it");
        assert_eq!(EventId::parse(&text), Some(first));
        assert_eq!(EventId::parse(&text.to_lowercase()), Some(first));
        for bad in
            ["", "1", &"0".repeat(25), &"Z".repeat(26), &"U".repeat(26), "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", &"0".repeat(27)]
        {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ids_rise_whatever_the_clock_and_the_numbers_do() {
        let steps = [(500, true), (499, false), (0, true), (500, false), (501, false), (7, true)];
        let mut last = EventId::before(7);
        for (millis, is_kept) in steps {
            let next = last.next(millis, is_kept);
            assert!(next > last && next.to_string() > last.to_string(), "{last:?} {next:?}");
            last = next;
        }
        assert_eq!((last.millis, last.kept, last.live), (501, 3, 0));
        for full in [EventId { live: u16::MAX, ..last }, EventId { kept: u32::MAX, ..last }] {
            assert!(full.next(0, false) > full && full.next(0, true) > full, "{full:?}");
        }
    }
}
