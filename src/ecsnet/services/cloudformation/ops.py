"""What other services ask of CloudFormation, within their own transaction."""

from __future__ import annotations

import base64
import binascii
import json
import re

from ecsnet.services.call import Call
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import evaluate
from ecsnet.services.cloudformation.lookup import find_stack
from ecsnet.services.cloudformation.resolve import UnknownValueError, live_scope, plan_of

_STACK = re.compile(r"--stack[ =]+(\S+)")
_RESOURCE = re.compile(r"--resource[ =]+(\S+)")
_INIT = "AWS::CloudFormation::Init"


def init_text(call: Call, user_data: str | None) -> str:
    """The files and commands that cfn-init would fetch for an instance, as text; empty when its user data calls none.

    Nothing of it is run: it is read like user data. Source: user guide, "cfn-init" (it asks for the metadata of the
    resource that `--stack` and `--resource` name).
    """
    try:
        text = base64.b64decode(user_data or "").decode(errors="replace")
    except binascii.Error:
        return ""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if "cfn-init" in line]
    found = []
    for line in lines:
        named, resource = _STACK.search(line), _RESOURCE.search(line)
        if named is not None and resource is not None:
            found.append(_metadata(call, named[1].strip("'\""), resource[1].strip("'\"")))
    return "\n".join(found)


def _metadata(call: Call, stack_name: str, logical: str) -> str:
    stack = find_stack(call.tx, call.account, call.region, stack_name)
    if stack is None:
        return ""
    resource = json.loads(stack.current.processed)["Resources"].get(logical, {})
    try:
        init = evaluate((resource.get("Metadata") or {}).get(_INIT), live_scope(call.tx, stack, plan_of(stack)))
    except (ValidationError, UnknownValueError):
        return ""
    return "\n".join(_texts(init))


def _texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in _texts(item)]
        case list():
            return [text for item in value for text in _texts(item)]
        case _:
            return []
