"""A person at the terminal of a command that was started in a container."""

from __future__ import annotations

import asyncio
import os

from ecsnet.agent.runtimes.runtime import Entry
from ecsnet.control.sessions.terminal import MARK, Terminal

PATIENCE = 90.0
VARIABLES = {MARK: "session-1"}
"""What the command must get."""


def _start(entry: Entry) -> Terminal:
    environment = {**os.environ, **entry.environment, **VARIABLES}
    return Terminal.start(entry.arguments, environment, (111, 33), VARIABLES[MARK])


def converse(entry: Entry, *exchange: tuple[str, str]) -> str:
    """For each (what to wait for, what to type then): do so; then read to the end. Answers everything printed."""

    async def talk() -> str:
        terminal = _start(entry)
        said = b""
        try:
            async with asyncio.timeout(PATIENCE):
                for prompt, answer in exchange:
                    while prompt.encode() not in said:
                        data = await terminal.read()
                        assert data, said
                        said += data
                    terminal.type(answer.encode())
                while data := await terminal.read():
                    said += data
        except TimeoutError:
            raise AssertionError(said.decode(errors="replace")) from None
        finally:
            await terminal.end()
        return said.decode()

    return asyncio.run(talk())


def leave(entry: Entry, prompt: str) -> None:
    """Start a command, wait until it has printed `prompt`, and hang up."""

    async def go() -> None:
        terminal = _start(entry)
        said = b""
        try:
            async with asyncio.timeout(PATIENCE):
                while prompt.encode() not in said:
                    data = await terminal.read()
                    assert data, said
                    said += data
        finally:
            await terminal.end()

    asyncio.run(go())
