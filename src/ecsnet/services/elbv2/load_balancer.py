"""Load balancers: create, describe, delete, and their subnets and security groups.

Rules and texts: API operation `CreateLoadBalancer` and the guide page "Application Load Balancers".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.ec2 import Attachment, Subnet
from ecsnet.model.elbv2 import LoadBalancer, LoadBalancerNode
from ecsnet.model.elbv2_attributes import BALANCER, value
from ecsnet.model.tables import (
    GROUPS,
    GROUPS_BY_VPC,
    INTERFACES,
    INTERFACES_BY_SUBNET,
    INTERNET_GATEWAYS_BY_VPC,
    LOAD_BALANCERS,
    LOAD_BALANCERS_BY_SCOPE,
    OBSERVED_LOAD_BALANCERS,
    SUBNETS,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import ops as ec2
from ecsnet.services.elbv2 import errors, listener, tags
from ecsnet.services.elbv2.limits import quota
from ecsnet.services.elbv2.paging import page

Scheme = Literal["internet-facing", "internal"]

_NETWORK_HOSTED_ZONES = {
    "us-east-1": "Z26RNL4JYFTOTI",
    "us-east-2": "ZLMOA37VPKANP",
    "us-west-1": "Z24FKFUX50B4VW",
    "us-west-2": "Z18D5FSROUN65G",
    "eu-central-1": "Z3F0SRJ5LGBH90",
    "eu-west-1": "Z2IFOLAFXWLO4F",
}
"""Of network load balancers (General Reference, "Elastic Load Balancing endpoints and quotas")."""

_HOSTED_ZONES = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "ap-south-1": "ZP97RAFLXTNZK",
    "sa-east-1": "Z2P70J7HTTTPLU",
}
"""Hosted zone of the DNS names of Application Load Balancers (AWS General Reference, ELB endpoints)."""


def create_load_balancer(call: Call, request: Request) -> Reply:
    kind = request.get("Type", "application")
    if kind not in ("application", "network"):
        raise not_implemented("CreateLoadBalancer", f"load balancers of type '{kind}'")
    name = _name(request["Name"])
    scheme = _scheme(request.get("Scheme", "internet-facing"))
    ip_address_type = _ip_address_type("CreateLoadBalancer", kind, request)
    subnets = _subnets(call, kind, request)
    vpc = subnets[0].vpc
    groups = _groups(call, kind, vpc, request.get("SecurityGroups") or ())
    existing = tuple(call.tx.find(LOAD_BALANCERS_BY_SCOPE, scope(call.account, call.region)))
    for other in existing:
        if other.name == name:
            same = (other.scheme, {node.subnet for node in other.nodes}, set(other.groups))
            if same != (scheme, {subnet.id for subnet in subnets}, set(groups)):
                raise errors.duplicate_load_balancer_name()
            return {"LoadBalancers": [describe(call, other)]}
    if len(existing) >= quota(call, "application-load-balancers"):
        raise errors.too_many("LoadBalancers", quota(call, "application-load-balancers"))
    if scheme == "internet-facing" and not call.tx.keys(INTERNET_GATEWAYS_BY_VPC, vpc):
        raise errors.invalid_subnet(f"VPC {vpc} has no internet gateway")
    identifier = call.ids.hex(16)
    family = "app" if kind == "application" else "net"
    arn = f"arn:aws:elasticloadbalancing:{call.region}:{call.account}:loadbalancer/{family}/{name}/{identifier}"
    prefix = "internal-" if scheme == "internal" else ""
    dns_name = (
        f"{prefix}{name}-{int(call.ids.hex(8), 16)}.{call.region}.elb.amazonaws.com"
        if kind == "application"
        else f"{name}-{identifier}.elb.{call.region}.amazonaws.com"
    )
    balancer = LoadBalancer(
        arn=arn,
        account=call.account,
        region=call.region,
        name=name,
        type=kind,
        dns_name=dns_name,
        scheme=scheme,
        vpc=vpc,
        nodes=(),
        groups=groups,
        ip_address_type=ip_address_type,
        created=call.now,
        tags=tags.parse(request),
    )
    balancer = msgspec.structs.replace(balancer, nodes=tuple(_node(call, balancer, subnet) for subnet in subnets))
    call.tx.put(LOAD_BALANCERS, balancer)
    return {"LoadBalancers": [describe(call, balancer)]}


def _ip_address_type(operation: str, kind: str, request: Request) -> str:
    """ipv4 or dualstack. A dualstack network load balancer and one without public IPv4 addresses are not built."""
    wanted: str = request.get("IpAddressType") or "ipv4"
    if wanted != "ipv4" and (kind, wanted) != ("application", "dualstack"):
        raise not_implemented(operation, f"the IP address type '{wanted}' of {kind} load balancers")
    return wanted


def _name(name: str) -> str:
    if len(name) > 32:
        raise errors.validation(f"The load balancer name '{name}' cannot be longer than '32' characters")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise errors.validation(
            f"The load balancer name '{name}' can only contain characters that are alphanumeric characters "
            "and hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise errors.validation(f"The load balancer name '{name}' cannot begin or end with '-'")
    if name.startswith("internal-"):
        raise errors.validation(f"The load balancer name '{name}' cannot begin with 'internal-'")
    return name


def _scheme(given: str) -> Scheme:
    if given not in ("internet-facing", "internal"):
        raise AwsError("InvalidScheme", f"The scheme '{given}' must be one of 'internet-facing, internal'")
    return cast(Scheme, given)


def _subnets(call: Call, kind: str, request: Request) -> tuple[Subnet, ...]:
    """The chosen subnets, one per zone; an application load balancer needs two (guide page "Availability Zones")."""
    mappings: Sequence[dict[str, Any]] = request.get("SubnetMappings") or ()
    ids: Sequence[str] = request.get("Subnets") or ()
    if bool(mappings) == bool(ids):
        raise errors.validation("You must specify either subnets or subnet mappings, but not both")
    for mapping in mappings:
        for member in ("AllocationId", "PrivateIPv4Address", "IPv6Address"):
            if mapping.get(member):
                if kind == "network":
                    raise not_implemented("CreateLoadBalancer", f"{member} of a subnet mapping")
                raise errors.invalid_configuration(f"{member} is not supported for Application Load Balancers")
    chosen: list[Subnet] = []
    for id in ids or [mapping["SubnetId"] for mapping in mappings]:
        subnet = call.tx.get(SUBNETS, id)
        if subnet is None or (subnet.account, subnet.region) != (call.account, call.region):
            raise errors.subnet_not_found(id)
        if subnet.id not in [present.id for present in chosen]:
            chosen.append(subnet)
    if len({subnet.vpc for subnet in chosen}) > 1:
        raise errors.invalid_configuration("All subnets must belong to the same VPC")
    zones = [subnet.az for subnet in chosen]
    if len(set(zones)) != len(zones):
        raise errors.invalid_configuration("More than 1 subnet cannot be specified for 1 availability zone")
    if len(zones) < 2 and kind == "application":
        raise errors.validation("At least two subnets in two different Availability Zones must be specified")
    return tuple(chosen)


def _groups(call: Call, kind: str, vpc: str, given: Iterable[str]) -> tuple[str, ...]:
    """The security groups; without any an application load balancer has the VPC's default one, a network one none."""
    ids = tuple(dict.fromkeys(given))
    if not ids and kind == "network":
        return ()
    if not ids:
        return tuple(group.id for group in call.tx.find(GROUPS_BY_VPC, vpc) if group.name == "default")
    for id in ids:
        group = call.tx.get(GROUPS, id)
        if group is None:
            raise errors.invalid_security_group(f"The security group '{id}' does not exist")
        if not ec2.usable_in(call.tx, group, vpc):
            raise errors.invalid_configuration(f"The security group '{id}' does not belong to VPC '{vpc}'")
    return ids


