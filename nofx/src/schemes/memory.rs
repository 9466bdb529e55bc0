//! `memory:`, a store that is gone with its last handle.

use std::sync::Arc;

use nofx_core::{MemoryBackend, PersistenceBackend};

use super::{Backend, Form, Scheme};

pub(super) const MEMORY: Scheme =
    Scheme { name: "memory", usage: Some("memory:"), feature: None, form: Form::Memory, backend: Some(BACKEND) };

const BACKEND: Backend = Backend {
    open: |_, _| Box::pin(async { Ok(Arc::new(MemoryBackend::new()) as Arc<dyn PersistenceBackend>) }),
    // A read-only store would be empty forever.
    opens_read_only: true,
    check: None,
    repair: None,
    journal_is_optional: false,
    sets_aside: false,
    publish: None,
    shrink: None,
    upgrade: None,
};
