"""Networks without borders: what groups track passes both gates by their first rule, until a border comes up.

Every test has a connection that goes on before the change, because the first packet of a flow meets the border anyway.
"""

from __future__ import annotations

import msgspec
import pytest
import rows
from vpc_lab import Lab, Task, router

from ecsnet.model import tables as t

pytestmark = pytest.mark.network

OPEN = (rows.entry(100), rows.entry(100, egress=True))
DENY_IN = rows.entry(50, allow=False, protocol="6", cidr="10.0.1.0/24", ports=(80, 80))
DENY_OUT = rows.entry(50, allow=False, egress=True, protocol="6", cidr="10.0.1.0/24", ports=(1024, 65535))


def _pair(lab: Lab) -> tuple[Task, Task]:
    """Two tasks in two subnets; both groups track their flows."""
    lab.vpc(subnets=3)
    lab.group(1)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), cidr="10.0.0.0/16"))
    return lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 2, subnet=2)


def _shortcuts(lab: Lab) -> int:
    return lab.net.run(router(), "nft", "list", "table", "inet", "ecs").stdout.count('oifname "e*" accept')


@pytest.mark.parametrize("denial", [DENY_IN, DENY_OUT], ids=["request", "answer"])
def test_a_denying_network_acl_cuts_an_established_connection(lab: Lab, denial: object) -> None:
    client, server = _pair(lab)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        assert talk()
        assert _shortcuts(lab) == 2
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, rows.acl(2, denial, *OPEN))
            tx.put(t.ACL_ASSOCIATIONS, rows.acl_association(2, 2))
        lab.flush()
        assert _shortcuts(lab) == 0
        assert not talk()
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, rows.acl(2, *OPEN))
        lab.flush()
        assert _shortcuts(lab) == 2
        assert lab.net.tcp(client.netns, server.address, 80) == client.address


def test_a_route_through_an_appliance_takes_an_established_connection_along(lab: Lab) -> None:
    client, server = _pair(lab)
    lab.group(3, egress=False)
    appliance = lab.task("10.0.3.10", 3, subnet=3)
    eni = rows.identifier("eni", appliance.number)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        assert talk()
        with lab.store.transaction() as tx:
            row = tx.get(t.INTERFACES, eni)
            assert row is not None
            tx.put(t.INTERFACES, msgspec.structs.replace(row, source_dest_check=False))
            tx.put(t.ROUTE_TABLES, rows.route_table(51, rows.route("10.0.2.0/24", "eni", eni)))
            tx.put(t.ROUTE_TABLE_ASSOCIATIONS, rows.association(51, 51, subnet=1))
        lab.flush()
        assert _shortcuts(lab) == 0
        assert not talk(), "the appliance's groups admit nothing"


def test_what_is_not_tracked_at_both_ends_takes_no_shortcut(lab: Lab) -> None:
    client, server = _pair(lab)
    everybody = rows.rule(2, 2, ports=(80, 80), cidr="0.0.0.0/0")
    lab.put_rules(everybody)
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(client.netns, server.address, 80) as talk,
    ):
        assert talk()
        assert _shortcuts(lab) == 2
        lab.drop_rules(1, 2)
        assert not talk()
