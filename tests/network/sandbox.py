"""Runs a test's body inside mount, network and process namespaces of its own.

The body may make namespaces and start processes as it likes: it is process 1 of its process namespace, so everything
ends with it, also when the test run is killed. It needs root or user namespaces.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

P = ParamSpec("P")

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
_PDEATHSIG = 1


def sandboxed(body: Callable[P, None]) -> Callable[P, None]:
    """Decorates a test: its body runs in the sandbox and its failure comes back with its traceback."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        reading, writing = os.pipe()
        unshared_reading, unshared_writing = os.pipe()
        mapped_reading, mapped_writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _outer(writing, unshared_writing, mapped_reading, lambda: body(*args, **kwargs))
        os.close(writing)
        os.close(unshared_writing)
        if os.read(unshared_reading, 1) and os.getuid():
            _map_ids(child)
        os.write(mapped_writing, b"x")
        for descriptor in (unshared_reading, mapped_reading, mapped_writing):
            os.close(descriptor)
        with os.fdopen(reading, "rb") as pipe:
            text = pipe.read().decode()
        _, status = os.waitpid(child, 0)
        if text or status != 0:
            raise AssertionError(text or f"the sandbox ended with status {status}")

    return run


def _map_ids(child: int) -> None:
    """Root inside is the ordinary user outside; the rest are the user's subordinate ids (podman needs several)."""
    user = pwd.getpwuid(os.getuid()).pw_name
    for program, own, table in (("newuidmap", os.getuid(), "/etc/subuid"), ("newgidmap", os.getgid(), "/etc/subgid")):
        rows = (line.split(":") for line in Path(table).read_text().splitlines())
        first, count = next(row[1:] for row in rows if row[0] == user)
        subprocess.run([program, str(child), "0", str(own), "1", "1", first, count], check=True)


def _outer(report: int, unshared: int, mapped: int, body: Callable[[], None]) -> None:
    """Makes the namespaces, then waits for process 1 inside."""
    status = 1
    try:
        _die_with_parent()
        _check(_LIBC.unshare(_NEWNS | _NEWNET | _NEWPID | (_NEWUSER if os.getuid() else 0)), "unshare")
        os.write(unshared, b"x")
        os.read(mapped, 1)
        inner = os.fork()
        if inner == 0:
            _inner(report, body)
        status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    except OSError:
        os.write(report, traceback.format_exc().encode())
    finally:
        os._exit(abs(status))


def _inner(report: int, body: Callable[[], None]) -> None:
    status = 1
    try:
        _die_with_parent()
        for command in (
            ["mount", "--make-rprivate", "/"],
            ["mount", "-t", "proc", "proc", "/proc"],
            ["mount", "-t", "tmpfs", "tmpfs", "/run"],
            ["ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        Path("/run/netns").mkdir()
        body()
        status = 0
    except BaseException:  # noqa: BLE001 (a test's failure of any kind must cross the process border)
        os.write(report, traceback.format_exc().encode()[-60_000:])
    finally:
        sys.stdout.flush()
        os._exit(status)


def _die_with_parent() -> None:
    _check(_LIBC.prctl(_PDEATHSIG, signal.SIGKILL), "prctl")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def command(*arguments: str, timeout: float = 100) -> str:
    """The output of a command; fails with its error text."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def namespace(name: str) -> None:
    """A pinned network namespace with `lo` up."""
    command("ip", "netns", "add", name)
    command("ip", "-n", name, "link", "set", "lo", "up")


def wire(task: str, router: str, link: str, address: str, gateway: str) -> None:
    """A veth between a task's and a router's namespace, both ends with an address of one /24."""
    command("ip", "link", "add", "eth0", "netns", task, "type", "veth", "peer", "name", link, "netns", router)
    command("ip", "-n", task, "address", "add", f"{address}/24", "dev", "eth0")
    command("ip", "-n", router, "address", "add", f"{gateway}/24", "dev", link)
    command("ip", "-n", task, "link", "set", "eth0", "up")
    command("ip", "-n", router, "link", "set", link, "up")
    command("ip", "-n", task, "route", "add", "default", "via", gateway)


def short_directory() -> Path:
    """A new directory inside the sandbox's private /run."""
    return Path(tempfile.mkdtemp(dir="/run"))
