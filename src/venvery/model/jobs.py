"""Jobs: what a state is, and which event leads from which state to which. All of it is in one table.

    queued ──claim──► running ──finish──► done
      ▲  ▲               │ ├────fail────► failed ──┐
      │  └─again, lose,──┘ └───cancel───► cancelled┤
      │      release                               │
      └────────────────────retry───────────────────┘

An event that the table does not have for a state does not happen: whoever causes it is told so. A running job
belongs to one attempt, named by its number; whatever another attempt says of it is not heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "ACTIVE",
    "MOST_ATTEMPTS",
    "TRANSITIONS",
    "BadTransition",
    "Event",
    "Job",
    "JobEvent",
    "State",
    "next_state",
]

State = Literal["queued", "running", "done", "failed", "cancelled"]
Event = Literal["claim", "finish", "fail", "again", "lose", "release", "cancel", "retry"]

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    ("queued", "claim"): "running",
    ("running", "finish"): "done",
    ("running", "fail"): "failed",  # it cannot succeed, or has failed too often
    ("running", "again"): "queued",  # it may succeed later
    ("running", "lose"): "queued",  # its lease ran out: the worker is dead, frozen or cut off
    ("running", "release"): "queued",  # the worker stops in good order; that was no attempt
    ("queued", "cancel"): "cancelled",
    ("running", "cancel"): "cancelled",
    ("failed", "retry"): "queued",
    ("cancelled", "retry"): "queued",
}

ACTIVE: tuple[State, ...] = ("queued", "running")
"""States in which something will still happen. Of one key one job at most is in them."""

MOST_ATTEMPTS = 3
"""After so many lost or failed attempts a job has failed: it may be what kills its workers."""


class BadTransition(Exception):
    """The event does not happen in that state."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"no {event} in the state {state}")
        self.state, self.event = state, event


def next_state(state: State, event: Event) -> State:
    """Give the state that an event leads to. Raises `BadTransition`."""
    found = TRANSITIONS.get((state, event))
    if found is None:
        raise BadTransition(state, event)
    return found


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as it was when it was looked at."""

    id: str
    key: str
    """What it makes: of two jobs with one key the second would make the same."""
    title: str
    """What a person calls it: `build pyyaml 6.0.1 for Python 3.11 on linux-x86_64`."""
    state: State
    attempt: int
    """Which attempt it is in, or was in last: the fencing token of whoever works on it."""
    scope: str
    """The family and platform that its worker must have."""
    body: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    reason: str | None = None
    """Why it failed."""
    hint: str | None = None
    priority: int = 0
    worker: str | None = None
    created_at: float = 0.0
    started_at: float | None = None
    """When the last attempt began."""
    finished_at: float | None = None

    @property
    def active(self) -> bool:
        """Tell whether something will still happen."""
        return self.state in ACTIVE

    def to_json(self) -> dict[str, Any]:
        """Write as `/v1/jobs/{id}` shows it."""
        told: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "attempt": self.attempt,
            "target": self.scope,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "worker": self.worker,
        }
        if self.reason is not None:
            told["reason"] = self.reason
        if self.hint is not None:
            told["hint"] = self.hint
        if self.result is not None:
            told["result"] = self.result
        return told


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened in a job."""

    number: int
    """Counted from 1; the id under which a stream of events goes on after it broke."""
    kind: Literal["state", "phase", "log"]
    data: str
    at: float
