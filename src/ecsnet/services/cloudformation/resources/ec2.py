"""VPC, subnets, gateways and addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import (
    READY,
    WAITING,
    Broken,
    Env,
    Made,
    Native,
    Observed,
    Properties,
    delete_if_there,
)
from ecsnet.store.snapshot import Reader


def tagged(env: Env, properties: Properties, noun: str) -> list[dict[str, Any]] | None:
    tags = env.naming.tags(properties)
    return [{"ResourceType": noun, "Tags": tags}] if tags else None


def retag(env: Env, resource: str, before: Properties, after: Properties) -> None:
    """Bring an EC2 resource's tags from what the old properties gave to what the new ones give."""
    old = {tag["Key"]: tag["Value"] for tag in env.naming.tags(before)}
    new = {tag["Key"]: tag["Value"] for tag in env.naming.tags(after)}
    if gone := [{"Key": key} for key in old if key not in new]:
        env.run("ec2", "DeleteTags", {"Resources": [resource], "Tags": gone})
    if fresh := [{"Key": key, "Value": value} for key, value in new.items() if old.get(key) != value]:
        env.run("ec2", "CreateTags", {"Resources": [resource], "Tags": fresh})


def only_tags(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_)


# ── VPC ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_vpc(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2",
        "CreateVpc",
        {
            "CidrBlock": p.get("CidrBlock"),
            "InstanceTenancy": p.get("InstanceTenancy"),
            "Ipv4IpamPoolId": p.get("Ipv4IpamPoolId"),
            "Ipv4NetmaskLength": p.get("Ipv4NetmaskLength"),
            "TagSpecifications": tagged(env, p, "vpc"),
        },
    )
    vpc = reply["Vpc"]["VpcId"]
    _vpc_attributes(env, vpc, {}, p)
    return Made(id=vpc, attributes=_vpc_facts(env, vpc))


def _vpc_attributes(env: Env, vpc: str, before: Properties, after: Properties) -> None:
    for name, default in (("EnableDnsSupport", True), ("EnableDnsHostnames", False)):
        wanted = after.get(name, default)
        if wanted != before.get(name, default):
            env.run("ec2", "ModifyVpcAttribute", {"VpcId": vpc, name: {"Value": wanted}})


def _vpc_facts(env: Env, vpc: str) -> Mapping[str, Any]:
    row = env.call.tx.get(tables.VPCS, vpc)
    if row is None:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    groups = [group.id for group in env.call.tx.find(tables.GROUPS_BY_VPC, vpc) if group.name == "default"]
    acls = [acl.id for acl in env.call.tx.find(tables.ACLS_BY_VPC, vpc) if acl.is_default]
    return {
        "VpcId": vpc,
        "CidrBlock": str(row.cidrs[0].cidr),
        "CidrBlockAssociations": [association.id for association in row.cidrs],
        "Ipv6CidrBlocks": [str(association.cidr) for association in row.ipv6_cidrs],
        "DefaultSecurityGroup": groups[0],
        "DefaultNetworkAcl": acls[0],
    }


def _update_vpc(env: Env, vpc: str, before: Properties, after: Properties) -> Made:
    _vpc_attributes(env, vpc, before, after)
    retag(env, vpc, before, after)
    return Made(id=vpc, attributes=_vpc_facts(env, vpc))


