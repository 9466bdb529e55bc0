//! What hosts other than the extension need from a session.

use futures_util::TryStreamExt;
use nofx_core::Store;
use nofx_core::entity::{Entity, METADATA_BYTES, RecordEntity, Session};
use nofx_core::json::Object;
use nofx_core::workspace::{
    EventKind, Events, ImportAs, NewSession, RestoreOptions, SessionFilter, SessionState, Workspace,
};

use super::world::{DAY, World, ada, begin, missed, refused, reload, said, say, texts};
use crate::child::{self, ChildProcess};
use crate::subject::{Handle, Subject};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_session_without_a_lifetime_never_expires(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let session = workspace.create_session(&ada(), NewSession { lifetime: None, ..NewSession::default() }).await?;
    ensure_eq!(session.expires_at, None, "when it ends");
    workspace.pause_session(&session.id).await?;
    world.clock.advance(100 * 365 * DAY);
    ensure_eq!(reload(&workspace, &session.id).await?.state(world.now()), SessionState::Paused, "in a hundred years");
    ensure_eq!(workspace.expiry_watch().poll().await?, [], "nothing is due");
    let resumed = workspace.resume_session(&session.id).await?;
    ensure_eq!((resumed.state(world.now()), resumed.expires_at), (SessionState::Active, None), "resumed");
    let restored = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    ensure_eq!((restored.state(world.now()), restored.expires_at), (SessionState::Active, None), "restored");
    let usual = begin(&workspace).await?;
    ensure!(usual.expires_at.is_some(), "what is usual stays so");
    let active = SessionFilter { expired: Some(false), ..SessionFilter::default() };
    ensure_eq!(
        workspace.summaries(&active, None, 10).await?.items.len(),
        3,
        "listed among those that have not expired"
    );
    Ok(())
}

fn object(json: &str) -> CaseResult<Object> {
    Object::parse(json).map_err(|error| Unmet::new(error.to_string()))
}

fn metadata(session: &Session) -> String {
    session.metadata.as_ref().map(Object::to_json).unwrap_or_default()
}

