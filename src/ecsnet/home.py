"""Where one ecsnet keeps its files, and how to tell whether its control process runs.

Everything of one instance lies in one directory (`ECSNET_HOME`), so several instances can run side by side, and
removing the directory after `ecsnet down` leaves nothing behind. It must not lie below /run or /dev/shm, which the
world replaces by private ones.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 4566
"""The port that awslocal, tflocal and cdklocal expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The files of one ecsnet instance."""

    path: Path

    @property
    def store(self) -> Path:
        return self.path / "store.journal"

    @property
    def control_log(self) -> Path:
        return self.path / "control.log"

    @property
    def control_lock(self) -> Path:
        """Locked by the control process while it lives; holds "<pid> <port>"."""
        return self.path / "control.lock"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signs the certificates of HTTPS listeners."""
        return self.path / "envoy" / "tls" / "authority.crt"

    def ensure(self) -> None:
        """Make the directory, readable by its owner only: it holds private keys and other people's requests."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)


def default_home() -> Home:
    """`ECSNET_HOME`, else /var/lib/ecsnet for root and ~/.local/state/ecsnet for everybody else."""
    configured = os.environ.get("ECSNET_HOME")
    if configured:
        return Home(path=Path(configured).absolute())
    if os.geteuid() == 0:
        return Home(path=Path("/var/lib/ecsnet"))
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Home(path=Path(state) / "ecsnet")
