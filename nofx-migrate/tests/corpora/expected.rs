//! The ground truth of a corpus.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Named values, as text.
pub(crate) type Values = BTreeMap<String, String>;

/// What the importer should find in a corpus.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) agents: BTreeMap<String, Values>,
    pub(crate) sessions: BTreeMap<String, Values>,
    pub(crate) messages: BTreeMap<String, Vec<String>>,
    /// How many messages a session has of which the ground truth knows only the first.
    pub(crate) unions: BTreeMap<String, usize>,
    pub(crate) tasks: BTreeMap<String, Vec<String>>,
    pub(crate) templates: BTreeSet<String>,
    pub(crate) orchestration: Vec<String>,
    pub(crate) checkpoints: BTreeMap<String, Vec<String>>,
    pub(crate) transcripts: BTreeMap<String, Vec<String>>,
    /// The digest of each file that must be attached.
    pub(crate) attachments: BTreeMap<String, String>,
    damaged: BTreeSet<String>,
}

impl Expected {
    pub(crate) fn read(json: &str) -> Result<Self, serde_json::Error> {
        let truth: Value = serde_json::from_str(json)?;
        let mut expected = Self { damaged: strings(&truth["damage"], "file").collect(), ..Self::default() };
        expected.agents(&truth);
        for (id, session) in entries(&truth["sessions"]) {
            expected.session(id, session);
        }
        for damage in list(&truth["damage"]) {
            expected.diverged(damage);
        }
        expected.templates.extend(
            entries(&truth["templates"]["byHash"])
                .filter(|(_, it)| it["id"] != "(string)")
                .map(|(hash, _)| hash.clone()),
        );
        // A bare configuration becomes no template; that it is attached is checked below.
        let files = list(&truth["templateFiles"]).filter(|it| !text(&it["file"]).ends_with(".config.json"));
        expected.templates.extend(files.map(|file| text(&file["canonicalSha256"])));
        expected.orchestration(&truth);
        expected.texts(&truth);
        expected.attachments(&truth);
        Ok(expected)
    }

    /// Returns whether a file may be attached: it must be, it is damaged, or it is of a kind that is always attached.
    pub(crate) fn may_be_attached(&self, path: &str) -> bool {
        let part = path.rsplit_once('#').map_or(path, |(file, _)| file);
        [path, part]
            .iter()
            .any(|file| self.attachments.contains_key(*file) || self.damaged.contains(*file) || file.ends_with(".md"))
    }

    fn agents(&mut self, truth: &Value) {
        for agent in list(&truth["agents"]).filter(|agent| agent["inAgentsJson"] == true) {
            let mut values = Values::new();
            // The ground truth is from before `agents.json` was made odd on purpose.
            if !self.damaged.contains("agents.json") {
                for (name, member) in [
                    ("name", "name"),
                    ("type", "type"),
                    ("status", "status"),
                    ("tasks_completed", "tasksCompleted"),
                    ("created_at", "startTime"),
                ] {
                    insert(&mut values, name, &agent[member]);
                }
                insert(&mut values, "current_task", &agent["currentTaskId"]);
                insert(&mut values, "template", &agent["template"]["canonicalSha256"]);
            }
            self.agents.insert(text(&agent["id"]), values);
        }
        for id in truth["damage"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|damage| list(&damage["recoverable"]["distinctIds"]))
        {
            self.agents.entry(text(id)).or_default();
        }
        for id in list(&truth["archiveDirs"]).flat_map(|folder| list(&folder["agents"])).map(text) {
            let is_known = list(&truth["agents"]).any(|agent| agent["id"] == id.as_str());
            let is_cut = self.damaged.iter().any(|file| file.ends_with("/agents.json"));
            if is_known && !is_cut {
                self.agents.entry(id).or_default();
            }
        }
    }

    fn session(&mut self, id: &str, session: &Value) {
        let is_damaged = session["damaged"] == true
            || self.damaged.contains(text(&session["file"]).as_str()) && session.get("recoverable").is_some();
        let mut values = Values::new();
        if !is_damaged {
            for (name, member) in [
                ("agent_id", "agentId"),
                ("agent_name", "agentName"),
                ("agent_type", "agentType"),
                ("name", "name"),
                ("status", "status"),
                ("created_at", "createdAt"),
                ("last_active_at", "lastActiveAt"),
                ("expires_at", "expiresAt"),
                ("git_branch", "gitBranch"),
                ("working_directory", "workingDirectory"),
                ("tasks_completed", "tasksCompleted"),
                ("total_output_lines", "totalOutputLines"),
                ("claude_active", "isClaudeSessionActive"),
            ] {
                insert(&mut values, name, &session[member]);
            }
            match &session["template"]["value"] {
                Value::String(id) => _ = values.insert("template".to_owned(), format!("id {id}")),
                _ => insert(&mut values, "template", &session["template"]["canonicalSha256"]),
            }
        }
        self.sessions.insert(id.to_owned(), values);

        let whole: Option<BTreeSet<String>> =
            session["recoverable"]["messageIds"].as_array().map(|ids| ids.iter().map(text).collect());
        let messages = list(&session["messages"])
            .filter(|message| whole.as_ref().is_none_or(|whole| whole.contains(&text(&message[0]))));
        // The times of a session with odd ones are not those in the ground truth.
        let has_odd_times = session.get("dates").is_some();
        let message = |message: &Value| {
            let time = if has_odd_times { String::new() } else { text(&message[2]) };
            format!("{} {} {time} {} {}", text(&message[0]), text(&message[1]), text(&message[3]), message[4])
        };
        self.messages.insert(id.to_owned(), messages.map(message).collect());

        let task = |slot: &str, task: &Value| {
            let parts =
                ["id", "title", "status", "assignedAt", "completedAt", "duration"].map(|name| text(&task[name]));
            format!("{slot} {}", parts.join(" "))
        };
        if !is_damaged || session["tasks"]["completed"].as_array().is_some_and(Vec::is_empty) {
            let completed = list(&session["tasks"]["completed"]).map(|it| task("completed", it));
            let current = Some(&session["tasks"]["current"]).filter(|it| it.is_object()).map(|it| task("current", it));
            self.tasks.insert(id.to_owned(), completed.chain(current).collect());
        }
    }

