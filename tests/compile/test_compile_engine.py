"""What the engine promises besides being right: work in proportion to the change, and no leftovers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.base import Delta, LogicalObject
from ecsnet.logical.network import FilterGroup, Internet, Member, OpenPort, Port
from ecsnet.model import tables as t
from ecsnet.model.ecs import TaskStatus
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store, Transaction

MANY = 200


class Bench:
    """A store with an engine behind it; `change` answers with what the change did and how many runs it took."""

    def __init__(self, fragments: tuple[FragmentSpec, ...] = FRAGMENTS) -> None:
        self.store = Store(None, SCHEMA)
        self.engine = Engine(fragments)
        self.engine.start(self.store.snapshot)
        self._delta = Delta(added=frozenset(), removed=frozenset())
        self.store.subscribe(self._follow)

    def _follow(self, commit: object) -> None:
        self._delta = self.engine.apply(commit)  # type: ignore[arg-type]

    def change(self, write: Callable[[Transaction], object]) -> tuple[Delta, int]:
        before = self.engine.runs
        with self.store.transaction() as tx:
            write(tx)
        return self._delta, self.engine.runs - before


@pytest.fixture
def bench() -> Bench:
    bench = Bench()

    def fill(tx: Transaction) -> None:
        rows.put_storefront(tx)
        tx.put(t.SUBNETS, rows.subnet(3, "10.0.64.0/18"))
        for number in range(100, 100 + MANY):
            owner = ("task", rows.task_arn(number))
            rows.put_interface(tx, rows.interface(number, f"10.0.64.{number - 90}", 3, groups=(2,), owner=owner))
            tx.put(t.TASKS, rows.task(number, number))

    bench.change(fill)
    return bench


def _kinds(items: frozenset[LogicalObject]) -> set[str]:
    return {type(item).__name__ for item in items}


def test_a_changed_rule_replaces_one_group(bench: Bench) -> None:
    delta, runs = bench.change(lambda tx: tx.put(t.GROUP_RULES, rows.rule(2, 2, ports=(8080, 8081), peer=1)))
    assert _kinds(delta.added) == _kinds(delta.removed) == {"FilterGroup"}
    assert len(delta.added) == len(delta.removed) == 1
    assert runs < 10


def test_a_new_task_adds_its_own_objects_and_touches_no_other(bench: Bench) -> None:
    def add(tx: Transaction) -> None:
        rows.put_interface(tx, rows.interface(50, "10.0.2.50", 2, groups=(1, 2), owner=("task", rows.task_arn(50))))
        tx.put(t.TASKS, rows.task(50, 50))

    delta, runs = bench.change(add)
    assert not delta.removed
    assert sum(isinstance(item, Port) for item in delta.added) == 1
    assert sum(isinstance(item, Member) for item in delta.added) == 2
    assert runs < 30


@pytest.mark.parametrize("table", ["vpc", "subnet", "group"])
def test_a_tag_on_a_row_that_everything_reads_changes_nothing(bench: Bench, table: str) -> None:
    tables = {
        "vpc": (t.VPCS, rows.VPC),
        "subnet": (t.SUBNETS, rows.identifier("subnet", 3)),
        "group": (t.GROUPS, rows.identifier("sg", 2)),
    }

    def tag(tx: Transaction) -> None:
        kind, key = tables[table]
        row = tx.get(kind, key)  # type: ignore[type-var]
        assert row is not None
        tx.put(kind, msgspec.structs.replace(row, tags=(("Name", "x"),)))  # type: ignore[type-var]

    delta, runs = bench.change(tag)
    assert delta == Delta(added=frozenset(), removed=frozenset())
    assert runs < 15, "a tag visited the interfaces"


def test_a_rule_that_opens_every_port_changes_no_port_itself(bench: Bench) -> None:
    delta, _ = bench.change(lambda tx: tx.put(t.GROUP_RULES, rows.rule(99, 2, protocol="-1", cidr="0.0.0.0/0")))
    assert not any(isinstance(item, Port) for item in delta.added | delta.removed)
    opened = [item for item in delta.added if isinstance(item, OpenPort)]
    assert {(item.direction, item.protocol, item.version) for item in opened} == {("in", "tcp", 4), ("in", "udp", 4)}
    assert len(opened) == 2 * (MANY + 2)


def test_a_task_that_gives_its_interface_back_takes_everything_of_it_along(bench: Bench) -> None:
    def stop(tx: Transaction) -> None:
        tx.put(t.TASKS, rows.task(1, 2, TaskStatus.DEPROVISIONING))
        tx.delete(t.INTERFACES, rows.identifier("eni", 2))

    delta, _ = bench.change(stop)
    assert not delta.added
    assert {"Port", "Member", "Host", "OpenPort"} <= _kinds(delta.removed)


def test_an_emptied_store_leaves_the_internet_and_no_memory() -> None:
    bench = Bench()
    bench.change(rows.put_storefront)
    bench.store.clear()
    assert {type(item) for item in bench.engine.objects() if isinstance(item, Internet)} == {Internet}
    assert bench.engine.objects() == Engine(FRAGMENTS).start(bench.store.snapshot).added
    assert not any(isinstance(item, FilterGroup | Port) for item in bench.engine.objects())
    assert not bench.engine._queries
    assert len(bench.engine._fragments) == sum(1 for spec in FRAGMENTS if spec.table is None)


def test_two_readers_of_one_query_both_see_its_new_answer() -> None:
    """Whoever of them runs first must not hide the change from the other."""
    name = Query(name="name", run=lambda view, key: _name(view, key))

    def run(view: View, key: str) -> tuple[LogicalObject, ...]:
        return (_Named(reader=key, text=view.ask(name, rows.identifier("sg", 9))),)

    bench = Bench((FragmentSpec(name="named", table=t.SUBNETS, run=run),))

    def fill(tx: Transaction) -> None:
        tx.put(t.SUBNETS, rows.subnet(1, "10.0.1.0/24"))
        tx.put(t.SUBNETS, rows.subnet(2, "10.0.2.0/24"))

    bench.change(fill)
    delta, runs = bench.change(lambda tx: tx.put(t.GROUPS, rows.group(9)))
    assert {item.text for item in delta.added if isinstance(item, _Named)} == {"group-9"}
    assert len(delta.added) == len(delta.removed) == 2
    assert runs == 3


class _Named(LogicalObject, frozen=True, kw_only=True, gc=False):
    reader: str
    text: str | None


def _name(view: View, group: str) -> str | None:
    row = view.get(t.GROUPS, group)
    return None if row is None else row.name


def test_a_query_that_starts_to_ask_another_sees_it_up_to_date() -> None:
    """In one commit the switch turns on and what lies behind it changes, two queries deep."""
    deep = Query(name="deep", run=_name)
    middle: Query[str | None] = Query(name="middle", run=lambda view, key: view.ask(deep, key))
    switch: Query[str | None] = Query(
        name="switch",
        run=lambda view, key: view.ask(middle, key) if view.get(t.GROUPS, rows.identifier("sg", 8)) else None,
    )

    def always(view: View, key: str) -> tuple[LogicalObject, ...]:
        return (_Named(reader="always", text=view.ask(middle, rows.identifier("sg", 9))),)

    def switched(view: View, key: str) -> tuple[LogicalObject, ...]:
        return (_Named(reader="switched", text=view.ask(switch, rows.identifier("sg", 9))),)

    bench = Bench(
        (
            FragmentSpec(name="always", table=t.SUBNETS, run=always),
            FragmentSpec(name="switched", table=t.SUBNETS, run=switched),
        )
    )
    bench.change(lambda tx: tx.put(t.SUBNETS, rows.subnet(1, "10.0.1.0/24")))

    def both(tx: Transaction) -> None:
        tx.put(t.GROUPS, rows.group(8))
        tx.put(t.GROUPS, rows.group(9))

    bench.change(both)
    assert bench.engine.objects() == bench.engine.full(bench.store.snapshot)
    assert {item.text for item in bench.engine.objects() if isinstance(item, _Named)} == {"group-9"}


def test_a_commit_out_of_order_is_refused() -> None:
    store = Store(None, SCHEMA)
    engine = Engine(FRAGMENTS)
    engine.start(store.snapshot)
    commits = []
    store.subscribe(commits.append)
    for number in (1, 2):
        with store.transaction() as tx:
            tx.put(t.VPCS, rows.vpc(number))
    with pytest.raises(ValueError, match="revision 0"):
        engine.apply(commits[1])


def test_two_fragments_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="router"):
        Engine((*FRAGMENTS, FRAGMENTS[0]))
