//! Owns where everything stands in the file: a tree of keys and values with their lines and columns, anchors
//! and merge keys followed on lookup only, so that no file can make it large. It also meets syntax errors and
//! duplicate keys first. Must never decide what a value means; serde does.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use crate::config::trail::{Step, Trail};

/// The merge key of YAML 1.1.
pub(super) const MERGE: &str = "<<";

/// Anchors and merges followed in one lookup; more is a loop or a joke.
const LOOKUP_FUEL: usize = 64;

/// A line and a column, both counted from 1, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl From<Marker> for Spot {
    fn from(mark: Marker) -> Self {
        Self {
            line: mark.line().max(1),
            column: mark.col() + 1,
        }
    }
}

impl Spot {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// Something wrong with the text itself.
pub(super) struct Trouble {
    pub(super) trail: Trail,
    pub(super) spot: Spot,
    pub(super) message: String,
    /// Whether the text cannot be read further.
    pub(super) is_fatal: bool,
}

struct Node {
    at: Spot,
    content: Content,
}

enum Content {
    /// Nothing at all, as after `key:`.
    Nothing,
    /// As written, before any expansion.
    Scalar(String),
    Map(Vec<Entry>),
    List(Vec<usize>),
    /// Stands for another node.
    Alias(Option<usize>),
}

struct Entry {
    key: String,
    at: Spot,
    value: usize,
}

/// What a lookup found.
#[derive(Clone, Copy)]
struct Found {
    key_at: Option<Spot>,
    node: usize,
}

/// The file as a tree of positions.
#[derive(Default)]
pub(super) struct Outline {
    nodes: Vec<Node>,
    root: Option<usize>,
    /// Where literal credentials stand, to be masked in snippets: from, to.
    secrets: Vec<(Spot, Spot)>,
}

impl Outline {
    /// Reads the text. Syntax errors end the reading; duplicate keys do not.
    pub(super) fn read(text: &str) -> (Self, Vec<Trouble>, Option<ScanError>) {
        let mut builder = Builder::default();
        let mut parser = Parser::new_from_str(text);
        let mut broken = None;
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => builder.take(event, span),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        (builder.outline, builder.troubles, broken)
    }

    /// Where a finding about this node points: the value where it is a scalar, its key where the value is a
    /// map or list, and the nearest owner that the file holds where the node is absent.
    pub(super) fn spot(&self, trail: &Trail) -> Spot {
        match self.find(trail) {
            (Some(found), true) => match &self.nodes[found.node].content {
                Content::Scalar(_) | Content::Alias(_) => None,
                Content::Map(_) | Content::List(_) | Content::Nothing => found.key_at,
            }
            .unwrap_or(self.nodes[found.node].at),
            (Some(found), false) => found.key_at.unwrap_or(self.nodes[found.node].at),
            (None, _) => Spot::START,
        }
    }

    /// Where the value of this node begins, whatever it is.
    pub(super) fn value_spot(&self, trail: &Trail) -> Spot {
        let (found, _) = self.find(trail);
        found.map_or(Spot::START, |found| self.nodes[found.node].at)
    }

    /// Where the key of this node stands.
    pub(super) fn key_spot(&self, trail: &Trail) -> Spot {
        match self.find(trail) {
            (Some(found), _) => found.key_at.unwrap_or(self.nodes[found.node].at),
            (None, _) => Spot::START,
        }
    }

    /// A scalar as the file writes it, variables not expanded.
    pub(super) fn written(&self, trail: &Trail) -> Option<&str> {
        let (Some(found), true) = self.find(trail) else {
            return None;
        };
        match &self.nodes[self.target(found.node)?].content {
            Content::Scalar(text) => Some(text),
            Content::Map(_) | Content::List(_) | Content::Alias(_) | Content::Nothing => None,
        }
    }

    /// Has the rest of the line from here masked.
    pub(super) fn hide(&mut self, from: Spot) {
        let end = Spot {
            line: from.line,
            column: usize::MAX,
        };
        self.secrets.push((from, end));
    }

    /// Where literal credentials stand on one line, as columns: from, up to.
    pub(super) fn secrets_on(&self, line: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let touching = move |(from, to): &&(Spot, Spot)| from.line <= line && line <= to.line;
        self.secrets.iter().filter(touching).map(move |(from, to)| {
            let first = if from.line == line { from.column } else { 1 };
            let end = if to.line == line {
                to.column
            } else {
                usize::MAX
            };
            (first, end)
        })
    }

