"""Every kind of group rule and ACL entry with packets, and which flows outlive their rules.

Source: VPC user guide, "Security group rules" and "Network ACL rules"; EC2 user guide, "Connection tracking".
"""

from __future__ import annotations

import subprocess
from ipaddress import IPv6Address

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network

ANYWHERE = "0.0.0.0/0"
VPC = "10.0.0.0/16"


def _pair(lab: Lab, *rules: object, egress: bool = True, subnet: int = 2) -> tuple[Task, Task]:
    """A client whose group 1 lets everything out, and a server in another subnet whose group 2 has the rules."""
    lab.vpc()
    lab.group(1)
    lab.group(2, *rules, egress=egress)
    return lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 2, subnet=subnet)


_RECEIVE = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(sys.argv[1]))
print("ready", flush=True)
patience = None
while ready := select.select([s, sys.stdin] if patience is None else [s], [], [], patience)[0]:
    if s not in ready:
        patience = 0.4  # the packet has been sent
        continue
    data = s.recv(2048)
    if data[(data[0] & 15) * 4:] == bytes.fromhex(sys.argv[2]):
        print("seen", flush=True)
        break
"""

_SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(sys.argv[1]))
s.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[3], 0))
"""


def _arrives(lab: Lab, sender: Task, receiver: Task, protocol: int, payload: bytes = b"hello") -> bool:
    """Whether one packet of an IP protocol comes through."""
    words = ["nsenter", f"--net=/run/netns/{receiver.netns}", "--", "python3", "-c", _RECEIVE]
    command = lab.net.world.enter_command([*words, str(protocol), payload.hex()])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        done = lab.net.run(sender.netns, "python3", "-c", _SEND, str(protocol), payload.hex(), receiver.address)
        assert done.returncode == 0, done.stderr
        process.stdin.close()
        return process.stdout.readline() == "seen\n"


def _icmp(kind: int, code: int) -> bytes:
    """An ICMP message without body and with its checksum."""
    return bytes((kind, code)) + ((~(kind << 8 | code)) & 0xFFFF).to_bytes(2, "big") + bytes(4)


# ── group rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_protocol_by_number(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="253", cidr=VPC))
    assert _arrives(lab, client, server, 253)
    assert not _arrives(lab, client, server, 254)
    lab.drop_rules(1)
    lab.put_rules(rows.rule(2, 2, protocol="-1", cidr=VPC))
    assert _arrives(lab, client, server, 254)


def test_icmp_by_type_and_code(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="icmp", ports=(13, 0), cidr=VPC))
    assert _arrives(lab, client, server, 1, _icmp(13, 0))
    assert not _arrives(lab, client, server, 1, _icmp(13, 1)), "another code"
    assert not _arrives(lab, client, server, 1, _icmp(17, 0)), "another type"
    assert not lab.net.ping(client.netns, server.address)
    lab.put_rules(rows.rule(2, 2, protocol="icmp", ports=(8, -1), cidr=VPC))
    assert lab.net.ping(client.netns, server.address)
    assert not _arrives(lab, client, server, 1, _icmp(17, 0))
    lab.put_rules(rows.rule(3, 2, protocol="icmp", cidr=VPC))
    assert _arrives(lab, client, server, 1, _icmp(17, 0))


OPEN = (rows.entry(100), rows.entry(100, egress=True))
OPEN_SIX = (rows.entry(101, cidr="::/0"), rows.entry(101, cidr="::/0", egress=True))


def _six(lab: Lab, task: Task, address: str) -> None:
    """Give a task an IPv6 address too, and let the default ACL admit IPv6."""
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, rows.acl(1, *OPEN, *OPEN_SIX, default=True))
        row = tx.get(t.INTERFACES, rows.identifier("eni", task.number))
        assert row is not None
        tx.put(t.INTERFACES, msgspec.structs.replace(row, ipv6_ips=(IPv6Address(address),)))
    lab.flush()


_PING6 = """
import select, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.sendto(bytes((128, 0, 0, 0, 0, 7, 0, 1)), (sys.argv[1], 0))
while select.select([s], [], [], 0.4)[0]:
    if s.recv(2048)[0] == 129:
        sys.exit(0)
sys.exit(1)
"""


