//! Owns what the files of a crate say: their modules and every path they name, tests left out.
//! It reads syntax only: a type that arrives through inference, without being named, is not seen.
//! Must never know a rule: `layering.rs` judges.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::{fs, iter};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::names::{Imports, Modules, Names, leaves};

/// The segments of a path. Inside the crate the first one is `crate`, elsewhere it is the crate's name.
pub(crate) type Path = Vec<String>;

/// One file, without what is compiled for tests only.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to `src/`, with `/`.
    pub(crate) file: String,
    pub(crate) text: String,
    /// Lines outside `#[cfg(test)]`.
    pub(crate) lines: usize,
    pub(crate) references: Vec<Reference>,
    /// The names of its `mod` items, with their lines.
    pub(crate) modules: Vec<(String, usize)>,
}

/// A path that a file names.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) line: usize,
    /// The module that names it.
    pub(crate) from: Path,
    /// What is written, then what each import behind it stands for.
    pub(crate) leads_to: Vec<Path>,
}

/// All files of a crate, sorted by name, test files left out.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) sources: Vec<Source>,
    pub(crate) modules: BTreeSet<Path>,
}

impl Crate {
    /// Reads every `.rs` file below `root`.
    pub(crate) fn read(root: &FilePath) -> Self {
        let mut files = Vec::new();
        read_below(root, root, &mut files);
        Self::of(files)
    }

    /// The crate that these files make.
    pub(crate) fn of(mut files: Vec<(String, String)>) -> Self {
        files.sort();
        let parsed: Vec<_> = files
            .into_iter()
            .map(|(file, text)| {
                let tree = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
                (file, text, tree)
            })
            .collect();
        let tests = test_modules(&parsed);
        let kept: Vec<_> = parsed
            .into_iter()
            .filter(|(file, ..)| !is_below(&module_of(file), &tests))
            .collect();
        let mut names = Names::default();
        for (file, _, tree) in &kept {
            let module = module_of(file);
            names
                .modules
                .extend((1..=module.len()).map(|to| module[..to].to_vec()));
            Modules::of(file, &mut names).visit_file(tree);
        }
        for (file, _, tree) in &kept {
            Imports::of(file, &mut names).visit_file(tree);
        }
        let sources = kept
            .into_iter()
            .map(|(file, text, tree)| source(file, text, &tree, &names))
            .collect();
        Self {
            sources,
            modules: names.modules,
        }
    }
}

fn read_below(root: &FilePath, folder: &FilePath, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry of the crate").path();
        if path.is_dir() {
            read_below(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("it lies below");
            let file = relative.to_string_lossy().replace('\\', "/");
            files.push((file, fs::read_to_string(&path).expect("UTF-8 text")));
        }
    }
}

fn source(file: String, text: String, tree: &syn::File, names: &Names) -> Source {
    let mut reader = Reader {
        here: module_of(&file),
        names,
        references: Vec::new(),
        modules: Vec::new(),
        test_lines: 0,
    };
    reader.visit_file(tree);
    Source {
        lines: text.lines().count() - reader.test_lines,
        references: reader.references,
        modules: reader.modules,
        file,
        text,
    }
}

/// `edge/proxy/mod.rs` and `edge/proxy.rs` are both `crate::edge::proxy`.
pub(crate) fn module_of(file: &str) -> Path {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    let below = match stem {
        "lib" | "main" => "",
        _ => stem,
    };
    let segments = below.split('/').filter(|segment| !segment.is_empty());
    iter::once("crate")
        .chain(segments)
        .map(String::from)
        .collect()
}

/// Modules in files of their own that only tests compile.
fn test_modules(parsed: &[(String, String, syn::File)]) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    for (file, _, tree) in parsed {
        let here = module_of(file);
        if here.iter().any(|name| name == "tests") {
            found.insert(here.clone());
        }
        for item in &tree.items {
            if let syn::Item::Mod(module) = item
                && is_for_tests(&module.attrs)
            {
                found.insert(child(&here, &module.ident.to_string()));
            }
        }
    }
    found
}

fn is_below(module: &[String], tests: &BTreeSet<Path>) -> bool {
    tests.iter().any(|test| module.starts_with(test))
}

pub(crate) fn child(of: &[String], name: &str) -> Path {
    of.iter().cloned().chain([name.to_owned()]).collect()
}

/// Whether these are the attributes of something that only tests compile.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}

/// Collects what one file names, and counts the lines that only tests compile.
struct Reader<'a> {
    here: Path,
    names: &'a Names,
    references: Vec<Reference>,
    modules: Vec<(String, usize)>,
    test_lines: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn refer(&mut self, written: &[String], line: usize) {
        self.references.push(Reference {
            line,
            from: self.here.clone(),
            leads_to: self.names.leads_to(&self.here, written),
        });
    }

    /// Paths in tokens that no parser looks into: what macros are given, and what they are made of.
    fn refer_tokens(&mut self, tokens: &TokenStream) {
        let mut path = Path::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens.clone() {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                _ => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    line = token.span().start().line;
                }
            }
            match token {
                TokenTree::Ident(ident) if path.is_empty() => path.push(ident.to_string()),
                TokenTree::Group(group) => self.refer_tokens(&group.stream()),
                _ => {}
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn end_of_path(&mut self, path: &mut Path, line: usize) {
        if path.len() > 1 {
            self.refer(path, line);
        }
        path.clear();
    }

    fn skip(&mut self, item: &impl Spanned) {
        let span = item.span();
        self.test_lines += span.end().line + 1 - span.start().line;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match is_for_tests(attributes_of(item)) {
            true => self.skip(item),
            false => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        match is_for_tests(&item.attrs) {
            true => self.skip(item),
            false => visit::visit_impl_item_fn(self, item),
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let name = module.ident.to_string();
        self.modules
            .push((name.clone(), module.ident.span().start().line));
        self.here.push(name);
        visit::visit_item_mod(self, module);
        self.here.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            self.refer(&leaf.path, leaf.line);
        }
    }

    /// A single name was imported or made nearby, and counted there.
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Path = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if written.len() > 1 {
            self.refer(&written, path.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.refer_tokens(&called.tokens);
        visit::visit_macro(self, called);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.refer_tokens(&list.tokens);
        visit::visit_meta_list(self, list);
    }

    /// `pub(in crate::config)` says who may look, not whom one needs.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

fn attributes_of(item: &syn::Item) -> &[syn::Attribute] {
    use syn::Item;
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        // The enum is open, and what syn cannot read has no attributes to look at.
        _ => &[],
    }
}
