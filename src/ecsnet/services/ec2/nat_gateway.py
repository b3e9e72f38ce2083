"""The NAT gateway calls."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import INTERNET_GATEWAYS_BY_VPC, NAT_GATEWAYS, NAT_GATEWAYS_BY_VPC, OBSERVED_INTERFACES
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families, idempotency
from ecsnet.services.ec2.addressing import no_free_address
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.interfaces import allocate_interface, associate
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.nat_addresses import add_addresses, address_item
from ecsnet.services.ec2.nat_gateways import begin_nat_delete, failure, is_listed
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.tagging import specified, tag_set

_NOT_BUILT = ("AvailabilityZoneAddresses",)


def create_nat_gateway(call: Call, request: Request) -> Reply:
    """Make a gateway in state pending with its interface; a controller moves it on once the interface was seen.

    What AWS finds out later (no internet gateway, an address in use, a full subnet) ends in state failed here too.

    Source: EC2 API, CreateNatGateway. Raises what `add_addresses` raises, MissingParameter,
    InvalidParameterCombination, NatGatewayLimitExceeded, IdempotentParameterMismatch.
    """
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_implemented("CreateNatGateway", member)
    if request.get("AvailabilityMode") == "regional":
        raise not_implemented("CreateNatGateway", "AvailabilityMode regional")
    known = idempotency.earlier(call, "CreateNatGateway", request)
    if known is not None:
        return _created(call, families.NAT_GATEWAY.require(call, known), request)
    if not request.get("SubnetId"):
        raise errors.missing_parameter("subnetId")
    subnet = families.SUBNET.require(call, request["SubnetId"])
    connectivity: Literal["public", "private"] = "private" if request.get("ConnectivityType") == "private" else "public"
    allocation = _allocation(call, request, connectivity)
    _check_secondary(call, request, connectivity)
    _check_quota(call, subnet)
    nat = ec2.NatGateway(
        id=call.ids.resource("nat"),
        account=call.account,
        region=call.region,
        vpc=subnet.vpc,
        subnet=subnet.id,
        connectivity=connectivity,
        state="pending",
        interface=None,
        private_ip=None,
        allocation=allocation,
        created=call.now,
        client_token=request.get("ClientToken"),
        tags=specified(request, families.NAT_GATEWAY.noun),
    )
    nat = call.tx.put(NAT_GATEWAYS, _furnished(call, nat, subnet, request))
    idempotency.remember(call, "CreateNatGateway", request, nat.id)
    return _created(call, nat, request)


def _allocation(call: Call, request: Request, connectivity: str) -> str | None:
    wanted: str | None = request.get("AllocationId")
    if connectivity == "private":
        if wanted:
            raise errors.combination("The AllocationId parameter cannot be used with ConnectivityType private.")
        return None
    if not wanted:
        raise AwsError(
            "MissingParameter",
            "The request must include the AllocationId parameter. Add the required parameter and retry the request.",
        )
    return families.ELASTIC_IP.require(call, wanted).allocation


def _check_secondary(call: Call, request: Request, connectivity: str) -> None:
    """Allocations are for public gateways, a count of private addresses is for private ones (EC2 API)."""
    if connectivity == "private" and request.get("SecondaryAllocationIds"):
        raise errors.combination("The SecondaryAllocationIds parameter cannot be used with ConnectivityType private.")
    if connectivity == "public" and request.get("SecondaryPrivateIpAddressCount"):
        raise errors.combination(
            "The SecondaryPrivateIpAddressCount parameter cannot be used with ConnectivityType public."
        )
    if request.get("SecondaryPrivateIpAddressCount") and request.get("SecondaryPrivateIpAddresses"):
        raise errors.combination(
            "The SecondaryPrivateIpAddressCount parameter cannot be used with SecondaryPrivateIpAddresses."
        )
    allocations = request.get("SecondaryAllocationIds") or ()
    if connectivity == "public" and len(request.get("SecondaryPrivateIpAddresses") or ()) not in (0, len(allocations)):
        raise errors.combination("SecondaryPrivateIpAddresses needs as many SecondaryAllocationIds.")
    for one in allocations:
        families.ELASTIC_IP.require(call, one)


def _check_quota(call: Call, subnet: ec2.Subnet) -> None:
    limit = quota(call, "nat_gateways_per_zone")
    counted = 0
    for other in families.NAT_GATEWAY.all(call):
        home = families.SUBNET.find(call, other.subnet)
        if other.state in ("pending", "available", "deleting") and home is not None and home.az == subnet.az:
            counted += 1
    if counted >= limit:
        raise AwsError(
            "NatGatewayLimitExceeded", f"Performing this operation would exceed the limit of {limit} NAT gateways"
        )


def _furnished(call: Call, nat: ec2.NatGateway, subnet: ec2.Subnet, request: Request) -> ec2.NatGateway:
    """The gateway with its interface and address, or with the reason why it will fail."""
    has_gateway = bool(call.tx.keys(INTERNET_GATEWAYS_BY_VPC, subnet.vpc))
    given = (nat.allocation, *(request.get("SecondaryAllocationIds") or ()))
    problem = next((p for one in given if (p := failure(call, subnet, one, has_gateway=has_gateway))), None)
    if problem is not None:
        return msgspec.structs.replace(nat, failure_code=problem.code, failure_message=problem.message)
    wanted = request.get("PrivateIpAddress")
    try:
        eni = allocate_interface(
            call,
            subnet=subnet.id,
            groups=(),
            description=f"Interface for NAT Gateway {nat.id}",
            interface_type="nat_gateway",
            requester_managed=True,
            requester_id="amazon-aws",
            attachment=ec2.Attachment(
                id=call.ids.resource("ela-attach"),
                owner_kind="nat",
                owner=nat.id,
                device_index=1,
                attached=call.now,
                delete_on_termination=False,
            ),
            private_ip=cidrs.address(wanted, "privateIpAddress") if wanted else None,
            ipv6=False,
            source_dest_check=False,
        )
    except AwsError as error:
        if error.code != no_free_address().code:
            raise
        return msgspec.structs.replace(
            nat,
            failure_code=error.code,
            failure_message="Subnet has insufficient free addresses to create this NAT gateway",
        )
    if eni.private_ip is None:
        raise errors.invalid_value("subnetId", nat.subnet, "A NAT gateway needs a subnet with an IPv4 CIDR block.")
    nat = msgspec.structs.replace(nat, interface=eni.id, private_ip=eni.private_ip)
    if nat.allocation is not None:
        eip = associate(call, families.ELASTIC_IP.require(call, nat.allocation), eni, eni.private_ip)
        nat = msgspec.structs.replace(nat, public_ip=eip.public_ip, association=eip.association)
    return add_addresses(
        call,
        nat,
        allocations=request.get("SecondaryAllocationIds") or (),
        private_ips=[
            cidrs.address(text, "secondaryPrivateIpAddress")
            for text in request.get("SecondaryPrivateIpAddresses") or ()
        ],
        count=errors.not_negative(request, "SecondaryPrivateIpAddressCount"),
    )


def _created(call: Call, nat: ec2.NatGateway, request: Request) -> Reply:
    return drop_empty({"NatGateway": _cached(call, nat).build(), "ClientToken": request.get("ClientToken")})


def delete_nat_gateway(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteNatGateway. Raises NatGatewayNotFound."""
    return {"NatGatewayId": begin_nat_delete(call, request["NatGatewayId"]).id}


