"""What goes when space is short, and what stays."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.keeping.folder import KB, Folder
from venvery.errors import NotFound, StorageFailed
from venvery.services import keeping
from venvery.storage.blobs import Blobs
from venvery.storage.kept_blobs import KeptBlobs

DAY = 86400.0


def limit(folder: Folder, blobs: int) -> int:
    """Give the limit of the whole folder that leaves so many bytes for blobs."""
    folder.settle()
    return folder.keeper.size() - folder.bytes() + blobs


def test_what_was_not_used_for_longest_goes_first(folder: Folder) -> None:
    for name, age in (("oldest", 9 * DAY), ("middle", 5 * DAY), ("newest", 1 * DAY)):
        folder.layer(name, 100 * KB, age)
    folder.file("wheel", 50 * KB, 7 * DAY)
    done = folder.prune(size=limit(folder, 200 * KB))
    assert [one.name.split()[0] for one in done.removed] == ["oldest", "file"]
    assert folder.rows() == {"middle", "newest"}
    assert folder.bytes() == 200 * KB
    assert (done.before - done.after, done.after) == (150 * KB, folder.keeper.size())


def test_using_a_blob_keeps_its_layer(folder: Folder) -> None:
    used = folder.layer("used", 100 * KB, 9 * DAY)
    folder.layer("idle", 100 * KB, 5 * DAY)
    folder.blobs.hold([used]).release()
    folder.prune(size=limit(folder, 100 * KB))
    assert folder.rows() == {"used"}


def test_of_equally_old_ones_files_go_before_layers(folder: Folder) -> None:
    then = time.time() - DAY
    layer, file = folder.layer("layer", 100 * KB, DAY), folder.file("wheel", 100 * KB, DAY)
    for digest in (layer, file):
        os.utime(folder.blobs.path(digest) or "", (then, then))
    folder.prune(size=limit(folder, 100 * KB))
    assert folder.rows() == {"layer"}


def test_within_the_limit_nothing_goes(folder: Folder) -> None:
    folder.layer("old", 100 * KB, 900 * DAY)
    done = folder.prune(size=limit(folder, 100 * KB))
    assert (done.removed, done.before) == ((), done.after)
    assert folder.prune().removed == ()  # no limit at all


def test_what_was_unused_for_days_goes_whatever_the_size(folder: Folder) -> None:
    folder.layer("old", 100 * KB, 31 * DAY)
    folder.layer("young", 100 * KB, 29 * DAY)
    folder.prune(unused_for=30 * DAY)
    assert folder.rows() == {"young"}


def test_a_dry_run_says_the_same_and_removes_nothing(folder: Folder) -> None:
    for age in range(1, 80):
        folder.layer(f"layer{age}", 2 * KB, age * DAY)
    size = limit(folder, 50 * KB)
    shown = folder.prune(size=size, dry_run=True)
    assert folder.bytes() == 79 * 2 * KB
    assert len(folder.rows()) == 79
    done = folder.prune(size=size)
    assert shown.removed == done.removed
    assert shown.after == done.after == folder.keeper.size()
    assert folder.bytes() == 50 * KB


def test_a_leased_layer_stays_and_is_counted(folder: Folder) -> None:
    held = folder.layer("held", 100 * KB, 9 * DAY)
    folder.layer("idle", 100 * KB, 5 * DAY)
    lease = folder.blobs.hold([held])
    folder.age(held, 9 * DAY)  # a stream that began long ago
    done = folder.prune(size=0)
    assert (folder.rows(), done.in_use) == ({"held"}, 1)
    assert folder.blobs.has(held)
    lease.release()
    folder.prune(size=0)
    assert folder.rows() == set()
    assert folder.bytes() == 0


def test_a_lease_ends_with_its_process(folder: Folder) -> None:
    held = folder.layer("held", 100 * KB, 9 * DAY)
    code = f"""
        import sys, time
        from pathlib import Path
        from venvery.storage.blobs import Blobs
        lease = Blobs(Path({str(folder.blobs.root)!r})).hold([{held!r}])
        print("held", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"held\n"
        folder.age(held, 9 * DAY)
        assert folder.prune(size=0).in_use == 1
        process.kill()
    assert folder.prune(size=0).in_use == 0
    assert not folder.blobs.has(held)
    assert [path.name for path in (folder.blobs.root / "leases").iterdir()] == ["gate"]


def test_what_is_gone_cannot_be_leased(folder: Folder) -> None:
    there, gone = folder.layer("there", 100 * KB, DAY), folder.layer("gone", 100 * KB, DAY)
    folder.blobs.delete(gone)
    with pytest.raises(NotFound):
        folder.blobs.hold([there, gone])
    assert [path.name for path in (folder.blobs.root / "leases").iterdir()] == ["gate"]


def test_a_forgotten_lease_ends_by_itself(folder: Folder) -> None:
    held = folder.layer("held", 100 * KB, 9 * DAY)
    folder.blobs.hold([held])  # nobody keeps it
    assert folder.prune(size=0).in_use == 0


def test_what_work_puts_stays_until_its_row_is_there(folder: Folder) -> None:
    with KeptBlobs(folder.blobs) as kept:
        new = kept.put(b"n" * KB).digest
        old = folder.blob(b"o" * KB, 9 * DAY)
        assert kept.put(b"o" * KB).digest == old  # was there already: only the lease protects it
        for digest in (new, old):
            folder.age(digest, 9 * DAY)
        folder.prune(size=0)
        assert folder.blobs.has(new)
        assert folder.blobs.has(old)
    folder.prune(size=0)
    assert folder.bytes() == 0


def test_without_room_for_a_lease_nothing_is_removed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    held = folder.layer("held", 100 * KB, 9 * DAY)
    real = os.open

    def full(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_EXCL:
            raise OSError(28, "No space left on device")
        return real(path, flags, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        lease = folder.blobs.hold([held])
    with pytest.raises(StorageFailed), folder.blobs.leases.removing(wait=0.05):
        pass
    lease.release()
    with folder.blobs.leases.removing(wait=0.05) as in_use:
        assert in_use == frozenset()


def test_two_layers_that_share_their_bytes_go_together_or_not_at_all(folder: Folder) -> None:
    shared = folder.layer("same", 100 * KB, 9 * DAY)
    assert folder.layer("same", 100 * KB, 9 * DAY, family="posix-3.12") == shared
    done = folder.prune(size=limit(folder, 50 * KB))
    assert len(done.removed) == 1
    assert (folder.rows(), folder.bytes()) == (set(), 0)


def test_bytes_that_another_holding_needs_stay(folder: Folder) -> None:
    """A file's bytes are a layer's too: improbable, and no reason to lie."""
    layer = folder.layer("layer", 100 * KB, 9 * DAY)
    folder.database.files.put("odd", type("Stored", (), {"digest": layer, "size": 50 * KB}))  # type: ignore[arg-type]
    folder.age(layer, 1 * DAY)
    folder.layer("younger", 2 * KB, DAY / 2)
    folder.prune(size=limit(folder, 52 * KB))
    rows = {row.name.split()[0]: row for row in folder.database.holdings.all()}
    assert all(folder.blobs.has(digest) for row in rows.values() for digest, _size in row.blobs)


def test_a_row_that_is_written_meanwhile_keeps_its_bytes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the survey and the removal another process makes the same layer for another family."""
    folder.layer("same", 100 * KB, 9 * DAY)
    real = keeping.Keeper._survey

    def outpaced(self: keeping.Keeper) -> Any:
        seen = real(self)
        folder.layer("same", 100 * KB, 0, family="posix-3.12")
        for row in folder.database.holdings.all():
            for digest, _size in row.blobs:
                folder.age(digest, 9 * DAY)  # as if the clock of the one who made it were slow
        return seen

    monkeypatch.setattr(keeping.Keeper, "_survey", outpaced)
    folder.prune(size=0)
    (row,) = folder.database.holdings.all()
    assert row.key[1] == "posix-3.12"
    assert all(folder.blobs.has(digest) for digest, _size in row.blobs)


def test_orphans_go_once_they_are_old(folder: Folder) -> None:
    old = folder.blob(b"o" * KB, keeping.ORPHAN_AGE + 5)
    young = folder.blob(b"y" * KB, keeping.ORPHAN_AGE - 5)
    assert folder.prune(dry_run=True).orphans == (1, KB)
    assert folder.blobs.has(old)
    assert folder.prune().orphans == (1, KB)
    assert (folder.blobs.has(old), folder.blobs.has(young)) == (False, True)


def test_eviction_goes_below_the_limit_and_spares_what_was_just_used(folder: Folder) -> None:
    for age in range(10):
        folder.layer(f"layer{age}", 100 * KB, 100 + age)
    folder.layer("now", 500 * KB, 0)
    most = limit(folder, 1000 * KB)
    done = folder.keeper.evict(most)
    assert done is not None
    assert folder.keeper.size() <= most * keeping.LOW_WATER
    assert "now" in folder.rows()
    assert folder.keeper.evict(most) is None  # nothing was written since
    folder.layer("more", 10 * KB, 0)
    assert folder.keeper.evict(most) is None  # written, but there is room
    done = folder.keeper.evict(1)
    assert done is None, "nothing was written since the last look, which found room"


def test_eviction_comes_back_until_there_is_room(folder: Folder) -> None:
    held = folder.layer("held", 100 * KB, 9 * DAY)
    most = limit(folder, 50 * KB)
    lease = folder.blobs.hold([held])
    folder.age(held, 9 * DAY)
    assert folder.keeper.evict(most) is not None
    assert folder.rows() == {"held"}
    lease.release()
    folder.keeper.evict(most)
    assert folder.rows() == set()


def test_two_at_once_remove_no_more_than_one(folder: Folder) -> None:
    for age in range(1, 101):
        folder.layer(f"layer{age}", 2 * KB, age * DAY)
    size = limit(folder, 100 * KB)
    other = keeping.Keeper(folder.path, folder.database, Blobs(folder.blobs.root))
    threads = [
        threading.Thread(target=keeper.prune, args=(keeping.Goal(size),)) for keeper in (folder.keeper, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert folder.bytes() == 100 * KB
    assert folder.rows() == {f"layer{age}" for age in range(1, 51)}


@pytest.mark.parametrize("after", [0, 1, 7])
def test_killed_between_rows_and_bytes(folder: Folder, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Whatever a dead prune leaves, no row lacks its bytes, and the next one removes the rest."""

    class Killed(BaseException):
        pass

    for age in range(1, 6):
        folder.layer(f"layer{age}", 2 * KB, age * DAY)
    real, calls = Blobs.delete, iter(range(1000))

    def dying(self: Blobs, digest: str) -> None:
        if next(calls) == after:
            raise Killed
        real(self, digest)

    with monkeypatch.context() as patch:
        patch.setattr(Blobs, "delete", dying)
        with pytest.raises(Killed):
            folder.prune(size=0)
    for row in folder.database.holdings.all():
        assert all(folder.blobs.has(digest) for digest, _size in row.blobs)
    done = folder.prune(size=0)
    assert done.orphans[0] == 10 - after
    assert folder.bytes() == 0


def test_environments_beyond_the_most_are_forgotten(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_ENVIRONMENTS", 3)
    for number in range(5):
        folder.ago = (5 - number) * DAY
        folder.database.environments.put(f"sha256:{number:064}", {}, {})
    folder.ago = 0
    assert folder.prune().environments == 2
    assert folder.database.environments.list_keys() == [f"sha256:{number:064}" for number in (2, 3, 4)]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    from venvery.config import Configuration
    from venvery.errors import BadConfiguration

    with pytest.raises(BadConfiguration), keeping.open_keeper(Configuration(tmp_path / "nothing")):
        pass
    assert not (tmp_path / "nothing").exists()
