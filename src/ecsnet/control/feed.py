"""Turns commits into host-plan deltas for the agent, and lets callers wait until a revision is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from ecsnet.compile.engine import Engine
from ecsnet.fabric.kernel.plan import Planner
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import Applied, Delta, Sync
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Commit

Planned = Callable[[int, tuple[HostObject, ...], tuple[str, ...]], None]
"""Told of every change of the plan: revision, objects made or replaced, keys removed."""

NOTHING = -1
"""Below every revision: the agent has not said yet what it holds. An empty store has revision 0 and yet a plan, the
internet, so that 0 would say that it is in force before the agent began."""


class PlanFeed:
    """Keeps the host plan equal to the store and remembers how far the agent has come.

    `send` hands a message to the agent; while no agent is connected it does nothing, and the next connection begins
    with `sync()`.
    """

    def __init__(
        self, engine: Engine, planner: Planner, send: Callable[[Delta], None], planned: Planned, speed: float
    ) -> None:
        self._engine = engine
        self._planner = planner
        self._send = send
        self._planned = planned
        self._speed = speed
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self.revision = 0
        """The newest store revision that was compiled."""
        self.planned = 0
        """The newest revision that changed the plan."""
        self.applied = NOTHING
        """The newest revision that the agent has attempted whole."""
        self.failures: dict[str, str] = {}
        """Host object keys that are not in force, with the agent's sentence."""

    def start(self, snapshot: Snapshot) -> None:
        """Compile what the store held when control started."""
        self.revision = snapshot.revision
        put, _ = self._planner.apply(self._engine.start(snapshot))
        if put:
            self.planned = self.revision
            self._planned(self.revision, put, ())

    def committed(self, commit: Commit) -> None:
        """Store listener: compile what changed and send it."""
        self.revision = commit.after.revision
        put, remove = self._planner.apply(self._engine.apply(commit))
        if not put and not remove:
            return
        self.planned = self.revision
        self._planned(self.revision, put, remove)
        self._send(Delta(revision=self.revision, put=cast("tuple[HostObjectUnion, ...]", put), remove=remove))

    def sync(self) -> Sync:
        """The whole plan, for an agent that has just connected."""
        self.applied = NOTHING
        return Sync(
            revision=self.revision, speed=self._speed, objects=cast("tuple[HostObjectUnion, ...]", self._planner.all())
        )

    def acknowledge(self, message: Applied) -> None:
        """The agent has attempted everything up to a revision."""
        self.applied = max(self.applied, message.revision)
        self.failures = {failure.key: failure.text for failure in message.failures}
        still = []
        for revision, future in self._waiting:
            if revision > self.applied:
                still.append((revision, future))
            elif not future.done():
                future.set_result(None)
        self._waiting = still

    async def in_force(self, revision: int, deadline: float) -> bool:
        """Wait until the data plane has everything that `revision` asks for; False after `deadline` seconds.

        A revision that changed nothing on the host waits for the last one before it that did.
        """
        needed = min(revision, self.planned)
        if needed <= self.applied:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((needed, future))
        try:
            await asyncio.wait_for(future, deadline)
        except TimeoutError:
            return False
        return True
