"""botocore's service models, read straight from its compressed files and stripped of their documentation.

Reading ten services takes about 50 ms this way; botocore's own loader needs four times that and 50 MB.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

TypeName = Literal[
    "structure", "list", "map", "string", "character", "integer", "long", "short", "byte", "float", "double",
    "boolean", "timestamp", "blob", "bigdecimal", "biginteger",
]  # fmt: skip


class _Traits(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What a shape, or a reference to it, says about its place on the wire."""

    location: str | None = None
    location_name: str | None = None
    query_name: str | None = None
    flattened: bool | None = None
    xml_namespace: dict[str, str] | str | None = None
    xml_attribute: bool | None = None
    timestamp_format: str | None = None
    payload: str | None = None
    result_wrapper: str | None = None
    jsonvalue: bool | None = None
    streaming: bool | None = None
    idempotency_token: bool | None = None


class Ref(_Traits, frozen=True, kw_only=True, rename="camel", gc=False):
    """A reference to a shape by name, with traits that win over the shape's own."""

    shape: str


class ErrorTrait(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    code: str | None = None
    http_status_code: int | None = None


class ShapeModel(_Traits, frozen=True, kw_only=True, rename="camel", gc=False):
    type: TypeName
    members: dict[str, Ref] = {}
    required: tuple[str, ...] = ()
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    min: float | None = None
    max: float | None = None
    exception: bool = False
    error: ErrorTrait | None = None
    document: bool = False
    union: bool = False


class Http(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class OperationModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    name: str
    http: Http = Http()
    input: Ref | None = None
    output: Ref | None = None
    errors: tuple[Ref, ...] = ()


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    api_version: str
    endpoint_prefix: str
    protocol: str
    protocols: tuple[str, ...] = ()
    json_version: str = "1.1"
    signing_name: str | None = None
    target_prefix: str | None = None
    xml_namespace: str | None = None


class ServiceModel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One service: its operations by name and its shapes by name."""

    metadata: Metadata
    operations: dict[str, OperationModel]
    shapes: dict[str, ShapeModel]

    @property
    def signing_name(self) -> str:
        """The service name in a SigV4 credential scope."""
        return self.metadata.signing_name or self.metadata.endpoint_prefix

    def shape(self, ref: Ref) -> Shape:
        return Shape(self, ref)

    def input(self, operation: str) -> Shape | None:
        ref = self.operations[operation].input
        return self.shape(ref) if ref is not None else None

    def output(self, operation: str) -> Shape | None:
        ref = self.operations[operation].output
        return self.shape(ref) if ref is not None else None

    def error_codes(self, operation: str) -> tuple[str, ...]:
        """The error codes that the model declares for an operation, as they stand on the wire."""
        return tuple(self._error_code(ref.shape) for ref in self.operations[operation].errors)

    def _error_code(self, name: str) -> str:
        error = self.shapes[name].error
        return error.code if error is not None and error.code is not None else name


class Shape:
    """A shape as seen from where it is used: the reference's traits win over the shape's own."""

    __slots__ = ("_model", "_ref", "own")

    def __init__(self, model: ServiceModel, ref: Ref) -> None:
        self._model = model
        self._ref = ref
        self.own = model.shapes[ref.shape]

    @property
    def name(self) -> str:
        return self._ref.shape

    @property
    def type(self) -> TypeName:
        return self.own.type

    @property
    def location(self) -> str | None:
        return self._ref.location or self.own.location

    @property
    def location_name(self) -> str | None:
        return self._ref.location_name or self.own.location_name

    @property
    def query_name(self) -> str | None:
        return self._ref.query_name or self.own.query_name

    @property
    def flattened(self) -> bool:
        return bool(self._ref.flattened or self.own.flattened)

    @property
    def xml_attribute(self) -> bool:
        return bool(self._ref.xml_attribute or self.own.xml_attribute)

    @property
    def timestamp_format(self) -> str | None:
        return self._ref.timestamp_format or self.own.timestamp_format

    @property
    def payload(self) -> str | None:
        return self._ref.payload or self.own.payload

    @property
    def result_wrapper(self) -> str | None:
        return self._ref.result_wrapper or self.own.result_wrapper

    @property
    def jsonvalue(self) -> bool:
        return bool(self._ref.jsonvalue or self.own.jsonvalue)

    @property
    def namespace(self) -> tuple[str, str] | None:
        """(attribute, URI) of the XML namespace declared here."""
        found = self._ref.xml_namespace or self.own.xml_namespace
        if found is None:
            return None
        if isinstance(found, str):
            return "xmlns", found
        prefix = found.get("prefix")
        return (f"xmlns:{prefix}" if prefix else "xmlns"), found["uri"]

    def members(self) -> Iterator[tuple[str, Shape]]:
        return ((name, Shape(self._model, ref)) for name, ref in self.own.members.items())

    def inner(self, part: Literal["member", "key", "value"]) -> Shape:
        """The element of a list, or the key or value of a map."""
        ref = self.own.member if part == "member" else self.own.key if part == "key" else self.own.value
        if ref is None:
            raise ValueError(f"{self.name} is a {self.type} and has no {part}")
        return Shape(self._model, ref)


_DECODER = msgspec.json.Decoder(ServiceModel)


@functools.cache
def data_directory() -> Path:
    """Where the installed botocore keeps its models."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise RuntimeError("botocore is not installed; ecsnet reads its service models")
    return Path(spec.origin).parent / "data"


@functools.cache
def load(service: str) -> ServiceModel:
    """The newest model of a service by its botocore name. Raises KeyError for a name that botocore does not have."""
    directory = data_directory() / service
    if not directory.is_dir():
        raise KeyError(f"botocore has no service called {service!r}")
    newest = max(path for path in directory.iterdir() if path.is_dir())
    return _DECODER.decode(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
