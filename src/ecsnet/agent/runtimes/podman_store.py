"""Where podman keeps its things in a world, and which images are present.

Images of ecsnet's own are in the state directory. Those that the user has built or pulled with podman on the host are
seen as well, read-only ("additional image store"), so nothing must be copied. Presence is read from the store's index
file: asking podman itself would start its service (44 MB) only to learn that a stand-in is needed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/ecsnet/podman")
"""Below the world's private /run: it goes with the world."""
SOCKET = RUN / "api.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Podman's files of one world. `additional` are image stores that are only read."""

    directory: Path
    additional: tuple[Path, ...] = ()

    def prepare(self) -> None:
        """Write podman's configuration files. Raises OSError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        RUN.mkdir(parents=True, exist_ok=True)
        stores = ", ".join(json.dumps(str(path)) for path in self.additional)
        self._storage_conf.write_text(
            "[storage]\n"
            'driver = "overlay"\n'
            f"graphroot = {json.dumps(str(self.directory / 'storage'))}\n"
            f"runroot = {json.dumps(str(RUN / 'storage'))}\n"
            f"[storage.options]\nadditionalimagestores = [{stores}]\n"
        )
        self._containers_conf.write_text(
            # The host's /etc/hosts is not the task's.
            '[containers]\nbase_hosts_file = "none"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )

    def command(self, *arguments: str) -> list[str]:
        """A podman command on this store; run it inside the world, with `environment`."""
        return ["podman", "--tmpdir", str(RUN / "tmp"), *arguments]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, **self.variables()}

    def variables(self) -> Mapping[str, str]:
        """What leads podman to this store."""
        return {
            "CONTAINERS_STORAGE_CONF": str(self._storage_conf),
            "CONTAINERS_CONF": str(self._containers_conf),
        }

    def holds_containers(self) -> bool:
        """Whether podman has containers here (without asking it)."""
        return bool(_index(self.directory / "storage" / "overlay-containers" / "containers.json"))

    def image(self, reference: str) -> str | None:
        """The id of the image that a task definition's `image` means, if it is present.

        `aliases.json` (`ecsnet deploy --images`) may name a present image for one that is not.
        """
        reference = read_aliases(self.directory).get(reference, reference)
        for directory in (self.directory / "storage", *self.additional):
            for entry in _index(directory / "overlay-images" / "images.json"):
                if _matches(entry, reference):
                    return str(entry["id"])
        return None

    @property
    def _storage_conf(self) -> Path:
        return self.directory / "storage.conf"

    @property
    def _containers_conf(self) -> Path:
        return self.directory / "containers.conf"


def users_store() -> tuple[Path, ...]:
    """The image store of the user's own podman, if it has one in the same format."""
    if os.geteuid() == 0 and "SUDO_USER" not in os.environ:
        places = [Path("/var/lib/containers/storage")]
    else:
        places = [Path.home() / ".local/share/containers/storage", Path("/var/lib/containers/storage")]
    return tuple(place for place in places if os.access(place / "overlay-images" / "images.json", os.R_OK))


def read_aliases(directory: Path) -> dict[str, str]:
    """Which present image stands for which: image reference of task definitions → reference of a present image."""
    try:
        found: dict[str, str] = json.loads((directory / "aliases.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def write_aliases(directory: Path, aliases: Mapping[str, str]) -> None:
    """Add to the aliases, in one step. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / "aliases.json.new"
    draft.write_text(json.dumps({**read_aliases(directory), **aliases}))
    draft.replace(directory / "aliases.json")


def _index(path: Path) -> list[dict[str, object]]:
    try:
        found = json.loads(path.read_bytes() or b"[]")
    except (OSError, ValueError):
        return []  # none yet, or podman is writing it: then the image is not there yet
    return found if isinstance(found, list) else []


def _matches(entry: dict[str, object], reference: str) -> bool:
    names = entry.get("names")
    if not isinstance(names, list):
        return False
    base, _, digest = reference.partition("@")
    if digest:
        known = entry.get("big-data-digests")
        digests = {entry.get("digest"), *(known.values() if isinstance(known, dict) else ())}
        return digest in digests
    if ":" not in base.rpartition("/")[2]:
        base += ":latest"
    first = base.partition("/")[0]
    qualified = "/" in base and ("." in first or ":" in first or first == "localhost")
    if qualified:
        return base in names
    hub = f"docker.io/{base}" if "/" in base else f"docker.io/library/{base}"
    return hub in names or f"localhost/{base}" in names
