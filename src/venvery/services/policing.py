"""The policy on releases as it stands at this moment: what is configured, and what was blocked since."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from venvery.errors import NotAllowed, NoUsableFile
from venvery.model.files import Listing
from venvery.model.lock import Lock
from venvery.model.names import NormalizedName
from venvery.model.policy import NO_POLICY, ReleasePolicy, ReleaseRule
from venvery.model.requests import ResolveRequest
from venvery.model.versions import Version

__all__ = ["Policing"]


class Policing:
    """Puts the policy into requests and holds locks against it. Belongs to one event loop."""

    def __init__(self, configured: ReleasePolicy = NO_POLICY, *, clock: Callable[[], float]) -> None:
        self._configured = configured
        self._clock = clock
        self.policy = configured
        self.identity = configured.identity
        """Names the policy as it stands; answers that were found under another one hold no more."""

    def block(self, rules: Iterable[ReleaseRule]) -> None:
        """Block exactly these releases from now on, beside those of the configuration."""
        self.policy = replace(self._configured, blocked=(*self._configured.blocked, *rules))
        self.identity = self.policy.identity

    def put_into(self, request: ResolveRequest) -> ResolveRequest:
        """Give the request as the policy has it at this moment."""
        if not self.policy:
            return request
        return replace(request, policy=self.policy, asked_at=datetime.fromtimestamp(self._clock(), UTC))

    def admit(self, project: NormalizedName, version: Version) -> None:
        """Insist that a release is neither blocked nor left out. Raises `NotAllowed`."""
        if self.policy and (why := self.policy.of(project).why_not(version)) is not None:
            raise NotAllowed(f"{project} {version} is {why}", hint="ask the administrator")

    def offered(self, listing: Listing) -> tuple[Listing, float]:
        """Leave out of a listing what is blocked, not allowed, or too young, and say until when that holds.

        The time is in seconds since the epoch: then the next file is old enough.
        """
        if not self.policy:
            return listing, float("inf")
        ruled, now, until = self.policy.of(listing.project), self._clock(), float("inf")
        out = {version for version in {file.version for file in listing.files} if ruled.why_not(version)}
        waits = None if ruled.cool_down is None else ruled.cool_down.total_seconds()
        files = []
        for file in listing.files:
            ripe = 0.0 if waits is None or file.upload_time is None else file.upload_time.timestamp() + waits
            if file.version in out:
                continue
            if ripe > now:
                until = min(until, ripe)
            else:
                files.append(file)
        return replace(listing, files=tuple(files)), until

    def check(self, lock: Lock) -> None:
        """Hold a lock that somebody brings against what is blocked and allowed. Raises `NoUsableFile`.

        The cool-down is not for locks: what they have was chosen before, and perhaps when there was none.
        """
        if not self.policy:
            return
        refused = [
            f"{pin.project} {pin.version} is {why}"
            for pin in lock.pins
            if (why := self.policy.of(pin.project).why_not(pin.version)) is not None
        ]
        if refused:
            more = f", and {len(refused) - 5} more like it" if len(refused) > 5 else ""
            raise NoUsableFile(
                "; ".join(refused[:5]) + more, hint="lock again, or ask the administrator", refused=refused
            )
