"""Project pages as sources write them: HTML and JSON (PEP 503, 592, 629, 658/714, 691, 700, 740, 792)."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast, get_args
from urllib.parse import quote, unquote, urljoin

import orjson

from venvery.catalog.anchors import Attributes, Page, PlainAnchors, attributes_of, read_carefully, read_plainly
from venvery.catalog.columns import Columns, Link
from venvery.errors import SourceGarbage
from venvery.model.file_table import seconds_of
from venvery.model.files import MAX_SIZE, ProjectState, ProjectStatus

__all__ = ["Link", "ProjectPage", "parse_html", "parse_json"]

_WEB = ("https://", "http://")


class ProjectPage(NamedTuple):
    """A page, read."""

    links: Columns
    status: ProjectStatus | None = None


def parse_json(body: bytes, base: str) -> ProjectPage:
    """Read a project page in JSON (PEP 691). Raises `SourceGarbage`."""
    try:
        page = orjson.loads(body)
        version = str(page["meta"]["api-version"])
        entries = page["files"]
    except (ValueError, KeyError, TypeError):
        raise SourceGarbage("its JSON is not a project page (PEP 691)") from None
    _check_version(version)
    said = page.get("project-status")
    status = _status(said.get("status"), said.get("reason")) if isinstance(said, dict) else None
    if status is not None and status.state == "quarantined":
        return ProjectPage(Columns(), status)
    try:
        return ProjectPage(_json_links(entries, _Joiner(base)), status)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise SourceGarbage("its JSON lists a file without name, URL or hashes (PEP 691)") from None


def _json_links(entries: list[dict[str, Any]], join: _Joiner) -> Columns:
    """Put the files of a page into columns, each of which is made of the same field of all."""
    places = [join.split(entry["url"]) for entry in entries]
    if None in places:
        entries = [entry for entry, place in zip(entries, places, strict=True) if place is not None]
    links = Columns()
    links.names = [_text(entry["filename"]) for entry in entries]
    links.folders = [place[0] for place in places if place is not None]
    links.lasts = [place[1] for place in places if place is not None]
    hashes = [entry["hashes"] for entry in entries]
    if all(len(one) == 1 and isinstance(one.get("sha256"), str) for one in hashes):
        links.digests = [one["sha256"].lower() for one in hashes]
    else:
        links.hashes = [{str(name).lower(): str(value).lower() for name, value in one.items()} for one in hashes]
        links.digests = [one.get("sha256") for one in links.hashes]
    pythons = [entry.get("requires-python") for entry in entries]
    links.pythons = [python if isinstance(python, str) and python.strip() else None for python in pythons]
    yanked = [entry.get("yanked", False) for entry in entries]
    links.yanked = [(one if isinstance(one, str) else "") if one else None for one in yanked]
    metadata = [entry.get("core-metadata", entry.get("dist-info-metadata", False)) for entry in entries]
    links.metadata = [_hash_of(one) for one in metadata]
    sizes = [entry.get("size") for entry in entries]
    links.sizes = [size if isinstance(size, int) and 0 <= size <= MAX_SIZE else None for size in sizes]
    times = [entry.get("upload-time") for entry in entries]
    links.times = [time if isinstance(time, str) else None for time in times]
    links.provenance = [_web(entry.get("provenance"), join) for entry in entries]
    return links


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _web(reference: Any, join: _Joiner) -> str | None:
    return join(reference) if isinstance(reference, str) and reference else None


def _status(state: Any, reason: Any) -> ProjectStatus | None:
    """Read a project's status (PEP 792); one that no standard knows says nothing."""
    if state not in get_args(ProjectState):
        return None
    return ProjectStatus(cast("ProjectState", state), reason if isinstance(reason, str) and reason else None)


def _hash_of(metadata: Any) -> str | None:
    """Read PEP 714's value: false, true, or hashes."""
    if isinstance(metadata, dict):
        return str(metadata.get("sha256", "")).lower()
    return "" if metadata else None


def parse_html(text: str, base: str) -> ProjectPage:
    """Read a project page, or any page of links, in HTML.

    Raises `SourceGarbage` for what is no such page: not HTML, a form to log in, a page whose links lead
    anywhere but to distribution files.
    """
    page = read_plainly(text) or read_carefully(text)
    _check_version(page.meta.get("pypi:repository-version", "1.0"))
    status = _status(page.meta.get("pypi:project-status"), page.meta.get("pypi:project-status-reason"))
    if status is not None and status.state == "quarantined":
        return ProjectPage(Columns(), status)
    links = _links(page, base)
    if not any(map(_DISTRIBUTION.search, links.names)):
        _check_empty(text, bool(page.plain.filenames or page.anchors), "pypi:repository-version" in page.meta)
    return ProjectPage(links, status)


