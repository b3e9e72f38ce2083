"""The table of what is answered, what is passed on and what is refused; written from the registry, never by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ecsnet.aws.models import load
from ecsnet.services.call import Kind, Operation

_HEADER = """\
# API coverage

This page is written by `tests/protocol/test_coverage.py` from the operations themselves
(`ECSNET_UPDATE_GOLDEN=1 pytest tests/protocol/test_coverage.py` writes it anew).

- **implemented**: ecsnet answers it itself. *read* looks at one snapshot; *write* is one transaction, acknowledged when
  the data plane has it.
- **no**: the service is ecsnet's, the operation is not built: it answers `NotImplemented` (HTTP 501), never an invented
  value, and is never passed on.
- **forwarded**: the service is not ecsnet's; every operation goes unchanged to a moto server that starts at first use.
"""


def coverage(services: Mapping[str, tuple[Operation, ...]], forwarded: Iterable[str], botocore_version: str) -> str:
    """The page in Markdown, with the version of the models that it counts against."""
    out = [_HEADER, f"Counted against botocore {botocore_version}.\n"]
    out += ["| Service | Protocol | Implemented | Of |", "|---|---|---|---|"]
    for service in sorted(services):
        model = load(service)
        out.append(f"| {service} | {model.metadata.protocol} | {len(services[service])} | {len(model.operations)} |")
    for service in sorted(services):
        out += ["", *_service(service, services[service])]
    out += ["", "## Forwarded", "", "Services known to moto: " + ", ".join(sorted(forwarded)) + ".", ""]
    return "\n".join(out)


def _service(service: str, operations: tuple[Operation, ...]) -> list[str]:
    kinds = {operation.name: operation.kind for operation in operations}
    rows = [f"## {service}", "", "| Operation | |", "|---|---|"]
    for name in sorted(kinds):
        rows.append(f"| {name} | implemented, {'read' if kinds[name] is Kind.READ else 'write'} |")
    missing = sorted(load(service).operations.keys() - kinds.keys())
    if missing:
        rows += ["", f"No ({len(missing)}): {', '.join(missing)}."]
    return rows
