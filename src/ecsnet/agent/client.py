"""Control's side of the agent's socket. No privileges; asyncio."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from ecsnet.framing import Frames, frame
from ecsnet.hostplan.messages import Answer, Ask, Hello, ToAgent, ToControl

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ToControl)


class AgentGoneError(ConnectionError):
    """The connection to the agent ended."""


class AskFailed(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """The agent could not answer an ask; the text is its sentence."""


class AgentLink:
    """One connection to the agent. `received` gets every message but answers, on the event loop, in order.

    Make it with `AgentLink.connect`; connecting again when it has `closed` is the caller's.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, received: Callable[[ToControl], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._received = received
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._reading: asyncio.Task[None] = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, path: Path, received: Callable[[ToControl], None]) -> AgentLink:
        """Connect to the agent's socket and wait for its Hello (which `received` gets too).

        Raises OSError when nobody listens, AgentGoneError when it hangs up.
        """
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}", limit=1 << 20)
        finally:
            os.close(folder)
        link = cls(reader, writer, received)
        await asyncio.shield(link._hello)
        return link

    def send(self, message: ToAgent) -> None:
        """Send a plan, a change or an ask. Never blocks. Raises AgentGoneError when the connection is over."""
        if self._reading.done():
            raise AgentGoneError("the agent has gone")
        self._writer.write(frame(_ENCODER.encode(message)))

    async def closed(self) -> None:
        """Wait until the connection is over, however that came."""
        await asyncio.wait([self._reading])

    async def ask(self, topic: str, argument: bytes = b"{}") -> bytes:
        """Ask and wait for the answer (JSON). Raises AskFailed, AgentGoneError."""
        number = next(self._numbers)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self.send(Ask(id=number, topic=topic, argument=argument))
            reply = await answer
        finally:
            del self._asked[number]
        if not reply.ok:
            raise AskFailed(str(msgspec.json.decode(reply.result)["error"]))
        return reply.result

    def close(self) -> None:
        """Hang up; the agent keeps everything."""
        self._writer.close()

    async def _read(self) -> None:
        frames = Frames()
        try:
            while data := await self._reader.read(1 << 18):
                for body in frames.feed(data):
                    self._take(_DECODER.decode(body))
        except ConnectionError:
            return  # killed: the same as hanging up
        finally:
            self._writer.close()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(AgentGoneError("the agent has gone"))
            if not self._hello.done():
                self._hello.set_exception(AgentGoneError("the agent has gone"))
            self._hello.exception()  # looked at, so that asyncio does not complain when nobody awaits it

    def _take(self, message: ToControl) -> None:
        match message:
            case Answer():
                waiting = self._asked.get(message.id)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case _:
                if isinstance(message, Hello) and not self._hello.done():
                    self._hello.set_result(message)
                self._received(message)
