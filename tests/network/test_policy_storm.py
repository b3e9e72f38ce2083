"""While policies are replaced as fast as they can be: nothing forbidden passes, nothing allowed is refused."""

from __future__ import annotations

import pytest
import rows
from vpc_lab import Lab, Task

from ecsnet.model import tables as t
from ecsnet.testing.world import wait_until

pytestmark = pytest.mark.network

REPLACEMENTS = 2000
RATE = 1000
"""Connection requests a second of the forbidden pair."""
SILENT = 0.3
"""Seconds after which a request that must not be answered is given up."""
PATIENT = 0.9
"""Seconds that one which must be answered gets."""


def three(lab: Lab) -> tuple[Task, Task, Task]:
    """A client that may, a client in another subnet that may not, and the server."""
    lab.vpc()
    lab.group(1)
    lab.group(3)
    lab.group(2, rows.rule(1, 2, ports=(80, 80), peer=1), rows.rule(2, 2, ports=(90, 99), cidr="10.0.9.0/24"))
    return lab.task("10.0.1.10", 1), lab.task("10.0.2.10", 3, subnet=2), lab.task("10.0.1.11", 2)


def replace_all(lab: Lab, turn: int) -> None:
    """Replace every chain of every group and of the network ACL: one transaction, one new text of each."""
    vpc = rows.identifier("vpc", 1)
    with lab.store.transaction() as tx:
        for group in (1, 2, 3):
            for egress in (False, True):
                number = 100 * group + egress
                tx.put(
                    t.GROUP_RULES,
                    rows.rule(number, group, egress=egress, ports=(7000 + turn % 50, 7100), cidr="10.9.0.0/16"),
                )
        extra = rows.entry(50, protocol="6", ports=(7000 + turn % 50, 7100), allow=False, cidr="10.9.0.0/16")
        tx.put(t.ACLS, rows.acl(1, extra, rows.entry(100), rows.entry(100, egress=True), vpc=vpc, default=True))
    lab.flush()


def test_no_window_opens_while_policies_are_replaced(lab: Lab) -> None:
    allowed, forbidden, server = three(lab)
    inside = lab.net.inside
    with lab.net.listen(server.netns, server.address, 80):
        seen = {port: inside.call("watch", netns=server.netns, device="eth0", port=port) for port in (81, 80)}
        storms = [
            inside.call("storm", netns=forbidden.netns, address=server.address, port=80, rate=RATE, patience=SILENT),
            inside.call("storm", netns=allowed.netns, address=server.address, port=81, rate=RATE, patience=SILENT),
            inside.call("storm", netns=allowed.netns, address=server.address, port=80, rate=100, patience=PATIENT),
        ]
        for turn in range(REPLACEMENTS):
            replace_all(lab, turn)
        wrong_sender, wrong_port, right = (inside.call("calm", number=number) for number in storms)
        arrived = {port: inside.call("arrived", number=number) for port, number in seen.items()}
    print(f"{REPLACEMENTS} replacements: {wrong_sender}, {wrong_port}, {right}, arrived {arrived}")
    assert wrong_sender["begun"] > 2000
    assert wrong_port["begun"] > 2000
    assert (wrong_sender["open"], wrong_sender["refused"]) == (0, 0)
    assert (wrong_port["open"], wrong_port["refused"], arrived[81]) == (0, 0, 0)
    assert right["open"] == right["begun"] == arrived[80], "every allowed connection came about, and only those arrived"


def test_established_flows_survive_replacements_and_a_rule_removal_and_end_with_an_acl_entry(lab: Lab) -> None:
    _allowed, other, server = three(lab)
    lab.put_rules(rows.rule(3, 2, ports=(80, 80), peer=3))
    with (
        lab.net.listen(server.netns, server.address, 80),
        lab.net.flow(other.netns, server.address, 80) as talk,
    ):
        for turn in range(50):
            replace_all(lab, turn)
            assert talk()
        lab.drop_rules(3)
        assert talk(), "a tracked flow outlives its rule"
        assert lab.net.tcp(other.netns, server.address, 80) is None
        vpc = rows.identifier("vpc", 1)
        deny = rows.entry(50, protocol="6", ports=(80, 80), allow=False)
        with lab.store.transaction() as tx:
            tx.put(t.ACLS, rows.acl(1, deny, rows.entry(100), rows.entry(100, egress=True), vpc=vpc, default=True))
        lab.flush()
        wait_until(lambda: not talk(), 10.0, "the network ACL does not cut the flow")
