"""Types that are kept in the stack alone: they can be referred to, and their event says what ecsnet does not do."""

from __future__ import annotations

import json

from ecsnet.services.call import AwsError
from ecsnet.services.cloudformation.resources.base import Env, Made, Native, Properties, delete_if_there

_NO_SCALING = "Recorded only: ecsnet does not scale services by itself."


def _scalable(p: Properties) -> str:
    return f"{p['ResourceId']}|{p['ScalableDimension']}|{p['ServiceNamespace']}"


def _create_target(env: Env, p: Properties) -> Made:
    return Made(id=_scalable(p), attributes={"Id": _scalable(p)}, note=_NO_SCALING)


def _update_target(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return _create_target(env, after)


def _create_policy(env: Env, p: Properties) -> Made:
    target = str(p.get("ScalingTargetId") or "").split("|")
    resource = p.get("ResourceId") or target[0]
    space = p.get("ServiceNamespace") or target[-1]
    arn = (
        f"arn:aws:autoscaling:{env.call.region}:{env.call.account}:scalingPolicy:{env.naming.uuid()}:"
        f"resource/{space}/{resource}:policyName/{p['PolicyName']}"
    )
    return Made(id=arn, attributes={"Arn": arn}, note=_NO_SCALING)


def _update_policy(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    return Made(id=id_, attributes={"Arn": id_}, note=_NO_SCALING)


def _forget(env: Env, id_: str, p: Properties) -> None:
    return None


# ── VPC endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy(p: Properties) -> str | None:
    """A template writes the policy as an object, the API takes its text."""
    document = p.get("PolicyDocument")
    return document if document is None or isinstance(document, str) else json.dumps(document)


def _create_endpoint(env: Env, p: Properties) -> Made:
    """Made by EC2 where EC2 knows endpoints; a gateway endpoint can be recorded, because tasks have no way to AWS's
    services that it would change. An interface endpoint would be an address that nobody answers."""
    if "CreateVpcEndpoint" in env.operations.get("ec2", {}):
        tags = env.naming.tags(p)
        members = {key: value for key, value in p.items() if key != "Tags"}
        members["PolicyDocument"] = _policy(p)
        if tags:
            members["TagSpecifications"] = [{"ResourceType": "vpc-endpoint", "Tags": tags}]
        endpoint = env.run("ec2", "CreateVpcEndpoint", members)["VpcEndpoint"]["VpcEndpointId"]
        return Made(id=endpoint, attributes={"Id": endpoint})
    if p.get("VpcEndpointType", "Gateway") != "Gateway":
        raise AwsError(
            "NotImplemented",
            f"ecsnet does not implement VPC endpoints of type {p['VpcEndpointType']} ({p.get('ServiceName')}).",
            status=501,
        )
    endpoint = env.call.ids.resource("vpce")
    return Made(
        id=endpoint,
        attributes={"Id": endpoint},
        note="Recorded only: no traffic goes through a gateway endpoint, and route tables do not show it.",
    )


def _update_endpoint(env: Env, id_: str, before: Properties, after: Properties) -> Made:
    if "ModifyVpcEndpoint" in env.operations.get("ec2", {}):
        lists = (
            ("RouteTableIds", "RouteTableIds"),
            ("SubnetIds", "SubnetIds"),
            ("SecurityGroupIds", "SecurityGroupIds"),
        )
        members: dict[str, object] = {"VpcEndpointId": id_, "PolicyDocument": _policy(after)}
        for name, member in lists:
            old, new = before.get(name) or [], after.get(name) or []
            members[f"Add{member}"] = [item for item in new if item not in old] or None
            members[f"Remove{member}"] = [item for item in old if item not in new] or None
        env.run("ec2", "ModifyVpcEndpoint", members)
    return Made(id=id_, attributes={"Id": id_})


def _delete_endpoint(env: Env, id_: str, p: Properties) -> None:
    if "DeleteVpcEndpoints" in env.operations.get("ec2", {}):
        delete_if_there(env, "ec2", "DeleteVpcEndpoints", {"VpcEndpointIds": [id_]})


PROVISIONERS = (
    Native(
        type="AWS::ApplicationAutoScaling::ScalableTarget",
        create=_create_target,
        update=_update_target,
        delete=_forget,
    ),
    Native(
        type="AWS::ApplicationAutoScaling::ScalingPolicy",
        create=_create_policy,
        update=_update_policy,
        delete=_forget,
    ),
    Native(type="AWS::EC2::VPCEndpoint", create=_create_endpoint, update=_update_endpoint, delete=_delete_endpoint),
)
