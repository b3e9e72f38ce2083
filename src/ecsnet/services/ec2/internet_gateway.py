"""Internet gateways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ASSOCIATIONS_BY_GATEWAY,
    ELASTIC_IPS_BY_INTERFACE,
    INTERFACES_BY_VPC,
    INTERNET_GATEWAYS,
    INTERNET_GATEWAYS_BY_VPC,
    ROUTE_TABLE_ASSOCIATIONS,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.filters import Filters, some
from ecsnet.services.ec2.listing import Listing, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified, tag_set

_ATTACHED = "available"
"""What AWS shows for an attached gateway, although the API's enum says "attached"."""


def create_internet_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateInternetGateway. Raises InternetGatewayLimitExceeded."""
    if families.INTERNET_GATEWAY.count(call) >= quota(call, "internet_gateways_per_region"):
        raise errors.limit_exceeded("InternetGatewayLimitExceeded", "internet gateways")
    gateway = call.tx.put(
        INTERNET_GATEWAYS,
        ec2.InternetGateway(
            id=call.ids.resource("igw"),
            account=call.account,
            region=call.region,
            tags=specified(request, families.INTERNET_GATEWAY.noun),
        ),
    )
    return {"InternetGateway": _item(gateway)}


def attach_internet_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AttachInternetGateway. Raises Resource.AlreadyAssociated (one gateway per VPC, one VPC each)."""
    gateway = families.INTERNET_GATEWAY.require(call, request["InternetGatewayId"])
    vpc = families.VPC.require(call, request["VpcId"])
    if gateway.vpc is not None:
        raise AwsError(
            "Resource.AlreadyAssociated", f"resource {gateway.id} is already attached to network {gateway.vpc}"
        )
    if call.tx.keys(INTERNET_GATEWAYS_BY_VPC, vpc.id):
        raise AwsError("Resource.AlreadyAssociated", f"Network {vpc.id} already has an internet gateway attached")
    call.tx.put(INTERNET_GATEWAYS, msgspec.structs.replace(gateway, vpc=vpc.id))
    return {}


def detach_internet_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DetachInternetGateway. Raises Gateway.NotAttached, DependencyViolation.

    What its route table said about incoming traffic ends with the attachment.
    """
    gateway = families.INTERNET_GATEWAY.require(call, request["InternetGatewayId"])
    vpc = families.VPC.require(call, request["VpcId"])
    if gateway.vpc != vpc.id:
        raise AwsError("Gateway.NotAttached", f"resource {gateway.id} is not attached to network {vpc.id}")
    mapped = list(_mapped(call, vpc.id))
    if mapped:
        raise AwsError(
            "DependencyViolation",
            f"Network {vpc.id} has some mapped public address(es). Please unmap those public address(es) before "
            "detaching the gateway." + errors.named(mapped),
        )
    for association in list(call.tx.keys(ASSOCIATIONS_BY_GATEWAY, gateway.id)):
        call.tx.delete(ROUTE_TABLE_ASSOCIATIONS, association)
    call.tx.put(INTERNET_GATEWAYS, msgspec.structs.replace(gateway, vpc=None))
    return {}


def _mapped(call: Call, vpc: str) -> Iterator[str]:
    for eni in call.tx.find(INTERFACES_BY_VPC, vpc):
        if eni.auto_public_ip is not None or call.tx.keys(ELASTIC_IPS_BY_INTERFACE, eni.id):
            yield eni.id


def delete_internet_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteInternetGateway. Raises DependencyViolation while attached."""
    gateway = families.INTERNET_GATEWAY.require(call, request["InternetGatewayId"])
    if gateway.vpc is not None:
        raise errors.dependency("internetGateway", gateway.id, (gateway.vpc,))
    call.tx.delete(INTERNET_GATEWAYS, gateway.id)
    return {}


def _item(gateway: ec2.InternetGateway) -> Mapping[str, Any]:
    return {
        "InternetGatewayId": gateway.id,
        "OwnerId": gateway.account,
        "Attachments": [] if gateway.vpc is None else [{"VpcId": gateway.vpc, "State": _ATTACHED}],
        "Tags": tag_set(gateway.tags),
    }


def _cached(call: Call, gateway: ec2.InternetGateway) -> Cached:
    return Cached(key=("igw", gateway.id), sources=(gateway,), build=partial(_item, gateway))


_LISTING = Listing(
    family=families.INTERNET_GATEWAY,
    filters=Filters(
        fields={
            "attachment.state": lambda call, r: () if r.vpc is None else (_ATTACHED,),
            "attachment.vpc-id": lambda call, r: some(r.vpc),
            "internet-gateway-id": lambda call, r: (r.id,),
            "owner-id": lambda call, r: (r.account,),
        },
        indexes={"attachment.vpc-id": INTERNET_GATEWAYS_BY_VPC},
        keys=frozenset({"internet-gateway-id"}),
        tags=lambda r: r.tags,
    ),
    ids="InternetGatewayIds",
    members="InternetGateways",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateInternetGateway", create_internet_gateway),
    write("AttachInternetGateway", attach_internet_gateway),
    write("DetachInternetGateway", detach_internet_gateway),
    write("DeleteInternetGateway", delete_internet_gateway),
    read("DescribeInternetGateways", _LISTING.describe),
)
