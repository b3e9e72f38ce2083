"""The VPC peering calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from ipaddress import IPv4Network
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import PEERINGS, PEERINGS_BY_VPC, VPCS
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.filters import Extract, Filters, moment
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.tagging import specified, tag_set
from ecsnet.services.ec2.vpc_peerings import (
    LIFETIME,
    LIVE,
    Role,
    between,
    check_active_quota,
    check_pending_quota,
    is_listed,
    move,
    overdue,
    overlap,
    own_side,
    replace_side,
    role,
    side,
    wrong_state,
)

_ROLES: tuple[Role, ...] = ("requester", "accepter")
_DNS = "AllowDnsResolutionFromRemoteVpc"


def create_vpc_peering_connection(call: Call, request: Request) -> Reply:
    """Ask the owner of another VPC, of whatever account and region, for a connection.

    What the requester cannot know (a peer that does not exist, overlapping blocks) ends in state failed.

    Source: EC2 API, CreateVpcPeeringConnection. Raises VpcPeeringConnectionAlreadyExists,
    OutstandingVpcPeeringConnectionLimitExceeded, InvalidVpcID.NotFound.
    """
    if any((request.get("RequesterPeeringConnectionOptions") or {}).values()):
        raise not_implemented("CreateVpcPeeringConnection", "RequesterPeeringConnectionOptions")
    vpc = families.VPC.require(call, request["VpcId"])
    far = request.get("PeerVpcId")
    if not far:
        raise errors.missing_parameter("peerVpcId")
    if far == vpc.id:
        raise errors.invalid_value("peerVpcId", far, "A VPC cannot be peered with itself.")
    accepter = ec2.PeeringSide(
        account=request.get("PeerOwnerId") or call.account, region=request.get("PeerRegion") or call.region, vpc=far
    )
    if (accepter.account, accepter.region) == (call.account, call.region):
        families.VPC.require(call, far)
    if between(call.tx, vpc.id, far) is not None:
        raise AwsError("VpcPeeringConnectionAlreadyExists", "A VPC peering connection between the VPCs already exists.")
    check_pending_quota(call, vpc.id)
    tags = specified(request, families.PEERING.noun)
    row = ec2.VpcPeeringConnection(
        id=call.ids.resource("pcx"),
        requester=ec2.PeeringSide(account=call.account, region=call.region, vpc=vpc.id, tags=tags),
        accepter=accepter,
        status="initiating-request",
        message="",
        created=call.now,
        expires=call.now + LIFETIME,
    )
    peer = call.tx.get(VPCS, far)
    known = peer is not None and (peer.account, peer.region) == (accepter.account, accepter.region)
    possible = known and not overlap(call.tx, vpc.id, far)
    row = move(call, row, "pending-acceptance" if possible else "failed")
    return {"VpcPeeringConnection": _cached(call, row).build()}


def accept_vpc_peering_connection(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AcceptVpcPeeringConnection.

    Raises OperationNotPermitted for another account than the accepter's, and in another region than the accepter's;
    InvalidStateTransition, ActiveVpcPeeringConnectionPerVpcLimitExceeded.
    """
    row = _asked(call, request["VpcPeeringConnectionId"], "accept")
    check_active_quota(call, row)
    row = move(call, row, "failed" if overlap(call.tx, row.requester.vpc, row.accepter.vpc) else "active")
    return {"VpcPeeringConnection": _cached(call, row).build()}


def reject_vpc_peering_connection(call: Call, request: Request) -> Reply:
    """Source: EC2 API, RejectVpcPeeringConnection. Raises what AcceptVpcPeeringConnection does."""
    row = _asked(call, request["VpcPeeringConnectionId"], "reject")
    move(call, row, "rejected", by=call.account, ended_by="accepter")
    return {"Return": True}


def _asked(call: Call, key: str, verb: str) -> ec2.VpcPeeringConnection:
    """The request that waits for this account's answer in this region."""
    row = call.tx.get(PEERINGS, key)
    if row is None or call.account not in (row.requester.account, row.accepter.account):
        raise families.PEERING.unknown(key)
    if call.account != row.accepter.account:
        raise AwsError("OperationNotPermitted", f"User ({call.account}) cannot {verb} peering {key}")
    if call.region != row.accepter.region:
        raise AwsError(
            "OperationNotPermitted",
            f"Incorrect region ({call.region}) specified for this request. VPC peering connection {key} must be "
            f"{verb}ed in region {row.accepter.region}",
        )
    if row.status != "pending-acceptance" or overdue(call, row):
        raise wrong_state(key)
    return row


def delete_vpc_peering_connection(call: Call, request: Request) -> Reply:
    """Either side may end an active connection, the requester also one that nobody has accepted.

    Source: EC2 API, DeleteVpcPeeringConnection. Raises InvalidStateTransition, InvalidVpcPeeringConnectionID.NotFound.
    """
    row = _LISTING.named(call, request["VpcPeeringConnectionId"])
    own = role(call, row)
    if row.status not in LIVE or (row.status == "pending-acceptance" and own != "requester"):
        raise wrong_state(row.id)
    move(call, row, "deleted", by=call.account, ended_by=own)
    return {"Return": True}


