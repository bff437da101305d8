//! Did you mean: the closest of the words that exist.

/// The closest word, if it is close enough to be a slip of the hand.
pub(crate) fn closest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(written);
    let allowed = match folded.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&folded, &fold(word)), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Case and separators are the commonest slips: `maxEntries`, `max-entries`.
pub(crate) fn fold(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let words = ["timeout", "ttl", "cache", "max_entries", "url"];
        assert_eq!(closest("timout", words), Some("timeout"));
        assert_eq!(closest("maxEntries", words), Some("max_entries"));
        assert_eq!(closest("ttll", words), Some("ttl"));
        assert_eq!(closest("retries", words), None);
        assert_eq!(closest("x", words), None);
    }
}
