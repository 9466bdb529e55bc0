//! A file as it was meant, and what is whole up to which byte of it.

/// A file as it was meant, and what is whole up to which byte of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    /// What is in it, each with its place.
    pub(super) things: Vec<Placed>,
    /// Whether an object in it has two members of one name.
    pub(super) repeats_names: bool,
}

/// A thing and where it is.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) thing: Thing,
}

/// What can be whole in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// The id of the session that follows.
    SessionId(String),
    Message(String),
    /// A task, by its id.
    Task(String),
    Template(String),
    /// A member of a session that is none of its lists, by its name.
    Member(String, String),
    /// An agent: its id, and all of it.
    Agent(String, String),
    /// The id of an agent, which comes first in it.
    AgentId(String),
    /// A checkpoint or a message between agents.
    Entry(String),
}

impl Draft {
    pub(super) fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes something that is a thing.
    pub(super) fn place(&mut self, json: &str, thing: Thing) {
        let from = self.text.len();
        self.put(json);
        self.things.push(Placed { from, to: self.text.len(), thing });
    }

    /// Writes the name of a member, behind a comma if it is not the first.
    pub(super) fn name(&mut self, name: &str) {
        let last = self.text.trim_end().chars().last();
        self.put(if last == Some('{') { "\n  " } else { ",\n  " });
        self.put(&nofx_core::json::quote(name));
        self.put(": ");
    }

    pub(super) fn member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.put(json);
    }

    /// Writes a member that is a thing. A number is whole where something follows it: half of one looks like one.
    pub(super) fn header(&mut self, name: &str, json: &str) {
        self.name(name);
        let from = self.text.len();
        self.put(json);
        let to = self.text.len() + usize::from(!json.ends_with(['"', '}', ']']));
        self.things.push(Placed { from, to, thing: Thing::Member(name.to_owned(), json.to_owned()) });
    }

    /// Writes a list of things.
    pub(super) fn list(&mut self, things: impl IntoIterator<Item = (String, Thing)>) {
        self.put("[");
        for (at, (json, thing)) in things.into_iter().enumerate() {
            self.put(if at == 0 { "\n    " } else { ",\n    " });
            self.place(&json, thing);
        }
        self.put("]");
    }

    /// Writes another draft here.
    pub(super) fn insert(&mut self, other: Draft) {
        let at = self.text.len();
        self.put(&other.text);
        let moved = |placed: Placed| Placed { from: placed.from + at, to: placed.to + at, thing: placed.thing };
        self.things.extend(other.things.into_iter().map(moved));
        self.repeats_names |= other.repeats_names;
    }
}
