//! `on_invalid: quarantine`: each broken document is replaced by its last good version, or left out.
//!
//! ```text
//! current ──broken──▶ last good version ──broken too──▶ left out ──▶ what refers to it is looked at again
//! ```
//!
//! A document only ever moves to the right, so this ends. The report keeps what was found on the way.

use std::collections::BTreeSet;

use crate::config::documents::Document;
use crate::config::documents::DocumentKind;
use crate::config::documents::Documents;
use crate::config::documents::documents;
use crate::config::environment::Environment;
use crate::config::files::Files;
use crate::config::findings::Findings;
use crate::config::load::Chosen;
use crate::config::load::DocumentId;
use crate::config::load::Loaded;
use crate::config::load::evaluate;
use crate::config::load::id;
use crate::config::spec::Spec;
use crate::diag::Report;

/// Loads what can be used. Without a last good `aggd.yaml` a broken one leaves nothing to use.
pub(crate) fn load_quarantined(files: &Files, environment: &Environment, last_good: Option<&Files>) -> Loaded {
    let mut texts = files.texts();
    let offset = texts.len();
    texts.extend(last_good.map(Files::texts).unwrap_or_default());
    let mut findings = Findings::over(texts);
    let current = documents(files, environment, 0, &mut findings);
    let parsed = findings.take();
    let good = last_good.map(|files| documents(files, environment, offset, &mut findings));
    // The last good files were without error when they were loaded; what is wrong now (a variable is gone) shows below.
    let good_report = findings.take();
    let mut choice = Choice::new(&current, good.as_ref(), &findings);
    let mut report = parsed.clone();
    loop {
        let server = choice.server.document();
        let own_server = choice.server.stage == Stage::Current;
        let origin = if own_server { files } else { last_good.unwrap_or(files) };
        let left_out = choice.left_out();
        let chosen = Chosen { server, documents: choice.documents(), base: &origin.base, included: &origin.included };
        let spec = evaluate(&chosen, &left_out, &mut findings);
        let mut round = findings.take();
        report.absorb(round.clone());
        round.absorb(parsed.clone());
        round.absorb(good_report.clone());
        if !choice.advance(&round) {
            return choice.loaded(spec, report, files, &findings);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Current,
    Good,
    Out,
}

/// One document and what may stand in for it.
struct Slot<'a> {
    current: Option<&'a Document>,
    good: Option<&'a Document>,
    stage: Stage,
}

impl<'a> Slot<'a> {
    fn document(&self) -> Option<&'a Document> {
        match self.stage {
            Stage::Current => self.current,
            Stage::Good => self.good,
            Stage::Out => None,
        }
    }

    fn advance(&mut self) {
        self.stage = match (self.stage, self.good) {
            (Stage::Current, Some(_)) => Stage::Good,
            (Stage::Current, None) | (Stage::Good | Stage::Out, _) => Stage::Out,
        };
    }
}

struct Choice<'a> {
    server: Slot<'a>,
    slots: Vec<Slot<'a>>,
}

impl<'a> Choice<'a> {
    fn new(current: &'a Documents, good: Option<&'a Documents>, findings: &Findings) -> Self {
        let good_all: &[Document] = good.map(|good| good.all.as_slice()).unwrap_or_default();
        let good_server = good.and_then(|good| good.server.as_ref());
        let server = Slot { current: current.server.as_ref(), good: good_server, stage: Stage::Current };
        let mut slots: Vec<_> = current
            .all
            .iter()
            .map(|document| {
                let known = document.kind != DocumentKind::Unknown;
                let good = good_all.iter().find(|good| known && good.is_same(document));
                Slot { current: Some(document), good, stage: Stage::Current }
            })
            .collect();
        // What a file held when all of it could still be read: it may be torn off, not taken away.
        let incomplete: Vec<_> = current.incomplete.iter().map(|file| findings.name(*file)).collect();
        for good in good_all {
            let lost = incomplete.contains(&findings.name(good.file()));
            if lost && current.all.iter().all(|document| !document.is_same(good)) {
                slots.push(Slot { current: None, good: Some(good), stage: Stage::Good });
            }
        }
        let place = |slot: &Slot<'_>| {
            slot.current.or(slot.good).map(|document| (findings.name(document.file()), document.first_line()))
        };
        slots.sort_by_key(|slot| place(slot));
        Self { server, slots }
    }

    fn documents(&self) -> Vec<&'a Document> {
        self.slots.iter().filter_map(Slot::document).collect()
    }

    /// Sources that were declared and are left out.
    fn left_out(&self) -> BTreeSet<String> {
        let out =
            self.slots.iter().filter(|slot| slot.stage == Stage::Out).filter_map(|slot| slot.current.or(slot.good));
        out.filter(|document| document.kind == DocumentKind::Source).map(|document| document.name.clone()).collect()
    }

    /// Moves what is broken on; `false`: nothing was.
    fn advance(&mut self, report: &Report) -> bool {
        let is_broken = |document: &Document| document.is_broken(report);
        let mut moved = false;
        if self.server.stage != Stage::Out && self.server.document().is_some_and(is_broken) {
            self.server.advance();
            moved = true;
        }
        let broken: Vec<_> = (0..self.slots.len())
            .filter(|index| self.slots.get(*index).and_then(Slot::document).is_some_and(is_broken))
            .collect();
        for index in broken {
            moved = true;
            let Some(good) = self.slots.get(index).and_then(|slot| slot.good) else {
                self.step(index);
                continue;
            };
            self.step(index);
            // Declared twice: the last good version of the second would be the first once more.
            let others = self.slots.iter().enumerate().filter(|(other, _)| *other != index);
            if others.filter_map(|(_, slot)| slot.document()).any(|document| document.is_same(good)) {
                self.step(index);
            }
        }
        moved
    }

    fn step(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.advance();
        }
    }

    fn loaded(&self, spec: Spec, report: Report, files: &Files, findings: &Findings) -> Loaded {
        let mut broken: Vec<DocumentId> = Vec::new();
        for slot in std::iter::once(&self.server).chain(&self.slots).filter(|slot| slot.stage != Stage::Current) {
            broken.extend(slot.current.or(slot.good).map(|document| id(document, findings)));
        }
        Loaded { usable: self.server.stage != Stage::Out, spec, report, watched: files.watched(), broken }
    }
}
