"""Flow logs and live views: who watches what, and where it goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ecsnet.control.flows.batches import Batch, batches
from ecsnet.control.flows.deliver import Deliverer, DeliveryError
from ecsnet.control.flows.reading import Reading
from ecsnet.control.flows.shown import shown
from ecsnet.fabric.kernel.naming import router_namespace
from ecsnet.hostplan.flows import Interval, Live, Part
from ecsnet.model.ec2 import FlowLog, ObservedFlowLog
from ecsnet.model.tables import FLOW_LOGS, INTERFACES, OBSERVED_FLOW_LOGS, SUBNETS, VPCS
from ecsnet.services.call import Call
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Change, Commit, Store

LOG = logging.getLogger("ecsnet.control")

INTERVAL = 60.0
"""Seconds of an interval. Flow logs may ask for 600 at most, but an interface of a Nitro instance, which all are here,
always reports within a minute (VPC user guide, "Aggregation interval")."""

WAITING = 256
"""Intervals that may wait for delivery, and lines for a slow viewer; beyond that they are lost, and that is said."""

Json = dict[str, Any]
OpenCall = Callable[[str, str], AbstractContextManager[Call]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a viewer wants to see."""

    vpc: str | None = None
    interface: str | None = None
    rejected: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class _Viewer:
    wanted: Wanted
    queue: asyncio.Queue[Json] = field(default_factory=lambda: asyncio.Queue(WAITING))
    lost: int = 0