def _links(page: Page, base: str) -> Columns:
    join = _Joiner(urljoin(base, page.base.strip()) if page.base else base)
    links = _plain_links(page.plain, join)
    if page.anchors:
        links += Columns.of(link for anchor in page.anchors if (link := _html_link(anchor, join)) is not None)
    return links


def _plain_links(anchors: PlainAnchors, join: _Joiner) -> Columns:
    """Make links of plain anchors. Their other attributes are few texts that come again and again."""
    folders = [one if one.startswith(_WEB) else join.folder(one) for one in anchors.folders]
    if None in folders:
        anchors = PlainAnchors(*(_where(column, folders) for column in anchors))
        folders = _where(folders, folders)
    links = Columns()
    links.names = links.lasts = anchors.filenames
    links.folders = cast("list[str]", folders)
    links.digests = anchors.sha256
    links.times = anchors.upload_times
    links.sizes = [None] * len(links.names)
    texts = list(map(str.__add__, anchors.before, anchors.after))
    known = {text: _said(attributes_of(text)) for text in set(texts)}
    links.pythons, links.yanked, links.metadata, links.provenance = (
        _spread(texts, {text: said[field] for text, said in known.items()}) for field in range(4)
    )
    links.provenance = [None if proof is None else _web(proof, join) for proof in links.provenance]
    return links


def _spread(texts: list[str], said: dict[str, str | None]) -> list[str | None]:
    """Say of each text what is said of it."""
    if all(one is None for one in said.values()):
        return [None] * len(texts)
    return [said[text] for text in texts]


def _where(column: list[Any], there: list[Any]) -> list[Any]:
    return [one for one, other in zip(column, there, strict=True) if other is not None]


def _said(anchor: Attributes) -> tuple[str | None, str | None, str | None, str | None]:
    """Read requires-python, yanked, core-metadata and provenance."""
    metadata = anchor.get("data-core-metadata", anchor.get("data-dist-info-metadata"))
    return (
        anchor.get("data-requires-python") or None,
        anchor.get("data-yanked"),
        None if metadata is None else _attribute_hash(metadata),
        anchor.get("data-provenance"),
    )


