"""A bounded cache of the wire form of list items.

A list of a thousand network interfaces is joined from a thousand finished strings instead of being walked: 0.1 ms
instead of 7 ms. A fragment is valid while every record it was made from is the very same object; records are immutable.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from operator import is_
from typing import Any, Generic, TypeVar

from ecsnet.services.call import Cached

T = TypeVar("T", str, bytes)


@dataclass(slots=True, kw_only=True)
class Fragments(Generic[T]):
    """Finished fragments by (shape, key). When full, the oldest quarter goes: no bookkeeping on a hit.

    `limit` is a number of fragments; one of a network interface takes about 1.2 kB.
    """

    limit: int = 20_000
    _found: dict[tuple[str, Hashable], tuple[tuple[object, ...], T]] = field(default_factory=dict)

    def get(self, shape: str, item: Cached, render: Callable[[Mapping[str, Any]], T]) -> T:
        """The fragment of `item`, rendered now unless its sources are the same objects as last time."""
        place = (shape, item.key)
        entry = self._found.get(place)
        sources = item.sources
        if entry is not None and len(entry[0]) == len(sources) and all(map(is_, entry[0], sources)):
            return entry[1]
        fragment = render(item.build())
        if entry is None and len(self._found) >= self.limit:
            for old in tuple(islice(self._found, max(1, self.limit // 4))):
                del self._found[old]
        self._found[place] = (sources, fragment)
        return fragment

    def __len__(self) -> int:
        return len(self._found)
