//! How long before a hedge: `200ms`, or as long as most calls take, `p95`.

use crate::config::findings::Problem;
use crate::config::node::Scalar;
use crate::config::values::duration;
use crate::policy::strategy::HedgeDelay;

/// A duration, `0s` too, or a percentile.
pub(crate) fn delay(scalar: &Scalar) -> Result<HedgeDelay, Problem> {
    let percent = scalar.text.strip_prefix('p').and_then(|text| text.parse::<f64>().ok());
    match percent.filter(|percent| *percent > 0.0 && *percent < 100.0) {
        Some(percent) => Ok(HedgeDelay::Percentile(percent / 100.0)),
        None => duration(scalar, true).map(HedgeDelay::Fixed).map_err(|mut problem| {
            problem.help = problem.help.map(|help| format!("{help}; or a percentile: `p95`"));
            problem
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::scalar;

    #[test]
    fn a_delay_is_a_duration_or_a_percentile() {
        let read = |text: &str| {
            delay(&Scalar { text: text.to_owned(), typed: scalar::plain(text), written: None, lead: 0 }).ok()
        };
        assert_eq!(read("p95"), Some(HedgeDelay::Percentile(0.95)));
        assert!(matches!(read("p99.9"), Some(HedgeDelay::Percentile(share)) if (share - 0.999).abs() < 1e-9));
        assert_eq!(read("0s"), Some(HedgeDelay::Fixed(Duration::ZERO)));
        assert_eq!(["p0", "p100", "p", "95", "px"].map(read), [None; 5]);
    }
}
