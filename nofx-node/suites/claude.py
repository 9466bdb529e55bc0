"""The Claude Agent SDK's contracts for session stores, on each backend. `cargo xtask adapters` runs it and counts."""

import asyncio
import os
import tempfile

from claude_agent_sdk import SessionStore
from claude_agent_sdk.testing import run_session_store_conformance
from claude_agent_sdk.testing import session_store_conformance as suite

from bridge import Bridge

BRIDGE = Bridge()


def camel(key):
    names = {"project_key": "projectKey", "session_id": "sessionId"}
    return {names.get(name, name): value for name, value in key.items()}


def snake(entry):
    names = {"sessionId": "session_id"}
    return {names.get(name, name): value for name, value in entry.items()}


class NofxStore(SessionStore):
    def __init__(self, number):
        self.number = number

    async def append(self, key, entries):
        await BRIDGE.call(self.number, "append", camel(key), entries)

    async def load(self, key):
        return await BRIDGE.call(self.number, "load", camel(key))

    async def list_sessions(self, project_key):
        return [snake(entry) for entry in await BRIDGE.call(self.number, "listSessions", project_key)]

    async def list_session_summaries(self, project_key):
        return [snake(entry) for entry in await BRIDGE.call(self.number, "listSessionSummaries", project_key)]

    async def delete(self, key):
        await BRIDGE.call(self.number, "delete", camel(key))

    async def list_subkeys(self, key):
        return await BRIDGE.call(self.number, "listSubkeys", camel(key))


def contracts():
    """Returns the number of contracts in the suite, each of which begins with a number."""
    with open(suite.__file__, encoding="utf-8") as source:
        lines = [line.strip() for line in source]
    return len({line.split()[1] for line in lines if line.startswith("# ") and line.split()[1].rstrip(".").isdigit()})


def main():
    with tempfile.TemporaryDirectory() as folder:
        for scheme in ["memory", "redb", "fs"]:
            made = 0

            def make():
                nonlocal made
                made += 1
                location = "memory:" if scheme == "memory" else f"{scheme}:{os.path.join(folder, f'{scheme}-{made}')}"
                number = BRIDGE.ask(make="claude", location=location).result()
                return NofxStore(number)

            asyncio.run(run_session_store_conformance(make))
            # Each contract has its own store, and one more is created to see which methods exist.
            print(f"claude on {scheme}: {made - 1} of {contracts()} contracts passed")
        BRIDGE.end()


main()
