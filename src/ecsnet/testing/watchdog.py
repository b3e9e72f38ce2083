"""Takes a test's world down when the test process ends, however it ends: its end of the pipe closes with it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from ecsnet.agent.world import World


def watch(state: Path) -> subprocess.Popen[bytes]:
    """Start a watchdog for the world in `state`; closing its `stdin` lets it do its work and end."""
    command = [sys.executable, "-m", "ecsnet.testing.watchdog", str(state)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd="/", start_new_session=True)


def main(state: Path) -> None:
    sys.stdin.buffer.read()
    World(state).down(patience=0.3)
    with contextlib.suppress(OSError):
        World(state).remove_state()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
