//! The public items of a crate, one a line, under each path by which another crate reaches them.

use std::collections::BTreeSet;

use syn::{
    Attribute, Fields, Generics, ImplItem, Item, ItemEnum, ItemImpl, ItemStruct, ItemTrait, Signature, TraitItem, Type,
};

use super::modules::{Module, ModulePath, Modules, Target, attributes, is_public, is_test, name_of, written};
use super::tokens::text;

/// One public item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PublicItem {
    /// By which another crate reaches it, such as `nofx_core::Batch::put`.
    pub(super) path: String,
    pub(super) sort: Sort,
    /// What the listing says of it.
    pub(super) line: String,
}

/// What a line of the listing is about, in the order in which lines of one path follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// A module, or a name for something of another crate.
    Way,
    /// What a user calls or names.
    Item,
    /// A field, a variant, or what a trait asks for: there because its type or trait is.
    Part,
    /// An implementation of a trait.
    Implementation,
}

/// Lists the public items of a crate, in the order of their paths.
pub(super) fn list(crate_name: &str, modules: &Modules) -> Vec<PublicItem> {
    let mut lister = Lister { modules, exported: Vec::new(), items: BTreeSet::new() };
    lister.export(&Vec::new(), crate_name);
    for (path, module, name) in lister.exported.clone() {
        let items = modules.get(&module).map(|module| module.items.as_slice()).unwrap_or_default();
        for item in items.iter().filter(|item| name_of(item).as_ref() == Some(&name)) {
            lister.item(&path, item);
        }
    }
    for (at, module) in modules.iter() {
        for item in &module.items {
            if let Item::Impl(implementation) = item {
                lister.implementation(at, implementation);
            }
        }
    }
    lister.items.into_iter().collect()
}

struct Lister<'a> {
    modules: &'a Modules,
    /// Public paths, and the module and name to which they lead.
    exported: Vec<(String, ModulePath, String)>,
    items: BTreeSet<PublicItem>,
}

