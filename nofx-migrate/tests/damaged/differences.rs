//! Compares what was found with the truth.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use nofx_core::json::Object;
use nofx_migrate::Report;
use nofx_testkit::legacy::{IntactSession, Truth};

use super::found::{Found, FoundSession, Json, json};

/// Returns everything that is wrong.
pub(crate) fn differences(truth: &Truth, found: &Found, report: &Report) -> Vec<String> {
    let mut differences = Differences { wrong: differences_in_store(truth, found) };
    differences.report(truth, report);
    differences.wrong
}

/// Returns everything in the store that is wrong.
pub(crate) fn differences_in_store(truth: &Truth, found: &Found) -> Vec<String> {
    let mut differences = Differences { wrong: Vec::new() };
    differences.sessions(truth, found);
    differences.agents(truth, found);
    differences.logs(truth, found);
    differences.attachments(truth, found);
    differences.wrong
}

struct Differences {
    wrong: Vec<String>,
}

/// What makes copies of one message: its id and content.
fn identity(message: &str) -> (Json, Json) {
    let object = Object::parse(message).unwrap();
    let part = |name: &str| json(object.get(name).unwrap_or("null"));
    (part("id"), part("content"))
}

fn text(json: &Json) -> String {
    String::from_utf8_lossy(json).into_owned()
}

fn counted<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    items.into_iter().for_each(|item| *counts.entry(item).or_default() += 1);
    counts
}

/// Returns each item as often as it is in the list that has it most often.
fn union<T: Ord>(lists: impl IntoIterator<Item = Vec<T>>) -> BTreeMap<T, usize> {
    let mut most: BTreeMap<T, usize> = BTreeMap::new();
    for list in lists {
        for (item, count) in counted(list) {
            let known = most.entry(item).or_default();
            *known = count.max(*known);
        }
    }
    most
}

/// Returns whether a list has all items of another in their order.
fn has_in_order<T: PartialEq>(list: &[T], part: &[T]) -> bool {
    let mut rest = list.iter();
    part.iter().all(|wanted| rest.any(|item| item == wanted))
}

