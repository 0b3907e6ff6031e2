"""Errors as exit codes: the one place where an error gets one.

0 done; 1 the answer is no (unsatisfiable, verification failed); 2 wrong usage or bad input; 3 the server or an
index failed.
"""

from __future__ import annotations

from venvery import errors

__all__ = ["exit_code"]

_CODES: tuple[tuple[type[errors.VenveryError], int], ...] = (
    (errors.BadInput, 2),
    (errors.LimitExceeded, 2),
    (errors.AnswerIsNo, 1),
    (errors.NotFound, 1),
    (errors.SourceFailed, 3),
    (errors.StorageFailed, 3),
)


def exit_code(error: errors.VenveryError) -> int:
    """Give the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 3)