def modify_vpc_peering_connection_options(call: Call, request: Request) -> Reply:
    """Set what one side, or both when they are of one account and region, lets the other do.

    Source: EC2 API, ModifyVpcPeeringConnectionOptions. Raises OperationNotPermitted while the connection is not active
    and for the other side's options; InvalidVpcPeeringConnectionState.DnsHostnamesDisabled.
    """
    row = _LISTING.named(call, request["VpcPeeringConnectionId"])
    given = {which: request.get(f"{which.capitalize()}PeeringConnectionOptions") for which in _ROLES}
    if not any(given.values()):
        raise errors.missing_parameter("accepterPeeringConnectionOptions or requesterPeeringConnectionOptions")
    if row.status != "active":
        raise AwsError(
            "OperationNotPermitted",
            f"Peering {row.id} is not active. Peering options can be added only to active peerings.",
        )
    reply: dict[str, Any] = {}
    for which in _ROLES:
        options = given[which]
        if not options:
            continue
        _check_options(call, row, which, options)
        if _DNS in options:
            row = replace_side(row, which, remote_dns=bool(options[_DNS]))
        reply[f"{which.capitalize()}PeeringConnectionOptions"] = {_DNS: side(row, which).remote_dns}
    call.tx.put(PEERINGS, row)
    return reply


def _check_options(call: Call, row: ec2.VpcPeeringConnection, which: Role, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if name != _DNS and value:
            raise not_implemented("ModifyVpcPeeringConnectionOptions", name)
    own = side(row, which)
    if (own.account, own.region) != (call.account, call.region):
        raise AwsError(
            "OperationNotPermitted",
            f"User ({call.account}) cannot modify {which} peering options of {row.id} in region {call.region}",
        )
    if options.get(_DNS):
        for vpc in (call.tx.get(VPCS, one.vpc) for one in (row.requester, row.accepter)):
            if vpc is None or not (vpc.dns_support and vpc.dns_hostnames):
                raise AwsError(
                    "InvalidVpcPeeringConnectionState.DnsHostnamesDisabled",
                    "To enable DNS hostname resolution for the VPC peering connection, DNS hostname support must be "
                    "enabled for the VPCs.",
                )


# ── describing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _item(
    row: ec2.VpcPeeringConnection, own: ec2.PeeringSide, requester: ec2.Vpc | None, accepter: ec2.Vpc | None
) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape VpcPeeringConnection). The accepter's blocks are shown once it has accepted."""
    return drop_empty(
        {
            "VpcPeeringConnectionId": row.id,
            "RequesterVpcInfo": _info(row.requester, requester if _shows_blocks(row, "requester") else None),
            "AccepterVpcInfo": _info(row.accepter, accepter if _shows_blocks(row, "accepter") else None),
            "Status": {"Code": row.status, "Message": row.message},
            "ExpirationTime": row.expires,
            "Tags": tag_set(own.tags),
        }
    )


def _shows_blocks(row: ec2.VpcPeeringConnection, which: Role) -> bool:
    return row.status == "active" or (which == "requester" and row.status in LIVE)


def _info(one: ec2.PeeringSide, vpc: ec2.Vpc | None) -> Mapping[str, Any]:
    info: dict[str, Any] = {"OwnerId": one.account, "VpcId": one.vpc, "Region": one.region}
    if vpc is not None:
        info["CidrBlock"] = str(vpc.cidrs[0].cidr)
        info["CidrBlockSet"] = [{"CidrBlock": str(block.cidr)} for block in vpc.cidrs]
        info["Ipv6CidrBlockSet"] = [{"Ipv6CidrBlock": str(block.cidr)} for block in vpc.ipv6_cidrs]
        info["PeeringOptions"] = {
            _DNS: one.remote_dns,
            "AllowEgressFromLocalClassicLinkToRemoteVpc": False,
            "AllowEgressFromLocalVpcToRemoteClassicLink": False,
        }
    return info


def _cached(call: Call, row: ec2.VpcPeeringConnection) -> Cached:
    requester, accepter = call.tx.get(VPCS, row.requester.vpc), call.tx.get(VPCS, row.accepter.vpc)
    own = own_side(call, row)
    return Cached(
        key=("pcx", row.id, own is row.requester),
        sources=(row, requester, accepter),
        build=partial(_item, row, own, requester, accepter),
    )


def _blocks(which: Role) -> Extract[ec2.VpcPeeringConnection]:
    def extract(call: Call, row: ec2.VpcPeeringConnection) -> Iterable[str]:
        vpc = call.tx.get(VPCS, side(row, which).vpc) if _shows_blocks(row, which) else None
        return [str(one.cidr) for one in vpc.cidrs if isinstance(one.cidr, IPv4Network)] if vpc is not None else []

    return extract


def _side_fields(which: Role) -> dict[str, Extract[ec2.VpcPeeringConnection]]:
    return {
        f"{which}-vpc-info.cidr-block": _blocks(which),
        f"{which}-vpc-info.owner-id": lambda call, r: (side(r, which).account,),
        f"{which}-vpc-info.vpc-id": lambda call, r: (side(r, which).vpc,),
    }


_LISTING = Listing(
    family=families.PEERING,
    filters=Filters(
        fields={
            **_side_fields("requester"),
            **_side_fields("accepter"),
            "expiration-time": lambda call, r: () if r.expires is None else (moment(r.expires),),
            "status-code": lambda call, r: (r.status,),
            "status-message": lambda call, r: (r.message,),
            "vpc-peering-connection-id": lambda call, r: (r.id,),
        },
        indexes={f"{which}-vpc-info.vpc-id": PEERINGS_BY_VPC for which in _ROLES},
        keys=frozenset({"vpc-peering-connection-id"}),
        tags_seen=families.PEERING.tags,
    ),
    ids="VpcPeeringConnectionIds",
    members="VpcPeeringConnections",
    items=each(_cached),
    visible=is_listed,
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateVpcPeeringConnection", create_vpc_peering_connection),
    write("AcceptVpcPeeringConnection", accept_vpc_peering_connection),
    write("RejectVpcPeeringConnection", reject_vpc_peering_connection),
    write("DeleteVpcPeeringConnection", delete_vpc_peering_connection),
    write("ModifyVpcPeeringConnectionOptions", modify_vpc_peering_connection_options),
    read("DescribeVpcPeeringConnections", _LISTING.describe),
)