pub(super) async fn metadata_is_merged_by_member(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let new = NewSession { metadata: object(r#"{"thread":"t1","step":1,"nothing":null}"#)?, ..NewSession::default() };
    let id = &workspace.create_session(&ada(), new).await?.id;
    ensure_eq!(metadata(&reload(&workspace, id).await?), r#"{"thread":"t1","step":1}"#, "what it was created with");
    let changes = object(r#"{"step":2.50,"tags":["a",{"b":null}],"thread":null,"absent":null}"#)?;
    let changed = workspace.update_metadata(id, &changes).await?;
    ensure_eq!(metadata(&changed), r#"{"step":2.50,"tags":["a",{"b":null}]}"#, "merged, as it was written");
    ensure_eq!(reload(&workspace, id).await?, changed, "what is stored");
    let fork = workspace.restore_session(id, RestoreOptions::default()).await?;
    ensure_eq!(metadata(&fork), metadata(&changed), "a fork begins with it");

    let room = METADATA_BYTES - metadata(&changed).len() - r#","x":"""#.len();
    let full = workspace.update_metadata(id, &object(&format!(r#"{{"x":"{}"}}"#, "y".repeat(room)))?).await?;
    ensure_eq!(metadata(&full).len(), METADATA_BYTES, "as long as it may be");
    let why = refused(workspace.update_metadata(id, &object(r#"{"z":1}"#)?).await)?;
    ensure!(why.contains("`metadata`") && why.contains(&METADATA_BYTES.to_string()), "why it is too long: {why}");
    let longer = || object(r#"{"x":"yy","w":1}"#).ok();
    let by_itself = workspace.update_session(id, |session| {
        session.metadata = session.metadata.clone().map(|mut metadata| {
            metadata.set("z", longer().map(|longer| longer.to_json()).unwrap_or_default());
            metadata
        });
    });
    refused(by_itself.await)?;
    refused(workspace.update_metadata(id, &object(r#"{"\ud83d":1}"#)?).await)?;
    ensure_eq!(reload(&workspace, id).await?, full, "what was refused changed nothing");
    let none = workspace.update_metadata(id, &object(r#"{"x":null,"step":null,"tags":null}"#)?).await?;
    ensure_eq!(none.metadata, None, "all of it removed");
    missed(workspace.update_metadata(&"absent".into(), &object("{}")?).await)?;

    // Another program's value under this name is not an object, and is not overwritten.
    let batch = workspace.store().batch();
    let foreign = Object::parse(none.to_body()?.as_str()).map(|mut object| {
        object.set("metadata", r#"["theirs"]"#);
        object.to_json()
    });
    let body = nofx_core::Body::parse(&foreign.map_err(|error| Unmet::new(error.to_string()))?)?;
    workspace.store().commit(batch.put(none.key(), nofx_core::Expect::Any, body.clone())).await?.committed()?;
    refused(workspace.update_metadata(id, &object(r#"{"a":1}"#)?).await)?;
    workspace.rename_session(id, "renamed").await?;
    let kept = reload(&workspace, id).await?.to_object();
    ensure_eq!(kept.get("metadata"), Some(r#"["theirs"]"#), "what another program wrote");
    Ok(())
}

async fn found(workspace: &Workspace, wanted: &str) -> CaseResult<Vec<String>> {
    let filter = SessionFilter { metadata: object(wanted)?, ..SessionFilter::default() };
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let page = workspace.summaries(&filter, next, 2).await?;
        names.extend(page.items.iter().map(|one| one.session.name.to_string()));
        next = page.next;
        if next.is_none() {
            names.sort();
            return Ok(names);
        }
    }
}

pub(super) async fn sessions_are_found_by_their_metadata(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    for (name, metadata) in [
        ("a", r#"{"kind":"chat","user":{"id":1,"name":"Ada"}}"#),
        ("b", r#"{"kind":"chat","user":{"name":"\u0041da","id":1}}"#),
        ("c", r#"{"kind":"tool"}"#),
        ("d", "{}"),
        ("e", r#"{"kind":"chat","user":null,"n":1}"#),
    ] {
        let new = NewSession { name: Some(name.into()), metadata: object(metadata)?, ..NewSession::default() };
        workspace.create_session(&ada(), new).await?;
    }
    for (wanted, expected) in [
        ("{}", &["a", "b", "c", "d", "e"][..]),
        (r#"{"kind":"chat"}"#, &["a", "b", "e"]),
        (r#"{"user":{"id":1,"name":"Ada"}}"#, &["a", "b"]),
        (r#"{"kind":"chat","user":null}"#, &["e"]),
        (r#"{"kind":null}"#, &["d"]),
        (r#"{"n":1}"#, &["e"]),
        (r#"{"n":"1"}"#, &[]),
        (r#"{"kind":"chat","n":2}"#, &[]),
    ] {
        ensure_eq!(found(&workspace, wanted).await?, expected, "by {wanted}");
    }
    Ok(())
}

pub(super) async fn a_live_session_is_purged_in_one_commit(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let (workspace, counting) = world.counted().await?;
    let session = begin(&workspace).await?;
    say(&workspace, &session.id, 0..60).await?;
    workspace.start_task(&session.id, "sort").await?;
    let fork = workspace.restore_session(&session.id, RestoreOptions::default()).await?;
    let cursor = workspace.events_end().await?;
    let before = counting.counts();
    refused(workspace.purge_session(&session.id).await)?;
    ensure_eq!((counting.counts() - before).committed, 0, "commits of a purge that only empties the trash");
    let before = counting.counts();
    workspace.purge_live_session(&session.id).await?;
    ensure_eq!((counting.counts() - before).committed, 1, "commits of a purge");
    ensure_eq!(workspace.session(&session.id).await?, None, "purged");
    ensure!(workspace.is_purged(&session.id).await?, "the tombstone");
    ensure_eq!(said(&workspace, &fork).await?, texts(0..60), "what a fork reads of it");
    let listed = workspace.summaries(&SessionFilter::default(), None, 10).await?.items;
    ensure_eq!(listed.iter().map(|one| &one.session.id).collect::<Vec<_>>(), [&fork.id], "the list");
    let Events::Page { events, .. } = workspace.events(Some(&cursor), 10).await? else {
        return Err(Unmet::new("a gap in the feed"));
    };
    let told: Vec<_> = events.into_iter().map(|event| (event.kind, event.session)).collect();
    ensure_eq!(told, [(EventKind::SessionPurged, Some(session.id.clone()))], "what is told");
    missed(workspace.purge_live_session(&session.id).await)?;

    let trashed = begin(&workspace).await?.id;
    workspace.delete_session(&trashed).await?;
    let ids = [fork.id, "absent".into(), trashed];
    let purged = workspace.purge_live_sessions(&ids).await;
    let purged: Vec<_> = purged.into_iter().map(|one| one.map_err(|error| error.code())).collect();
    ensure_eq!(purged, [Ok(()), Err("not-found"), Ok(())], "in bulk");
    let stats = workspace.stats().await?;
    ensure_eq!((stats.sessions, stats.trash), (0, 0), "what is left");
    Ok(())
}

fn named(name: &str) -> NewSession {
    NewSession { name: Some(name.into()), ..NewSession::default() }
}

pub(super) async fn a_key_opens_one_session(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let workspace = world.open().await?;
    let open = async |key: &str| workspace.open_session(key, &ada(), named("first")).await;
    ensure_eq!(workspace.session_by_key("thread").await?, None, "before it is opened");
    let first = open("thread").await?;
    ensure!(first.created, "the first opening creates it");
    let again = workspace.open_session("thread", &ada(), named("other")).await?;
    ensure_eq!((again.created, &again.session), (false, &first.session), "opened again, whatever is said of it");
    ensure_eq!(workspace.session_by_key("thread").await?, Some(first.session.clone()), "by its key");
    let id = first.session.id;
    ensure!(id.to_string().starts_with("session-agent-ada-"), "its id is made as always: {id}");

    workspace.archive_session(&id).await?;
    ensure_eq!((open("thread").await?.created, open("thread").await?.session.id), (false, id.clone()), "archived");
    let fork = workspace.restore_session(&id, RestoreOptions::default()).await?;
    ensure_eq!((fork.key.clone(), open("thread").await?.session.id), (None, id.clone()), "a fork has no key");
    let json: String = workspace.export_json(&id).await?.try_collect::<Vec<_>>().await?.concat();
    let imported = workspace.import_session(&json, ImportAs::New).await?;
    ensure_eq!((imported.key, open("thread").await?.session.id), (None, id.clone()), "nor has an import");
    workspace.delete_session(&id).await?;
    let why = refused(open("thread").await)?;
    ensure!(why.contains("undelete or purge it first"), "what to do with one in the trash: {why}");
    ensure_eq!(workspace.session_by_key("thread").await?.map(|one| one.id), Some(id.clone()), "it is there");
    workspace.purge_live_session(&fork.id).await?;
    refused(open("thread").await)?;
    workspace.purge_session(&id).await?;
    ensure_eq!(workspace.session_by_key("thread").await?, None, "purged");
    let next = open("thread").await?;
    ensure!(next.created && next.session.id != id, "the key is free and the session is another");
    refused(workspace.update_session(&next.session.id, |session| session.key = None).await)?;

    // What a version without keys leaves when it purges.
    let key = next.session.key();
    workspace.store().commit(workspace.store().batch().delete(key, nofx_core::Expect::Any)).await?.committed()?;
    ensure_eq!(workspace.session_by_key("thread").await?, None, "its session is gone");
    ensure!(open("thread").await?.created, "a key whose session is gone is free");

    refused(open("").await)?;
    let (long, longer) = ("x".repeat(10_000), "x".repeat(10_001));
    let keys = ["a/b", "a", "/", "\u{0}", "ünï", "sha256:00", &long, &longer];
    let mut ids = std::collections::BTreeSet::new();
    for key in keys {
        let opened = open(key).await?;
        ensure!(opened.created && ids.insert(opened.session.id.clone()), "{} opens another one", key.escape_debug());
        ensure_eq!(open(key).await?.session.id, opened.session.id, "{}", key.escape_debug());
    }
    Ok(())
}

pub(super) async fn all_who_begin_a_key_at_once_get_one_session(subject: Subject) -> CaseResult {
    let world = World::new(subject);
    let handles = [world.open().await?, world.open().await?];
    for round in 0..50 {
        let key = format!("thread-{round}");
        let begun = handles.clone().map(|workspace| {
            let key = key.clone();
            tokio::spawn(async move { workspace.open_session(&key, &ada(), NewSession::default()).await })
        });
        let mut opened = Vec::new();
        for one in begun {
            opened.push(one.await??);
        }
        ensure_eq!(opened[0].session.id, opened[1].session.id, "the sessions of round {round}");
        ensure_eq!(opened.iter().filter(|one| one.created).count(), 1, "who created it in round {round}");
    }
    ensure_eq!(handles[0].stats().await?.sessions, 50, "sessions in the end");
    Ok(())
}

/// Opens sessions by this many keys, and says their ids.
pub(crate) async fn opens(store: Handle, needs: Vec<String>) -> CaseResult {
    let workspace = Workspace::new(Store::new(store.0));
    let mut said = Vec::new();
    for round in 0..needs[0].parse()? {
        said.push(workspace.open_session(&format!("thread-{round}"), &ada(), NewSession::default()).await?.session.id);
    }
    workspace.store().close().await?;
    said.into_iter().try_for_each(child::say)
}

pub(super) async fn processes_that_begin_a_key_at_once_get_one_session(subject: Subject) -> CaseResult {
    let children = [ChildProcess::start(&subject, "opens", &["50"])?, ChildProcess::start(&subject, "opens", &["50"])?];
    let mut told = Vec::new();
    for child in children {
        told.push(child.finish().await?);
    }
    ensure_eq!(told[0].len(), 50, "sessions that were opened");
    ensure_eq!(told[0], told[1], "the sessions of two processes");
    let world = World::new(subject);
    let stats = world.open().await?.stats().await?;
    ensure_eq!(stats.sessions, 50, "sessions in the end");
    Ok(())
}
