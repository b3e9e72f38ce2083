"""Enter a named network namespace for the time of one function call.

A socket belongs for ever to the namespace in which it was made, so a program that serves many namespaces only needs a
thread that enters each one briefly; the rest of the program never moves.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PINNED = Path("/run/netns")
"""Where the world pins its namespaces (a private tmpfs of its mount namespace)."""

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def set_namespace(descriptor: int) -> None:
    """Move the calling thread into the network namespace of an open descriptor. Raises OSError."""
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def _inside(name: str, call: Callable[[], T]) -> T:
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(PINNED / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            set_namespace(target)
        finally:
            os.close(target)
        try:
            return call()
        finally:
            # Always go home: a thread that stays keeps the namespace alive after everything else has left it.
            set_namespace(own)
    finally:
        os.close(own)


class NamespaceThread:
    """One helper thread that visits namespaces, in the order of the calls (100 to 160 µs per visit with sockets)."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="netns")

    def submit(self, name: str, call: Callable[[], T]) -> Future[T]:
        """Run `call` inside the namespace `name`; the future raises OSError when it does not exist."""
        return self._executor.submit(_inside, name, call)

    def run(self, name: str, call: Callable[[], T]) -> T:
        """Like `submit`, and wait for the result."""
        return self.submit(name, call).result()

    def close(self) -> None:
        self._executor.shutdown(wait=True)
