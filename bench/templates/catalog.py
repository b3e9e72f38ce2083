"""What public templates say about each other: who nests whom, and who exports what somebody imports.

Names of exports and imports are compared as (parameter that holds a stack name, the rest of the name): an export
`!Sub '${AWS::StackName}-VPC'` and an import `!Sub '${ParentVPCStack}-VPC'` meet in the rest, `-VPC`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.package import REFERENCES, part_of
from ecsnet.services.cloudformation.template import parse

_REFERENCE = re.compile(r"\$\{([^}!]+)\}")
_SECRET = re.compile(r"\{\{resolve:secretsmanager:([A-Za-z0-9/_+=.@-]+?):SecretString")
_SUFFIXES = (".yml", ".yaml", ".json", ".template", ".cf")


@dataclass(frozen=True, slots=True, order=True)
class SharedName:
    """The name of an export: it begins with the value of `parameter`, which is empty when the name is constant."""

    parameter: str
    rest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Template:
    """One template file."""

    path: Path
    repository: Path
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`<repository>/<path in it>`."""
        return str(self.path.relative_to(self.repository.parent))

    @cached_property
    def types(self) -> frozenset[str]:
        return frozenset(str(resource.get("Type")) for resource in self._resources())

    @cached_property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        return self.body.get("Parameters") or {}

    @cached_property
    def outputs(self) -> frozenset[str]:
        return frozenset(self.body.get("Outputs") or {})

    @cached_property
    def parts(self) -> frozenset[Path]:
        """The files that it nests."""
        found = set()
        for logical, resource in (self.body.get("Resources") or {}).items():
            if isinstance(resource, Mapping) and resource.get("Type") in REFERENCES and resource.get("Properties"):
                part = part_of(self.path, logical, resource)
                if part is not None:
                    found.add(part)
        return frozenset(found)

    @cached_property
    def nested(self) -> int:
        """How many templates it nests, also such that are not there."""
        return sum(1 for resource in self._resources() if resource.get("Type") in REFERENCES)

    @cached_property
    def exports(self) -> frozenset[SharedName]:
        outputs = (self.body.get("Outputs") or {}).values()
        names = [self._shared((output.get("Export") or {}).get("Name")) for output in outputs]
        return frozenset(name for name in names if name is not None)

    @cached_property
    def imports(self) -> frozenset[SharedName]:
        names = (self._shared(value) for value in _import_values(self.body))
        return frozenset(name for name in names if name is not None)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that it expects in the account."""
        return frozenset(_SECRET.findall(self.path.read_text(encoding="utf-8")))

    @cached_property
    def hosted_zones(self) -> frozenset[str]:
        """Names of the zones that it expects in the account, as far as literals and defaults tell."""
        found = set()
        for resource in self._resources():
            properties = resource.get("Properties")
            text = _as_sub(properties.get("HostedZoneName")) if isinstance(properties, Mapping) else None
            if text is not None:
                found.add(self._with_defaults(text))
        return frozenset(name.rstrip(".") for name in found if name.strip(".") and "$" not in name)

    def _resources(self) -> Iterator[Mapping[str, Any]]:
        for resource in (self.body.get("Resources") or {}).values():
            if isinstance(resource, Mapping):
                yield resource

    def _shared(self, value: object) -> SharedName | None:
        """The name that a literal, Ref, Fn::Sub or Fn::Join gives; None for what this reader does not follow."""
        text = _as_sub(value)
        if text is None:
            return None
        found = _REFERENCE.match(text)
        if found is None:
            return SharedName("", self._with_defaults(text))
        return SharedName(found[1], self._with_defaults(text[found.end() :]))

    def _with_defaults(self, text: str) -> str:
        return _REFERENCE.sub(lambda match: str(self.parameters.get(match[1], {}).get("Default", match[0])), text)


def _as_sub(value: object) -> str | None:
    match value:
        case str():
            return value
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::Sub": str(text)} | {"Fn::Sub": [str(text), *_]}:
            return text
        case {"Fn::Join": [str(between), list(parts)]}:
            texts = [_as_sub(part) for part in parts]
            return None if None in texts else between.join(text for text in texts if text is not None)
        case _:
            return None


def _import_values(value: object) -> Iterator[object]:
    match value:
        case {"Fn::ImportValue": name}:
            yield name
        case Mapping():
            for item in value.values():
                yield from _import_values(item)
        case list():
            for item in value:
                yield from _import_values(item)


@dataclass(frozen=True, kw_only=True, eq=False)
class Catalog:
    templates: Mapping[Path, Template]

    @cached_property
    def parents(self) -> Mapping[Path, tuple[Template, ...]]:
        """By file: who nests it."""
        found: dict[Path, list[Template]] = {}
        for template in self.templates.values():
            for part in template.parts:
                found.setdefault(part, []).append(template)
        return {path: tuple(templates) for path, templates in found.items()}

    def root(self, template: Template) -> Template:
        """The template that deploys it: itself, or the outermost one that nests it (the one nearest on disk)."""
        seen = {template.path}
        while above := [one for one in self.parents.get(template.path, ()) if one.path not in seen]:
            template = min(above, key=lambda one: (_distance(template, one), one.nested, one.name))
            seen.add(template.path)
        return template

    def whole(self, template: Template) -> Iterator[Template]:
        """A template and everything that it nests."""
        yield template
        for part in template.parts:
            if part in self.templates:
                yield from self.whole(self.templates[part])

    def exporter(self, template: Template, names: frozenset[str]) -> Template | None:
        """The nearest template that exports at least half of `names`, else the one that exports most of them.

        Conditions may leave some exports or imports out, so that all is too much to ask.
        """
        scored = []
        for other in self.templates.values():
            met = len(names & {name.rest for name in other.exports})
            if met and other.path != template.path and other.repository == template.repository:
                scored.append((2 * met < len(names), _distance(template, other), -met, other.name, other))
        return min(scored)[-1] if scored else None

    def siblings(self, template: Template) -> Iterator[Template]:
        """Other templates of the same folder."""
        for other in self.templates.values():
            if other.path.parent == template.path.parent and other.path != template.path:
                yield other


def _distance(one: Template, other: Template) -> int:
    """Steps from folder to folder."""
    here, there = one.path.parent.parts, other.path.parent.parts
    common = sum(1 for left, right in zip(here, there, strict=False) if left == right)
    return len(here) + len(there) - 2 * common


def read(inputs: Path) -> Catalog:
    """Every CloudFormation template below `inputs`/templates."""
    found = {}
    for repository in sorted(path for path in (inputs / "templates").iterdir() if path.is_dir()):
        for path in sorted(repository.rglob("*")):
            if path.suffix not in _SUFFIXES or not path.is_file():
                continue
            try:
                body = parse(path.read_text(encoding="utf-8")).body
            except (ValidationError, UnicodeDecodeError):
                continue  # other JSON and YAML lies beside the templates
            if isinstance(body.get("Resources"), Mapping):
                found[path] = Template(path=path, repository=repository, body=body)
    return Catalog(templates=found)
