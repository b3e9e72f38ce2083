"""The control process: everything is composed here by hand; read it from top to bottom.

python -m ecsnet.daemon --home DIR --port 4566 [--speed N] [--quota NAME=NUMBER]…
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvloop

from ecsnet.agent.world import World
from ecsnet.aws.app import make_app
from ecsnet.aws.ids import RandomIds
from ecsnet.aws.server import make_server
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.control.feed import PlanFeed
from ecsnet.control.flows.deliver import Deliverer
from ecsnet.control.flows.reading import Reading
from ecsnet.control.flows.service import Flows
from ecsnet.control.local import LocalPorts
from ecsnet.control.observations import Observations
from ecsnet.control.quotas import read as read_quotas
from ecsnet.control.routes import Routes
from ecsnet.control.sessions.gateway import DATA_CHANNEL, Sessions, starter
from ecsnet.control.supervisor import Supervisor
from ecsnet.controllers.loop import Controllers
from ecsnet.fabric.kernel.lower import lower
from ecsnet.fabric.kernel.plan import Planner, published_by
from ecsnet.home import DEFAULT_PORT, Home
from ecsnet.hostplan.messages import (
    Answer,
    Applied,
    ContainerSeen,
    Delta,
    Hello,
    LogLines,
    TargetSeen,
    ToControl,
)
from ecsnet.model.tables import SCHEMA
from ecsnet.services import autoscaling, cloudformation, ec2, ecs, elbv2, sts
from ecsnet.services.backing import Backing
from ecsnet.services.call import Call, Operation, Settings
from ecsnet.services.cloudformation.engine import StackEngine
from ecsnet.services.ec2.ops import number_group_sets, seed_account
from ecsnet.store.store import Commit, Store, Transaction

LOG = logging.getLogger("ecsnet.control")

SERVICES: Mapping[str, tuple[Operation, ...]] = {
    "autoscaling": autoscaling.OPERATIONS,
    "cloudformation": cloudformation.OPERATIONS,
    "ec2": ec2.OPERATIONS,
    "ecs": ecs.OPERATIONS,
    "elbv2": elbv2.OPERATIONS,
    "sts": sts.OPERATIONS,
}

IN_FORCE_DEADLINE = 10.0
"""Seconds that a call waits for the data plane before it answers all the same; `status` shows the lag."""


class AlreadyRunningError(Exception):
    """Another control process owns this state directory."""


@contextlib.contextmanager
def single_instance(home: Home, port: int) -> Iterator[None]:
    """Hold the lock of the state directory; the lock file tells the command line where control listens."""
    with home.control_lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"ecsnet already runs from {home.path}") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()} {port}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def listen(port: int) -> socket.socket:
    """The API's listening socket on loopback. Raises OSError when the port is taken."""
    # asyncio sets TCP_NODELAY only on sockets whose protocol number says TCP; without it every second request on a
    # connection waits 40 ms for a delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


