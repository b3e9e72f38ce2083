"""Brings the lines of flow logs to CloudWatch Logs, S3 or a file of the state directory."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol, assert_never

from ecsnet.control.flows.batches import Batch
from ecsnet.control.flows.lines import header
from ecsnet.model.ec2 import FlowLog
from ecsnet.services.call import AwsError, Reply, Request
from ecsnet.services.ec2.flow_log import bucket_of

_EVENTS = 1_000
"""Lines in one PutLogEvents; its limits are 10,000 events and 1 MiB (CloudWatch Logs API)."""


class CallService(Protocol):
    def __call__(
        self, service: str, operation: str, params: Request, *, account: str, region: str
    ) -> Awaitable[Reply]: ...


class DeliveryError(Exception):
    """The destination did not take the lines; the text is its own."""


class Deliverer:
    """Delivers batches. `state` is the directory of local files; `call` reaches the services that are not ours."""

    def __init__(self, call: CallService, state: Path) -> None:
        self._call = call
        self._folder = state / "flow-logs"

    async def deliver(self, batch: Batch) -> None:
        """Raises DeliveryError."""
        try:
            match batch.log.destination_type:
                case "cloud-watch-logs":
                    await self._cloud_watch(batch)
                case "s3":
                    await self._s3(batch)
                case "local-file":
                    await asyncio.to_thread(self._file, batch)
                case _:
                    assert_never(batch.log.destination_type)
        except AwsError as error:
            raise DeliveryError(f"{error.code}: {error.message}") from error
        except OSError as error:
            raise DeliveryError(str(error)) from error

    def path(self, flow_log: str) -> Path:
        """The file of a local-file flow log."""
        return self._folder / f"{flow_log}.log"

    def _file(self, batch: Batch) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self.path(batch.log.id)
        with path.open("ab", buffering=0) as file:  # in one piece: whoever follows the file sees whole intervals
            lines = _in_order(batch) if file.tell() else [header(batch.log.format), *_in_order(batch)]
            file.write("".join(f"{line}\n" for line in lines).encode())

    async def _cloud_watch(self, batch: Batch) -> None:
        """One stream per interface, `eni-…-all` and so on. Log group and streams are made when they are missing: the
        role that AWS asks for may do that too."""
        for interface, lines in batch.lines.items():
            stream = {
                "logGroupName": batch.log.log_group,
                "logStreamName": f"{interface}-{batch.log.traffic.lower()}",
            }
            events = [{"timestamp": round(start * 1000), "message": line} for start, line in sorted(lines)]
            for first in range(0, len(events), _EVENTS):
                put = {**stream, "logEvents": events[first : first + _EVENTS]}
                try:
                    await self._ask(batch.log, "logs", "PutLogEvents", put)
                except AwsError as error:
                    if error.code != "ResourceNotFoundException":
                        raise
                    await self._make(batch.log, "CreateLogGroup", {"logGroupName": batch.log.log_group})
                    await self._make(batch.log, "CreateLogStream", stream)
                    await self._ask(batch.log, "logs", "PutLogEvents", put)

    async def _make(self, log: FlowLog, operation: str, params: Request) -> None:
        try:
            await self._ask(log, "logs", operation, params)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    async def _s3(self, batch: Batch) -> None:
        """VPC user guide, "Flow log files": one compressed file per interval, by day."""
        log = batch.log
        place = bucket_of(log.destination or "")
        if place is None:
            raise DeliveryError(f"{log.destination} is not the ARN of a bucket")
        bucket, folder = place
        at = time.gmtime(batch.end)
        day, minute = time.strftime("%Y/%m/%d", at), time.strftime("%Y%m%dT%H%MZ", at)
        name = f"{log.account}_vpcflowlogs_{log.region}_{log.id}_{minute}_{round(batch.end * 1000):08x}.log.gz"
        text = "\n".join((header(log.format), *_in_order(batch), ""))
        await self._ask(
            log,
            "s3",
            "PutObject",
            {
                "Bucket": bucket,
                "Key": f"{folder}AWSLogs/{log.account}/vpcflowlogs/{log.region}/{day}/{name}",
                "Body": gzip.compress(text.encode()),
            },
        )

    async def _ask(self, log: FlowLog, service: str, operation: str, params: Request) -> Reply:
        return await self._call(service, operation, params, account=log.account, region=log.region)


def _in_order(batch: Batch) -> list[str]:
    return [line for _start, line in sorted(item for lines in batch.lines.values() for item in lines)]
