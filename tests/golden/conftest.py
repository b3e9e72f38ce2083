"""Golden tests share the row builders of the compile tests."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "compile"):
    sys.path.insert(0, str(folder))
