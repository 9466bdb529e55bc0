//! Merges copies of one list, each with its own gaps.

use std::collections::{BTreeSet, HashMap};

use crate::digest::Hash;
use crate::legacy::Item;

/// How many of each there are.
#[derive(Debug, Default)]
pub(crate) struct Multiset(HashMap<Hash, usize>);

impl Multiset {
    pub(crate) fn add(&mut self, hash: Hash) {
        *self.0.entry(hash).or_default() += 1;
    }

    /// Returns whether nothing was ever in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one out; returns whether there was one.
    pub(crate) fn take(&mut self, hash: &Hash) -> bool {
        match self.0.get_mut(hash) {
            Some(count @ 1..) => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Adds to `base` the items that only `other` has, each where it is in `other`, and returns how many copies differ in
/// anything other than their identity.
///
/// Every list keeps its order. An item that occurs several times in a list occurs as often in the result: it is matched
/// with the next equal item of `base` after the previous match, or else with the first that is left. Where both lists
/// continue separately, their items are ordered by time, as far as they have times.
pub(crate) fn merge(base: &mut Vec<Item>, other: Vec<Item>) -> usize {
    let mut places: HashMap<Hash, BTreeSet<usize>> = HashMap::new();
    for (at, item) in base.iter().enumerate() {
        places.entry(item.identity()).or_default().insert(at);
    }
    let mut variants = 0;
    let mut matched = vec![false; base.len()];
    // The items that only `other` has, by the number of the items of `base` before them.
    let mut besides: HashMap<usize, Vec<Item>> = HashMap::new();
    let mut after = 0;
    for item in other {
        let place = places.get_mut(&item.identity()).and_then(|left| {
            let at = left.range(after..).next().or_else(|| left.first()).copied()?;
            left.take(&at)
        });
        match place {
            Some(at) => {
                variants += usize::from(base.get(at).is_some_and(|same| same.whole() != item.whole()));
                matched[at] = true;
                after = at + 1;
            }
            None => besides.entry(after).or_default().push(item),
        }
    }
    if besides.is_empty() {
        return variants;
    }
    let mut merged = Vec::with_capacity(base.len() + besides.len());
    let mut rest = std::mem::take(base).into_iter().zip(matched).peekable();
    let mut before = 0;
    loop {
        if let Some(run) = besides.remove(&before) {
            let is_front = before == 0;
            for item in run {
                while let Some((own, _)) = rest.next_if(|(own, matched)| !matched && comes_first(own, &item, is_front))
                {
                    merged.push(own);
                    before += 1;
                }
                merged.push(item);
            }
        }
        match rest.next() {
            Some((own, _)) => merged.push(own),
            None => break,
        }
        before += 1;
    }
    *base = merged;
    variants
}

/// Returns whether an item of the base comes before one of the other list. At the front, where older items were cut
/// off, an unknown time favours the other list, elsewhere the base.
fn comes_first(own: &Item, other: &Item, is_front: bool) -> bool {
    match own.has_time && other.has_time {
        true => own.at <= other.at,
        false => !is_front,
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::Timestamp;
    use nofx_core::json::Object;

    use super::*;
    use crate::legacy::Same;

    /// Creates items from names such as `a` and `b@5`, the latter with a time.
    fn list(names: &str) -> Vec<Item> {
        let item = |name: &str| {
            let (id, time) = name.split_once('@').map_or((name, None), |(id, time)| (id, Some(time)));
            let time = time.map(|time| format!(r#","timestamp":"2025-01-01T00:00:0{time}.000Z""#));
            let object = format!(r#"{{"id":"{id}","content":""{}}}"#, time.unwrap_or_default());
            Item::new(&Object::parse(&object).unwrap(), Same::Message, &["timestamp"], Timestamp::default())
        };
        names.split_whitespace().map(item).collect()
    }

    fn merged(base: &str, other: &str) -> String {
        let mut items = list(base);
        merge(&mut items, list(other));
        let name = |item: &Item| {
            Object::parse(item.body.as_str()).unwrap().read::<nofx_core::json::Text>("id").unwrap().to_string()
        };
        items.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_copy_adds_nothing_and_a_part_adds_nothing() {
        assert_eq!(merged("a b c", "a b c"), "a b c");
        assert_eq!(merged("a b c", "b"), "a b c");
        assert_eq!(merged("a b c", ""), "a b c");
        assert_eq!(merged("", "a b"), "a b");
    }

    #[test]
    fn a_front_that_was_cut_off_comes_first() {
        assert_eq!(merged("c d", "a b c"), "a b c d");
        assert_eq!(merged("c d", "a b"), "a b c d");
        assert_eq!(merged("c@3 d@4", "a@1 b@2"), "a b c d");
    }

    #[test]
    fn an_end_that_went_on_elsewhere_is_put_in_by_time() {
        assert_eq!(merged("a@1 b@3 c@5", "a@1 x@2 y@4 z@6"), "a x b y c z");
        assert_eq!(merged("a b c", "a x"), "a b c x");
        assert_eq!(merged("a b c", "a x b"), "a x b c");
        assert_eq!(merged("a@1 b@2 c@3", "a@1 x@5 c@3 y@4"), "a b x c y");
    }

    #[test]
    fn what_occurs_twice_occurs_twice() {
        assert_eq!(merged("a a b", "a b"), "a a b");
        assert_eq!(merged("a b", "a b a"), "a b a");
        assert_eq!(merged("s a s", "s a s"), "s a s");
    }

    #[test]
    fn of_several_it_is_the_one_behind_what_stands_before_it() {
        assert_eq!(merged("r u r", "u r v"), "r u r v");
        assert_eq!(merged("r u r", "r u v r x"), "r u v r x");
    }

    #[test]
    fn lists_in_different_orders_lose_nothing() {
        assert_eq!(merged("a b c", "c x b y a z"), "a z b y c x");
        let (base, other) = ("a@5 b@1 c@9 d@2 a@3", "d@2 q@1 a@5 r@8 s@0 c@9 a@3 t@4 u@2");
        let mut all: Vec<_> = merged(base, other).split(' ').map(str::to_owned).collect();
        all.sort();
        assert_eq!(all.join(" "), "a a b c d q r s t u");
    }

    #[test]
    fn copies_that_differ_otherwise_are_counted() {
        let mut base = list("a@1 b@2");
        assert_eq!(merge(&mut base, list("a@3 b@2")), 1);
        assert_eq!(base.len(), 2);
    }
}
