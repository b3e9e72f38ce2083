"""The query protocol: `Action`, `Version` and dotted names; lists as `.member.N`, maps as `.entry.N.key`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.form import FormCompiler, Tree


def _name(name: str, member: Shape) -> str:
    return member.location_name or name


def compile_query(shape: Shape | None) -> Callable[[Tree], dict[str, Any]]:
    """A reader of an operation's parameters from the form tree. It raises ParameterError."""
    return (lambda _: {}) if shape is None else FormCompiler(name=_name, ec2=False).compile(shape)
