"""`make templates`: deploys public templates as they are, and writes docs/generated/template-coverage.md.

Every template with an ECS service, and every template that is only a VPC, is deployed by `ecsnet deploy` into an empty
ecsnet of its own home, with what it needs deployed before it. Nothing of the templates is kept.

python bench/templates/run.py [--only WORD] [--limit SECONDS]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "generated" / "template-coverage.md"
INPUTS = Path(os.environ.get("ECSNET_INPUTS", ROOT.parent / "shared" / "inputs")).resolve()
PORT = "4599"
SPEED = "10"
"""Divides health-check intervals and delays; a target group of AWS's defaults takes a minute to become healthy."""

os.environ["ECSNET_HOME"] = tempfile.mkdtemp(prefix="ecsnet-templates-")

import botocore.exceptions  # noqa: E402
from catalog import Catalog, Template, read  # noqa: E402
from wiring import Output, Plan, Step  # noqa: E402

from ecsnet.cli.client import aws, fetch  # noqa: E402

_VPC_ONLY = re.compile(
    r"aws-quickstart\+|/vpc[^/]*$|widdix.*/vpc/|large-vpc|low-cost-vpc|dual-stack-ipv6-networking-ecs-fargate/.*vpc"
)
_ECSNET = [sys.executable, "-m", "ecsnet.cli.main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How the deployment of one template went; `reason` is empty when it is deployed."""

    template: Template
    deployed_by: Template
    stacks: int
    seconds: float
    reason: str


def wanted(catalog: Catalog) -> tuple[list[Template], list[Template]]:
    """The templates with an ECS service, and those about a VPC alone."""
    services, networks = [], []
    for template in catalog.templates.values():
        if "AWS::ECS::Service" in template.types:
            services.append(template)
        elif _VPC_ONLY.search(template.name):
            networks.append(template)
    return services, networks


def ecsnet(*words: str, limit: float) -> str:
    """Run one command; returns the sentence with which it failed, empty when it did not."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "4000"}
    try:
        done = subprocess.run(
            [*_ECSNET, *words], capture_output=True, text=True, timeout=limit, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return unfinished(words[words.index("--stack-name") + 1], limit) if "--stack-name" in words else "no answer"
    if done.returncode == 0:
        return ""
    return " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"


def unfinished(stack: str, limit: float) -> str:
    """What a stack still waits for; of a service also what it said last."""
    return (
        f"{stack}: not complete after {limit:.0f} s; still waiting for {', '.join(_waiting(stack)) or 'its template'}"
    )


def _waiting(stack: str) -> Iterator[str]:
    try:
        found = aws("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
    except botocore.exceptions.ClientError:
        return  # packaging its nested templates took all the time
    for one in found:
        if not one["ResourceStatus"].endswith("_IN_PROGRESS"):
            continue
        physical = one.get("PhysicalResourceId") or ""
        if one["ResourceType"] == "AWS::CloudFormation::Stack" and physical:
            yield from _waiting(physical)
            continue
        said = _of_service(physical) if one["ResourceType"] == "AWS::ECS::Service" and physical else ""
        yield f"{one['LogicalResourceId']} ({one['ResourceType']}){said}"


def _of_service(service: str) -> str:
    """What it said last that tells a reason, else what its load balancer says of its targets."""
    cluster = service.split("/")[1] if service.count("/") == 2 else "default"
    found = aws("ecs").describe_services(cluster=cluster, services=[service])["services"][0]
    for event in found["events"]:
        if "unhealthy" in event["message"] or "unable" in event["message"]:
            return f": {event['message']}"
    for balancer in found["loadBalancers"]:
        arn = balancer["targetGroupArn"]
        for one in aws("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            health = one["TargetHealth"]
            if health["State"] != "healthy":
                return f": its target is {health['State']}: {health.get('Description', health.get('Reason', ''))}"
    return f": {found['events'][0]['message']}" if found["events"] else ""


def outputs(stack: str) -> Mapping[str, str]:
    found = aws("cloudformation").describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {one["OutputKey"]: one["OutputValue"] for one in found}


def deploy(step: Step, limit: float) -> str:
    path = step.template.path if step.template is not None else Path(__file__).with_name("scaffold.yaml")
    words = ["deploy", str(path), "--stack-name", step.stack, "--quiet"]
    for name, value in step.parameters.items():
        plain = outputs(value.stack).get(value.key, "") if isinstance(value, Output) else value
        words += ["--param", f"{name}={plain}"]
    return ecsnet(*words, limit=limit)


def attempt(catalog: Catalog, root: Template, limit: float) -> Result:
    """Deploy one template, and before it what it needs, into an empty account."""
    fetch("POST", "/_ecsnet/reset")
    plan = Plan(catalog, root)
    for zone in {name for step in plan.steps if step.template for name in step.template.hosted_zones}:
        aws("route53").create_hosted_zone(Name=zone, CallerReference=zone)
    for secret in {name for step in plan.steps if step.template for name in step.template.secrets}:
        aws("secretsmanager").create_secret(Name=secret, SecretString="coverage")
    began = time.monotonic()
    reason = ""
    for step in plan.steps:
        reason = deploy(step, limit)
        if reason:
            break
    return Result(
        template=root,
        deployed_by=root,
        stacks=len(plan.steps),
        seconds=time.monotonic() - began,
        reason=reason,
    )


def attempts(catalog: Catalog, templates: Sequence[Template], limit: float, *, alone: bool = False) -> list[Result]:
    """Deploy each by the template that nests it (once for all that it nests), or `alone`."""
    done: dict[Template, Result] = {}
    results = []
    for template in sorted(templates, key=lambda one: one.name):
        root = template if alone else catalog.root(template)
        if root not in done:
            done[root] = attempt(catalog, root, limit)
        one = done[root]
        results.append(
            Result(template=template, deployed_by=root, stacks=one.stacks, seconds=one.seconds, reason=one.reason)
        )
        print(f"{'deployed' if not one.reason else 'FAILED  '} {one.seconds:6.1f} s {template.name}", flush=True)
        if one.reason:
            print(f"         {one.reason}", flush=True)
    return results


def page(services: Sequence[Result], networks: Sequence[Result]) -> str:
    lines = [
        "# Which public templates deploy",
        "",
        "Written by `make templates`. Each template is deployed unmodified by `ecsnet deploy` into an empty account,",
        "with stand-ins for images that are not on the machine, after the stacks that it imports from; a template that",
        "another one nests is deployed by that one. Parameters without a default get values of a network, a cluster",
        f"and a role made before. Control-plane timers run {SPEED} times as fast. What ecsnet only records, the events",
        "of the stack say.",
        "",
    ]
    for title, results in (("Templates with an ECS service", services), ("VPC templates", networks)):
        good = sum(1 for one in results if not one.reason)
        share = f" ({100 * good / len(results):.0f} %)" if results else ""
        lines += [f"## {title}: {good} of {len(results)} deployed{share}", "", "| template | | stacks | seconds |"]
        lines += ["|---|---|---|---|"]
        for one in results:
            said = "deployed" if not one.reason else "failed: " + one.reason.replace("|", "\\|")
            by = "" if one.deployed_by == one.template else f" (by {one.deployed_by.path.name})"
            lines.append(f"| {one.template.name}{by} | {said} | {one.stacks} | {one.seconds:.1f} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Only templates whose name matches this; the page is not written.")
    parser.add_argument("--limit", type=float, default=60.0, help="Seconds for each stack.")
    options = parser.parse_args()
    catalog = read(INPUTS)
    services, networks = ([one for one in chosen if re.search(options.only, one.name)] for chosen in wanted(catalog))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended"))
    failed = ecsnet("up", "--port", PORT, "--speed", SPEED, limit=60)
    if failed:
        sys.exit(failed)
    try:
        text = page(attempts(catalog, services, options.limit), attempts(catalog, networks, options.limit, alone=True))
    finally:
        ecsnet("down", limit=60)
    print("\n".join(line for line in text.splitlines() if line.startswith("##")))
    if not options.only:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