    /// A session of which one copy continued: the ground truth has only the other, and how many messages both have.
    fn diverged(&mut self, damage: &Value) {
        let Some(count) = damage["recoverable"]["unionMessageCount"].as_u64() else { return };
        let file = text(&damage["file"]);
        let id = file.rsplit('/').next().and_then(|name| name.strip_suffix(".json")).unwrap_or_default();
        self.unions.insert(id.to_owned(), count as usize);
        for name in ["status", "last_active_at", "total_output_lines", "claude_active"] {
            self.sessions.entry(id.to_owned()).or_default().remove(name);
        }
    }

    fn orchestration(&mut self, truth: &Value) {
        let lost: BTreeSet<String> =
            list(&truth["damage"]).flat_map(|damage| list(&damage["lost"]["messages"])).map(text).collect();
        let all = list(&truth["orchestration"]["messages"]).chain(list(&truth["orchestration"]["extra"]));
        let mut all: Vec<(String, String)> = all
            .filter(|message| !lost.contains(&text(&message["id"])))
            .map(|message| {
                let file = message["file"].as_str().unwrap_or("messages-2025-09-30T00-00-00-000Z.jsonl");
                let parts = ["id", "type", "from", "to", "timestamp"].map(|name| text(&message[name]));
                (file.to_owned(), parts.join(" "))
            })
            .collect();
        // Rolled files by name, then the current one.
        all.sort_by_key(|(file, _)| (file == "messages.jsonl", file.clone()));
        self.orchestration = all.into_iter().map(|(_, message)| message).collect();
    }

    fn texts(&mut self, truth: &Value) {
        for (agent, list_of) in entries(&truth["checkpoints"]) {
            let whole = list_of["recoverableEntries"].as_u64().map_or(usize::MAX, |count| count as usize);
            let entry =
                |entry: &Value| ["timestamp", "userSha256", "agentSha256"].map(|name| text(&entry[name])).join(" ");
            self.checkpoints.insert(agent.clone(), list(&list_of["entries"]).take(whole).map(entry).collect());
        }
        for (agent, transcript) in entries(&truth["markdown"]).filter(|(_, transcript)| transcript["damaged"] != true) {
            let mut before = text(&transcript["started"]);
            let mut parts = Vec::new();
            for entry in list(&transcript["entries"]) {
                if let Some(time) = entry["timestamp"].as_str() {
                    before = time.to_owned();
                }
                parts.push(format!("{before} {}", text(&entry["sha256"])));
            }
            self.transcripts.insert(agent.clone(), parts);
        }
    }

    fn attachments(&mut self, truth: &Value) {
        let digests: BTreeMap<&String, String> =
            entries(&truth["files"]).map(|(path, file)| (path, text(&file["sha256"]))).collect();
        for (path, file) in entries(&truth["files"]) {
            let must = path.ends_with(".md")
                || path.ends_with(".config.json")
                || path.starts_with("dlq/")
                || path.starts_with("conductor-sessions/");
            if must && file["bytes"].as_u64() > Some(0) {
                self.attachments.insert(path.clone(), text(&file["sha256"]));
            }
        }
        let kept = list(&truth["damage"]).flat_map(|damage| list(&damage["recoverable"]["keepBytes"]));
        let others = strings(&truth["other"], "file").chain(strings(&truth["exports"], "file"));
        for path in kept.map(text).chain(others) {
            if let Some(digest) = digests.get(&path) {
                self.attachments.insert(path, digest.clone());
            }
        }
        let is_damaged = |damage: &&Value| {
            [
                "truncated",
                "overlapping",
                "nul-filled",
                "duplicate-json-keys",
                "agents-json",
                "template-not-object",
                "checkpoint-not-array",
            ]
            .iter()
            .any(|kind| damage["kind"].as_str().is_some_and(|found| found.starts_with(kind)))
        };
        for damage in list(&truth["damage"]).filter(is_damaged) {
            let path = text(&damage["file"]);
            if let Some(digest) = digests.get(&path) {
                self.attachments.insert(path, digest.clone());
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn strings<'a>(value: &'a Value, name: &'a str) -> impl Iterator<Item = String> + 'a {
    list(value).filter_map(move |it| it[name].as_str().map(str::to_owned))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn insert(values: &mut Values, name: &str, value: &Value) {
    if !value.is_null() {
        values.insert(name.to_owned(), text(value));
    }
}
