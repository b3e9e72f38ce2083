"""AWS CloudFormation: templates become resources, by a state machine that survives a crash at any instruction.

Owns the records of `ecsnet.model.cloudformation`. It makes resources only by the operations of the other services
(inside the store) or by calls to the backing server (outside of it); it must not import the gateway, compile, fabric
or agent packages.
"""

from __future__ import annotations

from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.cloudformation import changesets, describe, signals, stacks
from ecsnet.services.cloudformation.intake import intake, intake_text
from ecsnet.services.cloudformation.registry import PROVISIONERS

_TYPES = PROVISIONERS


def _create_stack(call: Call, request: Request) -> Reply:
    return {"StackId": stacks.create_stack(call, request, _TYPES).id}


def _update_stack(call: Call, request: Request) -> Reply:
    return {"StackId": stacks.update_stack(call, request, _TYPES).id}


def _delete_stack(call: Call, request: Request) -> Reply:
    stacks.delete_stack(call, request)
    return {}


def _create_change_set(call: Call, request: Request) -> Reply:
    return changesets.create_change_set(call, request, _TYPES)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateStack", _create_stack, prepare=intake),
    write("UpdateStack", _update_stack, prepare=intake),
    write("DeleteStack", _delete_stack),
    write("CancelUpdateStack", stacks.cancel_update_stack),
    write("UpdateTerminationProtection", stacks.update_termination_protection),
    write("SetStackPolicy", stacks.set_stack_policy),
    read("GetStackPolicy", stacks.get_stack_policy),
    read("DescribeStacks", describe.describe_stacks),
    read("ListStacks", describe.list_stacks),
    read("DescribeStackEvents", describe.describe_stack_events),
    read("DescribeStackResources", describe.describe_stack_resources),
    read("DescribeStackResource", describe.describe_stack_resource),
    read("ListStackResources", describe.list_stack_resources),
    read("GetTemplate", describe.get_template),
    read("GetTemplateSummary", describe.get_template_summary, prepare=intake_text),
    read("ValidateTemplate", describe.validate_template, prepare=intake_text),
    write("CreateChangeSet", _create_change_set, prepare=intake),
    read("DescribeChangeSet", changesets.describe_change_set),
    write("ExecuteChangeSet", changesets.execute_change_set),
    write("DeleteChangeSet", changesets.delete_change_set),
    read("ListChangeSets", changesets.list_change_sets),
    read("ListExports", describe.list_exports),
    read("ListImports", describe.list_imports),
    *signals.OPERATIONS,
)