def _item(nat: ec2.NatGateway, seen: ec2.ObservedInterface | None) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape NatGateway)."""
    failed = nat.state in ("failed", "deleted")
    address = drop_empty(
        {
            "AllocationId": nat.allocation,
            "AssociationId": nat.association,
            "NetworkInterfaceId": nat.interface,
            "PrivateIp": None if nat.private_ip is None else str(nat.private_ip),
            "PublicIp": None if nat.public_ip is None else str(nat.public_ip),
            "IsPrimary": True,
            "Status": _address_status(nat),
            "FailureMessage": nat.failure_message if nat.state == "failed" else None,
        }
    )
    return drop_empty(
        {
            "NatGatewayId": nat.id,
            "VpcId": nat.vpc,
            "SubnetId": nat.subnet,
            "State": nat.state,
            "ConnectivityType": nat.connectivity,
            "CreateTime": nat.created,
            "DeleteTime": nat.deleted if nat.state != "failed" else None,
            "FailureCode": nat.failure_code if failed else None,
            "FailureMessage": nat.failure_message if failed else None,
            "NatGatewayAddresses": [address, *(address_item(nat, one, seen) for one in nat.secondary)],
            "Tags": tag_set(nat.tags),
        }
    )


def _address_status(nat: ec2.NatGateway) -> str:
    match nat.state:
        case "pending":
            return "associating" if nat.connectivity == "public" else "assigning"
        case "available":
            return "succeeded"
        case "failed":
            return "failed"
        case "deleting" | "deleted":
            return "disassociating" if nat.connectivity == "public" else "unassigning"


def _cached(call: Call, nat: ec2.NatGateway) -> Cached:
    seen = call.tx.get(OBSERVED_INTERFACES, nat.interface) if nat.interface is not None else None
    return Cached(key=("nat", nat.id), sources=(nat, seen), build=partial(_item, nat, seen))


_LISTING = Listing(
    family=families.NAT_GATEWAY,
    filters=Filters(
        fields={
            "nat-gateway-id": lambda call, r: (r.id,),
            "state": lambda call, r: (r.state,),
            "subnet-id": lambda call, r: (r.subnet,),
            "vpc-id": lambda call, r: (r.vpc,),
        },
        indexes={"vpc-id": NAT_GATEWAYS_BY_VPC},
        keys=frozenset({"nat-gateway-id"}),
        tags=lambda r: r.tags,
    ),
    ids="NatGatewayIds",
    members="NatGateways",
    items=each(_cached),
    visible=is_listed,
)


def describe_nat_gateways(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeNatGateways, whose filters come in the member `Filter`."""
    if request.get("Filter"):
        request = {**request, "Filters": request["Filter"]}
    return _LISTING.describe(call, request)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateNatGateway", create_nat_gateway),
    write("DeleteNatGateway", delete_nat_gateway),
    read("DescribeNatGateways", describe_nat_gateways),
)
