"""Finds the nested templates that a template on disk refers to, as `aws cloudformation package` does.

A parent names its parts by a path next to it (`Location: vpc.yml`) or, when it was published, by an S3 address of its
author's bucket (`TemplateURL: https://s3.amazonaws.com/bucket/infra/vpc.yaml`). Both are looked up in the local tree:
the path itself first, then by the longest tail of it that exists below the parent's folder or one of its parents. The
caller uploads the parts; the references in the returned bodies already point to where they will be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.template import parse

BUCKET = "ecsnet-templates"

REFERENCES = {"AWS::CloudFormation::Stack": "TemplateURL", "AWS::Serverless::Application": "Location"}
_PARENTS = 2
"""How many folders above the parent template are searched."""


class PackageError(Exception):
    """The template or one of its parts cannot be read; the text names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A template ready to be sent. `parts` are S3 keys in `BUCKET` → bodies, the deepest first."""

    body: str
    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        return digest(self.body)


def digest(body: str) -> str:
    """The name of a body: the same text has the same name."""
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def package(template: Path) -> Package:
    """Read `template` and everything it nests. Raises PackageError."""
    parts: dict[str, str] = {}
    return Package(body=_body(template.resolve(), parts, ()), parts=parts)


def _body(path: Path, parts: dict[str, str], above: tuple[Path, ...]) -> str:
    if path in above:
        raise PackageError(f"{path} nests itself")
    try:
        text = path.read_text(encoding="utf-8")
        document = parse(text).body
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        raise PackageError(f"{path}: {error}") from error
    changed = False
    for logical, resource in _resources(document).items():
        found = part_of(path, logical, resource)
        if found is None:
            continue
        properties, member = resource["Properties"], REFERENCES[resource["Type"]]
        body = _body(found, parts, (*above, path))
        key = f"{digest(body)}.template"
        parts[key] = body
        properties[member] = f"https://{BUCKET}.s3.amazonaws.com/{key}"
        changed = True
    return json.dumps(document) if changed else text


def _resources(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resources = document.get("Resources")
    if not isinstance(resources, dict):
        return {}
    return {
        logical: item
        for logical, item in resources.items()
        if isinstance(item, dict) and item.get("Type") in REFERENCES and isinstance(item.get("Properties"), dict)
    }


def part_of(parent: Path, logical: str, resource: Mapping[str, Any]) -> Path | None:
    """The local file of a nested stack, or None when there is none."""
    reference = resource["Properties"].get(REFERENCES[resource["Type"]])
    return find_part(parent, reference) or _synthesized(parent, logical, reference)


def _synthesized(parent: Path, logical: str, reference: object) -> Path | None:
    """What `cdk synth` wrote for a nested stack. Its address names an asset by hash; the file is named after the stack,
    the construct (which the logical id begins with) and eight digits."""
    if not isinstance(reference, dict) or "Fn::Join" not in reference or "NestedStack" not in logical:
        return None
    begin = _plain(parent.name.partition(".")[0] + logical.partition("NestedStack")[0])
    for candidate in sorted(parent.parent.glob("*.nested.template.json")):
        name = _plain(candidate.name.partition(".")[0])
        if name.startswith(begin) and len(name) == len(begin) + 8:
            return candidate.resolve()
    return None


def _plain(name: str) -> str:
    return "".join(char for char in name if char.isalnum()).lower()


def find_part(parent: Path, reference: object) -> Path | None:
    """The local file that a reference means, or None when it is not a plain address or no such file exists."""
    text = reference
    if isinstance(reference, dict):
        # `!Sub https://bucket.s3.${AWS::Region}.amazonaws.com/infra/vpc.yaml`: only its path matters here
        text = reference.get("Fn::Sub")
    if not isinstance(text, str):
        return None
    path = PurePosixPath(urlsplit(text).path if "://" in text else text)
    names = [name for name in path.parts if name not in ("/", ".")]
    folders = [parent.parent, *list(parent.parent.parents)[:_PARENTS]]
    for start in range(len(names)):
        for folder in folders:
            candidate = folder.joinpath(*names[start:])
            if candidate.is_file():
                return candidate.resolve()
    return None
