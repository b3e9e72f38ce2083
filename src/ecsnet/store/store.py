"""SQLite (WAL) as the one truth, an immutable snapshot in front of it, and a change feed.

Rows and their entry in `changes` are written in one SQLite transaction per `Store.transaction`; only then does the
snapshot move. `synchronous=NORMAL` survives `kill -9` of the process (committed pages are in the page cache).
"""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import immutables
import msgspec

from ecsnet.model.base import Record
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One changed row: its table, its key, and the record before and after (None where there is none)."""

    table: str
    key: str
    before: Record | None
    after: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
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
        self._changed.setdefault((table.name, key), before)
        rows = self._tables[table.name]
        rows = rows.delete(key) if after is None else rows.set(key, after)
        self._tables = self._tables.set(table.name, rows)
        for index in self._schema.by_table[table.name]:
            old = set(index.values(before)) if before is not None else set()
            new = set(index.values(after)) if after is not None else set()
            if old == new:
                continue
            values = self._indexes[index.name]
            for value in old - new:
                members = values[value].delete(key)
                values = values.set(value, members) if members else values.delete(value)
            for value in new - old:
                values = values.set(value, values.get(value, _NO_MEMBERS).set(key, None))
            self._indexes = self._indexes.set(index.name, values)

    def changes(self) -> tuple[Change, ...]:
        """The net effect so far; rows that came back to what they were are left out."""
        result = []
        for (table, key), before in self._changed.items():
            after = self._tables[table].get(key)
            if after != before:
                result.append(Change(table=table, key=key, before=before, after=after))
        return tuple(result)

    def result(self, revision: int) -> Snapshot:
        return Snapshot(revision=revision, tables=self._tables, indexes=self._indexes)


class Store:
    """Owns the database file and the current snapshot. One thread writes; anybody may keep a snapshot."""

    def __init__(self, path: Path | None, schema: Schema, *, durable: bool = False) -> None:
        """Open (or create) the store at `path`; None keeps it in memory only.

        `durable` syncs every commit to disk (`synchronous=FULL`), which also survives power loss.

        Raises msgspec.ValidationError when a stored row does not fit its record type.
        """
        self._schema = schema
        self._listeners: list[Listener] = []
        self._db = sqlite3.connect(
            path if path is not None else ":memory:", isolation_level=None, check_same_thread=False
        )
        # Every page that a commit touches is copied to the log; most rows are half a kilobyte. Small pages and a cache
        # that holds the tables halve the cost of a commit.
        self._db.execute("pragma page_size=1024")
        self._db.execute("pragma cache_size=-64000")
        self._db.execute("pragma journal_mode=wal")
        self._db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
        # A checkpoint syncs the file and takes milliseconds: every 2,000 calls instead of every 200.
        self._db.execute("pragma wal_autocheckpoint=10000")
        # One tree in the order of revisions: each page that a commit touches costs it about 5 µs.
        self._db.execute(
            "create table if not exists changes "
            "(revision integer, tbl text, key text, primary key (revision, tbl, key)) without rowid"
        )
        for table in schema.tables:
            self._db.execute(
                f'create table if not exists "{table.name}" '
                "(key text primary key, revision integer, body text) without rowid"
            )
        self.snapshot = self._load()

    def _load(self) -> Snapshot:
        tx = Transaction(self._schema, empty(self._schema))
        for table in self._schema.tables:
            decoder = msgspec.json.Decoder(table.record, dec_hook=_decode)
            for (body,) in self._db.execute(f'select body from "{table.name}"'):
                tx.put(table, decoder.decode(body))
        # The newest change carries the revision. Older ones have no reader any more: who starts reads the snapshot.
        self._db.execute("delete from changes where revision < (select max(revision) from changes)")
        return tx.result(self._db.execute("select max(revision) from changes").fetchone()[0] or 0)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` after every commit that changed something, in order, on the writer's thread."""
        self._listeners.append(listener)

    def draft(self) -> Transaction:
        """A transaction over the current snapshot that is never committed: for reads and dry runs."""
        return Transaction(self._schema, self.snapshot)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run a block as one transaction: it commits at its end and leaves no trace when it raises."""
        tx = Transaction(self._schema, self.snapshot)
        yield tx
        if self.snapshot is not tx.base:
            raise RuntimeError("two transactions were open at once")
        self._commit(tx)

    def _commit(self, tx: Transaction) -> None:
        changes = tx.changes()
        if not changes:
            return
        revision = self.snapshot.revision + 1
        db = self._db
        db.execute("begin immediate")
        try:
            for change in changes:
                if change.after is None:
                    db.execute(f'delete from "{change.table}" where key = ?', (change.key,))
                else:
                    body = _ENCODER.encode(change.after).decode()
                    db.execute(
                        f'insert into "{change.table}" values (?, ?, ?) on conflict (key) do update '
                        "set revision = excluded.revision, body = excluded.body",
                        (change.key, revision, body),
                    )
            db.executemany("insert into changes values (?, ?, ?)", [(revision, c.table, c.key) for c in changes])
            db.execute("commit")
        except BaseException:
            db.execute("rollback")
            raise
        before, self.snapshot = self.snapshot, tx.result(revision)
        commit = Commit(before=before, after=self.snapshot, changes=changes)
        for listener in self._listeners:
            listener(commit)

    def clear(self) -> None:
        """Delete every row of every table as one commit (the reset of a test suite)."""
        with self.transaction() as tx:
            for table in self._schema.tables:
                for key in list(self.snapshot.tables[table.name]):
                    tx.delete(table, key)

    def close(self) -> None:
        self._db.close()
