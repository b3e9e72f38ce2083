"""Prefix lists with packets: as peers of group rules in both directions, and as destinations of routes.

Source: VPC user guide, "Prefix lists".
"""

from __future__ import annotations

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task
from walks import check, walk

from ecsnet.hostplan.kernel import NftElement
from ecsnet.model import tables as t

pytestmark = pytest.mark.network

CLIENT = "198.19.255.254"


def _put_list(lab: Lab, *blocks: str) -> None:
    with lab.store.transaction() as tx:
        tx.put(t.PREFIX_LISTS, rows.prefix_list(1, *blocks))


def _set_list(lab: Lab, *blocks: str) -> list[str]:
    """Other entries for the list; the keys of the objects that this changed."""
    _put_list(lab, *blocks)
    put, remove = lab.pending()
    lab.net.apply(put, remove)
    assert all(isinstance(item, NftElement) for item in put)
    return sorted([item.key.rpartition("/pl_")[2].partition("/")[2] for item in put] + [f"-{key}" for key in remove])


def _server(lab: Lab) -> tuple[Task, Task, Task]:
    """Two clients and a server whose group admits port 80 from the list, which holds the first client."""
    lab.vpc()
    _put_list(lab, "10.0.1.10/32")
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), listed=1))
    return lab.task("10.0.1.10", 1), lab.task("10.0.1.20", 1), lab.task("10.0.2.10", 2, subnet=2)


def test_a_rule_admits_the_blocks_of_its_list(lab: Lab) -> None:
    listed, other, server = _server(lab)
    with lab.net.listen(server.netns, server.address, 80), lab.net.listen(server.netns, server.address, 81):
        assert lab.net.tcp(listed.netns, server.address, 80) == listed.address
        assert lab.net.tcp(listed.netns, server.address, 81) is None
        assert lab.net.tcp(other.netns, server.address, 80) is None

        assert _set_list(lab, "10.0.1.10/32", "10.0.1.16/28") == ["10.0.1.16/28"]
        assert lab.net.tcp(other.netns, server.address, 80) == other.address

        _set_list(lab, "10.0.1.16/28")
        assert lab.net.tcp(listed.netns, server.address, 80) is None
        assert lab.net.tcp(other.netns, server.address, 80) == other.address


def test_blocks_may_overlap_and_come_and_go_in_any_order(lab: Lab) -> None:
    listed, other, server = _server(lab)
    with lab.net.listen(server.netns, server.address, 80):
        for blocks, first, second in (
            (("10.0.1.0/24", "10.0.1.10/32"), True, True),
            (("10.0.1.10/32",), True, False),
            (("0.0.0.0/0", "10.0.1.10/32"), True, True),
            (("10.0.1.8/30", "10.0.1.10/32", "10.0.1.12/30"), True, False),
            ((), False, False),
            (("10.0.1.20/32", "255.255.255.255/32"), False, True),
        ):
            _set_list(lab, *blocks)
            assert (lab.net.tcp(listed.netns, server.address, 80) is not None) is first, blocks
            assert (lab.net.tcp(other.netns, server.address, 80) is not None) is second, blocks


def test_a_tracked_flow_outlives_its_entry(lab: Lab) -> None:
    listed, _, server = _server(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(listed.netns, server.address, 80) as talk,
    ):
        _set_list(lab)
        assert lab.net.tcp(listed.netns, server.address, 80) is None
        assert talk()


def test_a_list_of_every_address_is_tracked(lab: Lab) -> None:
    """AWS leaves only rules for 0.0.0.0/0 and ::/0 untracked; a list is neither."""
    listed, _, server = _server(lab)
    _set_list(lab, "0.0.0.0/0")
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(listed.netns, server.address, 80) as talk,
    ):
        lab.drop_rules(1)
        assert lab.net.tcp(listed.netns, server.address, 80) is None
        assert talk()


def test_egress_to_a_list(lab: Lab) -> None:
    lab.vpc()
    _put_list(lab, "10.0.2.10/32")
    lab.group(1, rows.rule(1, 1, egress=True, protocol="-1", listed=1), egress=False)
    lab.group(2, rows.rule(2, 2, protocol="-1", cidr="10.0.0.0/16"))
    client = lab.task("10.0.1.10", 1)
    servers = [lab.task(f"10.0.2.{last}", 2, subnet=2) for last in (10, 11)]
    with lab.net.listen(servers[0].netns, "10.0.2.10", 80), lab.net.listen(servers[1].netns, "10.0.2.11", 80):
        assert lab.net.tcp(client.netns, "10.0.2.10", 80) == client.address
        assert lab.net.ping(client.netns, "10.0.2.10")
        assert lab.net.tcp(client.netns, "10.0.2.11", 80) is None
        assert not lab.net.ping(client.netns, "10.0.2.11")


def test_what_is_read_back_of_a_list_is_what_was_made(lab: Lab) -> None:
    """An agent that starts anew, with no memory, finds nothing to repair and takes back what somebody changed."""
    listed, other, server = _server(lab)
    _set_list(lab, "10.0.1.8/29", "10.0.1.10/32", "192.0.2.0/24")
    lab.net.kill_agent()
    lab.net.start_agent()
    lab.net.sync(lab.plan())
    stats = lab.net.ask("stats")
    assert (stats["drift"], stats["failed"]) == (0, 0)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(listed.netns, server.address, 80) == listed.address
        assert lab.net.tcp(other.netns, server.address, 80) is None


