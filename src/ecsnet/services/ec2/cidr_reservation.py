"""Parts of subnets that are kept: for prefixes, or for addresses that somebody asks for by name.

Source: VPC User Guide, "Subnet CIDR reservations". Addresses that interfaces have already stay theirs; from then on no
address of a reservation is picked (`addressing.pick_private`), and prefixes are picked from reservations for prefixes
first (`prefixes.pick_prefix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, Literal

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import CIDR_RESERVATIONS, CIDR_RESERVATIONS_BY_SUBNET
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.prefixes import contains, overlap, subnet_block
from ecsnet.services.ec2.tagging import specified, tag_set

_FILTERS: Filters[ec2.CidrReservation] = Filters(
    fields={
        "reservationType": lambda call, r: (r.kind,),
        "subnet-id": lambda call, r: (r.subnet,),
    },
    tags=lambda r: r.tags,
)


def create_subnet_cidr_reservation(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateSubnetCidrReservation. Raises InvalidParameterValue for a block that is not in the subnet
    or overlaps another reservation."""
    subnet = families.SUBNET.require(call, request["SubnetId"])
    block = cidrs.either(request["Cidr"], "cidr")
    outer = subnet_block(subnet, 4 if isinstance(block, IPv4Network) else 6)
    if outer is None or not contains(outer, block):
        raise errors.invalid_value("cidr", block, f"It is not within a CIDR block of the subnet '{subnet.id}'.")
    for other in call.tx.find(CIDR_RESERVATIONS_BY_SUBNET, subnet.id):
        if overlap(other.cidr, block):
            raise errors.invalid_value("cidr", block, f"It overlaps the reservation {other.id} ({other.cidr}).")
    row = call.tx.put(
        CIDR_RESERVATIONS,
        ec2.CidrReservation(
            id=call.ids.resource("scr"),
            account=call.account,
            region=call.region,
            subnet=subnet.id,
            cidr=block,
            kind=_kind(request["ReservationType"]),
            description=request.get("Description"),
            tags=specified(request, families.CIDR_RESERVATION.noun),
        ),
    )
    return {"SubnetCidrReservation": _item(row)}


def _kind(given: str) -> Literal["prefix", "explicit"]:
    match given:
        case "prefix":
            return "prefix"
        case "explicit":
            return "explicit"
        case _:
            raise errors.invalid_value("reservationType", given, "Use prefix or explicit.")


def delete_subnet_cidr_reservation(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteSubnetCidrReservation. What was taken from it stays in use."""
    row = families.CIDR_RESERVATION.require(call, request["SubnetCidrReservationId"])
    call.tx.delete(CIDR_RESERVATIONS, row.id)
    return {"DeletedSubnetCidrReservation": _item(row)}


def get_subnet_cidr_reservations(call: Call, request: Request) -> Reply:
    """Source: EC2 API, GetSubnetCidrReservations. A subnet has few, so they come in one page."""
    subnet = families.SUBNET.require(call, request["SubnetId"])
    tests = _FILTERS.parse(request)
    found = sorted(call.tx.find(CIDR_RESERVATIONS_BY_SUBNET, subnet.id), key=lambda row: row.id)
    chosen = [row for row in found if all(test.matches(call, row) for test in tests)]
    return {
        "SubnetIpv4CidrReservations": [_item(row) for row in chosen if row.cidr.version == 4],
        "SubnetIpv6CidrReservations": [_item(row) for row in chosen if row.cidr.version == 6],
    }


def _item(row: ec2.CidrReservation) -> Mapping[str, Any]:
    cidr: IpNetwork = row.cidr
    return drop_empty(
        {
            "SubnetCidrReservationId": row.id,
            "SubnetId": row.subnet,
            "Cidr": str(cidr),
            "ReservationType": row.kind,
            "OwnerId": row.account,
            "Description": row.description,
            "Tags": tag_set(row.tags),
        }
    )


OPERATIONS: tuple[Operation, ...] = (
    write("CreateSubnetCidrReservation", create_subnet_cidr_reservation),
    write("DeleteSubnetCidrReservation", delete_subnet_cidr_reservation),
    read("GetSubnetCidrReservations", get_subnet_cidr_reservations),
)
