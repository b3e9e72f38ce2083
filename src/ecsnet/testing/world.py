"""Real-packet tests: a throw-away world with an agent of its own, and senders and listeners inside its namespaces.

```python
with throw_away_world() as net:
    net.apply(objects)                                  # host objects; waits until they are in force
    with net.listen("t2", "10.0.1.11", 80):             # a TCP echo server (proto="udp" for UDP)
        assert net.tcp("t1", "10.0.1.11", 80)           # True: a connection came about and echoed
        assert not net.tcp("t1", "10.0.1.11", 81)
```

Everything runs in processes of the world; a watchdog ends them when the test process ends, also by `kill -9`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ecsnet import unixsocket
from ecsnet.agent.world import World
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.messages import (
    Answer,
    Applied,
    Ask,
    ContainerSeen,
    Delta,
    Hello,
    Sync,
    TargetSeen,
    ToAgent,
    ToControl,
)
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.testing.inside import Inside
from ecsnet.testing.watchdog import watch

SILENCE = 0.4
"""Seconds without an answer that count as "no packet passes" (an answer takes well under 10 ms)."""


class TestWorld:
    """A world, its agent and a connection to it. Make it with `throw_away_world`."""

    __test__ = False

    def __init__(self, state: Path, *, read_back: float) -> None:
        self.state = state
        self.world = World(state)
        self._read_back = read_back
        self._revision = 0
        self._asks = 0
        self._connection: socket.socket | None = None
        self._frames = Frames()
        self._pending: list[ToControl] = []
        self.seen: list[ToControl] = []
        """Observations (ContainerSeen, TargetSeen) received so far."""
        self._inside: Inside | None = None

    # ── the agent ────────────────────────────────────────────────────────────────────────────────────────────────

    def start_agent(self) -> None:
        """Start an agent in the world and connect to it; what an earlier one made is adopted with the next plan."""
        self.world.start_agent(read_back=self._read_back)
        self.connect()

    def connect(self) -> None:
        """Connect to the running agent."""

        def attempt() -> bool:
            try:
                self._connection = unixsocket.connect(self.state / "agent.sock")
                self._frames = Frames()
                self._receive(lambda message: isinstance(message, Hello), 30.0)
            except OSError:  # not there yet, or a dying agent's last gasp
                return False
            return True

        wait_until(attempt, 60.0, "the agent does not answer; see agent.log")

    def kill_agent(self) -> None:
        """`kill -9` of the agent."""
        pid = int(self.ask("stats")["pid"])
        os.kill(pid, 9)
        wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), 30.0, "the agent survived SIGKILL")
        if self._connection is not None:
            self._connection.close()

    def apply(
        self, put: Sequence[HostObjectUnion] = (), remove: Sequence[str] = (), *, failures: bool = False
    ) -> Applied:
        """Send a change and wait until it is in force. Raises AssertionError naming what failed, unless `failures`."""
        self._revision += 1
        self._send(Delta(revision=self._revision, put=tuple(put), remove=tuple(remove)))
        return self._applied(failures)

    def sync(self, objects: Sequence[HostObjectUnion] = (), *, failures: bool = False) -> Applied:
        """Send a whole plan and wait until it is in force."""
        self._revision += 1
        self._send(Sync(revision=self._revision, speed=1.0, objects=tuple(objects)))
        return self._applied(failures)

    def ask(self, topic: str, **argument: Any) -> Any:
        """An ask; the answer's JSON. Raises AssertionError with the agent's sentence when it refuses."""
        self._asks += 1
        number = self._asks
        self._send(Ask(id=number, topic=topic, argument=json.dumps(argument).encode()))
        answer = self._receive(lambda message: isinstance(message, Answer) and message.id == number, 60.0)
        assert isinstance(answer, Answer)
        result = json.loads(answer.result)
        assert answer.ok, result
        return result

    def wait_seen(self, wanted: Callable[[ContainerSeen | TargetSeen], bool], seconds: float = 60.0) -> ToControl:
        """The first observation, past or coming, that `wanted` accepts."""

        def matches(message: ToControl) -> bool:
            return isinstance(message, ContainerSeen | TargetSeen) and wanted(message)

        for message in self.seen:
            if matches(message):
                return message
        return self._receive(matches, seconds)

    def _applied(self, failures: bool) -> Applied:
        message = self._receive(
            lambda message: isinstance(message, Applied) and message.revision == self._revision, 60.0
        )
        assert isinstance(message, Applied)
        assert failures or not message.failures, "\n".join(f"{each.key}: {each.text}" for each in message.failures[:20])
        return message

    def _send(self, message: ToAgent) -> None:
        assert self._connection is not None
        self._connection.sendall(frame(msgspec.msgpack.encode(message)))

    def _receive(self, wanted: Callable[[ToControl], bool], seconds: float) -> ToControl:
        assert self._connection is not None
        end = time.monotonic() + seconds
        while True:
            for message in self._pending:
                if wanted(message):
                    self._pending.remove(message)
                    return message
            self._connection.settimeout(max(0.01, end - time.monotonic()))
            data = self._connection.recv(1 << 18)
            if not data:
                raise ConnectionError("the agent hung up; see agent.log")
            for body in self._frames.feed(data):
                message = msgspec.msgpack.decode(body, type=ToControl)
                self._pending.append(message)
                if isinstance(message, ContainerSeen | TargetSeen):
                    self.seen.append(message)

    # ── packets ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def inside(self) -> Inside:
        """The process in the world that opens sockets in its namespaces."""
        if self._inside is None:
            self._inside = Inside(self.world)
        return self._inside

    def tcp(
        self, netns: str, address: str, port: int, *, source: str | None = None, timeout: float = SILENCE
    ) -> str | None:
        """Connect from a namespace, send a line, read the echo. The peer's view of our address, or None: no packet."""
        arguments = {"netns": netns, "address": address, "port": port, "source": source, "timeout": timeout}
        seen: str | None = self.inside.call("tcp", **arguments)
        return seen

    def udp(
        self, netns: str, address: str, port: int, *, source: str | None = None, timeout: float = SILENCE
    ) -> str | None:
        """One datagram and its echo, like `tcp`."""
        arguments = {"netns": netns, "address": address, "port": port, "source": source, "timeout": timeout}
        seen: str | None = self.inside.call("udp", **arguments)
        return seen

    def ping(self, netns: str, address: str, *, timeout: float = SILENCE) -> bool:
        """One ICMP echo."""
        return bool(self.inside.call("ping", netns=netns, address=address, timeout=timeout))

    @contextmanager
    def listen(self, netns: str, address: str, port: int, proto: str = "tcp") -> Iterator[None]:
        """An echo server in a namespace: it answers each line or datagram with the peer's address and the line."""
        number = self.inside.call("listen", netns=netns, address=address, port=port, proto=proto)
        try:
            yield
        finally:
            self.inside.call("unlisten", number=number)

    @contextmanager
    def flow(self, netns: str, address: str, port: int) -> Iterator[Callable[[], bool]]:
        """An established TCP connection; the callable sends a line over it and says whether the echo came back."""
        number = self.inside.call("open", netns=netns, address=address, port=port, timeout=20.0)
        assert number is not None, f"no connection from {netns} to {address}:{port}"
        try:
            yield lambda: bool(self.inside.call("talk", number=number, timeout=SILENCE))
        finally:
            self.inside.call("hang_up", number=number)

    def run(self, netns: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in a namespace of the world (`ip`, `nft`, `ping`)."""
        entered = ["nsenter", f"--net=/run/netns/{netns}", "--", *argv]
        return subprocess.run(self.world.enter_command(entered), capture_output=True, text=True, timeout=120)

    @contextmanager
    def start(self, netns: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """A program in a namespace of the world that goes on meanwhile, with pipes to and from it."""
        entered = self.world.enter_command(["nsenter", f"--net=/run/netns/{netns}", "--", *argv])
        pipe = subprocess.PIPE
        with subprocess.Popen(entered, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def close(self) -> None:
        if self._inside is not None:
            self._inside.close()
        if self._connection is not None:
            self._connection.close()
        self.world.down(patience=0.3)


@contextmanager
def throw_away_world(*, read_back: float = 60.0) -> Iterator[TestWorld]:
    """A world with an empty plan in force; it is taken down, and its state directory removed, at the end."""
    state = Path(tempfile.mkdtemp(prefix="ecsnet-test-", dir="/var/tmp"))
    net = TestWorld(state, read_back=read_back)
    watchdog = watch(state)
    try:
        net.world.start()
        net.start_agent()
        net.sync()
        yield net
    except BaseException:
        log = state / "agent.log"
        if log.exists():
            print(log.read_text(errors="replace")[-4000:])
        raise
    finally:
        net.close()
        watchdog.communicate()


def wait_until(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Wait for a condition outside this process. Raises AssertionError with `complaint`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.005)