def test_a_route_to_a_list_and_a_static_one_that_wins(lab: Lab) -> None:
    lab.vpc()
    lab.gateway()
    _put_list(lab, "198.19.255.0/24")
    lab.group(1)
    web = lab.task("10.0.1.10", 1, public="198.18.0.10")

    def routes(*found: object) -> None:
        with lab.store.transaction() as tx:
            tx.put(t.ROUTE_TABLES, rows.route_table(1, *found))  # type: ignore[arg-type]
        lab.flush()

    to_list = rows.list_route(1, "igw", rows.IGW)
    nowhere = rows.identifier("nat", 9)
    with lab.net.listen("internet", CLIENT, 80):
        routes()
        assert lab.net.tcp(web.netns, CLIENT, 80) is None
        routes(to_list)
        assert lab.net.tcp(web.netns, CLIENT, 80) == "198.18.0.10"
        _put_list(lab, "203.0.113.0/24")
        lab.flush()
        assert lab.net.tcp(web.netns, CLIENT, 80) is None, "the entry is gone"
        _put_list(lab, "198.19.255.0/24", "203.0.113.0/24")
        lab.flush()
        assert lab.net.tcp(web.netns, CLIENT, 80) == "198.18.0.10"

        # an identical static route wins, also with a target that is gone; a longer prefix wins whatever its kind
        routes(to_list, rows.route("198.19.255.0/24", "nat", nowhere))
        assert lab.net.tcp(web.netns, CLIENT, 80) is None
        routes(to_list, rows.route("198.19.0.0/16", "nat", nowhere))
        assert lab.net.tcp(web.netns, CLIENT, 80) == "198.18.0.10"
        routes(to_list, rows.route("198.19.255.254/32", "nat", nowhere))
        assert lab.net.tcp(web.netns, CLIENT, 80) is None


def test_a_list_says_nothing_about_the_vpc_itself(lab: Lab) -> None:
    lab.vpc()
    _put_list(lab, "10.0.2.0/24", "10.0.0.0/8")
    lab.group(1, rows.rule(1, 1, protocol="-1", cidr="10.0.0.0/16"))
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    with lab.store.transaction() as tx:
        tx.put(t.ROUTE_TABLES, rows.route_table(1, rows.list_route(1, "nat", rows.identifier("nat", 9))))
    lab.flush()
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_every_protocol_of_a_rule_and_every_family_is_text_that_nft_takes(lab: Lab) -> None:
    """Also combinations that no packet has: they must not stand in the way of the group's other rules."""
    lab.vpc()
    _put_list(lab, "10.0.1.10/32")
    with lab.store.transaction() as tx:
        tx.put(t.PREFIX_LISTS, rows.prefix_list(2, "2001:db8::/32", "::1/128", family=6))
    peers: list[dict[str, object]] = [
        {"cidr": "10.0.0.0/16"}, {"cidr": "0.0.0.0/0"}, {"cidr": "2001:db8::/32"}, {"cidr": "::/0"},
        {"peer": 1}, {"listed": 1}, {"listed": 2},
    ]  # fmt: skip
    kinds = [
        *((str(number), (-1, -1)) for number in range(256) if number not in (1, 6, 17, 58)),
        ("-1", (-1, -1)), ("tcp", (0, 0)), ("tcp", (0, 65535)), ("udp", (65535, 65535)),
        *((icmp, code) for icmp in ("icmp", "icmpv6") for code in ((-1, -1), (8, -1), (128, 0), (255, 255), (0, 0))),
    ]  # fmt: skip
    found = [
        msgspec.structs.replace(rows.rule(index, 1, protocol=protocol, ports=ports, **peer), egress=egress)  # type: ignore[arg-type]
        for index, (protocol, ports, peer, egress) in enumerate(
            (
                (protocol, ports, peer, egress)
                for protocol, ports in kinds
                for peer in peers
                for egress in (False, True)
            ),
            start=2000,
        )
    ]
    lab.group(1, *found)
    client, server = lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 1, subnet=2)
    with lab.net.listen(server.netns, server.address, 80):
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_the_walk_of_a_request_is_what_the_document_says(lab: Lab) -> None:
    listed, other, server = _server(lab)
    syn = "tcp dport 80 tcp flags & (syn | ack) == syn"
    with lab.net.listen(server.netns, server.address, 80):
        admitted = walk(lab, syn, lambda: lab.net.tcp(listed.netns, server.address, 80))
        denied = walk(lab, syn, lambda: lab.net.tcp(other.netns, server.address, 80))
    assert admitted[-1].end == "accept"
    assert rows.identifier("sgr", 1) in {step.by for step in admitted[-1].steps}
    assert denied[-1].end == "D sg-in"
    check("prefix-lists", WALK, {"From a listed address": admitted, "From another one": denied})


WALK = """
# A packet's walk past a rule that names a prefix list

Written by `tests/network/test_prefix_lists.py` from what the kernel told about real packets. The server's group admits
port 80 from the prefix list pl-00010000000000000, which holds 10.0.1.10/32. The clients are 10.0.1.10 and 10.0.1.20.

The list is one set of the router, whatever the number of rules that name it: `ip saddr @pl_00010000000000000`. An entry
that comes or goes is one element of that set, and no rule, group or interface is touched.
"""
