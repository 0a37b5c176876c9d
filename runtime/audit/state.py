"""How the audit trail is, for health: a report that the gateway writes when it changes.

Not for: the trail itself (trail.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

AUDIT = "audit"  # the name of the report


@dataclass(frozen=True, slots=True)
class AuditState:
    """Counts since the process began. unwritten: messages that are not in the file. fault: why, of the last of them.

    forwards: whether there is a receiver. sent, waiting, lost: messages that it has got, that wait for it, and that did
    not fit among these. error: why the last attempt failed; "" where it did not.
    """

    unwritten: int = 0
    fault: str = ""
    forwards: bool = False
    sent: int = 0
    waiting: int = 0
    lost: int = 0
    error: str = ""


def audit_said(report: dict[str, Any] | None) -> tuple[list[str], list[str]]:
    """Reasons and notes for health. report: asdict() of a state; None where there is none yet."""
    if report is None:
        return [], []
    reasons: list[str] = []
    notes: list[str] = []
    if report["unwritten"]:
        reasons.append(
            f"{report['unwritten']} audit messages could not be written to audit.xml ({report['fault']}): make room"
        )
    if report["lost"]:
        notes.append(f"{report['lost']} audit messages did not reach audit.address: they are in audit.xml alone")
    if report["error"]:
        notes.append(f"audit.address not reached, {report['waiting']} messages wait: {report['error']}")
    return reasons, notes
