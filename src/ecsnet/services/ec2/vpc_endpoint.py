"""Gateway endpoints (S3 and DynamoDB): a route in each of their route tables, and nothing else.

Source: AWS PrivateLink guide, "Gateway endpoints". Endpoints with interfaces are not built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import ROUTE_TABLES, ROUTE_TABLES_BY_TARGET, VPC_ENDPOINTS, VPC_ENDPOINTS_BY_VPC
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import errors, families, idempotency
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.prefix_lists import ServiceList, list_of_service, service_lists
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.regions import region_info
from ecsnet.services.ec2.tagging import specified, tag_set

_TYPE = "Gateway"
_STATE = "available"
_OPEN_POLICY = '{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'
_INTERFACE_MEMBERS = ("SubnetIds", "SecurityGroupIds", "PrivateDnsEnabled", "SubnetConfigurations", "DnsOptions")


def create_vpc_endpoint(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateVpcEndpoint.

    Raises InvalidServiceName, InvalidParameter for a table of another VPC, RouteAlreadyExists,
    VpcEndpointLimitExceeded, IdempotentParameterMismatch.
    """
    if request.get("VpcEndpointType") not in (None, _TYPE):
        raise not_implemented("CreateVpcEndpoint", f"VpcEndpointType {request['VpcEndpointType']}")
    for member in _INTERFACE_MEMBERS:
        if request.get(member):
            raise errors.combination(f"The parameter {member} cannot be used with a Gateway endpoint.")
    known = idempotency.earlier(call, "CreateVpcEndpoint", request)
    if known is not None:
        return _created(call, families.VPC_ENDPOINT.require(call, known), request)
    vpc = families.VPC.require(call, request["VpcId"])
    service = request.get("ServiceName")
    if not service:
        raise errors.missing_parameter("serviceName")
    if list_of_service(call.region, service) is None:
        raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{service}' does not exist")
    if families.VPC_ENDPOINT.count(call) >= quota(call, "gateway_endpoints_per_region"):
        raise errors.limit_exceeded("VpcEndpointLimitExceeded", "VPC endpoints")
    endpoint = call.tx.put(
        VPC_ENDPOINTS,
        ec2.VpcEndpoint(
            id=call.ids.resource("vpce"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            service=service,
            policy=request.get("PolicyDocument") or _OPEN_POLICY,
            created=call.now,
            tags=specified(request, families.VPC_ENDPOINT.noun),
        ),
    )
    _enter(call, endpoint, request.get("RouteTableIds") or ())
    idempotency.remember(call, "CreateVpcEndpoint", request, endpoint.id)
    return _created(call, endpoint, request)


def _created(call: Call, endpoint: ec2.VpcEndpoint, request: Request) -> Reply:
    return drop_empty({"VpcEndpoint": _cached(call, endpoint).build(), "ClientToken": request.get("ClientToken")})


def _enter(call: Call, endpoint: ec2.VpcEndpoint, route_tables: Iterable[str]) -> None:
    """Give each table the endpoint's route; there is one route per service and table."""
    listed = _prefix_list(endpoint)
    for key in dict.fromkeys(route_tables):
        table = families.ROUTE_TABLE.require(call, key)
        if table.vpc != endpoint.vpc:
            raise AwsError(
                "InvalidParameter", f"Route table {key} and VPC {endpoint.vpc} belong to different networks."
            )
        if any(route.prefix_list == listed.id for route in table.routes):
            raise AwsError(
                "RouteAlreadyExists",
                f"route table {key} already has a route with destination-prefix-list-id {listed.id}",
            )
        route = ec2.Route(prefix_list=listed.id, target=ec2.RouteTarget(kind="vpce", id=endpoint.id))
        call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=(*table.routes, route)))


def _leave(call: Call, endpoint: ec2.VpcEndpoint, route_tables: Iterable[str]) -> None:
    for key in list(route_tables):
        table = families.ROUTE_TABLE.require(call, key)
        routes = tuple(route for route in table.routes if route.target.id != endpoint.id)
        if len(routes) == len(table.routes):
            raise errors.invalid_value("routeTableId", key, f"It has no route to {endpoint.id}.")
        call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=routes))


def _prefix_list(endpoint: ec2.VpcEndpoint) -> ServiceList:
    listed = list_of_service(endpoint.region, endpoint.service)
    if listed is None:
        raise LookupError(f"{endpoint.id} is for {endpoint.service}, which has no prefix list")
    return listed


