"""Tags as requests give them and replies show them (EC2 User Guide, "Tag restrictions")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ecsnet.model.base import Tags
from ecsnet.services.call import AwsError, Request

_PER_RESOURCE = 50


def tag_set(tags: Tags) -> list[Mapping[str, str]]:
    """The wire form."""
    return [{"Key": key, "Value": value} for key, value in tags]


def specified(request: Request, noun: str) -> Tags:
    """The tags that TagSpecifications gives to the resource being created.

    Raises InvalidParameterValue when a specification names another resource type than `noun`, and what `checked`
    raises.
    """
    if not request.get("TagSpecifications"):
        return ()
    given: list[tuple[str, str]] = []
    for one in request["TagSpecifications"]:
        kind = one.get("ResourceType")
        if kind != noun:
            raise AwsError(
                "InvalidParameterValue",
                f"'{kind}' is not a valid taggable resource type for this operation.",
            )
        given.extend(pairs(one.get("Tags") or ()))
    return checked(given)


def pairs(tags: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    return [(tag.get("Key") or "", tag.get("Value") or "") for tag in tags]


def checked(given: Sequence[tuple[str, str]]) -> Tags:
    """The tags, if a user may set them together. Raises InvalidParameterValue or TagLimitExceeded."""
    seen: set[str] = set()
    for key, value in given:
        if not key:
            raise AwsError("InvalidParameterValue", "Tag key cannot be empty")
        if key.lower().startswith("aws:"):
            raise AwsError(
                "InvalidParameterValue",
                "Value ( aws: ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal "
                "use",
            )
        if len(key) > 128:
            raise AwsError("InvalidParameterValue", f"Tag key exceeds the maximum length of 128 characters: {key}")
        if len(value) > 256:
            raise AwsError("InvalidParameterValue", f"Tag value exceeds the maximum length of 256 characters: {key}")
        if key in seen:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        seen.add(key)
    return merged((), given)


def merged(old: Tags, new: Iterable[tuple[str, str]]) -> Tags:
    """`old` with `new` written over it, in the order in which keys were first set. Raises TagLimitExceeded."""
    result = dict(old)
    result.update(new)
    if sum(1 for key in result if not key.startswith("aws:")) > _PER_RESOURCE:
        raise AwsError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    return tuple(result.items())
