"""Files that are read while they come in: whole and right at the end, or not to the end at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.catalog.opened import blobs_in, of, run
from tests.conftest import ServeIndex
from tests.support.wheels import BuiltFile, make_wheel
from venvery.catalog.arrivals import Follower
from venvery.catalog.catalog import Catalog
from venvery.errors import SourceFailed, WrongHash
from venvery.model.files import DistFile
from venvery.model.names import normalize

A = normalize("a")


def noisy(size: int = 1_500_000) -> BuiltFile:
    return make_wheel("a", "1.0", files={"a/noise.bin": os.urandom(size)})


async def listed(catalog: Catalog) -> DistFile:
    (file,) = (await catalog.listings([A]))[A].files
    return file


async def follow(catalog: Catalog, file: DistFile) -> Follower:
    found = await catalog.follow(file)
    assert isinstance(found, Follower), "it is not here yet"
    return found


async def read(follower: Follower) -> bytes:
    try:
        return b"".join([piece async for piece in follower.pieces()])
    finally:
        follower.close()


def test_two_who_follow_and_one_who_waits_get_the_same(data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = noisy()
    server = serve_index([wheel])

    async def work(catalog: Catalog) -> None:
        file = await listed(catalog)
        one, other = await follow(catalog, file), await follow(catalog, file)
        digest = await catalog.fetch(file)
        assert await read(one) == await read(other) == wheel.data, "also when all of it is here by now"
        assert await catalog.follow(file) == digest

    run(data_dir, [of(server)], work)
    assert len(server.asked("/files/*")) == 1


def test_who_comes_back_at_once_finds_it(data_dir: Path, serve_index: ServeIndex) -> None:
    """The last one who gives up ends the fetch; the next one does not trip over what is left of it."""
    wheel = noisy()
    server = serve_index([wheel])
    server.fault("/files/*", "truncate", after=600_000, times=3)

    async def work(catalog: Catalog) -> None:
        file = await listed(catalog)
        for _ in range(3):
            (await follow(catalog, file)).close()
        assert await read(await follow(catalog, file)) == wheel.data

    run(data_dir, [of(server)], work)


def test_the_last_byte_of_a_wrong_file_never_comes(data_dir: Path, serve_index: ServeIndex) -> None:
    wheel = noisy()
    server = serve_index([wheel])
    server.fault("/files/*", "corrupt")

    async def work(catalog: Catalog) -> None:
        follower = await follow(catalog, await listed(catalog))
        got = b""
        with pytest.raises(WrongHash):
            async for piece in follower.pieces():
                got += piece
        follower.close()
        assert 0 < len(got) < len(wheel.data)

    run(data_dir, [of(server)], work)
    assert blobs_in(data_dir) == []


def test_what_cannot_be_had_is_said_before_the_first_byte(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([noisy(100)])
    server.fault("/files/*", "status", status=404)

    async def work(catalog: Catalog) -> None:
        with pytest.raises(SourceFailed):
            await catalog.follow(await listed(catalog))

    run(data_dir, [of(server)], work)


def test_what_has_no_hash_is_not_sent_on_unverified(data_dir: Path, serve_index: ServeIndex) -> None:
    server = serve_index([noisy(100)])
    server.settings.hashes = False

    async def work(catalog: Catalog) -> object:
        return await catalog.follow(await listed(catalog))

    assert isinstance(run(data_dir, [of(server)], work), str), "the digest of all of it"
