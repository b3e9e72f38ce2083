"""What can be wrong with a parameter, before any service has looked at it."""

from __future__ import annotations

import enum


class Fault(enum.Enum):
    MISSING = "missing"
    """A required member is absent."""
    TYPE = "type"
    """The value cannot be read as the member's type."""
    RANGE = "range"
    """A number is outside its limits."""
    LENGTH = "length"
    """A string, list or map is too short or too long."""
    MALFORMED = "malformed"
    """The request itself cannot be read."""


class ParameterError(Exception):
    """A parameter that does not fit its shape. Containers add their part of `path` while it unwinds.

    `expected` is the type name for TYPE, else None; `low` and `high` are the limits that were broken, if any.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        value: object = None,
        expected: str | None = None,
        low: float | None = None,
        high: float | None = None,
        text: str = "",
    ) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.value = value
        self.expected = expected
        self.low = low
        self.high = high
        self.text = text
        """For MALFORMED: a sentence that says what cannot be read."""
        self.path: list[str] = []

    def within(self, part: str) -> ParameterError:
        """The same problem seen from one container further out."""
        self.path.insert(0, part)
        return self


def malformed(text: str) -> ParameterError:
    return ParameterError(Fault.MALFORMED, text=text)
