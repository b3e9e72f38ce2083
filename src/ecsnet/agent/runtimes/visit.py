"""Runs a command of this machine in the network of a task: `python -m ecsnet.agent.runtimes.visit COMMAND…`.

What it needs is in the environment, where only the user's own processes can read it: `ECSNET_VISIT` holds the JSON of a
`Visit`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ecsnet.agent.runtimes.room import Room, move_in

VARIABLE = "ECSNET_VISIT"


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    environment: dict[str, str]
    room: Room | None = None
    """None: this process is there already."""


def command_line(visit: Visit, command: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The arguments that make a visit, and the variables that they need in their environment."""
    arguments = (sys.executable, "-m", "ecsnet.agent.runtimes.visit", *command)
    return arguments, {VARIABLE: msgspec.json.encode(visit).decode()}


def main(command: Sequence[str]) -> int:
    visit = msgspec.json.decode(os.environ[VARIABLE], type=Visit)
    try:
        if visit.room is not None:
            # What is bound stays when its name is gone.
            with tempfile.TemporaryDirectory(dir="/run") as directory:
                move_in(visit.room, Path(directory))
            os.chdir("/")
        os.execvpe(command[0], list(command), visit.environment)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror or error}", flush=True)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
