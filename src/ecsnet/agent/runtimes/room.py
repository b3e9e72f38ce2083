"""Makes the calling process a resident of a task: its network namespace, and its own files over the host's."""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path

import msgspec

from ecsnet.agent.driver import Namespaces
from ecsnet.hostplan.workload import Workload
from ecsnet.netns import set_namespace

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NEWNS, _NEWUTS = 0x00020000, 0x04000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """What of a task a process of this machine sees."""

    netns: str
    """The file that pins the network namespace."""
    hostname: str | None
    resolv_conf: str | None
    """None: the machine's own."""
    hosts: str


def room_of(workload: Workload, namespaces: Namespaces) -> Room:
    search = f"search {' '.join(workload.search)}\n" if workload.search else ""
    return Room(
        netns=str(namespaces.path(workload.netns)),
        hostname=workload.hostname,
        resolv_conf=None if workload.nameserver is None else f"nameserver {workload.nameserver}\n{search}",
        hosts="".join(f"{address}\t{name}\n" for address, name in workload.hosts),
    )


def environment_of(workload: Workload) -> dict[str, str]:
    return {"PATH": _PATH, "HOME": "/", **dict(workload.environment)}


def move_in(room: Room, directory: Path) -> None:
    """Enter the network namespace of a room and a mount and UTS namespace of one's own, with the room's files.

    The files are written to `directory` and bound over the machine's. Raises OSError.
    """
    pinned = os.open(room.netns, os.O_RDONLY | os.O_CLOEXEC)
    set_namespace(pinned)
    os.close(pinned)
    _check(_LIBC.unshare(_NEWNS | _NEWUTS), "unshare")
    _check(_LIBC.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount")
    for place, text in (("/etc/hosts", room.hosts), ("/etc/resolv.conf", room.resolv_conf)):
        if text is not None and os.path.exists(place):
            own = directory / place.rpartition("/")[2]
            own.write_text(text)
            target = os.path.realpath(place).encode()
            _check(_LIBC.mount(bytes(own), target, None, ctypes.c_ulong(_MS_BIND), None), f"mount over {place}")
    if room.hostname:
        socket.sethostname(room.hostname)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
