"""Runs one host command as a container: `python -m ecsnet.agent.runtimes.supervise DIRECTORY LOCK`.

DIRECTORY holds `spec` (msgpack of `Specification`). The supervisor enters the task's network namespace, gives the
command its own resolv.conf, hosts and host name, and stays as its parent, so that the exit code survives the agent: it
writes `state` when the command runs and `exit` when it has ended. LOCK is the number of an inherited descriptor with
the lock of the directory: whoever finds the directory locked knows that its supervisor lives.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path

import msgspec

from ecsnet.netns import set_namespace

_NEWNS, _NEWUTS = 0x00020000, 0x04000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Specification(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run."""

    key: str
    netns: str
    """The file that pins the network namespace."""
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    hostname: str | None
    resolv_conf: str | None
    hosts: str
    log: str


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Process ids."""

    supervisor: int
    process: int


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    code: int


def write(path: Path, value: msgspec.Struct) -> None:
    """Write a state file as a whole."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(msgspec.json.encode(value))
    temporary.replace(path)


def _prepare(directory: Path, specification: Specification) -> None:
    """Enter the namespaces and put the task's own files over the host's. Raises OSError."""
    pinned = os.open(specification.netns, os.O_RDONLY | os.O_CLOEXEC)
    set_namespace(pinned)
    os.close(pinned)
    _check(_LIBC.unshare(_NEWNS | _NEWUTS), "unshare")
    _check(_LIBC.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount")
    files = {"/etc/hosts": specification.hosts, "/etc/resolv.conf": specification.resolv_conf}
    for place, text in files.items():
        if text is not None and os.path.exists(place):
            own = directory / place.rpartition("/")[2]
            own.write_text(text)
            target = os.path.realpath(place).encode()
            _check(_LIBC.mount(bytes(own), target, None, ctypes.c_ulong(_MS_BIND), None), f"mount over {place}")
    if specification.hostname:
        socket.sethostname(specification.hostname)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0])
    os.set_inheritable(int(arguments[1]), False)
    specification = msgspec.msgpack.decode((directory / "spec").read_bytes(), type=Specification)
    try:
        _prepare(directory, specification)
        with open("/dev/null", "rb") as nothing, open(specification.log, "ab") as log:
            os.chdir(specification.directory)
            child = os.posix_spawnp(
                specification.arguments[0],
                specification.arguments,
                specification.environment,
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ),
                setsid=True,
                setsigdef=[signal.SIGPIPE],
            )
    except OSError as error:
        print(f"cannot run {specification.arguments[0]}: {error.strerror or error}", flush=True)
        return 1
    write(directory / "state", Running(supervisor=os.getpid(), process=child))
    # Whoever started this process waits for the end of its standard output.
    with open("/dev/null", "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    write(directory / "exit", Ending(code=status if status >= 0 else 128 - status))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
