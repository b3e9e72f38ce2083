"""The ec2 protocol: as query, but lists are `.N` without `member` and names are capitalised location names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.form import FormCompiler, Tree


def _name(name: str, member: Shape) -> str:
    if member.query_name:
        return member.query_name
    wire = member.location_name or name
    return wire[0].upper() + wire[1:] if member.location_name else wire


def compile_ec2(shape: Shape | None) -> Callable[[Tree], dict[str, Any]]:
    """A reader of an operation's parameters from the form tree. It raises ParameterError.

    EC2 checks the length of no string by its model, only the size of numbers such as MaxResults.
    """
    return (lambda _: {}) if shape is None else FormCompiler(name=_name, ec2=True).compile(shape)