def _node(call: Call, balancer: LoadBalancer, subnet: Subnet) -> LoadBalancerNode:
    if subnet.cidr is None or subnet.cidr.prefixlen > 27:
        raise errors.invalid_subnet(f"The subnet '{subnet.id}' must have a CIDR block of at least /27")
    # AWS keeps five addresses of each subnet for itself.
    if subnet.cidr.num_addresses - 5 - len(call.tx.keys(INTERFACES_BY_SUBNET, subnet.id)) < 8:
        raise errors.invalid_subnet(
            f"Not enough IP space available in {subnet.id}. ELB requires at least 8 free IP addresses in each subnet."
        )
    if balancer.ip_address_type == "dualstack" and subnet.ipv6_cidr is None:
        raise errors.invalid_subnet(f"The subnet '{subnet.id}' must have an associated IPv6 CIDR block")
    interface = ec2.allocate_interface(
        call,
        subnet=subnet.id,
        groups=balancer.groups,
        description=f"ELB {balancer.arn.partition('loadbalancer/')[2]}",
        interface_type="interface" if balancer.type == "application" else "network_load_balancer",
        requester_managed=True,
        requester_id="amazon-elb",
        attachment=Attachment(
            id=call.ids.resource("eni-attach"),
            owner_kind="load_balancer",
            owner=balancer.arn,
            device_index=1,
            attached=call.now,
        ),
        public_ip=balancer.scheme == "internet-facing",
        ipv6=balancer.ip_address_type == "dualstack",
    )
    if interface.private_ip is None:
        raise errors.invalid_subnet(f"The subnet '{subnet.id}' has no IPv4 CIDR block")
    return LoadBalancerNode(
        az=subnet.az,
        subnet=subnet.id,
        interface=interface.id,
        private_ip=interface.private_ip,
        public_ip=interface.auto_public_ip,
        ipv6_ip=interface.ipv6_ips[0] if interface.ipv6_ips else None,
    )


