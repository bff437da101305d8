//! One pass over a text that finds what many paths want, builds no tree, and checks every byte of the document.
//!
//! The beginnings of the paths are laid together in a trie; where a path goes on with what a pass cannot follow (a
//! filter, say), the value it got to is kept and a tree built of that alone. An object in which a wanted name stands
//! twice ends the pass: what came before no longer counts then, and the whole document is read as a tree instead.

use std::borrow::Cow;
use std::cell::OnceCell;

use smallvec::SmallVec;
use smallvec::smallvec;

use crate::shape::document::Node;
use crate::shape::document::repeats;
use crate::shape::path::Path;
use crate::shape::path::Step;
use crate::shape::path::TooMuch;
use crate::shape::path::Work;
use crate::shape::reader::Fault;
use crate::shape::reader::MAX_DEPTH;
use crate::shape::reader::Reader;
use crate::shape::reader::Written;

/// The wanted paths, laid together.
#[derive(Debug)]
pub(super) struct Trie<'s> {
    /// The first is the document.
    branches: Vec<Branch<'s>>,
    slots: usize,
}

/// A place in the document, or many where the way to it has a wildcard.
#[derive(Debug, Default)]
struct Branch<'s> {
    names: SmallVec<[(&'s str, usize); 4]>,
    indexes: SmallVec<[(usize, usize); 1]>,
    every: Option<usize>,
    /// Where the values here are kept.
    slot: Option<usize>,
}

/// A path whose matches can be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'s> {
    pub(super) path: &'s Path,
    slot: usize,
}

/// What was found in one document.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// By one pass.
    Slots(Vec<Slot<'a>>),
    /// By reading it whole.
    Tree(Node<'a>),
}

/// The values at the end of some paths' steps.
#[derive(Debug, Default)]
pub(super) struct Slot<'a> {
    raws: SmallVec<[&'a str; 1]>,
    /// Of the same values, once a path needs to go on from them.
    trees: OnceCell<Vec<Node<'a>>>,
}

/// The branches that lead to where the pass is.
type Active = SmallVec<[usize; 2]>;

struct Pass<'t, 's, 'a> {
    trie: &'t Trie<'s>,
    reader: Reader<'a>,
    slots: Vec<Slot<'a>>,
}

enum Stop {
    Fault(Fault),
    /// A name stands twice.
    Twice,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<'s> Trie<'s> {
    /// Without any path.
    pub(super) fn new() -> Self {
        Self { branches: vec![Branch::default()], slots: 0 }
    }

    /// Adds a path.
    pub(super) fn want(&mut self, path: &'s Path) -> Wanted<'s> {
        let mut at = 0;
        for step in path.steps() {
            let fresh = self.branches.len();
            let Some(branch) = self.branches.get_mut(at) else { break };
            at = branch.along(step, fresh);
            if at == fresh {
                self.branches.push(Branch::default());
            }
        }
        let slots = &mut self.slots;
        let slot = self.branches.get_mut(at).map_or(0, |branch| {
            *branch.slot.get_or_insert_with(|| {
                *slots += 1;
                *slots - 1
            })
        });
        Wanted { path, slot }
    }

    /// Reads a whole document.
    pub(super) fn read<'a>(&self, text: &'a str) -> Result<Found<'a>, Fault> {
        let slots = std::iter::repeat_with(Slot::default).take(self.slots).collect();
        let mut pass = Pass { trie: self, reader: Reader::new(text, MAX_DEPTH), slots };
        match pass.document() {
            Ok(()) => Ok(Found::Slots(pass.slots)),
            Err(Stop::Fault(fault)) => Err(fault),
            Err(Stop::Twice) => Found::whole(text),
        }
    }
}

impl<'s> Trie<'s> {
    fn at<'t>(&'t self, active: &'t Active) -> impl Iterator<Item = &'t Branch<'s>> {
        active.iter().filter_map(|at| self.branches.get(*at))
    }
}

impl<'s> Branch<'s> {
    /// The branch a step leads to, which is `fresh` if there was none.
    fn along(&mut self, step: &'s Step, fresh: usize) -> usize {
        match step {
            Step::Name(name) => match self.names.iter().find(|(known, _)| **known == **name) {
                Some((_, branch)) => *branch,
                None => {
                    self.names.push((name, fresh));
                    fresh
                }
            },
            Step::Index(index) => match self.indexes.iter().find(|(known, _)| known == index) {
                Some((_, branch)) => *branch,
                None => {
                    self.indexes.push((*index, fresh));
                    fresh
                }
            },
            Step::Every => *self.every.get_or_insert(fresh),
        }
    }
}

