"""Pages that are written here mean the same to whoever reads them: to ourselves, to pip, and to the standard."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from pip._internal.index.collector import IndexContent, parse_links
from pip._internal.models.link import Link as PipLink

from venvery.catalog import pages
from venvery.catalog.fetch import storage_key
from venvery.catalog.page_writers import Learnt, file_path, write_page, write_root
from venvery.catalog.rows import files_of, revision_of, rows_of
from venvery.catalog.sidecars import sidecar_key
from venvery.model.files import DistFile, Listing, ProjectStatus
from venvery.model.names import NormalizedName, is_valid_name, normalize
from venvery.model.versions import parse_version

BASE = "https://index.example/deep/simple/a-b/"
FILES = "https://index.example/deep/files/"
PROJECT = NormalizedName("a-b")

hexes = st.text("0123456789abcdef", min_size=64, max_size=64)
# What stands in pages of real indexes, and what somebody would put there to break out of them.
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30).map(
    lambda text: "".join(character for character in text if character.isprintable())
) | st.sampled_from(['"><script>alert(1)</script>', "&quot;", "a & b", "'", "</a>", "#sha256=x", "�"])
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@st.composite
def files(draw: st.DrawFn) -> DistFile:
    version = draw(st.sampled_from(["1.0", "1.0.post1", "2.0rc1", "1!3", "4+local.1"]))
    wheel = draw(st.booleans())
    tag = draw(st.sampled_from(["py3-none-any", "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"]))
    name = f"a_b-{version}-{tag}.whl" if wheel else f"a_b-{version}.tar.gz"
    sha256 = draw(st.none() | hexes)
    return DistFile(
        name,
        f"https://files.example/{name}",
        PROJECT,
        parse_version(version),
        "wheel" if wheel else "sdist",
        tag if wheel else "",
        (),
        sha256,
        draw(st.none() | st.integers(0, 2**40)),
        draw(st.none() | st.sampled_from([">=3.8", "!=3.9.*,<4", ">=2.7, !=3.0.*"])),
        draw(st.none() | words),
        draw(times),
        draw(st.none() | hexes) if wheel else None,
        "index",
        draw(st.just(()) | st.just((("md5", "0" * 32),))) if sha256 is None else (),
        draw(st.none() | st.just("https://index.example/provenance")),
    )


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    found = {file.filename: file for file in draw(st.lists(files(), max_size=6))}
    states = st.builds(ProjectStatus, st.sampled_from(["active", "archived", "deprecated"]), st.none() | words)
    status = draw(st.none() | states)
    if status is not None and not status.reason:
        status = ProjectStatus(status.state)
    return Listing(PROJECT, "sha256:0", tuple(found[name] for name in sorted(found)), status=status)


@st.composite
def learnt(draw: st.DrawFn, listing: Listing) -> Learnt:
    known: dict[str, tuple[str, int]] = {}
    for file in listing.files:
        if file.sha256 is None and draw(st.booleans()):
            known[storage_key(file)] = (draw(hexes), draw(st.integers(1, 2**40)))
    return Learnt(known, {sidecar_key(file): draw(hexes) for file in listing.files if draw(st.booleans())})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_is_written_reads_the_same_in_both_forms(data: st.DataObject) -> None:
    listing = data.draw(listings())
    more = data.draw(learnt(listing))
    from_json = pages.parse_json(write_page(listing, "json", more, 7), BASE)
    from_html = pages.parse_html(write_page(listing, "html", more, 7).decode(), BASE)
    assert from_json.status == from_html.status == listing.status
    assert [link.filename for link in from_json.links] == [file.filename for file in listing.files]
    anchors = sorted(from_html.links, key=lambda link: link.filename)  # in whichever order they are read
    for file, link, anchor in zip(listing.files, from_json.links, anchors, strict=True):
        sha256 = more.sha256(file)
        assert link.url == anchor.url == FILES + file_path(file, sha256)
        assert link.hashes == dict(file.hashes) | ({"sha256": sha256} if sha256 else {})
        assert anchor.hashes == ({"sha256": sha256} if sha256 else dict(file.hashes))
        assert link.requires_python == anchor.requires_python == file.requires_python
        assert link.yanked == file.yanked
        assert anchor.yanked == file.yanked
        assert link.core_metadata == anchor.core_metadata == more.core_metadata(file)
        assert link.size == more.size(file)
        assert file.upload_time is not None
        assert link.upload_time == file.upload_time.timestamp()
        expected = None if file.provenance is None else f"{link.url}.provenance"
        assert link.provenance == anchor.provenance == expected


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_pip_reads_the_same(data: st.DataObject) -> None:
    listing = data.draw(listings())
    more = data.draw(learnt(listing))
    found = {
        form: list(parse_links(_content(write_page(listing, form, more, 7), form)))  # type: ignore[arg-type]
        for form in ("json", "html")
    }
    for form, links in found.items():
        assert [link.filename for link in links] == [file.filename for file in listing.files], form
        for file, link in zip(listing.files, links, strict=True):
            sha256 = more.sha256(file)
            assert link.url_without_fragment == FILES + file_path(file, sha256)
            assert link.requires_python == file.requires_python
            assert link.is_yanked == (file.yanked is not None)
            assert (link.yanked_reason or "") == (file.yanked or "")
            assert link._hashes.get("sha256") == sha256
            if metadata := more.core_metadata(file):
                sidecar = link.metadata_link()
                assert sidecar is not None
                assert sidecar.as_hashes().is_hash_allowed("sha256", metadata)


def _content(body: bytes, form: str) -> IndexContent:
    return IndexContent(body, f"application/vnd.pypi.simple.v1+{form}", "utf-8", BASE, cache_link_parsing=False)


def test_pip_sees_when_a_file_was_uploaded() -> None:
    """pip refuses a page without times when it is told `--uploaded-prior-to`."""
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    listing = Listing(PROJECT, "sha256:0", (replace(_file("a_b-1.0.tar.gz"), upload_time=when),))
    (link,) = parse_links(_content(write_page(listing, "json", Learnt(), 1), "json"))
    assert isinstance(link, PipLink)
    assert link.upload_time == when


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    from datetime import timezone

    when = datetime(2026, 1, 2, 3, 4, 5, 250000, timezone(timedelta(hours=2)))
    page = _page(Listing(PROJECT, "sha256:0", (replace(_file("a_b-1.0.tar.gz"), upload_time=when),)))
    assert page["files"][0]["upload-time"] == "2026-01-02T01:04:05.250000Z"


def test_a_quarantined_project_offers_no_file() -> None:
    listing = Listing(
        PROJECT, "sha256:0", (_file("a_b-1.0.tar.gz"),), status=ProjectStatus("quarantined", "malware")
    )
    page = _page(listing)
    assert (page["files"], page["versions"]) == ([], [])
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert b"<a " not in write_page(listing, "html", Learnt(), 1)


@pytest.mark.parametrize("size", [None, 5])
def test_a_version_of_the_api_is_claimed_whose_demands_are_met(size: int | None) -> None:
    listing = Listing(PROJECT, "sha256:0", (replace(_file("a_b-1.0.tar.gz"), size=size),))
    assert _page(listing)["meta"]["api-version"] == ("1.0" if size is None else "1.4")


def test_nothing_in_a_page_becomes_script() -> None:
    evil = '"><script>alert(1)</script>'
    file = replace(_file("a_b-1.0.tar.gz"), yanked=evil, requires_python=evil)
    listing = Listing(PROJECT, "sha256:0", (file,), status=ProjectStatus("archived", evil))
    assert b"<script" not in write_page(listing, "html", Learnt(), 1)


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True)


@given(names)
def test_normalising_is_that_of_the_reference_and_needs_no_second_time(name: str) -> None:
    assert is_valid_name(name)
    once = normalize(name)
    assert once == canonicalize_name(name) == normalize(once)
    assert is_valid_name(once)


@given(st.lists(names.map(normalize), unique=True, max_size=20))
def test_the_list_of_projects_has_them_all_in_both_forms(projects: list[NormalizedName]) -> None:
    numbered = list(zip(projects, range(1, 100), strict=False))
    root = json.loads(write_root(numbered, "json", 99))
    assert [entry["name"] for entry in root["projects"]] == projects
    assert root["meta"]["_last-serial"] == 99
    text = write_root(numbered, "html", 99).decode()
    assert [name for name in projects if f'<a href="{name}/">{name}</a>' in text] == projects


@settings(max_examples=50, deadline=None)
@given(listings())
def test_a_mirror_of_a_mirror_has_the_same_listing(listing: Listing) -> None:
    """Through page, parser and rows, what resolution sees stays what it was."""
    page = pages.parse_json(write_page(listing, "json", Learnt(), 1), BASE)
    rows = rows_of(PROJECT, page.links, now=1.0, status=page.status)
    again = Listing(PROJECT, revision_of(rows), files_of(PROJECT, rows, "index"), status=page.status)
    assert [_seen(file) for file in again.files] == [_seen(file) for file in listing.files]
    twice = pages.parse_json(write_page(again, "json", Learnt(), 1), BASE)
    if all(file.sha256 for file in listing.files):
        assert revision_of(rows_of(PROJECT, twice.links, now=2.0, status=twice.status)) == again.revision


def _seen(file: DistFile) -> tuple[object, ...]:
    metadata = file.core_metadata or ("" if file.kind == "wheel" else None)
    return file.filename, file.sha256, file.size, file.requires_python, file.yanked, file.upload_time, metadata


def _file(name: str) -> DistFile:
    return DistFile(name, f"https://x.example/{name}", PROJECT, parse_version("1.0"), "sdist", sha256="0" * 64)


def _page(listing: Listing) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(write_page(listing, "json", Learnt(), 1))
    return page
