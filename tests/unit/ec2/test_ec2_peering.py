"""VPC peering: its states, who may do what, who sees what for how long, and what routes and rules make of it."""

from __future__ import annotations

from typing import Any

import pytest
from ec2_account import MODEL, Ec2

from ecsnet.controllers import vpc_peering
from ecsnet.model.tables import PEERINGS
from ecsnet.services.ec2.vpc_peerings import TRANSITIONS

OTHER = "444455556666"
HOUR, DAY = 3600.0, 86_400.0


def request(one: Ec2, vpc: str, far: str, **more: Any) -> str:
    made = one("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=far, **more)
    return str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])


def peered(one: Ec2, other: Ec2 | None = None) -> tuple[str, str, str]:
    """(connection, requester's VPC, accepter's VPC), active."""
    other = other or one
    vpc, far = one.vpc("10.0.0.0/16"), other.vpc("10.1.0.0/16")
    pcx = request(one, vpc, far, PeerOwnerId=other.account, PeerRegion=other.region)
    other("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    return pcx, vpc, far


def seen(one: Ec2, pcx: str) -> Any:
    (item,) = one("DescribeVpcPeeringConnections", VpcPeeringConnectionIds=[pcx])["VpcPeeringConnections"]
    return item


def status(one: Ec2, pcx: str) -> str:
    return str(seen(one, pcx)["Status"]["Code"])


def listed(one: Ec2, after: float = 0.0) -> list[str]:
    later = one.other(now=one.now + after)
    found = later("DescribeVpcPeeringConnections")["VpcPeeringConnections"]
    return [item["VpcPeeringConnectionId"] for item in found]


# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_waits_and_becomes_active_when_accepted(bare: Ec2) -> None:
    vpc, far = bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16")
    made = bare("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=far)["VpcPeeringConnection"]
    assert made["Status"] == {
        "Code": "pending-acceptance",
        "Message": "Pending Acceptance by 111122223333",
    }
    assert made["ExpirationTime"] == bare.now + 7 * DAY
    assert made["RequesterVpcInfo"]["CidrBlock"] == "10.0.0.0/16"
    assert made["AccepterVpcInfo"] == {"OwnerId": bare.account, "VpcId": far, "Region": "us-east-1"}
    pcx = made["VpcPeeringConnectionId"]
    active = bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)["VpcPeeringConnection"]
    assert active["Status"] == {"Code": "active", "Message": "Active"}
    assert "ExpirationTime" not in active
    assert active["AccepterVpcInfo"]["CidrBlockSet"] == [{"CidrBlock": "10.1.0.0/16"}]
    assert active["AccepterVpcInfo"]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"] is False


def test_only_a_waiting_request_is_answered_and_only_live_connections_are_deleted(bare: Ec2) -> None:
    pcx, vpc, far = peered(bare)
    text = f"VpcPeeringConnectionID {pcx} is not in the correct state for the request."
    for call in ("AcceptVpcPeeringConnection", "RejectVpcPeeringConnection"):
        assert bare.error(call, VpcPeeringConnectionId=pcx) == ("InvalidStateTransition", text)
    assert bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx) == {"Return": True}
    assert status(bare, pcx) == "deleted"
    assert bare.error("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx) == ("InvalidStateTransition", text)
    again = request(bare, vpc, far)
    bare("RejectVpcPeeringConnection", VpcPeeringConnectionId=again)
    assert status(bare, again) == "rejected"
    assert bare.error("DeleteVpcPeeringConnection", VpcPeeringConnectionId=again)[0] == "InvalidStateTransition"


def test_the_accepter_rejects_what_waits_and_the_requester_takes_it_back(bare: Ec2) -> None:
    other = bare.other(account=OTHER)
    pcx = request(bare, bare.vpc("10.0.0.0/16"), other.vpc("10.1.0.0/16"), PeerOwnerId=OTHER)
    assert other.error("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)[0] == "InvalidStateTransition"
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert seen(bare, pcx)["Status"] == {"Code": "deleted", "Message": f"Deleted by {bare.account}"}


def test_unknown_ids(bare: Ec2) -> None:
    unknown = f"pcx-{0:017x}"
    for call in ("Accept", "Reject", "Delete"):
        assert bare.error(f"{call}VpcPeeringConnection", VpcPeeringConnectionId=unknown) == (
            "InvalidVpcPeeringConnectionID.NotFound",
            f"VpcPeeringConnectionID {unknown} does not exist.",
        )
    code, _ = bare.error("DescribeVpcPeeringConnections", VpcPeeringConnectionIds=["pcx-x"])
    assert code == "InvalidVpcPeeringConnectionID.Malformed"


def test_every_state_of_the_api_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(MODEL.shape_for("VpcPeeringConnectionStateReasonCode").enum)
    assert {status for ends in TRANSITIONS.values() for status in ends} <= set(TRANSITIONS)


# ── what cannot be peered ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("far", ["10.0.0.0/16", "10.0.128.0/20"])
def test_overlapping_blocks_end_as_failed(bare: Ec2, far: str) -> None:
    pcx = request(bare, bare.vpc("10.0.0.0/16"), bare.vpc(far))
    assert seen(bare, pcx)["Status"] == {
        "Code": "failed",
        "Message": "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
    }
    assert bare.error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)[0] == "InvalidStateTransition"


def test_any_block_that_overlaps_counts(bare: Ec2) -> None:
    vpc, far = bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16")
    bare("AssociateVpcCidrBlock", VpcId=far, CidrBlock="10.9.0.0/16")
    bare("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.9.128.0/17")
    assert status(bare, request(bare, vpc, far)) == "failed"


def test_a_peer_that_does_not_exist_ends_as_failed_in_another_account_and_is_an_error_in_the_own(bare: Ec2) -> None:
    vpc, unknown = bare.vpc("10.0.0.0/16"), f"vpc-{7:017x}"
    assert bare.error("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=unknown)[0] == "InvalidVpcID.NotFound"
    assert status(bare, request(bare, vpc, unknown, PeerOwnerId=OTHER)) == "failed"
    far = bare.other(account=OTHER).vpc("10.1.0.0/16")
    assert status(bare, request(bare, vpc, far, PeerOwnerId=OTHER, PeerRegion="eu-west-1")) == "failed"
    assert bare.error("CreateVpcPeeringConnection", VpcId=vpc, PeerVpcId=vpc)[0] == "InvalidParameterValue"


def test_two_vpcs_have_one_connection(bare: Ec2) -> None:
    pcx, vpc, far = peered(bare)
    for one, other in ((vpc, far), (far, vpc)):
        code, _ = bare.error("CreateVpcPeeringConnection", VpcId=one, PeerVpcId=other)
        assert code == "VpcPeeringConnectionAlreadyExists"
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert status(bare, request(bare, far, vpc)) == "pending-acceptance"


def test_quotas_of_a_vpc(bare: Ec2) -> None:
    bare.quotas.update(outstanding_peerings_per_vpc=1, active_peerings_per_vpc=1)
    hub, one, two, three = (bare.vpc(f"10.{number}.0.0/16") for number in range(4))
    first = request(bare, hub, one)
    code, _ = bare.error("CreateVpcPeeringConnection", VpcId=hub, PeerVpcId=two)
    assert code == "OutstandingVpcPeeringConnectionLimitExceeded"
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=first)
    second = request(bare, hub, two)
    code, _ = bare.error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=second)
    assert code == "ActiveVpcPeeringConnectionPerVpcLimitExceeded"
    assert status(bare, request(bare, two, three)) == "pending-acceptance"


