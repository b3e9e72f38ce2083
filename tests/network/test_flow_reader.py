"""The flow reader beside real routers: what it counts, and that it comes and goes with their namespaces."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.agent.flows.reader import QUIET
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.flows import FromReader, Interval, Live, Part, Watch, Watching
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network


class Reader:
    """A flow reader of a test."""

    def __init__(self, net: TestWorld) -> None:
        command = net.world.enter_command([sys.executable, "-m", "ecsnet.agent.flows.reader"])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        self._frames = Frames()
        self._decoder = msgspec.msgpack.Decoder(FromReader)
        self._waiting: list[FromReader] = []
        self._number = 0

    def watch(self, *routers: str, live: tuple[str, ...] = (), interval: float = 0.2) -> None:
        assert self.process.stdin is not None
        self._number += 1
        order = Watch(number=self._number, routers=routers, live=live, interval=interval)
        self.process.stdin.write(frame(msgspec.msgpack.encode(order)))
        self.process.stdin.flush()
        self.until(lambda message: isinstance(message, Watching) and message.number == self._number)

    def until(self, wanted: Callable[[FromReader], bool], seconds: float = 60.0) -> FromReader:
        """The first message that is wanted; those before it are forgotten."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while True:
            while self._waiting:
                message = self._waiting.pop(0)
                if wanted(message):
                    return message
            assert time.monotonic() < end, "the reader did not say it"
            data = self.process.stdout.read1(1 << 16)  # type: ignore[union-attr]
            assert data, "the reader ended"
            self._waiting += [self._decoder.decode(body) for body in self._frames.feed(data)]

    def parts(self, wanted: Callable[[Part], bool]) -> list[Part]:
        """The wanted parts until now: of all intervals up to the first that begins after this call.

        The one that is under way may have looked at the counters already."""
        chosen: list[Part] = []
        now = time.time()

        def look(message: FromReader) -> bool:
            if not isinstance(message, Interval) or message.router != router():
                return False
            assert not message.missed
            chosen.extend(filter(wanted, message.parts))
            return message.start > now

        self.until(look)
        return chosen

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(60) == 0


@pytest.fixture
def reader(net: TestWorld) -> Iterator[Reader]:
    made = Reader(net)
    yield made
    made.close()


def pair(lab: Lab) -> tuple[Task, Task]:
    lab.vpc()
    lab.group(1)
    lab.group(
        2, rows.rule(1, 2, ports=(80, 80), cidr="10.0.0.0/16"), rows.rule(2, 2, protocol="icmp", cidr="10.0.0.0/8")
    )
    return lab.task("10.0.1.10", 1), lab.task("10.0.2.11", 2, subnet=2)


def from_(task: Task, port: int = 80) -> Callable[[Part], bool]:
    return lambda part: part.source == ip_address(task.address).packed and part.destination_port == port


def test_both_links_both_rules_and_every_packet(lab: Lab, reader: Reader) -> None:
    client, server = pair(lab)
    reader.watch(router())
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        parts = reader.parts(from_(client))  # one, or two when an interval ended in the middle
    assert {(part.in_link, part.out_link, part.denied) for part in parts} == {(client.link, server.link, "")}
    assert {part.rules for part in parts} == {(rows.identifier("sgr", 1001), rows.identifier("sgr", 1))}
    assert sum(part.packets for part in parts) == sum(part.sent_packets for part in parts) >= 3
    assert lab.net.tcp(client.netns, server.address, 81) is None
    parts = reader.parts(from_(client, 81))
    denied, sent = ([part for part in parts if bool(part.denied) is wanted] for wanted in (True, False))
    assert {(part.denied, part.flags) for part in denied} == {(f"sg-in {rows.identifier('eni', 2)}", 2)}
    assert [part.sent_packets for part in sent] == [part.packets for part in denied]
    assert {part.packets for part in sent} == {0}


def test_ping_has_no_ports_and_two_directions(lab: Lab, reader: Reader) -> None:
    client, server = pair(lab)
    reader.watch(router())
    assert lab.net.ping(client.netns, server.address)
    parts = reader.parts(lambda part: part.protocol == 1)
    assert {(part.reply, part.source_port, part.destination_port, part.flags) for part in parts} == {
        (False, 0, 0, None),
        (True, 0, 0, None),
    }


def test_a_router_that_is_made_later_is_read_from_its_first_packet(lab: Lab, reader: Reader) -> None:
    reader.watch(router(), live=(router(),))
    client, server = pair(lab)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        live = reader.until(lambda message: isinstance(message, Live) and any(map(from_(client), message.parts)))
        assert isinstance(live, Live)
        (part,) = filter(from_(client), live.parts)
        assert part.rules == (rows.identifier("sgr", 1001), rows.identifier("sgr", 1))


def test_it_finds_the_successor_of_a_router(lab: Lab, reader: Reader) -> None:
    client, server = pair(lab)
    reader.watch(router())
    lab.net.sync()
    lab.net.apply(lab.plan())
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address
        assert reader.parts(from_(client))


FLOOD = """
import socket
stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(500):
    stream.sendto(b"x", ("10.0.2.11", 53))
"""


def test_repetitions_of_a_denied_packet_are_told_together(lab: Lab, reader: Reader) -> None:
    client, _server = pair(lab)
    reader.watch(live=(router(),))
    began = time.monotonic()
    assert lab.net.run(client.netns, sys.executable, "-c", FLOOD).returncode == 0
    told: list[int] = []
    while sum(told) < 500:
        live = reader.until(lambda message: isinstance(message, Live))
        assert isinstance(live, Live)
        told += [part.packets for part in live.parts if part.denied]
    took = time.monotonic() - began
    assert sum(told) == 500
    assert told[0] == 1, "the first one is told at once"
    assert len(told) <= 3 + took / QUIET
