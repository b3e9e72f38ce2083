"""The cluster query language: expressions that choose container instances (Developer Guide, "Cluster query language").

expression := and-term { ("||" | "or") and-term }
and-term   := factor { ("&&" | "and") factor }
factor     := ("!" | "not") factor | "(" expression ")" | subject operator [argument]
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


class QueryError(ValueError):
    """The text is no expression of the language; the message says where it goes wrong."""


class Subject(Protocol):
    """A container instance as an expression sees it."""

    def attribute(self, name: str) -> tuple[bool, str | None]:
        """(whether the instance has it, its value)."""
        ...

    def member(self, name: str) -> str | None:
        """agentConnected, agentVersion, ec2InstanceId, registeredAt or runningTasksCount as text; None when unset."""
        ...

    def runs(self, group: str) -> bool:
        """Whether a task of a task group is to run on it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    subject: str
    operator: str
    arguments: tuple[str, ...] = ()

    def holds(self, of: Subject) -> bool:
        if self.subject == "task:group":
            present = any(of.runs(group) for group in self.arguments)
            return present if self.operator in ("==", "in") else not present
        exists, value = _value(of, self.subject)
        match self.operator:
            case "exists":
                return exists
            case "!exists":
                return not exists
            case "!=" | "!in":
                return value not in self.arguments
            case "!~":
                return not (value is not None and _pattern(self.arguments[0]).fullmatch(value))
            case _ if value is None:
                return False
            case "==" | "in":
                return value in self.arguments
            case "=~":
                return _pattern(self.arguments[0]).fullmatch(value) is not None
            case _:
                return _ORDER[self.operator](_comparable(value), _comparable(self.arguments[0]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    inner: Expression

    def holds(self, of: Subject) -> bool:
        return not self.inner.holds(of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    parts: tuple[Expression, ...]

    def holds(self, of: Subject) -> bool:
        return all(part.holds(of) for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    parts: tuple[Expression, ...]

    def holds(self, of: Subject) -> bool:
        return any(part.holds(of) for part in self.parts)


Expression = Test | Not | Every | AnyOf

Comparable = tuple[tuple[int, int, str], ...]

_ORDER: Mapping[str, Callable[[Comparable, Comparable], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}

_WORDS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_exists": "!exists",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
"""The operators' names in letters."""

_OPERATORS = frozenset({"==", "!=", ">", ">=", "<", "<=", "exists", "!exists", "in", "!in", "=~", "!~"})
_MEMBERS = frozenset({"agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount"})
_LONGEST = 2000
"""Characters (API PlacementConstraint.expression)."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')"""
    r"""|(?P<sign>==|!=|=~|!~|>=|<=|>|<|&&|\|\||!exists\b|!in\b|[()\[\],!])"""
    r"""|(?P<word>[^\s()\[\],!=<>&|"'~][^\s()\[\],=<>&|"'~]*))"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    kind: str
    text: str
    at: int


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Expression:
    """The expression that a text means. Raises QueryError."""
    if len(text) > _LONGEST:
        raise QueryError(f"an expression has at most {_LONGEST} characters")
    return _Parser(text).whole()


class _Parser:
    """Recursive descent over the tokens; an argument of =~ is read raw, because any sign may stand in it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Expression:
        found = self._any()
        rest = self._peek()
        if rest is not None:
            raise QueryError(f"unexpected {rest.text!r} at {rest.at}")
        return found

    def _peek(self) -> _Token | None:
        if not self._text[self._at :].strip():
            return None
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise QueryError(f"cannot read {self._text[self._at :].strip()[:20]!r} at {self._at}")
        kind = match.lastgroup or ""
        return _Token(kind=kind, text=match[kind], at=match.end())

    def _next(self, what: str) -> _Token:
        token = self._peek()
        if token is None:
            raise QueryError(f"{what} is missing at the end")
        self._at = token.at
        return token

    def _take(self, *texts: str) -> bool:
        token = self._peek()
        if token is None or token.kind == "quoted" or token.text.lower() not in texts:
            return False
        self._at = token.at
        return True

    def _any(self) -> Expression:
        parts = [self._every()]
        while self._take("||", "or"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else AnyOf(parts=tuple(parts))

    def _every(self) -> Expression:
        parts = [self._factor()]
        while self._take("&&", "and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Every(parts=tuple(parts))

    def _factor(self) -> Expression:
        if self._take("!", "not"):
            return Not(inner=self._factor())
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise QueryError("a closing parenthesis is missing")
            return inner
        return self._test()

    def _test(self) -> Expression:
        subject = self._next("a subject").text
        if not (subject in _MEMBERS or subject == "task:group" or subject.startswith("attribute:")):
            raise QueryError(f"unknown subject {subject!r}")
        word = self._next("an operator").text
        operator = _WORDS.get(word, word)
        if operator not in _OPERATORS:
            raise QueryError(f"unknown operator {word!r}")
        if subject == "task:group" and operator not in ("==", "!=", "in", "!in"):
            raise QueryError(f"task:group cannot be compared with {word!r}")
        match operator:
            case "exists" | "!exists":
                return Test(subject=subject, operator=operator)
            case "in" | "!in":
                return Test(subject=subject, operator=operator, arguments=tuple(self._list()))
            case "=~" | "!~":
                raw = self._raw()
                _pattern(raw)
                return Test(subject=subject, operator=operator, arguments=(raw,))
            case _:
                return Test(subject=subject, operator=operator, arguments=(self._argument(),))

    def _argument(self) -> str:
        token = self._next("an argument")
        if token.kind == "sign":
            raise QueryError(f"an argument is missing before {token.text!r}")
        return token.text[1:-1] if token.kind == "quoted" else token.text

    def _list(self) -> Iterator[str]:
        if not self._take("["):
            raise QueryError("a list of arguments begins with '['")
        yield self._argument()
        while self._take(","):
            yield self._argument()
        if not self._take("]"):
            raise QueryError("a list of arguments ends with ']'")

    def _raw(self) -> str:
        """A regular expression: quoted, or up to white space or an unbalanced closing parenthesis."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        token = self._peek()
        if token is not None and token.kind == "quoted":
            return self._argument()
        start, depth = self._at, 0
        while self._at < len(self._text):
            sign = self._text[self._at]
            depth += {"(": 1, ")": -1}.get(sign, 0)
            if sign.isspace() or depth < 0:
                break
            self._at += 1
        if start == self._at:
            raise QueryError("a regular expression is missing")
        return self._text[start : self._at]


_REPEATED_GROUP = re.compile(r"\)[*+{]|\\[1-9]|\(\?")
_MOST_REPEATS = 4


@functools.lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    """A regular expression as the language uses it (Java's, which for these words is Python's).

    Repeated groups and back references are refused: matching them may take exponential time, and the scheduler would
    stand still as long.
    """
    if _REPEATED_GROUP.search(text) or max(map(_repeats, text.split("|"))) > _MOST_REPEATS:
        raise QueryError(f"ecsnet does not match the regular expression {text!r}: it repeats too much")
    try:
        return re.compile(text)
    except re.error as error:
        raise QueryError(f"{text!r} is no regular expression: {error}") from error


def _repeats(text: str) -> int:
    return sum(text.count(sign) for sign in "*+{")


def _value(of: Subject, subject: str) -> tuple[bool, str | None]:
    if subject.startswith("attribute:"):
        return of.attribute(subject.removeprefix("attribute:"))
    value = of.member(subject)
    return value is not None, value


def _comparable(text: str) -> Comparable:
    """Versions, counts and times in their order: digits compare as numbers, the rest as text."""
    return tuple(
        (1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.findall(r"\d+|[^\d.:\-T]+", text)
    )