def test_a_new_block_of_a_peered_vpc(bare: Ec2) -> None:
    vpc, far = bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16")
    pcx = request(bare, vpc, far)
    code, _ = bare.error("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.8.0.0/16")
    assert code == "OperationNotPermitted"
    bare("AssociateVpcCidrBlock", VpcId=far, CidrBlock="10.9.0.0/16")
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert bare.error("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.9.0.0/17")[0] == "InvalidVpc.Conflict"
    bare("AssociateVpcCidrBlock", VpcId=vpc, CidrBlock="10.8.0.0/16")
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    again = request(bare, vpc, far)
    bare("AssociateVpcCidrBlock", VpcId=far, CidrBlock="10.8.0.0/20")
    assert status(bare, again) == "failed"


def test_a_vpc_with_a_live_peering_is_not_deleted(bare: Ec2) -> None:
    pcx, vpc, far = peered(bare)
    code, text = bare.error("DeleteVpc", VpcId=vpc)
    assert (code, pcx in text) == ("DependencyViolation", True)
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    bare("DeleteVpc", VpcId=vpc)
    bare("DeleteVpc", VpcId=far)
    assert status(bare, pcx) == "deleted"


# ── accounts and regions ─────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_accepters_account_in_its_region_accepts(bare: Ec2) -> None:
    other = bare.other(account=OTHER, region="eu-west-1")
    vpc, far = bare.vpc("10.0.0.0/16"), other.vpc("10.1.0.0/16")
    pcx = request(bare, vpc, far, PeerOwnerId=OTHER, PeerRegion="eu-west-1")
    assert bare.error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx) == (
        "OperationNotPermitted",
        f"User ({bare.account}) cannot accept peering {pcx}",
    )
    assert bare.other(account=OTHER).error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx) == (
        "OperationNotPermitted",
        f"Incorrect region (us-east-1) specified for this request. VPC peering connection {pcx} must be accepted in "
        "region eu-west-1",
    )
    stranger = bare.other(account="777788889999")
    code, _ = stranger.error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert code == "InvalidVpcPeeringConnectionID.NotFound"
    assert listed(stranger) == []
    other("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert listed(bare) == listed(other) == [pcx]
    assert status(bare, pcx) == status(other, pcx) == "active"


def test_each_side_has_tags_of_its_own(bare: Ec2) -> None:
    other = bare.other(account=OTHER)
    vpc, far = bare.vpc("10.0.0.0/16"), other.vpc("10.1.0.0/16")
    tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "Name", "Value": "ours"}]}]
    pcx = request(bare, vpc, far, PeerOwnerId=OTHER, TagSpecifications=tags)
    assert seen(other, pcx)["Tags"] == []
    other("CreateTags", Resources=[pcx], Tags=[{"Key": "Name", "Value": "theirs"}])
    assert seen(bare, pcx)["Tags"] == [{"Key": "Name", "Value": "ours"}]
    assert seen(other, pcx)["Tags"] == [{"Key": "Name", "Value": "theirs"}]
    for one, value in ((bare, "ours"), (other, "theirs")):
        chosen = {"Filters": [{"Name": "tag:Name", "Values": [value]}]}
        assert len(one("DescribeVpcPeeringConnections", **chosen)["VpcPeeringConnections"]) == 1
        (tag,) = one("DescribeTags", Filters=[{"Name": "resource-id", "Values": [pcx]}])["Tags"]
        assert (tag["ResourceType"], tag["Value"]) == ("vpc-peering-connection", value)
    assert bare("DescribeVpcPeeringConnections", Filters=[{"Name": "tag:Name", "Values": ["theirs"]}]) == {
        "VpcPeeringConnections": []
    }
    bare("DeleteTags", Resources=[pcx])
    assert (seen(bare, pcx)["Tags"], len(seen(other, pcx)["Tags"])) == ([], 1)


