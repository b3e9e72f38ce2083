"""Topics, queues, event rules, alarms, functions: kept in the backing server, which runs nothing by itself."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.intrinsics import text
from ecsnet.services.cloudformation.resources.backed import create_or_adopt, document, if_there, tag_map
from ecsnet.services.cloudformation.resources.base import Backed, BackedEnv, Made, Properties

# ── SNS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_topic(env: BackedEnv, p: Properties) -> Made:
    fifo = bool(p.get("FifoTopic"))
    name = p.get("TopicName") or env.naming.name(200) + (".fifo" if fifo else "")
    attributes = {
        key: text(p[key])
        for key in ("DisplayName", "KmsMasterKeyId", "FifoTopic", "ContentBasedDeduplication")
        if key in p
    }
    members = {"Name": name, "Attributes": attributes or None, "Tags": env.naming.tags(p) or None}
    arn = (await env.run("sns", "CreateTopic", members))["TopicArn"]
    for subscription in p.get("Subscription") or ():
        await env.run("sns", "Subscribe", {"TopicArn": arn, **_subscription(subscription)})
    return Made(id=arn, attributes={"TopicArn": arn, "TopicName": name})


def _subscription(p: Properties) -> dict[str, Any]:
    return {"Protocol": p["Protocol"], "Endpoint": p.get("Endpoint")}


async def _update_topic(env: BackedEnv, arn: str, before: Properties, after: Properties) -> Made:
    if before.get("DisplayName") != after.get("DisplayName"):
        value = after.get("DisplayName", "")
        members = {"TopicArn": arn, "AttributeName": "DisplayName", "AttributeValue": value}
        await env.run("sns", "SetTopicAttributes", members)
    old = list(before.get("Subscription") or ())
    for subscription in after.get("Subscription") or ():
        if subscription not in old:
            await env.run("sns", "Subscribe", {"TopicArn": arn, **_subscription(subscription)})
    return Made(id=arn, attributes={"TopicArn": arn, "TopicName": arn.rsplit(":", 1)[1]})


async def _delete_topic(env: BackedEnv, arn: str, p: Properties) -> None:
    await if_there(env, "sns", "DeleteTopic", {"TopicArn": arn})


async def _create_subscription(env: BackedEnv, p: Properties) -> Made:
    attributes = {}
    if p.get("RawMessageDelivery") is not None:
        attributes["RawMessageDelivery"] = text(p["RawMessageDelivery"])
    if p.get("FilterPolicy") is not None:
        attributes["FilterPolicy"] = document(p["FilterPolicy"])
    members = {
        "TopicArn": p["TopicArn"],
        **_subscription(p),
        "Attributes": attributes or None,
        "ReturnSubscriptionArn": True,
    }
    arn = (await env.run("sns", "Subscribe", members))["SubscriptionArn"]
    return Made(id=arn, attributes={"Arn": arn})


async def _delete_subscription(env: BackedEnv, arn: str, p: Properties) -> None:
    await if_there(env, "sns", "Unsubscribe", {"SubscriptionArn": arn})


async def _create_topic_policy(env: BackedEnv, p: Properties) -> Made:
    for topic in p["Topics"]:
        members = {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": document(p["PolicyDocument"])}
        await env.run("sns", "SetTopicAttributes", members)
    return Made(id=env.naming.name(128))


async def _update_topic_policy(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    await _create_topic_policy(env, after)
    return Made(id=id_)


async def _leave(env: BackedEnv, id_: str, p: Properties) -> None:
    """A policy goes with what it is attached to; there is no call that takes it away alone."""


# ── SQS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

_QUEUE = (
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "DelaySeconds",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "SqsManagedSseEnabled",
    "VisibilityTimeout",
)


def _queue_attributes(p: Properties) -> dict[str, str]:
    attributes = {key: text(p[key]) for key in _QUEUE if key in p}
    for key in ("RedrivePolicy", "RedriveAllowPolicy"):
        if key in p:
            attributes[key] = document(p[key])
    return attributes


async def _create_queue(env: BackedEnv, p: Properties) -> Made:
    name = p.get("QueueName") or env.naming.name(70) + (".fifo" if p.get("FifoQueue") else "")
    members = {"QueueName": name, "Attributes": _queue_attributes(p) or None, "tags": tag_map(env, p)}
    reply = await create_or_adopt(env, "sqs", "CreateQueue", members)
    if reply is None:
        reply = await env.run("sqs", "GetQueueUrl", {"QueueName": name})
    return _queue(env, reply["QueueUrl"])


def _queue(env: BackedEnv, url: str) -> Made:
    name = url.rsplit("/", 1)[1]
    arn = f"arn:aws:sqs:{env.outside.region}:{env.outside.account}:{name}"
    return Made(id=url, attributes={"Arn": arn, "QueueName": name, "QueueUrl": url})


async def _update_queue(env: BackedEnv, url: str, before: Properties, after: Properties) -> Made:
    await env.run("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": _queue_attributes(after)})
    return _queue(env, url)


async def _delete_queue(env: BackedEnv, url: str, p: Properties) -> None:
    await if_there(env, "sqs", "DeleteQueue", {"QueueUrl": url})


async def _create_queue_policy(env: BackedEnv, p: Properties) -> Made:
    for url in p["Queues"]:
        members = {"QueueUrl": url, "Attributes": {"Policy": document(p["PolicyDocument"])}}
        await env.run("sqs", "SetQueueAttributes", members)
    return Made(id=env.naming.name(128), attributes={"Id": env.naming.name(128)})


async def _update_queue_policy(env: BackedEnv, id_: str, before: Properties, after: Properties) -> Made:
    await _create_queue_policy(env, after)
    return Made(id=id_, attributes={"Id": id_})


# ── EventBridge, CloudWatch ──────────────────────────────────────────────────────────────────────────────────────────


def _target(given: Mapping[str, Any]) -> dict[str, Any]:
    """A rule's target in the API's spelling: the template says AwsVpcConfiguration."""
    target = dict(given)
    network = (target.get("EcsParameters") or {}).get("NetworkConfiguration")
    if network and "AwsVpcConfiguration" in network:
        spelled = {"awsvpcConfiguration": network["AwsVpcConfiguration"]}
        target["EcsParameters"] = {**target["EcsParameters"], "NetworkConfiguration": spelled}
    return target


async def _put_rule(env: BackedEnv, name: str, p: Properties) -> Made:
    members = {
        "Name": name,
        "Description": p.get("Description"),
        "EventBusName": p.get("EventBusName"),
        "EventPattern": document(p["EventPattern"]) if p.get("EventPattern") else None,
        "ScheduleExpression": p.get("ScheduleExpression"),
        "RoleArn": p.get("RoleArn"),
        "State": p.get("State"),
    }
    arn = (await env.run("events", "PutRule", members))["RuleArn"]
    if p.get("Targets"):
        targets = {
            "Rule": name,
            "EventBusName": p.get("EventBusName"),
            "Targets": [_target(one) for one in p["Targets"]],
        }
        await env.run("events", "PutTargets", targets)
    return Made(id=name, attributes={"Arn": arn}, note="Kept only: ecsnet does not deliver events.")


async def _create_rule(env: BackedEnv, p: Properties) -> Made:
    return await _put_rule(env, p.get("Name") or env.naming.name(64), p)


async def _update_rule(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    kept = {target["Id"] for target in after.get("Targets") or ()}
    gone = [target["Id"] for target in before.get("Targets") or () if target["Id"] not in kept]
    if gone:
        await if_there(env, "events", "RemoveTargets", {"Rule": name, "Ids": gone})
    return await _put_rule(env, name, after)


async def _delete_rule(env: BackedEnv, name: str, p: Properties) -> None:
    bus = p.get("EventBusName")
    targets = [target["Id"] for target in p.get("Targets") or ()]
    if targets:
        await if_there(env, "events", "RemoveTargets", {"Rule": name, "Ids": targets, "EventBusName": bus})
    await if_there(env, "events", "DeleteRule", {"Name": name, "EventBusName": bus})


async def _put_alarm(env: BackedEnv, name: str, p: Properties) -> Made:
    members = {key: value for key, value in p.items() if key not in ("AlarmName", "Tags")}
    await env.run("cloudwatch", "PutMetricAlarm", {**members, "AlarmName": name})
    arn = f"arn:aws:cloudwatch:{env.outside.region}:{env.outside.account}:alarm:{name}"
    return Made(id=name, attributes={"Arn": arn}, note="Kept only: ecsnet does not evaluate alarms.")


async def _create_alarm(env: BackedEnv, p: Properties) -> Made:
    return await _put_alarm(env, p.get("AlarmName") or env.naming.name(255), p)


async def _update_alarm(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    return await _put_alarm(env, name, after)


async def _delete_alarm(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "cloudwatch", "DeleteAlarms", {"AlarmNames": [name]})


# ── Lambda ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_FUNCTION_NOTE = "Kept only: ecsnet does not run Lambda functions."


async def _create_function(env: BackedEnv, p: Properties) -> Made:
    name = p.get("FunctionName") or env.naming.name(64)
    names = ("Architectures", "Description", "Handler", "MemorySize", "PackageType", "Role", "Runtime", "Timeout")
    members = {
        **{key: p.get(key) for key in names},
        "FunctionName": name,
        "Code": _code(p),
        "Environment": p.get("Environment"),
        "Tags": tag_map(env, p),
    }
    note = _FUNCTION_NOTE
    try:
        reply = await create_or_adopt(env, "lambda", "CreateFunction", members)
    except AwsError as error:
        if "GetObject" not in error.message:
            raise
        # A synthesised template names code that only `cdk deploy` uploads. The function can still be referred to.
        reply = await create_or_adopt(env, "lambda", "CreateFunction", {**members, "Code": _archive("", "index.txt")})
        note = f"{_FUNCTION_NOTE} Its code is not there: {error.message}"
    if reply is None:
        reply = (await env.run("lambda", "GetFunction", {"FunctionName": name}))["Configuration"]
    return Made(id=name, attributes={"Arn": reply["FunctionArn"]}, note=note)


def _code(p: Properties) -> dict[str, Any]:
    code = dict(p.get("Code") or {})
    if "ZipFile" in code:
        suffix = "js" if str(p.get("Runtime", "")).startswith("nodejs") else "py"
        return _archive(code["ZipFile"], f"index.{suffix}")
    return code


def _archive(text_: str, name: str) -> dict[str, Any]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(name, text_)
    return {"ZipFile": archive.getvalue()}


async def _update_function(env: BackedEnv, name: str, before: Properties, after: Properties) -> Made:
    names = ("Description", "Handler", "MemorySize", "Role", "Runtime", "Timeout", "Environment")
    members = {"FunctionName": name, **{key: after.get(key) for key in names}}
    reply = await env.run("lambda", "UpdateFunctionConfiguration", members)
    if before.get("Code") != after.get("Code"):
        await env.run("lambda", "UpdateFunctionCode", {"FunctionName": name, **_code(after)})
    return Made(id=name, attributes={"Arn": reply["FunctionArn"]}, note=_FUNCTION_NOTE)


async def _delete_function(env: BackedEnv, name: str, p: Properties) -> None:
    await if_there(env, "lambda", "DeleteFunction", {"FunctionName": name})


async def _create_permission(env: BackedEnv, p: Properties) -> Made:
    statement = env.naming.name(100)
    names = ("Action", "FunctionName", "Principal", "SourceArn", "SourceAccount")
    members = {**{key: p.get(key) for key in names}, "StatementId": statement}
    await create_or_adopt(env, "lambda", "AddPermission", members)
    return Made(id=statement, attributes={"Id": statement})


async def _delete_permission(env: BackedEnv, id_: str, p: Properties) -> None:
    members = {"FunctionName": p["FunctionName"], "StatementId": id_}
    await if_there(env, "lambda", "RemovePermission", members)


# ── ACM ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _create_certificate(env: BackedEnv, p: Properties) -> Made:
    members = {
        "DomainName": p["DomainName"],
        "SubjectAlternativeNames": p.get("SubjectAlternativeNames"),
        "ValidationMethod": p.get("ValidationMethod"),
        "IdempotencyToken": env.naming.token(32),
        "Tags": env.naming.tags(p) or None,
    }
    arn = (await env.run("acm", "RequestCertificate", members))["CertificateArn"]
    return Made(id=arn, note="Kept only: nobody validated the domain.")


async def _delete_certificate(env: BackedEnv, arn: str, p: Properties) -> None:
    await if_there(env, "acm", "DeleteCertificate", {"CertificateArn": arn})


PROVISIONERS = (
    Backed(type="AWS::SNS::Topic", create=_create_topic, update=_update_topic, delete=_delete_topic),
    Backed(type="AWS::SNS::Subscription", create=_create_subscription, delete=_delete_subscription),
    Backed(type="AWS::SNS::TopicPolicy", create=_create_topic_policy, update=_update_topic_policy, delete=_leave),
    Backed(type="AWS::SQS::Queue", create=_create_queue, update=_update_queue, delete=_delete_queue),
    Backed(type="AWS::SQS::QueuePolicy", create=_create_queue_policy, update=_update_queue_policy, delete=_leave),
    Backed(type="AWS::Events::Rule", create=_create_rule, update=_update_rule, delete=_delete_rule),
    Backed(type="AWS::CloudWatch::Alarm", create=_create_alarm, update=_update_alarm, delete=_delete_alarm),
    Backed(type="AWS::Lambda::Function", create=_create_function, update=_update_function, delete=_delete_function),
    Backed(type="AWS::Lambda::Permission", create=_create_permission, delete=_delete_permission),
    Backed(type="AWS::CertificateManager::Certificate", create=_create_certificate, delete=_delete_certificate),
)
