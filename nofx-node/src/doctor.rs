//! Reads everything, to list what is damaged.

use nofx::json::quote;
use nofx::workspace::{Progress, Workspace};
use nofx::{Finding, Location, Result};

pub(crate) async fn done(workspace: &Workspace, location: &Location, progress: &Progress) -> Result<String> {
    let found = nofx::doctor(location, workspace.store(), progress).await?;
    let findings: Vec<_> = found.findings.iter().map(to_json).collect();
    Ok(format!(
        r#"{{"records":{},"logs":{},"entries":{},"damaged":{},"findings":[{}]}}"#,
        found.records,
        found.logs,
        found.entries,
        found.damaged(),
        findings.join(",")
    ))
}

fn to_json(finding: &Finding) -> String {
    let (thing, what) = (quote(&finding.thing), quote(&finding.what));
    format!(r#"{{"thing":{thing},"what":{what},"damage":{}}}"#, finding.is_damage)
}
