"""DHCP option sets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import DHCP_OPTIONS, VPCS
from ecsnet.services.call import Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import Listing, each
from ecsnet.services.ec2.tagging import specified, tag_set

_KEYS = (
    "domain-name",
    "domain-name-servers",
    "ntp-servers",
    "netbios-name-servers",
    "netbios-node-type",
    "ipv6-address-preferred-lease-time",
)
NONE = "default"
"""The id that stands for "no DHCP options" in AssociateDhcpOptions."""


def create_dhcp_options(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateDhcpOptions. Raises InvalidParameterValue for an unknown option."""
    options = []
    for one in request["DhcpConfigurations"]:
        key, values = one.get("Key"), tuple(one.get("Values") or ())
        if key not in _KEYS:
            raise errors.invalid_value("dhcpConfiguration", key, f"Use one of: {', '.join(_KEYS)}.")
        if not values:
            raise errors.invalid_value("dhcpConfiguration", key, "It has no values.")
        options.append((key, values))
    if not options:
        raise errors.missing_parameter("dhcpConfiguration")
    made = call.tx.put(
        DHCP_OPTIONS,
        ec2.DhcpOptions(
            id=call.ids.resource("dopt"),
            account=call.account,
            region=call.region,
            options=tuple(options),
            tags=specified(request, families.DHCP_OPTIONS.noun),
        ),
    )
    return {"DhcpOptions": _item(made)}


def associate_dhcp_options(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssociateDhcpOptions; the id `default` takes all options away."""
    vpc = families.VPC.require(call, request["VpcId"])
    wanted = request["DhcpOptionsId"]
    if wanted != NONE:
        wanted = families.DHCP_OPTIONS.require(call, wanted).id
    call.tx.put(VPCS, msgspec.structs.replace(vpc, dhcp_options=wanted))
    return {}


def delete_dhcp_options(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteDhcpOptions. Raises DependencyViolation while a VPC uses them."""
    options = families.DHCP_OPTIONS.require(call, request["DhcpOptionsId"])
    users = [vpc.id for vpc in families.VPC.all(call) if vpc.dhcp_options == options.id]
    if users:
        raise errors.dependency("dhcpOptions", options.id, users)
    call.tx.delete(DHCP_OPTIONS, options.id)
    return {}


def _item(options: ec2.DhcpOptions) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape DhcpOptions)."""
    return {
        "DhcpOptionsId": options.id,
        "OwnerId": options.account,
        "DhcpConfigurations": [
            {"Key": key, "Values": [{"Value": value} for value in values]} for key, values in options.options
        ],
        "Tags": tag_set(options.tags),
    }


def _cached(call: Call, options: ec2.DhcpOptions) -> Cached:
    return Cached(key=("dopt", options.id), sources=(options,), build=partial(_item, options))


_LISTING = Listing(
    family=families.DHCP_OPTIONS,
    filters=Filters(
        fields={
            "dhcp-options-id": lambda call, r: (r.id,),
            "key": lambda call, r: [key for key, _ in r.options],
            "owner-id": lambda call, r: (r.account,),
            "value": lambda call, r: [value for _, values in r.options for value in values],
        },
        keys=frozenset({"dhcp-options-id"}),
        tags=lambda r: r.tags,
    ),
    ids="DhcpOptionsIds",
    members="DhcpOptions",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateDhcpOptions", create_dhcp_options),
    write("AssociateDhcpOptions", associate_dhcp_options),
    write("DeleteDhcpOptions", delete_dhcp_options),
    read("DescribeDhcpOptions", _LISTING.describe),
)