def _delete_vpc(env: Env, vpc: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteVpc", {"VpcId": vpc})


def _create_block(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "AssociateVpcCidrBlock", dict(p))
    association = reply.get("CidrBlockAssociation") or reply.get("Ipv6CidrBlockAssociation") or {}
    refresh(env, p["VpcId"], _vpc_facts(env, p["VpcId"]))
    return Made(id=association["AssociationId"], attributes={"Id": association["AssociationId"]})


def _delete_block(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DisassociateVpcCidrBlock", {"AssociationId": id_})
    if env.call.tx.get(tables.VPCS, p["VpcId"]) is not None:
        refresh(env, p["VpcId"], _vpc_facts(env, p["VpcId"]))


def refresh(env: Env, physical: str, attributes: Mapping[str, Any]) -> None:
    """A resource that another one changed: Fn::GetAtt gives what holds now.

    `Fn::GetAtt VPC.Ipv6CidrBlocks` beside a VPCCidrBlock is how templates of AWS's own lay out subnets.
    """
    for row in list(env.call.tx.find(tables.STACK_RESOURCES_BY_PHYSICAL, physical)):
        if row.physical is not None:
            found = {**json.loads(row.physical.attributes), **attributes}
            made = msgspec.structs.replace(row.physical, attributes=json.dumps(found))
            env.call.tx.put(tables.STACK_RESOURCES, msgspec.structs.replace(row, physical=made))


# ── Subnet ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_AT_CREATION = (
    "VpcId",
    "CidrBlock",
    "AvailabilityZone",
    "AvailabilityZoneId",
    "Ipv6CidrBlock",
    "Ipv6Native",
    "OutpostArn",
)
_SUBNET_FLAGS = ("MapPublicIpOnLaunch", "AssignIpv6AddressOnCreation", "EnableDns64")


def _create_subnet(env: Env, p: Properties) -> Made:
    members = {name: p.get(name) for name in _AT_CREATION}
    reply = env.run("ec2", "CreateSubnet", {**members, "TagSpecifications": tagged(env, p, "subnet")})
    subnet = reply["Subnet"]["SubnetId"]
    _subnet_flags(env, subnet, {}, p)
    return Made(id=subnet, attributes=_subnet_facts(env, subnet))


def _subnet_flags(env: Env, subnet: str, before: Properties, after: Properties) -> None:
    for name in _SUBNET_FLAGS:
        wanted = after.get(name, False)
        if wanted != before.get(name, False):
            env.run("ec2", "ModifySubnetAttribute", {"SubnetId": subnet, name: {"Value": wanted}})
    if after.get("PrivateDnsNameOptionsOnLaunch") != before.get("PrivateDnsNameOptionsOnLaunch"):
        options = after.get("PrivateDnsNameOptionsOnLaunch") or {}
        members = {
            "PrivateDnsHostnameTypeOnLaunch": options.get("HostnameType"),
            "EnableResourceNameDnsARecordOnLaunch": _flag(options.get("EnableResourceNameDnsARecord")),
            "EnableResourceNameDnsAAAARecordOnLaunch": _flag(options.get("EnableResourceNameDnsAAAARecord")),
        }
        env.run("ec2", "ModifySubnetAttribute", {"SubnetId": subnet, **members})


def _flag(value: bool | None) -> dict[str, bool] | None:
    return None if value is None else {"Value": value}


def _subnet_facts(env: Env, subnet: str) -> Mapping[str, Any]:
    row = env.call.tx.get(tables.SUBNETS, subnet)
    if row is None:
        raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    associations = list(env.call.tx.keys(tables.ACL_ASSOCIATIONS_BY_SUBNET, subnet))
    return {
        "SubnetId": subnet,
        "VpcId": row.vpc,
        "AvailabilityZone": row.az,
        "AvailabilityZoneId": row.az_id,
        "CidrBlock": str(row.cidr) if row.cidr else "",
        "Ipv6CidrBlocks": [str(row.ipv6_cidr.cidr)] if row.ipv6_cidr else [],
        "NetworkAclAssociationId": associations[0] if associations else "",
    }


def _update_subnet(env: Env, subnet: str, before: Properties, after: Properties) -> Made:
    _subnet_flags(env, subnet, before, after)
    retag(env, subnet, before, after)
    return Made(id=subnet, attributes=_subnet_facts(env, subnet))


def _delete_subnet(env: Env, subnet: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteSubnet", {"SubnetId": subnet})


def _create_subnet_block(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "AssociateSubnetCidrBlock", dict(p))
    association = reply["Ipv6CidrBlockAssociation"]["AssociationId"]
    refresh(env, p["SubnetId"], _subnet_facts(env, p["SubnetId"]))
    return Made(id=association, attributes={"Id": association})


def _delete_subnet_block(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DisassociateSubnetCidrBlock", {"AssociationId": id_})
    if env.call.tx.get(tables.SUBNETS, p["SubnetId"]) is not None:
        refresh(env, p["SubnetId"], _subnet_facts(env, p["SubnetId"]))


# ── Internet gateway ─────────────────────────────────────────────────────────────────────────────────────────────────


def _create_gateway(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "CreateInternetGateway", {"TagSpecifications": tagged(env, p, "internet-gateway")})
    gateway = reply["InternetGateway"]["InternetGatewayId"]
    return Made(id=gateway, attributes={"InternetGatewayId": gateway})


def _update_gateway(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"InternetGatewayId": id_})


def _delete_gateway(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteInternetGateway", {"InternetGatewayId": id_})


def _create_egress_only(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2",
        "CreateEgressOnlyInternetGateway",
        {"VpcId": p.get("VpcId"), "TagSpecifications": tagged(env, p, "egress-only-internet-gateway")},
    )
    gateway = reply["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"]
    return Made(id=gateway, attributes={"Id": gateway})


def _update_egress_only(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"Id": id_})


def _delete_egress_only(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteEgressOnlyInternetGateway", {"EgressOnlyInternetGatewayId": id_})


def _attach(env: Env, p: Properties) -> Made:
    if p.get("VpnGatewayId"):
        raise AwsError("NotImplemented", "ecsnet does not implement VPN gateways (VpnGatewayId).", status=501)
    env.run("ec2", "AttachInternetGateway", {"InternetGatewayId": p.get("InternetGatewayId"), "VpcId": p.get("VpcId")})
    return Made(id=f"IGW|{p['VpcId']}", attributes={"AttachmentType": "IGW"})


def _detach(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(
        env,
        "ec2",
        "DetachInternetGateway",
        {"InternetGatewayId": p["InternetGatewayId"], "VpcId": p["VpcId"]},
    )


# ── Elastic IP, NAT gateway ──────────────────────────────────────────────────────────────────────────────────────────


def _create_address(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "AllocateAddress", {"Domain": "vpc", "TagSpecifications": tagged(env, p, "elastic-ip")})
    if p.get("InstanceId"):
        env.run("ec2", "AssociateAddress", {"AllocationId": reply["AllocationId"], "InstanceId": p["InstanceId"]})
    return Made(id=reply["PublicIp"], attributes={"AllocationId": reply["AllocationId"], "PublicIp": reply["PublicIp"]})


def _update_address(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    allocation = _allocation(env, id_)
    if allocation is None:
        raise AwsError("InvalidAddress.NotFound", f"Address '{id_}' not found.")
    if after.get("InstanceId") != before.get("InstanceId"):
        _leave_instance(env, id_, before)
        if after.get("InstanceId"):
            env.run("ec2", "AssociateAddress", {"AllocationId": allocation, "InstanceId": after["InstanceId"]})
    retag(env, allocation, before, after)
    return Made(id=id_, attributes={"AllocationId": allocation, "PublicIp": id_})


def _allocation(env: Env, public_ip: str) -> str | None:
    for row in env.call.tx.find(tables.ELASTIC_IPS_BY_PUBLIC_IP, public_ip):
        if row.account == env.call.account and row.region == env.call.region:
            return row.allocation
    return None


def _delete_address(env: Env, id_: str, p: Properties) -> None:
    allocation = _allocation(env, id_)
    if allocation is not None:
        _leave_instance(env, id_, p)
        delete_if_there(env, "ec2", "ReleaseAddress", {"AllocationId": allocation})


def _leave_instance(env: Env, public_ip: str, p: Properties) -> None:
    """Undo the association that the address's own property InstanceId made."""
    if p.get("InstanceId"):
        delete_if_there(env, "ec2", "DisassociateAddress", {"PublicIp": public_ip})


def _associate_address(env: Env, p: Properties) -> Made:
    allocation = p.get("AllocationId")
    if allocation is None and p.get("EIP"):
        allocation = _allocation(env, p["EIP"])
    reply = env.run(
        "ec2",
        "AssociateAddress",
        {
            "AllocationId": allocation,
            "InstanceId": p.get("InstanceId"),
            "NetworkInterfaceId": p.get("NetworkInterfaceId"),
            "PrivateIpAddress": p.get("PrivateIpAddress"),
        },
    )
    return Made(id=reply["AssociationId"], attributes={"Id": reply["AssociationId"]})


def _disassociate_address(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DisassociateAddress", {"AssociationId": id_})


def _create_nat(env: Env, p: Properties) -> Made:
    names = (
        "SubnetId",
        "AllocationId",
        "ConnectivityType",
        "PrivateIpAddress",
        "SecondaryAllocationIds",
        "SecondaryPrivateIpAddresses",
        "SecondaryPrivateIpAddressCount",
    )
    members = {name: p.get(name) for name in names}
    reply = env.run("ec2", "CreateNatGateway", {**members, "TagSpecifications": tagged(env, p, "natgateway")})
    nat = reply["NatGateway"]["NatGatewayId"]
    return Made(id=nat, attributes={"NatGatewayId": nat})


def _nat_ready(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.NAT_GATEWAYS, id_)
    if row is None:
        return Broken(reason=f"NatGateway {id_} does not exist any more")
    if row.state == "available":
        return READY
    if row.state == "pending":
        return WAITING
    return Broken(
        reason=f"NatGateway {id_} is in state {row.state} and hence failed to stabilize. Detailed failure message: "
        f"{row.failure_message or row.failure_code or 'none'}"
    )


def _nat_gone(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.NAT_GATEWAYS, id_)
    return READY if row is None or row.state == "deleted" else WAITING


def _update_nat(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"NatGatewayId": id_})


def _delete_nat(env: Env, id_: str, p: Properties) -> None:
    row = env.call.tx.get(tables.NAT_GATEWAYS, id_)
    if row is not None and row.state not in ("deleting", "deleted"):
        delete_if_there(env, "ec2", "DeleteNatGateway", {"NatGatewayId": id_})


PROVISIONERS = (
    Native(type="AWS::EC2::VPC", create=_create_vpc, update=_update_vpc, delete=_delete_vpc),
    Native(type="AWS::EC2::VPCCidrBlock", create=_create_block, delete=_delete_block),
    Native(type="AWS::EC2::Subnet", create=_create_subnet, update=_update_subnet, delete=_delete_subnet),
    Native(type="AWS::EC2::SubnetCidrBlock", create=_create_subnet_block, delete=_delete_subnet_block),
    Native(
        type="AWS::EC2::EgressOnlyInternetGateway",
        create=_create_egress_only,
        update=_update_egress_only,
        delete=_delete_egress_only,
        replace_on=("VpcId",),
    ),
    Native(type="AWS::EC2::InternetGateway", create=_create_gateway, update=_update_gateway, delete=_delete_gateway),
    Native(type="AWS::EC2::VPCGatewayAttachment", create=_attach, delete=_detach),
    Native(type="AWS::EC2::EIP", create=_create_address, update=_update_address, delete=_delete_address),
    Native(type="AWS::EC2::EIPAssociation", create=_associate_address, delete=_disassociate_address),
    Native(
        type="AWS::EC2::NatGateway",
        create=_create_nat,
        update=_update_nat,
        delete=_delete_nat,
        ready=_nat_ready,
        gone=_nat_gone,
    ),
)
