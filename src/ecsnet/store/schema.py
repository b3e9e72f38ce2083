"""Declares what the store holds: tables of records and indexes over them.

A table and an index are plain values; `ecsnet.model.tables.SCHEMA` lists all of them. Nothing here knows AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ecsnet.model.base import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table(Generic[R]):
    """A table: `name` (also in the journal), the record type and the function that gives a record's key."""

    name: str
    record: type[R]
    key: Callable[[R], str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Index(Generic[R]):
    """An index: `values(record)` are the index values under which the record's key is found."""

    name: str
    table: Table[R]
    values: Callable[[R], Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schema:
    tables: tuple[Table[Any], ...]
    indexes: tuple[Index[Any], ...]
    by_table: dict[str, tuple[Index[Any], ...]] = field(init=False)

    def __post_init__(self) -> None:
        names = [table.name for table in self.tables]
        index_names = [index.name for index in self.indexes]
        if len(set(names)) != len(names) or len(set(index_names)) != len(index_names):
            raise ValueError("a table or index is declared twice")
        grouped = {name: tuple(i for i in self.indexes if i.table.name == name) for name in names}
        object.__setattr__(self, "by_table", grouped)
