"""Probes and captures of an ordinary user: raw sockets, kernel filters and log groups inside a user namespace."""

from __future__ import annotations

import os
import sys

import pytest
from ordinary_user import run_as_ordinary_user

pytestmark = pytest.mark.network

FILES = ("tests/network/test_prober.py", "tests/network/test_probe_cli.py")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the tests themselves")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_ordinary_user_probes_and_captures() -> None:
    done = run_as_ordinary_user([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *FILES], timeout=280)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
