"""IPv6 in a VPC and at its edges, and blocks of addresses of one interface: each with what must not pass."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import rows
from vpc_lab import Lab, router
from walks import check, walk

from ecsnet.model import tables as t
from ecsnet.testing.world import TestWorld

pytestmark = pytest.mark.network

BLOCK = "2001:db8:8000:100::/56"
NETS = {1: "2001:db8:8000:101::/64", 2: "2001:db8:8000:102::/64"}
ONE, TWO, THREE = "2001:db8:8000:101::a", "2001:db8:8000:101::b", "2001:db8:8000:102::c"
CLIENT = "2001:db8::1"
"""The internet side's own address."""

PATH_MTU = """
import socket, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
made.setsockopt(socket.IPPROTO_IPV6, 23, 2)   # IPV6_MTU_DISCOVER: never fragment
made.settimeout(30)
made.connect((sys.argv[1], int(sys.argv[2])))
def attempt():
    try:
        made.send(b"x" * int(sys.argv[3]))
        return "answered", len(made.recv(65535)) > 0
    except OSError as error:
        return type(error).__name__, made.getsockopt(socket.IPPROTO_IPV6, 24)   # IPV6_MTU
print(*attempt())
"""

ADVERTISE = """
import socket, struct, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
advertisement = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
for target in ("ff02::1", *sys.argv[1:]):
    made.sendto(advertisement, (target, 0, 0, socket.if_nametoindex("eth0") if target.startswith("f") else 0))
"""

HEAR = """
import select, socket, sys
heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
print("ready", flush=True)
seen, sent = set(), False
while ready := select.select([heard] if sent else [heard, sys.stdin], [], [], 0.5 if sent else None)[0]:
    sent = sent or sys.stdin in ready
    if heard in ready:
        data = heard.recv(2048)
        if data[6] == 58:
            seen.add(data[40])
print(sorted(seen))
"""
"""Which ICMPv6 types come until half a second after its stdin says that everything was sent."""


@pytest.fixture
def lab(net: TestWorld) -> Iterator[Lab]:
    made = Lab(net)
    made.vpc()
    with made.store.transaction() as tx:
        tx.put(t.VPCS, rows.vpc(ipv6=BLOCK))
        for number, block in NETS.items():
            tx.put(t.SUBNETS, rows.subnet(number, f"10.0.{number}.0/24", ipv6=block))
        both = [
            rows.entry(number, egress=egress, cidr=cidr)
            for egress in (False, True)
            for number, cidr in ((100, "0.0.0.0/0"), (101, "::/0"))
        ]
        tx.put(t.ACLS, rows.acl(1, *both, default=True))
    made.flush()
    everywhere6 = {"egress": True, "protocol": "-1", "cidr": "::/0"}
    made.group(1, rows.rule(501, 1, **everywhere6))
    made.group(2, rows.rule(502, 2, **everywhere6), rows.rule(1, 2, ports=(80, 80), cidr="::/0"))
    made.group(3, rows.rule(503, 3, **everywhere6), rows.rule(2, 3, ports=(80, 80), cidr=f"{ONE}/128"))
    made.group(4, rows.rule(504, 4, **everywhere6), rows.rule(3, 4, ports=(80, 80), peer=1))
    yield made
    net.sync()


def _table(lab: Lab, *routes: tuple[str, str, str]) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.route(BLOCK, "local"), *(rows.route(*one) for one in routes)))
    lab.flush()


def _internet_gateway(lab: Lab) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway())
    _table(lab, ("0.0.0.0/0", "igw", rows.IGW), ("::/0", "igw", rows.IGW))


def _egress_gateway(lab: Lab) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.EGRESS_ONLY_GATEWAYS, rows.egress_gateway())
    _table(lab, ("::/0", "eigw", rows.egress_gateway().id))


def _refusals(lab: Lab, netns: str, prefix: str) -> int:
    """Packets that rules with this log prefix have counted."""
    listing = lab.net.run(netns, "nft", "list", "ruleset").stdout
    lines = [line for line in listing.splitlines() if f'prefix "{prefix}"' in line]
    assert lines, listing
    return sum(int(line.split("counter packets ")[1].split()[0]) for line in lines)


