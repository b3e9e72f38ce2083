"""Security groups, their rules, and network interfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties, delete_if_there
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged

_EVERYTHING: Mapping[str, Any] = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
"""The egress rule of a group whose template gives none (user guide, AWS::EC2::SecurityGroup, SecurityGroupEgress)."""


def permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as the template writes it → IpPermission of the EC2 API."""
    protocol = str(rule.get("IpProtocol", "-1")).lower()
    protocol = "-1" if protocol == "all" else protocol
    result: dict[str, Any] = {"IpProtocol": protocol}
    if protocol != "-1":
        for port in ("FromPort", "ToPort"):
            if port in rule:
                result[port] = int(rule[port])
    description = {"Description": rule["Description"]} if rule.get("Description") else {}
    group = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    name = rule.get("SourceSecurityGroupName")
    prefix_list = rule.get("SourcePrefixListId") or rule.get("DestinationPrefixListId")
    if rule.get("CidrIp"):
        result["IpRanges"] = [{"CidrIp": rule["CidrIp"], **description}]
    elif rule.get("CidrIpv6"):
        result["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **description}]
    elif prefix_list:
        result["PrefixListIds"] = [{"PrefixListId": prefix_list, **description}]
    elif group or name:
        owner = rule.get("SourceSecurityGroupOwnerId")
        pair = {"GroupId": group} if group else {"GroupName": name}
        result["UserIdGroupPairs"] = [{**pair, **({"UserId": owner} if owner else {}), **description}]
    else:
        raise AwsError(
            "InvalidParameterValue",
            "A rule needs one of CidrIp, CidrIpv6, SourceSecurityGroupId, SourcePrefixListId (ingress) or "
            "DestinationSecurityGroupId, DestinationPrefixListId (egress).",
        )
    return result


def _distinct(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    permissions: list[dict[str, Any]] = []
    for rule in rules:
        one = permission(rule)
        if one not in permissions:
            permissions.append(one)
    return permissions


def _egress(p: Properties) -> Sequence[Mapping[str, Any]]:
    return p.get("SecurityGroupEgress") or [_EVERYTHING]


def _create_group(env: Env, p: Properties) -> Made:
    members = {
        "GroupName": p.get("GroupName") or env.naming.name(255),
        "Description": p["GroupDescription"],
        "VpcId": p.get("VpcId"),
        "TagSpecifications": tagged(env, p, "security-group"),
    }
    group = env.run("ec2", "CreateSecurityGroup", members)["GroupId"]
    _rules(env, group, "Ingress", [], p.get("SecurityGroupIngress") or [])
    _rules(env, group, "Egress", [_EVERYTHING], _egress(p))
    return Made(id=group, attributes=_group_facts(env, group))


def _rules(
    env: Env, group: str, direction: str, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> None:
    old, new = _distinct(before), _distinct(after)
    gone, fresh = [one for one in old if one not in new], [one for one in new if one not in old]
    if gone:
        env.run("ec2", f"RevokeSecurityGroup{direction}", {"GroupId": group, "IpPermissions": gone})
    if fresh:
        env.run("ec2", f"AuthorizeSecurityGroup{direction}", {"GroupId": group, "IpPermissions": fresh})


def _group_facts(env: Env, group: str) -> Mapping[str, Any]:
    row = env.call.tx.get(tables.GROUPS, group)
    if row is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    return {"GroupId": group, "Id": group, "VpcId": row.vpc, "GroupName": row.name}


def _update_group(env: Env, group: str, before: Properties, after: Properties) -> Made:
    _rules(env, group, "Ingress", before.get("SecurityGroupIngress") or [], after.get("SecurityGroupIngress") or [])
    _rules(env, group, "Egress", _egress(before), _egress(after))
    retag(env, group, before, after)
    return Made(id=group, attributes=_group_facts(env, group))


def _delete_group(env: Env, group: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteSecurityGroup", {"GroupId": group})


def _group_of(env: Env, p: Properties) -> str:
    if p.get("GroupId"):
        return str(p["GroupId"])
    for row in env.call.tx.find(tables.GROUPS_BY_SCOPE, f"{env.call.account}/{env.call.region}"):
        vpc = env.call.tx.get(tables.VPCS, row.vpc)
        if row.name == p.get("GroupName") and vpc is not None and vpc.is_default:
            return row.id
    raise AwsError("InvalidGroup.NotFound", f"The security group '{p.get('GroupName')}' does not exist")


def _create_rule(direction: str, env: Env, p: Properties) -> Made:
    """A rule that the group has already is taken for this one: public templates write rules in both places, inline and
    as resources, and deploy. It stays the group's own."""
    try:
        reply = env.run(
            "ec2",
            f"AuthorizeSecurityGroup{direction}",
            {"GroupId": _group_of(env, p), "IpPermissions": [permission(p)]},
        )
    except AwsError as error:
        if error.code != "InvalidPermission.Duplicate":
            raise
        name = env.naming.name(64)
        return Made(id=name, attributes={"Id": name}, note=f"Made already: {error.message}.")
    rule = reply["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    return Made(id=rule, attributes={"Id": rule})


def _create_ingress(env: Env, p: Properties) -> Made:
    return _create_rule("Ingress", env, p)


def _create_egress(env: Env, p: Properties) -> Made:
    return _create_rule("Egress", env, p)


def _delete_rule(direction: str, env: Env, id_: str) -> None:
    row = env.call.tx.get(tables.GROUP_RULES, id_)
    if row is not None:
        delete_if_there(
            env,
            "ec2",
            f"RevokeSecurityGroup{direction}",
            {"GroupId": row.group, "SecurityGroupRuleIds": [id_]},
        )


def _delete_ingress(env: Env, id_: str, p: Properties) -> None:
    _delete_rule("Ingress", env, id_)


def _delete_egress(env: Env, id_: str, p: Properties) -> None:
    _delete_rule("Egress", env, id_)


# ── network interfaces ───────────────────────────────────────────────────────────────────────────────────────────────


def _create_interface(env: Env, p: Properties) -> Made:
    reply = env.run(
        "ec2",
        "CreateNetworkInterface",
        {
            "SubnetId": p.get("SubnetId"),
            "Description": p.get("Description"),
            "Groups": p.get("GroupSet"),
            "PrivateIpAddress": p.get("PrivateIpAddress"),
            "PrivateIpAddresses": p.get("PrivateIpAddresses"),
            "SecondaryPrivateIpAddressCount": p.get("SecondaryPrivateIpAddressCount"),
            "Ipv4Prefixes": p.get("Ipv4Prefixes"),
            "Ipv4PrefixCount": p.get("Ipv4PrefixCount"),
            "Ipv6Addresses": p.get("Ipv6Addresses"),
            "Ipv6AddressCount": p.get("Ipv6AddressCount"),
            "Ipv6Prefixes": p.get("Ipv6Prefixes"),
            "Ipv6PrefixCount": p.get("Ipv6PrefixCount"),
            "EnablePrimaryIpv6": p.get("EnablePrimaryIpv6"),
            "ConnectionTrackingSpecification": p.get("ConnectionTrackingSpecification"),
            "InterfaceType": p.get("InterfaceType"),
            "TagSpecifications": tagged(env, p, "network-interface"),
        },
    )
    interface = reply["NetworkInterface"]["NetworkInterfaceId"]
    if p.get("SourceDestCheck") is False:
        _source_check(env, interface, wanted=False)
    return Made(id=interface, attributes=_interface_facts(env, interface))


def _source_check(env: Env, interface: str, *, wanted: bool) -> None:
    env.run(
        "ec2",
        "ModifyNetworkInterfaceAttribute",
        {"NetworkInterfaceId": interface, "SourceDestCheck": {"Value": wanted}},
    )


def _interface_facts(env: Env, interface: str) -> Mapping[str, Any]:
    row = env.call.tx.get(tables.INTERFACES, interface)
    if row is None:
        raise AwsError("InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{interface}' does not exist")
    return {
        "Id": interface,
        "VpcId": row.vpc,
        "PrimaryPrivateIpAddress": "" if row.private_ip is None else str(row.private_ip),
        "PrimaryIpv6Address": str(row.ipv6_ips[0]) if row.primary_ipv6 else "",
        "SecondaryPrivateIpAddresses": [str(address) for address in row.secondary_ips],
    }


def _update_interface(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    if after.get("GroupSet") != before.get("GroupSet") and after.get("GroupSet"):
        env.run("ec2", "ModifyNetworkInterfaceAttribute", {"NetworkInterfaceId": id_, "Groups": after["GroupSet"]})
    if after.get("Description") != before.get("Description"):
        members = {"NetworkInterfaceId": id_, "Description": {"Value": after.get("Description", "")}}
        env.run("ec2", "ModifyNetworkInterfaceAttribute", members)
    if after.get("SourceDestCheck", True) != before.get("SourceDestCheck", True):
        _source_check(env, id_, wanted=after.get("SourceDestCheck", True))
    retag(env, id_, before, after)
    return Made(id=id_, attributes=_interface_facts(env, id_))


def _delete_interface(env: Env, id_: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": id_})


def _associate(env: Env, p: Properties) -> Made:
    env.run("ec2", "AssociateSecurityGroupVpc", {"GroupId": p["GroupId"], "VpcId": p["VpcId"]})
    group = env.call.tx.get(tables.GROUPS, p["GroupId"])
    vpc = env.call.tx.get(tables.VPCS, p["VpcId"])
    assert group is not None
    assert vpc is not None
    facts = {"State": "associated", "StateReason": "", "VpcOwnerId": vpc.account}
    return Made(id=f"{group.id}|{vpc.id}", attributes=facts)


def _disassociate(env: Env, id_: str, p: Properties) -> None:
    members = {"GroupId": p["GroupId"], "VpcId": p["VpcId"]}
    delete_if_there(env, "ec2", "DisassociateSecurityGroupVpc", members)


PROVISIONERS = (
    Native(type="AWS::EC2::SecurityGroup", create=_create_group, update=_update_group, delete=_delete_group),
    Native(type="AWS::EC2::SecurityGroupIngress", create=_create_ingress, delete=_delete_ingress),
    Native(type="AWS::EC2::SecurityGroupEgress", create=_create_egress, delete=_delete_egress),
    Native(type="AWS::EC2::SecurityGroupVpcAssociation", create=_associate, delete=_disassociate),
    Native(
        type="AWS::EC2::NetworkInterface",
        create=_create_interface,
        update=_update_interface,
        delete=_delete_interface,
    ),
)
