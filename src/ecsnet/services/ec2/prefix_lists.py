"""Prefix lists as other families see them: AWS's own ones, which list an id names, and what a reference counts.

AWS owns one list per service with a gateway endpoint. They hold no blocks, because none of these services exists in the
network: a route or a group rule with one of them matches no packet. AWS's own blocks would send packets to a service
that nobody runs.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from ecsnet.model import ec2
from ecsnet.model.base import Record
from ecsnet.services.call import Call
from ecsnet.services.ec2 import families

GATEWAY_SERVICES = ("dynamodb", "s3")


class ServiceList(Record, frozen=True, kw_only=True, gc=False):
    """A list of AWS's; always IPv4, and a reference to it counts once."""

    id: str
    name: str
    """The name of its service."""
    family: Literal[4] = 4
    max_entries: Literal[1] = 1


AnyList = ServiceList | ec2.PrefixList


def service_lists(region: str) -> tuple[ServiceList, ...]:
    """The lists of a region. Their ids are made from their names, as nothing stores them."""
    names = (f"com.amazonaws.{region}.{service}" for service in GATEWAY_SERVICES)
    return tuple(ServiceList(id=f"pl-{hashlib.sha256(name.encode()).hexdigest()[:8]}", name=name) for name in names)


def list_of_service(region: str, service: str) -> ServiceList | None:
    """The list of a service by its full name, if the service has a gateway endpoint."""
    return next((one for one in service_lists(region) if one.name == service), None)


def prefix_list(call: Call, key: str) -> AnyList:
    """The list, AWS's or the account's own. Raises InvalidPrefixListID.NotFound, InvalidPrefixListId.Malformed."""
    for one in service_lists(call.region):
        if one.id == key:
            return one
    return families.PREFIX_LIST.require(call, key)


def weight(call: Call, key: str, version: int) -> int:
    """As how many rules or routes of an IP version a reference to the list counts: its size, used or not.

    Source: VPC User Guide, "Amazon VPC quotas" (customer-managed prefix lists).
    """
    listed = prefix_list(call, key)
    return listed.max_entries if listed.family == version else 0
