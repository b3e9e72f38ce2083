"""An ecsnet of its own for one command: what runs already is not disturbed, and nothing is left afterwards."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from ecsnet.agent.world import World
from ecsnet.cli.lifecycle import start, stop
from ecsnet.home import Home

_PREFIX = "ecsnet-modes-"
_FOLDER = Path("/var/tmp")
"""Not /tmp, which may be in memory; not /run, which the world replaces."""


@contextmanager
def private_ecsnet() -> Iterator[Home]:
    """Start an ecsnet in a directory of its own; this process' commands speak to it until the end.

    Takes it down however the body ends, also on SIGTERM and SIGHUP. What a killed run left is taken down by the next.

    Raises CliError when this machine cannot run one.
    """
    _take_down_what_was_left()
    home = Home(path=Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_FOLDER)))
    before = os.environ.get("ECSNET_HOME")
    os.environ["ECSNET_HOME"] = str(home.path)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with (home.path / "new").open("wb") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX)
            (home.path / "new").rename(home.path / "owner")  # seen by others with its lock only
            start(home, port=_free_port(), speed=1.0)
            yield home
    finally:
        for number in handlers:
            signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the way down
        _remove(home)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if before is None:
            del os.environ["ECSNET_HOME"]
        else:
            os.environ["ECSNET_HOME"] = before


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _take_down_what_was_left() -> None:
    """Runs that were killed: nobody holds the lock of their directory any more."""
    for path in _FOLDER.glob(f"{_PREFIX}*/owner"):
        if path.stat().st_uid != os.geteuid():
            continue
        with path.open("rb") as owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _remove(Home(path=path.parent))


def _remove(home: Home) -> None:
    stop(home)
    with suppress(OSError):
        World(home.path).remove_state()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
