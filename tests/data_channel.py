"""A client of session data channels, written from the description of the messages alone: it shares no code with ecsnet.

The description is AWS's own, in the public sources of session-manager-plugin (message/clientmessage.go and
datachannel/streaming.go): lengths of the fields, who acknowledges what, and the handshake.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import time
import uuid
from contextlib import ExitStack
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

FIELDS = struct.Struct("!I32sIQqQ8s8s32sII")


RESEND_AFTER = 0.2


class NothingCameError(AssertionError):
    pass


class Frame(NamedTuple):
    type: str
    sequence: int
    flags: int
    id: uuid.UUID
    kind: int
    payload: bytes


def pack(type_: str, payload: bytes, *, kind: int = 0, sequence: int = 0, flags: int = 0) -> bytes:
    identity = uuid.uuid4().bytes
    head = FIELDS.pack(
        116, f"{type_:<32}".encode(), 1, int(time.time() * 1000), sequence, flags, identity[8:], identity[:8],
        hashlib.sha256(payload).digest(), kind, len(payload),
    )  # fmt: skip
    return head + payload


def unpack(data: bytes) -> Frame:
    length, name, schema, created, sequence, flags, low, high, digest, kind, size = FIELDS.unpack_from(data)
    payload = data[120:]
    assert (length, schema, size) == (116, 1, len(payload))
    assert abs(created / 1000 - time.time()) < 60
    assert digest == hashlib.sha256(payload).digest()
    return Frame(name.decode().rstrip(), sequence, flags, uuid.UUID(bytes=high + low), kind, payload)


class SessionClient:
    """One session, opened. Every reading method waits at most `patience` seconds."""

    def __init__(
        self, session: dict[str, str], *, size: tuple[int, int] | None = (100, 30), shakes: bool = True,
        patience: float = 60.0, **options: Any,
    ) -> None:  # fmt: skip
        self.patience = patience
        self.output = b""
        self.closed: dict[str, Any] | None = None
        """The content of channel_closed."""
        self.acknowledges = True
        self.frames: list[Frame] = []
        self._number = 0
        self._expected = 0
        self._sent: dict[int, bytes] = {}
        """What was not acknowledged, oldest first."""
        self._stack = ExitStack()
        self.connection: ClientConnection = self._stack.enter_context(connect(session["streamUrl"], **options))
        opening = {
            "MessageSchemaVersion": "1.0",
            "RequestId": str(uuid.uuid4()),
            "TokenValue": session["tokenValue"],
            "ClientId": str(uuid.uuid4()),
            "ClientVersion": "1.2.0.0",
        }
        self.connection.send(json.dumps(opening))
        if shakes:
            self._shake()
        if size is not None:
            self.resize(*size)

    def __enter__(self) -> SessionClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def type(self, text: str | bytes) -> int:
        return self.stream(1, text.encode() if isinstance(text, str) else text)

    def resize(self, columns: int, rows: int) -> int:
        return self.stream(3, json.dumps({"cols": columns, "rows": rows}).encode())

    def stream(self, kind: int, payload: bytes) -> int:
        """Send one message of the input stream; its number."""
        number = self._number
        self._number += 1
        self._sent[number] = pack("input_stream_data", payload, kind=kind, sequence=number)
        self.connection.send(self._sent[number])
        return number

    def until(self, pattern: str) -> re.Match[bytes]:
        """Read until the output matches; what was matched, and everything before it, is then used up."""
        deadline = time.monotonic() + self.patience
        while (found := re.search(pattern.encode(), self.output)) is None:
            assert self.closed is None, f"closed ({self.closed['Output']}) after {self.output!r}"
            self._read(deadline, f"{pattern} in {self.output[-2000:]!r}")
        self.output = self.output[found.end() :]
        return found

    def until_closed(self) -> str:
        """Read until the session is over; why, in the words of channel_closed."""
        deadline = time.monotonic() + self.patience
        while self.closed is None:
            self._read(deadline, f"channel_closed after {self.output[-2000:]!r}")
        return str(self.closed["Output"])

    def until_acknowledged(self, number: int) -> None:
        """Wait for it; while nothing comes, the oldest unacknowledged message is sent again."""
        deadline = time.monotonic() + self.patience
        while number in self._sent:
            try:
                self._read(time.monotonic() + RESEND_AFTER, f"the acknowledgement of {number}")
            except NothingCameError:
                if time.monotonic() > deadline:
                    raise
                self.connection.send(next(iter(self._sent.values())))

    def read(self) -> Frame:
        """The next message, acknowledged and sorted in."""
        return self._read(time.monotonic() + self.patience, "a message")

    def acknowledge(self, frame: Frame) -> None:
        content = {
            "AcknowledgedMessageType": frame.type,
            "AcknowledgedMessageId": str(frame.id),
            "AcknowledgedMessageSequenceNumber": frame.sequence,
            "IsSequentialMessage": True,
        }
        self.connection.send(pack("acknowledge", json.dumps(content).encode(), flags=3))

    def _shake(self) -> None:
        request = self.read()
        assert (request.type, request.sequence, request.kind) == ("output_stream_data", 0, 5)
        (action,) = json.loads(request.payload)["RequestedClientActions"]
        assert action["ActionType"] == "SessionType"
        assert action["ActionParameters"]["SessionType"] == "InteractiveCommands"
        done = {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
        answer = {"ClientVersion": "1.2.0.0", "ProcessedClientActions": [done], "Errors": None}
        self.stream(6, json.dumps(answer).encode())
        while (frame := self.read()).kind != 7:
            assert frame.type == "acknowledge"

    def _read(self, deadline: float, wanted: str) -> Frame:
        try:
            data = self.connection.recv(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise NothingCameError(f"waited for {wanted}") from None
        except ConnectionClosed as error:
            raise AssertionError(f"the connection ended ({error}) while waiting for {wanted}") from error
        assert isinstance(data, bytes)
        frame = unpack(data)
        self.frames.append(frame)
        match frame.type:
            case "acknowledge":
                self._sent.pop(json.loads(frame.payload)["AcknowledgedMessageSequenceNumber"], None)
            case "channel_closed":
                self.closed = json.loads(frame.payload)
            case "output_stream_data" if self.acknowledges:
                self.acknowledge(frame)
                if frame.sequence == self._expected:
                    self._expected += 1
                    if frame.kind == 1:
                        self.output += frame.payload
        return frame
