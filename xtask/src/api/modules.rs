//! The modules of a crate as the compiler sees them without tests: read from its files, with the crate's own macros expanded.

use std::collections::{BTreeMap, VecDeque};

use syn::{Attribute, Item, ItemMacro, ItemMod, UseTree, Visibility};

use super::expand::Macro;
use super::tokens::text;
use crate::Result;
use crate::tree::Tree;

/// The names of the modules from the crate's root to one of them, which is empty for the root.
pub(super) type ModulePath = Vec<String>;

/// A crate's modules.
#[derive(Default)]
pub(super) struct Modules(BTreeMap<ModulePath, Module>);

/// One module: its items other than modules, macros and imports, and its names for what is defined elsewhere.
#[derive(Default)]
pub(super) struct Module {
    pub(super) is_public: bool,
    pub(super) attributes: Vec<Attribute>,
    pub(super) items: Vec<Item>,
    pub(super) imports: Vec<Import>,
}

/// One name of a `use`, or everything of a module.
pub(super) struct Import {
    pub(super) is_public: bool,
    pub(super) attributes: Vec<Attribute>,
    pub(super) path: Vec<String>,
    /// `None` for everything.
    pub(super) name: Option<String>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Module(ModulePath),
    /// The items of this name in a module: one, or one for each namespace or system.
    Item(ModulePath, String),
    /// A path into another crate.
    Foreign(Vec<String>),
}

impl Modules {
    /// Reads a crate from its root file.
    pub(super) fn read(tree: &Tree, root: &str) -> Result<Self> {
        let macros = macros(tree, root)?;
        let mut modules = Self::default();
        let mut files = VecDeque::from([(Vec::new(), root.to_owned())]);
        while let Some((path, file)) = files.pop_front() {
            let reading = |error| format!("cannot parse {file}: {error}");
            let parsed = syn::parse_file(tree.text(&file)).map_err(reading)?;
            let folder = match file.strip_suffix("/mod.rs").or_else(|| file.strip_suffix("/lib.rs")) {
                Some(folder) => folder.to_owned(),
                None => file.trim_end_matches(".rs").to_owned(),
            };
            modules.add(tree, &macros, &path, &folder, parsed.items, &mut files)?;
        }
        Ok(modules)
    }

    /// Adds items to a module, and those of its inline modules; `files` receives the modules in files of their own.
    fn add(
        &mut self,
        tree: &Tree,
        macros: &BTreeMap<String, Macro>,
        path: &ModulePath,
        folder: &str,
        items: Vec<Item>,
        files: &mut VecDeque<(ModulePath, String)>,
    ) -> Result {
        self.0.entry(path.clone()).or_default();
        let mut items = VecDeque::from(items);
        // Another file may have a macro of the same name.
        let mut own: BTreeMap<String, Macro> = BTreeMap::new();
        while let Some(item) = items.pop_front() {
            match item {
                item if is_test(attributes(&item)) => {}
                Item::Mod(mut module) => {
                    let name = module.ident.to_string();
                    let inner = [path.as_slice(), std::slice::from_ref(&name)].concat();
                    let content = module.content.take();
                    let found = self.0.entry(inner.clone()).or_default();
                    found.is_public = is_public(&module.vis);
                    found.attributes.clone_from(&module.attrs);
                    match content {
                        Some((_, content)) => {
                            self.add(tree, macros, &inner, &format!("{folder}/{name}"), content, files)?;
                        }
                        None => {
                            files.extend(files_of(tree, folder, &module)?.into_iter().map(|file| (inner.clone(), file)))
                        }
                    }
                }
                Item::Use(found) => {
                    let imports = &mut self.0.entry(path.clone()).or_default().imports;
                    imports_of(&found.tree, Vec::new(), &mut |path, name| {
                        let attributes = found.attrs.clone();
                        imports.push(Import { is_public: is_public(&found.vis), attributes, path, name });
                    });
                }
                Item::Macro(ItemMacro { ident: Some(name), mac, .. }) => {
                    own.entry(name.to_string()).or_default().define(mac.tokens);
                }
                Item::Macro(call) => {
                    let Some(name) = call.mac.path.segments.last().map(|last| last.ident.to_string()) else { continue };
                    let Some(definition) = own.get(&name).or_else(|| macros.get(&name)) else { continue };
                    let expanded = definition.expand(call.mac.tokens);
                    let parsed = expanded.and_then(|tokens| Ok(syn::parse2::<syn::File>(tokens)?));
                    let parsed = parsed.map_err(|error| format!("{folder}: `{name}!`: {error}"))?;
                    parsed.items.into_iter().rev().for_each(|item| items.push_front(item));
                }
                item => self.0.entry(path.clone()).or_default().items.push(item),
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, path: &ModulePath) -> Option<&Module> {
        self.0.get(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ModulePath, &Module)> {
        self.0.iter()
    }

    /// Returns the modules directly inside another, with their names.
    pub(super) fn inside<'a>(&'a self, path: &'a ModulePath) -> impl Iterator<Item = (&'a String, &'a Module)> {
        self.0.iter().filter_map(move |(inner, module)| match inner.split_last() {
            Some((name, outer)) if outer == path => Some((name, module)),
            _ => None,
        })
    }

    /// Follows a path that is written in a module.
    pub(super) fn resolve(&self, from: &ModulePath, path: &[String]) -> Target {
        self.follow(from, path, &mut Vec::new()).unwrap_or_else(|| Target::Foreign(path.to_vec()))
    }

    /// Follows a path; `None` if no part of this crate has its first name. `passed` are the names already asked for.
    fn follow(
        &self,
        from: &ModulePath,
        path: &[String],
        passed: &mut Vec<(ModulePath, Vec<String>)>,
    ) -> Option<Target> {
        let asked = (from.clone(), path.to_vec());
        if passed.contains(&asked) {
            return None;
        }
        passed.push(asked);
        let found = self.follow_names(from, path, passed);
        passed.pop();
        found
    }

    fn follow_names(
        &self,
        from: &ModulePath,
        path: &[String],
        passed: &mut Vec<(ModulePath, Vec<String>)>,
    ) -> Option<Target> {
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(from.clone())) };
        match name.as_str() {
            "crate" => return self.follow(&Vec::new(), rest, passed),
            "self" => return self.follow(from, rest, passed),
            "super" => return self.follow(&from[..from.len().checked_sub(1)?].to_vec(), rest, passed),
            _ => {}
        }
        let module = self.get(from)?;
        let inner = [from.as_slice(), std::slice::from_ref(name)].concat();
        if rest.is_empty() {
            if module.items.iter().any(|item| name_of(item).as_ref() == Some(name)) {
                return Some(Target::Item(from.clone(), name.clone()));
            }
        } else if self.0.contains_key(&inner) {
            return self.follow(&inner, rest, passed);
        }
        for import in module.imports.iter().filter(|import| import.name.as_ref() == Some(name)) {
            match self.follow(from, &import.path, passed) {
                Some(Target::Module(found)) => return self.follow(&found, rest, passed),
                Some(Target::Item(module, item)) if rest.is_empty() => return Some(Target::Item(module, item)),
                Some(Target::Foreign(path)) => return Some(Target::Foreign([&path, rest].concat())),
                Some(Target::Item(..)) => {}
                None => return Some(Target::Foreign([&import.path, rest].concat())),
            }
        }
        if self.0.contains_key(&inner) {
            return self.follow(&inner, rest, passed);
        }
        let everything = module.imports.iter().filter(|import| import.name.is_none());
        for import in everything {
            if let Some(Target::Module(found)) = self.follow(from, &import.path, passed)
                && let Some(target) = self.follow(&found, path, passed)
            {
                return Some(target);
            }
        }
        None
    }
}

