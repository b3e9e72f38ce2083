"""The process that keeps a world alive: prepares it, tries whether this machine can enforce, then only waits.

Run by `World.start` through `unshare`. It ends by becoming `sleep infinity`, one megabyte instead of ten. What it
writes on standard error before that is the reason why there is no world.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

from ecsnet.agent.drivers.link import Links
from ecsnet.agent.drivers.nft import NftDriver
from ecsnet.agent.libnftables import NftUnavailableError
from ecsnet.agent.namespaces import MARKER, NamespaceFiles, bring_lo_up
from ecsnet.agent.trial import NAMESPACES, link, rule_set

_LIBC = ctypes.CDLL(None, use_errno=True)
_CGROUP2 = 0x63677270
_MS_NOSUID, _MS_NODEV = 2, 4


class NotCapableError(Exception):
    """This machine cannot enforce; the text is one sentence with a remedy."""


def _mount_tmpfs(target: str, options: str) -> None:
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    if _LIBC.mount(b"ecsnet", target.encode(), b"tmpfs", flags, options.encode()) != 0:
        error = ctypes.get_errno()
        raise NotCapableError(f"cannot mount a private {target} ({os.strerror(error)}); run ecsnet with sudo")


def _is_cgroup2(path: str) -> bool:
    buffer = (ctypes.c_long * 32)()
    return _LIBC.statfs(path.encode(), ctypes.byref(buffer)) == 0 and buffer[0] == _CGROUP2


def prepare(token: str) -> None:
    """Private mounts first (a folder made below the shared /run would be seen outside), then the marker and `lo`."""
    _mount_tmpfs("/run", "mode=755")
    _mount_tmpfs("/dev/shm", "mode=1777")
    if Path("/sys/fs/cgroup").is_dir() and not _is_cgroup2("/sys/fs/cgroup"):
        _mount_tmpfs("/sys/fs/cgroup", "mode=755")
    for folder in ("/run/netns", "/run/ecsnet/netns", "/run/lock", "/run/user"):
        Path(folder).mkdir(parents=True)
    Path(MARKER).write_text(token)


def try_machine() -> None:
    """Make what every network needs, for real, in namespaces that are removed again. Raises NotCapableError."""
    files = NamespaceFiles()
    nft = NftDriver(files)
    try:
        for namespace in NAMESPACES:
            files.create(namespace)
        failures = Links(files).apply([link()], [])
        if failures:
            raise NotCapableError(f"this kernel cannot make a veth pair ({next(iter(failures.values()))})")
        failures = nft.apply(rule_set(), [])
        if failures:
            raise NotCapableError(
                f"this kernel or nft library cannot load ecsnet's rules ({next(iter(failures.values()))}); "
                "needed are nf_tables with conntrack, NAT and log, and libnftables 1.0.2 or later"
            )
    except OSError as error:
        raise NotCapableError(f"cannot make a network namespace ({error.strerror}); run ecsnet with sudo") from error
    except NftUnavailableError as error:
        raise NotCapableError(f"{error}; install the package nftables") from error
    finally:
        nft.close()
        for namespace in NAMESPACES:
            files.delete(namespace.name)


def main(state: Path, token: str) -> int:
    try:
        prepare(token)
        bring_lo_up()
        try_machine()
    except NotCapableError as error:
        print(error, file=sys.stderr)
        return 3
    record = state / "holder.pid.new"
    record.write_text(json.dumps({"pid": os.getpid(), "token": token}))
    record.rename(state / "holder.pid")
    # The variable tells a person who finds the process whose it is (/proc/<pid>/environ).
    os.execvpe("sleep", ["sleep", "infinity"], {"PATH": os.environ.get("PATH", os.defpath), "ECSNET_WORLD": str(state)})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