def test_inside_and_across_subnets_groups_decide(lab: Lab) -> None:
    one = lab.task("10.0.1.10", 1, ipv6=(ONE,))
    two, three = lab.task("10.0.1.11", 2, ipv6=(TWO,)), lab.task("10.0.2.12", 2, ipv6=(THREE,), subnet=2)
    with lab.net.listen(two.netns, TWO, 80), lab.net.listen(three.netns, THREE, 80):
        assert lab.net.tcp(one.netns, TWO, 80) == ONE
        assert lab.net.tcp(one.netns, THREE, 80) == ONE
    with lab.net.listen(two.netns, TWO, 81), lab.net.listen(one.netns, ONE, 80):
        assert lab.net.tcp(one.netns, TWO, 81) is None
        assert lab.net.tcp(two.netns, ONE, 80) is None


def test_rules_for_an_address_and_for_a_group(lab: Lab) -> None:
    one, two = lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task("10.0.1.11", 2, ipv6=(TWO,))
    by_cidr = lab.task("10.0.2.12", 3, ipv6=(THREE,), subnet=2)
    by_group = lab.task("10.0.2.13", 4, ipv6=("2001:db8:8000:102::d",), subnet=2)
    for task, address in ((by_cidr, THREE), (by_group, "2001:db8:8000:102::d")):
        with lab.net.listen(task.netns, address, 80):
            assert lab.net.tcp(one.netns, address, 80) == ONE
            assert lab.net.tcp(two.netns, address, 80) is None


def test_an_acl_entry_for_ipv6(lab: Lab) -> None:
    one, three = lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task("10.0.2.12", 2, ipv6=(THREE,), subnet=2)
    lab.put_rules(rows.rule(9, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    with lab.net.listen(three.netns, THREE, 80), lab.net.listen(three.netns, three.address, 80):
        assert lab.net.tcp(one.netns, THREE, 80) == ONE
        deny = rows.entry(50, allow=False, protocol="6", cidr=NETS[1], ports=(80, 80))
        allow = [rows.entry(n, egress=e, cidr=c) for e in (False, True) for n, c in ((100, "0.0.0.0/0"), (101, "::/0"))]
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, rows.acl(2, deny, *allow))
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 2))
        lab.flush()
        assert lab.net.tcp(one.netns, THREE, 80) is None
        assert lab.net.tcp(one.netns, three.address, 80) == one.address


def test_a_foreign_source_ends_at_the_router(lab: Lab) -> None:
    one, two = lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task("10.0.1.11", 2, ipv6=(TWO,))
    lab.task("10.0.1.12", 1, ipv6=("2001:db8:8000:101::e",))
    with lab.net.listen(two.netns, TWO, 80, "udp"):
        for foreign in ("2001:db8:8000:101::e", "2001:db8:8000:101::f"):
            assert lab.net.run(one.netns, "ip", "addr", "add", f"{foreign}/128", "dev", "eth0", "nodad").returncode == 0
            before = _refusals(lab, router(), "D spoof")
            assert lab.net.udp(one.netns, TWO, 80, source=foreign) is None
            assert _refusals(lab, router(), "D spoof") == before + 1  # and nothing that hosts say to their link


def test_router_advertisements_of_a_task_reach_nobody(lab: Lab) -> None:
    one = lab.task("10.0.1.10", 1, ipv6=(ONE,))
    two = lab.task("10.0.1.11", 2, ipv6=(TWO,))
    seen = lab.net.run(
        two.netns, sys.executable, "-c",
        "import subprocess, sys\n"
        "pipe = subprocess.PIPE\n"
        "heard = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdin=pipe, stdout=pipe, text=True)\n"
        "assert heard.stdout.readline() == 'ready\\n'\n"
        "subprocess.run(['nsenter', f'--net=/run/netns/{sys.argv[3]}', sys.executable, '-c', sys.argv[2],"
        " 'fe80:ec2::1', sys.argv[4]], check=True)\n"
        "print(heard.communicate()[0])",
        HEAR, ADVERTISE, one.netns, TWO,
    )  # fmt: skip
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.strip() == "[]"
    default = lab.net.run(two.netns, "ip", "-6", "route", "show", "default").stdout
    assert default.split()[:3] == ["default", "via", "fe80:ec2::1"]
    assert len(default.splitlines()) == 1


