"""A journal as the one truth, an immutable snapshot in front of it, and a change feed.

Each `Store.transaction` adds one line to the journal, `[revision, [[table, key, record or null], ...]]`; only then
does the snapshot move. Opening reads the lines in order. A journal that has outgrown what the store holds is replaced
by one that has each row once.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import immutables
import msgspec

from ecsnet.model.base import Record
from ecsnet.store.journal import Journal
from ecsnet.store.schema import Index, Schema, Table
from ecsnet.store.snapshot import Members, Snapshot, empty

R = TypeVar("R", bound=Record)

_ADDRESS_TYPES = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)
_NO_MEMBERS: Members = immutables.Map()


def _encode(value: Any) -> Any:
    if isinstance(value, _ADDRESS_TYPES):
        return str(value)
    raise TypeError(f"cannot store a {type(value).__name__}")


def _decode(kind: type, value: Any) -> Any:
    if kind in _ADDRESS_TYPES:
        return kind(value)
    if issubclass(ipaddress.IPv4Network, kind):  # IpNetwork, the one class that stands for both families
        return ipaddress.ip_network(value)
    raise TypeError(f"cannot load a {kind.__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode)


def _line(revision: int, rows: list[tuple[str, str, Record | None]]) -> bytes:
    """A line of the journal; JSON has no newline of its own."""
    return _ENCODER.encode((revision, rows)) + b"\n"


_LINE = msgspec.json.Decoder(tuple[int, list[tuple[str, str, msgspec.Raw]]])

_LEAST = 32 << 20
_GROWTH = 4
"""A journal is replaced beyond `_LEAST` bytes and `_GROWTH` times what the last replacement wrote.

