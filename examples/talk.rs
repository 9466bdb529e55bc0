//! A host that stores what an agent says: creates a session and adds messages until it is stopped or killed.
//!
//! `cargo run -p nofx --example talk -- redb:talk.redb` prints the number of each message once it is acknowledged.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use nofx::Location;
use nofx::entity::{Agent, Role};
use nofx::workspace::{NewSession, Workspace};

const LINES: [&str; 4] = [
    "Please sort the harbour list by ship.",
    "Sorted: 42 ships, the *Aurora* first. Two have no name; I put them last.",
    "And the ones that are late?",
    "Three are late:\n\n- Aurora, 2 h\n- Bluefin, 40 min\n- Cormorant, 5 min\n\nI have marked them in `harbour.csv`.",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let location: Location = std::env::args().nth(1).ok_or("name a store, such as redb:talk.redb")?.parse()?;
    talk(&location).await
}

/// Adds messages until the process ends.
pub(crate) async fn talk(location: &Location) -> Result<(), Box<dyn Error>> {
    let workspace = Workspace::new(nofx::open(location).await?);
    let ada = Agent::new("ada", "Ada", "backend-specialist");
    workspace.save_agent(&ada).await?;
    let new = NewSession { name: Some("Harbour list".into()), ..NewSession::default() };
    let session = workspace.create_session(&ada, new).await?;
    workspace.start_task(&session.id, "Sort the harbour list").await?;
    for (count, line) in (1..).zip(LINES.iter().cycle()) {
        let role = if count % 2 == 1 { Role::User } else { Role::Assistant };
        workspace.add_message(&session.id, workspace.message(role, *line)).await?;
        // The message is durable now: it survives even if this process is killed.
        println!("{count}");
        std::io::stdout().flush()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