impl<'a> Found<'a> {
    /// By reading the document as a tree.
    pub(super) fn whole(text: &'a str) -> Result<Self, Fault> {
        Node::parse(text, MAX_DEPTH).map(Self::Tree)
    }

    /// What a path matches, as written, in the order of the path's nodelist.
    pub(super) fn matches<'v>(&'v self, wanted: Wanted<'v>, work: &'v Work) -> Result<Cow<'v, [&'v str]>, TooMuch> {
        let raws = |nodes: Vec<&'v Node<'v>>| nodes.into_iter().map(|node| node.raw);
        let slot = match self {
            Self::Tree(root) => return wanted.path.select(root, work).map(|nodes| raws(nodes).collect()),
            Self::Slots(slots) => slots.get(wanted.slot),
        };
        let Some(slot) = slot else { return Ok(Cow::default()) };
        if wanted.path.is_followed() {
            return Ok(Cow::Borrowed(&slot.raws));
        }
        let mut matched = Vec::new();
        for tree in slot.trees() {
            matched.extend(raws(wanted.path.select_rest(tree, work)?));
        }
        Ok(Cow::Owned(matched))
    }
}

impl<'a> Slot<'a> {
    fn trees(&self) -> &[Node<'a>] {
        // What is kept was checked before: every one of these parses.
        self.trees.get_or_init(|| self.raws.iter().filter_map(|raw| Node::parse(raw, MAX_DEPTH).ok()).collect())
    }
}

impl Pass<'_, '_, '_> {
    fn document(&mut self) -> Result<(), Stop> {
        self.value(&smallvec![0])?;
        Ok(self.reader.end()?)
    }

    /// Recursion is no deeper than the wanted paths are long.
    fn value(&mut self, active: &Active) -> Result<(), Stop> {
        self.reader.blank();
        let from = self.reader.at();
        let opens = |wants: fn(&Branch<'_>) -> bool| self.trie.at(active).any(wants);
        match self.reader.peek() {
            b'{' if opens(|branch| branch.every.is_some() || !branch.names.is_empty()) => self.object(active)?,
            b'[' if opens(|branch| branch.every.is_some() || !branch.indexes.is_empty()) => self.array(active)?,
            _ => self.reader.skip()?,
        }
        let raw = self.reader.since(from);
        for slot in self.trie.at(active).filter_map(|branch| branch.slot) {
            if let Some(slot) = self.slots.get_mut(slot) {
                slot.raws.push(raw);
            }
        }
        Ok(())
    }

    fn object(&mut self, active: &Active) -> Result<(), Stop> {
        // With a wildcard every name counts, else those that are wanted.
        let mut names: SmallVec<[Written<'_>; 8]> = SmallVec::new();
        self.reader.enter()?;
        self.reader.blank();
        if self.reader.peek() != b'}' {
            loop {
                let key = self.reader.key()?;
                let mut next = Active::new();
                for branch in self.trie.at(active) {
                    next.extend(branch.names.iter().find(|(name, _)| key.means(name)).map(|(_, to)| *to));
                    next.extend(branch.every);
                }
                if next.is_empty() {
                    self.reader.skip()?;
                } else {
                    names.push(key);
                    self.value(&next)?;
                }
                if !self.reader.more(b'}')? {
                    break;
                }
            }
        }
        self.reader.leave();
        if repeats(&names, |name| *name) { Err(Stop::Twice) } else { Ok(()) }
    }

    fn array(&mut self, active: &Active) -> Result<(), Stop> {
        self.reader.enter()?;
        self.reader.blank();
        if self.reader.peek() != b']' {
            let mut place = 0;
            loop {
                let mut next = Active::new();
                for branch in self.trie.at(active) {
                    next.extend(branch.indexes.iter().find(|(index, _)| *index == place).map(|(_, to)| *to));
                    next.extend(branch.every);
                }
                if next.is_empty() {
                    self.reader.skip()?;
                } else {
                    self.value(&next)?;
                }
                if !self.reader.more(b']')? {
                    break;
                }
                place += 1;
            }
        }
        self.reader.leave();
        Ok(())
    }
}