def test_the_internet_gateway_forwards_both_ways_without_translation(lab: Lab) -> None:
    _internet_gateway(lab)
    web, quiet = lab.task("10.0.1.10", 2, ipv6=(ONE,)), lab.task("10.0.1.11", 1, ipv6=(TWO,))
    with (
        lab.net.listen(web.netns, ONE, 80),
        lab.net.listen(quiet.netns, TWO, 80),
        lab.net.listen("internet", CLIENT, 80),
    ):
        assert lab.net.tcp(web.netns, CLIENT, 80) == ONE
        assert lab.net.tcp("internet", ONE, 80) == CLIENT
        assert lab.net.tcp("internet", TWO, 80) is None
        _table(lab)
        assert lab.net.tcp(web.netns, CLIENT, 80) is None
        assert lab.net.tcp("internet", ONE, 80) is None


def test_the_internet_gateway_knows_the_vpcs_addresses_alone(lab: Lab) -> None:
    _internet_gateway(lab)
    lab.task("10.0.1.10", 2, ipv6=(ONE,))
    link = f"g{rows.IGW.removeprefix('igw-')[:12]}"
    before = _refusals(lab, link, f"D igw-unassigned {rows.IGW}")
    added = lab.net.run("internet", "ip", "-6", "route", "add", "2001:db8:9000::/64", "via", "fe80:ec2::3", "dev", link)
    assert added.returncode == 0, added.stderr
    assert lab.net.tcp("internet", "2001:db8:9000::1", 80) is None
    assert _refusals(lab, link, f"D igw-unassigned {rows.IGW}") > before
    lab.net.run("internet", "ip", "-6", "route", "del", "2001:db8:9000::/64")


def test_the_egress_only_gateway_lets_out_and_nobody_in(lab: Lab) -> None:
    _egress_gateway(lab)
    gateway = rows.egress_gateway().id
    web = lab.task("10.0.1.10", 2, ipv6=(ONE,))
    with lab.net.listen(web.netns, ONE, 80), lab.net.listen("internet", CLIENT, 80):
        assert lab.net.tcp(web.netns, CLIENT, 80) == ONE
        with lab.net.flow(web.netns, CLIENT, 80) as alive:
            assert alive()
            before = _refusals(lab, f"x{gateway.removeprefix('eigw-')[:12]}", f"D eigw {gateway}")
            assert lab.net.tcp("internet", ONE, 80) is None
            assert _refusals(lab, f"x{gateway.removeprefix('eigw-')[:12]}", f"D eigw {gateway}") > before
            with lab.store.transaction() as tx:
                tx.delete(t.EGRESS_ONLY_GATEWAYS, gateway)
            lab.flush()
            assert not alive()
        assert lab.net.tcp(web.netns, CLIENT, 80) is None


def test_each_subnet_is_behind_the_gateway_of_its_own_table(lab: Lab) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.INTERNET_GATEWAYS, rows.internet_gateway())
        tx.put(t.EGRESS_ONLY_GATEWAYS, rows.egress_gateway())
        tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.route("::/0", "igw", rows.IGW)))
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("::/0", "eigw", rows.egress_gateway().id)))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
    lab.flush()
    public, private = lab.task("10.0.1.10", 2, ipv6=(ONE,)), lab.task("10.0.2.10", 2, ipv6=(THREE,), subnet=2)
    with (
        lab.net.listen("internet", CLIENT, 80),
        lab.net.listen(public.netns, ONE, 80),
        lab.net.listen(private.netns, THREE, 80),
    ):
        assert [lab.net.tcp(one.netns, CLIENT, 80) for one in (public, private)] == [ONE, THREE]
        assert lab.net.tcp("internet", ONE, 80) == CLIENT
        assert lab.net.tcp("internet", THREE, 80) is None
        assert lab.net.tcp(public.netns, THREE, 80) == ONE


