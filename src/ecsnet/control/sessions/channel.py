"""The data channel without its socket: puts both streams in order, acknowledges, sends again what was not acknowledged.

Here are both roles that AWS parts: the message gateway and the agent in the container. Over one WebSocket nothing is
lost or overtaken, but a client may refuse a message for now (session-manager-plugin does until its keyboard is set up):
it sends no acknowledgement and waits for the message to come again. So does this side while the command reads nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from ecsnet.control.sessions.message import (
    ACKNOWLEDGE,
    CLOSED,
    FIRST,
    INPUT,
    LAST,
    OUTPUT,
    Kind,
    Message,
    decode,
    encode,
)

RESEND_AFTER = 0.2
"""Seconds without an acknowledgement of the oldest message until it is sent again (the clients' own default)."""
WINDOW = 64
"""Messages that may be on their way; more output waits in the terminal."""
PAYLOAD = 1024
"""Bytes of output in one message at most, as AWS's agent sends."""
_EARLY = 1000
"""Messages kept that came before their turn."""
_AGENT_VERSION = "3.3.0.0"
"""Of AWS's agent: above every version for which the clients have an exception."""
_TERMINATE = 2
"""The value of a flag with which a client ends its session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The client knows what session it has (or has begun without being asked): the command may start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    columns: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The client ends the session, or cannot have one of this kind; `reason` is a sentence or empty."""

    reason: str = ""


Event = Ready | Typed | Resized | Left


@dataclass(slots=True, kw_only=True)
class _Sent:
    data: bytes
    at: float


class Channel:
    """`outbox` holds what is to be sent, oldest first; `now` gives seconds of a clock that only goes forward, `wall`
    epoch seconds. Raises MessageError for bytes that are no message."""

    def __init__(self, session: str, *, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self.outbox: list[bytes] = []
        self.takes_input = True
        """False: input is neither taken nor acknowledged, so that the client keeps it and sends it again."""
        self._session = session
        self._now = now
        self._wall = wall
        self._began = now()
        self._shaking = True
        self._sequence = 0
        self._unacknowledged: dict[int, _Sent] = {}
        self._expected = 0
        self._early: dict[int, Message] = {}

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Tell the client what session it will have."""
        action = {
            "ActionType": "SessionType",
            "ActionParameters": {"SessionType": "InteractiveCommands", "Properties": None},
        }
        self._stream(
            Kind.HANDSHAKE_REQUEST, _json({"AgentVersion": _AGENT_VERSION, "RequestedClientActions": [action]})
        )

    def write(self, data: bytes) -> None:
        """Send output of the terminal."""
        while data:
            end = len(data) if len(data) <= PAYLOAD else whole_characters(data[:PAYLOAD])
            self._stream(Kind.TEXT, data[:end])
            data = data[end:]

    def close(self, reason: str = "") -> None:
        """Tell the client that the session is over; session-manager-plugin prints the reason and ends."""
        identity = uuid.uuid4()
        created = self._milliseconds()
        body = {
            "MessageType": CLOSED,
            "MessageId": str(identity),
            "DestinationId": "",
            "SessionId": self._session,
            "SchemaVersion": 1,
            "CreatedDate": str(created),
            "Output": reason,
        }
        self.outbox.append(encode(Message(type=CLOSED, payload=_json(body), id=identity, created=created, flags=LAST)))

    @property
    def full(self) -> bool:
        """Whether so much is on its way that output must wait."""
        return len(self._unacknowledged) >= WINDOW

    @property
    def idle(self) -> bool:
        """Whether everything that was sent is acknowledged."""
        return not self._unacknowledged

    def resend(self) -> None:
        """Send the oldest unacknowledged message again when it has waited long. Those behind it wait at the client."""
        oldest = next(iter(self._unacknowledged.values()), None)
        if oldest is not None and oldest.at + RESEND_AFTER <= self._now():
            oldest.at = self._now()
            self.outbox.append(oldest.data)

    def _stream(self, kind: Kind, payload: bytes) -> None:
        number = self._sequence
        self._sequence += 1
        message = Message(
            type=OUTPUT,
            payload=payload,
            kind=kind,
            sequence=number,
            flags=FIRST if number == 0 else 0,
            id=uuid.uuid4(),
            created=self._milliseconds(),
        )
        data = encode(message)
        self._unacknowledged[number] = _Sent(data=data, at=self._now())
        self.outbox.append(data)

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> list[Event]:
        """Take one message of the client."""
        message = decode(data)
        if message.type == ACKNOWLEDGE:
            self._acknowledged(message)
        elif message.type == CLOSED:
            return [Left()]
        elif message.type == INPUT:
            return list(self._input(message))
        return []

    def _acknowledged(self, message: Message) -> None:
        number = _object(message.payload).get("AcknowledgedMessageSequenceNumber")
        if isinstance(number, int):
            self._unacknowledged.pop(number, None)

    def _input(self, message: Message) -> Iterator[Event]:
        if message.sequence > self._expected:
            if len(self._early) < _EARLY and self.takes_input:
                self._early[message.sequence] = message
                self._acknowledge(message)
            return
        if message.sequence < self._expected:
            self._acknowledge(message)  # it came again, so the acknowledgement was not seen
            return
        if not self.takes_input:
            return
        self._acknowledge(message)
        following: Message | None = message
        while following is not None:
            self._expected += 1
            yield from self._event(following)
            following = self._early.pop(self._expected, None)

    def _acknowledge(self, message: Message) -> None:
        body = {
            "AcknowledgedMessageType": message.type,
            "AcknowledgedMessageId": str(message.id),
            "AcknowledgedMessageSequenceNumber": message.sequence,
            "IsSequentialMessage": True,
        }
        answer = Message(
            type=ACKNOWLEDGE, payload=_json(body), flags=FIRST | LAST, id=uuid.uuid4(), created=self._milliseconds()
        )
        self.outbox.append(encode(answer))

    def _event(self, message: Message) -> Iterator[Event]:
        if self._shaking:
            # A client that begins without an answer knows no handshakes; older ones did not.
            self._shaking = False
            if message.kind == Kind.HANDSHAKE_RESPONSE:
                if refusal := _refusal(message.payload):
                    yield Left(reason=refusal)
                    return
                taken = int((self._now() - self._began) * 1e9)
                self._stream(Kind.HANDSHAKE_COMPLETE, _json({"HandshakeTimeToComplete": taken, "CustomerMessage": ""}))
            yield Ready()
        match message.kind:
            case Kind.TEXT:
                yield Typed(data=message.payload)
            case Kind.SIZE:
                size = _object(message.payload)
                columns, rows = size.get("cols"), size.get("rows")
                if _is_size(columns) and _is_size(rows):
                    yield Resized(columns=columns, rows=rows)
            case Kind.FLAG if message.payload == _TERMINATE.to_bytes(4, "big"):
                yield Left()

    def _milliseconds(self) -> int:
        return int(self._wall() * 1000)


def whole_characters(data: bytes) -> int:
    """How many bytes of `data` end with a whole UTF-8 character: clients decode each message for itself.

    Bytes that are no UTF-8 count as whole.
    """
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            length = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
            return len(data) - back if length > back else len(data)
    return len(data)


def _refusal(response: bytes) -> str:
    """Why the client cannot have this session, in its own words; empty when it can."""
    found = _object(response).get("Errors")
    return "; ".join(str(one) for one in found) if isinstance(found, list) else ""


def _is_size(value: object) -> TypeGuard[int]:
    """A terminal's size has two bytes."""
    return type(value) is int and 0 < value < 1 << 16


def _object(payload: bytes) -> dict[str, object]:
    try:
        found = json.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
