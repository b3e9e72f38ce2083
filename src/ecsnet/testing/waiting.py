"""Waiting for a condition that somebody else brings about, with a deadline and a message that says what was awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02


def eventually(condition: Callable[[], T], what: str, *, timeout: float = 60.0) -> T:
    """The first true value of `condition`; fails with `what` after `timeout` seconds.

    A long time, because it costs nothing where the condition comes true, and machines are busy.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(_PAUSE)
