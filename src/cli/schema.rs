//! `aggd schema`: JSON Schemas for editors.

use std::path::Path;

use serde_json::Value;

use crate::cli::Exit;
use crate::cli::args::Schema;
use crate::cli::args::SchemaForm;
use crate::cli::console;
use crate::config::schema;

/// Prints the schemas, or writes them into a folder.
pub(crate) fn run(ask: &Schema) -> Exit {
    if ask.format == SchemaForm::Markdown {
        console::result(&schema::markdown());
        return Exit::Fine;
    }
    let files = [("aggd.schema.json", schema::aggd()), ("sources.schema.json", schema::sources())];
    let Some(folder) = &ask.write else {
        let all: serde_json::Map<String, Value> =
            files.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
        console::result(&pretty(&all.into()));
        return Exit::Fine;
    };
    for (name, schema) in files {
        if let Err(error) = write(folder, name, &schema) {
            console::error(&format!("{}: {error}", folder.join(name).display()));
            return Exit::Failed;
        }
    }
    Exit::Fine
}

fn write(folder: &Path, name: &str, schema: &Value) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(name), pretty(schema))
}

fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}
