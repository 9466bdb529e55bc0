"""Replaces the SDK's own sessions with those of nofx-node, for the SDK's own tests. `cargo xtask adapters` runs them and counts."""

import functools
import os
import tempfile

import agents
import pytest
from agents.memory.session_settings import SessionSettings, coerce_session_settings, resolve_session_limit

from bridge import Bridge

BRIDGE = Bridge()

# These are about SQLite: its connections, threads, locks, transactions and rows, and its name.
OF_SQLITE = (
    "close_closes_worker_thread_connections",
    "close_retries_quarantined_connection",
    "closes_retired_connections",
    "corrupt",
    "failed_add_items",
    "failed_clear_session",
    "failed_pop_item",
    "file_lock_is_shared",
    "keeps_connections_of_live_worker_threads",
    "post_commit_cancellation",
    "reaps_connections",
    "rollback_failure_evicts_connection",
)


class NofxSession:
    """A session with the constructor of `SQLiteSession`: an id, and a file that sessions can share."""

    def __init__(self, session_id, db_path=":memory:", *, session_settings=None):
        self.session_id = session_id
        given = session_settings is not None
        self.session_settings = coerce_session_settings(session_settings) if given else SessionSettings()
        scheme = os.environ["NOFX_SCHEME"]
        location = "memory:" if str(db_path) == ":memory:" or scheme == "memory" else f"{scheme}:{db_path}.nofx"
        self.number = BRIDGE.ask(make="openai", location=location, session=session_id).result()

    async def get_items(self, limit=None):
        limit = resolve_session_limit(limit, self.session_settings)
        return await self.call("getItems", *([] if limit is None else [limit]))

    async def add_items(self, items):
        await self.call("addItems", items)

    async def pop_item(self):
        return await self.call("popItem")

    async def clear_session(self):
        await self.call("clearSession")

    def close(self):
        BRIDGE.ask(of=self.number, call="close", **{"with": []}).result()

    async def call(self, method, *arguments):
        try:
            return await BRIDGE.call(self.number, method, *arguments)
        except RuntimeError as error:
            if str(error).startswith("ClosedError"):
                # The tests know the class that this one replaces.
                raise RuntimeError("SQLiteSession is closed") from error
            raise


agents.SQLiteSession = NofxSession

# Tests remove their folders while the child still has stores open there, and a store of files writes shortly afterwards.
TemporaryDirectory = tempfile.TemporaryDirectory
tempfile.TemporaryDirectory = functools.partial(TemporaryDirectory, ignore_cleanup_errors=True)


def pytest_collection_modifyitems(config, items):
    generic = [item for item in items if not any(word in item.name for word in OF_SQLITE)]
    config.hook.pytest_deselected(items=[item for item in items if item not in generic])
    items[:] = generic
