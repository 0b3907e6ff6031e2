"""Locks written as requirements.txt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from inline_snapshot import snapshot
from packaging.requirements import Requirement

from tests.locks.building import LINUX, MUSL, WINDOWS, dist_file, edge, locks, pin, two_target_lock
from venvery.errors import BadLock
from venvery.model.lock import Lock
from venvery.model.requirements import parse_requirement
from venvery.resolve.writers import write_requirements


def one_target_lock(*pins: object, requirements: tuple[str, ...] = ()) -> Lock:
    asked = tuple(parse_requirement(text) for text in requirements)
    return Lock(targets=(LINUX,), pins=pins, requirements=asked)  # type: ignore[arg-type]


def test_a_lock_of_two_targets() -> None:
    assert write_requirements(two_target_lock(), header=["# made by venvery"]) == snapshot("""\
# made by venvery
colours==1.0 ; python_version >= "3.12" \\
    --hash=sha256:09d709d709d709d709d709d709d709d709d709d709d709d709d709d709d709d7
    # via web
numbers==1.5 ; python_version < "3.12" \\
    --hash=sha256:0fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd80fd8
    # via
    #   the request
    #   web
numbers==2.0 ; python_version >= "3.12" \\
    --hash=sha256:0bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd40bd4
    # via
    #   the request
    #   web
web[fast]==2.1 \\
    --hash=sha256:0810081008100810081008100810081008100810081008100810081008100810 \\
    --hash=sha512:abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab
    # via -r requirements.txt:3
""")


def test_without_hashes_and_comments() -> None:
    assert write_requirements(two_target_lock(), hashes=False, via=False) == snapshot("""\
colours==1.0 ; python_version >= "3.12"
numbers==1.5 ; python_version < "3.12"
numbers==2.0 ; python_version >= "3.12"
web[fast]==2.1
""")


def test_extras_are_written_where_they_are_asked_for() -> None:
    """A line with an extra pulls in what the extra needs: on a target without it, that is not pinned."""
    lock = Lock(
        targets=(LINUX, WINDOWS),
        pins=(
            pin(
                "app-1-py3-none-any.whl",
                targets=(0, 1),
                edges=(edge("lib", "lib[x]", 1), edge("lib", "lib", 0, 1)),
            ),
            pin("lib-1-py3-none-any.whl", targets=(0, 1), edges=(edge("lib", 'lib[Y.z] ; extra == "x"', 1),)),
        ),
        requirements=(parse_requirement("app[deep]"), parse_requirement("lib[w] ; sys_platform == 'win32'")),
    )
    assert write_requirements(lock, hashes=False, via=False) == snapshot("""\
app[deep]==1
lib==1 ; python_version < "3.12"
lib[w,x,y-z]==1 ; python_version >= "3.12"
""")
    musl = replace(lock, targets=(LINUX, MUSL), requirements=())
    assert write_requirements(musl, hashes=False, via=False) == "app==1\nlib==1\n"


def test_an_empty_lock_is_an_empty_file() -> None:
    assert write_requirements(one_target_lock()) == ""


def test_a_direct_reference_stays_one() -> None:
    text = "web @ https://files.example/web-2.1-py3-none-any.whl"
    lock = one_target_lock(pin("web-2.1-py3-none-any.whl", requested=True), requirements=(text,))
    assert write_requirements(lock).splitlines()[0] == f"{text} \\"


def test_hashes_that_the_request_rules_out_are_not_written() -> None:
    wheel, sdist = dist_file("web-2.1-py3-none-any.whl"), dist_file("web-2.1.tar.gz")
    lock = one_target_lock(
        replace(pin("web-2.1-py3-none-any.whl", "web-2.1.tar.gz"), hashes=(f"sha256:{sdist.sha256}",))
    )
    written = write_requirements(lock)
    assert f"--hash=sha256:{sdist.sha256}" in written
    assert str(wheel.sha256) not in written


@pytest.mark.parametrize("hashes", [(), (("md5", "0" * 32),), (("blake2b", "0" * 64),)])
def test_a_file_without_a_hash_that_pip_takes_is_named(hashes: tuple[tuple[str, str], ...]) -> None:
    file = dist_file("web-2.1-py3-none-any.whl", sha256=None, hashes=hashes)
    lock = one_target_lock(replace(pin("web-2.1-py3-none-any.whl"), files=(file,)))
    with pytest.raises(BadLock, match=r"web-2\.1-py3-none-any\.whl has no hash"):
        write_requirements(lock)
    assert write_requirements(lock, hashes=False) == "web==2.1\n"


def test_an_origin_cannot_end_its_comment() -> None:
    asked = parse_requirement("web", origin="evil.txt\n--index-url https://evil.example")
    lock = Lock((LINUX,), (pin("web-2.1-py3-none-any.whl", requested=True),), (asked,))
    assert [line for line in write_requirements(lock).splitlines() if "evil" in line] == [
        "    # via evil.txt?--index-url https://evil.example"
    ]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(locks())
def test_for_every_target_the_lines_that_apply_are_its_pins(lock: Lock) -> None:
    try:
        written = write_requirements(lock, hashes=False)
    except BadLock as error:
        assert "no environment marker tells" in str(error)
        return
    lines = [Requirement(line) for line in written.splitlines() if not line.lstrip().startswith("#")]
    for index, target in enumerate(lock.targets):
        applying = {
            (line.name, str(line.specifier)[2:])
            for line in lines
            if line.marker is None or line.marker.evaluate(target.marker_environment)
        }
        assert applying == {(pin.project, str(pin.version)) for pin in lock.pins_for(index)}
    assert all(line == line.rstrip() for line in written.splitlines())
