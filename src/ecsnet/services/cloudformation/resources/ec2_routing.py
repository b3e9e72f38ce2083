"""Route tables, routes, network ACLs, DHCP options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties, delete_if_there
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged


def _create_table(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2", "CreateRouteTable", {"VpcId": p.get("VpcId"), "TagSpecifications": tagged(env, p, "route-table")}
    )
    table = reply["RouteTable"]["RouteTableId"]
    return Made(id=table, attributes={"RouteTableId": table})


def _update_table(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"RouteTableId": id_})


def _delete_table(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteRouteTable", {"RouteTableId": id_})


# ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")


def _route_members(p: Properties) -> dict[str, Any]:
    return dict(p)


def _destination(p: Properties) -> dict[str, Any]:
    return {"RouteTableId": p["RouteTableId"], **{name: p[name] for name in _DESTINATIONS if name in p}}


def _create_route(env: Env, p: Properties) -> Made:
    env.run("ec2", "CreateRoute", _route_members(p))
    where = "".join(str(p[name]) for name in _DESTINATIONS if name in p)
    return Made(id=f"{p['RouteTableId']}|{where}", attributes={"CidrBlock": where})


def _update_route(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    env.run("ec2", "ReplaceRoute", _route_members(after))
    return Made(id=id_, attributes={"CidrBlock": id_.split("|", 1)[1]})


def _delete_route(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteRoute", _destination(p))


def _associate(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "AssociateRouteTable", {"RouteTableId": p["RouteTableId"], "SubnetId": p["SubnetId"]})
    return Made(id=reply["AssociationId"], attributes={"Id": reply["AssociationId"]})


def _associate_gateway(env: Env, p: Properties) -> Made:
    reply = env.run("ec2", "AssociateRouteTable", {"RouteTableId": p["RouteTableId"], "GatewayId": p["GatewayId"]})
    return Made(id=reply["AssociationId"], attributes={"AssociationId": reply["AssociationId"]})


def _reassociate_gateway(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    made = _reassociate(env, id_, before, after)
    return Made(id=made.id, attributes={"AssociationId": made.id})


def _reassociate(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    """Changing the table of a subnet keeps it associated throughout; the association's id changes."""
    reply = env.run(
        "ec2", "ReplaceRouteTableAssociation", {"AssociationId": id_, "RouteTableId": after["RouteTableId"]}
    )
    return Made(id=reply["NewAssociationId"], attributes={"Id": reply["NewAssociationId"]})


def _disassociate(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DisassociateRouteTable", {"AssociationId": id_})


# ── network ACLs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_acl(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2", "CreateNetworkAcl", {"VpcId": p.get("VpcId"), "TagSpecifications": tagged(env, p, "network-acl")}
    )
    acl = reply["NetworkAcl"]["NetworkAclId"]
    return Made(id=acl, attributes={"Id": acl})


def _update_acl(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"Id": id_})


