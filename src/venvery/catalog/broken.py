"""The failure of one attempt, which another attempt may mend."""

from __future__ import annotations

__all__ = ["Broken"]


class Broken(Exception):
    """A passing failure: worth another attempt."""

    def __init__(
        self, reason: str, *, wait: float | None = None, attempts: int | None = None, cut: bool = False
    ) -> None:
        super().__init__(reason)
        self.cut = cut
        """True when an answer came, but its end did not."""
        self.wait = wait
        """Seconds that the server asked us to wait."""
        self.attempts = attempts
        """How many attempts such a failure is worth at most."""
