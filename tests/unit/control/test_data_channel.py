"""The data channel without a socket, against the test client's own reading and writing of messages."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channel import Frame, pack, unpack
from ecsnet.control.sessions.channel import (
    PAYLOAD,
    RESEND_AFTER,
    WINDOW,
    Channel,
    Event,
    Left,
    Ready,
    Resized,
    Typed,
    whole_characters,
)
from ecsnet.control.sessions.message import MessageError, decode

HELLO = json.dumps({"ClientVersion": "1", "ProcessedClientActions": [], "Errors": None}).encode()


class Line:
    """A channel, a clock, and the hands of its client."""

    def __init__(self) -> None:
        self.now = 100.0
        self.channel = Channel("session-1", now=lambda: self.now, wall=lambda: 1_700_000_000.0)
        self.sent = 0

    def sends(self) -> list[Frame]:
        """What the channel has sent since the last look."""
        frames = [self._frame(data) for data in self.channel.outbox]
        self.channel.outbox.clear()
        return frames

    def _frame(self, data: bytes) -> Frame:
        length, name = int.from_bytes(data[:4], "big"), data[4:36]
        assert (length, len(data[120:])) == (116, int.from_bytes(data[116:120], "big"))
        return Frame(
            name.decode().strip(), int.from_bytes(data[48:56], "big"), int.from_bytes(data[56:64], "big"),
            decode(data).id, int.from_bytes(data[112:116], "big"), data[120:],
        )  # fmt: skip

    def input(self, kind: int, payload: bytes, *, sequence: int | None = None) -> list[Event]:
        if sequence is None:
            sequence = self.sent
            self.sent += 1
        return self.channel.receive(pack("input_stream_data", payload, kind=kind, sequence=sequence))

    def acknowledge(self, *numbers: int) -> None:
        for number in numbers:
            content = {"AcknowledgedMessageSequenceNumber": number, "AcknowledgedMessageType": "output_stream_data"}
            assert self.channel.receive(pack("acknowledge", json.dumps(content).encode())) == []


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def ready(line: Line) -> Line:
    """A line whose handshake is over and acknowledged."""
    line.channel.begin()
    assert line.input(6, HELLO) == [Ready()]
    line.acknowledge(0, 1)
    line.sends()
    return line


def body(frame: Frame) -> Any:
    return json.loads(frame.payload)


def test_the_handshake_comes_first(line: Line) -> None:
    line.channel.begin()
    (request,) = line.sends()
    assert (request.type, request.kind, request.sequence, request.flags) == ("output_stream_data", 5, 0, 1)
    assert line.input(6, HELLO) == [Ready()]
    acknowledgement, complete = line.sends()
    assert (acknowledgement.type, body(acknowledgement)["AcknowledgedMessageSequenceNumber"]) == ("acknowledge", 0)
    assert (complete.kind, complete.sequence, complete.flags) == (7, 1, 0)


def test_a_client_that_refuses_the_session_ends_it(line: Line) -> None:
    line.channel.begin()
    assert line.input(6, json.dumps({"Errors": ["Unknown session type"]}).encode()) == [
        Left(reason="Unknown session type")
    ]


def test_a_client_that_knows_no_handshake_may_just_begin(line: Line) -> None:
    line.channel.begin()
    assert line.input(3, b'{"cols": 80, "rows": 24}') == [Ready(), Resized(columns=80, rows=24)]
    assert line.input(1, b"ls\r") == [Typed(data=b"ls\r")]


def test_input_is_taken_in_order_and_once(ready: Line) -> None:
    assert ready.input(1, b"c", sequence=3) == []
    assert ready.input(1, b"b", sequence=2) == []
    assert ready.input(1, b"a", sequence=1) == [Typed(data=b"a"), Typed(data=b"b"), Typed(data=b"c")]
    assert ready.input(1, b"b", sequence=2) == []
    assert [body(one)["AcknowledgedMessageSequenceNumber"] for one in ready.sends()] == [3, 2, 1, 2]


def test_input_that_cannot_be_taken_is_not_acknowledged(ready: Line) -> None:
    ready.channel.takes_input = False
    assert ready.input(1, b"a", sequence=1) == []
    assert ready.input(1, b"b", sequence=2) == []
    assert ready.sends() == []
    ready.channel.takes_input = True
    assert ready.input(1, b"a", sequence=1) == [Typed(data=b"a")]
    assert ready.input(1, b"b", sequence=2) == [Typed(data=b"b")]


def test_output_is_sent_again_until_it_is_acknowledged(ready: Line) -> None:
    ready.channel.write(b"one")
    ready.channel.write(b"two")
    first, second = ready.sends()
    ready.now += RESEND_AFTER * 0.4
    ready.channel.resend()
    assert ready.sends() == []
    ready.now += RESEND_AFTER * 0.7
    ready.channel.resend()
    assert ready.sends() == [first]  # the oldest alone, and the very same message
    ready.channel.resend()
    assert ready.sends() == []
    ready.acknowledge(first.sequence)
    ready.now += RESEND_AFTER * 1.1
    ready.channel.resend()
    assert ready.sends() == [second]
    assert not ready.channel.idle
    ready.acknowledge(second.sequence)
    ready.now += RESEND_AFTER
    ready.channel.resend()
    assert (ready.sends(), ready.channel.idle) == ([], True)


def test_so_much_may_be_on_its_way(ready: Line) -> None:
    ready.channel.write(b"x" * PAYLOAD * (WINDOW - 1))
    assert not ready.channel.full
    ready.channel.write(b"x")
    assert ready.channel.full
    ready.acknowledge(ready.sends()[5].sequence)
    assert not ready.channel.full


def test_the_end_says_why(ready: Line) -> None:
    ready.channel.close("because")
    (closed,) = ready.sends()
    assert (closed.type, body(closed)["Output"], body(closed)["SessionId"]) == (
        "channel_closed",
        "because",
        "session-1",
    )


def test_a_client_may_end_the_session(ready: Line) -> None:
    assert ready.input(10, (2).to_bytes(4, "big")) == [Left()]
    assert ready.channel.receive(pack("channel_closed", b"{}")) == [Left()]


@pytest.mark.parametrize("size", [b"{}", b"[]", b"no", b'{"cols": 0, "rows": 5}', b'{"cols": 70000, "rows": 5}'])
def test_sizes_that_no_terminal_has_are_left_alone(ready: Line, size: bytes) -> None:
    assert ready.input(3, size) == []


@given(st.text(), st.integers(1, 4))
def test_characters_are_not_cut(text: str, repeated: int) -> None:
    line = Line()
    data = (text * repeated * 100).encode()
    line.channel.write(data)
    frames = line.sends()
    assert b"".join(one.payload for one in frames) == data
    assert all(len(one.payload) <= PAYLOAD and one.payload.decode() is not None for one in frames)
    assert all(two.sequence == one.sequence + 1 for one, two in pairwise(frames))


@given(st.binary(max_size=3000))
def test_bytes_that_are_no_text_pass_too(data: bytes) -> None:
    line = Line()
    line.channel.write(data)
    assert b"".join(one.payload for one in line.sends()) == data
    assert len(data) - 3 <= whole_characters(data) <= len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    line = Line()
    try:
        events = line.channel.receive(data)
    except MessageError:
        return
    assert events == []


@given(st.binary(max_size=50), st.sampled_from(["input_stream_data", "acknowledge", "start_publication", "?"]))
def test_any_payload_is_survived(payload: bytes, name: str) -> None:
    for kind in range(14):
        line = Line()
        line.channel.begin()
        line.channel.receive(pack(name, payload, kind=kind))


def test_ids_are_read_as_they_are_written() -> None:
    data = pack("input_stream_data", b"x")
    assert decode(data).id == unpack(data).id
