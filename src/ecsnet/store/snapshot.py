"""The immutable in-memory picture of the store at one revision, and the reading interface over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar, cast

import immutables
import msgspec

from ecsnet.model.base import Record
from ecsnet.store.schema import Index, Schema, Table

R = TypeVar("R", bound=Record)

Rows = immutables.Map[str, Any]
Members = immutables.Map[str, None]
Values = immutables.Map[str, Members]
_NO_ROWS: Rows = immutables.Map()
_NO_MEMBERS: Members = immutables.Map()


class Reader(Protocol):
    """What services, fragments and controllers may read. A snapshot and an open transaction both offer it."""

    def get(self, table: Table[R], key: str) -> R | None:
        """The record, or None."""
        ...

    def keys(self, index: Index[Any], value: str) -> Members:
        """The keys (a map key → None, cheap to test and iterate) found under one index value."""
        ...

    def find(self, index: Index[R], value: str) -> Iterator[R]:
        """The records found under one index value, in no particular order."""
        ...

    def rows(self, table: Table[R]) -> Iterator[R]:
        """Every record of a table: for start-up and small tables only, never on a per-change path."""
        ...


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All tables and indexes at `revision`. Taking one costs nothing; it never changes."""

    revision: int
    tables: dict[str, Rows]
    """By name, and so are the indexes; plain dicts, which nobody changes, because nothing is looked up as often."""
    indexes: dict[str, Values]

    def get(self, table: Table[R], key: str) -> R | None:
        return cast("R | None", self.tables.get(table.name, _NO_ROWS).get(key))

    def keys(self, index: Index[Any], value: str) -> Members:
        return self.indexes[index.name].get(value, _NO_MEMBERS)

    def find(self, index: Index[R], value: str) -> Iterator[R]:
        rows = self.tables.get(index.table.name, _NO_ROWS)
        return (cast(R, rows[key]) for key in self.keys(index, value))

    def rows(self, table: Table[R]) -> Iterator[R]:
        return cast("Iterator[R]", iter(self.tables.get(table.name, _NO_ROWS).values()))


def empty(schema: Schema) -> Snapshot:
    """The snapshot of a store that holds nothing."""
    return Snapshot(
        revision=0,
        tables={table.name: _NO_ROWS for table in schema.tables},
        indexes={index.name: immutables.Map() for index in schema.indexes},
    )
