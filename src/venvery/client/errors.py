"""What can go wrong on the client, in one sentence each, with the exit code that the contract gives it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

__all__ = ["ArchiveError", "ClientError", "CutOff", "LocalError", "UsageError"]


class ClientError(Exception):
    """A sync that cannot be done. `str(error)` is one sentence; `hint` is what to do next.

    `status`, `type`, `detail` and `problem` are those of the server's problem+json (RFC 9457), where it
    sent one. `exit_code`: 1 the answer is no, 2 wrong usage or bad input, 3 something failed.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        hint: Optional[str] = None,
        exit_code: Optional[int] = None,
        status: Optional[int] = None,
        type: Optional[str] = None,
        detail: Optional[str] = None,
        problem: Optional[Any] = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
        self.type = type
        self.detail = detail
        self.problem = problem
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(ClientError):
    """The folder, the files or the options given cannot be used."""

    exit_code = 2


class LocalError(ClientError):
    """This machine cannot do it: a full disk, missing rights, a missing interpreter."""


class ArchiveError(ClientError):
    """The archive is not what its manifest says, or tries what no archive may; it is not used."""


class CutOff(ArchiveError):
    """The archive ended before its end; what came whole is kept for the next attempt."""