/// Collects the macros that the files of a crate define; those of one name become one.
fn macros(tree: &Tree, root: &str) -> Result<BTreeMap<String, Macro>> {
    let folder = root.trim_end_matches("lib.rs");
    let mut macros: BTreeMap<String, Macro> = BTreeMap::new();
    for (path, file) in tree.files().filter(|(path, _)| path.starts_with(folder) && path.ends_with(".rs")) {
        if !file.contains("macro_rules!") {
            continue;
        }
        let parsed = syn::parse_file(file).map_err(|error| format!("cannot parse {path}: {error}"))?;
        for item in parsed.items {
            if let Item::Macro(definition) = item
                && let Some(name) = definition.ident
            {
                macros.entry(name.to_string()).or_default().define(definition.mac.tokens);
            }
        }
    }
    Ok(macros)
}

/// Returns the files of a module: one, or with `cfg_attr` one for each system.
fn files_of(tree: &Tree, folder: &str, module: &ItemMod) -> Result<Vec<String>> {
    let named: Vec<_> = module
        .attrs
        .iter()
        .filter_map(|attribute| {
            let attribute = text(attribute);
            let (_, path) = attribute.split_once("path = \"")?;
            Some(format!("{folder}/{}", path.split_once('"')?.0))
        })
        .collect();
    if !named.is_empty() {
        return Ok(named);
    }
    let candidates = [format!("{folder}/{}.rs", module.ident), format!("{folder}/{}/mod.rs", module.ident)];
    let found = candidates.into_iter().find(|file| !tree.text(file).is_empty());
    found.map(|file| vec![file]).ok_or_else(|| format!("{folder}: no file of the module `{}`", module.ident).into())
}

/// Adds the names of a `use` behind the path that leads to this part of it.
fn imports_of(tree: &UseTree, mut path: Vec<String>, add: &mut impl FnMut(Vec<String>, Option<String>)) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            imports_of(&inner.tree, path, add);
        }
        UseTree::Group(group) => group.items.iter().for_each(|inner| imports_of(inner, path.clone(), add)),
        UseTree::Glob(_) => add(path, None),
        UseTree::Name(name) => {
            path.extend(Some(name.ident.to_string()).filter(|name| name != "self"));
            let name = path.last().cloned();
            add(path, name);
        }
        UseTree::Rename(renamed) => {
            path.extend(Some(renamed.ident.to_string()).filter(|name| name != "self"));
            add(path, Some(renamed.rename.to_string()));
        }
    }
}

pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns whether only tests have the item.
pub(super) fn is_test(attributes: &[Attribute]) -> bool {
    let only = ["#[cfg(test)]", "#[cfg(doctest)]", "#[test]"];
    written(attributes).any(|attribute| only.contains(&&*attribute) || attribute.starts_with("#[cfg(all(test,"))
}

/// Writes the attributes other than documentation.
pub(super) fn written(attributes: &[Attribute]) -> impl Iterator<Item = String> {
    attributes.iter().filter(|attribute| !matches!(attribute.meta, syn::Meta::NameValue(_))).map(text)
}

/// Returns the name of an item that has one and can be imported.
pub(super) fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
