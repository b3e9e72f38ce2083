"""The world: the namespaces in which everything of one ecsnet lives, kept by a holder process.

It is a network and a mount namespace of its own (and a user namespace when the caller is not root), with a private
/run and /dev/shm. Nothing of the host is changed, and when the last process of the world is gone the kernel removes
everything that was made in it. Called by control and by tests, from outside; needs util-linux (`unshare`, `nsenter`)
and, for an ordinary user, `newuidmap` from the package uidmap.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ecsnet.agent.namespaces import MARKER

_READY = 60.0
"""Seconds until the holder must have prepared the world (it takes 0.2 s on an idle machine)."""
_HIDDEN = (Path("/run"), Path("/dev/shm"), Path("/sys/fs/cgroup"))


class WorldError(Exception):
    """The world cannot be made; the text says what is missing and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Holder:
    pid: int
    token: str


class World:
    """One world, known by its state directory (which lies on disk, not below /run or /dev/shm)."""

    def __init__(self, state: Path) -> None:
        self._state = state.resolve()
        self._file = self._state / "holder.pid"

    @property
    def rootless(self) -> bool:
        return os.geteuid() != 0

    def alive(self) -> bool:
        """Whether a process of the world lives, so that `enter_command` works."""
        return self._member() is not None

    def start(self) -> None:
        """Make the world unless it is alive. Raises WorldError."""
        if self.alive():
            return
        hidden = next((path for path in _HIDDEN if self._state.is_relative_to(path)), None)
        if hidden is not None:
            raise WorldError(
                f"the state directory {self._state} lies below {hidden}, which the world replaces; choose one on disk"
            )
        check_programs()
        self._state.mkdir(parents=True, exist_ok=True)
        self._file.unlink(missing_ok=True)
        token = os.urandom(16).hex()
        command = [*unshare_command(), sys.executable, "-m", "ecsnet.agent.holder", str(self._state), token]
        log = self._state / "holder.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True
            )
        ready = _wait(lambda: self._file.exists() or process.poll() is not None, _READY)
        if not ready or process.poll() is not None:
            process.kill()
            process.wait()
            words = log.read_text(errors="replace").strip()
            raise WorldError(explain(words or "the holder of the world did not become ready"))

    def holder(self) -> int:
        """The process whose namespaces are the world's (see /proc/<pid>/root). Raises WorldError when not alive."""
        member = self._member()
        if member is None:
            raise WorldError(f"there is no world in {self._state}; start it first")
        return member

    def enter_command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside the world. Raises WorldError when the world is not alive."""
        user = ["--user", "--setuid", "0", "--setgid", "0"] if self.rootless else []
        return ["nsenter", "--target", str(self.holder()), *user, "--mount", "--net", "--", *argv]

    def start_agent(self, *, read_back: float = 2.0) -> None:
        """Start the agent inside the world, detached, unless one runs there (it holds a lock). Raises WorldError.

        `read_back` is the agent's pause, in seconds, between two looks at the whole machine.
        """
        program = [
            sys.executable,
            "-m",
            "ecsnet.agent.main",
            "--state",
            str(self._state),
            "--read-back",
            str(read_back),
        ]
        command = self.enter_command(["setsid", "--fork", *program])
        with (self._state / "agent.log").open("ab") as output:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", check=True)

    def down(self, patience: float = 2.0) -> None:
        """End every process of the world, politely for `patience` seconds; then nothing of it is left."""
        token = self._token()
        if token is None:
            return
        self._signal_all(token, signal.SIGTERM)
        if not _wait(lambda: not self._members(token), patience):
            # New processes may be born while the old ones die, so look again until nobody is left.
            _wait(lambda: not self._signal_all(token, signal.SIGKILL), 10.0)
        self._file.unlink(missing_ok=True)

    def remove_state(self) -> None:
        """Remove the state directory of a world that is down. Raises OSError.

        Layers of an ordinary user's images belong to ids of its range, which only a user namespace may touch.
        """
        if not self._state.exists():
            return
        try:
            shutil.rmtree(self._state)
        except PermissionError:
            command = ["unshare", "--user", "--map-auto", "--map-root-user", "--", "rm", "-rf", "--", str(self._state)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise PermissionError(done.stderr.strip()) from None

    # ── who belongs to it ────────────────────────────────────────────────────────────────────────────────────────

    def _token(self) -> str | None:
        try:
            return str(json.loads(self._file.read_text())["token"])
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def _member(self) -> int | None:
        """A living process whose mount namespace is the world's: the holder, else any other (the world outlives it)."""
        try:
            record = json.loads(self._file.read_text())
            token, pid = str(record["token"]), int(record["pid"])
        except (FileNotFoundError, ValueError, KeyError):
            return None
        if _marker(pid) == token:
            return pid
        return next(iter(self._inside(token)), None)

    def _inside(self, token: str) -> list[int]:
        """The processes in the world's mount namespace, told by the marker file on its private /run."""
        return [pid for pid in _processes() if _marker(pid) == token]

    def _members(self, token: str) -> list[int]:
        """All processes of the world: also containers, which have mount namespaces of their own but live in a network
        namespace that the world pins."""
        inside = self._inside(token)
        networks: set[int] = set()
        for pid in inside[:1]:
            networks |= _pinned(pid)
        for pid in inside:
            networks.add(_inode(Path(f"/proc/{pid}/ns/net")))
        networks -= {0, _inode(Path("/proc/self/ns/net"))}
        others = [pid for pid in _processes() if _inode(Path(f"/proc/{pid}/ns/net")) in networks]
        return sorted({*inside, *others} - {os.getpid()})

    def _signal_all(self, token: str, number: signal.Signals) -> int:
        members = self._members(token)
        for pid in members:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        return len(members)


