"""What the network tests share: the stored rows of the compile tests, a world of their own, a lab in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "compile"))

from vpc_lab import Lab

from ecsnet.testing.world import TestWorld, throw_away_world


@pytest.fixture(scope="module")
def net() -> Iterator[TestWorld]:
    """A world for the tests of one module, without control: tests give the agent what they want."""
    with throw_away_world() as made:
        yield made


@pytest.fixture
def lab(net: TestWorld) -> Iterator[Lab]:
    """A store without rows whose network the world of this module becomes; the world is empty again after the test."""
    yield Lab(net)
    net.sync()
