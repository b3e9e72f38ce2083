"""Reverse DNS names of Elastic IPs.

A name is in force when its call is answered: the resolver's answer about the address is its PTR record. AWS first looks
for the name's own record; here the zones that would hold it are not resolved, so any host name is taken.

Source: EC2 User Guide, "Use reverse DNS for email applications".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import ELASTIC_IPS
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import address, errors, families
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})+\.?")


def modify_address_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyAddressAttribute. Raises MissingParameter, InvalidParameterValue."""
    eip = families.ELASTIC_IP.require(call, request["AllocationId"])
    name = request.get("DomainName")
    if not name:
        raise errors.missing_parameter("domainName")
    if len(name) > 254 or _HOST.fullmatch(name) is None:
        raise errors.invalid_value("domainName", name, "This is not a valid domain name.")
    changed = msgspec.structs.replace(eip, reverse_name=name.removesuffix(".").lower())
    return {"Address": _item(call.tx.put(ELASTIC_IPS, changed))}


def reset_address_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ResetAddressAttribute."""
    eip = families.ELASTIC_IP.require(call, request["AllocationId"])
    _check_attribute(request)
    return {"Address": _item(call.tx.put(ELASTIC_IPS, msgspec.structs.replace(eip, reverse_name=None)))}


def describe_addresses_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeAddressesAttribute."""
    _check_attribute(request)
    found = {eip.allocation: eip for eip in address.selected(call, request)}
    keys, token = page(request, sorted(found), ids_member="AllocationIds")
    return drop_empty({"Addresses": [_item(found[key]) for key in keys], "NextToken": token})


def _check_attribute(request: Request) -> None:
    if request.get("Attribute") not in (None, "domain-name"):
        raise errors.invalid_value("attribute", request["Attribute"], "Use domain-name.")


def _item(eip: ec2.ElasticIp) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape AddressAttribute)."""
    return drop_empty(
        {
            "PublicIp": str(eip.public_ip),
            "AllocationId": eip.allocation,
            "PtrRecord": None if eip.reverse_name is None else f"{eip.reverse_name}.",
        }
    )


OPERATIONS: tuple[Operation, ...] = (
    write("ModifyAddressAttribute", modify_address_attribute),
    write("ResetAddressAttribute", reset_address_attribute),
    read("DescribeAddressesAttribute", describe_addresses_attribute),
)
