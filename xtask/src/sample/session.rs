//! Sessions as the old extension's session service wrote them.

use super::cast::{Agent, PROJECT};
use super::json::Json;
use super::moment::Moment;
use super::talk::{Message, Talk};
use super::task::Task;

const FIVE_HOURS: i64 = 5 * 60 * 60 * 1_000;

/// How many of the last messages a summarised restore kept.
const KEPT_BY_SUMMARY: usize = 50;

/// One session file, or one item of an archive.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) agent: Agent,
    pub(super) created: Moment,
    pub(super) last_active: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) status: &'static str,
    pub(super) claude_active: bool,
    pub(super) history: Vec<Message>,
    pub(super) completed: Vec<Task>,
    pub(super) current: Option<Task>,
    pub(super) directory: Option<&'static str>,
    pub(super) branch: Option<&'static str>,
    pub(super) tasks_completed: i64,
    pub(super) output_lines: i64,
    pub(super) average_response: Option<Json>,
    /// Members that no version of the old extension knew.
    pub(super) unknown: Vec<(&'static str, Json)>,
}

impl Session {
    /// Returns the session that every spawn of an agent created: empty except for the template.
    pub(super) fn spawned(agent: Agent, at: Moment) -> Session {
        Session {
            id: format!("session-{}-{}", agent.id, at.millis()),
            name: format!("{} - {}", agent.name, at.local()),
            agent,
            created: at,
            last_active: at,
            expires: Some(at.plus_millis(FIVE_HOURS)),
            status: "active",
            claude_active: true,
            history: Vec::new(),
            completed: Vec::new(),
            current: None,
            directory: Some(PROJECT),
            branch: Some("main"),
            tasks_completed: 0,
            output_lines: 0,
            average_response: None,
            unknown: Vec::new(),
        }
    }

    /// Adds a conversation at the end.
    pub(super) fn told(mut self, talk: Talk) -> Session {
        self.last_active = talk.now();
        self.history.extend(talk.messages());
        self.output_lines = i64::try_from(self.history.len()).unwrap_or(i64::MAX);
        self
    }

    /// Adds a finished task; only successes were counted.
    pub(super) fn finished(mut self, task: Task) -> Session {
        self.tasks_completed += i64::from(!task.has_failed());
        self.completed.push(task);
        self
    }

    pub(super) fn working_on(self, task: Task) -> Session {
        Session { current: Some(task), ..self }
    }

    /// Returns what restoring the whole history created: a second session with the same messages.
    pub(super) fn restored(&self, at: Moment) -> Session {
        Session {
            id: format!("restored-{}-{}", self.id, at.millis()),
            name: format!("Restored: {}", self.name),
            created: at,
            last_active: at,
            expires: Some(at.plus_millis(FIVE_HOURS)),
            status: "active",
            claude_active: true,
            ..self.clone()
        }
    }

    /// Returns what restoring without the history and the current task created.
    pub(super) fn restored_empty(&self, at: Moment) -> Session {
        Session { history: Vec::new(), current: None, ..self.restored(at) }
    }

    /// Returns what a summarised restore created: a summary, all system messages, then the last fifty
    /// messages, so that late system messages appear twice.
    pub(super) fn restored_with_summary(&self, at: Moment, topics: &str) -> Session {
        let text = format!(
            "[Session Context Summary: Previous session had {} messages and completed {} tasks. Key topics: {topics}]",
            self.history.len(),
            self.completed.len()
        );
        let summary = Message::system(format!("summary-{}", at.millis()), at, &text);
        let systems = self.history.iter().filter(|message| message.role == "system");
        let tail = self.history.iter().skip(self.history.len().saturating_sub(KEPT_BY_SUMMARY));
        let history = [summary].into_iter().chain(systems.chain(tail).cloned()).collect();
        Session { history, ..self.restored(at) }
    }

    /// Returns the session as it was after this many messages and finished tasks.
    pub(super) fn as_of(&self, messages: usize, tasks: usize) -> Session {
        let mut earlier = self.clone();
        earlier.history.truncate(messages);
        earlier.completed.truncate(tasks);
        earlier.current = None;
        earlier.last_active = earlier.history.last().map_or(self.created, |message| message.at);
        earlier.output_lines = i64::try_from(messages).unwrap_or(i64::MAX);
        earlier.tasks_completed = i64::try_from(tasks).unwrap_or(i64::MAX);
        earlier
    }

    /// Returns the session as archiving left it.
    pub(super) fn archived(&self) -> Session {
        Session { status: "archived", claude_active: false, ..self.clone() }
    }

    pub(super) fn json(&self) -> Json {
        let json = Json::object()
            .with("id", self.id.as_str())
            .with("name", self.name.as_str())
            .with("agentId", self.agent.id)
            .with("agentName", self.agent.name)
            .with("agentType", self.agent.kind)
            .with("createdAt", self.created.iso())
            .with("lastActiveAt", self.last_active.iso())
            .with("sessionDuration", 0)
            .with_some("expiresAt", self.expires.map(Moment::iso))
            .with("status", self.status)
            .with("isClaudeSessionActive", self.claude_active)
            .with("conversationHistory", Json::array(self.history.iter().map(Message::json)))
            .with("completedTasks", Json::array(self.completed.iter().map(Task::json)))
            .with_some("workingDirectory", self.directory)
            .with_some("gitBranch", self.branch)
            .with_some("template", self.agent.template.json())
            .with("capabilities", Json::Array(Vec::new()))
            .with("systemPrompt", self.agent.template.system_prompt())
            .with("tasksCompleted", self.tasks_completed)
            .with("totalOutputLines", self.output_lines)
            .with_some("currentTask", self.current.as_ref().map(Task::json))
            .with_some("averageResponseTime", self.average_response.clone());
        let add = |json: Json, (name, value): &(&str, Json)| json.with(name, value.clone());
        self.unknown.iter().fold(json, add)
    }

    /// Returns where the service kept the session while it was not archived.
    pub(super) fn path(&self) -> String {
        format!("sessions/{}.json", self.id)
    }
}
