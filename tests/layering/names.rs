//! Owns what a crate calls its things: its modules, what each of them imports, and where a written path leads.
//! Globs are seen but not followed. Must never look at what a path is used for.

use std::collections::{BTreeMap, BTreeSet};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::source::{Path, child, is_for_tests, module_of};

/// Imports followed behind one name; more is a loop.
const HOPS: usize = 8;

/// What the crate's modules call their things.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) modules: BTreeSet<Path>,
    /// A module and a name in it, and what was imported under that name. Re-exports are imports too.
    imports: BTreeMap<(Path, String), Path>,
}

// === impl Names ===

impl Names {
    /// A path as it is written, from the crate's root or with the name of another crate before it.
    fn rooted(&self, here: &[String], written: &[String]) -> Path {
        let Some(first) = written.first() else {
            return here.to_vec();
        };
        match first.as_str() {
            "crate" => written.to_vec(),
            "mainstay" => [&["crate".to_owned()], &written[1..]].concat(),
            "self" => [here, &written[1..]].concat(),
            "super" => {
                let supers = written
                    .iter()
                    .take_while(|segment| *segment == "super")
                    .count();
                let above = here.len().saturating_sub(supers).max(1);
                [&here[..above], &written[supers..]].concat()
            }
            _ if self.modules.contains(&child(here, first)) => [here, written].concat(),
            _ => written.to_vec(),
        }
    }

    /// The path from its root, then what each import behind it stands for.
    pub(crate) fn leads_to(&self, here: &[String], written: &[String]) -> Vec<Path> {
        let rooted = self.rooted(here, written);
        let is_bare = rooted == written && rooted[0] != "crate";
        let imported = self.behind(here, written).filter(|_| is_bare);
        let path = imported.unwrap_or(rooted);
        let mut found = vec![path];
        while let Some(next) = found.last().and_then(|path| self.followed(path)) {
            if found.contains(&next) || found.len() == HOPS {
                break;
            }
            found.push(next);
        }
        found
    }

    /// What a path inside the crate stands for if one of its segments was imported.
    fn followed(&self, path: &[String]) -> Option<Path> {
        let inside = path.first().is_some_and(|first| first == "crate");
        (1..path.len())
            .filter(|at| inside && !self.modules.contains(&path[..=*at]))
            .find_map(|at| self.behind(&path[..at], &path[at..]))
    }

    fn behind(&self, module: &[String], rest: &[String]) -> Option<Path> {
        let target = self
            .imports
            .get(&(module.to_vec(), rest.first()?.clone()))?;
        Some([target.as_slice(), &rest[1..]].concat())
    }
}

/// Collects the modules that are written inside other files.
pub(crate) struct Modules<'a> {
    here: Path,
    names: &'a mut Names,
}

// === impl Modules ===

impl<'a> Modules<'a> {
    pub(crate) fn of(file: &str, names: &'a mut Names) -> Self {
        let here = module_of(file);
        Self { here, names }
    }
}

impl<'ast> Visit<'ast> for Modules<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            self.here.push(module.ident.to_string());
            self.names.modules.insert(self.here.clone());
            visit::visit_item_mod(self, module);
            self.here.pop();
        }
    }
}

/// Collects what `use` items bring into each module; those of a function count for its module.
pub(crate) struct Imports<'a> {
    here: Path,
    names: &'a mut Names,
}

// === impl Imports ===

impl<'a> Imports<'a> {
    pub(crate) fn of(file: &str, names: &'a mut Names) -> Self {
        let here = module_of(file);
        Self { here, names }
    }
}

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_for_tests(&module.attrs) {
            self.here.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.here.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if is_for_tests(&item.attrs) {
            return;
        }
        for leaf in leaves(&item.tree) {
            if let Some(name) = leaf.name {
                let target = self.names.rooted(&self.here, &leaf.path);
                let itself = child(&self.here, &name);
                if target != itself {
                    self.names.imports.insert((self.here.clone(), name), target);
                }
            }
        }
    }
}

/// One path of a `use` item, and the name it gives it. A glob gives none.
pub(crate) struct Leaf {
    pub(crate) path: Path,
    name: Option<String>,
    pub(crate) line: usize,
}

pub(crate) fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect_leaves(tree, &mut Vec::new(), &mut found);
    found
}

fn collect_leaves(tree: &syn::UseTree, before: &mut Path, found: &mut Vec<Leaf>) {
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            collect_leaves(&path.tree, before, found);
            before.pop();
        }
        syn::UseTree::Name(name) => found.push(leaf(&name.ident, None, before)),
        syn::UseTree::Rename(rename) => {
            found.push(leaf(&rename.ident, Some(&rename.rename), before));
        }
        syn::UseTree::Glob(glob) => found.push(Leaf {
            path: child(before, "*"),
            name: None,
            line: glob.span().start().line,
        }),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                collect_leaves(tree, before, found);
            }
        }
    }
}

fn leaf(ident: &syn::Ident, renamed: Option<&syn::Ident>, before: &[String]) -> Leaf {
    let path = match ident.to_string().as_str() {
        "self" => before.to_vec(),
        own => child(before, own),
    };
    Leaf {
        name: renamed
            .map(ToString::to_string)
            .or_else(|| path.last().cloned()),
        line: ident.span().start().line,
        path,
    }
}
