"""IAM: roles, policies, instance profiles. They are kept in the backing server; ecsnet itself asks nobody's leave."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ecsnet.services.cloudformation.resources.backed import create_or_adopt, if_there
from ecsnet.services.cloudformation.resources.base import Backed, BackedEnv, Made, Properties


def document(value: Any) -> str:
    """A policy document as JSON text.

    AWS takes one without Version (it counts as 2008-10-17); the backing server refuses it, so it gets one.
    """
    body = json.loads(value) if isinstance(value, str) else dict(value)
    return json.dumps({"Version": "2012-10-17", **body})


async def _create_role(env: BackedEnv, p: Properties) -> Made:
    name = p.get("RoleName") or env.naming.name(64)
    await create_or_adopt(
        env,
        "iam",
        "CreateRole",
        {
            "RoleName": name,
            "AssumeRolePolicyDocument": document(p["AssumeRolePolicyDocument"]),
            "Path": p.get("Path"),
            "Description": p.get("Description"),
            "MaxSessionDuration": p.get("MaxSessionDuration"),
            "PermissionsBoundary": p.get("PermissionsBoundary"),
            "Tags": env.naming.tags(p) or None,
        },
    )
    await _role_policies(env, name, {}, p)
    return await _role(env, name)


async def _role(env: BackedEnv, name: str) -> Made:
    role = (await env.run("iam", "GetRole", {"RoleName": name}))["Role"]
    return Made(id=name, attributes={"Arn": role["Arn"], "RoleId": role["RoleId"]})


async def _role_policies(env: BackedEnv, name: str, before: Properties, after: Properties) -> None:
    for arn in after.get("ManagedPolicyArns") or ():
        await env.run("iam", "AttachRolePolicy", {"RoleName": name, "PolicyArn": arn})
    for arn in before.get("ManagedPolicyArns") or ():
        if arn not in (after.get("ManagedPolicyArns") or ()):
            await if_there(env, "iam", "DetachRolePolicy", {"RoleName": name, "PolicyArn": arn})
    for policy in after.get("Policies") or ():
        await env.run(
            "iam",
            "PutRolePolicy",
            {
                "RoleName": name,
                "PolicyName": policy["PolicyName"],
                "PolicyDocument": document(policy["PolicyDocument"]),
            },
        )
    kept = {policy["PolicyName"] for policy in after.get("Policies") or ()}
    for policy in before.get("Policies") or ():
        if policy["PolicyName"] not in kept:
            await if_there(env, "iam", "DeleteRolePolicy", {"RoleName": name, "PolicyName": policy["PolicyName"]})


async def _update_role(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    found = await if_there(
        env,
        "iam",
        "UpdateAssumeRolePolicy",
        {"RoleName": name, "PolicyDocument": document(after["AssumeRolePolicyDocument"])},
    )
    if found is None:
        return await _create_role(env, {**after, "RoleName": name})
    await _role_policies(env, name, before, after)
    return await _role(env, name)


async def _delete_role(env: BackedEnv, name: str, p: Properties) -> None:
    attached = await if_there(env, "iam", "ListAttachedRolePolicies", {"RoleName": name})
    if attached is None:
        return
    for policy in attached.get("AttachedPolicies") or ():
        await if_there(env, "iam", "DetachRolePolicy", {"RoleName": name, "PolicyArn": policy["PolicyArn"]})
    inline = await if_there(env, "iam", "ListRolePolicies", {"RoleName": name}) or {}
    for policy in inline.get("PolicyNames") or ():
        await if_there(env, "iam", "DeleteRolePolicy", {"RoleName": name, "PolicyName": policy})
    await if_there(env, "iam", "DeleteRole", {"RoleName": name})


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_HOLDERS = (("Roles", "Role"), ("Users", "User"), ("Groups", "Group"))


def _holders(p: Properties) -> Iterable[tuple[str, str]]:
    for plural, kind in _HOLDERS:
        for name in p.get(plural) or ():
            yield kind, name


async def _create_policy(env: BackedEnv, p: Properties) -> Made:
    for kind, holder in _holders(p):
        await env.run(
            "iam",
            f"Put{kind}Policy",
            {
                f"{kind}Name": holder,
                "PolicyName": p["PolicyName"],
                "PolicyDocument": document(p["PolicyDocument"]),
            },
        )
    identifier = env.naming.name(128)
    return Made(id=identifier, attributes={"Id": identifier, "Ref": p["PolicyName"]})


async def _update_policy(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    kept = set(_holders(after)) if before["PolicyName"] == after["PolicyName"] else set()
    for kind, holder in _holders(before):
        if (kind, holder) not in kept:
            await _take_policy(env, kind, holder, before["PolicyName"])
    made = await _create_policy(env, after)
    return Made(id=id_, attributes={**made.attributes, "Id": id_})


async def _take_policy(env: BackedEnv, kind: str, holder: str, policy: str) -> None:
    await if_there(env, "iam", f"Delete{kind}Policy", {f"{kind}Name": holder, "PolicyName": policy})


async def _delete_policy(env: BackedEnv, id_: str, p: Properties) -> None:
    for kind, holder in _holders(p):
        await _take_policy(env, kind, holder, p["PolicyName"])


async def _create_managed(env: BackedEnv, p: Properties) -> Made:
    name = p.get("ManagedPolicyName") or env.naming.name(128)
    members = {
        "PolicyName": name,
        "PolicyDocument": document(p["PolicyDocument"]),
        "Path": p.get("Path"),
        "Description": p.get("Description"),
    }
    reply = await create_or_adopt(env, "iam", "CreatePolicy", members)
    path = p.get("Path") or "/"
    arn = reply["Policy"]["Arn"] if reply else f"arn:aws:iam::{env.outside.account}:policy{path}{name}"
    for kind, holder in _holders(p):
        await env.run("iam", f"Attach{kind}Policy", {f"{kind}Name": holder, "PolicyArn": arn})
    return Made(id=arn, attributes={"PolicyArn": arn})


async def _update_managed(env: BackedEnv, arn: str, before: Properties, after: Properties) -> Made:
    if document(before["PolicyDocument"]) != document(after["PolicyDocument"]):
        versions = await env.run("iam", "ListPolicyVersions", {"PolicyArn": arn})
        old = [version["VersionId"] for version in versions["Versions"] if not version["IsDefaultVersion"]]
        for version in old[3:]:
            await env.run("iam", "DeletePolicyVersion", {"PolicyArn": arn, "VersionId": version})
        await env.run(
            "iam",
            "CreatePolicyVersion",
            {"PolicyArn": arn, "PolicyDocument": document(after["PolicyDocument"]), "SetAsDefault": True},
        )
    kept = set(_holders(after))
    for kind, holder in _holders(before):
        if (kind, holder) not in kept:
            await if_there(env, "iam", f"Detach{kind}Policy", {f"{kind}Name": holder, "PolicyArn": arn})
    for kind, holder in kept:
        await env.run("iam", f"Attach{kind}Policy", {f"{kind}Name": holder, "PolicyArn": arn})
    return Made(id=arn, attributes={"PolicyArn": arn})


async def _delete_managed(env: BackedEnv, arn: str, p: Properties) -> None:
    for kind, holder in _holders(p):
        await if_there(env, "iam", f"Detach{kind}Policy", {f"{kind}Name": holder, "PolicyArn": arn})
    versions = await if_there(env, "iam", "ListPolicyVersions", {"PolicyArn": arn}) or {}
    for version in versions.get("Versions") or ():
        if not version["IsDefaultVersion"]:
            members: dict[str, Any] = {"PolicyArn": arn, "VersionId": version["VersionId"]}
            await if_there(env, "iam", "DeletePolicyVersion", members)
    await if_there(env, "iam", "DeletePolicy", {"PolicyArn": arn})


# ── instance profiles ────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_profile(env: BackedEnv, p: Properties) -> Made:
    name = p.get("InstanceProfileName") or env.naming.name(128)
    await create_or_adopt(env, "iam", "CreateInstanceProfile", {"InstanceProfileName": name, "Path": p.get("Path")})
    for role in p.get("Roles") or ():
        members = {"InstanceProfileName": name, "RoleName": role}
        await create_or_adopt(env, "iam", "AddRoleToInstanceProfile", members)
    profile = (await env.run("iam", "GetInstanceProfile", {"InstanceProfileName": name}))["InstanceProfile"]
    return Made(id=name, attributes={"Arn": profile["Arn"]})


async def _update_profile(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    for role in before.get("Roles") or ():
        await if_there(env, "iam", "RemoveRoleFromInstanceProfile", {"InstanceProfileName": name, "RoleName": role})
    for role in after.get("Roles") or ():
        await env.run("iam", "AddRoleToInstanceProfile", {"InstanceProfileName": name, "RoleName": role})
    profile = (await env.run("iam", "GetInstanceProfile", {"InstanceProfileName": name}))["InstanceProfile"]
    return Made(id=name, attributes={"Arn": profile["Arn"]})


async def _delete_profile(env: BackedEnv, name: str, p: Properties) -> None:
    for role in p.get("Roles") or ():
        await if_there(env, "iam", "RemoveRoleFromInstanceProfile", {"InstanceProfileName": name, "RoleName": role})
    await if_there(env, "iam", "DeleteInstanceProfile", {"InstanceProfileName": name})


PROVISIONERS = (
    Backed(type="AWS::IAM::Role", create=_create_role, update=_update_role, delete=_delete_role),
    Backed(type="AWS::IAM::Policy", create=_create_policy, update=_update_policy, delete=_delete_policy),
    Backed(type="AWS::IAM::ManagedPolicy", create=_create_managed, update=_update_managed, delete=_delete_managed),
    Backed(type="AWS::IAM::InstanceProfile", create=_create_profile, update=_update_profile, delete=_delete_profile),
)
