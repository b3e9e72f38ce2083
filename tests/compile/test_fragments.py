"""What single rows mean in network words."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, ip_network
from typing import TypeVar

import msgspec
import pytest
import rows

from ecsnet.compile.engine import Engine
from ecsnet.compile.fragments import FRAGMENTS
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import (
    Acl,
    AclRule,
    FilterGroup,
    FilterRule,
    Gateway,
    Host,
    Member,
    Nat,
    OpenPort,
    Port,
    PublicAddress,
    Router,
    Segment,
    TableRoute,
)
from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.model.ecs import TaskStatus
from ecsnet.model.tables import SCHEMA
from ecsnet.store.store import Store, Transaction

T = TypeVar("T", bound=LogicalObject)
DEFAULT = "0.0.0.0/0"


def compiled(kind: type[T], *writes: Callable[[Transaction], object]) -> list[T]:
    """The objects of one kind after the storefront and some further writes."""
    store = Store(None, SCHEMA)
    with store.transaction() as tx:
        rows.put_storefront(tx)
        for write in writes:
            write(tx)
    return [item for item in Engine(FRAGMENTS).full(store.snapshot) if isinstance(item, kind)]


def test_a_vpc_without_interfaces_has_no_router() -> None:
    lonely = rows.vpc(2, "172.31.0.0/16")
    routers = compiled(Router, lambda tx: tx.put(t.VPCS, lonely))
    assert [(r.id, str(r.resolver)) for r in routers] == [(rows.VPC, "10.0.0.2")]


# ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _default_route(table: int, *writes: Callable[[Transaction], object]) -> TableRoute:
    (route,) = [r for r in compiled(TableRoute, *writes) if r.table == 100 + table]
    return route


def test_routes_lead_to_the_gateway_and_to_the_nat_gateways_interface() -> None:
    assert (_default_route(1).kind, _default_route(1).target) == ("gateway", rows.IGW)
    private = _default_route(2)
    assert (private.kind, private.target, private.next_hop) == (
        "port",
        rows.identifier("eni", 4),
        IPv4Address("10.0.1.9"),
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway(vpc=None)),
        lambda tx: tx.delete(t.INTERNET_GATEWAYS, rows.IGW),
    ],
    ids=["detached", "deleted"],
)
def test_a_route_to_a_gateway_that_is_not_attached_is_a_black_hole(write: Callable[[Transaction], object]) -> None:
    assert _default_route(1, write).kind == "blackhole"
    assert not compiled(Gateway, write)
    assert not compiled(PublicAddress, write)


@pytest.mark.parametrize("state", ["deleting", "deleted", "failed"])
def test_a_route_to_a_nat_gateway_that_is_gone_is_a_black_hole(state: str) -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 4 if state == "deleting" else None, 1, "10.0.1.9", state))

    assert _default_route(2, write).kind == "blackhole"
    assert not compiled(Nat, write)


def test_a_route_to_something_that_is_not_built_is_a_black_hole() -> None:
    table = rows.route_table(1, rows.route(DEFAULT, "pcx", rows.identifier("pcx", 1)))
    assert _default_route(1, lambda tx: tx.put(t.ROUTE_TABLES, table)).kind == "blackhole"


def test_a_subnet_without_an_association_uses_the_main_table_and_the_default_acl() -> None:
    segments = {s.id: s for s in compiled(Segment, lambda tx: tx.put(t.SUBNETS, rows.subnet(3, "10.0.3.0/24")))}
    assert segments[rows.identifier("subnet", 3)].table == 101
    assert segments[rows.identifier("subnet", 3)].acl == rows.DEFAULT_ACL
    assert segments[rows.identifier("subnet", 2)].table == 102
    assert segments[rows.identifier("subnet", 2)].acl == rows.identifier("acl", 2)


OPEN = (rows.entry(100), rows.entry(100, egress=True))
OPEN6 = (rows.entry(101, cidr="::/0"), rows.entry(101, egress=True, cidr="::/0"))


@pytest.mark.parametrize(
    ("entries", "borderless"),
    [
        (OPEN, True),
        ((*OPEN, rows.entry(200, allow=False, protocol="6", ports=(80, 80))), True),
        ((*OPEN, rows.entry(50, allow=False, protocol="6", ports=(80, 80))), False),
        ((*OPEN, rows.entry(50, allow=False, egress=True, cidr="10.0.1.0/24")), False),
        (OPEN[:1], False),
        (OPEN[1:], False),
        ((rows.entry(100, cidr="10.0.0.0/16"), OPEN[1]), False),
        ((rows.entry(100, protocol="6"), OPEN[1]), False),
        ((), False),
    ],
    ids=["open", "never-asked", "in", "out", "no-outbound", "no-inbound", "some", "tcp", "empty"],
)
def test_a_network_is_borderless_while_every_acl_admits_everything(
    entries: tuple[ec2.NetworkAclEntry, ...], borderless: bool
) -> None:
    (router,) = compiled(Router, lambda tx: tx.put(t.ACLS, rows.acl(2, *entries)))
    assert router.borderless is borderless


@pytest.mark.parametrize(("entries", "borderless"), [(OPEN, False), ((*OPEN, *OPEN6), True)], ids=["ipv4", "both"])
def test_with_ipv6_both_versions_count(entries: tuple[ec2.NetworkAclEntry, ...], borderless: bool) -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.VPCS, rows.vpc(ipv6="2600:1f18::/56"))
        tx.put(t.ACLS, rows.acl(1, *OPEN, *OPEN6, default=True))
        tx.put(t.ACLS, rows.acl(2, *entries))

    (router,) = compiled(Router, write)
    assert router.borderless is borderless


def test_a_subnet_without_an_acl_is_a_border() -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.ACLS, rows.acl(2, *OPEN))
        tx.delete(t.ACLS, rows.DEFAULT_ACL)

    (router,) = compiled(Router, write)
    assert not router.borderless


@pytest.mark.parametrize("table", [1, 9], ids=["a-subnets-table", "a-table-of-nobody-yet"])
def test_a_network_with_routes_inside_is_not_borderless(table: int) -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.ACLS, rows.acl(2, *OPEN))
        tx.put(t.ROUTE_TABLES, rows.route_table(table, rows.route("10.0.2.0/24", "eni", rows.identifier("eni", 2))))

    (router,) = compiled(Router, write)
    assert not router.borderless


# ── interfaces ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_interface_that_nothing_holds_is_not_there() -> None:
    free = rows.interface(9, "10.0.2.90", 2, groups=(1,))
    ports = compiled(Port, lambda tx: rows.put_interface(tx, free))
    assert free.id not in {port.id for port in ports}
    members = compiled(Member, lambda tx: rows.put_interface(tx, free))
    assert free.private_ip not in {member.address for member in members}


@pytest.mark.parametrize(("status", "there"), [(s, s.value not in ("DEPROVISIONING", "STOPPED")) for s in TaskStatus])
def test_a_task_holds_its_interface_until_it_is_deprovisioned(status: TaskStatus, there: bool) -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.TASKS, rows.task(1, 2, status))

    assert (rows.identifier("eni", 2) in {port.id for port in compiled(Port, write)}) is there
    assert (rows.task_arn(1) in {host.id for host in compiled(Host, write)}) is there


def test_a_load_balancers_interfaces_are_numbered_as_its_nodes() -> None:
    def write(tx: Transaction) -> None:
        owner = ("load_balancer", rows.load_balancer_arn(1))
        rows.put_interface(tx, rows.interface(8, "10.0.2.80", 2, groups=(1,), owner=owner))
        tx.put(t.LOAD_BALANCERS, rows.load_balancer(1, (8, 2, "10.0.2.80"), (1, 1, "10.0.1.10")))

    ports = {port.id: port for port in compiled(Port, write)}
    assert ports[rows.identifier("eni", 8)].index == 0
    assert ports[rows.identifier("eni", 1)].index == 1
    assert ports[rows.identifier("eni", 1)].host_kind == "balancer"


def test_a_nat_gateways_port_has_no_filter_and_no_check() -> None:
    (port,) = [port for port in compiled(Port) if port.host_kind == "nat"]
    assert port.group_set is None
    assert not port.checked


# ── public addresses ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_elastic_ip_takes_the_place_of_the_automatic_address() -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(5, "198.18.5.5", 1, "10.0.1.10"))

    def publics(addresses: list[PublicAddress]) -> set[str]:
        return {str(a.public) for a in addresses if str(a.private) == "10.0.1.10"}

    assert publics(compiled(PublicAddress)) == {"198.18.0.1"}
    assert publics(compiled(PublicAddress, write)) == {"198.18.5.5"}


# ── filters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rule_of(write: Callable[[Transaction], object]) -> FilterRule | None:
    (group,) = [group for group in compiled(FilterGroup, write) if group.id == rows.identifier("sg", 2)]
    return next((rule for rule in group.ingress if rule.id == rows.identifier("sgr", 77)), None)


@pytest.mark.parametrize(
    ("protocol", "ports", "number", "want_ports", "want_icmp"),
    [
        ("-1", (-1, -1), None, None, None),
        ("tcp", (80, 80), 6, (80, 80), None),
        ("tcp", (0, 65535), 6, None, None),
        ("udp", (53, 60), 17, (53, 60), None),
        ("icmp", (-1, -1), 1, None, None),
        ("icmp", (3, -1), 1, None, (3, None)),
        ("icmp", (3, 4), 1, None, (3, 4)),
        ("icmpv6", (128, 0), 58, None, (128, 0)),
        ("50", (1, 2), 50, None, None),
    ],
)
def test_protocols_ports_and_icmp_types_of_a_rule(
    protocol: str,
    ports: tuple[int, int],
    number: int | None,
    want_ports: tuple[int, int] | None,
    want_icmp: tuple[int, int | None] | None,
) -> None:
    cidr = "::/0" if protocol == "icmpv6" else "10.9.0.0/16"
    row = rows.rule(77, 2, protocol=protocol, ports=ports, cidr=cidr)
    rule = _rule_of(lambda tx: tx.put(t.GROUP_RULES, row))
    assert rule is not None
    assert (rule.protocol, rule.ports, rule.icmp, rule.network) == (number, want_ports, want_icmp, ip_network(cidr))


def test_groups_of_a_vpc_know_its_ip_versions() -> None:
    assert {group.versions for group in compiled(FilterGroup)} == {(4,)}
    dual = rows.vpc(1, "10.0.0.0/16", "2001:db8:8000:100::/56")
    assert {group.versions for group in compiled(FilterGroup, lambda tx: tx.put(t.VPCS, dual))} == {(4, 6)}


def test_a_rule_for_a_group_of_another_vpc_admits_nobody() -> None:
    def write(tx: Transaction) -> None:
        tx.put(t.VPCS, rows.vpc(2))
        tx.put(t.GROUPS, rows.group(3, rows.identifier("vpc", 2)))
        tx.put(t.GROUP_RULES, rows.rule(77, 2, peer=3))

    assert _rule_of(write) is None
    assert _rule_of(lambda tx: tx.put(t.GROUP_RULES, rows.rule(77, 2, peer=1))) is not None


@pytest.mark.parametrize(
    ("rule", "opened"),
    [
        (rows.rule(77, 2, protocol="-1", cidr=DEFAULT), {("tcp", 4), ("udp", 4)}),
        (rows.rule(77, 2, protocol="tcp", ports=(0, 65535), cidr=DEFAULT), {("tcp", 4)}),
        (rows.rule(77, 2, protocol="udp", ports=(-1, -1), cidr="::/0"), {("udp", 6)}),
        (rows.rule(77, 2, protocol="tcp", ports=(0, 65534), cidr=DEFAULT), set()),
        (rows.rule(77, 2, protocol="-1", cidr="0.0.0.0/1"), set()),
        (rows.rule(77, 2, protocol="icmp", ports=(-1, -1), cidr=DEFAULT), set()),
        (rows.rule(77, 2, protocol="-1", peer=1), set()),
    ],
)
def test_which_rules_open_a_direction_wholly(rule: object, opened: set[tuple[str, int]]) -> None:
    found = compiled(OpenPort, lambda tx: tx.put(t.GROUP_RULES, rule))  # type: ignore[arg-type]
    ingress = [f for f in found if f.direction == "in" and f.port == rows.identifier("eni", 2)]
    assert {(f.protocol, f.version) for f in ingress} == opened


def test_acl_entries_are_in_the_order_of_their_numbers() -> None:
    entries = (rows.entry(200, allow=False), rows.entry(10, protocol="6", ports=(80, 81)), rows.entry(5, egress=True))
    (acl,) = [
        acl
        for acl in compiled(Acl, lambda tx: tx.put(t.ACLS, rows.acl(1, *entries, default=True)))
        if acl.id == rows.DEFAULT_ACL
    ]
    everywhere = ip_network(DEFAULT)
    assert acl.inbound == (
        AclRule(number=10, allow=True, protocol=6, network=everywhere, ports=(80, 81)),
        AclRule(number=200, allow=False, protocol=None, network=everywhere),
    )
    assert [rule.number for rule in acl.outbound] == [5]


def test_ports_of_an_acl_entry_count_for_tcp_and_udp_only() -> None:
    entry = msgspec.structs.replace(rows.entry(10, protocol="1", ports=(80, 81)), icmp_type=3, icmp_code=-1)
    other = rows.entry(20, protocol="50", ports=(80, 81))
    (acl,) = [
        acl
        for acl in compiled(Acl, lambda tx: tx.put(t.ACLS, rows.acl(1, entry, other, default=True)))
        if acl.id == rows.DEFAULT_ACL
    ]
    assert [(rule.ports, rule.icmp) for rule in acl.inbound] == [(None, (3, None)), (None, None)]
