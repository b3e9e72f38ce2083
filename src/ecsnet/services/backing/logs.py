"""Brings the output of containers to their log groups (the awslogs driver), in order and without holding anyone up."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from typing import Protocol

from ecsnet.hostplan.messages import LogLine, LogLines
from ecsnet.services.call import AwsError, Reply, Request

WAITING = 2_000
"""Messages that may wait; beyond that the oldest are dropped, as the driver's non-blocking mode does."""
BATCH = 1_000
"""Lines in one PutLogEvents; its limit is 10,000 events and 1 MiB (CloudWatch Logs API)."""

log = logging.getLogger(__name__)


class CallService(Protocol):
    def __call__(
        self, service: str, operation: str, params: Request, *, account: str, region: str
    ) -> Awaitable[Reply]: ...


class LogShipper:
    """A queue of lines and the task that empties it."""

    def __init__(self, call: CallService) -> None:
        self._call = call
        self._waiting: deque[LogLines] = deque(maxlen=WAITING)
        self._task: asyncio.Task[None] | None = None
        self._streams: set[tuple[str, str, str, str]] = set()

    def add(self, message: LogLines) -> None:
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._ship())

    def clear(self) -> None:
        """Forget what waits, and which streams exist."""
        self._waiting.clear()
        self._streams.clear()

    async def _ship(self) -> None:
        while self._waiting:
            message = self._waiting.popleft()
            lines = list(message.lines)
            while self._waiting and len(lines) < BATCH and _place(self._waiting[0]) == _place(message):
                lines.extend(self._waiting.popleft().lines)
            try:
                await self._put(message, lines)
            except AwsError as error:
                log.warning("lost %d lines for log group %s: %s", len(lines), message.group, error.message)

    async def _put(self, message: LogLines, lines: list[LogLine]) -> None:
        place = _place(message)
        stream = {"logGroupName": message.group, "logStreamName": message.stream}
        if place not in self._streams:
            try:
                await self._ask(message, "CreateLogStream", stream)
            except AwsError as error:
                if error.code != "ResourceAlreadyExistsException":
                    raise
            self._streams.add(place)
        for first in range(0, len(lines), BATCH):
            events = [
                {"timestamp": round(line.at * 1000), "message": line.text} for line in lines[first : first + BATCH]
            ]
            await self._ask(message, "PutLogEvents", {**stream, "logEvents": events})

    async def _ask(self, message: LogLines, operation: str, params: Request) -> Reply:
        return await self._call("logs", operation, params, account=message.account, region=message.region)


def _place(message: LogLines) -> tuple[str, str, str, str]:
    return message.account, message.region, message.group, message.stream
