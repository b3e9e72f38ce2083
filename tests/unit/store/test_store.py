"""The store: transactions are all or nothing, indexes equal a full scan, and `kill -9` after a commit loses nothing."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ecsnet.model.base import scope
from ecsnet.model.ec2 import CidrAssociation, NetworkInterface, SeededAccount, Vpc
from ecsnet.model.tables import INTERFACES, INTERFACES_BY_GROUP, SCHEMA, SEEDED_ACCOUNTS, VPCS, VPCS_BY_SCOPE
from ecsnet.store import store as store_module
from ecsnet.store.store import Commit, Store


def vpc(number: int) -> Vpc:
    return Vpc(
        id=f"vpc-{number}",
        account="123456789012",
        region="us-east-1",
        dhcp_options="dopt-1",
        cidrs=(CidrAssociation(id=f"vpc-cidr-assoc-{number}", cidr=ip_network("10.0.0.0/16")),),
    )


def interface(number: int, groups: tuple[str, ...]) -> NetworkInterface:
    return NetworkInterface(
        id=f"eni-{number}",
        account="123456789012",
        region="us-east-1",
        vpc="vpc-1",
        subnet="subnet-1",
        az="us-east-1a",
        private_ip=IPv4Address("10.0.0.4") + number,
        mac=f"02:00:00:00:00:{number:02x}",
        groups=groups,
        created=0.0,
    )


def test_a_block_that_raises_leaves_no_trace() -> None:
    store = Store(None, SCHEMA)
    seen: list[Commit] = []
    store.subscribe(seen.append)

    def stop_halfway() -> None:
        with store.transaction() as tx:
            tx.put(VPCS, vpc(1))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        stop_halfway()
    assert store.snapshot.get(VPCS, "vpc-1") is None
    assert store.snapshot.revision == 0
    assert seen == []


def test_a_commit_names_what_changed_and_equal_puts_are_no_change() -> None:
    store = Store(None, SCHEMA)
    seen: list[Commit] = []
    store.subscribe(seen.append)
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
        tx.put(VPCS, vpc(2))
        tx.delete(VPCS, "vpc-2")
    assert [(c.table, c.key, c.before, c.after) for c in seen[0].changes] == [("vpc", "vpc-1", None, vpc(1))]
    assert len(seen) == 1
    assert store.snapshot.revision == 1


def test_a_snapshot_never_changes() -> None:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
    before = store.snapshot
    store.clear()
    assert before.get(VPCS, "vpc-1") == vpc(1)
    assert list(before.keys(VPCS_BY_SCOPE, scope("123456789012", "us-east-1"))) == ["vpc-1"]
    assert store.snapshot.get(VPCS, "vpc-1") is None
    assert not store.snapshot.keys(VPCS_BY_SCOPE, scope("123456789012", "us-east-1"))


def test_a_transaction_kept_beyond_its_end_changes_nothing() -> None:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
    tx.put(VPCS, vpc(2))
    tx.delete(VPCS, "vpc-1")
    assert [row.id for row in store.snapshot.rows(VPCS)] == ["vpc-1"]
    assert list(store.snapshot.keys(VPCS_BY_SCOPE, scope("123456789012", "us-east-1"))) == ["vpc-1"]


def test_a_reopened_store_holds_the_same(tmp_path: Path) -> None:
    path = tmp_path / "store.journal"
    store = Store(path, SCHEMA)
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
        tx.put(INTERFACES, interface(1, ("sg-1",)))
    store.close()
    again = Store(path, SCHEMA)
    assert again.snapshot == store.snapshot


@pytest.mark.parametrize("least", [32 << 20, 1_000], ids=["growing", "written anew all the time"])
def test_kill_9_after_a_commit_loses_nothing(tmp_path: Path, least: int) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ecsnet.model.base import Record\n"
        "from ecsnet.model.ec2 import SeededAccount\n"
        "from ecsnet.model.tables import SCHEMA, SEEDED_ACCOUNTS\n"
        "from ecsnet.store import store as module\n"
        "from ecsnet.store.store import Store\n"
        "module._LEAST = int(sys.argv[2])\n"
        "module._GROWTH = 1\n"
        "store = Store(Path(sys.argv[1]), SCHEMA)\n"
        "n = 0\n"
        "while True:\n"
        "    with store.transaction() as tx:\n"
        "        tx.put(SEEDED_ACCOUNTS, SeededAccount(account=str(n), region='r'))\n"
        "    print(n, flush=True)\n"
        "    n += 1\n"
    )
    path = tmp_path / "store.journal"
    child = subprocess.Popen([sys.executable, "-c", program, str(path), str(least)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = -1
    while acknowledged < 200:
        acknowledged = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    rest = child.stdout.read().split()
    child.wait()
    acknowledged = max([acknowledged, *(int(n) for n in rest if n)])
    store = Store(path, SCHEMA)
    assert len(store.snapshot.tables["seeded_account"]) >= acknowledged + 1


def some_store(path: Path, rows: int) -> Store:
    store = Store(path, SCHEMA)
    for number in range(rows):
        with store.transaction() as tx:
            tx.put(VPCS, vpc(number))
    return store


def test_a_transaction_that_was_cut_off_is_not_there_and_the_next_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "store.journal"
    store = some_store(path, 2)
    store.close()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        store = Store(path, SCHEMA)
        assert [row.id for row in store.snapshot.rows(VPCS)] == ["vpc-0"]
        assert store.snapshot.revision == 1
        with store.transaction() as tx:
            tx.put(INTERFACES, interface(1, ()))
        store.close()
        again = Store(path, SCHEMA)
        assert again.snapshot == store.snapshot
        again.close()


def test_a_damaged_line_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "store.journal"
    some_store(path, 3).close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 20 + lines[1][20:] + lines[2])
    with pytest.raises(msgspec.DecodeError) as caught:
        Store(path, SCHEMA)
    assert caught.value.__notes__ == [f"Line 2 of {path} is damaged."]


def test_a_full_disk_fails_the_transaction_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "store.journal"
    store = some_store(path, 1)
    seen: list[Commit] = []
    store.subscribe(seen.append)
    room = path.stat().st_size + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(OSError, match="File too large"), store.transaction() as tx:
            tx.put(VPCS, vpc(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.stat().st_size == room  # a part of the line is there
    assert store.snapshot.get(VPCS, "vpc-1") is None
    assert seen == []
    assert Store(path, SCHEMA).snapshot == store.snapshot
    with store.transaction() as tx:
        tx.put(SEEDED_ACCOUNTS, SeededAccount(account="1", region="r"))
    assert path.stat().st_size == room  # the line was shorter than what it overwrote
    assert Store(path, SCHEMA).snapshot == store.snapshot
    with store.transaction() as tx:
        tx.put(VPCS, vpc(1))
    assert Store(path, SCHEMA).snapshot == store.snapshot


def test_a_journal_stays_small_however_often_a_row_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_LEAST", 20_000)
    path = tmp_path / "store.journal"
    store = some_store(path, 10)
    for number in range(1000):
        with store.transaction() as tx:
            tx.put(INTERFACES, interface(1, (f"sg-{number}",)))
            tx.delete(VPCS, "vpc-3")
        assert path.stat().st_size < 40_000
    store.close()
    again = Store(path, SCHEMA)
    assert again.snapshot == store.snapshot
    assert again.snapshot.revision == 1010
    again.clear()
    again.close()
    emptied = Store(path, SCHEMA)
    assert emptied.snapshot == again.snapshot
    assert emptied.snapshot.revision == 1011


def test_an_overgrown_journal_is_shortened_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "store.journal"
    store = some_store(path, 100)
    store.clear()
    store.close()
    size = path.stat().st_size
    monkeypatch.setattr(store_module, "_LEAST", size - 1)
    again = Store(path, SCHEMA)
    assert again.snapshot == store.snapshot
    assert path.stat().st_size < size / 5
    again.close()
    assert Store(path, SCHEMA).snapshot == store.snapshot


def test_a_journal_that_cannot_be_written_anew_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_LEAST", 2_000)
    path = tmp_path / "store.journal"
    (tmp_path / "store.journal.new").mkdir()
    store = some_store(path, 50)
    assert path.stat().st_size > 2_000
    assert Store(path, SCHEMA).snapshot == store.snapshot


class Indexes(RuleBasedStateMachine):
    """After any sequence of writes every index equals what a full scan finds."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(None, SCHEMA)

    @rule(
        number=st.integers(0, 5),
        groups=st.lists(st.sampled_from(["sg-a", "sg-b", "sg-c"]), unique=True, max_size=3),
    )
    def put(self, number: int, groups: list[str]) -> None:
        with self.store.transaction() as tx:
            tx.put(INTERFACES, interface(number, tuple(groups)))

    @rule(number=st.integers(0, 5))
    def delete(self, number: int) -> None:
        with self.store.transaction() as tx:
            tx.delete(INTERFACES, f"eni-{number}")

    @invariant()
    def index_equals_scan(self) -> None:
        rows = list(self.store.snapshot.rows(INTERFACES))
        for group in ("sg-a", "sg-b", "sg-c"):
            expected = {row.id for row in rows if group in row.groups}
            assert set(self.store.snapshot.keys(INTERFACES_BY_GROUP, group)) == expected


TestIndexes = Indexes.TestCase
TestIndexes.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
