"""Requirement files as they lie on disk: gathered with those that they name, digested, and taken apart.

The reading is pip's ("Requirements File Format"): continuation lines, comments, `-r` and `-c` relative to
the file that has them, `${NAME}` from the environment. What a requirement means is the server's business.
"""

from __future__ import annotations

import json
import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

__all__ = ["Inputs", "digest_of", "gather", "gather_lock", "options_of"]

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_NESTED = re.compile(r"(-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(.+)\Z")
_OPTION = re.compile(r"\s+--(?=hash[\s=]|config-settings[\s=]|global-option[\s=])")
_URL = re.compile(r"(https?|ftp|file):", re.IGNORECASE)
MAX_FILES = 1000


class Inputs:
    """What was asked for, as texts."""

    __slots__ = ("constraints", "files", "options", "requirements")

    def __init__(self) -> None:
        self.files: Dict[str, str] = {}
        """Path → text of every file that has a say."""
        self.requirements: List[Dict[str, Any]] = []
        """`{"requirement": text, "origin": "file:line", "hashes"?: [...]}`, as the HTTP interface takes them."""
        self.constraints: List[Dict[str, Any]] = []
        self.options: List[Tuple[str, str]] = []
        """(origin, line) of what is neither a requirement nor another file: `--pre`, `--index-url …`."""


def gather(
    requirements: Iterable[str] = (),
    files: Iterable[str] = (),
    constraint_files: Iterable[str] = (),
    environ: Optional[Mapping[str, str]] = None,
) -> Inputs:
    """Read all files, and those that they name. Raises `UsageError` for one that cannot be read."""
    inputs = Inputs()
    for text in requirements:
        inputs.requirements.append({"requirement": text, "origin": "command line"})
    seen: Dict[Tuple[str, bool], None] = {}
    env = os.environ if environ is None else environ
    for path in files:
        _read_file(inputs, path, None, False, seen, env)
    for path in constraint_files:
        _read_file(inputs, path, None, True, seen, env)
    return inputs


def gather_lock(path: str) -> Inputs:
    """Read a lock, which says everything by itself. Raises `UsageError` when it cannot be read."""
    from venvery.client.errors import UsageError

    inputs = Inputs()
    try:
        with open(path, encoding="utf-8") as file:
            inputs.files[path] = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return inputs


def options_of(inputs: Inputs) -> Tuple[Dict[str, Any], str]:
    """Read the options in requirement files that are the solver's; say which are not used, if any are not."""
    options: Dict[str, Any] = {}
    ignored: List[str] = []
    for origin, line in inputs.options:
        words = line.replace("=", " ", 1).split()
        name, value = words[0], " ".join(words[1:])
        if name == "--pre":
            options["prereleases"] = "allow"
        elif name in ("--only-binary", "--no-binary") and value:
            key = name[2:].replace("-", "_")
            names = [item.strip() for item in value.split(",") if item.strip()]
            options[key] = ":all:" if ":all:" in names else options.get(key, []) + names
        elif name not in ("--require-hashes", "--prefer-binary"):
            ignored.append(f"{origin} ({name})")
    return options, f"the server chooses its own sources; not used: {', '.join(ignored)}" if ignored else ""


def digest_of(inputs: Inputs, *others: Any) -> str:
    """Give one digest over the raw inputs and `others` (JSON values): all that decides what is made."""
    named = [[os.path.abspath(path), text] for path, text in inputs.files.items()]
    # The items too: the values of environment variables are in them.
    items = [inputs.requirements, inputs.constraints, inputs.options]
    whole = json.dumps([1, named, items, others], sort_keys=True)
    return "sha256:" + _sha256(whole.encode("utf-8", "surrogatepass"))


def _sha256(data: bytes) -> str:
    """Digest without loading OpenSSL, where the interpreter has its own: this is on the quick way."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            from hashlib import sha256
    digest: str = sha256(data).hexdigest()
    return digest


def _read_file(
    inputs: Inputs,
    path: str,
    named_by: Optional[str],
    constraint: bool,
    seen: Dict[Tuple[str, bool], None],
    env: Mapping[str, str],
) -> None:
    from venvery.client.errors import UsageError

    if _URL.match(path):
        raise UsageError(f"{path} is a URL; requirement files are read from disk only")
    place = os.path.realpath(path), constraint
    if place in seen:
        return  # pip reads it again to no other end
    if len(seen) >= MAX_FILES:
        raise UsageError(f"more than {MAX_FILES} requirement files name one another")
    seen[place] = None
    try:
        with open(path, "rb") as file:
            text = _decode(file.read())
    except (OSError, UnicodeDecodeError, LookupError) as error:
        why = getattr(error, "strerror", None) or str(error)
        whose = f", which {named_by} names," if named_by else ""
        raise UsageError(f"{path}{whose} cannot be read: {why}") from None
    inputs.files[path] = text
    for number, line in _logical_lines(text):
        line = _VARIABLE.sub(lambda match: env.get(match[1]) or match[0], line)
        origin = f"{path}:{number}"
        nested = _NESTED.match(line)
        if nested:
            other = nested[2].strip().strip("\"'")
            if not _URL.match(other):
                other = os.path.join(os.path.dirname(path), other)
            _read_file(inputs, other, origin, constraint or nested[1] in ("-c", "--constraint"), seen, env)
        elif line.startswith("-"):
            if re.match(r"(-e|--editable)(\s|=|\b)", line):
                raise UsageError(
                    f"{origin}: an editable requirement cannot be part of an environment from a server",
                    hint="install it into the environment afterwards, or leave it out",
                )
            inputs.options.append((origin, line))
        else:
            (inputs.constraints if constraint else inputs.requirements).append(_item(line, origin))


def _item(line: str, origin: str) -> Dict[str, Any]:
    """Take the options off a requirement: `--hash` is kept, those of a build are the server's business."""
    text, *options = _OPTION.split(line)
    item: Dict[str, Any] = {"requirement": text.strip(), "origin": origin[-1000:]}
    hashes = [option[5:].strip() for option in options if re.match(r"hash[\s=]", option)]
    if hashes:
        item["hashes"] = [value for value in hashes if value.startswith("sha256:")] or hashes
    return item


def _logical_lines(text: str) -> Iterator[Tuple[int, str]]:
    """Join continued lines and drop comments; give each with the number of its first line."""
    began, parts = 0, []
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        began = began or number
        is_comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not is_comment and number < len(lines):
            parts.append(line[:-1])
            continue
        # A comment within a continuation ends it, as pip has it.
        parts.append(" " + line if is_comment else line)
        whole = _COMMENT.sub("", "".join(parts)).strip()
        if whole:
            yield began, whole.rstrip("\\").rstrip()
        began, parts = 0, []


def _decode(data: bytes) -> str:
    """Decode as pip does: by byte order mark, by a coding comment in the first two lines, else UTF-8."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding)
    for line in data.split(b"\n")[:2]:
        match = _CODING.match(line)
        if match:
            return data.decode(match[1].decode("ascii"))
    return data.decode("utf-8")