    /// The deepest node on the way, and whether it is the one asked for.
    fn find(&self, trail: &Trail) -> (Option<Found>, bool) {
        let Some(root) = self.root else {
            return (None, false);
        };
        let mut found = Found {
            key_at: None,
            node: root,
        };
        for step in trail.steps() {
            let next = self.target(found.node).and_then(|node| {
                let mut fuel = LOOKUP_FUEL;
                self.child(node, step, &mut fuel)
            });
            match next {
                Some(child) => found = child,
                None => return (Some(found), false),
            }
        }
        (Some(found), true)
    }

    fn child(&self, node: usize, step: &Step, fuel: &mut usize) -> Option<Found> {
        match (&self.nodes[node].content, step) {
            (Content::List(nodes), Step::Index(index)) => Some(Found {
                key_at: None,
                node: *nodes.get(*index)?,
            }),
            (Content::Map(entries), Step::Key(key)) => {
                let own = entries.iter().rev().find(|entry| entry.key == *key);
                match own {
                    Some(entry) => Some(Found {
                        key_at: Some(entry.at),
                        node: entry.value,
                    }),
                    None => self.merged_child(entries, step, fuel),
                }
            }
            _ => None,
        }
    }

    fn merged_child(&self, entries: &[Entry], step: &Step, fuel: &mut usize) -> Option<Found> {
        *fuel = fuel.checked_sub(1)?;
        let merge = entries.iter().rev().find(|entry| entry.key == MERGE)?;
        let node = self.target(merge.value)?;
        match &self.nodes[node].content {
            Content::Map(_) => self.child(node, step, fuel),
            Content::List(nodes) => nodes
                .iter()
                .find_map(|node| self.child(self.target(*node)?, step, fuel)),
            Content::Scalar(_) | Content::Alias(_) | Content::Nothing => None,
        }
    }

    /// The node itself, or what it is an alias of.
    fn target(&self, node: usize) -> Option<usize> {
        match &self.nodes[node].content {
            Content::Alias(target) => *target,
            Content::Scalar(_) | Content::Map(_) | Content::List(_) | Content::Nothing => {
                Some(node)
            }
        }
    }
}

/// A collection that is still open.
struct Frame {
    node: usize,
    /// The key that waits for its value; maps only.
    key: Option<(String, Spot)>,
    seen: HashSet<String>,
}

/// Turns events into the tree.
#[derive(Default)]
struct Builder {
    outline: Outline,
    open: Vec<Frame>,
    anchors: HashMap<usize, usize>,
    /// The end of each scalar, for masking what an alias brings to a secret's place.
    ends: HashMap<usize, Spot>,
    troubles: Vec<Trouble>,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = Spot::from(span.start);
        match event {
            Event::DocumentStart(_) => self.begin_document(at),
            Event::Scalar(text, style, anchor, _) => {
                let content = match text.is_empty() && style == ScalarStyle::Plain {
                    true => Content::Nothing,
                    false => Content::Scalar(text.into_owned()),
                };
                let node = self.add(at, anchor, content);
                self.ends.insert(node, Spot::from(span.end));
                self.attach(node);
            }
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                let node = self.add(at, 0, Content::Alias(target));
                self.attach(node);
            }
            Event::MappingStart(anchor, _) => self.open(at, anchor, Content::Map(Vec::new())),
            Event::SequenceStart(anchor, _) => self.open(at, anchor, Content::List(Vec::new())),
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(frame) = self.open.pop() {
                    self.attach(frame.node);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }

    fn begin_document(&mut self, at: Spot) {
        self.documents += 1;
        if self.documents == 2 {
            self.troubles.push(Trouble {
                trail: Trail::default(),
                spot: at,
                message: "a second YAML document begins here; the file must hold one".to_owned(),
                is_fatal: true,
            });
        }
    }

    fn add(&mut self, at: Spot, anchor: usize, content: Content) -> usize {
        let node = self.outline.nodes.len();
        self.outline.nodes.push(Node { at, content });
        if anchor != 0 {
            self.anchors.insert(anchor, node);
        }
        node
    }

    fn open(&mut self, at: Spot, anchor: usize, content: Content) {
        let node = self.add(at, anchor, content);
        self.open.push(Frame {
            node,
            key: None,
            seen: HashSet::new(),
        });
    }

