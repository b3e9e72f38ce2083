"""What becomes of a VPC peering connection, as verbs for the API and for the controller that follows the clock.

    initiating-request → pending-acceptance | failed        pending-acceptance → active | rejected | expired | deleted
    active → deleted

AWS passes through initiating-request, provisioning and deleting on the way. Here a call that changes a connection
answers after the data plane has it, so it is never seen in them.

Source: VPC peering guide, "VPC peering connection lifecycle".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork, Tags
from ecsnet.model.tables import PEERINGS, PEERINGS_BY_PAIR, PEERINGS_BY_VPC, VPCS, vpc_pair
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2.errors import named
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.quotas import quota
from ecsnet.store.snapshot import Reader

Role = Literal["requester", "accepter"]

TRANSITIONS: Mapping[ec2.PeeringStatus, frozenset[ec2.PeeringStatus]] = {
    "initiating-request": frozenset({"pending-acceptance", "failed"}),
    "pending-acceptance": frozenset({"active", "rejected", "expired", "deleted", "failed"}),
    "provisioning": frozenset({"active"}),
    "active": frozenset({"deleted"}),
    "deleting": frozenset({"deleted"}),
    "failed": frozenset(),
    "rejected": frozenset(),
    "expired": frozenset(),
    "deleted": frozenset(),
}

LIVE: frozenset[ec2.PeeringStatus] = frozenset({"pending-acceptance", "active"})
"""What counts as the one connection of two VPCs, and keeps them from being deleted."""

LIFETIME = 7 * 86_400.0
"""Seconds after which a request that nobody accepted expires."""

_HOURS, _DAYS = 2 * 3600.0, 2 * 86_400.0

_FAILED = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PeeringFamily(Family[ec2.VpcPeeringConnection]):
    """Connections are seen from the account and region of either side; each has tags of its own."""

    def find(self, call: Call, key: str) -> ec2.VpcPeeringConnection | None:
        row = call.tx.get(PEERINGS, key)
        return row if row is not None and role(call, row) is not None else None

    def tags(self, call: Call, row: ec2.VpcPeeringConnection) -> Tags:
        return own_side(call, row).tags

    def with_tags(self, call: Call, row: ec2.VpcPeeringConnection, tags: Tags) -> ec2.VpcPeeringConnection:
        return replace_side(row, role(call, row) or "requester", tags=tags)


def role(call: Call, row: ec2.VpcPeeringConnection) -> Role | None:
    """Which side the caller's account and region is; the requester when it is both, None when it is neither."""
    here = (call.account, call.region)
    if (row.requester.account, row.requester.region) == here:
        return "requester"
    return "accepter" if (row.accepter.account, row.accepter.region) == here else None


def side(row: ec2.VpcPeeringConnection, which: Role) -> ec2.PeeringSide:
    return row.requester if which == "requester" else row.accepter


def own_side(call: Call, row: ec2.VpcPeeringConnection) -> ec2.PeeringSide:
    return side(row, role(call, row) or "requester")


def replace_side(row: ec2.VpcPeeringConnection, which: Role, **changes: object) -> ec2.VpcPeeringConnection:
    return msgspec.structs.replace(row, **{which: msgspec.structs.replace(side(row, which), **changes)})


# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def move(
    call: Call, row: ec2.VpcPeeringConnection, status: ec2.PeeringStatus, *, by: str = "", ended_by: Role | None = None
) -> ec2.VpcPeeringConnection:
    """Store the next state. `by` is the account that caused it. Raises InvalidStateTransition outside the table."""
    if status not in TRANSITIONS[row.status]:
        raise wrong_state(row.id)
    ended = status not in LIVE
    return call.tx.put(
        PEERINGS,
        msgspec.structs.replace(
            row,
            status=status,
            message=_message(row, status, by),
            expires=row.expires if status == "pending-acceptance" else None,
            ended=call.now if ended else None,
            ended_by=ended_by,
        ),
    )


def wrong_state(key: str) -> AwsError:
    return AwsError(
        "InvalidStateTransition", f"VpcPeeringConnectionID {key} is not in the correct state for the request."
    )


def _message(row: ec2.VpcPeeringConnection, status: ec2.PeeringStatus, by: str) -> str:
    match status:
        case "initiating-request":
            return f"Initiating Request to {row.accepter.account}"
        case "pending-acceptance":
            return f"Pending Acceptance by {row.accepter.account}"
        case "provisioning" | "deleting":
            return status.capitalize()
        case "active":
            return "Active"
        case "failed":
            return _FAILED
        case "rejected":
            return f"Rejected by {by}"
        case "expired":
            return "Expired"
        case "deleted":
            return f"Deleted by {by}"


def overdue(call: Call, row: ec2.VpcPeeringConnection) -> bool:
    """Whether a request's time is over, also when no controller has come by yet."""
    return row.status == "pending-acceptance" and row.expires is not None and call.now >= row.expires


