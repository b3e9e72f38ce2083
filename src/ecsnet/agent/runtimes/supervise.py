"""Runs one host command as a container: `python -m ecsnet.agent.runtimes.supervise DIRECTORY LOCK`.

DIRECTORY holds `spec` (msgpack of `Specification`). The supervisor enters the task's network namespace, gives the
command its own resolv.conf, hosts and host name, and stays as its parent, so that the exit code survives the agent: it
writes `state` when the command runs and `exit` when it has ended. LOCK is the number of an inherited descriptor with
the lock of the directory: whoever finds the directory locked knows that its supervisor lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import msgspec

from ecsnet.agent.runtimes.room import Room, move_in


class Specification(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be run."""

    key: str
    room: Room
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: str
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


def main(arguments: list[str]) -> int:
    directory = Path(arguments[0])
    os.set_inheritable(int(arguments[1]), False)
    specification = msgspec.msgpack.decode((directory / "spec").read_bytes(), type=Specification)
    try:
        move_in(specification.room, directory)
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
