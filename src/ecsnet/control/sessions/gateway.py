"""Who may open a session, and the session itself: a WebSocket on one side, a command in a container on the other."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager

from ecsnet.agent.client import AgentGoneError, AgentLink, AskFailed
from ecsnet.agent.world import World, WorldError
from ecsnet.aws.http import Head
from ecsnet.aws.websocket import WebSocket
from ecsnet.control.sessions.channel import Channel, Left, Ready, Resized, Typed, whole_characters
from ecsnet.control.sessions.message import MessageError
from ecsnet.control.sessions.terminal import MARK, Terminal, end_all
from ecsnet.model.ecs import ExecuteSession
from ecsnet.model.tables import EXECUTE_SESSIONS, TASKS
from ecsnet.services.call import Call
from ecsnet.services.ecs import ops
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Commit, Store

LOG = logging.getLogger("ecsnet.control")

DATA_CHANNEL = "/v1/data-channel/"
"""The path of a session's WebSocket, followed by its id, as at AWS."""

_OPENING = 10.0
"""Seconds within which a client must send its token."""
_SIZE = 0.25
"""Seconds that a command waits for the size of its terminal, so that it sees the right one from the start."""
_RESEND = 0.1
"""Seconds between two looks for messages that must be sent again."""
_LAST_WORDS = 5.0
"""Seconds that a client has to acknowledge the output of a command that has ended."""
_REFUSED = 1008
"""WebSocket close code: policy violation (RFC 6455)."""

_BACKLOG = 1 << 16
"""Bytes of input that may wait for a command that does not read."""

Start = Callable[[ExecuteSession, Sequence[str], tuple[int, int]], Awaitable[Terminal]]
"""(session, words of its command, columns and rows) → the command, running. Raises CannotStartError."""


class CannotStartError(Exception):
    """The command of a session cannot be started; the text is one sentence."""


def starter(world: World, link: Callable[[], AgentLink | None]) -> Start:
    """Runs commands in containers of a world: its agent knows how, control has the terminal."""

    async def start(session: ExecuteSession, command: Sequence[str], size: tuple[int, int]) -> Terminal:
        agent = link()
        if agent is None:
            raise CannotStartError("the agent is not connected")
        argument = {
            "key": f"workload:{session.task}/{session.container}",
            "command": list(command),
            "variables": {MARK: session.id},
        }
        try:
            entry = json.loads(await agent.ask("enter", json.dumps(argument).encode()))
            arguments = await asyncio.to_thread(world.enter_command, entry["arguments"])
            return Terminal.start(arguments, {**os.environ, **entry["environment"], MARK: session.id}, size, session.id)
        except (AskFailed, AgentGoneError, WorldError, OSError, ValueError) as error:  # ValueError: a NUL in a word
            raise CannotStartError(str(error)) from error

    return start


class Sessions:
    """The sessions of this control process; `serve` is one WebSocket, `committed` a listener of the store."""

    def __init__(
        self,
        *,
        store: Store,
        open_call: Callable[[], AbstractContextManager[Call]],
        start: Start,
    ) -> None:
        self._store = store
        self._open_call = open_call
        self._start = start
        self._open: dict[str, _Conversation] = {}

    def forget(self) -> None:
        """Delete what a former control process had promised, and end what it had opened: nobody can go on with it."""
        for row in self._store.snapshot.rows(EXECUTE_SESSIONS):
            if row.open:
                end_all(row.id)
            with self._open_call() as call:
                call.tx.delete(EXECUTE_SESSIONS, row.id)

    def committed(self, commit: Commit) -> None:
        """End the sessions whose container has stopped."""
        if self._open and any(change.table == TASKS.name for change in commit.changes):
            for conversation in self._open.values():
                if not _runs(commit.after, conversation.session):
                    conversation.stop("The container has stopped.")

    async def serve(self, head: Head, socket: WebSocket) -> None:
        with contextlib.suppress(OSError):  # the client has gone
            await socket.accept()
            session = self._claim(head.target.removeprefix(DATA_CHANNEL), await _token(socket))
            if session is None:
                await socket.close(_REFUSED)
                return
            conversation = _Conversation(session, socket, self._start)
            self._open[session.id] = conversation
            try:
                await conversation.run()
            finally:
                del self._open[session.id]
                with self._open_call() as call:
                    call.tx.delete(EXECUTE_SESSIONS, session.id)
            # Last: who is told that a session is over may open the next one, of which a container has two.
            await conversation.close()

    def _claim(self, session: str, token: str) -> ExecuteSession | None:
        with self._open_call() as call:
            return ops.open_session(call, session, token)


