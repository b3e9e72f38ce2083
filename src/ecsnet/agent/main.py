"""The agent process: composition and the converge thread. Started inside the world by `World.start_agent`.

`python -m ecsnet.agent.main --state DIR` serves DIR/agent.sock and DIR/dial.sock until SIGTERM. Killed at any moment,
the next one adopts what it finds: nothing on disk matters.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ecsnet.agent import conntrack
from ecsnet.agent.converge import Converge
from ecsnet.agent.dial import DialServer
from ecsnet.agent.driver import AgentContext, AskError, AskHandler, Driver, Patrolled
from ecsnet.agent.drivers.netns import NamespaceDriver
from ecsnet.agent.drivers.network import NetworkDriver
from ecsnet.agent.drivers.nft import NftDriver
from ecsnet.agent.namespaces import MARKER, NamespaceFiles
from ecsnet.agent.parts import PARTS
from ecsnet.agent.prober.part import Prober
from ecsnet.agent.server import Server
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import Applied, Delta, Hello, Sync, ToControl

READ_BACK = 2.0
"""Seconds between two patrols: foreign changes of the network are found within five. A patrol of many thousand objects
takes longer, and then the pauses grow with it (`_PATROL_SHARE`)."""

_PATROL_SHARE = 20
"""A patrol is followed by a pause of at least this many times the processor time that it took."""

_SLOW_LOOK = 60.0
"""Seconds between two looks of drivers that can only be looked at on the converge thread (they notice dead processes by
themselves)."""


_MUCH = 1_000
"""Objects of one change of the plan after which the plan counts as another one."""

NOTES = ("cpu and memory limits of containers are not enforced",)
"""What `ecsnet status` says that is not enforced: containers run without control groups of their own."""


class Agent:
    """Everything of one agent. `run` is the converge thread and returns after `stop`."""

    def __init__(self, state: Path, *, read_back: float = READ_BACK) -> None:
        self._condition = threading.Condition()
        self._messages: list[Sync | Delta] = []
        self._look = False
        self._stopping = False
        self._ended = threading.Event()
        self._speed = 1.0
        self._files = NamespaceFiles()
        rootless = not _is_initial_user_namespace()
        nft = NftDriver(self._files)
        context = AgentContext(
            state=state,
            namespaces=self._files,
            emit=self._emit,
            wake=self.look_again,
            now=time.time,
            speed=lambda: self._speed,
            rootless=rootless,
        )
        parts = [factory(context) for factory in PARTS]
        drivers: list[Driver] = [
            NamespaceDriver(self._files),
            NetworkDriver(self._files),
            nft,
            *(part.driver for part in parts),
        ]
        self._drivers = drivers
        self._suspicions: list[tuple[Driver, Collection[str], Mapping[str, HostObject]]] = []
        self._read_back = read_back
        self.converge = Converge(drivers, time.monotonic)
        self._prober = Prober(state)
        asks: dict[str, AskHandler] = {
            "nft": _nft_ask(nft),
            "stats": self._stats,
            "nat": self._nat,
            "probe": self._prober.ask,
        }
        for part in parts:
            asks |= part.asks
        self._early: list[ToControl] = []
        self._server: Server | None = None
        self._server = Server(
            state / "agent.sock",
            hello=Hello(pid=os.getpid(), rootless=rootless, notes=NOTES),
            plan=self._plan,
            asks=asks,
            told=lambda: [message for part in parts for message in part.told()],
        )
        for message in self._early:
            self._server.emit(message)
        self._dial = DialServer(state / "dial.sock", self._files)

    def _emit(self, message: ToControl) -> None:
        if self._server is None:
            self._early.append(message)
        else:
            self._server.emit(message)

    def _plan(self, message: Sync | Delta) -> None:
        with self._condition:
            self._messages.append(message)
            self._condition.notify()

    def look_again(self) -> None:
        """Read everything back soon (any thread)."""
        with self._condition:
            self._look = True
            self._condition.notify()

    def stop(self) -> None:
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def run(self) -> None:
        """Converge until `stop`."""
        last: Applied | None = None
        threading.Thread(target=self._patrol, name="agent-patrol", daemon=True).start()
        while True:
            with self._condition:
                self._condition.wait_for(self._wanted, timeout=self._pause())
                if self._stopping:
                    break
                messages, self._messages = self._messages, []
                look, self._look = self._look, False
                suspicions, self._suspicions = self._suspicions, []
            for message in messages:
                if isinstance(message, Sync):
                    self._speed = message.speed
                    self.converge.sync(message)
                else:
                    self.converge.delta(message)
                if isinstance(message, Sync) or len(message.put) >= _MUCH:
                    gc.freeze()  # a plan lives long, and is not looked through for garbage again and again
            if look:
                self.converge.ask_read_back()
            for driver, keys, seen in suspicions:
                self.converge.suspect(driver, keys, seen)
            applied = self.converge.tick()
            if applied is not None and (messages or applied != last):
                self._emit(applied)
                last = applied
        self.close()

    def _wanted(self) -> bool:
        return bool(self._messages or self._suspicions) or self._look or self._stopping

    def _pause(self) -> float | None:
        retry = self.converge.next_attempt()
        return None if retry is None else max(0.0, retry - time.monotonic())

    def _patrol(self) -> None:
        """Watch the machine beside the converge thread; drivers that cannot be watched so are looked at in turn."""
        pause = self._read_back
        slow_look_due = time.monotonic() + max(_SLOW_LOOK, self._read_back)
        while not self._ended.wait(pause):
            began, spent = time.monotonic(), time.thread_time()
            slow = began >= slow_look_due
            if slow:
                slow_look_due = began + max(_SLOW_LOOK, self._read_back)
            for driver in self._drivers:
                if not slow and not isinstance(driver, Patrolled):
                    continue
                seen = self.converge.wanted_of(driver)
                keys = self._suspects(driver, seen)
                if keys:
                    with self._condition:
                        self._suspicions.append((driver, keys, seen))
                        self._condition.notify()
            pause = max(self._read_back, _PATROL_SHARE * (time.thread_time() - spent))

    @staticmethod
    def _suspects(driver: Driver, seen: Mapping[str, HostObject]) -> Collection[str]:
        everything = (*seen, "")  # with a key that never is in motion, so that the look is not put off
        if not isinstance(driver, Patrolled):
            return everything
        try:
            return driver.suspects(seen)
        except OSError:
            return everything  # something vanished while it was read

    def close(self) -> None:
        """Stop serving; everything made stays."""
        self._ended.set()
        if self._server is not None:
            self._server.close()
        self._dial.close()
        self._prober.close()
        for driver in self._drivers:
            driver.close()

    def _stats(self, _argument: bytes) -> bytes:
        converge = self.converge
        return json.dumps(
            {
                "revision": converge.revision,
                "desired": len(converge.desired),
                "believed": len(converge.believed),
                "namespaces": len(self._files.names()),
                "pid": os.getpid(),
                "resident_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                **converge.counters,
            }
        ).encode()

    def _nat(self, argument: bytes) -> bytes:
        """{"netns": name} → AWS's metrics of that NAT gateway (CloudWatch, namespace AWS/NATGateway)."""
        wanted: Mapping[str, str] = json.loads(argument)
        try:
            found = conntrack.counts(self._files, wanted["netns"])
        except (KeyError, FileNotFoundError) as error:
            raise AskError(f"there is no namespace {wanted.get('netns')!r}") from error
        return json.dumps({"active_connections": found.active, "error_port_allocation": found.refused}).encode()


