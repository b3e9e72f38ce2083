"""A processed template and its parameter values, made ready to work from: conditions decided, order known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ecsnet.model.cloudformation import Parameter, Retain
from ecsnet.services.cloudformation import rules
from ecsnet.services.cloudformation.conditions import conditions
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.graph import ordered, references
from ecsnet.services.cloudformation.intrinsics import NO_VALUE, Scope, evaluate
from ecsnet.services.cloudformation.parameters import declarations, value_of

_SECTIONS = frozenset(
    [
        "AWSTemplateFormatVersion",
        "Conditions",
        "Description",
        "Globals",
        "Hooks",
        "Mappings",
        "Metadata",
        "Outputs",
        "Parameters",
        "Resources",
        "Rules",
        "Transform",
    ]
)
_RESOURCE_KEYS = frozenset(
    [
        "Condition",
        "CreationPolicy",
        "DeletionPolicy",
        "DependsOn",
        "Description",
        "Metadata",
        "Properties",
        "Type",
        "UpdatePolicy",
        "UpdateReplacePolicy",
        "Version",
    ]
)
MAX_RESOURCES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a CreationPolicy asks for."""

    count: int
    timeout: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource that the template asks for under the conditions that hold."""

    logical: str
    type: str
    properties: Mapping[str, Any]
    """Functions not yet evaluated, except Fn::If."""
    depends_on: tuple[str, ...]
    """Explicit and implied, in no particular order."""
    retain: Retain
    """DeletionPolicy."""
    retain_on_replace: bool
    signals: Signals | None = None
    """Of its CreationPolicy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDeclaration:
    value: Any
    description: str | None
    export: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    resources: Mapping[str, Resource]
    """In dependency order."""
    outputs: Mapping[str, OutputDeclaration]
    scope: Scope
    """Parameters, pseudo parameters, mappings and conditions; no resources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The stack that a template is for, as far as pseudo parameters tell of it."""

    id: str
    name: str
    account: str
    region: str
    notifications: tuple[str, ...] = ()


def check_form(body: Mapping[str, Any]) -> None:
    """Raise ValidationError when the top level or a resource does not have a template's form."""
    unknown = [key for key in body if key not in _SECTIONS]
    if unknown:
        raise ValidationError(
            f"Template format error: Invalid template property or properties [{', '.join(map(str, unknown))}]"
        )
    version = body.get("AWSTemplateFormatVersion")
    if version is not None and str(version) != "2010-09-09":
        raise ValidationError(
            f"Template format error: {version} is not a supported value for AWSTemplateFormatVersion."
        )
    found = body.get("Resources")
    if not isinstance(found, dict) or not found:
        raise ValidationError("Template format error: At least one Resources member must be defined.")
    if len(found) > MAX_RESOURCES:
        raise ValidationError(
            f"Template format error: Number of resources, {len(found)}, is greater than maximum allowed, "
            f"{MAX_RESOURCES}"
        )
    for section in ("Mappings", "Conditions", "Outputs", "Metadata"):
        if body.get(section) is not None and not isinstance(body[section], dict):
            raise ValidationError(f"Template format error: {section} must be an object.")
    for logical, resource in found.items():
        where = f" (line {line})" if (line := getattr(resource, "line", 0)) else ""
        if not isinstance(resource, dict):
            raise ValidationError(f"Template format error: Any Resources member must be an object ({logical}).")
        if not isinstance(resource.get("Type"), str):
            raise ValidationError(
                f"Template format error: [/Resources/{logical}] Every Resources object must contain a Type member"
                f"{where}."
            )
        if not logical.isalnum():
            raise ValidationError(f"Template format error: Resource name {logical} is non alphanumeric.")
        odd = [key for key in resource if key not in _RESOURCE_KEYS]
        if odd:
            raise ValidationError(f"Invalid template resource property '{odd[0]}' of resource {logical}{where}")
        if not isinstance(resource.get("Properties", {}), dict | None):
            raise ValidationError(f"Template format error: Properties of {logical} must be an object{where}.")
    declarations(body.get("Parameters"))


def pseudo(identity: Identity) -> dict[str, Any]:
    region = identity.region
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return {
        "AWS::AccountId": identity.account,
        "AWS::NotificationARNs": list(identity.notifications),
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::StackId": identity.id,
        "AWS::StackName": identity.name,
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
    }


@lru_cache(maxsize=256)
def make_plan(processed: str, parameters: tuple[Parameter, ...], identity: Identity) -> Plan:
    """The plan of a processed template (JSON text). Cached: the engine asks for it at every step.

    Raises ValidationError for an unresolved name, a failed rule, or a cycle.
    """
    body = json.loads(processed)
    declared = declarations(body.get("Parameters"))
    values = pseudo(identity)
    for parameter in parameters:
        values[parameter.key] = value_of(str(declared[parameter.key]["Type"]), parameter)
    mappings = body.get("Mappings") or {}
    scope = Scope(values=values, mappings=mappings)
    rules.check(body.get("Rules"), scope)
    scope = Scope(values=values, mappings=mappings, conditions=conditions(body.get("Conditions") or {}, scope))
    active = {
        logical: resource
        for logical, resource in body["Resources"].items()
        if _holds(resource, scope, f"resource {logical}")
    }
    bodies = {logical: _decided(resource.get("Properties") or {}, scope) for logical, resource in active.items()}
    outputs = _outputs(body.get("Outputs") or {}, scope)
    needs = {
        logical: _needs(logical, resource, bodies[logical], body["Resources"], active, values)
        for logical, resource in active.items()
    }
    _check_names("Outputs", [[o.value, o.export] for o in outputs.values()], active, values)
    resources = {}
    for logical in ordered(needs):
        resource = active[logical]
        deletion = _policy(resource, "DeletionPolicy", scope)
        resources[logical] = Resource(
            logical=logical,
            type=resource["Type"],
            properties=bodies[logical],
            depends_on=tuple(sorted(needs[logical])),
            retain="always" if deletion == "Retain" else "except-on-create" if deletion == _EXCEPT else "no",
            retain_on_replace=_policy(resource, "UpdateReplacePolicy", scope) == "Retain",
            signals=_signals(logical, resource, scope),
        )
    return Plan(resources=resources, outputs=outputs, scope=scope)


