"""A control plane in memory for CloudFormation: store, clock, ids, a fake backing server and the stack engine."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ecsnet.model import tables
from ecsnet.model.cloudformation import MOVING, Stack
from ecsnet.services import cloudformation, ec2
from ecsnet.services.call import AwsError, Call, Kind, Operation, Outside, Reply, Request, Settings
from ecsnet.services.cloudformation.engine import StackEngine
from ecsnet.services.cloudformation.registry import PROVISIONERS
from ecsnet.services.cloudformation.resources.base import Provisioner
from ecsnet.services.ec2.ops import seed_account
from ecsnet.store.store import Commit, Store

ACCOUNT, REGION = "123456789012", "us-east-1"


class CountingIds:
    """Ids that depend only on how many were given before."""

    def __init__(self) -> None:
        self._given = 0

    def hex(self, digits: int) -> str:
        self._given += 1
        return hashlib.sha256(str(self._given).encode()).hexdigest()[:digits]

    def resource(self, prefix: str) -> str:
        return f"{prefix}-{self.hex(17)}"

    def uuid(self) -> str:
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class FakeBacking:
    """Objects in S3 and parameters in SSM; every other operation is answered by `answers`, or is an error."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.parameters: dict[str, str] = {}
        self.answers: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {}
        self.calls: list[tuple[str, str, Mapping[str, Any]]] = []

    async def call(
        self, service: str, operation: str, params: Mapping[str, Any], *, account: str, region: str
    ) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        self.calls.append((service, operation, dict(params)))
        if operation in self.answers:
            return self.answers[operation](params)
        if operation == "GetObject":
            try:
                return {"Body": self.objects[params["Bucket"], params["Key"]]}
            except KeyError:
                raise AwsError("NoSuchKey", "The specified key does not exist.", status=404) from None
        if operation == "GetParameter":
            if params["Name"] in self.parameters:
                return {"Parameter": {"Value": self.parameters[params["Name"]]}}
            raise AwsError("ParameterNotFound", "Parameter not found.")
        raise AwsError("NotImplemented", f"the fake has no {service} {operation}")


class Rig:
    def __init__(
        self,
        *,
        path: Path | None = None,
        store: Store | None = None,
        services: Mapping[str, tuple[Operation, ...]] | None = None,
        provisioners: Mapping[str, Provisioner] = PROVISIONERS,
        backing: Any = None,
        ids: CountingIds | None = None,
        applied: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.store = store or Store(path, tables.SCHEMA)
        self.now = 1_700_000_000.0
        self.ids = ids or CountingIds()
        self.backing = backing or FakeBacking()
        self.services = services if services is not None else {"ec2": ec2.OPERATIONS}
        self.engine = StackEngine(
            store=self.store,
            open_call=self.open_call,
            clock=lambda: self.now,
            backing=self.backing,
            services=self.services,
            applied=applied,
            provisioners=provisioners,
        )
        self._operations = {op.name: op for op in cloudformation.OPERATIONS}
        with self.open_call(ACCOUNT, REGION) as call:
            seed_account(call)

    @contextlib.contextmanager
    def open_call(self, account: str, region: str) -> Iterator[Call]:
        with self.store.transaction() as tx:
            self.now += 0.001
            yield Call(tx=tx, account=account, region=region, now=self.now, ids=self.ids, settings=Settings())

    async def call(self, name: str, **members: Any) -> Reply:
        """A CloudFormation call as the gateway makes it."""
        operation = self._operations[name]
        request: Request = members
        if operation.prepare is not None:

            async def ask(service: str, op: str, params: Request) -> Reply:
                return await self.backing.call(service, op, params, account=ACCOUNT, region=REGION)

            outside = Outside(account=ACCOUNT, region=REGION, snapshot=self.store.snapshot, call=ask)
            request = await operation.prepare(outside, request)
        with self.open_call(ACCOUNT, REGION) as call:
            reply = operation.run(call, request)
            assert operation.kind is Kind.WRITE or not call.tx.changes()
            return reply

    async def run(self, service: str, name: str, **members: Any) -> Reply:
        """A call of another service, as a user makes it."""
        operation = next(op for op in self.services[service] if op.name == name)
        with self.open_call(ACCOUNT, REGION) as call:
            return operation.run(call, members)

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        """The engine runs while the block does."""
        task = asyncio.ensure_future(self.engine.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def settled(self, name: str) -> Stack:
        """Wait until a stack (by name or id) rests, and return it."""
        changed = asyncio.Event()

        def committed(commit: Commit) -> None:
            changed.set()

        self.store.subscribe(committed)
        while True:
            changed.clear()
            stack = self.stack(name)
            if stack.status not in MOVING:
                return stack
            await asyncio.wait_for(changed.wait(), 60)

    def stack(self, name: str) -> Stack:
        found = [stack for stack in self.store.snapshot.rows(tables.STACKS) if stack.id == name or stack.name == name]
        return max(found, key=lambda stack: stack.created)

    def events(self, name: str) -> list[str]:
        """ "logical STATUS", the oldest first."""
        stack = self.stack(name)
        found = sorted(self.store.snapshot.find(tables.STACK_EVENTS_BY_STACK, stack.id), key=lambda event: event.number)
        return [f"{event.logical} {event.status}" for event in found]

    def reasons(self, name: str) -> list[str]:
        stack = self.stack(name)
        return [
            event.reason
            for event in self.store.snapshot.find(tables.STACK_EVENTS_BY_STACK, stack.id)
            if event.reason is not None
        ]


def with_rig(test: Callable[[Rig], Awaitable[None]], **options: Any) -> Rig:
    """Run an async test body against a fresh rig whose engine is running."""
    rig = Rig(**options)

    async def body() -> None:
        async with rig.running():
            await test(rig)

    asyncio.run(body())
    return rig
