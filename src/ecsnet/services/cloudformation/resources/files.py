"""Elastic File System and DynamoDB: kept in the backing server. No file system can be mounted from there."""

from __future__ import annotations

from typing import Any

from ecsnet.model import tables
from ecsnet.services.cloudformation.resources.backed import create_or_adopt, if_there
from ecsnet.services.cloudformation.resources.base import (
    Backed,
    BackedEnv,
    Env,
    Made,
    Native,
    Properties,
    delete_if_there,
)

_NO_FILES = "Recorded only: nothing serves files at its address."


async def _create_file_system(env: BackedEnv, p: Properties) -> Made:
    members = {
        "CreationToken": env.naming.uuid(),
        "Encrypted": p.get("Encrypted"),
        "KmsKeyId": p.get("KmsKeyId"),
        "PerformanceMode": p.get("PerformanceMode"),
        "ThroughputMode": p.get("ThroughputMode"),
        "ProvisionedThroughputInMibps": p.get("ProvisionedThroughputInMibps"),
        "Tags": [*env.naming.tags(p, "FileSystemTags")] or None,
    }
    # The creation token makes a second attempt find what the first one made.
    reply = await env.run("efs", "CreateFileSystem", members)
    return _file_system(env, reply["FileSystemId"])


def _file_system(env: BackedEnv, key: str) -> Made:
    arn = f"arn:aws:elasticfilesystem:{env.outside.region}:{env.outside.account}:file-system/{key}"
    return Made(id=key, attributes={"Arn": arn, "FileSystemId": key}, note=_NO_FILES)


async def _update_file_system(env: BackedEnv, key: str, before: Properties, after: Properties) -> Made:
    return _file_system(env, key)


async def _delete_file_system(env: BackedEnv, key: str, p: Properties) -> None:
    await if_there(env, "efs", "DeleteFileSystem", {"FileSystemId": key})


async def _create_access_point(env: BackedEnv, p: Properties) -> Made:
    members = {
        "ClientToken": env.naming.uuid(),
        "FileSystemId": p["FileSystemId"],
        "PosixUser": p.get("PosixUser"),
        "RootDirectory": p.get("RootDirectory"),
        "Tags": env.naming.tags(p, "AccessPointTags") or None,
    }
    reply = await env.run("efs", "CreateAccessPoint", members)
    key = reply["AccessPointId"]
    return Made(id=key, attributes={"Arn": reply["AccessPointArn"], "AccessPointId": key})


async def _delete_access_point(env: BackedEnv, key: str, p: Properties) -> None:
    await if_there(env, "efs", "DeleteAccessPoint", {"AccessPointId": key})


def _create_mount_target(env: Env, p: Properties) -> Made:
    """A mount target is a network interface with a file server behind it; here there is the interface alone, so that
    its address is taken and packets to it end as they do at an interface that nothing is attached to."""
    reply = env.run(
        "ec2",
        "CreateNetworkInterface",
        {
            "SubnetId": p["SubnetId"],
            "Groups": p.get("SecurityGroups"),
            "PrivateIpAddress": p.get("IpAddress"),
            "Description": f"EFS mount target for {p['FileSystemId']}",
        },
    )
    interface = reply["NetworkInterface"]["NetworkInterfaceId"]
    row = env.call.tx.get(tables.INTERFACES, interface)
    assert row is not None
    return Made(id=interface, attributes={"Id": interface, "IpAddress": str(row.private_ip)}, note=_NO_FILES)


def _update_mount_target(env: Env, key: str, before: Properties, after: Properties) -> Made:
    members = {"NetworkInterfaceId": key, "Groups": after.get("SecurityGroups")}
    env.run("ec2", "ModifyNetworkInterfaceAttribute", members)
    row = env.call.tx.get(tables.INTERFACES, key)
    return Made(id=key, attributes={"Id": key, "IpAddress": str(row.private_ip) if row is not None else ""})


def _delete_mount_target(env: Env, key: str, p: Properties) -> None:
    delete_if_there(env, "ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": key})


# ── DynamoDB ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_TABLE_MEMBERS = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
    "StreamSpecification",
)


async def _create_table(env: BackedEnv, p: Properties) -> Made:
    name = p.get("TableName") or env.naming.name(255)
    members: dict[str, Any] = {member: p.get(member) for member in _TABLE_MEMBERS}
    if members["StreamSpecification"]:
        members["StreamSpecification"] = {"StreamEnabled": True, **members["StreamSpecification"]}
    request = {**members, "TableName": name, "Tags": env.naming.tags(p) or None}
    await create_or_adopt(env, "dynamodb", "CreateTable", request)
    return await _table(env, name)


async def _table(env: BackedEnv, name: str) -> Made:
    table = (await env.run("dynamodb", "DescribeTable", {"TableName": name}))["Table"]
    return Made(id=name, attributes={"Arn": table["TableArn"], "StreamArn": table.get("LatestStreamArn", "")})


async def _update_table(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    return await _table(env, name)


async def _delete_table(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "dynamodb", "DeleteTable", {"TableName": name})


PROVISIONERS = (
    Native(
        type="AWS::EFS::MountTarget",
        create=_create_mount_target,
        update=_update_mount_target,
        delete=_delete_mount_target,
    ),
    Backed(
        type="AWS::EFS::FileSystem",
        create=_create_file_system,
        update=_update_file_system,
        delete=_delete_file_system,
    ),
    Backed(type="AWS::EFS::AccessPoint", create=_create_access_point, delete=_delete_access_point),
    Backed(type="AWS::DynamoDB::Table", create=_create_table, update=_update_table, delete=_delete_table),
)
