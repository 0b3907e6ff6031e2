"""Folders as sources: flat ones, trees, and pages of links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.catalog.opened import Heard, fetch, listing, metadata, run
from tests.conftest import ServeIndex
from tests.support.index_server import Settings
from tests.support.sdists import make_sdist
from tests.support.wheels import make_wheel
from tests.support.world import World
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceGarbage, SourceUnreachable
from venvery.model.files import CoreMetadata
from venvery.model.names import normalize
from venvery.model.sources import SourceSpec


def flat(folder: Path) -> SourceSpec:
    return SourceSpec("flat", "flat", str(folder))


def tree(folder: Path) -> SourceSpec:
    return SourceSpec("tree", "tree", str(folder))


def test_a_flat_folder(tmp_path: Path, data_dir: Path) -> None:
    files = [make_wheel("a", "1.0", requires=["b"]), make_sdist("a", "2.0"), make_wheel("a-b", "1.0")]
    folder = World(files).write_flat(tmp_path / "wheel house é#1")
    (folder / "README.txt").write_text("not a distribution")
    (folder / "a-1.0.tar.gz.part").write_text("nor this")
    found = listing(data_dir, [flat(folder)], "A")
    assert [(file.filename, file.sha256, file.size) for file in found.files] == [
        (file.filename, file.sha256, len(file.data)) for file in files[:2]
    ]
    assert fetch(data_dir, [flat(folder)], "a") == files[0].data
    known = metadata(data_dir, [flat(folder)], "a")["a-1.0-py3-none-any.whl"]
    assert isinstance(known, CoreMetadata) and known.requires_dist == ("b",)
    assert not listing(data_dir, [flat(folder)], "c").known


def test_a_file_that_is_put_there_is_seen_and_one_that_is_replaced_too(tmp_path: Path, data_dir: Path) -> None:
    folder = World([make_wheel("a", "1.0")]).write_flat(tmp_path / "files")
    before = listing(data_dir, [flat(folder)], "a")
    other = make_wheel("a", "1.0", requires=["b"])
    other.write_to(folder)
    replaced = listing(data_dir, [flat(folder)], "a")
    assert replaced.files[0].sha256 == other.sha256
    make_wheel("a", "2.0").write_to(folder)
    added = listing(data_dir, [flat(folder)], "a")
    assert [str(file.version) for file in added.files] == ["1.0", "2.0"]
    assert len({before.revision, replaced.revision, added.revision}) == 3


def test_a_file_is_hashed_once(tmp_path: Path, data_dir: Path) -> None:
    folder = World([make_wheel("a", "1.0")]).write_flat(tmp_path / "files")
    before = listing(data_dir, [flat(folder)], "a")
    path = folder / "a-1.0-py3-none-any.whl"
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # what a hash that is remembered cannot see
    assert listing(data_dir, [flat(folder)], "a").files[0].sha256 == before.files[0].sha256


@pytest.mark.parametrize("kind", ["flat", "tree"])
def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, data_dir: Path, kind: str) -> None:
    spec = SourceSpec("here", kind, str(tmp_path / "nowhere"))  # type: ignore[arg-type]
    with pytest.raises(SourceUnreachable, match="nowhere"):
        listing(data_dir, [spec], "a")


@pytest.mark.parametrize("hashes", [True, False])
def test_a_tree_with_pages(tmp_path: Path, data_dir: Path, hashes: bool) -> None:
    world = World([make_wheel("a", "1.0", requires=["b"], requires_python=">=3.8"), make_wheel("c", "1.0")])
    world.yank("a-1.0-py3-none-any.whl", "oops")
    root = world.write_tree(tmp_path / "simple", hashes=hashes)
    (file,) = listing(data_dir, [tree(root)], "A").files
    assert (file.sha256, file.requires_python, file.yanked) == (world.files[0].sha256, ">=3.8", "oops")
    assert file.url == (root / "a" / "a-1.0-py3-none-any.whl").as_uri()
    (known,) = metadata(data_dir, [tree(root)], "a").values()
    assert isinstance(known, CoreMetadata) and known.requires_dist == ("b",)
    assert fetch(data_dir, [tree(root)], "a") == world.files[0].data
    assert not listing(data_dir, [tree(root)], "b").known


def test_a_tree_without_pages_and_with_names_as_people_write_them(tmp_path: Path, data_dir: Path) -> None:
    wheel = make_wheel("Foo.Bar", "1.0")
    wheel.write_to(tmp_path / "simple" / "Foo_Bar")
    (file,) = listing(data_dir, [tree(tmp_path / "simple")], "foo-bar").files
    assert file.sha256 == wheel.sha256


def test_a_page_on_disk_that_is_no_page_is_garbage(tmp_path: Path, data_dir: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text("It works!")
    with pytest.raises(SourceGarbage, match=r"index\.html"):
        listing(data_dir, [tree(tmp_path)], "a")


def test_a_tree_may_link_to_the_network(tmp_path: Path, data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = make_wheel("a", "1.0")
    server = serve_index([wheel])
    (tmp_path / "simple" / "a").mkdir(parents=True)
    page = f'<!DOCTYPE html><html><body><a href="{server.origin}/files/{wheel.filename}">a</a></body></html>'
    (tmp_path / "simple" / "a" / "index.html").write_text(page)
    assert fetch(data_dir, [tree(tmp_path / "simple")], "a") == wheel.data


def test_a_page_of_links_is_read_once_for_all_projects(data_dir: Path, serve_index: ServeIndex) -> None:
    world = World()
    for file in (make_wheel("a", "1.0"), make_wheel("a.b", "1.0"), make_wheel("c", "1.0"), make_sdist("C", "2.0")):
        world.add(file, project="links")
    server = serve_index(world, settings=Settings(formats="html"))
    spec = SourceSpec("page", "links", f"{server.origin}/simple/links/")

    async def work(catalog: Catalog) -> dict[str, list[str]]:
        found = await catalog.listings([normalize(name) for name in ("a", "a-b", "c", "d")])
        return {name: [file.filename for file in one.files] for name, one in found.items()}

    assert run(data_dir, [spec], work) == {
        "a": ["a-1.0-py3-none-any.whl"],
        "a-b": ["a_b-1.0-py3-none-any.whl"],
        "c": ["c-1.0-py3-none-any.whl", "c-2.0.tar.gz"],
        "d": [],
    }
    assert len(server.requests) == 1


def test_a_page_of_links_that_is_not_there_is_an_error(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index()
    with pytest.raises(SourceUnreachable, match="no page of links"):
        listing(data_dir, [SourceSpec("page", "links", f"{server.origin}/nowhere/")], "a")


def test_what_a_folder_says_is_not_asked_for_twice_in_one_breath(tmp_path: Path, data_dir: Path) -> None:
    folder = World([make_wheel("a", "1.0")]).write_flat(tmp_path / "files")
    heard = Heard()
    listing(data_dir, [flat(folder)], "a", reporter=heard)
    assert heard.listings == {"read": 1}
