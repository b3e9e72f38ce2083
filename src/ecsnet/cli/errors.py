"""How the command line says what went wrong: one clear line, a hint, and an exit code that means something."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """The exit codes of `ecsnet`."""

    FAILED = 1
    """The command ran and what was asked for did not happen."""
    USAGE = 2
    """The command line is wrong."""
    NOT_RUNNING = 3
    """ecsnet is not up."""
    NOT_FOUND = 4
    """The named task, stack or VPC does not exist."""
    CANNOT_ENFORCE = 5
    """This machine cannot run real networks as it is."""
    UNDECIDED = 6
    """`ecsnet probe` saw nothing that decides; `ecsnet why` cannot know from the settings."""
    NO_CONNECTION = 7
    """`ecsnet curl`: refused or no route (curl's own code)."""
    TIMED_OUT = 28
    """`ecsnet curl`: no answer in time (curl's own code)."""


class CliError(Exception):
    """Ends the command: `message` is one line, `hint` says what to do about it."""

    def __init__(self, message: str, *, hint: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