def collect_little() -> None:
    """Let Python's garbage collector work little and in small parts, now that everything is imported and loaded.

    What exists lives as long as the process; records are not tracked by the collector, so that little garbage is made
    afterwards. With Python's defaults it is half the cost of a list of 1,000 interfaces. A generation is small, so that
    looking through it is a pause of half a millisecond, and hardly ever joins an older one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 1_000, 100)


async def serve(home: Home, listener: socket.socket, speed: float, quotas: Mapping[str, int]) -> None:
    """Run control until it is told to stop."""
    settings = Settings(speed=speed, quotas=quotas)
    store = Store(home.store, SCHEMA)
    with store.transaction() as tx:
        number_group_sets(tx)
    ids = RandomIds()
    clock = time.time
    port = listener.getsockname()[1]
    backing = Backing(home.path)
    loop = asyncio.get_running_loop()

    def make_call(tx: Transaction, account: str, region: str, now: float) -> Call:
        return Call(tx=tx, account=account, region=region, now=now, ids=ids, settings=settings)

    @contextlib.contextmanager
    def open_call(account: str = "", region: str = "") -> Iterator[Call]:
        with store.transaction() as tx:
            yield make_call(tx, account, region, clock())

    # ── wishes: store → plan → agent ─────────────────────────────────────────────────────────────────────────────
    def send(delta: Delta) -> None:
        if supervisor.link is not None:
            supervisor.link.send(delta)

    observations = Observations(open_call, published_by)
    feed = PlanFeed(Engine(FRAGMENTS), Planner(lower), send, observations.planned, speed)
    feed.start(store.snapshot)
    store.subscribe(feed.committed)

    async def applied(revision: int) -> None:
        if not await feed.in_force(revision, IN_FORCE_DEADLINE):
            LOG.warning("revision %d is not in force after %.0f s", revision, IN_FORCE_DEADLINE)
        if not await flows.in_force(IN_FORCE_DEADLINE):
            LOG.warning("the flow reader is not ready after %.0f s", IN_FORCE_DEADLINE)

    # ── facts: agent → store ─────────────────────────────────────────────────────────────────────────────────────
    greeting: list[Hello] = []

    def receive(message: ToControl) -> None:
        match message:
            case Hello():
                greeting[:] = [message]
                observations.connected()
            case Applied():
                feed.acknowledge(message)
                observations.applied(message, feed.failures)
            case ContainerSeen():
                observations.container(message)
            case TargetSeen():
                observations.target(message)
            case LogLines():
                backing.log_lines(message)
            case Answer():
                pass  # the link itself hands answers to whoever asked

    world = World(home.path)
    supervisor = Supervisor(world, home.path, feed.sync, receive)
    flows = Flows(
        store=store,
        open_call=open_call,
        reading=lambda receive: Reading(world, home.path, receive),
        deliverer=Deliverer(backing.call, home.path),
        speed=speed,
    )
    store.subscribe(flows.committed)

    sessions = Sessions(store=store, open_call=open_call, start=starter(world, lambda: supervisor.link))
    sessions.forget()
    store.subscribe(sessions.committed)

    # ── loops that move states ───────────────────────────────────────────────────────────────────────────────────
    controllers = Controllers(store, open_call)
    stacks = StackEngine(
        store=store,
        open_call=open_call,
        clock=clock,
        backing=backing,
        services=SERVICES,
        speed=speed,
        applied=applied,
    )
    local = LocalPorts(home.path / "dial.sock")
    wake = asyncio.Event()

    def woken(commit: Commit) -> None:
        wake.set()
        if local.concerns(commit):
            background.add(loop.create_task(local.update(commit.after)))

    background: set[asyncio.Task[None]] = set()
    store.subscribe(woken)

    async def run_controllers() -> None:
        while True:
            wake.clear()
            due = controllers.run_once(clock())
            if wake.is_set():
                await asyncio.sleep(0)
                continue
            timeout = None if due is None else max(0.0, due - clock())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), timeout)

    # ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def reset() -> None:
        store.clear()
        await backing.reset()

    routes = Routes(
        store=store,
        feed=feed,
        supervisor=supervisor,
        local=local,
        flows=flows,
        hello=lambda: greeting[0] if greeting else None,
        reset=reset,
        port=port,
        speed=speed,
    )
    app = make_app(
        store=store,
        services=SERVICES,
        ids=ids,
        clock=clock,
        settings=settings,
        backing=backing,
        seed=seed_account,
        applied=applied,
        routes=routes.table(),
        streams={DATA_CHANNEL: sessions.serve},
        allowed_hosts=os.environ.get("ECSNET_ALLOW_HOSTS", "").split(),
    )
    collect_little()
    flows.start(store.snapshot)
    server = make_server(app)
    async with asyncio.TaskGroup() as group:
        keepers = [
            group.create_task(supervisor.run()),
            group.create_task(run_controllers()),
            group.create_task(stacks.run()),
            group.create_task(flows.run()),
        ]
        background.add(group.create_task(local.update(store.snapshot)))
        await server.serve(sockets=[listener])
        for keeper in keepers:
            keeper.cancel()
    backing.close()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="ecsnet.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--quota", action="append", default=[])
    options = parser.parse_args()
    try:
        quotas = read_quotas(options.quota)
    except ValueError as error:
        sys.exit(str(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    home = Home(path=options.home)
    home.ensure()
    try:
        listener = listen(options.port)
    except OSError as error:
        sys.exit(
            f"port {options.port} on 127.0.0.1 cannot be used: {error.strerror}. Choose another: ecsnet up --port N"
        )
    try:
        with single_instance(home, listener.getsockname()[1]):
            uvloop.run(serve(home, listener, options.speed, quotas))
    except AlreadyRunningError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
