//! What the upstreams of the demo answer: documents in the shape of the real ones, a little different each time.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base::Clock;

/// The names of the upstreams: those of the shipped sources.
pub(crate) const NAMES: [&str; 3] = ["weather", "news", "markets"];

/// Makes an answer for the query of a call.
pub(crate) type Document = fn(&str) -> (StatusCode, Value);

/// The documents of an upstream; `None`: there is no such upstream.
pub(crate) fn of(name: &str) -> Option<Document> {
    match name {
        "weather" => Some(weather),
        "news" => Some(news),
        "markets" => Some(markets),
        _ => None,
    }
}

/// `GET api.open-meteo.com/v1/forecast?latitude=…&longitude=…&current=temperature_2m,wind_speed_10m`
fn weather(query: &str) -> (StatusCode, Value) {
    let degrees =
        |name: &str, otherwise: f64| value(query, name).and_then(|text| text.parse::<f64>().ok()).unwrap_or(otherwise);
    let document = json!({
        "latitude": degrees("latitude", 52.52),
        "longitude": degrees("longitude", 13.41),
        "generationtime_ms": tenths(1, 9) / 10.0,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 38.0,
        "current_units": { "time": "iso8601", "interval": "seconds", "temperature_2m": "°C", "wind_speed_10m": "km/h" },
        "current": {
            "time": now("%Y-%m-%dT%H:%M"),
            "interval": 900,
            "temperature_2m": tenths(95, 125),
            "wind_speed_10m": tenths(60, 180),
        },
    });
    (StatusCode::OK, document)
}

/// Invented, all of them.
const TITLES: [&str; 12] = [
    "Show HN: A kettle that speaks MQTT",
    "What we learned from a year without a staging environment",
    "Ask HN: How do you name your servers?",
    "The quiet return of the status page",
    "Notes on moving a database on a Friday",
    "A field guide to timeouts",
    "Show HN: Pagers, but for plants",
    "Why our cache was faster when it was wrong",
    "Reading a core dump by candlelight",
    "A lighthouse keeper's view of monitoring",
    "The last mainframe in the valley",
    "Small tools, sharp edges",
];

/// `GET hn.algolia.com/api/v1/search?tags=front_page&hitsPerPage=…&query=…`
fn news(query: &str) -> (StatusCode, Value) {
    let topic = value(query, "query").unwrap_or_default().to_lowercase();
    let most = value(query, "hitsPerPage").and_then(|text| text.parse().ok()).unwrap_or(20);
    let first = fastrand::usize(..TITLES.len());
    let found = (41_000_001_u64..).zip(TITLES.iter().cycle().skip(first).take(TITLES.len()));
    let found: Vec<_> = found.filter(|(_, title)| title.to_lowercase().contains(&topic)).collect();
    let hits: Vec<Value> = found.iter().take(most).map(|(id, title)| story(*id, title)).collect();
    let document = json!({
        "exhaustive": { "nbHits": true, "typo": true },
        "hits": hits,
        "hitsPerPage": most,
        "nbHits": found.len(),
        "nbPages": 1,
        "page": 0,
        "params": query,
        "processingTimeMS": fastrand::u32(1..9),
        "query": topic,
    });
    (StatusCode::OK, document)
}

fn story(id: u64, title: &str) -> Value {
    let asks = title.starts_with("Ask HN");
    let mut story = json!({
        "_tags": ["story", "author_demo", format!("story_{id}"), "front_page"],
        "author": "demo",
        "children": [],
        "created_at": now("%Y-%m-%dT%H:%M:%SZ"),
        "num_comments": fastrand::u32(0..300),
        "objectID": id.to_string(),
        "points": fastrand::u32(20..600),
        "story_id": id,
        "title": title,
        "updated_at": now("%Y-%m-%dT%H:%M:%SZ"),
    });
    // A question has a text of its own in place of a link.
    let (member, value) =
        if asks { ("story_text", "…".to_owned()) } else { ("url", format!("https://example.org/{id}")) };
    if let Some(members) = story.as_object_mut() {
        members.insert(member.to_owned(), value.into());
    }
    story
}

/// What one euro is, about.
const RATES: [(&str, f64); 9] = [
    ("AUD", 1.76),
    ("CHF", 0.94),
    ("EUR", 1.0),
    ("GBP", 0.87),
    ("INR", 101.2),
    ("JPY", 176.4),
    ("NOK", 11.71),
    ("SEK", 11.02),
    ("USD", 1.16),
];

/// `GET api.frankfurter.dev/v1/latest?base=…`
fn markets(query: &str) -> (StatusCode, Value) {
    let base = value(query, "base").unwrap_or_else(|| "EUR".to_owned());
    let Some((_, one)) = RATES.iter().find(|(name, _)| *name == base) else {
        return (StatusCode::NOT_FOUND, json!({ "message": "not found" }));
    };
    let mut rates = Map::new();
    for (name, rate) in RATES.iter().filter(|(name, _)| *name != base) {
        let moved = rate / one * (0.995 + fastrand::f64() / 100.0);
        rates.insert((*name).to_owned(), ((moved * 10_000.0).round() / 10_000.0).into());
    }
    (StatusCode::OK, json!({ "amount": 1.0, "base": base, "date": now("%Y-%m-%d"), "rates": rates }))
}

fn value(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A number with one decimal.
fn tenths(from: i32, to: i32) -> f64 {
    f64::from(fastrand::i32(from..=to)) / 10.0
}

fn now(format: &str) -> String {
    let wall: SystemTime = Clock::start().wall();
    jiff::Timestamp::try_from(wall).map_or_else(|_| String::new(), |at| at.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weather_is_that_of_the_place_asked_for() {
        let (_, document) = weather("latitude=48.14&longitude=11.58&current=temperature_2m");
        assert_eq!(document["latitude"], 48.14);
        assert!(document["current"]["temperature_2m"].is_number());
        assert_eq!(document["current"]["time"].as_str().unwrap().len(), "2026-01-01T00:00".len());
    }

    #[test]
    fn news_are_as_many_as_asked_for_and_of_the_topic() {
        let (_, document) = news("tags=front_page&hitsPerPage=3");
        assert_eq!(document["hits"].as_array().unwrap().len(), 3);
        let (_, document) = news("query=timeouts&hitsPerPage=20");
        assert_eq!(document["hits"][0]["title"], "A field guide to timeouts");
        assert_eq!(document["nbHits"], 1);
    }

    #[test]
    fn rates_are_of_the_base_and_an_unknown_one_is_not_found() {
        let (_, document) = markets("base=USD");
        let euro = document["rates"]["EUR"].as_f64().unwrap();
        assert!((0.8..0.9).contains(&euro), "{euro}");
        assert!(document["rates"]["USD"].is_null());
        assert_eq!(markets("base=XXX").0, StatusCode::NOT_FOUND);
    }
}
