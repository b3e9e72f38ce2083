"""What a fragment may read, and the plain (unmemoised) reading of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from ecsnet.logical.base import LogicalObject
from ecsnet.model.base import Record
from ecsnet.store.schema import Index, Table
from ecsnet.store.snapshot import Members, Snapshot

R = TypeVar("R", bound=Record)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query(Generic[T]):
    """A shared intermediate result, `run(view, key)`, memoised under its unique `name`.

    Whoever asks depends on the answer, not on what was read to find it: an equal answer stops propagation. Use it
    where many fragments need the same small fact about a widely read row or index.
    """

    name: str
    run: Callable[[View, str], T]


class View:
    """Reading access to one snapshot. Answers depend on nothing else, so a fragment is a function of the store."""

    __slots__ = ("_answers", "_snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._answers: dict[tuple[str, str], Any] = {}

    def get(self, table: Table[R], key: str) -> R | None:
        """The row, or None. The reader depends on the whole row: prefer `project` for rows that many read."""
        return self._snapshot.get(table, key)

    def keys(self, index: Index[Any], value: str) -> Members:
        """The keys under one index value. The reader depends on the membership, not on the rows."""
        return self._snapshot.keys(index, value)

    def find(self, index: Index[R], value: str) -> Iterator[R]:
        """The rows under one index value, ordered by key so that results do not depend on history."""
        for key in sorted(self.keys(index, value)):
            row = self.get(index.table, key)
            if row is not None:
                yield row

    def ask(self, query: Query[T], key: str) -> T:
        """The answer of a shared query; the reader depends on the answer alone."""
        node = (query.name, key)
        if node not in self._answers:
            self._answers[node] = query.run(self, key)
        return cast(T, self._answers[node])

    def project(self, name: str, read: Callable[[R], T], table: Table[R], key: str) -> T | None:
        """One attribute of a row (None when there is no such row); the reader depends on the attribute alone.

        `name` identifies the projection among those of the table.
        """

        def run(view: View, key: str) -> T | None:
            row = view.get(table, key)
            return None if row is None else read(row)

        return self.ask(Query(name=f"{table.name}.{name}", run=run), key)

    def exists(self, index: Index[Any], value: str) -> bool:
        """Whether anything is found under an index value; the reader depends on this bit alone."""
        return self.ask(Query(name=f"{index.name}?", run=lambda view, value: bool(view.keys(index, value))), value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FragmentSpec:
    """A pure function from one row to logical objects.

    `table` None runs the fragment exactly once, with the empty key, for what exists independently of any row.
    """

    name: str
    table: Table[Any] | None
    run: Callable[[View, str], Iterable[LogicalObject]]
