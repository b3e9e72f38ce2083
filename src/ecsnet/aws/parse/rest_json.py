"""The rest-json protocol: members in path, query string and headers, the rest as a JSON body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecsnet.aws.models import Shape
from ecsnet.aws.parse.json import JsonCompiler, decode
from ecsnet.aws.parse.rest import RestRequest, compile_rest


def compile_rest_json(shape: Shape | None) -> Callable[[RestRequest], dict[str, Any]]:
    """A reader of an operation's parameters. It raises ParameterError."""

    def compiled(part: Shape) -> Callable[[bytes], Any]:
        read = JsonCompiler().compile(part)
        return lambda body: read(decode(body))

    return compile_rest(shape, body=compiled, payload=compiled)
