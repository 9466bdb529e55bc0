//! The NofX store for Node.
//!
//! This is the lower half of the npm package `nofx-node`: people import the TypeScript in `ts/`, and only that calls this crate.
//! All requests and answers cross as JSON text:
//!
//! - a page of messages costs JavaScript one `JSON.parse`, and no call per member;
//! - ids and contents may hold lone surrogates, which JSON can escape and a string that crosses cannot;
//! - bodies go out as they are stored.
//!
//! [`handle`], [`call`] and [`maintenance`] have the few functions that Node calls; `verbs` is the table of requests to an open store.
//!
//! What is not here: anything that blocks Node's own thread, and anything that calls into JavaScript, apart from [`answers`]. Callers ask;
//! between two requests only the open store is held.
//!
//! # Features
//!
//! - `redb` (default): locations `redb:PATH`.
//! - `fs`: locations `fs:PATH`.
//! - `remote`: locations `s3://`, `gs://`, `az://` and `file:///`.
//!
//! A location whose feature is not included is refused, and the error names the feature. `memory:` is always available.

mod agents;
pub mod answers;
mod backup;
mod bulk;
pub mod call;
mod cleanup;
mod crossing;
mod doctor;
mod expiry;
mod export;
mod failure;
mod feed;
pub mod handle;
mod history_page;
pub mod maintenance;
mod messages;
mod migration;
mod orchestration;
mod records;
mod request;
mod search;
mod sessions;
mod tasks;
mod templates;
mod text;
mod transcripts;
mod verbs;