def _nft_ask(nft: NftDriver) -> AskHandler:
    def ask(argument: bytes) -> bytes:
        """{"netns": name} → {"text": what `nft list ruleset` prints there}."""
        wanted: Mapping[str, str] = json.loads(argument)
        try:
            return json.dumps({"text": nft.listing(wanted["netns"])}).encode()
        except (KeyError, FileNotFoundError) as error:
            raise AskError(f"there is no namespace {wanted.get('netns')!r}") from error

    return ask


def _is_initial_user_namespace() -> bool:
    """Whether ids are the host's own: the initial user namespace maps all of them one to one."""
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _single(state: Path) -> int | None:
    """The lock of the one agent of this state directory; None when another holds it."""
    descriptor = os.open(state / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="ecsnet-agent", description="The part of ecsnet that touches the kernel.")
    parser.add_argument("--state", type=Path, required=True, help="the state directory")
    parser.add_argument("--read-back", type=float, default=READ_BACK, help="seconds between two looks at everything")
    options = parser.parse_args(argv)
    if not Path(MARKER).exists():
        print("the agent runs only inside a world (see World.start_agent): it would change this host", file=sys.stderr)
        return 2
    lock = _single(options.state)
    if lock is None:
        return 0
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(50_000, 50, 100)
    agent = Agent(options.state, read_back=options.read_back)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: agent.stop())
    agent.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
