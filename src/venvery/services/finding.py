"""Which environments contain a release, and who had them last: asked when a release turns out to be bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from packaging.specifiers import SpecifierSet

from venvery.environments import Manifest
from venvery.errors import VenveryError
from venvery.model.policy import covers, parse_rule
from venvery.model.versions import parse_version
from venvery.storage.database import Database
from venvery.storage.environment_views import Fetched

__all__ = ["find_environments"]


def find_environments(
    database: Database, contains: str, *, shows: Callable[[str], bool], tells_who: bool
) -> list[dict[str, Any]]:
    """Find the environments that contain a release, as `requests==2.31.0`, `urllib3<1.26` or `evil`, newest first.

    `shows` tells whether an environment, by its key, may be told of. Reads all environments. Raises `BadInput`.
    """
    rule = parse_rule(contains)
    wanted = SpecifierSet(rule.specifier)
    had: defaultdict[str, list[Fetched]] = defaultdict(list)
    for one in database.environment_views.all():
        had[one.key].append(one)
    found = []
    for key in database.environments.list_keys():
        stored = database.environments.get(key)
        if stored is None:
            continue
        try:
            pins = Manifest.from_json(stored.manifest).pins
        except (VenveryError, KeyError, TypeError, ValueError):
            continue  # fsck tells of it
        hits = [
            f"{pin.project} {pin.version}"
            for pin in pins
            if covers(rule.pattern, pin.project) and wanted.contains(parse_version(pin.version), prereleases=True)
        ]
        if hits and shows(key):
            about: dict[str, Any] = {"key": key, "contains": hits, "created": _written(stored.created)}
            about["last_used"] = _written(stored.last_used)
            if tells_who:
                about["fetched"] = [
                    {"view": one.view, "at": _written(one.at), "who": one.who}
                    for one in sorted(had[key], key=lambda one: -one.at)
                ]
            found.append(about)
    return sorted(found, key=lambda about: str(about["last_used"]), reverse=True)


def _written(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