class Flows:
    """Everything of flows in control. `run` delivers, until it is cancelled."""

    def __init__(
        self,
        *,
        store: Store,
        open_call: OpenCall,
        reading: Callable[[Callable[[Interval | Live], None]], Reading],
        deliverer: Deliverer,
        speed: float,
    ) -> None:
        self._store = store
        self._open = open_call
        self._reading = reading(self._received)
        self._deliverer = deliverer
        self._interval = INTERVAL / speed
        self._vpc_of: dict[str, str] = {}
        """Flow log → VPC."""
        self._logs: dict[str, set[str]] = {}
        """VPC → its flow logs, those of its subnets and interfaces too."""
        self._viewers: set[_Viewer] = set()
        self._router_vpc: dict[str, str] = {}
        self._ready = 0
        """Viewers whose flows are being read."""
        self._gaps: set[str] = set()
        """Routers of which an interval was lost; the next one says so."""
        self._queue: asyncio.Queue[Interval] = asyncio.Queue(WAITING)

    # ── who watches ──────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, snapshot: Snapshot) -> None:
        """Take the flow logs that the store held when control started."""
        for log in snapshot.rows(FLOW_LOGS):
            self._learn(snapshot, log)
        self._watch()

    def committed(self, commit: Commit) -> None:
        """Store listener."""
        stale = False
        for change in commit.changes:
            if change.table == FLOW_LOGS.name:
                self._changed(commit, change)
                stale = True
            elif change.table == VPCS.name and (change.before is None) != (change.after is None):
                stale = stale or any(viewer.wanted.vpc is None for viewer in self._viewers)
        if stale:
            self._watch()

    def _changed(self, commit: Commit, change: Change) -> None:
        if change.after is None:
            vpc = self._vpc_of.pop(change.key, None)
            if vpc is not None:
                self._logs[vpc].discard(change.key)
                if not self._logs[vpc]:
                    del self._logs[vpc]
        elif isinstance(change.after, FlowLog):
            self._learn(commit.after, change.after)

    def _learn(self, snapshot: Snapshot, log: FlowLog) -> None:
        match log.resource_kind:
            case "VPC":
                vpc: str | None = log.resource
            case "Subnet":
                subnet = snapshot.get(SUBNETS, log.resource)
                vpc = subnet.vpc if subnet is not None else None
            case "NetworkInterface":
                interface = snapshot.get(INTERFACES, log.resource)
                vpc = interface.vpc if interface is not None else None
        if vpc is not None:
            self._vpc_of[log.id] = vpc
            self._logs.setdefault(vpc, set()).add(log.id)

    def _watch(self) -> None:
        """Tell the reader what is wanted now."""
        live: set[str] = set()
        for viewer in self._viewers:
            live |= set(self._vpcs_of(viewer.wanted))
        self._router_vpc = {router_namespace(vpc): vpc for vpc in (*self._logs, *live)}
        self._reading.watch(
            routers=tuple(sorted(map(router_namespace, self._logs))),
            live=tuple(sorted(map(router_namespace, live))),
            interval=self._interval,
        )

    def _vpcs_of(self, wanted: Wanted) -> Iterable[str]:
        snapshot = self._store.snapshot
        if wanted.interface is not None:
            interface = snapshot.get(INTERFACES, wanted.interface)
            return (interface.vpc,) if interface is not None else ()
        if wanted.vpc is not None:
            return (wanted.vpc,)
        return (vpc.id for vpc in snapshot.rows(VPCS))

    async def in_force(self, deadline: float) -> bool:
        """Wait until the reader watches what it should; False after `deadline` seconds."""
        return await self._reading.carried_out(deadline)

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────────────────

    def _received(self, message: Interval | Live) -> None:
        match message:
            case Interval():
                if message.router in self._gaps:
                    message = msgspec.structs.replace(message, missed=True)
                try:
                    self._queue.put_nowait(message)
                    self._gaps.discard(message.router)
                except asyncio.QueueFull:
                    self._gaps.add(message.router)
                    LOG.warning("an interval of flows was lost: deliveries are too slow")
            case Live():
                self._show(message)

    def _show(self, message: Live) -> None:
        vpc = self._router_vpc.get(message.router)
        if vpc is None:
            return
        snapshot = self._store.snapshot
        for part in message.parts:
            viewers = [viewer for viewer in self._viewers if _may_want(viewer.wanted, vpc, part)]
            if not viewers:
                continue
            line = shown(snapshot, vpc, part)
            for viewer in viewers:
                if viewer.wanted.interface is None or viewer.wanted.interface in line["interfaces"]:
                    _offer(viewer, line)

    async def run(self) -> None:
        """Keep the reader, and deliver intervals one after the other."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reading.run())
            while True:
                interval = await self._queue.get()
                vpc = self._router_vpc.get(interval.router)
                if vpc is not None:
                    await self._deliver(vpc, interval)

    async def _deliver(self, vpc: str, interval: Interval) -> None:
        snapshot = self._store.snapshot
        logs = [log for key in self._logs.get(vpc, ()) if (log := snapshot.get(FLOW_LOGS, key)) is not None]
        # A snapshot never changes, so the lines are made beside the event loop.
        for batch in await asyncio.to_thread(batches, snapshot, vpc, interval, logs):
            await self._deliver_batch(batch)

    async def _deliver_batch(self, batch: Batch) -> None:
        failure = None
        try:
            await self._deliverer.deliver(batch)
        except DeliveryError as error:
            failure = str(error)
            LOG.warning("flow log %s: %s", batch.log.id, failure)
        seen = ObservedFlowLog(flow_log=batch.log.id, failure=failure)
        if self._store.snapshot.get(OBSERVED_FLOW_LOGS, batch.log.id) == seen:
            return
        with self._open(batch.log.account, batch.log.region) as call:
            if call.tx.get(FLOW_LOGS, batch.log.id) is not None:
                call.tx.put(OBSERVED_FLOW_LOGS, seen)

    # ── live views ───────────────────────────────────────────────────────────────────────────────────────────────

    async def view(self, wanted: Wanted, deadline: float) -> AsyncGenerator[Json, None]:
        """Flows as they are decided, from when the first item, `{"watching": …}`, has come."""
        viewer = _Viewer(wanted=wanted)
        self._viewers.add(viewer)
        self._watch()
        ready = False
        try:
            ready = await self.in_force(deadline)
            self._ready += ready
            yield {"watching": ready}
            while True:
                yield await viewer.queue.get()
                if viewer.lost:
                    lost, viewer.lost = viewer.lost, 0
                    yield {"lost": lost}
        finally:
            self._ready -= ready
            self._viewers.discard(viewer)
            self._watch()

    def status(self) -> Json:
        """For `ecsnet status`."""
        return {"logs": len(self._vpc_of), "viewers": self._ready, "reader": self._reading.pid}


def _may_want(wanted: Wanted, vpc: str, part: Part) -> bool:
    return (wanted.vpc is None or wanted.vpc == vpc) and (bool(part.denied) or not wanted.rejected)


def _offer(viewer: _Viewer, line: Json) -> None:
    try:
        viewer.queue.put_nowait(line)
    except asyncio.QueueFull:
        viewer.lost += 1
