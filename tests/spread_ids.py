"""Ids whose first digits differ, as real ones do: kernel names are made of the first twelve."""

from __future__ import annotations

import hashlib

from ecs_harness import CountingIds


class SpreadIds(CountingIds):
    """Deterministic like its parent."""

    def resource(self, prefix: str) -> str:
        counted = super().resource(prefix)
        return f"{prefix}-{hashlib.sha256(counted.encode()).hexdigest()[:17]}"
