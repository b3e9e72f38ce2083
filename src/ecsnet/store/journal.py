"""A file that only grows: one line per transaction, complete when its newline is there.

A line costs one `pwrite`, and what that call has taken the kernel keeps whatever happens to the process: `kill -9`
loses nothing that was answered. It is not synced, so a power cut may cost the last half minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


class Journal:
    """The lines of the file at `path`, and a way to add one. Whoever opens it is the only writer."""

    def __init__(self, path: Path) -> None:
        """Open (or create) the file. An incomplete last line, of a writer that was killed in it, is not counted in."""
        self.path = path
        self._file = _open(path, os.O_CREAT)
        self.size = path.read_bytes().rfind(b"\n") + 1
        """Bytes of all complete lines; the next one is written there."""

    def lines(self) -> Iterator[bytes]:
        """The complete lines from the oldest to the newest, each with its newline."""
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line

    def append(self, line: bytes) -> None:
        """Add a line, which ends with its only newline. Raises OSError, and then it was not added.

        Always written at `size`: what a failed call has left there is overwritten by the next line, and as it holds no
        newline, whatever of it stays behind is an incomplete last line.
        """
        written = 0
        while written < len(line):
            written += os.pwrite(self._file, line[written:] if written else line, self.size + written)
        self.size += written

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put other lines in the place of all, in one step. Raises OSError, and then the old ones stay."""
        path = self.path.with_name(f"{self.path.name}.new")
        file = _open(path, os.O_CREAT | os.O_TRUNC)
        try:
            with open(file, "wb", closefd=False) as buffer:
                buffer.writelines(lines)
            # Or a power cut could leave the new name with nothing in it.
            os.fsync(file)
            path.replace(self.path)
        except BaseException:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        self.size = os.fstat(file).st_size

    def close(self) -> None:
        os.close(self._file)


def _open(path: Path, flags: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
