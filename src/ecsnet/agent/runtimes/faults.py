"""A fault in our own code on a worker thread must show in the agent's log."""

from __future__ import annotations

import traceback
from concurrent.futures import Future


def complain(done: Future[None]) -> None:
    """Print the error with which a job ended; for `add_done_callback`."""
    error = None if done.cancelled() else done.exception()
    if error is not None:
        traceback.print_exception(error)
