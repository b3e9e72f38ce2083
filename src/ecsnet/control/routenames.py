"""The kernel's tables → the user's route tables: which route, or which missing one, ended a packet."""

from __future__ import annotations

from ipaddress import ip_network

from ecsnet.fabric.kernel import naming, void
from ecsnet.hostplan.probes import Decision
from ecsnet.model.ec2 import NetworkInterface, RouteTable
from ecsnet.model.tables import (
    ASSOCIATIONS_BY_SUBNET,
    MAIN_ASSOCIATION_BY_VPC,
    ROUTE_TABLES,
    ROUTE_TABLES_BY_VPC,
)
from ecsnet.store.snapshot import Snapshot


class RouteNames:
    """Names the route behind a `D route`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def missing(self, decision: Decision, vpc: str | None, sender: NetworkInterface | None) -> tuple[str, str]:
        """The rule (`rtb-… 10.0.0.0/16 blackhole`) and the reason of a packet that no route carries.

        `sender` is the interface that the packet came from; None for one from a gateway or a peer.
        """
        destination, seen = decision.destination, decision.route
        if vpc is None or seen is None or seen.table is None or seen.prefix is None:
            return "no route", f"there is no route to {destination}"
        for table in self._snapshot.find(ROUTE_TABLES_BY_VPC, vpc):
            if seen.table in (naming.table_number(table.ordinal), naming.table_number(table.ordinal, inside=True)):
                target = _target(table, seen.prefix)
                return (
                    f"{table.id} {seen.prefix} blackhole",
                    f"its route to {seen.prefix} in {table.id}{target} is a black hole",
                )
        own = self._table(vpc, sender)
        name = own.id if own is not None else "no route table"
        if seen.table == void.TABLE:
            return f"{name} no route", f"{name} has no route to {destination}"
        return f"{name} {seen.prefix} local", f"no interface of {vpc} has the address {destination}"

    def _table(self, vpc: str, sender: NetworkInterface | None) -> RouteTable | None:
        """The route table of the sender's subnet, else the VPC's main one."""
        own = list(self._snapshot.find(ASSOCIATIONS_BY_SUBNET, sender.subnet)) if sender is not None else []
        for association in own or self._snapshot.find(MAIN_ASSOCIATION_BY_VPC, vpc):
            return self._snapshot.get(ROUTE_TABLES, association.route_table)
        return None


def _target(table: RouteTable, prefix: str) -> str:
    network = ip_network(prefix)
    target = next((each.target.id for each in table.routes if each.destination == network), "")
    return f" (target {target})" if target else ""
