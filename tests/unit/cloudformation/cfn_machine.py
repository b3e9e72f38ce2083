"""A whole machine that exists only in time: controllers and a fake agent take the steps that a real one would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from cfn_rig import ACCOUNT, REGION, Rig

from ecs_harness import Cloud
from ecsnet.model.elbv2 import TargetHealth
from ecsnet.model.tables import TARGET_HEALTH, TARGETS, target_key
from ecsnet.services import ec2, ecs, elbv2
from ecsnet.store.store import Commit

SERVICES = {"ec2": ec2.OPERATIONS, "ecs": ecs.OPERATIONS, "elbv2": elbv2.OPERATIONS}

_QUIET = 0.01
"""Seconds without a commit after which time jumps to whatever is due."""


class Machine:
    """Runs the controllers after every commit and lets time jump to whatever is due next."""

    def __init__(self, **options: Any) -> None:
        self.cloud = Cloud(account=ACCOUNT, region=REGION)
        self.rig = Rig(store=self.cloud.store, services=SERVICES, **options)
        self._changed = asyncio.Event()

    def _committed(self, commit: Commit) -> None:
        self._changed.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        self.rig.store.subscribe(self._committed)
        task = asyncio.ensure_future(self._run())
        try:
            async with self.rig.running():
                yield self.rig
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            self.cloud.now = max(self.cloud.now, self.rig.now)
            due = self.cloud.settle()
            self._probe()
            # Time jumps only when nothing happens by itself any more; work at the backing server is real and takes real
            # time, during which the controllers' timers must not spin.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _QUIET if due is not None else None)
                continue
            assert due is not None
            self.rig.now = self.cloud.now = max(self.cloud.now, due)

    def _probe(self) -> None:
        with self.cloud.store.transaction() as tx:
            for target in list(tx.rows(TARGETS)):
                key = target_key(target.target_group, target.id, target.port)
                if target.draining_since is None and tx.get(TARGET_HEALTH, key) is None:
                    health = TargetHealth(
                        target_group=target.target_group,
                        id=target.id,
                        port=target.port,
                        state="healthy",
                        changed=self.cloud.now,
                    )
                    tx.put(TARGET_HEALTH, health)