def unshare_command() -> list[str]:
    """The beginning of a command line that runs a program in namespaces of its own."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-auto", "--map-root-user"]
    return ["unshare", *user, "--mount", "--net", "--propagation", "private", "--"]


def check_programs() -> None:
    """Raises WorldError when a program, a setting or an entry that the world needs is missing."""
    needed = {"unshare": "util-linux", "nsenter": "util-linux", "setsid": "util-linux", "ip": "iproute2"}
    if os.geteuid() != 0:
        needed |= {"newuidmap": "uidmap", "newgidmap": "uidmap"}
    for program, package in needed.items():
        if shutil.which(program) is None:
            raise WorldError(f"the program {program} is missing; install the package {package}")
    if os.geteuid() == 0:
        return
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        raise WorldError(
            "this system forbids unprivileged user namespaces (AppArmor, the default of Ubuntu 23.10 and later); "
            "run ecsnet with sudo, or allow them with: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    for name, refused in (("kernel/unprivileged_userns_clone", "0"), ("user/max_user_namespaces", "0")):
        if _setting(name) == refused:
            dotted = name.replace("/", ".")
            value = "1" if dotted.endswith("clone") else "15000"
            raise WorldError(
                f"this system forbids unprivileged user namespaces ({dotted} is 0); "
                f"run ecsnet with sudo, or allow them with: sudo sysctl -w {dotted}={value}"
            )
    user = pwd.getpwuid(os.geteuid()).pw_name
    for file in ("/etc/subuid", "/etc/subgid"):
        if not _has_range(Path(file), user):
            raise WorldError(
                f"{file} gives the user {user} no range of ids; add one with: "
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
            )


def explain(words: str) -> str:
    """What the holder or `unshare` wrote, as one sentence with a remedy."""
    last = words.splitlines()[-1]
    if "unshare" in words and "Operation not permitted" in words:
        return f"this system does not allow new namespaces ({last}); run ecsnet with sudo"
    if "map-auto" in words:
        return f"unshare is older than util-linux 2.38 ({last}); run ecsnet with sudo"
    return last


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _has_range(file: Path, user: str) -> bool:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in (user, str(os.geteuid())) for line in lines)


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _marker(pid: int) -> str | None:
    """The token in the marker file on the /run of a process; None when there is none or it may not be looked at."""
    try:
        return Path(f"/proc/{pid}/root{MARKER}").read_text()
    except OSError:
        return None


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def _pinned(pid: int) -> set[int]:
    folder = Path(f"/proc/{pid}/root/run/netns")
    try:
        return {_inode(folder / name) for name in os.listdir(folder)}
    except OSError:
        return set()


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time. Polled: the processes waited for are not our children."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
