"""What tests share that call services directly: ids that count, and replies as plain values."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import Cached


class CountingIds:
    """Resource ids count up; the random digits come from a fixed seed."""

    def __init__(self) -> None:
        self._next = 0
        self._random = random.Random(7)

    def resource(self, prefix: str) -> str:
        self._next += 1
        return f"{prefix}-{self._next:017x}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128)))

    def hex(self, digits: int) -> str:
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"


def plain(value: Any) -> Any:
    """A reply with its cached items built."""
    if isinstance(value, Cached):
        return plain(value.build())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