def describe_load_balancers(call: Call, request: Request) -> Reply:
    found = list(call.tx.find(LOAD_BALANCERS_BY_SCOPE, scope(call.account, call.region)))
    arns, names = request.get("LoadBalancerArns"), request.get("Names")
    if arns and names:
        raise errors.validation("Load balancer names and load balancer ARNs cannot be specified at the same time")
    for wanted, present in ((arns, {b.arn for b in found}), (names, {b.name for b in found})):
        for missing in wanted or ():
            if missing not in present:
                raise errors.load_balancer_not_found(missing if wanted is arns else f"[{missing}]")
    if arns:
        found = [balancer for balancer in found if balancer.arn in arns]
    if names:
        found = [balancer for balancer in found if balancer.name in names]
    found.sort(key=lambda balancer: balancer.name)
    chosen, more = page(request, found, lambda balancer: balancer.arn)
    return {"LoadBalancers": [describe(call, balancer) for balancer in chosen], **more}


def delete_load_balancer(call: Call, request: Request) -> Reply:
    """Delete a load balancer with its listeners; one that does not exist is already deleted."""
    arn = request["LoadBalancerArn"]
    balancer = call.tx.get(LOAD_BALANCERS, arn)
    if balancer is None:
        return {}
    if value(BALANCER, balancer.attributes, "deletion_protection.enabled") == "true":
        raise errors.operation_not_permitted(
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
        )
    listener.remove_all(call, balancer)
    for node in balancer.nodes:
        ec2.release_interface(call, node.interface)
    call.tx.delete(OBSERVED_LOAD_BALANCERS, arn)
    call.tx.delete(LOAD_BALANCERS, arn)
    return {}


def set_security_groups(call: Call, request: Request) -> Reply:
    balancer = _get(call, request["LoadBalancerArn"])
    if balancer.type == "network" and not balancer.groups:
        raise errors.invalid_configuration(
            "You cannot set security groups for a Network Load Balancer that was created without security groups"
        )
    groups = _groups(call, balancer.type, balancer.vpc, request["SecurityGroups"])
    for node in balancer.nodes:
        interface = call.tx.get(INTERFACES, node.interface)
        if interface is not None:
            call.tx.put(INTERFACES, ec2.with_groups(call, interface, groups))
    call.tx.put(LOAD_BALANCERS, msgspec.structs.replace(balancer, groups=groups))
    return {"SecurityGroupIds": list(groups)}


