"""The agent's two sockets as control uses them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecsnet import unixsocket
from ecsnet.agent.client import AgentGoneError, AgentLink, AskFailed
from ecsnet.hostplan.kernel import Address, Namespace
from ecsnet.hostplan.messages import Applied, ContainerSeen, Delta, Hello, Sync, ToControl
from ecsnet.testing.world import TestWorld, throw_away_world

pytestmark = pytest.mark.network

LEFT = Namespace(name="left", owner="test")
HERE = Address(netns="left", link="lo", address="10.1.0.1/32")


@pytest.fixture(scope="module")
def net() -> Iterator[TestWorld]:
    with throw_away_world() as made:
        yield made


class Control:
    """A link and what came over it."""

    def __init__(self, state: Path) -> None:
        self.received: list[ToControl] = []
        self._more = asyncio.Event()
        self._state = state

    async def connect(self) -> AgentLink:
        return await AgentLink.connect(self._state / "agent.sock", self._take)

    def _take(self, message: ToControl) -> None:
        self.received.append(message)
        self._more.set()

    async def until(self, wanted: Callable[[ToControl], bool]) -> ToControl:
        async with asyncio.timeout(60):
            while True:
                for message in self.received:
                    if wanted(message):
                        return message
                self._more.clear()
                await self._more.wait()


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)


def test_control_says_what_is_wanted_and_hears_when_it_is_in_force(net: TestWorld) -> None:
    async def body() -> None:
        control = Control(net.state)
        link = await control.connect()
        hello = control.received[0]
        assert isinstance(hello, Hello)
        assert hello.rootless == (os.geteuid() != 0)
        link.send(Sync(revision=5, speed=1.0, objects=(LEFT,)))
        assert await control.until(lambda m: isinstance(m, Applied)) == Applied(revision=5)
        link.send(Delta(revision=6, put=(HERE,), remove=()))
        assert await control.until(lambda m: isinstance(m, Applied) and m.revision == 6) == Applied(revision=6)
        stats = json.loads(await link.ask("stats"))
        assert (stats["revision"], stats["desired"]) == (6, 2)
        link.close()
        await link.closed()

    run(body())


def test_an_ask_that_cannot_be_answered_is_refused_with_a_sentence(net: TestWorld) -> None:
    async def body() -> None:
        link = await Control(net.state).connect()
        with pytest.raises(AskFailed, match="does not answer 'weather'"):
            await link.ask("weather")
        with pytest.raises(AskFailed, match="there is no namespace 'nowhere'"):
            await link.ask("nft", b'{"netns": "nowhere"}')
        with pytest.raises(AskFailed, match="not a namespace name"):
            await link.ask("nft", b'{"netns": "../../etc"}')
        with pytest.raises(AskFailed):
            await link.ask("nft", b"not json")
        link.close()

    run(body())


def test_a_newer_control_replaces_the_older(net: TestWorld) -> None:
    async def body() -> None:
        older = await Control(net.state).connect()
        newer = await Control(net.state).connect()
        await asyncio.wait_for(older.closed(), 60)
        with pytest.raises(AgentGoneError):
            older.send(Sync(revision=1, speed=1.0, objects=()))
        assert json.loads(await newer.ask("stats"))
        newer.close()

    run(body())


def test_who_speaks_another_protocol_is_hung_up_on_and_harms_nobody(net: TestWorld) -> None:
    for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\3abc", b"\xff\xff\xff\xff"):
        with contextlib.closing(unixsocket.connect(net.state / "agent.sock")) as stranger:
            stranger.settimeout(60)
            stranger.sendall(noise)
            while stranger.recv(4096):
                pass
    net.connect()
    assert net.ask("stats")


def test_a_control_that_asks_learns_when_the_agent_dies() -> None:
    async def body(net: TestWorld) -> None:
        control = Control(net.state)
        link = await control.connect()
        pid = json.loads(await link.ask("stats"))["pid"]
        os.kill(pid, signal.SIGSTOP)
        asked = asyncio.create_task(link.ask("stats"))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(AgentGoneError):
            await asyncio.wait_for(asked, 60)
        await asyncio.wait_for(link.closed(), 60)
        with pytest.raises(ConnectionError):
            await control.connect()

    with throw_away_world() as net:
        run(body(net))


def test_a_second_agent_leaves_the_first_alone(net: TestWorld) -> None:
    net.connect()
    first = net.ask("stats")["pid"]
    # In the foreground, so that it has done what it does before the first one is asked.
    second = [sys.executable, "-m", "ecsnet.agent.main", "--state", str(net.state)]
    subprocess.run(net.world.enter_command(second), cwd="/", check=True, timeout=60)
    net.connect()
    assert net.ask("stats")["pid"] == first


def test_observations_are_kept_for_a_control_that_is_away(net: TestWorld) -> None:
    """The newest per subject, after the next Hello (a server of its own, without an agent)."""
    from ecsnet.agent.server import Server

    seen = ContainerSeen(key="workload:t/c", state="starting", runtime="stand-in", runtime_id="1", at=1.0)
    later = ContainerSeen(key="workload:t/c", state="running", runtime="stand-in", runtime_id="1", at=2.0)
    path = net.state / "own.sock"
    server = Server(path, hello=Hello(pid=1, rootless=False), plan=lambda _message: None, asks={})
    server.emit(seen)
    server.emit(later)

    async def body() -> None:
        received: list[ToControl] = []
        both = asyncio.Event()

        def take(message: ToControl) -> None:
            received.append(message)
            if len(received) == 2:
                both.set()

        link = await AgentLink.connect(path, take)
        await asyncio.wait_for(both.wait(), 60)
        assert received == [Hello(pid=1, rootless=False), later]
        link.close()

    run(body())
    server.close()


def test_a_new_control_is_told_again_what_is_still_held(net: TestWorld) -> None:
    """A control that was killed may not have stored what it was sent last."""
    from ecsnet.agent.server import Server

    held = ContainerSeen(key="workload:t/c", state="running", runtime="stand-in", runtime_id="1", at=2.0)
    path = net.state / "held.sock"
    hello = Hello(pid=1, rootless=False)
    server = Server(path, hello=hello, plan=lambda _message: None, asks={}, told=lambda: [held])

    async def body() -> None:
        for _ in range(2):
            received: asyncio.Queue[ToControl] = asyncio.Queue()
            link = await AgentLink.connect(path, received.put_nowait)
            told = [await asyncio.wait_for(received.get(), 60) for _ in range(2)]
            assert told == [hello, held]
            link.close()

    run(body())
    server.close()


# ── dial ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def dial(net: TestWorld, **request: object) -> tuple[dict[str, Any], socket.socket]:
    stream = unixsocket.connect(net.state / "dial.sock")
    stream.settimeout(60)
    stream.sendall(json.dumps(request).encode() + b"\n")
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        assert byte, line
        line += byte
    return json.loads(line), stream


def test_dial_carries_bytes_into_a_namespace_and_back(net: TestWorld) -> None:
    net.connect()
    net.sync([LEFT, HERE])
    with net.listen("left", "10.1.0.1", 80):
        answer, stream = dial(net, netns="left", host="10.1.0.1", port=80)
        with stream:
            assert answer == {"ok": True, "address": "10.1.0.1", "local": "10.1.0.1"}
            stream.sendall(b"hello\n")
            assert stream.recv(100) == b"10.1.0.1 hello\n"
            stream.shutdown(socket.SHUT_WR)
            assert stream.recv(100) == b"", "a half-close is passed on and comes back"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"netns": "left", "host": "10.1.0.1", "port": 81}, "Connection refused"),
        ({"netns": "nowhere", "host": "10.1.0.1", "port": 80}, "there is no namespace nowhere"),
        ({"netns": "left", "host": "web.example", "port": 80}, "no nameserver was given"),
        ({"netns": "left", "host": "10.1.0.1", "port": 80, "proto": "sctp"}, "must be tcp or udp"),
        ({"netns": "left", "host": "10.1.0.1"}, "missing required field `port`"),
    ],
    ids=["refused", "namespace", "name", "protocol", "field"],
)
def test_dial_says_why_not(net: TestWorld, request_: dict[str, object], words: str) -> None:
    net.connect()
    net.sync([LEFT, HERE])
    answer, stream = dial(net, **request_)
    with stream:
        assert words in answer["error"]
        assert answer["kind"] == "refused"


def test_dial_tells_silence_from_refusal(net: TestWorld) -> None:
    net.connect()
    net.sync([LEFT, HERE])
    hole = ("nft", "add table ip hole; add chain ip hole in { type filter hook input priority 0; policy drop; }")
    assert net.run("left", *hole).returncode == 0
    answer, stream = dial(net, netns="left", host="10.1.0.1", port=80, timeout=0.2)
    with stream:
        assert answer["kind"] == "timeout"
        assert "no answer from 10.1.0.1 port 80 within 0.2 s" in answer["error"]
