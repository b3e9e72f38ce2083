"""Everything that holds for root holds for an ordinary user too."""

from __future__ import annotations

import os
import sys

import pytest
from ordinary_user import run_as_ordinary_user

pytestmark = pytest.mark.network

FILES = (
    "tests/network/test_vpc.py",
    "tests/network/test_vpc_life.py",
    "tests/network/test_peering.py",
    "tests/network/test_bridge.py",
    "tests/network/test_flow_reader.py",
    "tests/agent/test_world.py",
    "tests/agent/test_sockets.py",
)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the tests themselves")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_ordinary_user_has_the_same_network() -> None:
    done = run_as_ordinary_user([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *FILES], timeout=280)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
