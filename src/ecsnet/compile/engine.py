"""Memoises fragments with recorded reads, so that a commit costs what it changed and not what exists.

Every run of a fragment or query is a node that remembers what it read: rows `(table, key)`, index values
`(index, value)` and answers of other queries. A commit makes the readers of changed rows and index values stale and
whatever depends on those suspect. A suspect node runs again only when an answer that it used really changed. Nobody
writes invalidation by hand, and `full` (every fragment on every row, nothing remembered) stays as the specification.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.base import Delta, LogicalObject
from ecsnet.model.base import Record
from ecsnet.model.tables import SCHEMA
from ecsnet.store.schema import Index, Schema, Table
from ecsnet.store.snapshot import Members, Snapshot
from ecsnet.store.store import Change, Commit

R = TypeVar("R", bound=Record)
T = TypeVar("T")

_Input = tuple[str, str]
"""(table or index name with its sort in front, key or value)."""


class _State(enum.Enum):
    CLEAN = 0
    SUSPECT = 1
    """A query that it asked may answer differently now."""
    STALE = 2
    """Something that it read has changed, or it has never run."""


class _Node:
    """One fragment on one row, or one query on one key: its value and what it depends on."""

    __slots__ = ("asked", "changed", "checked", "name", "readers", "reads", "run", "state", "value")

    def __init__(self, name: tuple[str, str], run: Callable[[View], Any]) -> None:
        self.name = name
        self.run = run
        self.value: Any = None
        self.state = _State.STALE
        self.changed = 0
        """The tick at which the value last became another one."""
        self.checked = 0
        """The tick at which the value was last known to be right."""
        self.reads: set[_Input] = set()
        self.asked: dict[_Node, None] = {}
        """Queries in the order in which they were asked: later ones may depend on earlier answers."""
        self.readers: set[_Node] = set()


class Engine:
    """Keeps the logical objects of the newest commit. Not thread-safe; it belongs to the writer of the store."""

    def __init__(self, fragments: Iterable[FragmentSpec], schema: Schema = SCHEMA) -> None:
        self._by_table: dict[str, list[FragmentSpec]] = {}
        self._constants: list[FragmentSpec] = []
        self._schema = schema
        names = set()
        for spec in fragments:
            if spec.name in names:
                raise ValueError(f"two fragments are called {spec.name}")
            names.add(spec.name)
            if spec.table is None:
                self._constants.append(spec)
            else:
                self._by_table.setdefault(spec.table.name, []).append(spec)
        self._fragments: dict[tuple[str, str], _Node] = {}
        self._queries: dict[tuple[str, str], _Node] = {}
        self._readers: dict[_Input, set[_Node]] = {}
        self._count: dict[LogicalObject, int] = {}
        self._present_before: dict[LogicalObject, bool] = {}
        self._abandoned: set[_Node] = set()
        self._tick = 0
        self._snapshot: Snapshot | None = None
        self.runs = 0
        """How many fragments and queries have run so far: the measure of work."""

    def full(self, snapshot: Snapshot) -> frozenset[LogicalObject]:
        """Everything that a snapshot means, computed from nothing: the specification of `apply`."""
        view = View(snapshot)
        result: set[LogicalObject] = set()
        for spec in self._constants:
            result.update(spec.run(view, ""))
        for table, specs in self._by_table.items():
            for key in snapshot.tables[table]:
                for spec in specs:
                    result.update(spec.run(view, key))
        return frozenset(result)

    def start(self, snapshot: Snapshot) -> Delta:
        """Compile a whole snapshot into an engine that has none yet (when the control process starts)."""
        if self._snapshot is not None:
            raise RuntimeError("the engine has been started already")
        dirty = [self._fragment(spec, "") for spec in self._constants]
        for table, specs in self._by_table.items():
            dirty += [self._fragment(spec, key) for key in snapshot.tables[table] for spec in specs]
        return self._settle(snapshot, dirty)

    def apply(self, commit: Commit) -> Delta:
        """Follow one commit. It must be the next one after the last snapshot that was seen."""
        if self._snapshot is None:
            first = self.start(commit.before)
            rest = self.apply(commit)
            return Delta(
                added=(first.added - rest.removed) | rest.added,
                removed=rest.removed - first.added,
            )
        if self._snapshot.revision != commit.before.revision:
            raise ValueError(f"expected the commit after {self._snapshot.revision}, not after {commit.before.revision}")
        touched: dict[_Node, None] = {}
        for change in commit.changes:
            for source in self._changed_inputs(change):
                for node in self._readers.get(source, ()):
                    self._make_stale(node, touched)
            for spec in self._by_table.get(change.table, ()):
                if change.before is None:
                    touched[self._fragment(spec, change.key)] = None
                elif change.after is None:
                    gone = self._fragments.pop((spec.name, change.key))
                    touched.pop(gone, None)
                    self._emit(gone.value, frozenset())
                    self._forget_reads(gone)
        return self._settle(commit.after, touched)

    def objects(self) -> frozenset[LogicalObject]:
        """All logical objects of the newest commit."""
        return frozenset(self._count)

    # ── marking ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _changed_inputs(self, change: Change) -> Iterable[_Input]:
        yield f"row {change.table}", change.key
        for index in self._schema.by_table[change.table]:
            before = set(index.values(change.before)) if change.before is not None else set()
            after = set(index.values(change.after)) if change.after is not None else set()
            for value in before ^ after:
                yield f"index {index.name}", value

    def _make_stale(self, node: _Node, touched: dict[_Node, None]) -> None:
        node.state = _State.STALE
        if self._fragments.get(node.name) is node:
            touched[node] = None
        pending = list(node.readers)
        while pending:
            reader = pending.pop()
            if reader.state is _State.CLEAN:
                reader.state = _State.SUSPECT
                pending.extend(reader.readers)
            if self._fragments.get(reader.name) is reader:
                touched[reader] = None

    def _fragment(self, spec: FragmentSpec, key: str) -> _Node:
        node = _Node((spec.name, key), lambda view: frozenset(spec.run(view, key)))
        node.value = frozenset()
        self._fragments[node.name] = node
        return node

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, snapshot: Snapshot, touched: Iterable[_Node]) -> Delta:
        self._snapshot = snapshot
        self._tick += 1
        for node in touched:
            before = node.value
            self._refresh(node, snapshot)
            if node.value is not before:
                self._emit(before, node.value)
        while self._abandoned:
            node = self._abandoned.pop()
            if not node.readers:
                self._queries.pop(node.name, None)
                self._forget_reads(node)
        present, self._present_before = self._present_before, {}
        return Delta(
            added=frozenset(item for item, was in present.items() if not was and item in self._count),
            removed=frozenset(item for item, was in present.items() if was and item not in self._count),
        )

    def _refresh(self, node: _Node, snapshot: Snapshot) -> None:
        """Bring a node up to date. Its value stays the very same object when it is equal to the old one."""
        if node.state is _State.SUSPECT:
            for query in list(node.asked):
                self._refresh(query, snapshot)
                if query.changed > node.checked:  # maybe long ago in this tick, on behalf of another reader
                    node.state = _State.STALE
                    break
        if node.state is _State.STALE:
            self._run(node, snapshot)
        node.state = _State.CLEAN
        node.checked = self._tick

    def _run(self, node: _Node, snapshot: Snapshot) -> None:
        self.runs += 1
        old_reads, old_asked = node.reads, node.asked
        node.reads, node.asked = set(), {}
        value = node.run(_Recorder(self, snapshot, node))
        if value != node.value:
            node.value = value
            node.changed = self._tick
        for source in old_reads - node.reads:
            self._unread(source, node)
        for source in node.reads - old_reads:
            self._readers.setdefault(source, set()).add(node)
        for query in old_asked:
            if query not in node.asked:
                self._unask(query, node)

    def ask(self, reader: _Node, snapshot: Snapshot, query: Query[T], key: str) -> T:
        """The up-to-date answer of a query, noted as used by `reader` (for the recording view)."""
        node = self._queries.get((query.name, key))
        if node is None:
            node = self._queries[(query.name, key)] = _Node((query.name, key), lambda view: query.run(view, key))
        self._refresh(node, snapshot)
        reader.asked[node] = None
        node.readers.add(reader)
        return cast(T, node.value)

    def _emit(self, before: frozenset[LogicalObject], after: frozenset[LogicalObject]) -> None:
        for item in before - after:
            self._present_before.setdefault(item, True)
            self._count[item] -= 1
            if not self._count[item]:
                del self._count[item]
        for item in after - before:
            self._present_before.setdefault(item, item in self._count)
            self._count[item] = self._count.get(item, 0) + 1

    # ── forgetting ───────────────────────────────────────────────────────────────────────────────────────────────

    def _forget_reads(self, node: _Node) -> None:
        for source in node.reads:
            self._unread(source, node)
        for query in node.asked:
            self._unask(query, node)

    def _unread(self, source: _Input, node: _Node) -> None:
        readers = self._readers.get(source)
        if readers is not None:
            readers.discard(node)
            if not readers:
                del self._readers[source]

    def _unask(self, query: _Node, reader: _Node) -> None:
        query.readers.discard(reader)
        if not query.readers:
            self._abandoned.add(query)


class _Recorder(View):
    """The view that a node runs with: it notes every read."""

    __slots__ = ("_engine", "_node")

    def __init__(self, engine: Engine, snapshot: Snapshot, node: _Node) -> None:
        super().__init__(snapshot)
        self._engine = engine
        self._node = node

    def get(self, table: Table[R], key: str) -> R | None:
        self._node.reads.add((f"row {table.name}", key))
        return self._snapshot.get(table, key)

    def keys(self, index: Index[Any], value: str) -> Members:
        self._node.reads.add((f"index {index.name}", value))
        return self._snapshot.keys(index, value)

    def ask(self, query: Query[T], key: str) -> T:
        return self._engine.ask(self._node, self._snapshot, query, key)
