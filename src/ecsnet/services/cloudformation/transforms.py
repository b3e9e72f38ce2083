"""The transforms that a template may ask for, run before anything else looks at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.foreach import expand
from ecsnet.services.cloudformation.intrinsics import Scope

LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
SERVERLESS = "AWS::Serverless-2016-10-31"


def names(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The transforms that a template names, in order."""
    found = body.get("Transform")
    items = found if isinstance(found, list) else [] if found is None else [found]
    return tuple(str(item.get("Name") if isinstance(item, dict) else item) for item in items)


def run(body: Mapping[str, Any], values: Mapping[str, Any], region: str) -> dict[str, Any]:
    """The template after its transforms.

    `values` are the parameters' values by name. SAM takes up to 50 ms (and a quarter of a second for its first
    import), so call this off the event loop. Raises ValidationError for a transform that ecsnet does not have.
    """
    result = dict(body)
    asked = names(body)
    for name in asked:
        if name not in (LANGUAGE_EXTENSIONS, SERVERLESS):
            raise ValidationError(
                f"ecsnet has no transform named {name}; it has {LANGUAGE_EXTENSIONS} and {SERVERLESS}."
            )
    # Loops go first whatever the order, as CloudFormation does it: SAM must see the copies.
    if LANGUAGE_EXTENSIONS in asked:
        scope = Scope(values=values, mappings=body.get("Mappings") or {})
        result = expand(result, scope)
    if SERVERLESS in asked:
        result = _serverless(result, values, region)
    result.pop("Transform", None)
    return result


def _serverless(body: Mapping[str, Any], values: Mapping[str, Any], region: str) -> dict[str, Any]:
    # Imported here: it costs 0.3 s and 44 MB, and most templates do without.
    import boto3
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

    given = {key: ",".join(value) if isinstance(value, list) else value for key, value in values.items()}
    # The session only says which region it is; the translator makes no call, because it is given its policies.
    session = boto3.Session(region_name=region, aws_access_key_id="none", aws_secret_access_key="none")
    translator = Translator(None, Parser(), boto_session=session)
    try:
        translated = translator.translate(
            json.loads(json.dumps(body)), parameter_values=given, get_managed_policy_map=dict
        )
    except InvalidDocumentException as error:
        causes = ", ".join(cause.message for cause in error.causes)
        raise ValidationError(f"Transform {SERVERLESS} failed with: {error.message} {causes}") from None
    return json.loads(json.dumps(translated))  # type: ignore[no-any-return]
