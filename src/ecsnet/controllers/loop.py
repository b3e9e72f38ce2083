"""Drives the controllers: a set of keys that changed, a heap of keys that are due, one transaction per pass.

The daemon calls `run_once` after commits and at the time that it answered. Nothing here walks the store except once,
at the start.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from ecsnet.controllers import (
    auto_scaling,
    container_agent,
    instance,
    interface,
    managed_scaling,
    marks,
    nat_gateway,
    service,
    targets,
    task,
    task_definition,
    vpc_peering,
)
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    CAPACITY_PROVIDERS,
    GROUP_INSTANCES,
    INSTANCES,
    NAT_GATEWAYS,
    PEERINGS,
    SERVICES,
    TARGET_GROUPS,
    TARGETS,
    TASK_DEFINITIONS,
    TASKS,
)
from ecsnet.services.call import Call
from ecsnet.store.snapshot import Reader
from ecsnet.store.store import Commit, Store

Home = tuple[str, str]
"""(account, region)."""

OpenCall = Callable[[], AbstractContextManager[Call]]
"""Opens a store transaction and gives a call in it; account, region and time are filled in for each key."""

_LOG = logging.getLogger(__name__)

_PASSES = 4
_BATCH = 64
"""Passes of one `run_once` and keys of one pass: then it gives way to other work of the process (API calls)."""

_RETRY = 5.0
"""Seconds until a key whose step raised is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """`step(call, key)` answers the next due time; `home(reader, key)` whose resource it is, None when it is gone."""

    step: Callable[[Call, str], float | None]
    home: Callable[[Reader, str], Home | None]


class Controllers:
    """Runs every controller on the keys that need it."""

    def __init__(self, store: Store, open_call: OpenCall, controllers: Mapping[str, Controller] | None = None) -> None:
        """Subscribes to the store and marks everything in it once.

        `controllers` maps the names of `marks` to controllers; by default all of them.
        """
        self._open_call = open_call
        self._controllers = controllers if controllers is not None else CONTROLLERS
        self._dirty: dict[marks.Mark, None] = {}
        self._heap: list[tuple[float, marks.Mark]] = []
        self._due: dict[marks.Mark, float] = {}
        self._mark(marks.everything(store.snapshot))
        store.subscribe(self._committed)

    @property
    def busy(self) -> bool:
        """Whether a key waits to be looked at now."""
        return bool(self._dirty)

    def run_once(self, now: float) -> float | None:
        """Look at every key that changed or is due, and at what follows from that; answers the next due time.

        `now` is epoch seconds. The answer is `now` itself when more follows than one run should do, None when nothing
        is due at any time.
        """
        for _ in range(_PASSES):
            self._collect_due(now)
            if not self._dirty:
                break
            batch = list(itertools.islice(self._dirty, _BATCH))
            for mark in batch:
                del self._dirty[mark]
            self._run(batch, now)
        if self._dirty:
            return now
        self._drop_stale()
        return self._heap[0][0] if self._heap else None

    def _committed(self, commit: Commit) -> None:
        self._mark(marks.of_commit(commit))

    def _mark(self, found: Iterable[marks.Mark]) -> None:
        for mark in found:
            if mark[0] in self._controllers:
                self._dirty[mark] = None

    def _collect_due(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            due, mark = heapq.heappop(self._heap)
            if self._due.get(mark) == due:
                del self._due[mark]
                self._dirty[mark] = None

    def _drop_stale(self) -> None:
        """Forget heap entries that a later answer of the same key has replaced."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _run(self, batch: list[marks.Mark], now: float) -> None:
        """One transaction for the batch; when a step raises, each key by itself, so that one cannot stop the others."""
        try:
            self._schedule(self._transaction(batch, now))
        except Exception:  # noqa: BLE001  (the runner: a step that fails is logged and tried again)
            for mark in batch:
                try:
                    self._schedule(self._transaction([mark], now))
                except Exception:  # noqa: BLE001
                    _LOG.exception("controller %s failed on %s; next try in %s s", mark[0], mark[1], _RETRY)
                    self._schedule({mark: now + _RETRY})

    def _transaction(self, batch: list[marks.Mark], now: float) -> dict[marks.Mark, float | None]:
        due: dict[marks.Mark, float | None] = {}
        with self._open_call() as blank:
            for mark in batch:
                controller = self._controllers[mark[0]]
                home = controller.home(blank.tx, mark[1])
                if home is None:
                    due[mark] = None
                    continue
                call = msgspec.structs.replace(blank, account=home[0], region=home[1], now=now)
                due[mark] = controller.step(call, mark[1])
        return due

    def _schedule(self, answers: Mapping[marks.Mark, float | None]) -> None:
        for mark, due in answers.items():
            if due is None:
                self._due.pop(mark, None)
            elif self._due.get(mark) != due:
                self._due[mark] = due
                heapq.heappush(self._heap, (due, mark))


def _task_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(TASKS, key))


def _service_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(SERVICES, key))


def _nat_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(NAT_GATEWAYS, key))


def _instance_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(INSTANCES, key))


def _group_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(AUTO_SCALING_GROUPS, key))


def _member_home(reader: Reader, key: str) -> Home | None:
    member = reader.get(GROUP_INSTANCES, key)
    return _home_of(reader.get(AUTO_SCALING_GROUPS, member.group)) if member is not None else None


def _provider_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(CAPACITY_PROVIDERS, key))


def _peering_home(reader: Reader, key: str) -> Home | None:
    row = reader.get(PEERINGS, key)
    return _home_of(row.requester) if row is not None else None


def _definition_home(reader: Reader, key: str) -> Home | None:
    return _home_of(reader.get(TASK_DEFINITIONS, key))


def _target_home(reader: Reader, key: str) -> Home | None:
    target = reader.get(TARGETS, key)
    return _home_of(reader.get(TARGET_GROUPS, target.target_group)) if target is not None else None


def _anywhere(reader: Reader, key: str) -> Home | None:
    return "", ""


class _Owned(Protocol):
    @property
    def account(self) -> str: ...
    @property
    def region(self) -> str: ...


def _home_of(row: _Owned | None) -> Home | None:
    return (row.account, row.region) if row is not None else None


CONTROLLERS: Mapping[str, Controller] = {
    marks.TASK: Controller(step=task.step, home=_task_home),
    marks.SERVICE: Controller(step=service.step, home=_service_home),
    marks.DEFINITION: Controller(step=task_definition.step, home=_definition_home),
    marks.TARGET: Controller(step=targets.step, home=_target_home),
    marks.INTERFACE: Controller(step=interface.step, home=_anywhere),
    marks.NAT: Controller(step=nat_gateway.step, home=_nat_home),
    marks.PEERING: Controller(step=vpc_peering.step, home=_peering_home),
    marks.INSTANCE: Controller(step=instance.step, home=_instance_home),
    marks.CONTAINER_AGENT: Controller(step=container_agent.step, home=_instance_home),
    marks.GROUP: Controller(step=auto_scaling.group_step, home=_group_home),
    marks.MEMBER: Controller(step=auto_scaling.member_step, home=_member_home),
    marks.PROVIDER: Controller(step=managed_scaling.step, home=_provider_home),
}
