"""Adapters of nofx-node, used from Python through a child process."""

import asyncio
import itertools
import json
import os
import subprocess
import threading
from concurrent.futures import Future


class Bridge:
    """A child process that answers lines of JSON. One process serves all threads and event loops."""

    def __init__(self):
        here = os.path.dirname(os.path.abspath(__file__))
        self.child = subprocess.Popen(
            ["node", os.path.join(here, "bridge.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=here, text=True
        )
        self.numbers = itertools.count()
        self.waiting = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            told = json.loads(line)
            waiting = self.waiting.pop(told["id"])
            if "error" in told:
                waiting.set_exception(RuntimeError(told["error"]))
            else:
                waiting.set_result(told["ok"])

    def ask(self, **asked):
        """Sends the call now, so that calls happen in the order in which they are made; returns a future of the answer."""
        with self.lock:
            number = next(self.numbers)
            waiting = self.waiting[number] = Future()
            self.child.stdin.write(json.dumps({"id": number, **asked}) + "\n")
            self.child.stdin.flush()
        return waiting

    async def call(self, of, method, *arguments):
        return await asyncio.wrap_future(self.ask(of=of, call=method, **{"with": arguments}))

    def end(self):
        """Ends the child. Until then its stores may write to their folders."""
        self.child.stdin.close()
        self.child.wait()
