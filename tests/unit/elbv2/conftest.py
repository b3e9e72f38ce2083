from __future__ import annotations

import pytest
from elb_cloud import Elb


@pytest.fixture
def cloud() -> Elb:
    return Elb()
