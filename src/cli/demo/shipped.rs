//! The shipped example, embedded: what the demo runs is what a user finds in the repository.

/// Names relative to the folder of `aggd.yaml`, and texts.
pub(crate) const FILES: [(&str, &str); 5] = [
    ("aggd.yaml", include_str!("../../../aggd.yaml")),
    ("sources.d/markets.yaml", include_str!("../../../sources.d/markets.yaml")),
    ("sources.d/news.yaml", include_str!("../../../sources.d/news.yaml")),
    ("sources.d/tests.yaml", include_str!("../../../sources.d/tests.yaml")),
    ("sources.d/weather.yaml", include_str!("../../../sources.d/weather.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_of_the_shipped_example_is_forgotten() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sources.d");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("sources.d/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        names.sort();
        let embedded: Vec<&str> = FILES.iter().map(|(name, _)| *name).filter(|name| *name != "aggd.yaml").collect();
        assert_eq!(embedded, names);
    }
}
