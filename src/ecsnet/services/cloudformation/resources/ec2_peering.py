"""VPC peering connections."""

from __future__ import annotations

import dataclasses

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
from ecsnet.services.cloudformation.resources.ec2 import retag, tagged
from ecsnet.store.snapshot import Reader


def _create(env: Env, p: Properties) -> Made:
    """Ask, and accept where CloudFormation does: in the account's own name or in that of `PeerRoleArn`'s account.

    Source: CloudFormation template reference, AWS::EC2::VPCPeeringConnection.
    """
    account = p.get("PeerOwnerId") or env.call.account
    if account != env.call.account and not p.get("PeerRoleArn"):
        raise AwsError(
            "InvalidParameter", "PeerRoleArn is required to accept a VPC peering connection in another account."
        )
    names = ("VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion")
    reply = env.run(
        "ec2",
        "CreateVpcPeeringConnection",
        {**{name: p.get(name) for name in names}, "TagSpecifications": tagged(env, p, "vpc-peering-connection")},
    )
    pcx = reply["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    if reply["VpcPeeringConnection"]["Status"]["Code"] == "pending-acceptance":
        far = msgspec.structs.replace(env.call, account=account, region=p.get("PeerRegion") or env.call.region)
        dataclasses.replace(env, call=far).run("ec2", "AcceptVpcPeeringConnection", {"VpcPeeringConnectionId": pcx})
    return _made(pcx)


def _made(pcx: str) -> Made:
    return Made(id=pcx, attributes={"Id": pcx})


def _ready(reader: Reader, id_: str, p: Properties) -> Observed:
    row = reader.get(tables.PEERINGS, id_)
    if row is None:
        return Broken(reason=f"VpcPeeringConnection {id_} does not exist any more")
    match row.status:
        case "active":
            return READY
        case "initiating-request" | "pending-acceptance" | "provisioning":
            return WAITING
        case _:
            return Broken(reason=f"VpcPeeringConnection {id_} failed to stabilize: {row.status}. {row.message}")


def _update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    retag(env, id_, before, after)
    return _made(id_)


def _delete(env: Env, id_: str, p: Properties) -> None:
    row = env.call.tx.get(tables.PEERINGS, id_)
    if row is not None and row.status in ("pending-acceptance", "active"):
        delete_if_there(env, "ec2", "DeleteVpcPeeringConnection", {"VpcPeeringConnectionId": id_})


PROVISIONERS = (
    Native(type="AWS::EC2::VPCPeeringConnection", create=_create, update=_update, delete=_delete, ready=_ready),
)
