"""`venvery mirror`: fetches ahead what requirements come to, and tells what is missing for whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from venvery.cli.asking import body_of, read_asked
from venvery.cli.console import say
from venvery.cli.resolve_command import targets_of
from venvery.cli.settings import configuration_of
from venvery.model.sizes import show_size

if TYPE_CHECKING:
    import argparse

    from venvery.services.mirroring import Gap, Mirrored

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Mirror; gives 1 when a target will miss something. Raises `VenveryError`."""
    from venvery.cli.embedded import in_house
    from venvery.cli.progress import watching
    from venvery.services.house import House

    asked = read_asked(arguments, arguments.requirements)
    body = body_of(asked, arguments)
    if arguments.view:
        body["view"] = arguments.view
    targets = targets_of(arguments.python, arguments.platform)

    async def mirror(house: House) -> Mirrored:
        return await house.mirror(body, targets, all_files=arguments.all_files)

    with watching() as report:
        done = in_house(configuration_of(arguments, asked.index_options), mirror, report)
    if arguments.json:
        print(json.dumps(done.to_json(), indent=2, ensure_ascii=False))
    else:
        _tell(done)
    return 1 if done.gaps else 0


def _tell(done: Mirrored) -> None:
    for gap in done.gaps:
        print(_line(gap))
    what = f"{_count(len(done.releases), 'release')} for {_count(len(done.targets), 'target')}"
    say(f"{what}: {_count(done.files, 'file')}, {show_size(done.bytes)}; {done.new} new here")
    if done.gaps:
        say(f"{_count(len(done.gaps), 'gap')}: see above")


def _line(gap: Gap) -> str:
    what = f"{gap.project} {gap.version}" if gap.project is not None else "no answer"
    return f"{gap.target}: {what}: {gap.why}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