@pytest.mark.parametrize("through", ["internet gateway", "egress-only gateway"])
def test_the_path_mtu_is_learned_without_any_rule(lab: Lab, through: str) -> None:
    (_internet_gateway if through == "internet gateway" else _egress_gateway)(lab)
    task = lab.task("10.0.1.10", 1, ipv6=(ONE,))
    with lab.net.listen("internet", CLIENT, 53, "udp"):
        for size, answer in ((1452, "answered True"), (1453, "OSError 1500")):
            done = lab.net.run(task.netns, sys.executable, "-c", PATH_MTU, CLIENT, "53", str(size))
            assert done.stdout.strip() == answer, done.stderr


def test_inside_the_vpc_packets_have_up_to_9001_bytes(lab: Lab) -> None:
    lab.put_rules(rows.rule(9, 2, protocol="udp", ports=(53, 53), cidr=BLOCK))
    one, three = lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task("10.0.2.12", 2, ipv6=(THREE,), subnet=2)
    with lab.net.listen(three.netns, THREE, 53, "udp"):
        for size, answer in ((8953, "answered True"), (8954, "OSError 9001")):
            done = lab.net.run(one.netns, sys.executable, "-c", PATH_MTU, THREE, "53", str(size))
            assert done.stdout.strip() == answer, done.stderr


def test_a_subnet_of_ipv6_alone(lab: Lab) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.SUBNETS, rows.subnet(2, None, ipv6=NETS[2]))
    _internet_gateway(lab)
    one, three = lab.task("10.0.1.10", 1, ipv6=(ONE,)), lab.task(None, 2, ipv6=(THREE,), subnet=2)
    assert "inet " not in lab.net.run(three.netns, "ip", "addr", "show", "dev", "eth0").stdout
    with lab.net.listen(three.netns, THREE, 80), lab.net.listen("internet", CLIENT, 80):
        assert lab.net.tcp(one.netns, THREE, 80) == ONE
        assert lab.net.tcp("internet", THREE, 80) == CLIENT
        assert lab.net.tcp(three.netns, CLIENT, 80) == THREE
        assert lab.net.tcp(three.netns, "10.0.1.10", 80) is None


# ── several addresses of one interface ───────────────────────────────────────────────────────────────────────────────


