"""Says when namespaces are pinned and unpinned: inotify on the folder of pins (man 7 inotify)."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE, _DELETE = 0x100, 0x200
_NONBLOCK = os.O_NONBLOCK | os.O_CLOEXEC


class Pins:
    """Readable whenever a namespace came or went."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = _LIBC.inotify_init1(_NONBLOCK)
        if (
            self._descriptor < 0
            or _LIBC.inotify_add_watch(self._descriptor, os.fsencode(folder), _CREATE | _DELETE) < 0
        ):
            code = ctypes.get_errno()
            raise OSError(code, f"inotify on {folder}: {os.strerror(code)}")

    def fileno(self) -> int:
        return int(self._descriptor)

    def drain(self) -> None:
        """Forget what was said; the folder itself tells the rest."""
        try:
            while os.read(self._descriptor, 65536):
                pass
        except BlockingIOError:
            pass
