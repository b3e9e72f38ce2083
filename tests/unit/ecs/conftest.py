"""An account with a default VPC and a default cluster."""

from __future__ import annotations

import pytest

from ecs_harness import Cloud


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    made.ecs("CreateCluster")
    return made
