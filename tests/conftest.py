"""Fixtures that every group of tests may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecsnet.home import Home
from ecsnet.testing.instance import Instance, free_port

ROOT = Path(__file__).resolve().parents[1]
INPUTS = Path(os.environ.get("ECSNET_INPUTS", ROOT.parent / "shared" / "inputs")).resolve()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on public templates, in one line, where a user's clone has no such folder.

    Continuous integration checks for the folder before it starts, so that nothing is left out there.
    """
    if (INPUTS / "templates").is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("inputs")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("inputs")]
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"left out {len(left_out)} tests on public templates: {INPUTS} is not there")


@pytest.fixture(scope="session")
def inputs() -> Path:
    """The folder of public templates that nobody of this project wrote."""
    return INPUTS


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A whole ecsnet for the tests of one module."""
    made = Instance(home=Home(path=tmp_path_factory.mktemp("ecsnet")), port=free_port(), speed=10.0)
    made.up()
    try:
        yield made
    finally:
        made.down()
