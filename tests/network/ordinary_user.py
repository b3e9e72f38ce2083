"""Runs a command as an ordinary user with sub-ids, on a machine where the tests run as root and no such user exists.

The user exists only in a private mount namespace, where files of this module's making lie over /etc/passwd and its
companions; the machine is not changed. Folders on the way to the interpreter that only root may enter are replaced,
there too, by ones that hold nothing but the interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

USER, UID = "ecsnet-test", 61234
ROOT = Path(__file__).resolve().parents[2]


def run_as_ordinary_user(argv: list[str], *, timeout: float) -> subprocess.CompletedProcess[str]:
    """Run `argv` in the repository's root as that user, with its output captured."""
    private = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, __file__]
    return subprocess.run([*private, *argv], capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _open_the_way(folder: Path, scratch: Path) -> None:
    """Let everybody reach `folder` (for everybody readable) although a parent admits only root."""
    closed = next((parent for parent in reversed(folder.parents) if not parent.stat().st_mode & 0o001), None)
    if closed is None:
        return
    aside = scratch / folder.name
    aside.mkdir()
    _mount("--bind", str(folder), str(aside))
    _mount("-t", "tmpfs", "-o", "mode=755", "ecsnet-test", str(closed))
    folder.mkdir(parents=True)
    _mount("--bind", str(aside), str(folder))


def _add_user(scratch: Path, home: Path) -> None:
    lines = {
        "/etc/passwd": f"{USER}:x:{UID}:{UID}::{home}:/bin/sh",
        "/etc/group": f"{USER}:x:{UID}:",
        "/etc/subuid": f"{USER}:200000:65536",
        "/etc/subgid": f"{USER}:200000:65536",
    }
    for place, line in lines.items():
        copy = scratch / Path(place).name
        copy.write_text(Path(place).read_text() + line + "\n")
        copy.chmod(0o644)
        _mount("--bind", str(copy), place)


def main() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="ecsnet-user-", dir="/var/tmp"))
    _mount("-t", "tmpfs", "-o", "mode=755", "ecsnet-test", str(scratch))  # so that nothing of it stays on disk
    home = scratch / "home"
    home.mkdir()
    os.chown(home, UID, UID)
    _add_user(scratch, home)
    _open_the_way(Path(sys.base_prefix).resolve(), scratch)
    user = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "--"]
    environment = {**os.environ, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    os.chdir(ROOT)
    done = subprocess.run([*user, *sys.argv[1:]], env=environment)
    subprocess.run(["umount", "--lazy", str(scratch)])
    scratch.rmdir()
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
