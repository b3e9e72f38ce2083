"""The modes mean the same for an ordinary user, real containers included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
from ordinary_user import run_as_ordinary_user

pytestmark = pytest.mark.network

CHOSEN = "static_port or shares_the_machine or none_reaches or real_containers"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the tests themselves")
@pytest.mark.slow
@pytest.mark.timeout(700)
def test_an_ordinary_user_has_the_same_modes() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)
        options = ["--basetemp", f"{folder}/base", "-p", "no:cacheprovider", "-v", "-k", CHOSEN]
        argv = [sys.executable, "-m", "pytest", *options, "tests/network/test_modes.py"]
        done = run_as_ordinary_user(argv, timeout=600)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert "4 passed" in done.stdout, done.stdout[-2000:]
        subprocess.run(["rm", "-rf", f"{folder}/base"], check=True)
