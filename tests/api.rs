//! Owns the guard of the public API: `tests/api/surface.txt` lists what hosts are promised, and a change of it is a
//! line in a diff. The other public modules are public for tests and benches, and promise nothing. It reads syntax: `pub` items of `pub` modules, with their signatures; what a macro or a
//! derive adds is not seen, and what comes from a private module is seen by its name alone. Must never pass because it looked at nothing.
//!
//! `make api` writes the list anew. A line that goes or changes breaks hosts: it needs a minor version before 1.0.0
//! and a word in CHANGELOG.md.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::{Fields, ImplItem, Item, TraitItem, Visibility};

/// What a host uses. Modules inside them are theirs alone.
const PROMISED: [&str; 6] = [
    "mainstay",
    "mainstay::config",
    "mainstay::edge::balance",
    "mainstay::edge::dns",
    "mainstay::edge::plugin",
    "mainstay::edge::telemetry",
];
const LISTED: &str = "tests/api/surface.txt";
/// Set to write the list instead of comparing it.
const WRITE: &str = "MAINSTAY_WRITE_API";

/// The lines of one crate.
#[derive(Default)]
struct Surface {
    lines: BTreeSet<String>,
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// The source of a piece of syntax on one line, without its comments and attributes.
fn text(of: &impl Spanned) -> String {
    let source = of.span().source_text().expect("spans hold their text");
    let lines = source.lines().map(str::trim);
    let code: Vec<&str> = lines
        .filter(|line| !line.starts_with("//") && !line.starts_with("#["))
        .collect();
    let joined = code
        .join(" ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    joined
        .replace("( ", "(")
        .replace(", )", ")")
        .replace(" .", ".")
}

impl Surface {
    fn file(&mut self, file: &Path, folder: &Path, module: &str) {
        let source = std::fs::read_to_string(file).expect("a module has a file");
        let parsed = syn::parse_file(&source).expect("the crate compiles");
        for item in &parsed.items {
            self.item(item, folder, module);
        }
    }

    fn module(&mut self, name: &str, folder: &Path, module: &str) {
        let inner = folder.join(name);
        let flat = folder.join(format!("{name}.rs"));
        let file = if flat.exists() {
            flat
        } else {
            inner.join("mod.rs")
        };
        self.file(&file, &inner, &format!("{module}::{name}"));
    }

    /// `place` is a module, or a type in one.
    fn add(&mut self, place: &str, what: impl AsRef<str>) {
        let is_type = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
        let module = match place.rsplit_once("::") {
            Some((module, name)) if is_type(name) => module,
            _ => place,
        };
        if !PROMISED.contains(&module) {
            return;
        }
        let module = place;
        self.lines.insert(format!("{module}: {}", what.as_ref()));
    }

    fn item(&mut self, item: &Item, folder: &Path, module: &str) {
        match item {
            Item::Mod(it) if is_public(&it.vis) && it.content.is_none() => {
                self.module(&it.ident.to_string(), folder, module);
            }
            Item::Fn(it) if is_public(&it.vis) => self.add(module, text(&it.sig)),
            Item::Const(it) if is_public(&it.vis) => {
                self.add(module, format!("const {}: {}", it.ident, text(&it.ty)));
            }
            Item::Type(it) if is_public(&it.vis) => self.add(module, text(it)),
            Item::Use(it) if is_public(&it.vis) => self.add(module, text(it)),
            Item::Struct(it) if is_public(&it.vis) => {
                self.add(module, format!("struct {}", it.ident));
                self.fields(&it.fields, &format!("{module}::{}", it.ident));
            }
            Item::Enum(it) if is_public(&it.vis) => {
                for variant in &it.variants {
                    let line = format!("enum {} {{ {} }}", it.ident, text(variant));
                    self.add(module, line);
                }
            }
            Item::Trait(it) if is_public(&it.vis) => {
                self.add(module, format!("trait {}", it.ident));
                for method in &it.items {
                    if let TraitItem::Fn(method) = method {
                        self.add(&format!("{module}::{}", it.ident), text(&method.sig));
                    }
                }
            }
            Item::Impl(it) => self.implementation(it, module),
            _ => {}
        }
    }

    fn implementation(&mut self, it: &syn::ItemImpl, module: &str) {
        let name = text(&*it.self_ty);
        if let Some((_, path, _)) = &it.trait_ {
            self.add(module, format!("impl {} for {name}", text(path)));
            return;
        }
        let place = format!("{module}::{name}");
        for item in &it.items {
            match item {
                ImplItem::Fn(method) if is_public(&method.vis) => {
                    self.add(&place, text(&method.sig));
                }
                ImplItem::Const(it) if is_public(&it.vis) => {
                    self.add(&place, format!("const {}: {}", it.ident, text(&it.ty)));
                }
                _ => {}
            }
        }
    }

    fn fields(&mut self, fields: &Fields, place: &str) {
        for (position, field) in fields.iter().enumerate() {
            if is_public(&field.vis) {
                let name = field.ident.as_ref().map(ToString::to_string);
                let name = name.unwrap_or_else(|| position.to_string());
                self.add(place, format!("{name}: {}", text(&field.ty)));
            }
        }
    }
}

fn surface() -> BTreeSet<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut surface = Surface::default();
    surface.file(&root.join("lib.rs"), &root, "mainstay");
    surface.lines
}

#[test]
fn the_public_api_is_the_one_that_is_listed() {
    let present = surface();
    assert!(
        present.len() > 40,
        "only {} lines were found",
        present.len()
    );
    let known =
        "mainstay::edge::plugin::Mainstay: async fn handle(&self, session: &mut Session) -> bool";
    assert!(
        present.contains(known),
        "what every host calls was not found"
    );
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(LISTED);
    if std::env::var_os(WRITE).is_some() {
        let lines: Vec<&str> = present.iter().map(String::as_str).collect();
        std::fs::write(&file, lines.join("\n") + "\n").expect("the list can be written");
        return;
    }
    let listed = std::fs::read_to_string(&file).expect("the list is there");
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let gone: Vec<&String> = listed.difference(&present).collect();
    let new: Vec<&String> = present.difference(&listed).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "the public API has changed; `make api` writes it down\ngone: {gone:#?}\nnew: {new:#?}"
    );
}
