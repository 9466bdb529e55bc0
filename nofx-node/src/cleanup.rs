//! What a cleanup would do.

use std::time::Duration;

use nofx::Result;
use nofx::workspace::{OrchestrationRetention, PlannedSession, RetentionPolicy, Workspace};

use crate::crossing::shown;
use crate::request::Request;

pub(crate) async fn preview(workspace: &Workspace, request: &Request) -> Result<String> {
    let standard = RetentionPolicy::default();
    let policy = RetentionPolicy {
        archive_after: duration(request, "archiveAfterMs")?,
        delete_after: duration(request, "deleteAfterMs")?,
        max_sessions: request.optional("maxSessions")?,
        max_bytes: request.optional("maxBytes")?,
        purge_after: duration(request, "purgeAfterMs")?.or(standard.purge_after),
        orchestration: OrchestrationRetention {
            messages: request.optional("orchestrationMessages")?,
            ..standard.orchestration
        },
    };
    let plan = workspace.cleanup_plan(&policy).await?;
    Ok(format!(
        r#"{{"archive":[{}],"delete":[{}],"purge":[{}],"orchestrationMessages":{}}}"#,
        planned(&plan.archive),
        planned(&plan.delete),
        planned(&plan.purge),
        plan.orchestration_messages
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