def _ping6(lab: Lab, task: Task, address: str) -> bool:
    done = lab.net.run(task.netns, "python3", "-c", _PING6, address)
    assert not done.stderr
    return done.returncode == 0


def test_icmpv6_and_ipv6_blocks(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="icmp", cidr=ANYWHERE))
    _six(lab, client, "2001:db8:1::10")
    _six(lab, server, "2001:db8:2::10")
    lab.put_rules(rows.rule(2, 1, egress=True, protocol="-1", cidr="::/0"))
    with lab.net.listen(server.netns, "2001:db8:2::10", 80):
        assert not _ping6(lab, client, "2001:db8:2::10"), "a rule for ICMP is none for ICMPv6"
        lab.put_rules(rows.rule(3, 2, protocol="icmpv6", ports=(128, 0), cidr="2001:db8:1::/64"))
        assert _ping6(lab, client, "2001:db8:2::10")
        assert lab.net.tcp(client.netns, "2001:db8:2::10", 80) is None
        lab.put_rules(rows.rule(4, 2, ports=(80, 80), cidr=ANYWHERE))
        assert lab.net.tcp(client.netns, "2001:db8:2::10", 80) is None, "a rule for IPv4 is none for IPv6"
        lab.put_rules(rows.rule(5, 2, ports=(80, 80), cidr="::/0"))
        assert lab.net.tcp(client.netns, "2001:db8:2::10", 80) == "2001:db8:1::10"


# ── network ACLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _acl(lab: Lab, *entries: ec2.NetworkAclEntry) -> None:
    """Another ACL for the server's subnet."""
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, rows.acl(2, *sorted(entries, key=lambda one: (one.egress, one.number))))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 2))
    lab.flush()


def _kind(entry: ec2.NetworkAclEntry, kind: int, code: int = -1) -> ec2.NetworkAclEntry:
    return msgspec.structs.replace(entry, icmp_type=kind, icmp_code=code)


def test_an_acl_judges_icmp_in_each_direction_by_itself(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="icmp", cidr=VPC))
    request = _kind(rows.entry(50, protocol="1"), 8, 0)
    reply = _kind(rows.entry(50, protocol="1", egress=True), 0)
    _acl(lab, request, reply)
    assert lab.net.ping(client.netns, server.address)
    _acl(lab, request)
    assert not lab.net.ping(client.netns, server.address), "the answer has no entry"
    _acl(lab, _kind(request, 8, 1), reply)
    assert not lab.net.ping(client.netns, server.address), "the request has another code"
    _acl(lab, _kind(request, -1), _kind(reply, -1))
    assert lab.net.ping(client.netns, server.address)


def test_an_acl_judges_protocols_by_number(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="-1", cidr=VPC))
    _acl(lab, rows.entry(10, protocol="253", allow=False), *OPEN)
    assert not _arrives(lab, client, server, 253)
    assert _arrives(lab, client, server, 254)
    _acl(lab, rows.entry(10, protocol="253"), OPEN[1])
    assert _arrives(lab, client, server, 253)
    assert not _arrives(lab, client, server, 254)


def test_the_lowest_number_decides(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="-1", cidr=VPC))
    deny = rows.entry(20, protocol="6", allow=False, ports=(80, 90), cidr="10.0.1.0/24")
    with lab.net.listen(server.netns, server.address, 80):
        _acl(lab, deny, *OPEN)
        assert lab.net.tcp(client.netns, server.address, 80) is None
        _acl(lab, rows.entry(10, protocol="6", ports=(80, 80), cidr="10.0.1.10/32"), deny, *OPEN)
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_entries_for_ipv6_are_for_ipv6_alone(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="-1", cidr=VPC), rows.rule(2, 2, protocol="-1", cidr="::/0"))
    lab.put_rules(rows.rule(3, 1, egress=True, protocol="-1", cidr="::/0"))
    _six(lab, client, "2001:db8:1::10")
    _six(lab, server, "2001:db8:2::10")

    def reached() -> tuple[bool, bool]:
        four = lab.net.tcp(client.netns, server.address, 80) is not None
        return four, lab.net.tcp(client.netns, "2001:db8:2::10", 80) is not None

    with lab.net.listen(server.netns, server.address, 80), lab.net.listen(server.netns, "2001:db8:2::10", 80):
        _acl(lab, *OPEN)
        assert reached() == (True, False)
        _acl(lab, *OPEN_SIX)
        assert reached() == (False, True)
        _acl(lab, *OPEN, *OPEN_SIX, rows.entry(50, allow=False, cidr="2001:db8:1::/64"))
        assert reached() == (True, False)