So a byte of a change costs at most a third of a byte of rewriting, and a start reads little more than it needs.
"""

log = logging.getLogger(__name__)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One changed row: its table, its key, and the record before and after (None where there is none)."""

    table: str
    key: str
    before: Record | None
    after: Record | None


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction did. `before` and `after` are the snapshots around it."""

    before: Snapshot
    after: Snapshot
    changes: tuple[Change, ...]


Listener = Callable[[Commit], None]


class Transaction:
    """A reader and writer over a private copy of the snapshot; nothing is visible to others until it commits."""

    __slots__ = ("_changed", "_indexes", "_schema", "_tables", "base")

    def __init__(self, schema: Schema, base: Snapshot) -> None:
        self.base = base
        self._schema = schema
        self._tables = base.tables
        self._indexes = base.indexes
        self._changed: dict[tuple[str, str], Record | None] = {}

    def get(self, table: Table[R], key: str) -> R | None:
        found: R | None = self._tables[table.name].get(key)
        return found

    def keys(self, index: Index[Any], value: str) -> Members:
        return self._indexes[index.name].get(value, _NO_MEMBERS)

    def find(self, index: Index[R], value: str) -> Iterator[R]:
        rows = self._tables[index.table.name]
        return (rows[key] for key in self.keys(index, value))

    def rows(self, table: Table[R]) -> Iterator[R]:
        return iter(self._tables[table.name].values())

    def put(self, table: Table[R], record: R) -> R:
        """Insert or replace a record; returns it. Putting an equal record changes nothing."""
        key = table.key(record)
        before: R | None = self._tables[table.name].get(key)
        if before == record:
            return record
        self._write(table, key, before, record)
        return record

    def delete(self, table: Table[R], key: str) -> None:
        """Remove a record; removing a missing one changes nothing."""
        before: R | None = self._tables[table.name].get(key)
        if before is not None:
            self._write(table, key, before, None)

    def _write(self, table: Table[R], key: str, before: R | None, after: R | None) -> None:
        if not self._changed:
            self._tables = self._tables.copy()
            self._indexes = self._indexes.copy()
        self._changed.setdefault((table.name, key), before)
        rows = self._tables[table.name]
        self._tables[table.name] = rows.delete(key) if after is None else rows.set(key, after)
        for index in self._schema.by_table[table.name]:
            old = index.values(before) if before is not None else ()
            new = index.values(after) if after is not None else ()
            if old == new:
                continue
            values = self._indexes[index.name]
            for value in set(old).difference(new) if old else ():
                members = values[value].delete(key)
                values = values.set(value, members) if members else values.delete(value)
            for value in set(new).difference(old) if old else new:
                values = values.set(value, values.get(value, _NO_MEMBERS).set(key, None))
            self._indexes[index.name] = values

    def changes(self) -> tuple[Change, ...]:
        """The net effect so far; rows that came back to what they were are left out."""
        result = []
        for (table, key), before in self._changed.items():
            after = self._tables[table].get(key)
            if after != before:
                result.append(Change(table=table, key=key, before=before, after=after))
        return tuple(result)

    def result(self, revision: int) -> Snapshot:
        """The snapshot with what was written; it does not see what is written later."""
        self._changed = {}
        return Snapshot(revision=revision, tables=self._tables, indexes=self._indexes)


class Store:
    """Owns the journal and the current snapshot. One thread writes; anybody may keep a snapshot."""

    def __init__(self, path: Path | None, schema: Schema) -> None:
        """Open (or create) the store at `path`; None keeps it in memory only.

        Raises msgspec.DecodeError when a line is damaged or a stored row does not fit its record type.
        """
        self._schema = schema
        self._listeners: list[Listener] = []
        self._journal = Journal(path) if path is not None else None
        self._limit = _LEAST
        self.snapshot = empty(schema)
        if self._journal is not None:
            self.snapshot = self._load(self._journal)
            if self._journal.size > self._limit:
                self._shorten(self._journal)

    def _load(self, journal: Journal) -> Snapshot:
        revision = 0
        bodies: dict[str, dict[str, msgspec.Raw]] = {table.name: {} for table in self._schema.tables}
        for number, line in enumerate(journal.lines(), 1):
            try:
                revision, rows = _LINE.decode(line)
            except msgspec.DecodeError as error:
                error.add_note(f"Line {number} of {journal.path} is damaged.")
                raise
            for name, key, body in rows:
                # A table that is no longer declared has no reader.
                if name in bodies:
                    bodies[name][key] = body
        tx = Transaction(self._schema, empty(self._schema))
        for table in self._schema.tables:
            decoder = msgspec.json.Decoder(table.record | None, dec_hook=_decode)
            for body in bodies[table.name].values():
                record = decoder.decode(body)
                if record is not None:
                    tx.put(table, record)
        return tx.result(revision)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after every commit that changed something, in order, on the writer's thread."""
        self._listeners.append(listener)

    def draft(self) -> Transaction:
        """A transaction over the current snapshot that is never committed: for reads and dry runs."""
        return Transaction(self._schema, self.snapshot)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Run a block as one transaction: it commits at its end and leaves no trace when it raises."""
        return _Block(self.draft(), self._commit)

    def _commit(self, tx: Transaction) -> None:
        if self.snapshot is not tx.base:
            raise RuntimeError("two transactions were open at once")
        changes = tx.changes()
        if not changes:
            return
        revision = self.snapshot.revision + 1
        # Without a journal too: a record that cannot be stored is a fault wherever it is put.
        line = _line(revision, [(change.table, change.key, change.after) for change in changes])
        if self._journal is not None:
            self._journal.append(line)
        before, self.snapshot = self.snapshot, tx.result(revision)
        commit = Commit(before=before, after=self.snapshot, changes=changes)
        for listener in self._listeners:
            listener(commit)
        if self._journal is not None and self._journal.size > self._limit:
            self._shorten(self._journal)

    def _shorten(self, journal: Journal) -> None:
        """Let the journal begin anew with each row of the snapshot once."""
        snapshot = self.snapshot
        try:
            journal.replace(
                _line(snapshot.revision, [(table, key, record) for key, record in rows.items()])
                for table, rows in snapshot.tables.items()
            )
        except OSError as error:
            log.warning("the journal of the store goes on growing, it could not be written anew: %s", error)
        self._limit = max(_LEAST, _GROWTH * journal.size)

    def clear(self) -> None:
        """Delete every row of every table as one commit (the reset of a test suite)."""
        with self.transaction() as tx:
            for table in self._schema.tables:
                for key in list(self.snapshot.tables[table.name]):
                    tx.delete(table, key)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


class _Block:
    """What `Store.transaction` returns; a generator in its place would cost a small write 3 µs."""

    __slots__ = ("_commit", "_tx")

    def __init__(self, tx: Transaction, commit: Callable[[Transaction], None]) -> None:
        self._tx = tx
        self._commit = commit

    def __enter__(self) -> Transaction:
        return self._tx

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._commit(self._tx)
