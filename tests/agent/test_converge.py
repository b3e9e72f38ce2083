"""The converge loop with drivers that only remember: order, waiting, retry, remaking, read-back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import pytest

from ecsnet.agent.converge import FIRST_RETRY, Converge
from ecsnet.agent.order import IN_KERNEL, KIND_OF_KEY, STAGES
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.hostplan.kernel import (
    Address,
    HostObject,
    Link,
    LinkEnd,
    Namespace,
    NftChain,
    NftElement,
    NftSet,
    NftTable,
    Route,
)
from ecsnet.hostplan.messages import Applied, Delta, Sync
from ecsnet.hostplan.plan import HostObjectUnion
from ecsnet.hostplan.workload import Workload

ALL_KINDS: tuple[type[HostObject], ...] = HostObjectUnion.__args__  # type: ignore[attr-defined]


class Machine:
    """What exists, what was done to it in which order, and what is to be refused."""

    def __init__(self) -> None:
        self.has: dict[str, HostObject | None] = {}
        self.log: list[str] = []
        self.refuse: dict[str, str] = {}
        self.broken = False
        self.now = 0.0
        self.drivers = [Remembering(self, (kind,)) for kind in ALL_KINDS if not kind.__name__.startswith("Nft")]
        self.drivers.append(Remembering(self, (NftTable, NftSet, NftChain, NftElement)))
        self.converge = Converge(self.drivers, lambda: self.now)
        self.revision = 0

    def sync(self, *objects: HostObject) -> Applied:
        self.revision += 1
        self.converge.sync(Sync(revision=self.revision, speed=1.0, objects=objects))  # type: ignore[arg-type]
        return self.tick()

    def delta(self, put: Sequence[HostObject] = (), remove: Sequence[str] = ()) -> Applied:
        self.revision += 1
        self.converge.delta(Delta(revision=self.revision, put=tuple(put), remove=tuple(remove)))  # type: ignore[arg-type]
        return self.tick()

    def tick(self) -> Applied:
        self.log.clear()
        applied = self.converge.tick()
        assert applied is not None
        return applied


class Remembering:
    def __init__(self, machine: Machine, kinds: tuple[type[HostObject], ...]) -> None:
        self.kinds = kinds
        self._machine = machine

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        names = [kind.__name__ for kind in self.kinds]
        self._machine.log.append(f"look {names[0]}")
        return {key: item for key, item in self._machine.has.items() if _kind(key) in self.kinds}

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        if self._machine.broken:
            raise RuntimeError("a fault of the driver")
        failures = {}
        for key in (*remove, *(item.key for item in put)):
            if key in self._machine.refuse:
                failures[key] = self._machine.refuse[key]
        for key in remove:
            if key not in failures:
                self._machine.log.append(f"- {key}")
                self._machine.has.pop(key, None)
        for item in put:
            if item.key not in failures:
                self._machine.log.append(f"+ {item.key}")
                self._machine.has[item.key] = item
        return failures

    def close(self) -> None:
        """Nothing is held."""


def _kind(key: str) -> type[HostObject]:
    return KIND_OF_KEY[key.partition(":")[0]]


R = Namespace(name="r1", owner="vpc")
T = Namespace(name="t1", owner="task")
VETH = Link(
    a=LinkEnd(netns="r1", name="e1", mac="02:00:00:00:00:01"),
    b=LinkEnd(netns="t1", name="eth0", mac="02:00:00:00:00:02"),
    mtu=9001,
    owner="eni",
)
ADDRESS = Address(netns="t1", link="eth0", address="10.0.0.5/24", via=VETH.key)
ROUTE = Route(netns="r1", destination="10.0.0.5/32", link="e1", via=VETH.key)
TABLE = NftTable(netns="r1", family="inet", name="ecs", owner="vpc")
GATES = NftSet(netns="r1", family="inet", table="ecs", name="gates", type="ifname", value="verdict")
CHAIN = NftChain(netns="r1", family="inet", table="ecs", name="eni_in", rules=())
PUBLISH = NftElement(
    netns="r1",
    family="inet",
    table="ecs",
    set="gates",
    element='"e1"',
    value="goto eni_in",
    uses_chain="eni_in",
    publish=True,
    after=(ADDRESS.key, ROUTE.key),
)
PROCESS = Workload(owner="task", container="web", netns="t1", runtime="stand-in", image="web", after=(PUBLISH.key,))
EVERYTHING = (PROCESS, PUBLISH, CHAIN, GATES, TABLE, ROUTE, ADDRESS, VETH, T, R)


def position(machine: Machine, entry: str) -> int:
    return machine.log.index(entry)


def test_every_kind_is_made_by_a_stage_and_removed_by_one() -> None:
    made = {kind for stage in STAGES if stage.put for kind in stage.kinds}
    removed = {kind for stage in STAGES if stage.remove for kind in stage.kinds}
    assert made == removed == set(ALL_KINDS) == set(KIND_OF_KEY.values())
    assert set(IN_KERNEL) < made


def test_everything_is_made_before_what_needs_it_whatever_the_order_of_the_plan() -> None:
    machine = Machine()
    assert machine.sync(*EVERYTHING) == Applied(revision=1)
    for item in EVERYTHING:
        for need in item.needs:
            if not (need.startswith("nft") and item.key.startswith("nft")):  # one transaction, ordered by its driver
                assert position(machine, f"+ {need}") < position(machine, f"+ {item.key}")


def test_a_process_ends_only_after_the_endpoint_that_led_to_it() -> None:
    """One change does both where the deregistration delay is 0: requests in between had nobody to answer them."""
    machine = Machine()
    before = EnvoyResource(kind="endpoints", name="web", body=b'["10.0.0.5:80","10.0.0.6:80"]', owner="group")
    after = msgspec.structs.replace(before, body=b'["10.0.0.6:80"]')
    machine.sync(*EVERYTHING, before)
    machine.delta(put=[after], remove=[PROCESS.key])
    assert machine.log == [f"+ {after.key}", f"- {PROCESS.key}"]


def test_the_machine_is_read_before_anything_is_removed() -> None:
    machine = Machine()
    machine.has = {"netns:old": None}
    machine.sync(R)
    assert machine.log.index("look Namespace") < machine.log.index("- netns:old")
    assert machine.has == {R.key: R}


def test_what_is_already_there_is_left_alone() -> None:
    machine = Machine()
    machine.has = {item.key: item for item in EVERYTHING}
    machine.sync(*EVERYTHING)
    assert not [entry for entry in machine.log if entry[0] in "+-"]


def test_a_change_costs_what_changed() -> None:
    machine = Machine()
    machine.sync(*EVERYTHING)
    changed = msgspec.structs.replace(ROUTE, source="10.0.0.1")
    machine.delta([changed])
    assert machine.log == [f"+ {ROUTE.key}"]


def test_a_failure_holds_up_only_what_needs_it_and_is_tried_again_later() -> None:
    machine = Machine()
    machine.refuse = {ROUTE.key: "no buffer space"}
    applied = machine.sync(*EVERYTHING)
    texts = {failure.key: failure.text for failure in applied.failures}
    assert texts == {
        ROUTE.key: "no buffer space",
        PUBLISH.key: f"waits for {ROUTE.key}",
        PROCESS.key: f"waits for {PUBLISH.key}",
    }
    assert ADDRESS.key in machine.has
    machine.refuse = {}
    assert machine.tick().failures, "not before its time"
    assert machine.converge.next_attempt() == FIRST_RETRY
    machine.now += FIRST_RETRY
    assert machine.tick() == Applied(revision=1)
    assert set(machine.has) == {item.key for item in EVERYTHING}


def test_retries_become_rarer() -> None:
    machine = Machine()
    machine.refuse = {R.key: "no"}
    machine.sync(R)
    pauses = []
    for _ in range(12):
        due = machine.converge.next_attempt()
        assert due is not None
        pauses.append(due - machine.now)
        machine.now = due
        machine.tick()
    assert pauses[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert max(pauses) == pytest.approx(5.0)


def test_a_new_version_of_what_failed_is_tried_at_once() -> None:
    machine = Machine()
    machine.refuse = {R.key: "no"}
    machine.sync(R)
    machine.refuse = {}
    assert machine.delta([msgspec.structs.replace(R, owner="other")]) == Applied(revision=2)


def test_after_a_failure_only_the_failing_driver_looks_again() -> None:
    machine = Machine()
    machine.refuse = {ROUTE.key: "no"}
    machine.sync(*EVERYTHING)
    machine.tick()
    assert [entry for entry in machine.log if entry.startswith("look")] == ["look Route"]


def test_a_link_whose_namespace_is_gone_is_made_again_with_it_at_once() -> None:
    """The patrol sees the link first; into a file that is no namespace any more the kernel puts no link."""
    machine = Machine()
    machine.sync(*EVERYTHING)
    for key in (T.key, VETH.key, ADDRESS.key, ROUTE.key):
        del machine.has[key]
    machine.refuse = {VETH.key: "Invalid argument"}
    links = next(driver for driver in machine.drivers if Link in driver.kinds)
    assert machine.converge.suspect(links, [VETH.key], machine.converge.desired)
    assert VETH.key in {failure.key for failure in machine.tick().failures}
    machine.refuse = {}
    assert machine.tick() == Applied(revision=1), "no time has passed"
    assert {"look Link", "look Namespace"} <= set(machine.log)
    assert machine.has == {item.key: item for item in EVERYTHING}


def test_a_driver_that_raises_does_not_stop_the_others() -> None:
    machine = Machine()
    machine.broken = True
    applied = machine.sync(R)
    assert "RuntimeError('a fault of the driver')" in applied.failures[0].text
    machine.broken = False
    machine.now += 10
    assert machine.tick() == Applied(revision=1)


def test_removal_goes_the_other_way_round_and_a_process_ends_before_its_network_goes() -> None:
    machine = Machine()
    machine.sync(*EVERYTHING)
    machine.delta(remove=[PROCESS.key, PUBLISH.key, CHAIN.key, ROUTE.key, ADDRESS.key, VETH.key])
    order = [PUBLISH.key, PROCESS.key, ROUTE.key, ADDRESS.key, VETH.key]
    places = [position(machine, f"- {key}") for key in order]
    assert places == sorted(places)


def test_what_goes_with_its_namespace_needs_no_removal_of_its_own() -> None:
    machine = Machine()
    machine.sync(*EVERYTHING)
    machine.delta(remove=[PROCESS.key, PUBLISH.key, CHAIN.key, ROUTE.key, ADDRESS.key, VETH.key, T.key])
    assert f"- {ADDRESS.key}" not in machine.log
    assert f"- {VETH.key}" not in machine.log
    assert f"- {ROUTE.key}" in machine.log, "the router stays, so its route does not go by itself"
    assert f"- {PROCESS.key}" in machine.log
    assert machine.log[-1] == f"- {T.key}"


def test_remaking_a_link_makes_again_what_is_on_it_but_spares_the_process() -> None:
    machine = Machine()
    machine.sync(*EVERYTHING)
    machine.delta([msgspec.structs.replace(VETH, mtu=1500)])
    again = [entry for entry in machine.log if entry.startswith("+")]
    assert again == [f"+ {key}" for key in (VETH.key, ADDRESS.key, ROUTE.key, PUBLISH.key)]


def test_drift_is_found_on_request_counted_and_repaired() -> None:
    machine = Machine()
    machine.sync(*EVERYTHING)
    del machine.has[ROUTE.key]
    machine.has["route:r1/254/0.0.0.0/0"] = None
    machine.converge.ask_read_back()
    assert machine.tick() == Applied(revision=1)
    assert machine.has == {item.key: item for item in EVERYTHING}
    assert machine.converge.counters["drift"] == 2


def test_a_need_that_is_not_in_the_plan_is_named() -> None:
    machine = Machine()
    applied = machine.sync(ADDRESS)
    assert applied.failures[0].text == f"needs {VETH.key}, which is not in the plan"


def test_nothing_is_done_before_the_first_plan() -> None:
    machine = Machine()
    machine.has = {R.key: R}
    assert machine.converge.tick() is None
    assert machine.has == {R.key: R}