impl Differences {
    fn check(&mut self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.wrong.push(what());
        }
    }

    fn same<T: Debug + PartialEq>(&mut self, what: &str, wanted: &T, found: &T) {
        self.check(wanted == found, || {
            format!("{what}: {:.400} instead of {:.400}", format!("{found:?}"), format!("{wanted:?}"))
        });
    }

    fn sessions(&mut self, truth: &Truth, found: &Found) {
        for id in found.sessions.keys() {
            let is_known = truth.sessions.contains_key(id) || truth.perhaps.contains(id);
            self.check(is_known, || format!("session {id:?} is made up"));
        }
        for (id, copies) in &truth.sessions {
            let Some(session) = found.sessions.get(id) else {
                self.wrong.push(format!("session {id:?} is missing"));
                continue;
            };
            let identities: Vec<_> = session.messages.iter().map(|message| identity(message)).collect();
            let of_copies: Vec<Vec<_>> =
                copies.iter().map(|copy| copy.messages.iter().map(|message| identity(message)).collect()).collect();
            let named = |counts: BTreeMap<(Json, Json), usize>| -> BTreeMap<String, usize> {
                counts.into_iter().map(|((id, content), count)| (text(&id) + " " + &text(&content), count)).collect()
            };
            let (wanted, there) = (named(union(of_copies.clone())), named(counted(identities.clone())));
            self.same(&format!("messages of {id:?}"), &wanted, &there);
            // If a message occurs several times, it is not known which one a copy has.
            let is_once = |one: &&(Json, Json)| identities.iter().filter(|other| other == one).count() == 1;
            for copy in &of_copies {
                let copy: Vec<_> = copy.iter().filter(is_once).cloned().collect();
                // If copies contradict each other, no order fits all of them.
                let is_agreed = |other: &Vec<(Json, Json)>| {
                    let common: Vec<_> = copy.iter().filter(|one| other.contains(one)).cloned().collect();
                    has_in_order(other, &common)
                };
                let is_right = has_in_order(&identities, &copy) || !of_copies.iter().all(is_agreed);
                self.check(is_right, || format!("messages of {id:?} are in another order"));
            }
            let exactly: BTreeSet<Json> =
                copies.iter().flat_map(|copy| &copy.messages).map(|message| json(message)).collect();
            for message in session.messages.iter().filter(|message| !exactly.contains(&json(message))) {
                self.wrong.push(format!("a message of {id:?} is not as it was: {message}"));
            }
            let tasks = union(copies.iter().map(|copy| copy.tasks.clone()));
            self.same(&format!("tasks of {id:?}"), &tasks, &counted(session.tasks.clone()));
            self.header(id, copies, session);
        }
        for template in &truth.templates {
            let is_there = found.templates.contains(&json(template));
            self.check(is_there, || format!("a template is missing: {template}"));
        }
    }

    /// The copy that was active last takes precedence; the others complete it.
    fn header(&mut self, id: &str, copies: &[IntactSession], session: &FoundSession) {
        let members = |copy: &IntactSession| copy.members.iter().cloned().collect::<BTreeMap<String, String>>();
        let active = |copy: &IntactSession| members(copy).remove("lastActiveAt");
        let last = copies.iter().map(active).max().flatten();
        let newest: Vec<_> = copies.iter().filter(|copy| active(copy) == last).map(members).collect();
        let Some(one) = newest.first() else { return };
        for name in one.keys() {
            let there = session.header.get(name).map(json);
            let may_be = newest.iter().any(|members| members.get(name).map(|value| json(value)) == there);
            self.check(may_be, || format!("`{name}` of session {id:?} is {:?}", session.header.get(name)));
        }
    }

    fn agents(&mut self, truth: &Truth, found: &Found) {
        for id in found.agents.keys() {
            let is_known = truth.agents.contains_key(id) || truth.cut_agents.contains(id);
            self.check(is_known, || format!("agent {id:?} is made up"));
        }
        // Its template is compared with the others.
        let alone = |agent: &Object| {
            let mut agent = agent.clone();
            agent.remove("template");
            agent.to_json()
        };
        for (id, agent) in &truth.agents {
            match found.agents.get(id) {
                None => self.wrong.push(format!("agent {id:?} is missing")),
                Some(found) => {
                    let (wanted, there) = (alone(&Object::parse(agent).unwrap()), alone(found));
                    self.check(json(&wanted) == json(&there), || format!("agent {id:?}: {there} instead of {wanted}"));
                }
            }
        }
    }

    fn logs(&mut self, truth: &Truth, found: &Found) {
        for (agent, lists) in &truth.checkpoints {
            let lists: Vec<Vec<Json>> = lists.iter().map(|list| list.iter().map(|one| json(one)).collect()).collect();
            let there = found.checkpoints.get(agent).cloned().unwrap_or_default();
            self.same(&format!("checkpoints of {agent:?}"), &union(lists.clone()), &counted(there.clone()));
            for list in &lists {
                self.check(has_in_order(&there, list), || format!("checkpoints of {agent:?} are in another order"));
            }
        }
        for (agent, texts) in &truth.transcripts {
            let there = found.transcripts.get(agent).cloned().unwrap_or_default();
            let is_right = has_in_order(&there, texts);
            self.check(is_right, || format!("the transcript of {agent:?} is {there:?} instead of {texts:?}"));
        }
        let there: Vec<_> = found.orchestration.iter().map(text).collect();
        let folders = truth.orchestration.iter();
        let folders = folders.map(|(name, all)| (name, all.iter().map(|one| text(&json(one))).collect::<Vec<_>>()));
        let folders: Vec<_> = folders.collect();
        let all = folders.iter().flat_map(|(_, all)| all);
        self.same("messages between agents", &counted(all), &counted(&there));
        for (folder, all) in &folders {
            self.check(has_in_order(&there, all), || format!("the messages of {folder} are in another order"));
        }
    }

    fn attachments(&mut self, truth: &Truth, found: &Found) {
        for (path, bytes) in &truth.kept {
            let kept = found.attachments.get(path);
            self.check(kept == Some(bytes), || match kept {
                Some(_) => format!("{path} is kept with other bytes"),
                None => format!("{path} is not kept"),
            });
        }
        for (path, lines) in truth.kept_lines.iter().filter(|(path, _)| !found.attachments.contains_key(*path)) {
            let prefix = format!("{path}#");
            let there = found.attachments.iter().filter(|(part, _)| part.starts_with(&prefix)).map(|(_, bytes)| bytes);
            self.same(&format!("bad lines of {path}"), &counted(lines), &counted(there));
        }
        for path in found.attachments.keys() {
            let file = path.rsplit_once('#').map_or(path.as_str(), |(file, _)| file);
            let may_be = truth.kept.contains_key(path)
                || truth.may_be_kept.contains(file)
                || truth.kept_lines.contains_key(file);
            self.check(may_be, || format!("{path} is intact but kept"));
        }
    }

    fn report(&mut self, truth: &Truth, report: &Report) {
        self.check(report.is_complete(), || format!("the report says that something is missing: {report}"));
        let named: BTreeSet<&str> = report.findings.iter().map(|finding| finding.path.as_str()).collect();
        for path in truth.damaged.iter().filter(|path| !named.contains(path.as_str())) {
            self.wrong.push(format!("the report does not say that {path} is damaged"));
        }
        let skipped: BTreeSet<String> = report.skipped.iter().map(|skipped| skipped.path.clone()).collect();
        self.same("what is no file", &truth.skipped, &skipped);
        for file in report.files.iter().map(|file| file.unwrap()) {
            if let Some(unused) = truth.unused.get(&file.path) {
                let from = file.unused.first().map_or(file.size, |first| first.from) as usize;
                let to = file.unused.last().map_or(file.size, |last| last.to) as usize;
                let is_right = unused.from.contains(&from) && to == unused.to;
                self.check(is_right, || {
                    format!("{}: {:?} become nothing instead of {unused:?}", file.path, file.unused)
                });
            }
            for (kind, count) in truth.counts.get(&file.path).into_iter().flatten() {
                let told = file.counts.get(*kind).copied().unwrap_or_default();
                self.same(&format!("{kind} in {}", file.path), count, &told);
            }
        }
    }
}
