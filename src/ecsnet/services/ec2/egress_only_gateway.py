"""Egress-only internet gateways."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import EGRESS_ONLY_GATEWAYS, EGRESS_ONLY_GATEWAYS_BY_VPC
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families, idempotency
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified, tag_set

_ATTACHED = "attached"


def create_egress_only_internet_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateEgressOnlyInternetGateway. Raises InvalidVpcID.NotFound, Resource.AlreadyAssociated
    (a VPC has one) and EgressOnlyInternetGatewayLimitExceeded."""
    vpc = families.VPC.require(call, request["VpcId"])
    known = idempotency.earlier(call, "CreateEgressOnlyInternetGateway", request)
    if known is not None:
        return _created(families.EGRESS_ONLY_GATEWAY.require(call, known), request)
    for other in call.tx.keys(EGRESS_ONLY_GATEWAYS_BY_VPC, vpc.id):
        raise AwsError("Resource.AlreadyAssociated", f"resource {other} is already attached to network {vpc.id}")
    if families.EGRESS_ONLY_GATEWAY.count(call) >= quota(call, "egress_only_internet_gateways_per_region"):
        raise errors.limit_exceeded("EgressOnlyInternetGatewayLimitExceeded", "egress-only internet gateways")
    gateway = call.tx.put(
        EGRESS_ONLY_GATEWAYS,
        ec2.EgressOnlyInternetGateway(
            id=call.ids.resource("eigw"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            tags=specified(request, families.EGRESS_ONLY_GATEWAY.noun),
        ),
    )
    idempotency.remember(call, "CreateEgressOnlyInternetGateway", request, gateway.id)
    return _created(gateway, request)


def _created(gateway: ec2.EgressOnlyInternetGateway, request: Request) -> Reply:
    return drop_empty({"EgressOnlyInternetGateway": _item(gateway), "ClientToken": request.get("ClientToken")})


def delete_egress_only_internet_gateway(call: Call, request: Request) -> Reply:
    """Delete a gateway; routes to it stay as black holes.

    Source: EC2 API, DeleteEgressOnlyInternetGateway; VPC User Guide, "Egress-only internet gateways".
    """
    gateway = families.EGRESS_ONLY_GATEWAY.require(call, request["EgressOnlyInternetGatewayId"])
    idempotency.forget(call, gateway.id)
    call.tx.delete(EGRESS_ONLY_GATEWAYS, gateway.id)
    return {"ReturnCode": True}


def _item(gateway: ec2.EgressOnlyInternetGateway) -> Mapping[str, Any]:
    return {
        "EgressOnlyInternetGatewayId": gateway.id,
        "Attachments": [{"VpcId": gateway.vpc, "State": _ATTACHED}],
        "Tags": tag_set(gateway.tags),
    }


def _cached(call: Call, gateway: ec2.EgressOnlyInternetGateway) -> Cached:
    return Cached(key=("eigw", gateway.id), sources=(gateway,), build=partial(_item, gateway))


_LISTING = Listing(
    family=families.EGRESS_ONLY_GATEWAY,
    filters=Filters(fields={}, tags=lambda r: r.tags),
    ids="EgressOnlyInternetGatewayIds",
    members="EgressOnlyInternetGateways",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateEgressOnlyInternetGateway", create_egress_only_internet_gateway),
    write("DeleteEgressOnlyInternetGateway", delete_egress_only_internet_gateway),
    read("DescribeEgressOnlyInternetGateways", _LISTING.describe),
)
