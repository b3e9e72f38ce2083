"""The network namespaces of a world: files in /run/netns (a private tmpfs), each with a label that says what it is.

The label is written before the pin and removed after it, so a namespace without a label is not ecsnet's (podman pins
its own in the same folder), and a label without a pin is a creation or a removal that was interrupted.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ecsnet.agent.netlink import Netlink, Request
from ecsnet.hostplan.kernel import Namespace
from ecsnet.netns import PINNED, set_namespace

LABELS = Path("/run/ecsnet/netns")

MARKER = "/run/ecsnet/world"
"""The file on a world's private /run that holds its token: how a process of this world is recognised."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_MS_BIND, _MNT_DETACH = 0x1000, 2
_RTM_NEWLINK, _IFF_UP = 16, 1
_NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
_SYSCTL = re.compile(r"net(/[A-Za-z0-9_.-]*[A-Za-z0-9_-])+")


def _call(name: str, *arguments: object) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def check_name(name: str) -> str:
    """The name itself; raises ValueError unless it is a generated one (never a path, at most 15 bytes)."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a namespace name: a letter, then at most 14 lower-case letters, digits or '-'"
        )
    return name


class NamespaceFiles:
    """Makes, removes, lists and enters the pinned namespaces. Implements `driver.Namespaces`."""

    def __init__(self, *, pinned: Path = PINNED, labels: Path = LABELS) -> None:
        self._pinned = pinned
        self._labels = labels
        self._removed: list[Callable[[str], None]] = []
        pinned.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)

    def on_removed(self, listener: Callable[[str], None]) -> None:
        """Call `listener(name)` before a namespace is unpinned or made anew.

        Whoever holds a socket in it must close it then, because a netlink socket keeps its namespace alive.
        """
        self._removed.append(listener)

    def path(self, name: str) -> Path:
        return self._pinned / check_name(name)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Run the calling thread inside a namespace. Raises FileNotFoundError when there is none of that name."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                set_namespace(target)
            finally:
                os.close(target)
            try:
                yield
            finally:
                set_namespace(home)
        finally:
            os.close(home)

    def exists(self, name: str) -> bool:
        try:
            return self.path(name).stat().st_dev == os.stat("/proc/self/ns/net").st_dev
        except FileNotFoundError:
            return False

    def names(self) -> tuple[str, ...]:
        """The namespaces that are ecsnet's and really pinned."""
        return tuple(name for name in self.labelled() if self.exists(name))

    def labelled(self) -> tuple[str, ...]:
        """The names of `names`, and those with files that a killed agent has left without a namespace."""
        return tuple(sorted(os.listdir(self._labels)))

    def label(self, name: str) -> Namespace:
        """What the namespace was made as. Raises msgspec.DecodeError when the label was cut short."""
        return msgspec.json.decode((self._labels / check_name(name)).read_bytes(), type=Namespace)

    def create(self, namespace: Namespace) -> None:
        """Make a namespace, write its sysctls, bring `lo` up, pin it. Raises OSError, ValueError.

        It is pinned last, so that what an agent finds pinned is whole.
        """
        path = self.path(namespace.name)
        for name, _value in namespace.sysctls:
            if not _SYSCTL.fullmatch(name) or ".." in name:
                raise ValueError(f"sysctl {name!r} is not a path below net/")
        for listener in self._removed:
            listener(namespace.name)
        (self._labels / namespace.name).write_bytes(msgspec.json.encode(namespace))
        path.touch()
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", _CLONE_NEWNET)
            try:
                write_sysctls(namespace)
                bring_lo_up()
                _call("mount", b"/proc/thread-self/ns/net", os.fsencode(path), None, ctypes.c_ulong(_MS_BIND), None)
            finally:
                set_namespace(home)
        finally:
            os.close(home)

    def delete(self, name: str) -> None:
        """Unpin a namespace; the kernel frees it, with its links, when the last process or socket in it is gone."""
        path = self.path(name)
        for listener in self._removed:
            listener(name)
        while self.exists(name):
            _call("umount2", os.fsencode(path), _MNT_DETACH)
        path.unlink(missing_ok=True)
        (self._labels / name).unlink(missing_ok=True)


def bring_lo_up() -> None:
    """Bring `lo` of the calling thread's namespace up."""
    body = struct.pack("=BxHiII", 0, 0, 1, _IFF_UP, _IFF_UP)
    with Netlink() as netlink:
        netlink.run([Request(type=_RTM_NEWLINK, flags=0, body=body)])


def write_sysctls(namespace: Namespace) -> None:
    """Write a namespace's sysctls; the calling thread is inside it. Raises OSError naming the file."""
    for name, value in namespace.sysctls:
        Path("/proc/sys", name).write_text(value)


def sysctls_hold(namespace: Namespace) -> bool:
    """Whether every sysctl of the namespace reads as it was written; the calling thread is inside it."""
    return all(Path("/proc/sys", name).read_text().split() == value.split() for name, value in namespace.sysctls)
