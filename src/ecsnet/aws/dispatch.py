"""Runs one operation of our own: seeding, preparation, transaction, dry run, and waiting for the data plane."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, assert_never

import msgspec

from ecsnet.aws.http import Head, Send
from ecsnet.model.base import scope
from ecsnet.model.tables import SEEDED_ACCOUNTS
from ecsnet.services.call import AwsError, Call, Ids, Kind, Operation, Outside, Reply, Request, Settings
from ecsnet.store.store import Store, Transaction


class Forwarder(Protocol):
    """The services that are not ours; see `ecsnet.services.backing.Backing`."""

    async def forward(self, head: Head, body: AsyncIterator[bytes], *, account: str, send: Send) -> None:
        """Pass a request on unchanged and send the reply as it comes."""
        ...

    async def call(self, service: str, operation: str, params: Request, *, account: str, region: str) -> Reply:
        """Carry out one operation of a service that is not ours. Raises AwsError."""
        ...


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """On whose behalf an operation runs, and where."""

    account: str
    region: str
    access_key: str = ""
    host: str = ""
    """What the request says in Host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatcher:
    """Carries out operations one after the other, on the event loop's thread.

    `seed` makes what AWS gives a new account in a region. `applied` returns once the data plane has a revision, or
    after its own deadline: a write is in force when it is answered, as far as that can be waited for.
    """

    store: Store
    ids: Ids
    clock: Callable[[], float]
    settings: Settings
    backing: Forwarder
    seed: Callable[[Call], None]
    applied: Callable[[int], Awaitable[None]]

    async def run(self, operation: Operation, request: Request, caller: Caller, *, seeds: bool, dry: bool) -> Reply:
        """The operation's reply. `seeds`: the account's region must be seeded first. `dry`: only see if it would work.

        Raises AwsError, and DryRunOperation when a dry run would have succeeded (EC2 API, `DryRun`).
        """
        if seeds and self.store.snapshot.get(SEEDED_ACCOUNTS, scope(caller.account, caller.region)) is None:
            with self.store.transaction() as tx:
                self.seed(self._call(tx, caller))
        if operation.prepare is not None:
            request = await operation.prepare(self._outside(caller), request)
        if dry:
            operation.run(self._call(self.store.draft(), caller), request)
            raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)
        match operation.kind:
            case Kind.READ:
                return operation.run(self._call(self.store.draft(), caller), request)
            case Kind.WRITE:
                before = self.store.snapshot
                with self.store.transaction() as tx:
                    reply = operation.run(self._call(tx, caller), request)
                after = self.store.snapshot
                if after is not before:
                    await self.applied(after.revision)
                return reply
            case _:
                assert_never(operation.kind)

    def _call(self, tx: Transaction, caller: Caller) -> Call:
        return Call(
            tx=tx,
            account=caller.account,
            region=caller.region,
            now=self.clock(),
            ids=self.ids,
            settings=self.settings,
            access_key=caller.access_key,
            host=caller.host,
        )

    def _outside(self, caller: Caller) -> Outside:
        async def call(service: str, operation: str, params: Request) -> Reply:
            return await self.backing.call(service, operation, params, account=caller.account, region=caller.region)

        return Outside(account=caller.account, region=caller.region, snapshot=self.store.snapshot, call=call)
