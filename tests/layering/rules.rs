//! Owns the judgement: each file and each path of a crate against the lists of `layering.rs`.
//! Must never make an exception that no list names.

use std::collections::BTreeSet;
use std::fmt;

use crate::source::{Crate, Path, Reference, Source};
use crate::{CRATES, EMPTY_NAMES, FLOORS, IMPURE, LONG, LONGEST, PURE, ROOMS, UPHILL};

/// What a rule has to say about a line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Breach {
    file: String,
    line: usize,
    rule: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// The crate and what its rooms name of their own floor.
pub(crate) struct House {
    pub(crate) all: Crate,
    pub(crate) breaches: BTreeSet<Breach>,
    /// The arrows between rooms that the code uses.
    pub(crate) used: BTreeSet<(String, String)>,
}

// === impl House ===

impl House {
    /// Holds every file against every rule.
    pub(crate) fn judge(all: Crate) -> Self {
        let mut house = Self {
            breaches: BTreeSet::new(),
            used: BTreeSet::new(),
            all: Crate {
                sources: Vec::new(),
                modules: all.modules,
            },
        };
        for source in &all.sources {
            house.judge_file(source);
            for reference in &source.references {
                for path in &reference.leads_to {
                    house.judge_path(source, reference, path);
                }
            }
        }
        house.all.sources = all.sources;
        house
    }

    fn judge_file(&mut self, source: &Source) {
        if !source.text.starts_with("//!") {
            self.add(
                source,
                1,
                "a file begins with `//!`: what it owns, what it must never do",
            );
        }
        for (name, line) in &source.modules {
            if EMPTY_NAMES.contains(&name.as_str()) {
                let rule = format!("`{name}` says nothing: name the module after what it owns");
                self.add(source, *line, rule);
            }
        }
        let may_be_long = LONG.iter().any(|(file, _)| *file == source.file);
        if source.lines > LONGEST && !may_be_long {
            let lines = source.lines;
            let rule =
                format!("{lines} lines without tests, more than {LONGEST}: look for two subjects");
            self.add(source, source.lines, rule);
        }
    }

    fn judge_path(&mut self, source: &Source, reference: &Reference, path: &[String]) {
        let from = self.place_of(&reference.from);
        let rule = match path.first().is_some_and(|first| first == "crate") {
            true => self.judge_arrow(&from, path),
            false => judge_foreign(&from, path),
        };
        if let Some(rule) = rule {
            self.add(source, reference.line, rule);
        }
    }

    /// A path of this crate: floors first, then rooms.
    fn judge_arrow(&mut self, from: &Place, path: &[String]) -> Option<String> {
        let to = self.place_of(path);
        let written = path.join("::");
        if from.room == to.room || from.floor.is_empty() {
            return None;
        }
        if to.floor.is_empty() {
            return Some(format!(
                "`{written}` lies on no floor: name the room that owns it"
            ));
        }
        if from.floor != to.floor {
            let below = FLOORS.iter().find(|(name, _)| *name == from.floor)?.1;
            let allowed = below.contains(&to.floor.as_str());
            let rule = || {
                format!(
                    "floor {} may not name floor {}: `{written}`",
                    from.floor, to.floor
                )
            };
            return (!allowed).then(rule);
        }
        self.used.insert((from.room.clone(), to.room.clone()));
        let allowed = listed().any(|(room, other)| room == from.room && other == to.room);
        let rule = || {
            format!(
                "{} -> {} is not in the list of arrows: `{written}`",
                from.room, to.room
            )
        };
        (!allowed).then(rule)
    }

    fn place_of(&self, path: &[String]) -> Place {
        let Some(floor) = path.get(1).filter(|name| is_floor(name)) else {
            return Place::default();
        };
        let is_room = path.get(2).is_some() && self.all.modules.contains(&path[..3]);
        let room = match is_room {
            true => format!("{floor}/{}", path[2]),
            false => floor.clone(),
        };
        Place {
            floor: floor.clone(),
            room,
        }
    }

    fn add(&mut self, source: &Source, line: usize, rule: impl Into<String>) {
        self.breaches.insert(Breach {
            file: source.file.clone(),
            line,
            rule: rule.into(),
        });
    }

    /// The modules that stand directly on a floor.
    pub(crate) fn rooms(&self) -> BTreeSet<String> {
        let rooms = self.all.modules.iter().filter(|path| path.len() == 3);
        rooms.map(|path| self.place_of(path).room).collect()
    }
}

/// A floor and a room on it; a floor's own file is a room named like the floor. The crate's root files, which
/// stand on no floor, have no names.
#[derive(Debug, Default)]
struct Place {
    floor: String,
    room: String,
}

pub(crate) fn is_floor(name: &str) -> bool {
    FLOORS.iter().any(|(floor, _)| *floor == name)
}

/// Every arrow that may be.
pub(crate) fn listed() -> impl Iterator<Item = (&'static str, &'static str)> {
    let down = ROOMS
        .iter()
        .flat_map(|(room, others)| others.iter().map(move |other| (*room, *other)));
    down.chain(UPHILL.iter().map(|(room, other, _)| (*room, *other)))
}

/// A path of another crate.
fn judge_foreign(from: &Place, path: &[String]) -> Option<String> {
    let written = path.join("::");
    let kept = CRATES.iter().find(|(name, places, _)| {
        let is_home = |place: &&str| *place == from.floor || *place == from.room;
        names_crate(&path[0], name) && !places.iter().any(is_home)
    });
    if let Some((_, places, reason)) = kept {
        let places = places.join(" and ");
        return Some(format!("only {places} may name `{written}`: {reason}"));
    }
    let is_pure = PURE.contains(&from.floor.as_str());
    let (_, instead) = IMPURE
        .iter()
        .find(|(name, _)| is_pure && is_within(path, name))?;
    Some(format!(
        "floor {} is pure and may not name `{written}`: {instead}",
        from.floor
    ))
}

fn names_crate(written: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) => written.starts_with(prefix),
        None => written == name,
    }
}

fn is_within(path: &[String], name: &str) -> bool {
    let name: Path = name.split("::").map(String::from).collect();
    path.starts_with(&name)
}
