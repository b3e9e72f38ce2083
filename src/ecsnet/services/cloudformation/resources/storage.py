"""Things that keep something: buckets, parameters, secrets, keys, image repositories."""

from __future__ import annotations

import json
from typing import Any

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.backed import create_or_adopt, document, if_there, tag_map
from ecsnet.services.cloudformation.resources.base import Backed, BackedEnv, Made, Properties

# ── S3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_bucket(env: BackedEnv, p: Properties) -> Made:
    name = p.get("BucketName") or env.naming.name(63, lower=True)
    region = env.outside.region
    place = {"LocationConstraint": region} if region != "us-east-1" else None
    await create_or_adopt(env, "s3", "CreateBucket", {"Bucket": name, "CreateBucketConfiguration": place})
    await _configure_bucket(env, name, {}, p)
    return Made(id=name, attributes=_bucket_facts(env, name))


def _bucket_facts(env: BackedEnv, name: str) -> dict[str, str]:
    region = env.outside.region
    return {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
    }


async def _configure_bucket(env: BackedEnv, name: str, before: Properties, after: Properties) -> None:
    if after.get("VersioningConfiguration"):
        members: dict[str, Any] = {"Bucket": name, "VersioningConfiguration": dict(after["VersioningConfiguration"])}
        await env.run("s3", "PutBucketVersioning", members)
    if after.get("PublicAccessBlockConfiguration"):
        members = {"Bucket": name, "PublicAccessBlockConfiguration": dict(after["PublicAccessBlockConfiguration"])}
        await env.run("s3", "PutPublicAccessBlock", members)
    encryption = (after.get("BucketEncryption") or {}).get("ServerSideEncryptionConfiguration")
    if encryption:
        rules = []
        for rule in encryption:
            rules.append(
                {
                    "ApplyServerSideEncryptionByDefault": dict(rule.get("ServerSideEncryptionByDefault") or {}),
                    **({"BucketKeyEnabled": rule["BucketKeyEnabled"]} if "BucketKeyEnabled" in rule else {}),
                }
            )
        members = {"Bucket": name, "ServerSideEncryptionConfiguration": {"Rules": rules}}
        await env.run("s3", "PutBucketEncryption", members)
    tags = env.naming.tags(after)
    if tags:
        await env.run("s3", "PutBucketTagging", {"Bucket": name, "Tagging": {"TagSet": tags}})


