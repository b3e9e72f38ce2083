"""Drives stacks: one asyncio task per stack whose operation is going on.

The task asks `decide.moves`, makes each move in a transaction of its own, runs what has to happen outside the store,
and sleeps until the next commit or time limit. It keeps nothing that matters in memory: after a crash `run` starts a
task for every stack that is in motion, and the first question finds the way on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec.structs import replace

from ecsnet.model import tables
from ecsnet.model.cloudformation import MOVING, Stack, StackResource
from ecsnet.services.call import AwsError, Call, Operation, Outside, Reply, Request
from ecsnet.services.cloudformation import dynamic
from ecsnet.services.cloudformation.begin import begin, fail_to_begin, operate
from ecsnet.services.cloudformation.decide import Begin, Move, Observe, Turn, Work, due, moves, removal
from ecsnet.services.cloudformation.environment import naming
from ecsnet.services.cloudformation.journal import resource_of, stack_of
from ecsnet.services.cloudformation.outcome import explain, fail, settle, take
from ecsnet.services.cloudformation.registry import PROVISIONERS
from ecsnet.services.cloudformation.remove import block, may_retry
from ecsnet.services.cloudformation.resolve import UnknownValueError, imports_of, plan_of
from ecsnet.services.cloudformation.resources.base import (
    Backed,
    BackedEnv,
    Made,
    Native,
    Provisioner,
    Ready,
    Tools,
    is_missing,
)
from ecsnet.services.cloudformation.turn import open_deletion, refuse, turn
from ecsnet.store.store import Commit, Store

LOG = logging.getLogger("ecsnet.cloudformation")

_FAULT_SECONDS = 5.0
_RETRY_SECONDS = 0.25


class BackingServices(Protocol):
    """The services that are not ours (see services/backing.py)."""

    async def call(
        self, service: str, operation: str, params: Mapping[str, Any], *, account: str, region: str
    ) -> Mapping[str, Any]: ...


OpenCall = Callable[[str, str], AbstractContextManager[Call]]
"""(account, region) → a call in a transaction of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetched:
    properties: Mapping[str, Any]
    extra: Any


_Outcome = Made | _Fetched | Ready | AwsError