impl Lister<'_> {
    fn add(&mut self, path: &str, attributes: &[Attribute], line: String) {
        self.add_sort(Sort::Item, path, attributes, line);
    }

    fn add_sort(&mut self, sort: Sort, path: &str, attributes: &[Attribute], line: String) {
        let line = format!("{}{line}", shown(attributes));
        self.items.insert(PublicItem { path: path.to_owned(), sort, line });
    }

    /// Notes what a module makes public under a path.
    fn export(&mut self, at: &ModulePath, path: &str) {
        let modules = self.modules;
        let Some(module) = modules.get(at) else { return };
        for (name, inner) in modules.inside(at).filter(|(_, inner)| inner.is_public) {
            self.module(&[at.as_slice(), std::slice::from_ref(name)].concat(), inner, &format!("{path}::{name}"));
        }
        for name in module.items.iter().filter(|item| is_public_item(item)).filter_map(name_of) {
            self.exported.push((format!("{path}::{name}"), at.clone(), name));
        }
        for import in module.imports.iter().filter(|import| import.is_public) {
            let target = modules.resolve(at, &import.path);
            let name = import.name.as_ref().map(|name| format!("{path}::{name}"));
            match (target, name) {
                (Target::Module(inner), None) => self.export(&inner, path),
                (Target::Module(inner), Some(name)) => {
                    if let Some(module) = modules.get(&inner) {
                        self.module(&inner, module, &name);
                    }
                }
                (Target::Item(module, item), Some(name)) => self.exported.push((name, module, item)),
                (Target::Item(..), None) => {}
                (Target::Foreign(from), Some(name)) => {
                    self.add_sort(
                        Sort::Way,
                        &name,
                        &import.attributes,
                        format!("pub use {name} = {}", from.join("::")),
                    );
                }
                (Target::Foreign(from), None) => {
                    let from = from.join("::");
                    self.add_sort(
                        Sort::Way,
                        &format!("{path}::*"),
                        &import.attributes,
                        format!("pub use {path}::* = {from}::*"),
                    );
                }
            }
        }
    }

    fn module(&mut self, at: &ModulePath, module: &Module, path: &str) {
        self.add_sort(Sort::Way, path, &module.attributes, format!("pub mod {path}"));
        self.export(at, path);
    }

    fn item(&mut self, path: &str, item: &Item) {
        match item {
            Item::Const(found) => self.add(path, &found.attrs, format!("pub const {path}: {}", text(&found.ty))),
            Item::Static(found) => self.add(path, &found.attrs, format!("pub static {path}: {}", text(&found.ty))),
            Item::Fn(found) => self.add(path, &found.attrs, format!("pub {}", signature(path, &found.sig))),
            Item::Type(found) => {
                let line = format!("pub type {path}{} = {}", text(&found.generics), text(&found.ty));
                self.add(path, &found.attrs, line);
            }
            Item::Struct(found) => self.structure(path, found),
            Item::Enum(found) => self.enumeration(path, found),
            Item::Trait(found) => self.contract(path, found),
            other => self.add(path, attributes(other), format!("pub {path}")),
        }
    }

    fn structure(&mut self, path: &str, found: &ItemStruct) {
        let fields = match &found.fields {
            Fields::Unnamed(fields) => {
                let shown = |field: &syn::Field| if is_public(&field.vis) { text(&field.ty) } else { "_".to_owned() };
                format!("({})", fields.unnamed.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            fields if fields.iter().any(|field| !is_public(&field.vis)) => " { .. }".to_owned(),
            _ => String::new(),
        };
        let line = format!("pub struct {path}{}{fields}{}", text(&found.generics), condition(&found.generics));
        self.add(path, &found.attrs, line);
        self.fields(path, &found.fields);
    }

    fn fields(&mut self, path: &str, fields: &Fields) {
        for field in fields.iter().filter(|field| is_public(&field.vis)) {
            if let Some(name) = &field.ident {
                let path = format!("{path}::{name}");
                self.add_sort(Sort::Part, &path, &field.attrs, format!("pub {path}: {}", text(&field.ty)));
            }
        }
    }

    fn enumeration(&mut self, path: &str, found: &ItemEnum) {
        let generics = &found.generics;
        self.add(path, &found.attrs, format!("pub enum {path}{}{}", text(generics), condition(generics)));
        for variant in &found.variants {
            let path = format!("{path}::{}", variant.ident);
            let typed = |field: &syn::Field| match &field.ident {
                Some(name) => format!("{name}: {}", text(&field.ty)),
                None => text(&field.ty),
            };
            let fields = variant.fields.iter().map(typed).collect::<Vec<_>>().join(", ");
            let fields = match &variant.fields {
                Fields::Named(_) => format!(" {{ {fields} }}"),
                Fields::Unnamed(_) => format!("({fields})"),
                Fields::Unit => String::new(),
            };
            self.add_sort(Sort::Part, &path, &variant.attrs, format!("pub {path}{fields}"));
        }
    }

    fn contract(&mut self, path: &str, found: &ItemTrait) {
        let bounds = match found.supertraits.is_empty() {
            true => String::new(),
            false => format!(": {}", text(&found.supertraits)),
        };
        let line = format!("pub trait {path}{}{bounds}{}", text(&found.generics), condition(&found.generics));
        self.add(path, &found.attrs, line);
        for item in &found.items {
            match item {
                TraitItem::Fn(item) => {
                    let path = format!("{path}::{}", item.sig.ident);
                    let provided = if item.default.is_some() { " { .. }" } else { "" };
                    self.add_sort(Sort::Part, &path, &item.attrs, format!("{}{provided}", signature(&path, &item.sig)));
                }
                TraitItem::Const(item) => {
                    let path = format!("{path}::{}", item.ident);
                    let provided = if item.default.is_some() { " = .." } else { "" };
                    self.add_sort(
                        Sort::Part,
                        &path,
                        &item.attrs,
                        format!("const {path}: {}{provided}", text(&item.ty)),
                    );
                }
                TraitItem::Type(item) => {
                    let path = format!("{path}::{}", item.ident);
                    let bounds = text(&item.bounds);
                    let bounds = if bounds.is_empty() { bounds } else { format!(": {bounds}") };
                    self.add_sort(Sort::Part, &path, &item.attrs, format!("type {path}{bounds}"));
                }
                _ => {}
            }
        }
    }

    fn implementation(&mut self, at: &ModulePath, found: &ItemImpl) {
        let (of, parameters) = match &*found.self_ty {
            Type::Path(path) => {
                let parameters = path.path.segments.last().map(|last| text(&last.arguments));
                (self.modules.resolve(at, &names(&path.path)), parameters.unwrap_or_default())
            }
            _ => (Target::Foreign(Vec::new()), String::new()),
        };
        let paths = self.public_paths(&of);
        let Some((of_trait, _)) = &found.trait_ else {
            paths.iter().for_each(|path| self.inherent(path, found));
            return;
        };
        let contract = self.modules.resolve(at, &names(of_trait));
        if matches!(contract, Target::Item(..)) && self.public_paths(&contract).is_empty() {
            return;
        }
        let begin = format!("impl{} {}", text(&found.generics), text(of_trait));
        let condition = condition(&found.generics);
        let named = paths.iter().map(|path| (path.clone(), format!("{path}{parameters}")));
        // Of a type of another crate: listed with the trait.
        let foreign = matches!(of, Target::Foreign(_)).then(|| self.public_paths(&contract)).unwrap_or_default();
        let foreign = foreign.into_iter().map(|path| (path, text(&found.self_ty)));
        for (path, of) in named.chain(foreign) {
            let line = format!("{}{begin} for {of}{condition}", shown(&found.attrs));
            self.items.insert(PublicItem { path, sort: Sort::Implementation, line });
        }
    }

    fn inherent(&mut self, path: &str, found: &ItemImpl) {
        let of = |attributes: &[Attribute]| [&found.attrs, attributes].concat();
        for item in &found.items {
            match item {
                ImplItem::Fn(item) if is_public(&item.vis) && !is_test(&item.attrs) => {
                    let path = format!("{path}::{}", item.sig.ident);
                    self.add(&path, &of(&item.attrs), format!("pub {}", signature(&path, &item.sig)));
                }
                ImplItem::Const(item) if is_public(&item.vis) && !is_test(&item.attrs) => {
                    let path = format!("{path}::{}", item.ident);
                    self.add(&path, &of(&item.attrs), format!("pub const {path}: {}", text(&item.ty)));
                }
                _ => {}
            }
        }
    }

    /// Returns the paths by which another crate reaches an item; none if it is private.
    fn public_paths(&self, target: &Target) -> Vec<String> {
        let Target::Item(module, name) = target else { return Vec::new() };
        let leads_there = |(_, at, item): &&(String, ModulePath, String)| (at, item) == (module, name);
        self.exported.iter().filter(leads_there).map(|(path, ..)| path.clone()).collect()
    }
}

/// Writes a function's signature under its path. That an argument may be changed inside concerns no caller.
fn signature(path: &str, signature: &Signature) -> String {
    let plain = text(signature).replace("(mut ", "(").replace(", mut ", ", ");
    plain.replacen(&format!("fn {}", signature.ident), &format!("fn {path}"), 1)
}

fn condition(generics: &Generics) -> String {
    generics.where_clause.as_ref().map(|condition| format!(" {}", text(condition))).unwrap_or_default()
}

/// Writes the attributes that a user of the item has to know.
fn shown(attributes: &[Attribute]) -> String {
    let begins = ["#[cfg(", "#[deprecated", "#[doc(hidden)", "#[non_exhaustive"];
    let shown = written(attributes).filter(|attribute| begins.iter().any(|begin| attribute.starts_with(begin)));
    shown.map(|attribute| attribute + " ").collect()
}

fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn is_public_item(item: &Item) -> bool {
    match item {
        Item::Const(item) => is_public(&item.vis),
        Item::Enum(item) => is_public(&item.vis),
        Item::Fn(item) => is_public(&item.vis),
        Item::Static(item) => is_public(&item.vis),
        Item::Struct(item) => is_public(&item.vis),
        Item::Trait(item) => is_public(&item.vis),
        Item::Type(item) => is_public(&item.vis),
        Item::Union(item) => is_public(&item.vis),
        _ => false,
    }
}