def test_filters_ids_and_pages(bare: Ec2) -> None:
    hub = bare.vpc("10.0.0.0/16")
    bare.quotas["vpcs_per_region"] = 20
    made = [request(bare, hub, bare.vpc(f"10.{number}.0.0/16")) for number in range(1, 8)]
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=made[0])

    def chosen(name: str, value: str) -> list[str]:
        reply = bare("DescribeVpcPeeringConnections", Filters=[{"Name": name, "Values": [value]}])
        return [item["VpcPeeringConnectionId"] for item in reply["VpcPeeringConnections"]]

    far = seen(bare, made[0])["AccepterVpcInfo"]["VpcId"]
    assert chosen("status-code", "active") == [made[0]]
    assert chosen("accepter-vpc-info.vpc-id", far) == [made[0]]
    assert chosen("requester-vpc-info.vpc-id", far) == []
    assert chosen("accepter-vpc-info.cidr-block", "10.1.0.0/16") == [made[0]]
    assert chosen("accepter-vpc-info.cidr-block", "10.3.0.0/16") == [], "not told before it is accepted"
    assert chosen("requester-vpc-info.owner-id", bare.account) == made
    assert chosen("vpc-peering-connection-id", made[4]) == [made[4]]
    assert bare.error("DescribeVpcPeeringConnections", Filters=[{"Name": "x", "Values": ["y"]}])[0] == (
        "InvalidParameterValue"
    )
    first = bare("DescribeVpcPeeringConnections", MaxResults=5)
    rest = bare("DescribeVpcPeeringConnections", MaxResults=5, NextToken=first["NextToken"])
    ids = [item["VpcPeeringConnectionId"] for page in (first, rest) for item in page["VpcPeeringConnections"]]
    assert ids == made
    assert "NextToken" not in rest


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def follow(one: Ec2, pcx: str, at: float) -> float | None:
    due: float | None = one.other(now=at).verb(vpc_peering.step, pcx)
    return due


