//! The NofX store for Node.
//!
//! This is the lower half of the npm package `nofx-node`: TypeScript in `ts/` is what people import, and it alone calls this.
//! Everything crosses as JSON text, in requests and in answers:
//!
//! - a page of messages costs JavaScript one `JSON.parse`, and no call per member;
//! - ids and contents may hold lone surrogates, which JSON can escape and a string that crosses cannot;
//! - bodies go out as they are stored.
//!
//! [`handle`], [`call`] and [`care`] have the few functions that Node sees; `verbs` is the table of what can be asked of an open store.
//!
//! What is not here: anything that waits on Node's own thread, and anything that calls back into JavaScript.
//! Callers ask; nothing is held between two questions but the open store.
//!
//! # Features
//!
//! - `redb` (default): locations `redb:PATH`.
//! - `fs`: locations `fs:PATH`.
//! - `remote`: locations `s3://`, `gs://`, `az://` and `file:///`.
//!
//! A location whose feature was left out is refused, and the error names the feature. `memory:` is always there.

mod agents;
mod backup;
mod bulk;
pub mod call;
pub mod care;
mod cleanup;
mod crossing;
mod doctor;
mod expiry;
mod export;
mod failure;
mod feed;
pub mod handle;
mod messages;
mod migration;
mod orchestration;
mod records;
mod request;
mod search;
mod sessions;
mod tasks;
mod templates;
mod transcripts;
mod verbs;
