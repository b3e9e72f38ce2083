"""UNIX stream sockets at paths of any length (the kernel's address holds only 107 bytes)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _short(path: Path) -> Iterator[str]:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def connect(path: Path) -> socket.socket:
    """A connected, blocking socket. Raises OSError when nobody listens at `path`."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            made.connect(name)
    except OSError:
        made.close()
        raise
    return made


def listen(path: Path, *, backlog: int = 16) -> socket.socket:
    """A listening socket that takes the place of whatever was at `path`, readable for its owner only.

    It is bound under a temporary name and moved into place, so whoever finds the path finds somebody who listens.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        with _short(temporary) as name:
            made.bind(name)
        temporary.chmod(0o600)
        made.listen(backlog)
        temporary.replace(path)
    except OSError:
        made.close()
        raise
    return made
