//! `aggd get`: one source or route, run once in this process. Nothing is listened on, nothing is recorded.

use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use serde_json::value::RawValue;

use crate::app::App;
use crate::app::StartError;
use crate::base::Moment;
use crate::base::Pretty;
use crate::cli::Exit;
use crate::cli::args::Get;
use crate::cli::console;
use crate::cli::load;
use crate::cli::serve::runtime;
use crate::config::spec::Database;
use crate::plan::encode;
use crate::record::Logs;
use crate::request;
use crate::request::Ask;
use crate::request::Reply;
use crate::request::ReplyBody;
use crate::request::Shared;
use crate::request::Trace;
use crate::request::Trail;

/// Runs it and prints its data.
pub(crate) fn run(config: Option<&Path>, ask: &Get) -> Exit {
    let Ok(mut loading) = load::load(config) else { return Exit::Failed };
    loading.loaded.spec.server.database = Database::Off;
    let query = match query(ask) {
        Ok(query) => query,
        Err(wrong) => {
            console::error(&format!("`{wrong}` is no parameter: write KEY=VALUE"));
            return Exit::Failed;
        }
    };
    let is_source = !ask.target.starts_with('/');
    let path = if is_source { format!("/aggregate/{}", encode(&ask.target)) } else { ask.target.clone() };
    // What goes wrong is printed as the answer; the log would say it twice.
    "error".clone_into(&mut loading.loaded.spec.server.telemetry.level);
    let logs = Logs::install(&loading.loaded.spec.server.telemetry);
    let trail = if ask.explain { Trail::on() } else { Trail::default() };
    let end = runtime().map_err(StartError::from).and_then(|runtime| {
        let end = runtime.block_on(async {
            let app = App::build(loading, logs)?;
            let begun = app.shared.clock.now();
            Ok((answer(&app.shared, &path, &query, trail.clone()).await, begun))
        });
        runtime.shutdown_background();
        end
    });
    match end {
        Ok((Some(reply), begun)) => print(ask, is_source, reply, &trail, begun),
        Ok((None, _)) => {
            console::error(&format!("nothing is served at `{path}`; `aggd routes` lists what is"));
            Exit::Failed
        }
        Err(error) => {
            console::error(&error.to_string());
            Exit::Failed
        }
    }
}

async fn answer(shared: &Arc<Shared>, path: &str, query: &str, trail: Trail) -> Option<Reply> {
    let headers = HeaderMap::new();
    let ask = Ask {
        method: &Method::GET,
        path,
        query: Some(query),
        headers: &headers,
        request_id: format!("{:032x}", fastrand::u128(..)).into(),
        trace: Trace::read(&headers),
        arrived: shared.clock.now(),
        peer: None,
        trail,
    };
    request::run(shared, ask).await
}

fn query(ask: &Get) -> Result<String, &str> {
    let mut query = String::new();
    for pair in &ask.values {
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(pair.as_str())?;
        query.push_str(&format!("{}={}&", encode(name), encode(value)));
    }
    if ask.raw {
        query.push_str("raw=");
    }
    Ok(query)
}

fn print(ask: &Get, is_source: bool, reply: Reply, trail: &Trail, begun: Moment) -> Exit {
    for note in trail.take() {
        console::aside(&format!("{:>8} {}: {}", Pretty(note.at.since(begun)).to_string(), note.source, note.text));
    }
    // Nothing here asks for an answer in pieces.
    let ReplyBody::Whole(body) = reply.body else { return Exit::Failed };
    let body = body.into_vec();
    if !reply.status.is_success() {
        console::aside(&String::from_utf8_lossy(&body));
        return Exit::Failed;
    }
    match data_of(&body).filter(|_| is_source && !ask.raw) {
        Some(data) => console::result(&data),
        None => {
            console::bytes(&body);
            if !ask.raw {
                console::result("");
            }
        }
    }
    Exit::Fine
}

/// The `data` of a single source's answer, as it is written there.
fn data_of(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_slice::<Answer<'_>>(body).ok().map(|answer| answer.data.get().to_owned())
}
