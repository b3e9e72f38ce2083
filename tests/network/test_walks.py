"""Packet-walk documents of the plain VPC path; each hop is what the kernel told about a real packet."""

from __future__ import annotations

import pytest
import rows
from vpc_lab import Lab
from walks import check, walk

from ecsnet.model import ec2
from ecsnet.model import tables as t

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"
SYN = "tcp dport 80 tcp flags & (syn | ack) == syn"
SYN_ACK = "tcp sport 80 tcp flags & (syn | ack) == (syn | ack)"
DATA = "tcp dport 80 tcp flags & psh == psh"


GROUPS = """
# A packet's walk past security groups

Written by `tests/network/test_walks.py` from what the kernel told about real packets. The client, 10.0.1.10, is in a
group that may send anywhere; the server's group admits port 80 from that group. Both are in one subnet: the packet
crosses the VPC's router all the same, but no network ACL is asked.

The first packet is judged twice: by the sender's groups (`gate_e`), then by the receiver's (`gate_i`). Each side notes
in the connection's mark that it tracks the flow (`e_trk`, `i_trk`). Later packets and answers are recognised by that
mark and ask no rule.
"""


def test_the_walk_past_security_groups(lab: Lab) -> None:
    lab.vpc()
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), peer=1))
    lab.group(3)
    client, stranger, server = lab.task("10.0.1.10", 1), lab.task("10.0.1.11", 3), lab.task("10.0.1.12", 2)

    def connect() -> object:
        return lab.net.tcp(client.netns, server.address, 80)

    with lab.net.listen(server.netns, server.address, 80):
        first, later, answer = walk(lab, SYN, connect), walk(lab, DATA, connect), walk(lab, SYN_ACK, connect)
        denied = walk(lab, SYN, lambda: lab.net.tcp(stranger.netns, server.address, 80))
    judged = [step.by for step in first[0].steps if step.by.startswith("sgr-")]
    assert judged[-1] == rows.identifier("sgr", 1)
    assert not [step.by for hop in (*later, *answer) for step in hop.steps if step.by.startswith("sgr-")]
    assert denied[-1].end == "D sg-in"
    check(
        "security-groups",
        GROUPS,
        {
            "The first packet": first,
            "A later packet of the same connection": later,
            "An answer": answer,
            "From a member of another group": denied,
        },
    )


ACLS = """
# A packet's walk past network ACLs

Written by `tests/network/test_walks.py` from what the kernel told about real packets. The client is 10.0.1.10, the
server 10.0.2.10 in another subnet. Groups admit everything; the server's subnet has a network ACL of its own: in, port
80; out, ports 1024 to 65535, which are the client's.

ACLs have no memory: the answer is judged like any packet, and its destination is the client's ephemeral port. Without
the outbound entry for those ports the request arrives and the answer is dropped, which looks like a server that does
not answer (VPC user guide, "Ephemeral ports").
"""


def test_the_walk_past_network_acls_and_the_trap_of_ephemeral_ports(lab: Lab) -> None:
    lab.vpc()
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="0.0.0.0/0"))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    inbound = rows.entry(100, protocol="6", ports=(80, 80))
    outbound = rows.entry(100, egress=True, protocol="6", ports=(1024, 65535))
    _acl(lab, inbound, outbound)

    def connect() -> object:
        return lab.net.tcp(client.netns, server.address, 80)

    with lab.net.listen(server.netns, server.address, 80):
        assert connect() == client.address
        request, answer = walk(lab, SYN, connect), walk(lab, SYN_ACK, connect)
        assert {hop.end for hop in (*request, *answer)} == {"accept"}
        _acl(lab, inbound)
        arrives, dropped = walk(lab, SYN, connect), walk(lab, SYN_ACK, connect)
        assert connect() is None
    acl = rows.identifier("acl", 2)
    assert arrives[-1].end == "accept"
    assert dropped[-1].end in (f"{acl}/out/*", f"D {acl}/out/*")
    check(
        "network-acls",
        ACLS,
        {
            "The request": request,
            "The answer": answer,
            "The request without the outbound entry": arrives,
            "Its answer, which nobody gets": dropped,
        },
    )


def _acl(lab: Lab, *entries: ec2.NetworkAclEntry) -> None:
    """The network ACL of subnet 2."""
    with lab.store.transaction() as tx:
        tx.put(t.ACLS, rows.acl(2, *entries))
        tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 2))
    lab.flush()


INTERNET = """
# A packet's walk through an internet gateway

Written by `tests/network/test_walks.py` from what the kernel told about real packets. The task 10.0.1.10 has the public
address 198.18.0.10; its subnet's default route leads to the internet gateway. The client is on the internet side.

The gateway is a namespace of its own (`g…`): outside it the packet has the public address, inside the private one, so
that the VPC's filters see private addresses of tasks and the real address of the client. A task without a public
address may send, but the gateway drops what it sends.
"""