class _Conversation:
    def __init__(self, session: ExecuteSession, socket: WebSocket, start: Start) -> None:
        self.session = session
        self._socket = socket
        self._start = start
        self._channel = Channel(session.id, now=time.monotonic, wall=time.time)
        self._sending = asyncio.Lock()
        self._moved = asyncio.Event()
        """Something was acknowledged."""
        self._ready = asyncio.Event()
        self._sized = asyncio.Event()
        self._stopped = asyncio.Event()
        self._size = (80, 24)
        self._typed_early = bytearray()
        self._terminal: Terminal | None = None
        self._reason = ""

    def stop(self, reason: str) -> None:
        """End it from outside."""
        self._reason = reason
        self._stopped.set()

    async def run(self) -> None:
        """Until the command, the client or the container ends, and whatever the command started has ended with it.

        Raises OSError when the client just goes away.
        """
        parts = (self._receive(), self._command(), self._resend(), self._stopped.wait())
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            self._channel.begin()
            await self._flush()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._terminal is not None:
                await self._terminal.end()

    async def close(self) -> None:
        """Tell the client that it is over, and why."""
        self._channel.close(self._reason)
        await self._flush()
        await self._socket.close()

    async def _receive(self) -> None:
        """Until the client ends the session."""
        while True:
            data = await self._socket.receive()
            if data is None:
                raise ConnectionResetError
            waiting = len(self._typed_early) if self._terminal is None else self._terminal.waiting
            self._channel.takes_input = waiting < _BACKLOG
            with contextlib.suppress(MessageError):
                for event in self._channel.receive(data if isinstance(data, bytes) else b""):
                    if isinstance(event, Left):
                        self._reason = event.reason
                        return
                    self._take(event)
            self._moved.set()
            await self._flush()

    def _take(self, event: Ready | Typed | Resized) -> None:
        match event:
            case Ready():
                self._ready.set()
            case Resized(columns=columns, rows=rows):
                self._size = (columns, rows)
                self._sized.set()
                if self._terminal is not None:
                    self._terminal.resize(columns, rows)
            case Typed(data=data):
                if self._terminal is None:
                    self._typed_early += data
                else:
                    self._terminal.type(data)

    async def _command(self) -> None:
        """Run the command to its end, and until the client has all its output."""
        await self._ready.wait()
        # Not wait_for: in Python 3.11 it can lose the cancellation when both come in one turn of the event loop.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SIZE):
                await self._sized.wait()
        try:
            terminal = await self._start(self.session, _words(self.session.command), self._size)
        except CannotStartError as error:
            self._reason = f"Unable to start command: {error}"
            return
        self._terminal = terminal
        terminal.resize(*self._size)
        terminal.type(bytes(self._typed_early))
        rest = b""
        while data := await terminal.read():
            data = rest + data
            end = whole_characters(data)
            self._channel.write(data[:end])
            rest = data[end:]
            await self._flush()
            await self._until(lambda: not self._channel.full)
        self._channel.write(rest)
        await self._flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._until(lambda: self._channel.idle)

    async def _resend(self) -> None:
        while True:
            await asyncio.sleep(_RESEND)
            self._channel.resend()
            await self._flush()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for acknowledgements."""
        while not condition():
            self._moved.clear()
            await self._moved.wait()

    async def _flush(self) -> None:
        async with self._sending:
            while self._channel.outbox:
                await self._socket.send(self._channel.outbox.pop(0))


async def _token(socket: WebSocket) -> str:
    """The token in a client's first message; empty when it sends none in time."""
    try:
        async with asyncio.timeout(_OPENING):
            data = await socket.receive()
        opening = json.loads(data or b"{}")
    except (TimeoutError, ValueError):
        return ""
    token = opening.get("TokenValue") if isinstance(opening, dict) else None
    return token if isinstance(token, str) else ""


def _words(command: str) -> list[str]:
    """A command line as its words; no shell looks at it. Raises CannotStartError."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CannotStartError(f"the command cannot be parsed: {error}") from error
    if not words:
        raise CannotStartError("the command is empty")
    return words


def _runs(snapshot: Snapshot, session: ExecuteSession) -> bool:
    task = snapshot.get(TASKS, session.task)
    return task is not None and any(
        container.name == session.container and container.last_status == "RUNNING" for container in task.containers
    )