def test_secondary_addresses_are_the_interfaces_own(lab: Lab) -> None:
    lab.put_rules(rows.rule(9, 4, ports=(80, 80), peer=1), rows.rule(10, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    one = lab.task("10.0.1.10", 1, secondary=("10.0.1.20",))
    target, web = lab.task("10.0.2.12", 4, subnet=2), lab.task("10.0.2.13", 2, subnet=2, secondary=("10.0.2.99",))
    assert "10.0.1.20/32" in lab.net.run(one.netns, "ip", "addr", "show", "dev", "eth0").stdout
    with lab.net.listen(target.netns, target.address, 80), lab.net.listen(web.netns, "10.0.2.99", 80):
        assert lab.net.tcp(one.netns, target.address, 80, source="10.0.1.20") == "10.0.1.20"
        assert lab.net.tcp(one.netns, "10.0.2.99", 80) == "10.0.1.10"


@pytest.mark.parametrize(
    ("prefix", "own", "outside", "listen"),
    [
        ("10.0.1.32/28", "10.0.1.40", "10.0.1.50", "10.0.1.47"),
        (
            "2001:db8:8000:101:1::/80",
            "2001:db8:8000:101:1::7",
            "2001:db8:8000:101:2::7",
            "2001:db8:8000:101:1:ffff:1:2",
        ),
    ],
    ids=["ipv4", "ipv6"],
)
def test_every_address_of_a_prefix_is_the_interfaces_own(
    lab: Lab, prefix: str, own: str, outside: str, listen: str
) -> None:
    """Source check, destination check and the groups that name the interface's group."""
    lab.put_rules(rows.rule(10, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    holder = lab.task("10.0.1.10", 1, 2, ipv6=(ONE,), prefixes=(prefix,))
    target = lab.task("10.0.2.12", 4, ipv6=(THREE,), subnet=2)
    far = THREE if ":" in prefix else target.address
    length = 128 if ":" in prefix else 32
    for address in (own, outside, listen):
        nodad = ("nodad",) if length == 128 else ()
        added = lab.net.run(holder.netns, "ip", "addr", "add", f"{address}/{length}", "dev", "eth0", *nodad)
        assert added.returncode == 0, added.stderr
    with lab.net.listen(target.netns, far, 80), lab.net.listen(holder.netns, listen, 80):
        assert lab.net.tcp(holder.netns, far, 80, source=own) == own
        assert lab.net.tcp(holder.netns, far, 80, source=outside) is None
        assert lab.net.tcp(target.netns, listen, 80) == far
        assert lab.net.tcp(target.netns, outside, 80) is None
        with lab.store.transaction() as tx:
            row = rows.interface(
                holder.number, "10.0.1.10", 1, ipv6=(ONE,), groups=(1, 2), owner=("task", rows.task_arn(holder.number))
            )
            rows.put_interface(tx, row)
        lab.flush()
        assert lab.net.tcp(holder.netns, far, 80, source=own) is None
        assert lab.net.tcp(target.netns, listen, 80) is None


# ── walks ────────────────────────────────────────────────────────────────────────────────────────────────────────────

SYN, SYN_ACK = "meta nfproto ipv6 tcp flags == syn", "meta nfproto ipv6 tcp flags == (syn | ack)"
"""One packet each: later ones of the flow may get the same trace id from the kernel."""

IPV6_WALK = f"""
# A packet's walk with IPv6

Written by `tests/network/test_ipv6.py` from what the kernel told about real packets. The VPC has {BLOCK}, its subnets
{NETS[1]} and {NETS[2]}; the route table leads `::/0` to the internet gateway.

Nothing is translated: the internet gateway asks only whether the end inside the VPC is one of the VPC's addresses.
Groups and network ACLs in the router decide, with rules for IPv6 of their own.
"""

EGRESS_WALK = f"""
# A packet's walk through an egress-only internet gateway

Written by `tests/network/test_ipv6.py` from what the kernel told about real packets. The VPC has {BLOCK}; the route
table leads `::/0` to the egress-only gateway (`x…`). It remembers what went out and lets nothing else in. That the
internet sends what is for this subnet to this gateway, and not to the VPC's internet gateway if there is one, follows
from the subnet's route table.
"""


def test_the_walk_of_ipv6_packets_is_what_the_document_says(lab: Lab) -> None:
    _internet_gateway(lab)
    one, three = lab.task("10.0.1.10", 2, ipv6=(ONE,)), lab.task("10.0.2.12", 2, ipv6=(THREE,), subnet=2)
    with lab.net.listen(one.netns, ONE, 80), lab.net.listen(three.netns, THREE, 80):
        across = walk(lab, SYN, lambda: lab.net.tcp(one.netns, THREE, 80))
        inward = walk(lab, SYN, lambda: lab.net.tcp("internet", ONE, 80))
        answer = walk(lab, SYN_ACK, lambda: lab.net.tcp("internet", ONE, 80))
    closed = walk(lab, SYN, lambda: lab.net.tcp("internet", ONE, 81))
    assert [hops[-1].end for hops in (across, inward, answer)] == ["accept"] * 3
    assert closed[-1].end == "D sg-in"
    walks = {
        f"Across subnets, {ONE} to {THREE}": across,
        f"From the internet, {CLIENT} to {ONE}": inward,
        "The answer": answer,
        "To a port that no rule admits": closed,
    }
    check("ipv6", IPV6_WALK, walks)


def test_the_walk_through_an_egress_only_gateway_is_what_the_document_says(lab: Lab) -> None:
    _egress_gateway(lab)
    one = lab.task("10.0.1.10", 2, ipv6=(ONE,))
    with lab.net.listen(one.netns, ONE, 80), lab.net.listen("internet", CLIENT, 80):
        out = walk(lab, SYN, lambda: lab.net.tcp(one.netns, CLIENT, 80))
        answer = walk(lab, SYN_ACK, lambda: lab.net.tcp(one.netns, CLIENT, 80))
        inward = walk(lab, SYN, lambda: lab.net.tcp("internet", ONE, 80))
    assert [hops[-1].end for hops in (out, answer)] == ["accept"] * 2
    assert inward[-1].end == f"D eigw {rows.egress_gateway().id}"
    check("egress-only", EGRESS_WALK, {"Out": out, "The answer": answer, "From the internet": inward})