def test_the_walk_through_an_internet_gateway(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="0.0.0.0/0"))
    web, private = lab.task("10.0.1.10", 2, public="198.18.0.10"), lab.task("10.0.1.11", 2)
    with lab.net.listen(web.netns, web.address, 80), lab.net.listen("internet", CLIENT, 80):
        inward = walk(lab, SYN, lambda: lab.net.tcp("internet", "198.18.0.10", 80))
        answer = walk(lab, SYN_ACK, lambda: lab.net.tcp("internet", "198.18.0.10", 80))
        outward = walk(lab, SYN, lambda: lab.net.tcp(web.netns, CLIENT, 80))
        nowhere = walk(lab, SYN, lambda: lab.net.tcp(private.netns, CLIENT, 80))
    assert [hop.owner for hop in inward] == [rows.IGW, rows.VPC]
    assert [hop.owner for hop in outward] == [rows.VPC, rows.IGW]
    assert {hop.end for hop in (*inward, *answer, *outward)} == {"accept"}
    assert nowhere[-1].end == f"D igw-no-public {rows.IGW}"
    check(
        "internet-gateway",
        INTERNET,
        {
            "In, from the internet to 198.18.0.10": inward,
            "The answer": answer,
            "Out, from 10.0.1.10": outward,
            "Out, from a task without a public address": nowhere,
        },
    )


NAT = """
# A packet's walk through a NAT gateway

Written by `tests/network/test_walks.py` from what the kernel told about real packets. The task 10.0.2.10 is in a subnet
whose default route leads to the NAT gateway 10.0.1.9 (Elastic IP 198.18.0.2) in the public subnet.

A packet crosses the router twice, as two flows: from the task to the NAT gateway's interface, and from that interface,
under its address, to the internet gateway. Each time the subnets' network ACLs are asked. The gateway's interface has
no security group. From outside nobody gets in.
"""


def test_the_walk_through_a_nat_gateway(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    lab.group(2)
    nat = rows.identifier("nat", 1)
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(2, rows.route("0.0.0.0/0", "nat", nat)))
        tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(2, 2, subnet=2))
        rows.put_interface(tx, rows.interface(90, "10.0.1.9", 1, owner=("nat", nat), checked=False))
        tx.put(t.NAT_GATEWAYS, rows.nat(1, 90, 1, "10.0.1.9"))
        tx.put(t.ELASTIC_IPS, rows.elastic_ip(1, "198.18.0.2", 90, "10.0.1.9"))
    lab.flush()
    private = lab.task("10.0.2.10", 2, subnet=2)
    with lab.net.listen("internet", CLIENT, 80):
        request = walk(lab, SYN, lambda: lab.net.tcp(private.netns, CLIENT, 80))
        answer = walk(lab, SYN_ACK, lambda: lab.net.tcp(private.netns, CLIENT, 80))
        inward = walk(lab, SYN, lambda: lab.net.tcp("internet", "198.18.0.2", 80))
    assert [hop.owner for hop in request] == [rows.VPC, nat, rows.VPC, rows.IGW]
    assert [hop.owner for hop in answer] == [rows.IGW, rows.VPC, nat, rows.VPC]
    assert {hop.end for hop in (*request, *answer)} == {"accept"}
    assert inward[-1].end == f"D nat-in {nat}"
    check(
        "nat-gateway",
        NAT,
        {"The request": request, "The answer": answer, "From outside to its Elastic IP": inward},
    )


ROUTES = """
# A packet's walk to nowhere

Written by `tests/network/test_walks.py` from what the kernel told about real packets. The task 10.0.1.10 sends to an
address of its own subnet that nobody has, to one of another subnet, and out of the VPC, for which its route table has
no route.

Packets without a way lead to `void0`. The sender's filters are asked first, as in AWS; then the router drops the packet
and says so. Nothing is answered.
"""


def test_the_walk_to_nowhere(lab: Lab) -> None:
    lab.vpc()
    lab.group(1)
    task = lab.task("10.0.1.10", 1)
    walks = {
        title: walk(lab, SYN, lambda address=address: lab.net.tcp(task.netns, address, 80))  # type: ignore[misc]
        for title, address in (
            ("To 10.0.1.250, in the same subnet", "10.0.1.250"),
            ("To 10.0.2.250, in another subnet", "10.0.2.250"),
            ("To 192.0.2.1, outside", "192.0.2.1"),
        )
    }
    assert [hops[-1].end for hops in walks.values()] == ["D route"] * 3
    same, other, _outside = walks.values()
    acl = f"{rows.identifier('acl', 1)}/out/100"
    assert acl not in {step.by for step in same[0].steps}
    assert acl in {step.by for step in other[0].steps}
    check("no-route", ROUTES, walks)
