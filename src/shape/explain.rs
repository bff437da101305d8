//! How often each path of a shape matches in a document: for `aggd get --explain` and `aggd check --live`.

use crate::shape::apply::PROJECTED_DEPTH;
use crate::shape::apply::Shape;
use crate::shape::document::Node;
use crate::shape::format::Format;
use crate::shape::format::decode;
use crate::shape::path::Path;
use crate::shape::path::Work;
use crate::shape::project::Job;
use crate::shape::project::Output;
use crate::shape::project::Plan;
use crate::shape::scan::Found;
use crate::shape::scan::Wanted;

/// The matches of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldMatch {
    /// The output field, with those around it (`hits[].title`); else the key the path stands under: `success_when`,
    /// `project`, `omit`.
    pub(crate) field: String,
    /// The path, as written.
    pub(crate) path: String,
    /// How many values it matches; within `each`, over all the matches that are projected.
    pub(crate) count: usize,
}

impl Shape {
    /// Every path of the shape in the order it is used. Nothing for a body that does not decode.
    pub(crate) fn matches(&self, body: &[u8]) -> Vec<FieldMatch> {
        // Which content type it came with is not known here: what is no JSON for `ByContentType` was refused before.
        let format = if self.format == Format::Text { Format::Text } else { Format::Json };
        let Ok(text) = decode(format, body, None) else { return Vec::new() };
        let work = Work::new();
        let mut plan = Plan::new(&self.projection);
        let success = self.success_when.as_ref().map(|path| plan.want(path));
        let Ok(found) = plan.read(&text) else { return Vec::new() };
        let mut all = Vec::new();
        all.extend(success.map(|wanted| counted("success_when", wanted, Some(&found), &work)));
        tally(&plan.job, "", Some(&found), &work, &mut all);
        let mut out = Output::new(text.len(), &work);
        if !self.omit.is_empty() && out.write(&plan.job, &text, &found).is_ok() {
            let projected = String::from_utf8(out.bytes).unwrap_or_default();
            all.extend(self.omit.iter().map(|path| omitted(path, &projected, &work)));
        }
        all
    }
}

fn omitted(path: &Path, projected: &str, work: &Work) -> FieldMatch {
    let count = Node::parse(projected, PROJECTED_DEPTH)
        .ok()
        .and_then(|root| path.select(&root, work).ok().map(|nodes| nodes.len()))
        .unwrap_or_default();
    FieldMatch { field: "omit".to_owned(), path: path.text().to_owned(), count }
}

fn counted(field: &str, wanted: Wanted<'_>, found: Option<&Found<'_>>, work: &Work) -> FieldMatch {
    let count = found.and_then(|found| found.matches(wanted, work).ok().map(|matches| matches.len()));
    FieldMatch { field: field.to_owned(), path: wanted.path.text().to_owned(), count: count.unwrap_or_default() }
}

/// Appends the paths of a job. Without a document all counts are zero.
fn tally(job: &Job<'_>, outer: &str, found: Option<&Found<'_>>, work: &Work, all: &mut Vec<FieldMatch>) {
    match job {
        Job::Whole | Job::Value(_) => {}
        Job::Take(taking) => {
            all.push(counted(if outer.is_empty() { "project" } else { outer }, taking.wanted, found, work));
        }
        Job::Object(fields) => {
            for (name, job) in fields {
                let dot = if outer.is_empty() { "" } else { "." };
                tally(job, &format!("{outer}{dot}{name}"), found, work, all);
            }
        }
        Job::Each { wanted, limit, plan } => {
            all.push(counted(outer, *wanted, found, work));
            let inner = format!("{outer}[]");
            let mut sum = Vec::new();
            tally(&plan.job, &inner, None, work, &mut sum);
            let matches = found.and_then(|found| found.matches(*wanted, work).ok()).unwrap_or_default();
            for raw in matches.iter().take(*limit) {
                let mut one = Vec::new();
                tally(&plan.job, &inner, plan.read(raw).ok().as_ref(), work, &mut one);
                sum.iter_mut().zip(one).for_each(|(sum, one)| sum.count += one.count);
            }
            all.append(&mut sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::projection::Field;
    use crate::shape::projection::Missing;
    use crate::shape::projection::Projection;
    use crate::shape::projection::Take;

    fn field(text: &str) -> Field {
        let path = Path::compile(text).unwrap();
        Field::Path { path, missing: Missing::Required, cast: None, take: Take::ByPath }
    }

    fn shape(fields: Vec<(String, Field)>) -> Shape {
        Shape {
            format: Format::ByContentType,
            success_when: Some(Path::compile("$[?@ == 'ok']").unwrap()),
            projection: Projection::Fields(fields),
            omit: vec![Path::compile("$.hits[*].t").unwrap()],
        }
    }

    #[test]
    fn every_path_is_listed_with_how_often_it_matches() {
        let inner = vec![("t".to_owned(), field("$.t")), ("k".to_owned(), field("$.k"))];
        let project = Box::new(Projection::Fields(inner));
        let each = Field::Each { path: Path::compile("$.hits[*]").unwrap(), limit: Some(2), project };
        let nested = Field::Object(vec![("id".to_owned(), field("$.id"))]);
        let shape = shape(vec![("hits".to_owned(), each), ("o".to_owned(), nested)]);
        let body = br#"{"s":"ok","id":7,"hits":[{"t":1,"k":1},{"t":2,"k":1},{"t":3}]}"#;
        let listed: Vec<_> =
            shape.matches(body).into_iter().map(|m| format!("{} {} {}", m.field, m.path, m.count)).collect();
        let expected = [
            "success_when $[?@ == 'ok'] 1",
            "hits $.hits[*] 3",
            "hits[].t $.t 2",
            "hits[].k $.k 2",
            "o.id $.id 1",
            "omit $.hits[*].t 2",
        ];
        assert_eq!(listed, expected);
        let empty: Vec<_> = shape.matches(b"{}").into_iter().map(|m| m.count).collect();
        assert_eq!(empty, [0, 0, 0, 0, 0], "what does not project has nothing to omit");
        assert!(shape.matches(b"{").is_empty());
    }
}