_TIMEOUT = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


def _signals(logical: str, resource: Mapping[str, Any], scope: Scope) -> Signals | None:
    """User guide, "CreationPolicy attribute". Raises ValidationError for a timeout that is no ISO 8601 duration."""
    policy = evaluate(_decided(resource.get("CreationPolicy") or {}, scope), scope)
    asked = policy.get("ResourceSignal") if isinstance(policy, dict) else None
    if not isinstance(asked, dict):
        return None
    timeout = _TIMEOUT.fullmatch(str(asked.get("Timeout", "PT5M")))
    if timeout is None:
        raise ValidationError(f"Template error: {logical} has an invalid Timeout {asked.get('Timeout')!r}.")
    hours, minutes, seconds = (int(part or 0) for part in timeout.groups())
    percent = int((policy.get("AutoScalingCreationPolicy") or {}).get("MinSuccessfulInstancesPercent", 100))
    count = -(-int(asked.get("Count", 1)) * percent // 100)
    return Signals(count=count, timeout=hours * 3600.0 + minutes * 60 + seconds)


_EXCEPT = "RetainExceptOnCreate"
_POLICIES = ("Delete", "Retain", "Snapshot", _EXCEPT)


def _policy(resource: Mapping[str, Any], name: str, scope: Scope) -> str:
    value = evaluate(resource.get(name, "Delete"), scope)
    if value not in _POLICIES:
        raise ValidationError(f"Template error: {name} must be one of {', '.join(_POLICIES)}; got {value!r}.")
    return str(value)


def _holds(item: Mapping[str, Any], scope: Scope, what: str) -> bool:
    name = item.get("Condition")
    if name is None:
        return True
    if not isinstance(name, str) or name not in scope.conditions:
        raise ValidationError(f"Template format error: Unresolved condition dependency {name} of {what}.")
    return scope.conditions[name]


def _decided(value: Any, scope: Scope) -> Any:
    """`value` with every Fn::If replaced by the branch that holds."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("Fn::If"), list):
            branches = value["Fn::If"]
            name = branches[0] if branches else None
            if len(branches) != 3 or not isinstance(name, str) or name not in scope.conditions:
                raise ValidationError(
                    f"Template error: Fn::If needs a condition of the template and two values; got {branches}."
                )
            return _decided(branches[1] if scope.conditions[name] else branches[2], scope)
        decided = ((key, _decided(item, scope)) for key, item in value.items())
        return {key: item for key, item in decided if item != {"Ref": "AWS::NoValue"}}
    if isinstance(value, list):
        return [item for item in (_decided(each, scope) for each in value) if item != {"Ref": "AWS::NoValue"}]
    return value


def _outputs(section: Mapping[str, Any], scope: Scope) -> dict[str, OutputDeclaration]:
    outputs = {}
    for key, item in section.items():
        if not isinstance(item, dict) or "Value" not in item:
            raise ValidationError(f"Template format error: Every Outputs member must contain a Value object ({key}).")
        if not _holds(item, scope, f"output {key}"):
            continue
        export = item.get("Export")
        if export is not None and (not isinstance(export, dict) or "Name" not in export):
            raise ValidationError(f"Template format error: Export of output {key} must have a Name.")
        description = item.get("Description")
        outputs[key] = OutputDeclaration(
            value=_decided(item["Value"], scope),
            description=str(description) if description is not None else None,
            export=_decided(export["Name"], scope) if export else None,
        )
        if outputs[key].value is NO_VALUE or outputs[key].value == {"Ref": "AWS::NoValue"}:
            del outputs[key]
    return outputs


def _needs(
    logical: str,
    resource: Mapping[str, Any],
    properties: Any,
    declared: Mapping[str, Any],
    active: Mapping[str, Any],
    values: Mapping[str, Any],
) -> set[str]:
    explicit = resource.get("DependsOn") or []
    names = [explicit] if isinstance(explicit, str) else explicit
    missing = [name for name in names if name not in declared]
    if missing:
        raise ValidationError(
            f"Template format error: Unresolved resource dependencies [{', '.join(map(str, missing))}] in the "
            "Resources block of the template"
        )
    needed = {name for name in names if name in active}
    needed |= _check_names("Resources", properties, active, values)
    if logical in needed:
        raise ValidationError(f"Circular dependency between resources: [{logical}]")
    return needed


def _check_names(block: str, value: Any, active: Mapping[str, Any], values: Mapping[str, Any]) -> set[str]:
    """The resources that a value refers to. Raises ValidationError for a name that is nothing."""
    found, missing = set(), []
    for name, attribute in references(value):
        if name in active:
            found.add(name)
        elif name not in values and not name.startswith("AWS::"):
            if attribute is not None and block == "Resources":
                raise ValidationError(f"Template error: instance of Fn::GetAtt references undefined resource {name}")
            missing.append(name)
    if missing:
        names = ", ".join(dict.fromkeys(missing))
        raise ValidationError(
            f"Template format error: Unresolved resource dependencies [{names}] in the {block} block of the template"
        )
    return found
