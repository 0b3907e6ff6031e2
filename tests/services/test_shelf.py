"""The shelf: one universe for all threads that look at a listing."""

from __future__ import annotations

import threading
from dataclasses import replace

from tests.resolve.worlds import Release, universe
from venvery.model.names import normalize
from venvery.services.shelf import HotShelf, RequestShelf

LISTING = universe("big", {f"{n}.{m}": Release() for n in range(40) for m in range(40)}).listing


def test_threads_that_come_at_once_see_the_same_universe() -> None:
    """What the event loop learns must reach the universe that the search looks at."""
    for _ in range(5):
        shelf = RequestShelf(HotShelf(), lambda _project: LISTING)
        barrier, seen = threading.Barrier(4), []

        def look(
            shelf: RequestShelf = shelf, barrier: threading.Barrier = barrier, seen: list[object] = seen
        ) -> None:
            barrier.wait()
            shelf.put(LISTING)
            seen.append(shelf.universe(normalize("big")))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(one) for one in seen}) == 1


def test_a_changed_listing_takes_over_what_is_known_of_its_files() -> None:
    hot = HotShelf()
    first = hot.put(LISTING)
    known = universe("big", {"1.1": Release(requires=["a"])})
    (file,) = known.listing.files
    metadata = known.metadata(file)
    assert metadata is not None
    first.set_metadata(next(one for one in LISTING.files if one.filename == file.filename), metadata)
    second = hot.put(replace(LISTING, revision="sha256:" + "1" * 64, files=LISTING.files[:100]))
    assert second is not first
    assert second.metadata(next(one for one in LISTING.files if one.filename == file.filename)) == metadata


def test_the_coldest_goes_first() -> None:
    hot = HotShelf(max_files=3)
    small = {name: universe(name, {"1": Release(), "2": Release()}).listing for name in ("a", "b")}
    first = hot.put(small["a"])
    hot.put(small["b"])
    assert hot.put(small["a"]) is not first
