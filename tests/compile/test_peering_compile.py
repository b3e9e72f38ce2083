"""What a peering means in network words, and that it is nothing while one side has no router."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import TypeVar

import msgspec
import pytest
import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.names import AddressName
from ecsnet.logical.network import FilterGroup, Member, PeerGroup, Peering, PeeringGuard, TableRoute
from ecsnet.model import tables as t
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store, Transaction

T = TypeVar("T", bound=LogicalObject)
Write = Callable[[Transaction], object]
ONE, TWO = rows.identifier("vpc", 1), rows.identifier("vpc", 2)
PCX = rows.identifier("pcx", 1)


def two_vpcs(tx: Transaction) -> None:
    """VPC 1 10.0.0.0/16 and VPC 2 10.1.0.0/16, a task in each; group 2 of VPC 2 names group 1 of VPC 1."""
    for number in (1, 2):
        vpc = rows.identifier("vpc", number)
        tx.put(t.VPCS, rows.vpc(number, f"10.{number - 1}.0.0/16"))
        tx.put(t.SUBNETS, rows.subnet(number, f"10.{number - 1}.1.0/24", vpc))
        tx.put(t.GROUPS, rows.group(number, vpc))
        owner = ("task", rows.task_arn(number))
        address = f"10.{number - 1}.1.10"
        rows.put_interface(tx, rows.interface(number, address, number, groups=(number,), vpc=vpc, owner=owner))
        tx.put(t.TASKS, rows.task(number, number))
        far = f"10.{2 - number}.0.0/16"
        tx.put(t.ROUTE_TABLES, rows.route_table(number, rows.route(far, "pcx", PCX), vpc=vpc))
    tx.put(t.GROUP_RULES, rows.rule(1, 2, ports=(80, 80), peer=1, peer_vpc=1))
    tx.put(t.PEERINGS, rows.peering(1, 1, 2))


def compiled(kind: type[T], *writes: Write) -> list[T]:
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        two_vpcs(tx)
        for write in writes:
            write(tx)
    return [item for item in Engine(FRAGMENTS).full(store.snapshot) if isinstance(item, kind)]


ENDS: tuple[Write, ...] = (
    lambda tx: tx.put(t.PEERINGS, rows.peering(1, 1, 2, "pending-acceptance")),
    lambda tx: tx.put(t.PEERINGS, rows.peering(1, 1, 2, "deleted")),
    lambda tx: tx.delete(t.PEERINGS, PCX),
    lambda tx: tx.delete(t.INTERFACES, rows.identifier("eni", 1)),
    lambda tx: tx.delete(t.INTERFACES, rows.identifier("eni", 2)),
)


def test_an_active_peering_is_a_link_with_a_guard_at_both_ends() -> None:
    (link,) = compiled(Peering)
    assert [end.router for end in link.ends] == [ONE, TWO]
    assert link.mtu == 9001
    assert {guard.router for guard in compiled(PeeringGuard)} == {ONE, TWO}
    (link,) = compiled(Peering, lambda tx: tx.put(t.PEERINGS, rows.peering(1, 1, 2, region="eu-west-1")))
    assert link.mtu == 8500


@pytest.mark.parametrize("end", ENDS)
def test_without_an_active_peering_of_two_routers_nothing_is_left_of_it(end: Write) -> None:
    assert not compiled(Peering, end)
    assert not compiled(PeeringGuard, end)
    assert {route.kind for route in compiled(TableRoute, end)} == {"blackhole"}
    assert not compiled(PeerGroup, end)


def test_routes_name_the_router_at_the_far_end() -> None:
    assert {(r.router, r.kind, r.target, r.far) for r in compiled(TableRoute)} == {
        (ONE, "peering", PCX, TWO),
        (TWO, "peering", PCX, ONE),
    }


def test_a_route_to_a_peering_of_other_vpcs_is_a_black_hole() -> None:
    other = compiled(TableRoute, lambda tx: tx.put(t.PEERINGS, rows.peering(1, 2, 3)))
    assert {route.kind for route in other} == {"blackhole"}


def test_a_peered_group_is_a_member_set_in_the_router_that_names_it() -> None:
    assert compiled(PeerGroup) == [PeerGroup(router=TWO, id=rows.identifier("sg", 1))]
    members = {(m.router, str(m.address)) for m in compiled(Member) if m.group == rows.identifier("sg", 1)}
    assert members == {(ONE, "10.0.1.10"), (TWO, "10.0.1.10")}
    (group,) = [g for g in compiled(FilterGroup) if g.router == TWO]
    assert [rule.group for rule in group.ingress] == [rows.identifier("sg", 1)]


@pytest.mark.parametrize(
    "stale",
    [
        ENDS[1],
        lambda tx: tx.delete(t.GROUPS, rows.identifier("sg", 1)),
        lambda tx: tx.put(t.PEERINGS, rows.peering(1, 1, 2, region="eu-west-1")),
    ],
    ids=["peering deleted", "group deleted", "between regions"],
)
def test_a_stale_rule_admits_nobody_and_a_new_peering_of_the_same_vpcs_revives_it(stale: Write) -> None:
    (group,) = [g for g in compiled(FilterGroup, stale) if g.router == TWO]
    assert group.ingress == ()
    assert not [m for m in compiled(Member, stale) if m.router == TWO and str(m.address) == "10.0.1.10"]
    (group,) = [
        g
        for g in compiled(FilterGroup, ENDS[1], lambda tx: tx.put(t.PEERINGS, rows.peering(2, 2, 1)))
        if g.router == TWO
    ]
    assert len(group.ingress) == 1


def test_a_tag_on_a_peering_visits_nobody() -> None:
    store = Store(None, SCHEMA)
    engine = Engine(FRAGMENTS)
    with store.transaction() as tx:
        two_vpcs(tx)
    engine.start(store.snapshot)
    commits: list[int] = []

    def follow(commit: object) -> None:
        before = engine.runs
        delta = engine.apply(commit)  # type: ignore[arg-type]
        assert not delta.added
        assert not delta.removed
        commits.append(engine.runs - before)

    store.subscribe(follow)
    row = rows.peering(1, 1, 2)
    tagged = msgspec.structs.replace(row, requester=msgspec.structs.replace(row.requester, tags=(("Name", "x"),)))
    with store.transaction() as tx:
        tx.put(t.PEERINGS, tagged)
    assert commits == [1]  # the projection of the row: what it links


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _public(tx: Transaction) -> None:
    for number in (1, 2):
        tx.put(t.VPCS, msgspec.structs.replace(rows.vpc(number, f"10.{number - 1}.0.0/16"), dns_hostnames=True))
    row = tx.get(t.INTERFACES, rows.identifier("eni", 1))
    assert row is not None
    tx.put(t.INTERFACES, msgspec.structs.replace(row, auto_public_ip=IPv4Address("198.18.0.9")))


@pytest.mark.parametrize("region", [rows.REGION, "eu-west-1"])
def test_public_names_are_private_addresses_for_the_peer_when_the_option_is_on(region: str) -> None:
    def seen(dns: bool, status: str = "active") -> dict[str | None, str]:
        row = rows.peering(1, 1, 2, status, region=region, dns=dns)  # type: ignore[arg-type]
        names = compiled(AddressName, _public, lambda tx: tx.put(t.PEERINGS, row))
        return {name.router: str(name.addresses[0]) for name in names}

    assert seen(False) == {None: "198.18.0.9", ONE: "10.0.1.10"}
    assert seen(True) == {None: "198.18.0.9", ONE: "10.0.1.10", TWO: "10.0.1.10"}
    assert seen(True, "deleted") == {None: "198.18.0.9", ONE: "10.0.1.10"}
