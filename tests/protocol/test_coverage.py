"""docs/generated/api-coverage.md says what the registry says."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

from ecsnet.aws.coverage import coverage
from ecsnet.aws.registry import Registry
from ecsnet.daemon import SERVICES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "generated" / "api-coverage.md"


def test_the_page_is_true() -> None:
    from moto.backends import list_of_moto_modules

    forwarded = {name.replace("_", "-") for name in list_of_moto_modules()} - set(SERVICES) - {"moto-api", "moto-proxy"}
    text = coverage(SERVICES, forwarded, version("botocore"))
    if os.environ.get("ECSNET_UPDATE_GOLDEN"):
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text)
    assert text == PAGE.read_text(), "api-coverage.md differs; run with ECSNET_UPDATE_GOLDEN=1 and review"


def test_every_operation_exists_and_compiles() -> None:
    registry = Registry(SERVICES)
    for service in registry.services.values():
        protocol = service.form_protocol or "json"
        for name in service.operations:
            service.codec(name, protocol)
