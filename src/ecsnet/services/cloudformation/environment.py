"""What a provisioner is given to work with."""

from __future__ import annotations

from typing import Any

from ecsnet.model.cloudformation import Stack, StackResource
from ecsnet.services.call import Call
from ecsnet.services.cloudformation.resources.base import Env, Naming, Tools


def naming(stack: Stack, row: StackResource) -> Naming:
    return Naming(stack=stack, logical=row.logical, generation=row.began)


def environment(call: Call, tools: Tools, stack: Stack, row: StackResource, fetched: Any) -> Env:
    return Env(
        call=call,
        operations=tools.operations,
        types=tools.provisioners,
        naming=naming(stack, row),
        fetched=fetched,
    )
