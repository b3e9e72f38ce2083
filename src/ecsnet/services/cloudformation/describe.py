"""The calls that tell about stacks, their resources, events, templates and exports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ecsnet.model import tables
from ecsnet.model.base import scope
from ecsnet.model.cloudformation import Stack, StackEvent, StackResource
from ecsnet.services.call import Call, Reply, Request
from ecsnet.services.cloudformation import transforms
from ecsnet.services.cloudformation.errors import ValidationError, stack_does_not_exist
from ecsnet.services.cloudformation.intake import TEMPLATE
from ecsnet.services.cloudformation.intrinsics import text
from ecsnet.services.cloudformation.journal import events_of, resource_of, resources_of
from ecsnet.services.cloudformation.listing import page, without_none
from ecsnet.services.cloudformation.lookup import find_change_set, find_stack
from ecsnet.services.cloudformation.parameters import declarations
from ecsnet.services.cloudformation.plan import check_form
from ecsnet.services.cloudformation.template import parse

_NO_DRIFT = {"StackDriftStatus": "NOT_CHECKED"}


def _found(call: Call, name: str) -> Stack:
    stack = find_stack(call.tx, call.account, call.region, name)
    if stack is None:
        raise stack_does_not_exist(name)
    return stack


def _here(call: Call) -> list[Stack]:
    found = call.tx.find(tables.STACKS_BY_SCOPE, scope(call.account, call.region))
    return sorted(found, key=lambda stack: (-stack.created, stack.id))


def describe_stacks(call: Call, request: Request) -> Reply:
    name = request.get("StackName")
    stacks = [_found(call, str(name))] if name else [stack for stack in _here(call) if stack.deleted is None]
    return page([_stack(stack) for stack in stacks], request, "Stacks", 100)


def _stack(stack: Stack) -> dict[str, Any]:
    version = stack.current
    return without_none(
        {
            "StackId": stack.id,
            "StackName": stack.name,
            "ChangeSetId": stack.change_set,
            "Description": stack.description,
            "Parameters": [
                without_none(
                    {
                        "ParameterKey": parameter.key,
                        "ParameterValue": "****" if parameter.no_echo else parameter.value,
                        "ResolvedValue": "****"
                        if parameter.no_echo and parameter.resolved is not None
                        else parameter.resolved,
                    }
                )
                for parameter in version.parameters
            ],
            "CreationTime": stack.created,
            "DeletionTime": stack.deleted,
            "LastUpdatedTime": stack.updated,
            "RollbackConfiguration": {},
            "StackStatus": stack.status.value,
            "StackStatusReason": stack.reason,
            "DisableRollback": stack.disable_rollback,
            "NotificationARNs": list(version.notifications),
            "TimeoutInMinutes": stack.timeout_minutes,
            "Capabilities": list(version.capabilities),
            "Outputs": [
                without_none(
                    {
                        "OutputKey": output.key,
                        "OutputValue": output.value,
                        "Description": output.description,
                        "ExportName": output.export,
                    }
                )
                for output in version.outputs
            ],
            "RoleARN": stack.role,
            "Tags": [{"Key": key, "Value": value} for key, value in version.tags],
            "EnableTerminationProtection": stack.termination_protection,
            "ParentId": stack.parent,
            "RootId": stack.root,
            "DriftInformation": _NO_DRIFT,
        }
    )


def list_stacks(call: Call, request: Request) -> Reply:
    wanted = set(request.get("StackStatusFilter") or ())
    stacks = [stack for stack in _here(call) if not wanted or stack.status.value in wanted]
    items = [
        without_none(
            {
                "StackId": stack.id,
                "StackName": stack.name,
                "TemplateDescription": stack.description,
                "CreationTime": stack.created,
                "LastUpdatedTime": stack.updated,
                "DeletionTime": stack.deleted,
                "StackStatus": stack.status.value,
                "StackStatusReason": stack.reason,
                "ParentId": stack.parent,
                "RootId": stack.root,
                "DriftInformation": _NO_DRIFT,
            }
        )
        for stack in stacks
    ]
    return page(items, request, "StackSummaries", 100)


def describe_stack_events(call: Call, request: Request) -> Reply:
    stack = _found(call, str(request["StackName"]))
    return page([_event(stack, event) for event in events_of(call.tx, stack.id)], request, "StackEvents", 100)


def _event(stack: Stack, event: StackEvent) -> dict[str, Any]:
    return without_none(
        {
            "StackId": stack.id,
            "EventId": event.id,
            "StackName": stack.name,
            "LogicalResourceId": event.logical,
            "PhysicalResourceId": event.physical,
            "ResourceType": event.type,
            "Timestamp": event.at,
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ResourceProperties": event.properties,
            "ClientRequestToken": event.token,
        }
    )


def describe_stack_resources(call: Call, request: Request) -> Reply:
    name, physical = request.get("StackName"), request.get("PhysicalResourceId")
    if not name and not physical:
        raise ValidationError("Either StackName or PhysicalResourceId must be specified")
    if name:
        stack = _found(call, str(name))
    else:
        rows = [
            row
            for row in call.tx.find(tables.STACK_RESOURCES_BY_PHYSICAL, str(physical))
            if row.stack.split(":")[3:5] == [call.region, call.account]
        ]
        if not rows:
            raise ValidationError(f"Stack for {physical} does not exist")
        stack = _found(call, rows[0].stack)
    logical = request.get("LogicalResourceId")
    return {
        "StackResources": [
            _resource(stack, row, "Timestamp")
            for row in _rows(call, stack)
            if logical is None or row.logical == logical
        ]
    }


def _rows(call: Call, stack: Stack) -> Iterable[StackResource]:
    shown = [row for row in resources_of(call.tx, stack.id).values() if row.physical is not None or row.began]
    return sorted(shown, key=lambda row: row.logical)


def _resource(stack: Stack, row: StackResource, time: str) -> dict[str, Any]:
    return without_none(
        {
            "StackName": stack.name,
            "StackId": stack.id,
            "LogicalResourceId": row.logical,
            "PhysicalResourceId": row.physical.id if row.physical else None,
            "ResourceType": row.type,
            time: row.updated,
            "ResourceStatus": row.status.value,
            "ResourceStatusReason": row.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
    )


def describe_stack_resource(call: Call, request: Request) -> Reply:
    stack = _found(call, str(request["StackName"]))
    logical = str(request["LogicalResourceId"])
    row = resource_of(call.tx, stack.id, logical)
    if row is None:
        raise ValidationError(f"Resource {logical} does not exist for stack {stack.name}")
    metadata = json.loads(stack.current.processed)["Resources"].get(logical, {}).get("Metadata")
    detail = _resource(stack, row, "LastUpdatedTimestamp")
    if metadata is not None:
        detail["Metadata"] = json.dumps(metadata)
    return {"StackResourceDetail": detail}


def list_stack_resources(call: Call, request: Request) -> Reply:
    stack = _found(call, str(request["StackName"]))
    items = []
    for row in _rows(call, stack):
        item = _resource(stack, row, "LastUpdatedTimestamp")
        del item["StackName"], item["StackId"]
        items.append(item)
    return page(items, request, "StackResourceSummaries", 100)


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────────────


def get_template(call: Call, request: Request) -> Reply:
    stage = request.get("TemplateStage") or "Original"
    if request.get("ChangeSetName"):
        version = find_change_set(call, request).version
    elif request.get("StackName"):
        stack = _found(call, str(request["StackName"]))
        version = stack.current
    else:
        raise ValidationError("Either StackName or ChangeSetName must be specified")
    body = version.template if stage == "Original" else version.processed
    return {"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}


def get_template_summary(call: Call, request: Request) -> Reply:
    """Source: API reference, GetTemplateSummary. The request went through `intake_text`."""
    document = parse(str(request[TEMPLATE])).body
    declared = declarations(document.get("Parameters"))
    found = document.get("Resources")
    resources = found if isinstance(found, dict) else {}
    kinds = [str(body.get("Type")) for body in resources.values() if isinstance(body, dict)]
    return without_none(
        {
            "Parameters": [_declaration(name, body) for name, body in declared.items()],
            "Description": document.get("Description"),
            "ResourceTypes": sorted(set(kinds)),
            "Version": document.get("AWSTemplateFormatVersion"),
            "Metadata": json.dumps(document["Metadata"]) if "Metadata" in document else None,
            "DeclaredTransforms": list(transforms.names(document)),
            **_capabilities(document, kinds),
        }
    )


def _declaration(name: str, body: dict[str, Any]) -> dict[str, Any]:
    allowed = body.get("AllowedValues")
    default = body.get("Default")
    return without_none(
        {
            "ParameterKey": name,
            "DefaultValue": text(default) if default is not None else None,
            "ParameterType": body["Type"],
            "NoEcho": text(body.get("NoEcho", "false")) == "true",
            "Description": body.get("Description"),
            "ParameterConstraints": {"AllowedValues": [text(value) for value in allowed]} if allowed else {},
        }
    )


def _capabilities(document: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    iam = sorted({kind for kind in kinds if kind.startswith("AWS::IAM::") and kind != "AWS::IAM::OIDCProvider"})
    capabilities = ["CAPABILITY_IAM"] if iam else []
    reason = f"The following resource(s) require capabilities: [{', '.join(iam)}]" if iam else None
    if transforms.names(document):
        capabilities.append("CAPABILITY_AUTO_EXPAND")
    if not capabilities:
        return {}
    return without_none({"Capabilities": capabilities, "CapabilitiesReason": reason})


def validate_template(call: Call, request: Request) -> Reply:
    """Source: API reference, ValidateTemplate. The request went through `intake_text`."""
    document = parse(str(request[TEMPLATE])).body
    if not transforms.names(document):
        check_form(document)
    kinds = [str(body.get("Type")) for body in document.get("Resources", {}).values() if isinstance(body, dict)]
    return without_none(
        {
            "Parameters": [
                {key: value for key, value in _declaration(name, body).items() if key in _VALIDATED}
                for name, body in declarations(document.get("Parameters")).items()
            ],
            "Description": document.get("Description"),
            "DeclaredTransforms": list(transforms.names(document)),
            **_capabilities(document, kinds),
        }
    )


_VALIDATED = ("ParameterKey", "DefaultValue", "NoEcho", "Description")


# ── exports ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def list_exports(call: Call, request: Request) -> Reply:
    found = call.tx.find(tables.EXPORTS_BY_SCOPE, scope(call.account, call.region))
    items = [
        {"ExportingStackId": export.stack, "Name": export.name, "Value": export.value}
        for export in sorted(found, key=lambda export: export.name)
    ]
    return page(items, request, "Exports", 100)


def list_imports(call: Call, request: Request) -> Reply:
    name = str(request["ExportName"])
    key = tables.export_key(call.account, call.region, name)
    if call.tx.get(tables.EXPORTS, key) is None:
        raise ValidationError(f"Export '{name}' does not exist.")
    users = sorted(stack.name for stack in call.tx.find(tables.STACKS_BY_IMPORT, key))
    if not users:
        raise ValidationError(f"Export '{name}' is not imported by any stack.")
    return page(users, request, "Imports", 100)
