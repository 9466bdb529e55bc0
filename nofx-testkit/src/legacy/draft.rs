//! A file as it was meant to be, and how much of it is intact up to which byte.

/// A file as it was meant to be, and how much of it is intact up to which byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    /// Its contents, each with its place.
    pub(super) things: Vec<Placed>,
    /// Whether an object in it has two members with the same name.
    pub(super) repeats_names: bool,
}

/// An item and its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) thing: Thing,
}

/// What can be intact in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    /// The id of the session that follows.
    SessionId(String),
    Message(String),
    /// A task, by its id.
    Task(String),
    Template(String),
    /// A member of a session other than its lists, by name.
    Member(String, String),
    /// An agent: its id, and its whole text.
    Agent(String, String),
    /// The id of an agent, which is its first member.
    AgentId(String),
    /// A checkpoint or a message between agents.
    Entry(String),
}

impl Draft {
    pub(super) fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes an item.
    pub(super) fn place(&mut self, json: &str, thing: Thing) {
        let from = self.text.len();
        self.put(json);
        self.things.push(Placed { from, to: self.text.len(), thing });
    }

    /// Writes the name of a member, after a comma if it is not the first.
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

    /// Writes a member that is an item. A number is intact only if something follows it: half a number looks like
    /// a whole one.
    pub(super) fn header(&mut self, name: &str, json: &str) {
        self.name(name);
        let from = self.text.len();
        self.put(json);
        let to = self.text.len() + usize::from(!json.ends_with(['"', '}', ']']));
        self.things.push(Placed { from, to, thing: Thing::Member(name.to_owned(), json.to_owned()) });
    }

    /// Writes a list of items.
    pub(super) fn list(&mut self, things: impl IntoIterator<Item = (String, Thing)>) {
        self.put("[");
        for (at, (json, thing)) in things.into_iter().enumerate() {
            self.put(if at == 0 { "\n    " } else { ",\n    " });
            self.place(&json, thing);
        }
        self.put("]");
    }

    /// Inserts another draft here.
    pub(super) fn insert(&mut self, other: Draft) {
        let at = self.text.len();
        self.put(&other.text);
        let moved = |placed: Placed| Placed { from: placed.from + at, to: placed.to + at, thing: placed.thing };
        self.things.extend(other.things.into_iter().map(moved));
        self.repeats_names |= other.repeats_names;
    }
}