class StackEngine:
    """Owns the tasks that drive stacks."""

    def __init__(
        self,
        *,
        store: Store,
        open_call: OpenCall,
        clock: Callable[[], float],
        backing: BackingServices,
        services: Mapping[str, tuple[Operation, ...]],
        speed: float = 1.0,
        applied: Callable[[int], Awaitable[None]] | None = None,
        provisioners: Mapping[str, Provisioner] = PROVISIONERS,
    ) -> None:
        """`applied(revision)` waits until the data plane has a revision; a stack completes only after that."""
        self._store = store
        self._open_call = open_call
        self._clock = clock
        self._backing = backing
        self._speed = speed
        self._applied = applied
        self._tools = Tools(
            operations={name: {op.name: op.run for op in operations} for name, operations in services.items()},
            provisioners=provisioners,
        )
        self._wake: dict[str, asyncio.Event] = {}
        self._news = asyncio.Event()
        store.subscribe(self._committed)

    def _committed(self, commit: Commit) -> None:
        self._news.set()
        for wake in self._wake.values():
            wake.set()

    async def run(self) -> None:
        """Drive every stack that is in motion, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._news.clear()
                for stack in list(self._store.snapshot.find(tables.STACKS_MOVING, "yes")):
                    if stack.id not in self._wake:
                        self._wake[stack.id] = asyncio.Event()
                        group.create_task(self._drive(stack.id))
                await self._news.wait()

    async def _drive(self, stack_id: str) -> None:
        jobs: dict[str, asyncio.Task[_Outcome]] = {}
        wake = self._wake[stack_id]
        try:
            while (stack := self._moving(stack_id)) is not None:
                wake.clear()
                await self._round(stack, jobs)
                if not wake.is_set():
                    await self._sleep(stack_id, wake, jobs)
        except Exception:
            # One stack's fault must not end the others' tasks; it is looked at again after a while.
            LOG.exception("stack %s could not be driven", stack_id)
            await asyncio.sleep(_FAULT_SECONDS)
        finally:
            for job in jobs.values():
                job.cancel()
            del self._wake[stack_id]
            # A commit that set it moving again may have come between the last look and here.
            self._news.set()

    def _moving(self, stack_id: str) -> Stack | None:
        stack = self._store.snapshot.get(tables.STACKS, stack_id)
        return stack if stack is not None and stack.status in MOVING else None

    async def _sleep(self, stack_id: str, wake: asyncio.Event, jobs: Mapping[str, asyncio.Task[_Outcome]]) -> None:
        if self._moving(stack_id) is None:
            return
        at = due(self._store.snapshot, stack_id, self._speed)
        timeout = None if at is None else max(0.0, at - self._clock())
        if any(r.stage == "blocked" for r in self._store.snapshot.find(tables.STACK_RESOURCES_BY_STACK, stack_id)):
            timeout = _RETRY_SECONDS
        waiter = asyncio.ensure_future(wake.wait())
        try:
            await asyncio.wait({waiter, *jobs.values()}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    async def _round(self, stack: Stack, jobs: dict[str, asyncio.Task[_Outcome]]) -> None:
        """Take in finished work, then make every move that is possible now."""
        for logical in [name for name, job in jobs.items() if job.done()]:
            self._take_in(stack, logical, jobs.pop(logical).result())
        refused = self._refusal(stack)
        if refused is not None:
            with self._open_call(stack.account, stack.region) as call:
                refuse(call, stack.id, refused)
            return
        for move in moves(self._store.snapshot, self._tools, stack.id, self._clock(), self._speed):
            await self._make(stack, move, jobs)
            # A stack of many resources must not keep the loop from answering calls.
            await asyncio.sleep(0)

    async def _make(self, stack: Stack, move: Move, jobs: dict[str, asyncio.Task[_Outcome]]) -> None:
        match move:
            case Begin(logical=logical):
                self._begin(stack, logical)
            case Work(logical=logical):
                if logical not in jobs:
                    row = self._attempt(stack, logical)
                    if row is not None:
                        jobs[logical] = asyncio.ensure_future(self._work(stack, row))
            case Observe(logical=logical, seen=seen):
                with self._open_call(stack.account, stack.region) as call:
                    row = resource_of(call.tx, stack.id, logical)
                    if row is not None and row.stage == "settling":
                        settle(call, row, seen)
            case Turn(completes=completes):
                if completes and self._applied is not None:
                    await self._applied(self._store.snapshot.revision)
                with self._open_call(stack.account, stack.region) as call:
                    now = call.tx.get(tables.STACKS, stack.id)
                    # Waiting gave others the chance to delete the stack.
                    if now is not None and now.status is stack.status:
                        turn(call, stack.id, completes=completes)

    def _refusal(self, stack: Stack) -> str | None:
        """Why an operation that has not touched anything yet cannot go on: an import of what nobody exports."""
        if stack.status.value not in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
            return None
        rows = self._store.snapshot.find(tables.STACK_RESOURCES_BY_STACK, stack.id)
        if any(row.stage != "waiting" for row in rows):
            return None
        try:
            imports_of(plan_of(stack), self._store.snapshot, stack.account, stack.region)
        except AwsError as error:
            return f"{error.message} Rollback requested by user."
        return None

    def _begin(self, stack: Stack, logical: str) -> None:
        # Other calls came in between: the stack may be under deletion by now, or gone.
        now = self._store.snapshot.get(tables.STACKS, stack.id)
        row = resource_of(self._store.snapshot, stack.id, logical)
        if now is None or now.status is not stack.status or (row is not None and row.stage not in _NOT_BEGUN):
            return
        try:
            with self._open_call(stack.account, stack.region) as call:
                begin(call, self._tools, stack.id, logical)
            return
        except UnknownValueError as error:
            reason, code = f"it refers to {error}, which does not exist", ""
        except AwsError as error:
            reason, code = explain(error), error.code
        except Exception as error:
            LOG.exception("%s of stack %s failed", logical, stack.name)
            reason, code = f"InternalFailure: {type(error).__name__}: {error}", "InternalFailure"
        with self._open_call(stack.account, stack.region) as call:
            if stack.status.value not in _DELETES or not may_retry(call, stack.id, logical, code):
                fail_to_begin(call, self._tools, stack.id, logical, reason)
            else:
                block(call, stack.id, logical, reason)

    # ── work outside the store ───────────────────────────────────────────────────────────────────────────────────

    def _attempt(self, stack: Stack, logical: str) -> StackResource | None:
        """Note, before it starts, that work outside the store is tried: what is found later may be its own."""
        with self._open_call(stack.account, stack.region) as call:
            row = resource_of(call.tx, stack.id, logical)
            if row is None or row.stage not in ("fetching", "working"):
                return None
            return call.tx.put(tables.STACK_RESOURCES, replace(row, attempts=row.attempts + 1))

    async def _work(self, stack: Stack, row: StackResource) -> _Outcome:
        async def ask(service: str, operation: str, members: Request) -> Reply:
            return await self._backing.call(service, operation, members, account=stack.account, region=stack.region)

        outside = Outside(account=stack.account, region=stack.region, snapshot=self._store.snapshot, call=ask)
        try:
            if row.doing == "delete":
                return await self._delete_outside(outside, stack, row)
            assert row.wanted is not None
            properties = await dynamic.resolve(outside, row.wanted.properties)
            provisioner = self._tools.provisioners[row.type]
            if isinstance(provisioner, Native):
                extra = await provisioner.fetch(outside, properties) if provisioner.fetch else None
                return _Fetched(properties=properties, extra=extra)
            env = BackedEnv(outside=outside, naming=naming(stack, row), resumed=row.attempts > 1)
            if row.doing in ("create", "replace") or row.physical is None:
                return await provisioner.create(env, properties)
            assert provisioner.update is not None
            before = await dynamic.resolve(outside, row.physical.properties)
            try:
                return await provisioner.update(env, row.physical.id, before, properties)
            except AwsError as error:
                # The backing server keeps nothing over a restart of control: what is gone is made again.
                if not is_missing(error):
                    raise
                return await provisioner.create(env, properties)
        except AwsError as error:
            return error
        except Exception as error:
            # A fault in a provisioner must fail its resource, not end the engine and with it control.
            LOG.exception("%s of %s failed", row.doing, row.logical)
            return AwsError("InternalFailure", f"{type(error).__name__}: {error}", status=500)

    async def _delete_outside(self, outside: Outside, stack: Stack, row: StackResource) -> _Outcome:
        target = removal(row)
        provisioner = self._tools.provisioners[target.type]
        assert isinstance(provisioner, Backed)
        env = BackedEnv(outside=outside, naming=naming(stack, row), resumed=row.attempts > 1)
        await provisioner.delete(env, target.id, json.loads(target.properties))
        return Ready()

    def _take_in(self, stack: Stack, logical: str, outcome: _Outcome) -> None:
        try:
            with self._open_call(stack.account, stack.region) as call:
                self._record(call, stack, logical, outcome)
        except AwsError as error:
            with self._open_call(stack.account, stack.region) as call:
                row = resource_of(call.tx, stack.id, logical)
                if row is not None:
                    fail(call, row, explain(error))
                    self._reopen(call, stack.id)

    def _record(self, call: Call, stack: Stack, logical: str, outcome: _Outcome) -> None:
        row = resource_of(call.tx, stack.id, logical)
        if row is None or row.stage not in ("fetching", "working"):
            return
        match outcome:
            case AwsError():
                if row.doing == "delete" and may_retry(call, stack.id, logical, outcome.code):
                    began = row.began if row.attempts > 1 else call.now
                    call.tx.put(tables.STACK_RESOURCES, replace(row, stage="blocked", began=began))
                else:
                    fail(call, row, explain(outcome))
            case Ready():
                settle(call, row, outcome)
            case Made():
                take(call, self._tools, row, outcome)
            case _Fetched():
                operate(call, self._tools, row, outcome.properties, outcome.extra)
        self._reopen(call, stack.id)

    def _reopen(self, call: Call, stack_id: str) -> None:
        """Work that ended while its stack was already being deleted: what it made is deleted too."""
        stack = stack_of(call.tx, stack_id)
        if stack.status.value not in _DELETES:
            return
        rows = list(call.tx.find(tables.STACK_RESOURCES_BY_STACK, stack_id))
        if any(
            row.doing in ("create", "update", "replace") and row.stage in ("done", "settling", "failed") for row in rows
        ):
            open_deletion(call, stack)


_NOT_BEGUN = ("waiting", "blocked")
_DELETES = (
    "DELETE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
)
