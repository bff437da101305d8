//! `aggd history`: the audit log, read where the gateway writes it.

use std::path::Path;

use crate::app;
use crate::base::Clock;
use crate::cli::Exit;
use crate::cli::args::History;
use crate::cli::args::Table;
use crate::cli::console;
use crate::cli::load;
use crate::cli::routes::table;
use crate::cli::serve::runtime;
use crate::record::HistoryFilter;
use crate::record::HistoryPage;

/// Prints a page of records, newest first.
pub(crate) fn run(config: Option<&Path>, ask: &History) -> Exit {
    let Ok(loading) = load::load(config) else { return Exit::Failed };
    let filter = match HistoryFilter::parse(&pairs(ask), Clock::start().wall()) {
        Ok(filter) => filter,
        Err(error) => return failed(&error.to_string()),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let page = runtime.block_on(async {
        let store = app::open(&loading.loaded.spec.server.database).map_err(|error| error.to_string())?;
        let store = store.ok_or("there is no audit log: `database: off`")?;
        store.prepare().await.map_err(|error| error.to_string())?;
        let page = store.history(&filter).await.map_err(|error| error.to_string());
        store.close().await;
        page
    });
    match page {
        Ok(page) => {
            console::result(&print(&page, ask.format));
            Exit::Fine
        }
        Err(why) => failed(&why),
    }
}

fn pairs(ask: &History) -> Vec<(String, String)> {
    let texts = [("since", &ask.since), ("source", &ask.source), ("route", &ask.route), ("cursor", &ask.cursor)];
    let given = texts.into_iter().filter_map(|(name, text)| text.clone().map(|text| (name.to_owned(), text)));
    let failed = ask.failed.then(|| ("failed".to_owned(), "true".to_owned()));
    given.chain(failed).chain([("limit".to_owned(), ask.limit.to_string())]).collect()
}

fn print(page: &HistoryPage, format: Table) -> String {
    if format == Table::Json {
        return serde_json::to_string_pretty(page).unwrap_or_default();
    }
    let mut rows = vec![["TIME", "STATUS", "MODE", "MS", "ROUTE", "FAILED", "SKIPPED", "REQUEST"].map(str::to_owned)];
    rows.extend(page.records.iter().map(|row| {
        let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(",") };
        [
            row.time.clone(),
            row.status.to_string(),
            row.mode.clone(),
            format!("{:.1}", row.duration_ms),
            row.route.clone(),
            list(&row.sources_failed),
            list(&row.sources_skipped),
            row.request_id.clone(),
        ]
    }));
    let more = page.next_cursor.as_ref().map(|cursor| format!("more: --cursor {cursor}\n")).unwrap_or_default();
    format!("{}{more}", table(&rows))
}

fn failed(why: &str) -> Exit {
    console::error(why);
    Exit::Failed
}
