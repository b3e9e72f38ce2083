"""The Rules section: assertions about parameters, checked before anything is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.intrinsics import Scope, evaluate, text, truth


def check(section: Any, scope: Scope) -> None:
    """Raise ValidationError with the assertion's own description when a rule that applies does not hold."""
    if section is None:
        return
    if not isinstance(section, dict):
        raise ValidationError("Template format error: Rules must be an object.")
    inner = replace(scope, extra=_FUNCTIONS)
    for name, rule in section.items():
        if not isinstance(rule, dict) or not isinstance(rule.get("Assertions"), list):
            raise ValidationError(f"Template format error: Rule {name} must have a list of Assertions.")
        if "RuleCondition" in rule and not truth(rule["RuleCondition"], inner):
            continue
        for assertion in rule["Assertions"]:
            if not isinstance(assertion, dict) or "Assert" not in assertion:
                raise ValidationError(f"Template format error: an assertion of rule {name} has no Assert.")
            if not truth(assertion["Assert"], inner):
                described = assertion.get("AssertDescription", "the assertion does not hold")
                raise ValidationError(f"Template error: rule {name} failed: {described}")


def _pair(name: str, argument: Any, scope: Scope) -> tuple[list[str], Any]:
    if not isinstance(argument, list) or len(argument) != 2:
        raise ValidationError(f"Template error: {name} needs two arguments.")
    first, second = (evaluate(item, scope) for item in argument)
    return [text(item) for item in (first if isinstance(first, list) else [first])], second


def _contains(argument: Any, scope: Scope) -> bool:
    values, wanted = _pair("Fn::Contains", argument, scope)
    return text(wanted) in values


def _each_equals(argument: Any, scope: Scope) -> bool:
    values, wanted = _pair("Fn::EachMemberEquals", argument, scope)
    return all(value == text(wanted) for value in values)


def _each_in(argument: Any, scope: Scope) -> bool:
    values, wanted = _pair("Fn::EachMemberIn", argument, scope)
    allowed = {text(item) for item in (wanted if isinstance(wanted, list) else [wanted])}
    return all(value in allowed for value in values)


def _of_existing_resources(argument: Any, scope: Scope) -> Any:
    raise ValidationError(
        "ecsnet does not evaluate Fn::RefAll, Fn::ValueOf and Fn::ValueOfAll (attributes of parameter values in Rules)."
    )


_FUNCTIONS: Mapping[str, Callable[[Any, Scope], Any]] = {
    "Fn::Contains": _contains,
    "Fn::EachMemberEquals": _each_equals,
    "Fn::EachMemberIn": _each_in,
    "Fn::RefAll": _of_existing_resources,
    "Fn::ValueOf": _of_existing_resources,
    "Fn::ValueOfAll": _of_existing_resources,
}