_DISTRIBUTION = re.compile(
    r"\.(whl|tar\.gz|zip|tgz|tar\.bz2|tar\.xz|egg|exe|msi|rpm|deb|dmg|asc|metadata)$", re.IGNORECASE
)
_HTML = re.compile(r"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|meta|h1|ul|a\s|pre)", re.I | re.S)
_UNSEEN = re.compile(r"<!--.*?-->|<(title|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_NOT_A_LISTING = re.compile(r"<(form|script|iframe|input|frameset|meta\s+http-equiv=.?refresh)", re.I)
_LISTING = re.compile(r"<(title|h1)[^>]*>\s*(simple index|links for|index of|directory listing)", re.I)


def _check_empty(text: str, anchors: bool, declared: bool) -> None:
    """Let a page without any file pass only when it can be an empty project page."""
    if not text.strip():
        raise SourceGarbage("the page is empty, not even HTML")
    if not _HTML.match(text):
        raise SourceGarbage("the page is not HTML")
    if declared or _LISTING.search(text):
        return
    shown = re.sub(r"<[^>]*>", " ", _UNSEEN.sub(" ", text))
    if anchors or _NOT_A_LISTING.search(text) or shown.strip():
        raise SourceGarbage("the page is HTML, but not a list of distribution files")


def _check_version(version: str) -> None:
    """Refuse another major version of the simple API (PEP 629)."""
    if version.partition(".")[0].strip() != "1":
        raise SourceGarbage(f"it speaks version {version[:20]!r} of the simple API; 1 is understood")


def _html_link(anchor: Attributes, join: _Joiner) -> Link | None:
    href, _, fragment = anchor.get("href", "").strip().partition("#")
    url = join(href) if href else None
    if url is None:
        return None
    filename = (url.partition("?")[0] if "?" in url else url).rpartition("/")[2]
    if not filename:
        return None
    upload_time = anchor.get("data-upload-time")  # in no standard, but some indexes have it
    python, yanked, metadata, provenance = _said(anchor)
    return Link(
        unquote(filename) if "%" in filename else filename,
        url,
        _fragment_hashes(fragment),
        python,
        yanked,
        metadata,
        None,
        None if upload_time is None else seconds_of(upload_time),
        _web(provenance, join),
    )


def _fragment_hashes(fragment: str) -> dict[str, str]:
    return {name.lower(): value.lower() for name, value in _HASH.findall(fragment)}


_HASH = re.compile(r"(?:^|&)([a-zA-Z0-9_]+)=([0-9a-fA-F]{32,128})(?=&|\Z)")


def _attribute_hash(value: str) -> str | None:
    if value.lower() == "false":
        return None
    name, _, digest = value.partition("=")
    return digest.lower() if name == "sha256" else ""


class _Joiner:
    """Makes URLs absolute, remembering folders, and keeps to schemes that the page may name."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._schemes = ("file://", *_WEB) if base.startswith("file:") else _WEB
        self._folders: dict[str, str] = {}
        self._above = _folders_above(base)

    def folder(self, reference: str) -> str | None:
        """Give the absolute URL of a folder that is written with nothing to be quoted, or is empty."""
        if self._above and (match := _FOLDER.match(reference)) is not None:
            return self._beside(reference, match)
        url = self(reference + "x")
        return None if url is None else url[:-1]

    def split(self, reference: str) -> tuple[str, str] | None:
        """Give an absolute URL's folder, with its slash, and what comes behind; None when it may not be led to."""
        match = _ORDINARY.match(reference)
        if match is not None:
            return match[1], match[2]
        match = _RELATIVE.match(reference)
        if match is not None and (folder := self.folder(match[1])) is not None:
            return folder, match[2]
        url = self(reference.partition("#")[0])
        if url is None:
            return None
        folder, slash, last = url.rpartition("/")
        return folder + slash, last

    def _beside(self, folder: str, match: re.Match[str]) -> str:
        rest = match[1]
        if folder.startswith("/"):
            return self._above[-1] + rest
        up = (len(folder) - len(rest)) // 3
        return self._above[min(up, len(self._above) - 1)] + rest  # above the root is the root

    def _join(self, folder: str) -> str:
        """Do for the folders of ordinary pages what `urljoin` does, in a tenth of the time."""
        if self._above and (match := _FOLDER.match(folder)) is not None:
            return self._beside(folder, match)
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = urljoin(self._base, folder or ".")
        return known

    def __call__(self, reference: str) -> str | None:
        """Give the absolute URL; None when a page from there may not lead there.

        A page from the network never leads to a file of this machine.
        """
        if not reference.startswith(_WEB) or "?" in reference:
            folder, slash, name = reference.rpartition("/")
            if ":" in name or "?" in reference or not name:
                reference = urljoin(self._base, reference)
            else:
                reference = self._join(folder + slash) + name
        if not reference.startswith(self._schemes):
            return None
        if not _CLEAN.match(reference):
            reference = _clean(reference)
        return reference


def _folders_above(base: str) -> list[str]:
    """Give the folder that a page is in, the one above it and so on; nothing where `urljoin` has to be asked."""
    match = _PAGE.match(base)
    if match is None:
        return []
    root, folder = match[1], match[2]
    above = [root + folder]
    while folder:
        folder = folder[: folder.rstrip("/").rfind("/") + 1]
        above.append(root + folder)
    return above


_PART = "[a-zA-Z0-9_~-][a-zA-Z0-9._~%+-]*"
_PAGE = re.compile(rf"((?:https?|file)://[a-z0-9.:-]*/)((?:{_PART}/)*)(?:{_PART})?\Z")
_RELATIVE = re.compile(rf"((?:/|(?:\.\./)*)(?:{_PART}/)*)({_PART})\Z")
_FOLDER = re.compile(rf"(?:/|(?:\.\./)*)((?:{_PART}/)*)\Z")
_ORDINARY = re.compile(r"(https?://[!$-.0-9:;=A-~]+/(?:[!$-.0-9:;=A-~]+/)*)([!$-.0-9:;=A-~]+)\Z")
_CLEAN = re.compile(r"[!$-?A-~]*\Z")  # no blanks, no "#", and no "@", behind which credentials end


def _clean(url: str) -> str:
    """Quote what may not stand in a URL, and take out credentials."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    path = quote(path, safe="/%:=&?~+!$,;'@()*[]")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
