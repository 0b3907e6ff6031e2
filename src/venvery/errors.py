"""Every error that venvery raises on purpose, as one tree.

    VenveryError
    ├── BadInput                 the request itself is wrong                  exit 2 · HTTP 400
    │   ├── BadRequirement         a requirement that does not parse (line, column)
    │   ├── BadTarget              no such Python or platform
    │   ├── BadPrefix              a prefix or interpreter path that cannot be used
    │   ├── BadLock                a lock file that cannot be used
    │   ├── BadConfiguration       a configuration file or option that cannot be used
    │   ├── UrlNotAllowed          `name @ URL` that the configuration does not allow
    │   └── UploadRefused          a file that cannot be published as it is
    │       └── FileExists           its name is taken by other bytes
    ├── LimitExceeded            the request is larger than a stated limit    exit 2 · HTTP 413
    ├── AnswerIsNo               understood, done, and the answer is no       exit 1 · HTTP 422
    │   ├── Unsatisfiable          no set of versions satisfies the requirements
    │   ├── NoUsableFile           a pin has no file that the target can use
    │   ├── BuildRefused           a source distribution that is not built here, and why
    │   ├── BuildFailed            a source distribution whose build failed
    │   └── VerificationFailed     what is there is not what was promised
    ├── NotKnown                 the one who asks shows no token that is known  exit 3 · HTTP 401
    ├── NotAllowed               the one who asks has no right to it          exit 3 · HTTP 403
    ├── Busy                     too much at once; try again soon             exit 3 · HTTP 503
    ├── NotFound                 nothing is known under that key or digest    exit 1 · HTTP 404
    ├── SourceFailed             an index or directory failed                 exit 3 · HTTP 502
    │   ├── SourceUnreachable      down, too slow, or refused
    │   ├── SourceGarbage          it answered, with something unusable
    │   └── WrongHash              the bytes are not those that the listing promised
    └── StorageFailed            the data folder or database failed           exit 3 · HTTP 507

Errors carry their evidence as attributes; `str(error)` is one sentence for a person; `hint` is what to do
next. How an error becomes an exit code stands in `cli/exits.py`, how it becomes problem+json stands in
`server/problems.py`, and nowhere else.
"""

from __future__ import annotations

from typing import Any


class VenveryError(Exception):
    """Something went wrong in venvery."""

    def __init__(self, message: str = "", *, hint: str | None = None, **evidence: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.hint = hint
        self.evidence: dict[str, Any] = evidence


class BadInput(VenveryError):
    """The request cannot be used as it is."""


class BadRequirement(BadInput):
    """A requirement that does not parse (PEP 508)."""

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        origin: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, text=text, origin=origin, line=line, column=column)
        self.text = text
        self.origin = origin
        self.line = line
        self.column = column


class BadTarget(BadInput):
    """No such Python or platform."""


class BadPrefix(BadInput):
    """A prefix or interpreter path that cannot be used."""


class BadLock(BadInput):
    """A lock file that cannot be used."""


class BadConfiguration(BadInput):
    """A configuration file or option that cannot be used."""


class UrlNotAllowed(BadInput):
    """A direct reference to a URL that the configuration does not allow."""


class UploadRefused(BadInput):
    """A file that cannot be published as it is."""


class FileExists(UploadRefused):
    """The name of a file is taken by other bytes."""


class LimitExceeded(VenveryError):
    """The request is larger than a stated limit."""


class AnswerIsNo(VenveryError):
    """Understood and done; the answer is no."""


class Unsatisfiable(AnswerIsNo):
    """No set of versions satisfies the requirements.

    `explanation` is the derivation as plain JSON values (a tree of `{"says": sentence, "because": [...]}`).
    """

    def __init__(self, message: str, *, explanation: Any = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, explanation=explanation)
        self.explanation = explanation


class NoUsableFile(AnswerIsNo):
    """A pinned release has no file that the target can use."""


class BuildRefused(AnswerIsNo):
    """A source distribution that is not built here."""


class BuildFailed(AnswerIsNo):
    """The build of a source distribution failed.

    The evidence has `job`, whose log is kept, and `log`, its last lines, as far as there are any.
    """


class VerificationFailed(AnswerIsNo):
    """What is there is not what was promised."""


class NotKnown(VenveryError):
    """The one who asks shows no token that is known."""


class NotAllowed(VenveryError):
    """The one who asks has no right to it."""


class Busy(VenveryError):
    """Too much is asked at once."""


class NotFound(VenveryError):
    """Nothing is known under that key."""


class SourceFailed(VenveryError):
    """An index or directory failed."""


class SourceUnreachable(SourceFailed):
    """An index is down, too slow, or refuses us."""


class SourceGarbage(SourceFailed):
    """An index answered with something unusable."""


class WrongHash(SourceFailed):
    """The bytes of a file are not those that the listing promised."""


class StorageFailed(VenveryError):
    """The data folder or the database failed."""