def test_another_acl_for_a_subnet_acts_on_flows_at_once(lab: Lab) -> None:
    """Network ACLs have no memory: an established, tracked flow is cut and goes on when the ACL is back."""
    client, server = _pair(lab, rows.rule(1, 2, ports=(80, 80), cidr=VPC))
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        _acl(lab, rows.entry(50, allow=False, egress=True), *OPEN)
        assert not talk()
        with lab.store.transaction() as tx:
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 1))
        lab.flush()
        wait_until(talk, 30.0, "the flow does not go on")


# ── which flows are tracked ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_tracked_flow_outlives_the_rules_of_both_sides(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, ports=(80, 80), cidr=VPC), egress=False)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1, 1001)
        assert talk()
        assert lab.net.tcp(client.netns, server.address, 80) is None


def test_an_untracked_flow_is_cut_with_its_rule_and_goes_on_with_it(lab: Lab) -> None:
    everybody = rows.rule(1, 2, ports=(80, 80), cidr=ANYWHERE)
    client, server = _pair(lab, everybody)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert not talk()
        lab.put_rules(everybody)
        wait_until(talk, 30.0, "the same connection does not go on")


def test_without_the_egress_rule_for_everything_new_flows_are_tracked(lab: Lab) -> None:
    everybody = rows.rule(1, 2, ports=(80, 80), cidr=ANYWHERE)
    client, server = _pair(lab, everybody)
    lab.drop_rules(1002)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert talk()
        assert lab.net.tcp(client.netns, server.address, 80) is None


@pytest.mark.parametrize(
    ("protocol", "ports", "lives"),
    [("-1", (-1, -1), False), ("tcp", (0, 65535), False), ("tcp", (1, 65535), True), ("udp", (0, 65535), True)],
    ids=["all", "all-tcp-ports", "all-tcp-ports-but-one", "all-udp-ports"],
)
def test_what_leaves_a_flow_untracked(lab: Lab, protocol: str, ports: tuple[int, int], lives: bool) -> None:
    """The opposite direction must be open for every port and address of the flow's protocol."""
    client, server = _pair(lab, rows.rule(1, 2, ports=(80, 80), cidr=ANYWHERE), egress=False)
    lab.put_rules(rows.rule(2, 2, egress=True, protocol=protocol, ports=ports, cidr=ANYWHERE))
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert talk() is lives


def test_the_initiators_side_is_untracked_when_its_ingress_is_open(lab: Lab) -> None:
    """The same for egress: cut with the egress rule for everything when everything may come in."""
    client, server = _pair(lab, rows.rule(1, 2, ports=(80, 80), cidr=VPC))
    lab.put_rules(rows.rule(2, 1, protocol="-1", cidr=ANYWHERE))
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1001)
        assert not talk()
        lab.put_rules(rows.rule(1001, 1, egress=True, protocol="-1", cidr=ANYWHERE))
        wait_until(talk, 30.0, "the same connection does not go on")


def test_icmp_is_tracked_whatever_is_open(lab: Lab) -> None:
    everybody = rows.rule(1, 2, protocol="-1", cidr=ANYWHERE)
    client, server = _pair(lab, everybody)
    lab.put_rules(rows.rule(2, 1, protocol="-1", cidr=ANYWHERE))
    late = lab.task("10.0.1.20", 1)
    assert lab.net.ping(client.netns, server.address)
    lab.drop_rules(1, 1001)
    assert lab.net.ping(client.netns, server.address), "the same echo identifier: a tracked flow"
    assert not lab.net.ping(late.netns, server.address)


def test_udp_is_tracked_like_tcp(lab: Lab) -> None:
    client, server = _pair(lab, rows.rule(1, 2, protocol="udp", ports=(53, 53), cidr=VPC), egress=False)
    with lab.net.listen(server.netns, server.address, 53, "udp"):
        assert lab.net.udp(client.netns, server.address, 53) == client.address, "the answer needs no egress rule"