async def _update_bucket(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    await _configure_bucket(env, name, before, after)
    return Made(id=name, attributes=_bucket_facts(env, name))


async def _delete_bucket(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "s3", "DeleteBucket", {"Bucket": name})


async def _create_bucket_policy(env: BackedEnv, p: Properties) -> Made:
    """The backing server takes a Deny with a Condition for a Deny without one: the CDK's `aws:SecureTransport`
    statement would lock everybody out of the assets bucket. Such statements are left out, and the event says so."""
    policy = p["PolicyDocument"] if isinstance(p["PolicyDocument"], dict) else json.loads(p["PolicyDocument"])
    found = policy.get("Statement") or []
    statements = found if isinstance(found, list) else [found]
    kept = [one for one in statements if not (one.get("Effect") == "Deny" and one.get("Condition"))]
    if kept:
        members = {"Bucket": p["Bucket"], "Policy": document({**policy, "Statement": kept})}
        await env.run("s3", "PutBucketPolicy", members)
    else:
        await if_there(env, "s3", "DeleteBucketPolicy", {"Bucket": p["Bucket"]})
    note = "Conditional denials are left out: nobody evaluates their conditions." if kept != statements else None
    return Made(id=p["Bucket"], note=note)


async def _update_bucket_policy(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    return await _create_bucket_policy(env, after)


async def _delete_bucket_policy(env: BackedEnv, id_: str, p: Properties) -> None:
    await if_there(env, "s3", "DeleteBucketPolicy", {"Bucket": p["Bucket"]})


# ── SSM ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _put_parameter(env: BackedEnv, name: str, p: Properties, *, overwrite: bool) -> Made:
    await env.run(
        "ssm",
        "PutParameter",
        {
            "Name": name,
            "Type": p.get("Type", "String"),
            "Value": p["Value"],
            "Description": p.get("Description"),
            "AllowedPattern": p.get("AllowedPattern"),
            "Tier": p.get("Tier"),
            "DataType": p.get("DataType"),
            "Overwrite": overwrite,
        },
    )
    return Made(id=name, attributes={"Type": p.get("Type", "String"), "Value": p["Value"]})


async def _create_parameter(env: BackedEnv, p: Properties) -> Made:
    return await _put_parameter(env, p.get("Name") or env.naming.name(128), p, overwrite=env.resumed)


async def _update_parameter(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    return await _put_parameter(env, name, after, overwrite=True)


async def _delete_parameter(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "ssm", "DeleteParameter", {"Name": name})


# ── Secrets Manager ──────────────────────────────────────────────────────────────────────────────────────────────────

_GENERATE = (
    "ExcludeCharacters",
    "ExcludeLowercase",
    "ExcludeNumbers",
    "ExcludePunctuation",
    "ExcludeUppercase",
    "IncludeSpace",
    "PasswordLength",
    "RequireEachIncludedType",
)


async def _secret_text(env: BackedEnv, p: Properties) -> str | None:
    wanted = p.get("GenerateSecretString")
    if wanted is None:
        return p.get("SecretString")
    reply = await env.run("secretsmanager", "GetRandomPassword", {key: wanted.get(key) for key in _GENERATE})
    password = str(reply["RandomPassword"])
    if wanted.get("SecretStringTemplate") and wanted.get("GenerateStringKey"):
        body = json.loads(wanted["SecretStringTemplate"])
        body[wanted["GenerateStringKey"]] = password
        return json.dumps(body)
    return password


async def _create_secret(env: BackedEnv, p: Properties) -> Made:
    name = p.get("Name") or env.naming.name(255)
    members = {
        "Name": name,
        "Description": p.get("Description"),
        "KmsKeyId": p.get("KmsKeyId"),
        "SecretString": await _secret_text(env, p),
        "Tags": env.naming.tags(p) or None,
    }
    reply = await create_or_adopt(env, "secretsmanager", "CreateSecret", members)
    if reply is None:
        reply = await env.run("secretsmanager", "DescribeSecret", {"SecretId": name})
    return Made(id=reply["ARN"], attributes={"Id": reply["ARN"]})


async def _update_secret(env: BackedEnv, arn: str, before: Properties, after: Properties) -> Made:
    members = {"SecretId": arn, "Description": after.get("Description"), "KmsKeyId": after.get("KmsKeyId")}
    if before.get("SecretString") != after.get("SecretString"):
        members["SecretString"] = after.get("SecretString")
    elif before.get("GenerateSecretString") != after.get("GenerateSecretString"):
        members["SecretString"] = await _secret_text(env, after)
    await env.run("secretsmanager", "UpdateSecret", members)
    return Made(id=arn, attributes={"Id": arn})


async def _delete_secret(env: BackedEnv, arn: str, p: Properties) -> None:
    await if_there(env, "secretsmanager", "DeleteSecret", {"SecretId": arn, "ForceDeleteWithoutRecovery": True})


# ── KMS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_key(env: BackedEnv, p: Properties) -> Made:
    members = {
        "Policy": document(p["KeyPolicy"]) if p.get("KeyPolicy") else None,
        "Description": p.get("Description"),
        "KeySpec": p.get("KeySpec"),
        "KeyUsage": p.get("KeyUsage"),
        "MultiRegion": p.get("MultiRegion"),
        "Tags": [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in env.naming.tags(p)] or None,
    }
    key = (await env.run("kms", "CreateKey", members))["KeyMetadata"]
    if p.get("EnableKeyRotation"):
        await env.run("kms", "EnableKeyRotation", {"KeyId": key["KeyId"]})
    return Made(id=key["KeyId"], attributes={"Arn": key["Arn"], "KeyId": key["KeyId"]})


async def _update_key(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    if after.get("KeyPolicy") and before.get("KeyPolicy") != after.get("KeyPolicy"):
        members = {"KeyId": id_, "PolicyName": "default", "Policy": document(after["KeyPolicy"])}
        await env.run("kms", "PutKeyPolicy", members)
    if after.get("Description") != before.get("Description"):
        members = {"KeyId": id_, "Description": after.get("Description", "")}
        await env.run("kms", "UpdateKeyDescription", members)
    if after.get("EnableKeyRotation", False) != before.get("EnableKeyRotation", False):
        verb = "Enable" if after.get("EnableKeyRotation") else "Disable"
        await env.run("kms", f"{verb}KeyRotation", {"KeyId": id_})
    key = (await env.run("kms", "DescribeKey", {"KeyId": id_}))["KeyMetadata"]
    return Made(id=id_, attributes={"Arn": key["Arn"], "KeyId": id_})


async def _delete_key(env: BackedEnv, id_: str, p: Properties) -> None:
    window = p.get("PendingWindowInDays", 30)
    try:
        await if_there(env, "kms", "ScheduleKeyDeletion", {"KeyId": id_, "PendingWindowInDays": window})
    except AwsError as error:
        if "InvalidState" not in error.code:
            raise


async def _create_alias(env: BackedEnv, p: Properties) -> Made:
    members = {"AliasName": p["AliasName"], "TargetKeyId": p["TargetKeyId"]}
    await create_or_adopt(env, "kms", "CreateAlias", members)
    return Made(id=p["AliasName"])


async def _update_alias(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    await env.run("kms", "UpdateAlias", {"AliasName": id_, "TargetKeyId": after["TargetKeyId"]})
    return Made(id=id_)


async def _delete_alias(env: BackedEnv, id_: str, p: Properties) -> None:
    await if_there(env, "kms", "DeleteAlias", {"AliasName": id_})


# ── ECR ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_repository(env: BackedEnv, p: Properties) -> Made:
    name = p.get("RepositoryName") or env.naming.name(256, lower=True)
    encryption = p.get("EncryptionConfiguration")
    members = {
        "repositoryName": name,
        "imageTagMutability": p.get("ImageTagMutability"),
        "imageScanningConfiguration": {"scanOnPush": bool(p["ImageScanningConfiguration"].get("ScanOnPush"))}
        if p.get("ImageScanningConfiguration")
        else None,
        "encryptionConfiguration": {
            "encryptionType": encryption["EncryptionType"],
            **({"kmsKey": encryption["KmsKey"]} if encryption.get("KmsKey") else {}),
        }
        if encryption
        else None,
        "tags": env.naming.tags(p) or None,
    }
    await create_or_adopt(env, "ecr", "CreateRepository", members)
    await _repository_policies(env, name, p)
    return await _repository(env, name)


async def _repository_policies(env: BackedEnv, name: str, p: Properties) -> None:
    if p.get("RepositoryPolicyText"):
        members = {"repositoryName": name, "policyText": document(p["RepositoryPolicyText"])}
        await env.run("ecr", "SetRepositoryPolicy", members)
    lifecycle = (p.get("LifecyclePolicy") or {}).get("LifecyclePolicyText")
    if lifecycle:
        await env.run("ecr", "PutLifecyclePolicy", {"repositoryName": name, "lifecyclePolicyText": lifecycle})


async def _repository(env: BackedEnv, name: str) -> Made:
    reply = await env.run("ecr", "DescribeRepositories", {"repositoryNames": [name]})
    found = reply["repositories"][0]
    return Made(id=name, attributes={"Arn": found["repositoryArn"], "RepositoryUri": found["repositoryUri"]})


async def _update_repository(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    await _repository_policies(env, name, after)
    return await _repository(env, name)


async def _delete_repository(env: BackedEnv, name: str, p: Properties) -> None:
    force = bool(p.get("EmptyOnDelete"))
    await if_there(env, "ecr", "DeleteRepository", {"repositoryName": name, "force": force})


# ── log groups ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_log_group(env: BackedEnv, p: Properties) -> Made:
    name = p.get("LogGroupName") or env.naming.name(512)
    members = {"logGroupName": name, "kmsKeyId": p.get("KmsKeyId"), "tags": tag_map(env, p)}
    await create_or_adopt(env, "logs", "CreateLogGroup", members)
    return await _retention(env, name, p)


async def _retention(env: BackedEnv, name: str, p: Properties) -> Made:
    if p.get("RetentionInDays"):
        members = {"logGroupName": name, "retentionInDays": p["RetentionInDays"]}
        await env.run("logs", "PutRetentionPolicy", members)
    outside = env.outside
    return Made(id=name, attributes={"Arn": f"arn:aws:logs:{outside.region}:{outside.account}:log-group:{name}:*"})


async def _update_log_group(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    if before.get("RetentionInDays") and not after.get("RetentionInDays"):
        await if_there(env, "logs", "DeleteRetentionPolicy", {"logGroupName": name})
    return await _retention(env, name, after)


async def _delete_log_group(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "logs", "DeleteLogGroup", {"logGroupName": name})


async def _create_log_stream(env: BackedEnv, p: Properties) -> Made:
    name = p.get("LogStreamName") or env.naming.name(512)
    await create_or_adopt(env, "logs", "CreateLogStream", {"logGroupName": p["LogGroupName"], "logStreamName": name})
    return Made(id=name)


async def _delete_log_stream(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "logs", "DeleteLogStream", {"logGroupName": p["LogGroupName"], "logStreamName": name})


PROVISIONERS = (
    Backed(type="AWS::S3::Bucket", create=_create_bucket, update=_update_bucket, delete=_delete_bucket),
    Backed(
        type="AWS::S3::BucketPolicy",
        create=_create_bucket_policy,
        update=_update_bucket_policy,
        delete=_delete_bucket_policy,
    ),
    Backed(type="AWS::SSM::Parameter", create=_create_parameter, update=_update_parameter, delete=_delete_parameter),
    Backed(type="AWS::SecretsManager::Secret", create=_create_secret, update=_update_secret, delete=_delete_secret),
    Backed(type="AWS::KMS::Key", create=_create_key, update=_update_key, delete=_delete_key),
    Backed(type="AWS::KMS::Alias", create=_create_alias, update=_update_alias, delete=_delete_alias),
    Backed(
        type="AWS::ECR::Repository",
        create=_create_repository,
        update=_update_repository,
        delete=_delete_repository,
    ),
    Backed(type="AWS::Logs::LogGroup", create=_create_log_group, update=_update_log_group, delete=_delete_log_group),
    Backed(type="AWS::Logs::LogStream", create=_create_log_stream, delete=_delete_log_stream),
)
