"""The services that are not ours (IAM, S3, Logs, SSM, ...): a moto server as a child process, started at first use.

A process of its own, because one slow call there would hold control's event loop, and because its memory (50 MB and
more) leaves with it. What it holds is kept nowhere else: it ends with control, and `reset` empties it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

from ecsnet.aws.http import Head, Send
from ecsnet.hostplan.messages import LogLines
from ecsnet.services.backing.client import Clients
from ecsnet.services.backing.forward import Forwarding
from ecsnet.services.backing.logs import LogShipper
from ecsnet.services.backing.process import Address, Child
from ecsnet.services.call import AwsError, Reply, Request

log = logging.getLogger(__name__)


class Backing:
    """Passes requests on, and calls operations for other parts of control. Use it on one event loop."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds the child's log, `backing.log`. Nothing is started yet."""
        self._child = Child(directory / "backing.log")
        self._forwarding = Forwarding()
        self._clients = Clients()
        self._logs = LogShipper(self.call)
        self._resetting: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._child.running

    async def forward(self, head: Head, body: AsyncIterator[bytes], *, account: str, send: Send) -> None:
        """Pass a request on unchanged and send the reply as it comes. Raises AwsError when the child cannot be used."""
        await self._forwarding.forward(await self._ready(), head, body, account=account, send=send)

    async def call(self, service: str, operation: str, params: Request, *, account: str, region: str) -> Reply:
        """Carry out one operation by botocore's names; timestamps are epoch seconds, streams come as bytes.

        Raises AwsError with the service's own code.
        """
        address = await self._ready()
        return await asyncio.to_thread(self._clients.call, address, service, operation, params, account, region)

    async def get_object(self, bucket: str, key: str, *, account: str, region: str = "us-east-1") -> bytes:
        """An object of S3. Raises AwsError (NoSuchBucket, NoSuchKey)."""
        reply = await self.call("s3", "GetObject", {"Bucket": bucket, "Key": key}, account=account, region=region)
        body: bytes = reply["Body"]
        return body

    def log_lines(self, message: LogLines) -> None:
        """Hand a container's output to its log group, in the background and in order.

        Lines are dropped while the child is not running: then no log group can exist.
        """
        if self._child.running:
            self._logs.add(message)

    async def reset(self) -> None:
        """Forget everything, in every account and region.

        moto takes 25 ms for it; that happens in the background, and whatever is asked next waits for it. So a test
        suite that never uses these services does not pay.
        """
        self._logs.clear()
        if self._child.running:
            self._resetting = asyncio.create_task(self._reset(self._resetting))

    async def _reset(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        try:
            await self._forwarding.reset(await self._child.ready())
        except AwsError as error:
            log.warning("the backing server did not reset (%s); it is started anew when next needed", error.message)
            self._child.stop()

    async def _ready(self) -> Address:
        if self._resetting is not None:
            await asyncio.shield(self._resetting)
        return await self._child.ready()

    def close(self) -> None:
        """End the child."""
        self._logs.clear()
        self._child.stop()
