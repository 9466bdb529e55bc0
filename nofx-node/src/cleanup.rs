//! Statistics and cleanup.

use std::time::Duration;

use nofx::Result;
use nofx::json::{Value, quote};
use nofx::workspace::{Cleared, OrchestrationRetention, PlannedSession, RetentionPolicy, Swept, Workspace};

use crate::crossing::shown;
use crate::failure::JsFailure;
use crate::orchestration;
use crate::request::Request;

pub(crate) async fn preview(workspace: &Workspace, request: &Request) -> Result<String> {
    let plan = workspace.cleanup_plan(&policy(request)?).await?;
    Ok(format!(
        r#"{{"archive":[{}],"delete":[{}],"purge":[{}],"orchestrationMessages":{}}}"#,
        planned(&plan.archive),
        planned(&plan.delete),
        planned(&plan.purge),
        plan.orchestration_messages
    ))
}

/// Makes a plan and carries it out.
pub(crate) async fn done(workspace: &Workspace, request: &Request) -> Result<String> {
    let plan = workspace.cleanup_plan(&policy(request)?).await?;
    let done = workspace.cleanup(&plan).await?;
    let left = done.left.iter().map(|(session, error)| {
        let message = quote(&error.to_string());
        format!(r#"{{"session":{},"code":"{}","message":{message}}}"#, session.write(), error.code())
    });
    Ok(format!(
        r#"{{"archived":{},"deleted":{},"purged":{},"orchestrationMessages":{},"left":[{}]}}"#,
        done.archived,
        done.deleted,
        done.purged,
        plan.orchestration_messages,
        left.collect::<Vec<_>>().join(",")
    ))
}

fn policy(request: &Request) -> Result<RetentionPolicy> {
    let standard = RetentionPolicy::default();
    Ok(RetentionPolicy {
        archive_after: duration(request, "archiveAfterMs")?,
        delete_after: duration(request, "deleteAfterMs")?,
        max_sessions: request.optional("maxSessions")?,
        max_bytes: request.optional("maxBytes")?,
        purge_after: duration(request, "purgeAfterMs")?.or(standard.purge_after),
        orchestration: OrchestrationRetention {
            messages: request.optional("orchestrationMessages")?,
            ..standard.orchestration
        },
    })
}

/// Removes everything in the store.
pub(crate) async fn cleared(workspace: &Workspace) -> Result<String> {
    let Cleared { sessions, left } = workspace.clear_all().await?;
    let left: Vec<_> = left.into_iter().map(|error| JsFailure::Store(error).to_json()).collect();
    Ok(format!(r#"{{"sessions":{sessions},"left":[{}]}}"#, left.join(",")))
}

/// Removes long contents that no message refers to any more.
pub(crate) async fn swept(workspace: &Workspace) -> Result<String> {
    let Swept { removed, kept } = workspace.sweep_contents().await?;
    Ok(format!(r#"{{"removed":{removed},"kept":{kept}}}"#))
}

/// Returns how much the store holds.
pub(crate) async fn stats(workspace: &Workspace) -> Result<String> {
    let stats = workspace.stats().await?;
    Ok(format!(
        r#"{{"agents":{},"sessions":{},"active":{},"archived":{},"trash":{},"templates":{},"orchestration":{}}}"#,
        stats.agents,
        stats.sessions,
        stats.active,
        stats.archived,
        stats.trash,
        stats.templates,
        orchestration::to_json(&stats.orchestration)
    ))
}

fn duration(request: &Request, name: &str) -> Result<Option<Duration>> {
    Ok(request.optional(name)?.map(Duration::from_millis))
}

fn planned(sessions: &[PlannedSession]) -> String {
    let one = |planned: &PlannedSession| {
        let bytes = planned.bytes.map(|bytes| format!(r#","bytes":{bytes}"#)).unwrap_or_default();
        format!(r#"{{"session":{},"lastActiveAt":"{}"{bytes}}}"#, shown(&planned.session), planned.last_active_at)
    };
    sessions.iter().map(one).collect::<Vec<_>>().join(",")
}