def modify_vpc_endpoint(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyVpcEndpoint."""
    endpoint = families.VPC_ENDPOINT.require(call, request["VpcEndpointId"])
    for member in ("AddSubnetIds", "RemoveSubnetIds", "AddSecurityGroupIds", "RemoveSecurityGroupIds"):
        if request.get(member):
            raise errors.combination(f"The parameter {member} cannot be used with a Gateway endpoint.")
    _leave(call, endpoint, request.get("RemoveRouteTableIds") or ())
    _enter(call, endpoint, request.get("AddRouteTableIds") or ())
    policy = _OPEN_POLICY if request.get("ResetPolicy") else request.get("PolicyDocument") or endpoint.policy
    call.tx.put(VPC_ENDPOINTS, msgspec.structs.replace(endpoint, policy=policy))
    return {"Return": True}


def delete_vpc_endpoints(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteVpcEndpoints; what cannot be deleted is reported, the others go."""
    failed = []
    for key in request["VpcEndpointIds"]:
        endpoint = families.VPC_ENDPOINT.find(call, key)
        if endpoint is None:
            error = families.VPC_ENDPOINT.unknown(key)
            failed.append({"ResourceId": key, "Error": {"Code": error.code, "Message": error.message}})
            continue
        _leave(call, endpoint, call.tx.keys(ROUTE_TABLES_BY_TARGET, endpoint.id))
        idempotency.forget(call, endpoint.id)
        call.tx.delete(VPC_ENDPOINTS, endpoint.id)
    return {"Unsuccessful": failed}


def _item(endpoint: ec2.VpcEndpoint, route_tables: Sequence[str]) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape VpcEndpoint)."""
    return {
        "VpcEndpointId": endpoint.id,
        "VpcEndpointType": _TYPE,
        "VpcId": endpoint.vpc,
        "ServiceName": endpoint.service,
        "State": _STATE,
        "PolicyDocument": endpoint.policy,
        "RouteTableIds": route_tables,
        "SubnetIds": [],
        "Groups": [],
        "NetworkInterfaceIds": [],
        "DnsEntries": [],
        "PrivateDnsEnabled": False,
        "RequesterManaged": False,
        "CreationTimestamp": endpoint.created,
        "OwnerId": endpoint.account,
        "Tags": tag_set(endpoint.tags),
    }


def _cached(call: Call, endpoint: ec2.VpcEndpoint) -> Cached:
    members = call.tx.keys(ROUTE_TABLES_BY_TARGET, endpoint.id)
    return Cached(key=endpoint.id, sources=(endpoint, members), build=partial(_item, endpoint, sorted(members)))


_LISTING = Listing(
    family=families.VPC_ENDPOINT,
    filters=Filters(
        fields={
            "ip-address-type": lambda call, r: ("ipv4",),
            "service-name": lambda call, r: (r.service,),
            "vpc-endpoint-id": lambda call, r: (r.id,),
            "vpc-endpoint-state": lambda call, r: (_STATE,),
            "vpc-endpoint-type": lambda call, r: (_TYPE,),
            "vpc-id": lambda call, r: (r.vpc,),
        },
        indexes={"vpc-id": VPC_ENDPOINTS_BY_VPC},
        keys=frozenset({"vpc-endpoint-id"}),
        tags=lambda r: r.tags,
    ),
    ids="VpcEndpointIds",
    members="VpcEndpoints",
    items=each(_cached),
)

_SERVICE_FILTERS: Filters[ServiceList] = Filters(
    fields={
        "owner": lambda call, r: ("amazon",),
        "service-name": lambda call, r: (r.name,),
        "service-type": lambda call, r: (_TYPE,),
    }
)


def describe_vpc_endpoint_services(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeVpcEndpointServices. Raises InvalidServiceName."""
    tests = _SERVICE_FILTERS.parse(request)
    services = {one.name: one for one in service_lists(call.region)}
    for name in request.get("ServiceNames") or ():
        if name not in services:
            raise AwsError("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")
    chosen = [
        name
        for name in (request.get("ServiceNames") or services)
        if all(test.matches(call, services[name]) for test in tests)
    ]
    zones = [zone.name for zone in region_info(call.region).zones]
    return {"ServiceNames": chosen, "ServiceDetails": [_service_item(name, zones) for name in chosen]}


def _service_item(name: str, zones: Sequence[str]) -> Mapping[str, Any]:
    return {
        "ServiceName": name,
        "ServiceType": [{"ServiceType": _TYPE}],
        "AvailabilityZones": zones,
        "Owner": "amazon",
        "VpcEndpointPolicySupported": True,
        "AcceptanceRequired": False,
        "ManagesVpcEndpoints": False,
        "Tags": [],
    }


OPERATIONS: tuple[Operation, ...] = (
    write("CreateVpcEndpoint", create_vpc_endpoint),
    write("ModifyVpcEndpoint", modify_vpc_endpoint),
    write("DeleteVpcEndpoints", delete_vpc_endpoints),
    read("DescribeVpcEndpoints", _LISTING.describe),
    read("DescribeVpcEndpointServices", describe_vpc_endpoint_services),
)
