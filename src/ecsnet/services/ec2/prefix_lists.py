"""The prefix lists that AWS owns: one per service with a gateway endpoint.

They hold no blocks, because none of these services exists in the network: a route or a group rule with one of them
matches no packet. AWS's own blocks would send packets to a service that nobody runs.
"""

from __future__ import annotations

import hashlib

from ecsnet.model.base import Record
from ecsnet.services.call import AwsError, Call

GATEWAY_SERVICES = ("dynamodb", "s3")


class PrefixList(Record, frozen=True, kw_only=True, gc=False):
    id: str
    name: str
    """The name of its service."""


def service_lists(region: str) -> tuple[PrefixList, ...]:
    """The lists of a region. Their ids are made from their names, as nothing stores them."""
    names = (f"com.amazonaws.{region}.{service}" for service in GATEWAY_SERVICES)
    return tuple(PrefixList(id=f"pl-{hashlib.sha256(name.encode()).hexdigest()[:8]}", name=name) for name in names)


def list_of_service(region: str, service: str) -> PrefixList | None:
    """The list of a service by its full name, if the service has a gateway endpoint."""
    return next((one for one in service_lists(region) if one.name == service), None)


def prefix_list(call: Call, key: str) -> PrefixList:
    """The list. Raises InvalidPrefixListID.NotFound."""
    for one in service_lists(call.region):
        if one.id == key:
            return one
    raise AwsError("InvalidPrefixListID.NotFound", f"The prefix list ID '{key}' does not exist")
