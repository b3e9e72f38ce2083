"""Makes a stack version from a request that `intake` has completed, and checks it before anything is made."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ecsnet.model import tables
from ecsnet.model.cloudformation import Parameter, StackVersion
from ecsnet.services.call import AwsError, Call, Request
from ecsnet.services.cloudformation import transforms
from ecsnet.services.cloudformation.errors import ValidationError, insufficient_capabilities
from ecsnet.services.cloudformation.intake import GIVEN, PROCESSED, SSM, TEMPLATE
from ecsnet.services.cloudformation.intrinsics import evaluate
from ecsnet.services.cloudformation.parameters import SSM_VALUE, declarations, resolve
from ecsnet.services.cloudformation.plan import Identity, Plan, make_plan
from ecsnet.services.cloudformation.schema import is_known
from ecsnet.services.cloudformation.template import parse
from ecsnet.store.schema import Table

_IAM = frozenset(
    [
        "AWS::IAM::AccessKey",
        "AWS::IAM::Group",
        "AWS::IAM::InstanceProfile",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::IAM::User",
        "AWS::IAM::UserToGroupAddition",
    ]
)
_IAM_NAMES = ("RoleName", "UserName", "GroupName", "ManagedPolicyName", "InstanceProfileName")


def version_of(
    call: Call, request: Request, identity: Identity, previous: StackVersion | None, types: Collection[str]
) -> tuple[StackVersion, Plan]:
    """The version that a request asks for, with the plan made from it.

    What a request leaves out (tags, capabilities, notifications) comes from `previous`. Raises ValidationError,
    InsufficientCapabilitiesException, or NotImplemented naming every type that ecsnet cannot make.
    """
    processed = str(request[PROCESSED])
    body = json.loads(processed)
    _check_types(body)
    parameters = resolve(declarations(body.get("Parameters")), request[GIVEN], request[SSM])
    _check_existing(call, declarations(body.get("Parameters")), parameters)
    capabilities = request.get("Capabilities")
    tags = request.get("Tags")
    notifications = request.get("NotificationARNs")
    version = StackVersion(
        template=str(request[TEMPLATE]),
        processed=processed,
        parameters=parameters,
        capabilities=tuple(capabilities or ()),
        notifications=tuple(notifications)
        if notifications is not None
        else (previous.notifications if previous else ()),
        tags=tuple((str(tag["Key"]), str(tag["Value"])) for tag in tags)
        if tags is not None
        else (previous.tags if previous else ()),
    )
    if version.notifications != identity.notifications:
        identity = Identity(
            id=identity.id,
            name=identity.name,
            account=identity.account,
            region=identity.region,
            notifications=version.notifications,
        )
    plan = make_plan(processed, parameters, identity)
    _check_capabilities(version, plan)
    unsupported = sorted({resource.type for resource in plan.resources.values() if resource.type not in types})
    if unsupported:
        raise AwsError(
            "NotImplemented",
            f"ecsnet does not make resources of these types: [{', '.join(unsupported)}]. Nothing was made.",
            status=501,
        )
    return StackVersion(
        template=version.template,
        processed=processed,
        parameters=parameters,
        capabilities=version.capabilities,
        notifications=version.notifications,
        tags=version.tags,
        imports=import_names(plan),
    ), plan


def _check_types(body: Mapping[str, Any]) -> None:
    kinds = {str(resource["Type"]) for resource in body["Resources"].values()}
    unknown = sorted(kind for kind in kinds if not is_known(kind))
    if unknown:
        raise ValidationError(f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]")


_EXISTING: Mapping[str, tuple[Table[Any], str]] = {
    "AWS::EC2::VPC::Id": (tables.VPCS, "VPC Id"),
    "AWS::EC2::Subnet::Id": (tables.SUBNETS, "subnet ID"),
    "AWS::EC2::SecurityGroup::Id": (tables.GROUPS, "security group"),
}


def _check_existing(call: Call, declared: Mapping[str, Mapping[str, Any]], parameters: Iterable[Parameter]) -> None:
    """Parameters of AWS-specific types name what exists (user guide, "AWS-specific parameter types")."""
    for parameter in parameters:
        kind = str(declared[parameter.key]["Type"])
        wrapped = SSM_VALUE.fullmatch(kind)
        kind = wrapped.group(1) if wrapped else kind
        found = _EXISTING.get(kind.removeprefix("List<").removesuffix(">"))
        if found is None:
            continue
        value = parameter.resolved if parameter.resolved is not None else parameter.value
        for item in [part.strip() for part in value.split(",")] if kind.startswith("List<") else [value]:
            row: Any = call.tx.get(found[0], item)
            if row is None or (row.account, row.region) != (call.account, call.region):
                raise ValidationError(
                    f"Parameter validation failed: parameter value {item} for parameter name {parameter.key} does not "
                    f"exist (no such {found[1]} in {call.region})"
                )


def needed_capabilities(template: str, plan: Plan) -> dict[str, list[str]]:
    """Capability → the resource types (or transforms) that ask for it."""
    needed: dict[str, list[str]] = {}
    iam = [resource for resource in plan.resources.values() if resource.type in _IAM]
    if iam:
        named = any(name in resource.properties for resource in iam for name in _IAM_NAMES)
        needed["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"] = sorted({resource.type for resource in iam})
    macros = transforms.names(parse(template).body)
    if macros:
        needed["CAPABILITY_AUTO_EXPAND"] = list(macros)
    return needed


def _check_capabilities(version: StackVersion, plan: Plan) -> None:
    given = set(version.capabilities)
    if "CAPABILITY_NAMED_IAM" in given:
        given.add("CAPABILITY_IAM")
    needed = needed_capabilities(version.template, plan)
    missing = tuple(name for name in needed if name not in given)
    if missing:
        raise insufficient_capabilities(missing)


def import_names(plan: Plan) -> tuple[str, ...]:
    """The names of the exports that a plan imports, in order, whether they exist or not."""
    names: dict[str, None] = {}

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            if len(value) == 1 and "Fn::ImportValue" in value:
                names[str(evaluate(value["Fn::ImportValue"], plan.scope))] = None
                return
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    for resource in plan.resources.values():
        walk(resource.properties)
    for output in plan.outputs.values():
        walk(output.value)
    return tuple(names)
