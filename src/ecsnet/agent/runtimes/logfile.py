"""Log files of containers: `<directory>/<task id>/<container>.log`, at most about two megabytes each."""

from __future__ import annotations

import re
from pathlib import Path

from ecsnet.hostplan.workload import Workload

LARGEST = 1_000_000
"""Bytes after which a log file becomes `.log.1` and a new one begins."""

_TASK = re.compile(r"[0-9a-zA-Z-]{1,64}")
_CONTAINER = re.compile(r"[0-9a-zA-Z_-]{1,255}")


def log_path(directory: Path, owner: str, container: str) -> Path:
    """The log file of a container of the task with ARN `owner`.

    Raises ValueError when the names are not what ECS allows (task id: hex; container: letters, digits, `-` and `_`),
    so that user text can never lead out of the directory.
    """
    task = owner.rpartition("/")[2]
    if not _TASK.fullmatch(task) or not _CONTAINER.fullmatch(container):
        raise ValueError(f"task {owner!r}, container {container!r} cannot name a log file")
    return directory / task / f"{container}.log"


def workload_log(directory: Path, workload: Workload) -> Path:
    return log_path(directory, workload.owner, workload.container)


def append(path: Path, data: bytes) -> None:
    """Append to a log file; when it has become too long, move it aside first. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if file.tell() < LARGEST:
            file.write(data)
            return
    path.replace(path.with_suffix(".log.1"))
    path.write_bytes(data)