def _delete_acl(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteNetworkAcl", {"NetworkAclId": id_})


def _entry(p: Properties) -> Mapping[str, Any]:
    return {
        "NetworkAclId": p["NetworkAclId"],
        "RuleNumber": p["RuleNumber"],
        "Egress": p.get("Egress", False),
        "RuleAction": p["RuleAction"],
        "Protocol": str(p["Protocol"]),
        "CidrBlock": p.get("CidrBlock"),
        "Ipv6CidrBlock": p.get("Ipv6CidrBlock"),
        "PortRange": p.get("PortRange"),
        "IcmpTypeCode": p.get("Icmp"),
    }


def _create_entry(env: Env, p: Properties) -> Made:
    env.run("ec2", "CreateNetworkAclEntry", _entry(p))
    return Made(id=env.naming.name(64), attributes={"Id": env.naming.name(64)})


def _update_entry(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    env.run("ec2", "ReplaceNetworkAclEntry", _entry(after))
    return Made(id=id_, attributes={"Id": id_})


def _delete_entry(env: Env, id_: str, p: Properties) -> None:
    members = {"NetworkAclId": p["NetworkAclId"], "RuleNumber": p["RuleNumber"], "Egress": p.get("Egress", False)}
    delete_if_there(env, "ec2", "DeleteNetworkAclEntry", members)


def _acl_association(env: Env, subnet: str) -> str:
    for row in env.call.tx.find(tables.ACL_ASSOCIATIONS_BY_SUBNET, subnet):
        return row.id
    raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")


def _create_acl_association(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2",
        "ReplaceNetworkAclAssociation",
        {"AssociationId": _acl_association(env, p["SubnetId"]), "NetworkAclId": p["NetworkAclId"]},
    )
    return Made(id=reply["NewAssociationId"], attributes={"AssociationId": reply["NewAssociationId"]})


def _delete_acl_association(env: Env, id_: str, p: Properties) -> None:
    """A subnet always has an ACL: it goes back to the VPC's default one."""
    subnet = env.call.tx.get(tables.SUBNETS, p["SubnetId"])
    association = env.call.tx.get(tables.ACL_ASSOCIATIONS, id_)
    if subnet is None or association is None:
        return
    default = [acl.id for acl in env.call.tx.find(tables.ACLS_BY_VPC, subnet.vpc) if acl.is_default]
    env.run("ec2", "ReplaceNetworkAclAssociation", {"AssociationId": id_, "NetworkAclId": default[0]})


# ── DHCP options ─────────────────────────────────────────────────────────────────────────────────────────────────────

_DHCP = (
    ("DomainName", "domain-name"),
    ("DomainNameServers", "domain-name-servers"),
    ("NtpServers", "ntp-servers"),
    ("NetbiosNameServers", "netbios-name-servers"),
    ("NetbiosNodeType", "netbios-node-type"),
    ("Ipv6AddressPreferredLeaseTime", "ipv6-address-preferred-lease-time"),
)


def _create_dhcp(env: Env, p: Properties) -> Made:
    configurations = []
    for name, key in _DHCP:
        if name in p:
            values = p[name] if isinstance(p[name], list) else [str(p[name])]
            configurations.append({"Key": key, "Values": values})
    reply = env.run(
        "ec2",
        "CreateDhcpOptions",
        {"DhcpConfigurations": configurations, "TagSpecifications": tagged(env, p, "dhcp-options")},
    )
    options = reply["DhcpOptions"]["DhcpOptionsId"]
    return Made(id=options, attributes={"DhcpOptionsId": options})


def _update_dhcp(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return Made(id=id_, attributes={"DhcpOptionsId": id_})


def _delete_dhcp(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteDhcpOptions", {"DhcpOptionsId": id_})


def _use_dhcp(env: Env, p: Properties) -> Made:
    env.run("ec2", "AssociateDhcpOptions", {"DhcpOptionsId": p["DhcpOptionsId"], "VpcId": p["VpcId"]})
    return Made(id=f"{p['DhcpOptionsId']}|{p['VpcId']}")


def _use_other_dhcp(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return _use_dhcp(env, after)


def _leave_dhcp(env: Env, id_: str, p: Properties) -> None:
    """Nothing takes its place on AWS either: the VPC keeps the options until it is given others, so `default` here."""
    vpc = env.call.tx.get(tables.VPCS, p["VpcId"])
    if vpc is not None and vpc.dhcp_options == p["DhcpOptionsId"]:
        env.run("ec2", "AssociateDhcpOptions", {"DhcpOptionsId": "default", "VpcId": p["VpcId"]})


PROVISIONERS = (
    Native(type="AWS::EC2::RouteTable", create=_create_table, update=_update_table, delete=_delete_table),
    Native(type="AWS::EC2::Route", create=_create_route, update=_update_route, delete=_delete_route),
    Native(
        type="AWS::EC2::SubnetRouteTableAssociation",
        create=_associate,
        update=_reassociate,
        delete=_disassociate,
        replace_on=("SubnetId",),
    ),
    Native(
        type="AWS::EC2::GatewayRouteTableAssociation",
        create=_associate_gateway,
        update=_reassociate_gateway,
        delete=_disassociate,
        replace_on=("GatewayId",),
    ),
    Native(type="AWS::EC2::NetworkAcl", create=_create_acl, update=_update_acl, delete=_delete_acl),
    Native(type="AWS::EC2::NetworkAclEntry", create=_create_entry, update=_update_entry, delete=_delete_entry),
    Native(
        type="AWS::EC2::SubnetNetworkAclAssociation",
        create=_create_acl_association,
        delete=_delete_acl_association,
    ),
    Native(type="AWS::EC2::DHCPOptions", create=_create_dhcp, update=_update_dhcp, delete=_delete_dhcp),
    Native(
        type="AWS::EC2::VPCDHCPOptionsAssociation",
        create=_use_dhcp,
        update=_use_other_dhcp,
        delete=_leave_dhcp,
        replace_on=("VpcId",),
    ),
)
