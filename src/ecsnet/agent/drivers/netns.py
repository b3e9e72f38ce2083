"""Namespaces: pinned files with a label, sysctls and `lo` up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ecsnet.agent.driver import differences
from ecsnet.agent.namespaces import NamespaceFiles, sysctls_hold
from ecsnet.hostplan.kernel import HostObject, Namespace, namespace_key


class NamespaceDriver:
    """Implements `driver.Driver` for `Namespace`. A changed namespace is made again, with everything in it."""

    kinds: tuple[type[HostObject], ...] = (Namespace,)

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        keys = {name: namespace_key(name) for name in self._files.labelled()}
        return {key: self._look(name, desired.get(key)) for name, key in keys.items()}

    def _look(self, name: str, wanted: HostObject | None) -> HostObject | None:
        if not self._files.exists(name):
            return None  # an agent was killed while it made or removed it
        try:
            found = self._files.label(name)
        except msgspec.DecodeError:
            return None
        if found != wanted or not found.sysctls:
            return found
        with self._files.inside(name):
            return found if sysctls_hold(found) else None

    def suspects(self, desired: Mapping[str, HostObject]) -> Collection[str]:
        return differences(self.observe(desired), desired)

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures = {}
        for key in remove:
            failures.update(self._attempt(key, None))
        for item in put:
            assert isinstance(item, Namespace)
            failures.update(self._attempt(item.key, item))
        return failures

    def _attempt(self, key: str, wanted: Namespace | None) -> dict[str, str]:
        name = key.partition(":")[2]
        try:
            if wanted is not None and self._files.exists(name):
                if self._look(name, wanted) == wanted:
                    return {}
                self._files.delete(name)
            if wanted is None:
                self._files.delete(name)
            else:
                self._files.create(wanted)
        except (OSError, ValueError) as error:
            return {key: f"namespace {name}: {error}"}
        return {}

    def close(self) -> None:
        """Nothing is held."""