def follow_clock(call: Call, key: str) -> float | None:
    """Expire a request whose time is over and drop a connection that nobody sees any more; the next due time."""
    row = call.tx.get(PEERINGS, key)
    if row is None:
        return None
    if overdue(call, row):
        row = move(call, row, "expired")
    if row.ended is None:
        return row.expires
    due = row.ended + max(shown_for(row, "requester"), shown_for(row, "accepter"))
    if call.now < due:
        return due
    call.tx.delete(PEERINGS, key)
    return None


def shown_for(row: ec2.VpcPeeringConnection, viewer: Role) -> float:
    """Seconds for which an ended connection is still listed to one side."""
    same_account = row.requester.account == row.accepter.account
    match row.status:
        case "failed":
            return _HOURS if viewer == "requester" or same_account else 0.0
        case "expired":
            return _DAYS
        case "rejected":
            return _HOURS if viewer == "accepter" or same_account else _DAYS
        case _:
            return _HOURS if viewer == row.ended_by or same_account else _DAYS


def is_listed(call: Call, row: ec2.VpcPeeringConnection) -> bool:
    viewer = role(call, row)
    return viewer is not None and (row.ended is None or call.now < row.ended + shown_for(row, viewer))


# ── between VPCs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def between(reader: Reader, one: str, other: str) -> ec2.VpcPeeringConnection | None:
    """The live connection of two VPCs; there is at most one."""
    return next((row for row in reader.find(PEERINGS_BY_PAIR, vpc_pair(one, other)) if row.status in LIVE), None)


def active_between(reader: Reader, one: str, other: str) -> ec2.VpcPeeringConnection | None:
    found = between(reader, one, other)
    return found if found is not None and found.status == "active" else None


def shares_groups(reader: Reader, one: str, other: str) -> ec2.VpcPeeringConnection | None:
    """The active connection over which rules of one VPC may name groups of the other: one within a region."""
    found = active_between(reader, one, other)
    return found if found is not None and found.requester.region == found.accepter.region else None


def live_of(reader: Reader, vpc: str) -> Iterator[ec2.VpcPeeringConnection]:
    return (row for row in reader.find(PEERINGS_BY_VPC, vpc) if row.status in LIVE)


def overlap(reader: Reader, one: str, other: str) -> bool:
    """Whether any blocks of two VPCs overlap, IPv4 or IPv6; True when one of them does not exist."""
    rows = [reader.get(VPCS, vpc) for vpc in (one, other)]
    first, second = ([block.cidr for block in (*row.cidrs, *row.ipv6_cidrs)] if row else [] for row in rows)
    if not first or not second:
        return True
    return any(a.version == b.version and a.overlaps(b) for a in first for b in second)


def check_active_quota(call: Call, row: ec2.VpcPeeringConnection) -> None:
    """Raises ActiveVpcPeeringConnectionPerVpcLimitExceeded when one more would be too many for either VPC."""
    limit = quota(call, "active_peerings_per_vpc")
    for vpc in (row.requester.vpc, row.accepter.vpc):
        if sum(1 for other in live_of(call.tx, vpc) if other.status == "active") >= limit:
            raise AwsError(
                "ActiveVpcPeeringConnectionPerVpcLimitExceeded",
                f"You've reached the limit on the number of active VPC peering connections for {vpc}: {limit}",
            )


def check_pending_quota(call: Call, vpc: str) -> None:
    """Raises OutstandingVpcPeeringConnectionLimitExceeded when the VPC has too many requests that nobody answered."""
    limit = quota(call, "outstanding_peerings_per_vpc")
    pending = (row for row in live_of(call.tx, vpc) if row.status == "pending-acceptance" and row.requester.vpc == vpc)
    if sum(1 for _ in pending) >= limit:
        raise AwsError(
            "OutstandingVpcPeeringConnectionLimitExceeded",
            f"You've reached the limit on the number of VPC peering connection requests for {vpc}: {limit}",
        )


def admit_block(call: Call, vpc: str, block: IpNetwork) -> None:
    """What a new block of a VPC means for its peerings (VPC User Guide, "VPC CIDR blocks").

    Raises OperationNotPermitted for a requester that waits for an answer and InvalidVpc.Conflict for a block that
    overlaps an active peer. A request that waits for this VPC's answer fails instead.
    """
    for row in list(live_of(call.tx, vpc)):
        pending = row.status == "pending-acceptance"
        if pending and row.requester.vpc == vpc:
            raise AwsError(
                "OperationNotPermitted",
                f"A CIDR block cannot be added to {vpc} while its peering request waits." + named([row.id]),
            )
        far = call.tx.get(VPCS, row.accepter.vpc if row.requester.vpc == vpc else row.requester.vpc)
        blocks = [one.cidr for one in (*far.cidrs, *far.ipv6_cidrs)] if far is not None else []
        if not any(one.version == block.version and one.overlaps(block) for one in blocks):
            continue
        if not pending:
            raise AwsError(
                "InvalidVpc.Conflict", f"The CIDR '{block}' conflicts with a peer of {vpc}." + named([row.id])
            )
        move(call, row, "failed")