    /// Hands a finished node to the collection that is open around it.
    fn attach(&mut self, node: usize) {
        let Some(frame) = self.open.last() else {
            self.outline.root.get_or_insert(node);
            return;
        };
        let owner = frame.node;
        match &self.outline.nodes[owner].content {
            Content::Map(_) if frame.key.is_none() => self.attach_key(node),
            Content::Map(_) => self.attach_value(owner, node),
            Content::List(_) => {
                self.note_secret(node);
                if let Content::List(nodes) = &mut self.outline.nodes[owner].content {
                    nodes.push(node);
                }
            }
            Content::Scalar(_) | Content::Alias(_) | Content::Nothing => {}
        }
    }

    fn attach_key(&mut self, node: usize) {
        let at = self.outline.nodes[node].at;
        let named = self.outline.target(node).unwrap_or(node);
        let key = match &self.outline.nodes[named].content {
            Content::Scalar(text) => text.clone(),
            // Refused by serde: a key must be text.
            Content::Map(_) | Content::List(_) | Content::Alias(_) | Content::Nothing => {
                String::new()
            }
        };
        let mut is_new = true;
        if let Some(frame) = self.open.last_mut() {
            is_new = frame.seen.insert(key.clone());
            frame.key = Some((key.clone(), at));
        }
        if !is_new {
            self.troubles.push(Trouble {
                trail: self.trail(),
                spot: at,
                message: format!("duplicate key \"{key}\""),
                is_fatal: false,
            });
        }
    }

    fn attach_value(&mut self, owner: usize, value: usize) {
        self.note_secret(value);
        let key = self.open.last_mut().and_then(|frame| frame.key.take());
        if let (Some((key, at)), Content::Map(entries)) =
            (key, &mut self.outline.nodes[owner].content)
        {
            entries.push(Entry { key, at, value });
        }
    }

    /// The node that is being built.
    fn trail(&self) -> Trail {
        let steps = self.open.iter().map(|frame| {
            match (&frame.key, &self.outline.nodes[frame.node].content) {
                (Some((key, _)), _) => Step::Key(key.clone()),
                (None, Content::List(nodes)) => Step::Index(nodes.len()),
                (None, _) => Step::Key(String::new()),
            }
        });
        steps.collect()
    }

    /// Remembers where a literal credential stands.
    fn note_secret(&mut self, node: usize) {
        let Some(target) = self.outline.target(node) else {
            return;
        };
        let Content::Scalar(text) = &self.outline.nodes[target].content else {
            return;
        };
        if is_variable(text) || !self.is_secret_place() {
            return;
        }
        if let Some(end) = self.ends.get(&target) {
            let from = self.outline.nodes[target].at;
            self.outline.secrets.push((from, *end));
        }
    }

    /// Whether what stands here is, or may have been meant as, a credential.
    fn is_secret_place(&self) -> bool {
        let named = self.open.iter().filter_map(|frame| frame.key.as_ref());
        let keys: Vec<&str> = named.map(|(key, _)| key.as_str()).collect();
        let is_below = |secret: &str| keys.contains(&secret);
        ["headers", "key", "value", "token", "metrics_token"]
            .into_iter()
            .any(is_below)
            || keys.last() == Some(&"keys")
    }
}

/// Whether the text is one variable and nothing else, so that showing it shows no value.
fn is_variable(text: &str) -> bool {
    text.strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
x-base: &base
  timeouts: { connect: 2s }
providers:
  openai:
    <<: *base
    keys:
      - { name: main, value: sk-literal }
";

    #[test]
    fn a_node_is_found_by_its_way_through_anchors_and_merges() {
        let (outline, troubles, broken) = Outline::read(TEXT);
        assert!(troubles.is_empty() && broken.is_none());
        let provider = Trail::top("providers").key("openai");
        let check = |trail: &Trail, line: usize, column: usize| {
            assert_eq!(outline.spot(trail), Spot { line, column }, "{trail}");
        };
        check(&provider, 4, 3);
        check(&provider.key("base_url"), 4, 3);
        check(&provider.key("timeouts").key("connect"), 2, 24);
        let key = provider.key("keys").index(0);
        check(&key, 7, 9);
        check(&key.key("name"), 7, 17);
        assert_eq!(outline.written(&key.key("name")), Some("main"));
        assert_eq!(outline.secrets_on(7).collect::<Vec<_>>(), [(30, 40)]);
    }

    #[test]
    fn a_merge_that_leads_to_itself_ends() {
        let (outline, _, _) = Outline::read("a: &a\n  <<: *a\n  b: 1\n");
        let spot = outline.spot(&Trail::top("a").key("missing"));
        assert_eq!(spot, Spot { line: 1, column: 1 });
    }
}