def set_ip_address_type(call: Call, request: Request) -> Reply:
    """Give every node an IPv6 address, or take it away (API operation `SetIpAddressType`)."""
    balancer = _get(call, request["LoadBalancerArn"])
    wanted = _ip_address_type("SetIpAddressType", balancer.type, request)
    nodes = []
    for node in balancer.nodes:
        subnet = call.tx.get(SUBNETS, node.subnet)
        if subnet is None or (wanted == "dualstack" and subnet.ipv6_cidr is None):
            raise errors.invalid_subnet(f"The subnet '{node.subnet}' must have an associated IPv6 CIDR block")
        six = ec2.set_ipv6(call, node.interface, wanted=wanted == "dualstack")
        nodes.append(msgspec.structs.replace(node, ipv6_ip=six))
    call.tx.put(LOAD_BALANCERS, msgspec.structs.replace(balancer, ip_address_type=wanted, nodes=tuple(nodes)))
    return {"IpAddressType": wanted}


def set_subnets(call: Call, request: Request) -> Reply:
    """Replace the subnets; the node of a subnet that stays keeps its interface and address."""
    balancer = _get(call, request["LoadBalancerArn"])
    if request.get("IpAddressType") not in (None, balancer.ip_address_type):
        raise not_implemented("SetSubnets", "another IpAddressType at the same time: call SetIpAddressType first")
    subnets = _subnets(call, balancer.type, request)
    if subnets[0].vpc != balancer.vpc:
        raise errors.invalid_configuration(f"The subnets must belong to VPC '{balancer.vpc}'")
    present = {node.subnet: node for node in balancer.nodes}
    nodes = tuple(present.get(subnet.id) or _node(call, balancer, subnet) for subnet in subnets)
    for node in balancer.nodes:
        if node not in nodes:
            ec2.release_interface(call, node.interface)
    changed = msgspec.structs.replace(balancer, nodes=nodes)
    call.tx.put(LOAD_BALANCERS, changed)
    return {"AvailabilityZones": _zones(changed), "IpAddressType": changed.ip_address_type}


def _get(call: Call, arn: str) -> LoadBalancer:
    balancer = call.tx.get(LOAD_BALANCERS, arn)
    if balancer is None:
        raise errors.load_balancer_not_found()
    return balancer


def _zones(balancer: LoadBalancer) -> list[dict[str, Any]]:
    return [{"ZoneName": node.az, "SubnetId": node.subnet, "LoadBalancerAddresses": []} for node in balancer.nodes]


def describe(call: Call, balancer: LoadBalancer) -> dict[str, Any]:
    """A load balancer as the API answers it; it is active once the proxy was seen listening on every node."""
    observed = call.tx.get(OBSERVED_LOAD_BALANCERS, balancer.arn) is not None
    answer: dict[str, Any] = {
        "LoadBalancerArn": balancer.arn,
        "DNSName": balancer.dns_name,
        "CreatedTime": balancer.created,
        "LoadBalancerName": balancer.name,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc,
        "State": {"Code": "active" if observed else "provisioning"},
        "Type": balancer.type,
        "AvailabilityZones": _zones(balancer),
        "SecurityGroups": list(balancer.groups),
        "IpAddressType": balancer.ip_address_type,
    }
    zones = _HOSTED_ZONES if balancer.type == "application" else _NETWORK_HOSTED_ZONES
    zone = zones.get(balancer.region)
    if zone is not None:
        answer["CanonicalHostedZoneId"] = zone
    return answer


OPERATIONS: tuple[Operation, ...] = (
    write("CreateLoadBalancer", create_load_balancer),
    read("DescribeLoadBalancers", describe_load_balancers),
    write("DeleteLoadBalancer", delete_load_balancer),
    write("SetSecurityGroups", set_security_groups),
    write("SetSubnets", set_subnets),
    write("SetIpAddressType", set_ip_address_type),
)
