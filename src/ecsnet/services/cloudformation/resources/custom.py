"""Resources that stand for a script of the CDK, done natively, and those that stand for nothing at all."""

from __future__ import annotations

from urllib.parse import quote

from ecsnet.model import tables
from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Backed, BackedEnv, Env, Made, Native, Properties, is_missing

_ALL_OUT = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def _all_in(group: str, account: str) -> dict[str, object]:
    return {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group, "UserId": account}]}


def _restrict(env: Env, p: Properties) -> Made:
    """Take the two rules of a VPC's default group away (aws-cdk-lib, Vpc.restrictDefaultSecurityGroup)."""
    group = str(p["DefaultSecurityGroupId"])
    for row in list(env.call.tx.find(tables.RULES_BY_GROUP, group)):
        direction = "Egress" if row.egress else "Ingress"
        default = row.protocol == "-1" and (row.peer_group == group if not row.egress else str(row.cidr) == "0.0.0.0/0")
        if default:
            env.run("ec2", f"RevokeSecurityGroup{direction}", {"GroupId": group, "SecurityGroupRuleIds": [row.id]})
    return Made(id=f"{group}-restricted")


def _update_restriction(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    if before.get("DefaultSecurityGroupId") != after.get("DefaultSecurityGroupId"):
        _unrestrict(env, id_, before)
    return _restrict(env, after)


def _unrestrict(env: Env, id_: str, p: Properties) -> None:
    group = str(p["DefaultSecurityGroupId"])
    if env.call.tx.get(tables.GROUPS, group) is None:
        return
    wanted = (("Ingress", _all_in(group, env.call.account)), ("Egress", _ALL_OUT))
    for direction, permission in wanted:
        try:
            env.run("ec2", f"AuthorizeSecurityGroup{direction}", {"GroupId": group, "IpPermissions": [permission]})
        except AwsError as error:
            if error.code != "InvalidPermission.Duplicate":
                raise


async def _remember_bucket(env: BackedEnv, p: Properties) -> Made:
    return Made(id=f"{p['BucketName']}-auto-delete")


async def _update_bucket(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    return Made(id=id_)


async def empty_bucket(env: BackedEnv, bucket: str) -> None:
    """Delete every version of every object; a bucket that is gone is empty."""
    try:
        while True:
            listed = await env.run("s3", "ListObjectVersions", {"Bucket": bucket})
            found = [*(listed.get("Versions") or ()), *(listed.get("DeleteMarkers") or ())]
            if not found:
                return
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            await env.run("s3", "DeleteObjects", {"Bucket": bucket, "Delete": {"Objects": objects, "Quiet": True}})
    except AwsError as error:
        if not is_missing(error):
            raise


async def _empty(env: BackedEnv, id_: str, p: Properties) -> None:
    await empty_bucket(env, str(p["BucketName"]))


def _nothing(env: Env, p: Properties) -> Made:
    return Made(id=env.naming.name(128))


def _handle(env: Env, p: Properties) -> Made:
    """Ref is the address to which signals go on AWS; see `signals.py` for what counts here."""
    host = f"cloudformation-waitcondition-{env.call.region}.s3.amazonaws.com"
    return Made(id=f"https://{host}/{quote(env.naming.stack.id, safe='')}/{env.naming.logical}?{env.naming.token()}")


def _nothing_to_update(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return Made(id=id_)


def _nothing_to_delete(env: Env, id_: str, p: Properties) -> None:
    return None


def is_custom(kind: str) -> bool:
    """Whether a type stands for a function of the template's author."""
    return kind.startswith("Custom::") or kind == "AWS::CloudFormation::CustomResource"


def recorded(kind: str) -> Native:
    """A custom resource whose function is not run: it can be depended on, but it has no attributes."""
    return Native(type=kind, create=_record, update=_nothing_to_update, delete=_nothing_to_delete)


def _record(env: Env, p: Properties) -> Made:
    return Made(id=env.naming.name(128), note="Recorded only: ecsnet does not run the function behind it.")


PROVISIONERS = (
    Native(type="Custom::VpcRestrictDefaultSG", create=_restrict, update=_update_restriction, delete=_unrestrict),
    Backed(type="Custom::S3AutoDeleteObjects", create=_remember_bucket, update=_update_bucket, delete=_empty),
    *(
        Native(type=kind, create=_nothing, update=_nothing_to_update, delete=_nothing_to_delete)
        for kind in ("AWS::CDK::Metadata", "AWS::CloudFormation::WaitCondition")
    ),
    Native(
        type="AWS::CloudFormation::WaitConditionHandle",
        create=_handle,
        update=_nothing_to_update,
        delete=_nothing_to_delete,
    ),
)
