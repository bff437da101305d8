//! LSH, WMK and CDL: the tables of `shedding.md`, driven against the machines. LSH-13 and LSH-14 are told of requests and
//! run against the binary; LSH-15 and LSH-16 are beside the pressure.

use std::time::Duration;

use crate::policy::codel::Codel;
use crate::policy::codel::CodelSettings;
use crate::policy::pressure::Level;
use crate::policy::priority::Priority;
use crate::policy::shedding::Floors;
use crate::policy::shedding::THRESHOLDS;
use crate::policy::vectors::Row;
use crate::policy::vectors::duration;
use crate::policy::watermark::Marks;
use crate::policy::watermark::Tide;
use crate::policy::watermark::WaterMark;

const TABLES: &str = include_str!("shedding.md");

/// The rows of the section with this id.
fn rows(id: &str) -> Vec<Row<'static>> {
    let (_, section) = TABLES.split_once(&format!("### {id} ")).unwrap();
    let section = section.split("\n### ").next().unwrap();
    section.lines().filter(|line| line.starts_with("| ")).skip(1).map(Row::parse).collect()
}

#[test]
fn lsh_01_to_12_who_is_shed() {
    let mut seen = 0;
    for line in TABLES.lines().filter(|line| line.starts_with("| LSH-")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect();
        let [id, case, expected] = cells[..] else { panic!("{line}") };
        let words: Vec<&str> = case.split([' ', '/', ',']).filter(|word| !word.is_empty()).collect();
        let ["in_flight", count, max, "priority", class, "pressure", "level", level] = words[..] else {
            panic!("{id}: {words:?}")
        };
        let floors = Floors::new(max.parse().unwrap(), &THRESHOLDS);
        let levels = [Level::Normal, Level::High, Level::Critical];
        let level = levels.into_iter().find(|known| known.as_str() == level).unwrap();
        let verdict = floors.admit(count.parse().unwrap(), class.parse::<Priority>().unwrap(), level);
        let told = verdict.map_or_else(|why| format!("shed:{}", why.as_str()), |()| "admit".to_owned());
        assert_eq!(told, expected, "{id}");
        seen += 1;
    }
    assert_eq!(seen, 12);
}

#[test]
fn wmk_01_hysteresis_between_low_and_high() {
    const MARKS: Marks = Marks { max_pending: 10, high_water_mark: 8, low_water_mark: 2 };
    let mut mark = WaterMark::default();
    let table = rows("WMK-01");
    assert_eq!(table.len(), 6);
    let mut events = Vec::new();
    for row in table {
        let acquire = |mark: &mut WaterMark, events: &mut Vec<&str>| match mark.enter(MARKS) {
            Ok(tide) => {
                events.extend(tide.map(|tide| if tide == Tide::High { "high" } else { "low" }));
                "ok"
            }
            Err(_) => "wait",
        };
        let said = |active: bool| if active { "True" } else { "False" };
        let told = match row.step.split(" ⇒").next().unwrap() {
            "acquire ×7" => format!("{:?}", [(); 7].map(|()| acquire(&mut mark, &mut events))).replace('"', "'"),
            "8th acquire crosses high" => {
                let told = acquire(&mut mark, &mut events);
                format!("('{told}', {}, {events:?})", said(mark.is_active())).replace('"', "'")
            }
            "release ×5" => {
                assert_eq!((mark.leave(5, MARKS), mark.pending()), (None, 3), "WMK-01: {}", row.step);
                acquire(&mut mark, &mut events).to_owned()
            }
            "release" => {
                events.extend(mark.leave(1, MARKS).map(|tide| if tide == Tide::High { "high" } else { "low" }));
                format!("({}, {events:?})", said(mark.is_active())).replace('"', "'")
            }
            _ => acquire(&mut mark, &mut events).to_owned(),
        };
        assert_eq!(told, row.expect, "WMK-01: {}", row.step);
    }
}

#[test]
fn cdl_01_the_wait_is_the_signal() {
    let set = CodelSettings { target: Duration::from_millis(5), interval: Duration::from_millis(100) };
    let mut codel = Codel::default();
    let table = rows("CDL-01");
    assert_eq!(table.len(), 12);
    for row in table {
        let serves = codel.serves(set, duration(row.step.strip_prefix("dequeue sojourn ").unwrap()), row.at);
        let overloaded = if codel.is_overloaded(set, row.at) { "True" } else { "False" };
        let told = format!("{}; overloaded={overloaded}", if serves { "serve" } else { "drop" });
        assert_eq!(told, row.expect, "CDL-01 at {:?}", row.at);
    }
}
