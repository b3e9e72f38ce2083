"""A network made by API calls and in force in the kernel: services → store → compile → fabric → agent, and back.

Only the gateway and the runtimes are left out, so that thousands of calls take seconds. Observations move the states
(instances, NAT gateways), as they do in the control process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ecsnet.agent.order import IN_KERNEL
from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.control.observations import Observations
from ecsnet.controllers.loop import Controllers
from ecsnet.fabric.kernel.plan import Planner, published_by
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import Applied
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.model.tables import SCHEMA
from ecsnet.services.call import Call, Settings
from ecsnet.store.store import Commit, Store
from ecsnet.testing.world import TestWorld

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "ec2"))
from ec2_account import CountingIds, Ec2

_OTHERS = ("envoy:", "dns", "workload:", "metadata:")
"""Beginnings of the keys of what is not the kernel's."""


class FrontIds(CountingIds):
    """Ids whose number shows at the front of their hex digits, where kernel names are cut."""

    def resource(self, prefix: str) -> str:
        self._next += 1
        return f"{prefix}-{self._next:06x}{0:011x}"


class ApiLab:
    """`lab.ec2("CreateVpc", …)` is an API call; `settle()` brings what followed from it into force."""

    def __init__(self, net: TestWorld, quotas: dict[str, int] | None = None) -> None:
        self.net = net
        self.store = Store(None, SCHEMA)
        self.ec2 = Ec2(self.store, quotas=quotas or {}, ids=FrontIds())
        self._engine = Engine(FRAGMENTS)
        self._planner = Planner()
        self._commits: list[Commit] = []
        self._observations = Observations(self._open, published_by)
        self._planner.apply(self._engine.start(self.store.snapshot))
        self.store.subscribe(self._commits.append)
        self._controllers = Controllers(self.store, self._open)
        net.sync(self.plan())

    @contextmanager
    def _open(self, account: str = "", region: str = "") -> Iterator[Call]:
        ec2 = self.ec2
        with self.store.transaction() as tx:
            yield Call(
                tx=tx,
                account=account or ec2.account,
                region=region or ec2.region,
                now=ec2.now,
                ids=ec2.ids,
                settings=Settings(quotas=ec2.quotas),
            )

    def settle(self) -> None:
        """Apply the plan and let observations and controllers follow until nothing more happens."""
        while True:
            revision = self.store.snapshot.revision
            put, remove = self._pending()
            if put or remove:
                self.net.apply(put, remove)
            self._observations.applied(Applied(revision=revision), {})
            self._controllers.run_once(self.ec2.now)
            if not self._commits and not self._controllers.busy:
                return

    def _pending(self) -> tuple[list[HostObjectUnion], list[str]]:
        put: dict[str, HostObject] = {}
        gone: dict[str, None] = {}
        commits, self._commits[:] = list(self._commits), []
        for commit in commits:
            made, removed = self._planner.apply(self._engine.apply(commit))
            made = tuple(item for item in made if isinstance(item, IN_KERNEL))
            removed = tuple(key for key in removed if not key.startswith(_OTHERS))
            self._observations.planned(commit.after.revision, made, removed)
            for key in removed:
                put.pop(key, None)
                gone[key] = None
            for item in made:
                gone.pop(item.key, None)
                put[item.key] = item
        return cast("list[HostObjectUnion]", list(put.values())), list(gone)

    def plan(self) -> list[HostObjectUnion]:
        """Everything that is wanted of the kernel."""
        return [cast("Any", item) for item in self._planner.all() if isinstance(item, IN_KERNEL)]
