"""`make templates`: deploys public templates as they are, and writes docs/generated/template-coverage.md.

Every template with an ECS service, and every template that is only a VPC, is deployed by `ecsnet deploy` into an empty
ecsnet of its own home, with what it needs deployed before it. Nothing of the templates is kept.

python bench/templates/run.py [--only REGEX] [--failed] [--limit SECONDS]
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "generated" / "template-coverage.md"
INPUTS = Path(os.environ.get("ECSNET_INPUTS", ROOT.parent / "shared" / "inputs")).resolve()
PORT = "4599"
SPEED = "10"
"""Divides health-check intervals and delays; a target group of AWS's defaults takes a minute to become healthy."""

os.environ["ECSNET_HOME"] = tempfile.mkdtemp(prefix="ecsnet-templates-")

import botocore.exceptions  # noqa: E402
import page  # noqa: E402
from catalog import Catalog, Template, read  # noqa: E402
from wiring import Output, Plan, Step  # noqa: E402

from ecsnet.cli.client import aws, fetch  # noqa: E402

_VPC_ONLY = re.compile(
    r"aws-quickstart\+|/vpc[^/]*$|widdix.*/vpc/|large-vpc|low-cost-vpc|dual-stack-ipv6-networking-ecs-fargate/.*vpc"
)
_ECSNET = [sys.executable, "-m", "ecsnet.cli.main"]


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


def attempt(catalog: Catalog, root: Template, limit: float) -> tuple[str, float]:
    """Deploy one template, and before it what it needs, into an empty account: (reason of its failure, seconds)."""
    fetch("POST", "/_ecsnet/reset")
    plan = Plan(catalog, root)
    for zone in {name for step in plan.steps if step.template for name in step.template.hosted_zones}:
        aws("route53").create_hosted_zone(Name=zone, CallerReference=zone)
    for secret in {name for step in plan.steps if step.template for name in step.template.secrets}:
        aws("secretsmanager").create_secret(Name=secret, SecretString="coverage")
    began = time.monotonic()
    for step in plan.steps:
        reason = deploy(step, limit)
        if reason:
            return page.sentence(reason), time.monotonic() - began
    return "", time.monotonic() - began


def attempts(catalog: Catalog, section: str, templates: Sequence[Template], limit: float) -> Iterator[page.Row]:
    """Deploy each by the template that nests it (once for all that it nests); VPC templates alone."""
    done: dict[Template, tuple[str, float]] = {}
    for template in sorted(templates, key=lambda one: one.name):
        root = catalog.root(template) if section == page.SERVICES else template
        if root not in done:
            done[root] = attempt(catalog, root, limit)
        reason, seconds = done[root]
        print(f"{'deployed' if not reason else 'FAILED  '} {seconds:6.1f} s {template.name}", flush=True)
        if reason:
            print(f"         {reason}", flush=True)
        by = root.path.name if root != template else ""
        yield page.Row(section=section, name=template.name, by=by, reason=reason, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="Only templates whose name matches this; other rows stay.")
    parser.add_argument("--failed", action="store_true", help="Only what the page does not say is deployed.")
    parser.add_argument("--limit", type=float, default=60.0, help="Seconds for each stack.")
    options = parser.parse_args()
    catalog = read(INPUTS)
    services, networks = wanted(catalog)
    names = {one.name for one in (*services, *networks)}
    rows = {name: row for name, row in page.read(PAGE).items() if name in names}
    good = {name for name, row in rows.items() if not row.reason} if options.failed else set()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("ended"))
    failed = ecsnet("up", "--port", PORT, "--speed", SPEED, limit=60)
    if failed:
        ecsnet("down", limit=60)
        sys.exit(failed)
    figures = ""
    try:
        for section, templates in ((page.SERVICES, services), (page.NETWORKS, networks)):
            chosen = [one for one in templates if re.search(options.only, one.name) and one.name not in good]
            for row in attempts(catalog, section, chosen, options.limit):
                rows[row.name] = row
                figures = page.write(PAGE, rows.values(), SPEED)
    finally:
        ecsnet("down", limit=60)
    print(figures)


if __name__ == "__main__":
    main()