def test_a_request_expires_after_seven_days(bare: Ec2) -> None:
    pcx = request(bare, bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16"))
    end = bare.now + 7 * DAY
    assert follow(bare, pcx, bare.now) == end
    assert follow(bare, pcx, end - 1) == end
    late = bare.other(now=end)
    assert late.error("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)[0] == "InvalidStateTransition"
    assert follow(bare, pcx, end) == end + 2 * DAY
    assert status(late, pcx) == "expired"
    assert follow(bare, pcx, end + 2 * DAY) is None
    assert bare.store.snapshot.get(PEERINGS, pcx) is None


@pytest.mark.parametrize(
    ("end", "ours", "theirs"),
    [("failed", 2 * HOUR, 0.0), ("rejected", 2 * DAY, 2 * HOUR), ("deleted", 2 * HOUR, 2 * DAY)],
)
def test_ended_connections_are_listed_for_a_while(bare: Ec2, end: str, ours: float, theirs: float) -> None:
    other = bare.other(account=OTHER)
    vpc, far = bare.vpc("10.0.0.0/16"), other.vpc("10.0.0.0/16" if end == "failed" else "10.1.0.0/16")
    pcx = request(bare, vpc, far, PeerOwnerId=OTHER)
    if end == "rejected":
        other("RejectVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    elif end == "deleted":
        other("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
        bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    for one, window in ((bare, ours), (other, theirs)):
        assert not window or listed(one, window - 1) == [pcx]
        assert listed(one, window) == []
        code, _ = one.other(now=one.now + window).error("DescribeVpcPeeringConnections", VpcPeeringConnectionIds=[pcx])
        assert code == "InvalidVpcPeeringConnectionID.NotFound"
    last = bare.now + max(ours, theirs)
    assert follow(bare, pcx, bare.now) == last
    assert follow(bare, pcx, last) is None
    assert bare.store.snapshot.get(PEERINGS, pcx) is None


# ── routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def main_table(one: Ec2, vpc: str) -> str:
    chosen = [{"Name": "vpc-id", "Values": [vpc]}]
    return str(one("DescribeRouteTables", Filters=chosen)["RouteTables"][0]["RouteTableId"])


def route_state(one: Ec2, table: str) -> str:
    routes = one("DescribeRouteTables", RouteTableIds=[table])["RouteTables"][0]["Routes"]
    (found,) = [route for route in routes if "VpcPeeringConnectionId" in route]
    return str(found["State"])


def test_a_route_is_a_black_hole_until_the_request_is_accepted_and_after_the_end(bare: Ec2) -> None:
    vpc, far = bare.vpc("10.0.0.0/16"), bare.vpc("10.1.0.0/16")
    pcx, table = request(bare, vpc, far), main_table(bare, vpc)
    bare("CreateRoute", RouteTableId=table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=pcx)
    assert route_state(bare, table) == "blackhole"
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert route_state(bare, table) == "active"
    chosen = [{"Name": "route.vpc-peering-connection-id", "Values": [pcx]}]
    assert len(bare("DescribeRouteTables", Filters=chosen)["RouteTables"]) == 1
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert route_state(bare, table) == "blackhole"
    again = request(bare, vpc, far)
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=again)
    bare("ReplaceRoute", RouteTableId=table, DestinationCidrBlock="10.1.0.0/16", VpcPeeringConnectionId=again)
    assert route_state(bare, table) == "active"


def test_a_route_needs_a_live_connection_of_its_own_vpc(bare: Ec2) -> None:
    pcx, vpc, _far = peered(bare)
    third = bare.vpc("10.2.0.0/16")
    members = {"DestinationCidrBlock": "10.1.0.0/16", "VpcPeeringConnectionId": pcx}
    assert bare.error("CreateRoute", RouteTableId=main_table(bare, third), **members)[0] == "InvalidParameterValue"
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    code, _ = bare.error("CreateRoute", RouteTableId=main_table(bare, vpc), **members)
    assert code == "InvalidVpcPeeringConnectionID.NotFound"
    stranger = bare.other(account=OTHER)
    code, _ = stranger.error("CreateRoute", RouteTableId=main_table(stranger, stranger.vpc("10.7.0.0/16")), **members)
    assert code == "InvalidVpcPeeringConnectionID.NotFound"


# ── options ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DNS = {"AllowDnsResolutionFromRemoteVpc": True}


def hostnames(one: Ec2, vpc: str) -> None:
    one("ModifyVpcAttribute", VpcId=vpc, EnableDnsHostnames={"Value": True})


def test_each_side_lets_the_other_resolve_its_names(bare: Ec2) -> None:
    other = bare.other(account=OTHER)
    pcx, vpc, far = peered(bare, other)
    modify = "ModifyVpcPeeringConnectionOptions"
    code, _ = bare.error(modify, VpcPeeringConnectionId=pcx, RequesterPeeringConnectionOptions=DNS)
    assert code == "InvalidVpcPeeringConnectionState.DnsHostnamesDisabled"
    hostnames(bare, vpc)
    hostnames(other, far)
    code, _ = bare.error(modify, VpcPeeringConnectionId=pcx, AccepterPeeringConnectionOptions=DNS)
    assert code == "OperationNotPermitted"
    reply = bare(modify, VpcPeeringConnectionId=pcx, RequesterPeeringConnectionOptions=DNS)
    assert reply == {"RequesterPeeringConnectionOptions": DNS}
    item = seen(other, pcx)
    assert item["RequesterVpcInfo"]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"] is True
    assert item["AccepterVpcInfo"]["PeeringOptions"]["AllowDnsResolutionFromRemoteVpc"] is False
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    assert bare.error(modify, VpcPeeringConnectionId=pcx, RequesterPeeringConnectionOptions=DNS) == (
        "OperationNotPermitted",
        f"Peering {pcx} is not active. Peering options can be added only to active peerings.",
    )


def test_options_that_are_not_built_are_an_error(bare: Ec2) -> None:
    pcx, _vpc, _far = peered(bare)
    code, _ = bare.error(
        "ModifyVpcPeeringConnectionOptions",
        VpcPeeringConnectionId=pcx,
        RequesterPeeringConnectionOptions={"AllowEgressFromLocalVpcToRemoteClassicLink": True},
    )
    assert code == "NotImplemented"


# ── group rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def group(one: Ec2, vpc: str, name: str = "web") -> str:
    return str(one("CreateSecurityGroup", GroupName=name, Description="x", VpcId=vpc)["GroupId"])


def pair(key: str) -> list[dict[str, Any]]:
    return [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "UserIdGroupPairs": [{"GroupId": key}]}]


def stale(one: Ec2, vpc: str) -> Any:
    return one("DescribeStaleSecurityGroups", VpcId=vpc)["StaleSecurityGroupSet"]


def test_a_rule_may_name_a_group_of_the_peer_also_of_another_account(bare: Ec2) -> None:
    other = bare.other(account=OTHER)
    pcx, vpc, far = peered(bare, other)
    ours, theirs = group(bare, vpc), group(other, far)
    made = bare("AuthorizeSecurityGroupIngress", GroupId=ours, IpPermissions=pair(f"{OTHER}/{theirs}"))
    (rule,) = made["SecurityGroupRules"]
    expected = {
        "GroupId": theirs,
        "UserId": OTHER,
        "VpcId": far,
        "VpcPeeringConnectionId": pcx,
        "PeeringStatus": "active",
    }
    assert rule["ReferencedGroupInfo"] == expected
    (item,) = bare("DescribeSecurityGroups", GroupIds=[ours])["SecurityGroups"]
    assert item["IpPermissions"][0]["UserIdGroupPairs"] == [expected]
    assert other("DescribeSecurityGroupReferences", GroupId=[theirs])["SecurityGroupReferenceSet"] == [
        {"GroupId": theirs, "ReferencingVpcId": vpc, "VpcPeeringConnectionId": pcx}
    ]
    assert bare("DescribeSecurityGroupReferences", GroupId=[ours])["SecurityGroupReferenceSet"] == []
    assert stale(bare, vpc) == []
    assert bare.error("AuthorizeSecurityGroupIngress", GroupId=ours, IpPermissions=pair(theirs))[0] == (
        "InvalidPermission.Duplicate"
    )


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_without_an_active_peering_in_the_region_a_far_group_is_unknown(bare: Ec2, region: str) -> None:
    other = bare.other(region=region)
    vpc, far = bare.vpc("10.0.0.0/16"), other.vpc("10.1.0.0/16")
    ours, theirs = group(bare, vpc), group(other, far)
    pcx = request(bare, vpc, far, PeerRegion=region)
    if region != "us-east-1":
        other("AcceptVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    code, _ = bare.error("AuthorizeSecurityGroupIngress", GroupId=ours, IpPermissions=pair(theirs))
    assert code == "InvalidGroup.NotFound"


def test_a_rule_is_stale_without_the_peering_and_in_force_when_the_vpcs_are_peered_again(bare: Ec2) -> None:
    pcx, vpc, far = peered(bare)
    ours, theirs = group(bare, vpc), group(bare, far)
    bare("AuthorizeSecurityGroupIngress", GroupId=ours, IpPermissions=pair(theirs))
    bare("DeleteVpcPeeringConnection", VpcPeeringConnectionId=pcx)
    (item,) = stale(bare, vpc)
    assert (item["GroupId"], item["VpcId"], item["StaleIpPermissionsEgress"]) == (ours, vpc, [])
    (permission,) = item["StaleIpPermissions"]
    (reference,) = permission["UserIdGroupPairs"]
    assert (reference["PeeringStatus"], reference["VpcPeeringConnectionId"]) == ("deleted", pcx)
    assert stale(bare, far) == []
    assert bare("DescribeSecurityGroupReferences", GroupId=[theirs])["SecurityGroupReferenceSet"] == []
    again = request(bare, far, vpc)
    assert len(stale(bare, vpc)) == 1
    bare("AcceptVpcPeeringConnection", VpcPeeringConnectionId=again)
    assert stale(bare, vpc) == []
    (shown,) = bare("DescribeSecurityGroups", GroupIds=[ours])["SecurityGroups"]
    assert shown["IpPermissions"][0]["UserIdGroupPairs"][0]["VpcPeeringConnectionId"] == again


def test_a_group_that_only_the_peer_names_may_go_and_leaves_a_stale_rule_that_may_be_revoked(bare: Ec2) -> None:
    _pcx, vpc, far = peered(bare)
    ours, theirs = group(bare, vpc), group(bare, far)
    bare("AuthorizeSecurityGroupEgress", GroupId=ours, IpPermissions=pair(theirs))
    bare("DeleteSecurityGroup", GroupId=theirs)
    (item,) = stale(bare, vpc)
    assert item["StaleIpPermissionsEgress"][0]["UserIdGroupPairs"][0]["GroupId"] == theirs
    assert bare.error("AuthorizeSecurityGroupIngress", GroupId=ours, IpPermissions=pair(theirs))[0] == (
        "InvalidGroup.NotFound"
    )
    revoked = bare("RevokeSecurityGroupEgress", GroupId=ours, IpPermissions=pair(theirs))
    assert len(revoked["RevokedSecurityGroupRules"]) == 1
    assert stale(bare, vpc) == []
