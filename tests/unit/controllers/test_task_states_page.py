"""docs/generated/task-states.md is the table of task states; this test writes it and fails when it was out of date."""

from __future__ import annotations

from pathlib import Path

from ecsnet.model.ecs import TASK_TRANSITIONS, TaskStatus

PAGE = Path(__file__).resolve().parents[3] / "docs" / "generated" / "task-states.md"


def _page() -> str:
    lines = [
        "# States of a task",
        "",
        "Generated from `TASK_TRANSITIONS` in `src/ecsnet/model/ecs.py` by",
        "`tests/unit/controllers/test_task_states_page.py`; do not edit.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        "    [*] --> PROVISIONING",
    ]
    for source in TaskStatus:
        lines += [f"    {source.value} --> {target.value}" for target in TASK_TRANSITIONS[source]]
    lines += ["    STOPPED --> [*]", "```", "", "| from | to | when |", "|---|---|---|"]
    for source in TaskStatus:
        for target, reason in TASK_TRANSITIONS[source].items():
            lines.append(f"| {source.value} | {target.value} | {reason} |")
    return "\n".join(lines) + "\n"


def test_page_is_up_to_date() -> None:
    wanted = _page()
    before = PAGE.read_text() if PAGE.exists() else ""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(wanted)
    assert before == wanted, f"{PAGE.name} was out of date and has been written anew; commit it"


def test_every_state_is_reached_and_only_the_last_is_final() -> None:
    reached = {target for targets in TASK_TRANSITIONS.values() for target in targets}
    assert reached == set(TaskStatus) - {TaskStatus.PROVISIONING}
    assert [status for status in TaskStatus if not TASK_TRANSITIONS[status]] == [TaskStatus.STOPPED]
