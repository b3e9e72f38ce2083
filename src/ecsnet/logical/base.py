"""The base of the logical language: what the cloud means, in network words.

Logical objects are immutable values. Two equal objects are the same object; a change is one value gone and another
there. They hold strings, numbers, `ipaddress` objects and tuples, and no word of any operating system.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class LogicalObject(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Anything that compile emits and a fabric lowers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Logical objects that came and went; a changed object is in both."""

    added: frozenset[LogicalObject]
    removed: frozenset[LogicalObject]
