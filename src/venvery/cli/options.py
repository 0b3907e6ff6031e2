"""The options of the commands, for `argparse`: light, because CI starts the command all the time."""

from __future__ import annotations

import argparse

from venvery import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Choices = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["parse_arguments"]

_FORMATS = ("requirements", "pylock", "json", "yaml")


Parser = argparse.ArgumentParser
Commands = dict[str, Parser]


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; like every `argparse` parser it exits with 2 on wrong usage."""
    parser = Parser(
        prog="venvery", description="Fuzzy requirements in, ready virtualenvs out.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"venvery {__version__}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: Commands = {}
    for add in (
        _add_resolve,
        _add_sync,
        _add_why,
        _add_outdated,
        _add_record,
        _add_mirror,
        _add_export,
        _add_import,
        _add_serve,
        _add_target,
        _add_relocate,
        _add_key,
        _add_prune,
        _add_fsck,
        _add_doctor,
        _add_build,
        _add_jobs,
        _add_worker,
        _add_verify,
        _add_upload,
        _add_yank,
        _add_promote,
        _add_delete,
        _add_token,
        _add_audit,
        _add_block,
        _add_environments,
    ):
        add(choices, commands)
    if argv and argv[0] in commands:
        # Intermixed: `sync django --python 3.13 .venv` is what people type, and plain parsing would refuse it.
        namespace = commands[argv[0]].parse_intermixed_args(argv[1:])
        namespace.command = argv[0]
        return namespace
    return parser.parse_args(argv)


def _command(choices: Choices, commands: Commands, name: str, text: str) -> Parser:
    parser = commands[name] = choices.add_parser(name, help=text, description=text, allow_abbrev=False)
    return parser


def _add_resolve(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "resolve", "Pin requirements exactly, with hashes, and print the lock.")
    _add_requirements(parser)
    parser.add_argument(
        "--python",
        metavar="X.Y[.Z]",
        action="append",
        help="the Python to resolve for; may be given several times",
    )
    parser.add_argument(
        "--platform",
        metavar="P",
        action="append",
        help="the platform to resolve for; may be given several times",
    )
    parser.add_argument(
        "--format", choices=_FORMATS, default="requirements", help="form of the lock (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write the lock to FILE instead of printing it")
    parser.add_argument(
        "--world", metavar="FILE", help="resolve in a recorded world, and by default what was asked there"
    )
    _add_view(parser)
    _add_choices(parser)
    _add_sources(parser)


def _add_why(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "why", "Tell why a project is there: every chain that leads to it.")
    parser.add_argument("project", metavar="PKG", help="the project to be explained")
    _add_requirements(parser)
    _add_lock_input(parser)
    parser.add_argument("--lock", metavar="FILE", help="a lock to look at, in place of resolving requirements")
    parser.add_argument(
        "--most", metavar="N", type=int, default=20, help="chains to tell, at most (default: %(default)s)"
    )
    _add_view(parser)
    _add_choices(parser)
    _add_sources(parser)


def _add_outdated(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "outdated", "Tell what is newer than a lock, and who holds it back.")
    parser.add_argument(
        "lock",
        metavar="LOCK",
        nargs="?",
        help="pylock.toml, a JSON lock, or requirements.txt with pins (default: ./pylock.toml)",
    )
    _add_files(parser)
    _add_lock_input(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 when there is something to update")
    _add_view(parser)
    _add_choices(parser)
    _add_sources(parser)


def _add_record(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices, commands, "record", "Write the part of the catalog that a request touches, to replay it offline."
    )
    _add_requirements(parser)
    _add_lock_input(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="where the world goes, world.zst")
    _add_view(parser)
    _add_choices(parser)
    _add_sources(parser)


def _add_mirror(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices,
        commands,
        "mirror",
        "Fetch all that requirements come to, and say what has no wheel for which target.",
    )
    _add_requirements(parser)
    _add_lock_input(parser)
    parser.add_argument(
        "--all-files", action="store_true", help="fetch every file that serves a target, not only the best one"
    )
    parser.add_argument("--view", metavar="NAME", help="the view of the sources to look at (default: default)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    _add_choices(parser)
    _add_sources(parser, server=False)


def _add_export(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "export", "Write what a view has, as far as it is here, into one file.")
    parser.add_argument("file", metavar="FILE", help="where it goes; a tar")
    parser.add_argument("--view", metavar="NAME", help="the view (default: default)")
    parser.add_argument("--have", metavar="INVENTORY", help="leave out the bytes of what the other side has")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    _add_sources(parser, server=False)


def _add_import(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "import", "Check an export, and list all of it in a hosted source.")
    parser.add_argument("file", metavar="FILE", nargs="?", help="what `venvery export` wrote")
    parser.add_argument("--to", metavar="SOURCE", help="the hosted source (default: the first one)")
    parser.add_argument("--inventory", action="store_true", help="print what is here, for `export --have`")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    _add_sources(parser, server=False)


def _add_lock_input(parser: Parser) -> None:
    parser.add_argument("--python", metavar="X.Y[.Z]", action="append", help="the Python that it is for")
    parser.add_argument("--platform", metavar="P", action="append", help="the platform that it is for")


def _add_sync(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices,
        commands,
        "sync",
        "Make a folder exactly the environment that the requirements or the lock ask for.",
    )
    parser.add_argument(
        "arguments",
        metavar="[REQ | pylock.toml …] DIR",
        nargs="+",
        help="requirements or one pylock.toml, then the environment's folder",
    )
    _add_files(parser)
    parser.add_argument(
        "--python", metavar="PATH|X.Y", help="the base interpreter, or its version (default: this one)"
    )
    parser.add_argument("--platform", metavar="P", help="assemble for another platform than this machine's")
    parser.add_argument(
        "--prefix",
        metavar="DIR",
        help="where the environment will live, when that is not the folder it is made in",
    )
    parser.add_argument("--no-bytecode", dest="bytecode", action="store_false", help="leave compiled bytecode out")
    parser.add_argument(
        "--link-mode",
        choices=("hardlink", "reflink", "copy"),
        default="hardlink",
        help="how files get out of the layer store (default: %(default)s; a file system that cannot gets copies)",
    )
    parser.add_argument(
        "--no-store", dest="store", action="store_false", help="do without the layer store: every layer travels"
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        action="append",
        default=[],
        help="take it only when the server has signed it with this key (default: $VENVERY_SERVER_KEY)",
    )
    parser.add_argument(
        "--relocatable", action="store_true", help="make scripts and activation find it wherever it is moved to"
    )
    parser.add_argument("--upgrade", action="store_true", help="ask again even when nothing has changed here")
    _add_view(parser)
    _add_choices(parser)
    _add_sources(parser)


def _add_serve(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "serve", "Run the server.")
    parser.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="P", type=int, help="port to listen on; 0: any free one (default: 8000)")
    parser.add_argument(
        "--anonymous",
        metavar="SCOPES",
        help="what needs no token, as in read,upload (default: read,resolve,build on 127.0.0.1, else nothing)",
    )
    _add_max_size(parser)
    _add_sources(parser, server=False)


def _add_target(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "target", "Print the exact target that an interpreter is, as JSON.")
    parser.add_argument("--python", metavar="PATH|X.Y", help="the interpreter (default: this one)")


def _add_relocate(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices, commands, "relocate", "Mend an environment that was moved, or give it another interpreter."
    )
    parser.add_argument("directory", metavar="DIR", help="the environment's folder, where it is now")
    parser.add_argument("--python", metavar="PATH|X.Y", help="the base interpreter that it shall rest on")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_verify(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "verify", "Prove that an environment is what was signed, file by file.")
    parser.add_argument("directory", metavar="DIR", help="the environment's folder")
    parser.add_argument(
        "--key", metavar="KEY", action="append", default=[], help="believe this key, and those it endorses, only"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="make all layers again from an index's wheels, and compare those"
    )
    parser.add_argument("--prefix", metavar="DIR", help="where it will live, when that is not where it is")
    parser.add_argument(
        "--allow-compiled", action="store_true", help="pass over bytecode that imports have made here since"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    _add_sources(parser, server=False)


def _add_upload(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "upload", "Publish wheels and source distributions in a hosted source.")
    parser.add_argument("files", metavar="FILE", nargs="+", help="what to publish, as in dist/*")
    _add_hosted(parser, "--to", "the hosted source to publish in (default: the first one)")


def _add_yank(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "yank", "Have a release taken only by those who ask for exactly it.")
    parser.add_argument("release", metavar="NAME==VERSION", help="the release")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for those who get it all the same")
    parser.add_argument("--undo", action="store_true", help="take it back")
    _add_hosted(parser, "--from", "the hosted source that has it (default: the first one)")


def _add_promote(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "promote", "Publish a release of one hosted source in another.")
    parser.add_argument("release", metavar="NAME==VERSION", help="the release")
    parser.add_argument("--to", metavar="SOURCE", required=True, help="the hosted source where it goes")
    _add_hosted(parser, "--from", "the hosted source that has it (default: the first one)")


def _add_delete(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "delete", "Delete a release for good; its names are never used again.")
    parser.add_argument("release", metavar="NAME==VERSION", help="the release")
    parser.add_argument("--file", metavar="NAME", help="this file of it alone")
    _add_hosted(parser, "--from", "the hosted source that has it (default: the first one)")


def _add_token(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "token", "Give out tokens for the server on this data folder.")
    parser.add_argument("action", choices=("create", "list", "revoke"))
    parser.add_argument("token", metavar="TOKEN", nargs="?", help="of revoke: the token's number, or itself")
    parser.add_argument(
        "--scope",
        metavar="SCOPE",
        action="append",
        default=[],
        help="read, read:VIEW, resolve, build, upload, upload:SOURCE or admin; may be given several times",
    )
    parser.add_argument(
        "--expires", metavar="WHEN", default="365d", help="90d, 12h, a date or never (default: %(default)s)"
    )
    parser.add_argument("--note", metavar="TEXT", default="", help="what it is for")
    _add_folder(parser)


def _add_audit(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "audit", "Show who changed what, and when, newest first.")
    parser.add_argument("--project", metavar="NAME", help="changes of this project")
    parser.add_argument("--who", metavar="WHO", help="changes that this one made")
    parser.add_argument("--most", metavar="N", type=int, default=50, help="how many (default: %(default)s)")
    _add_folder(parser)


def _add_view(parser: Parser) -> None:
    parser.add_argument("--view", metavar="NAME", help="the view of the sources to look at (default: default)")


def _add_block(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "block", "Have releases reach nobody any more.")
    parser.add_argument(
        "release", metavar="RELEASE", nargs="?", help="as in requests==2.31.0, 'urllib3<1.26', evil"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for those who ask for it")
    parser.add_argument("--undo", action="store_true", help="block them no longer")
    parser.add_argument("--list", action="store_true", help="show what is blocked")
    _add_folder(parser)


def _add_environments(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "environments", "Tell which environments contain a release.")
    parser.add_argument(
        "--contains", metavar="RELEASE", required=True, help="as in requests==2.31.0, 'urllib3<1.26', evil"
    )
    _add_folder(parser)


def _add_hosted(parser: Parser, option: str, text: str) -> None:
    parser.add_argument(option, metavar="SOURCE", dest="source", help=text)
    parser.add_argument("--token", metavar="TOKEN", help="the server's token (default: $VENVERY_TOKEN)")
    _add_sources(parser)


def _add_key(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "key", "Show the keys that sign environments here, or make a new one.")
    parser.add_argument("action", choices=("show", "rotate"), nargs="?", default="show")
    _add_sources(parser, server=False)
    parser.add_argument("--json", action="store_true", help="print the list of keys as JSON")


def _add_prune(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices, commands, "prune", "Make room in the data folder: remove what was not used for longest."
    )
    _add_max_size(parser)
    parser.add_argument(
        "--unused-for", metavar="DAYS", type=float, help="remove whatever was not used for so many days"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    _add_folder(parser)


def _add_fsck(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "fsck", "Check that every row has its bytes, and every byte its row.")
    parser.add_argument("--deep", action="store_true", help="read all bytes too")
    parser.add_argument(
        "--repair", action="store_true", help="remove what is wrong; it is fetched or made again when needed"
    )
    _add_folder(parser)


def _add_build(choices: Choices, commands: Commands) -> None:
    parser = _command(
        choices,
        commands,
        "build",
        "Build a wheel from a project's folder or an sdist, in the sandbox.",
    )
    parser.add_argument("source", metavar="PATH", help="a folder, a .tar.gz or a .zip")
    parser.add_argument("--python", metavar="X.Y", help="the Python to build for")
    parser.add_argument("--platform", metavar="P", help="the platform to build for")
    parser.add_argument(
        "-C", "--config-setting", metavar="KEY=VALUE", action="append", default=[], help="for the build back end"
    )
    parser.add_argument("-o", "--out", metavar="DIR", default="dist", help="where the wheel goes (default: dist)")
    _add_sources(parser)


def _add_jobs(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "jobs", "List build jobs, read their logs, cancel them, try them again.")
    parser.add_argument(
        "action", nargs="?", choices=("list", "show", "log", "cancel", "retry"), default="list", help="what to do"
    )
    parser.add_argument("job", metavar="ID", nargs="?", help="the job")
    _add_sources(parser)


def _add_worker(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "worker", "Build what is queued on a data folder, until interrupted.")
    _add_sources(parser, server=False)


def _add_doctor(choices: Choices, commands: Commands) -> None:
    parser = _command(choices, commands, "doctor", "Check what venvery needs here, and say what it uses.")
    _add_sources(parser)


def _add_max_size(parser: Parser) -> None:
    parser.add_argument(
        "--max-size", metavar="SIZE", help="what the data folder may hold, as in 50GB (default: as configured)"
    )


def _add_folder(parser: Parser) -> None:
    parser.add_argument("--config", metavar="FILE", help="configuration file")
    parser.add_argument("--data", metavar="DIR", help="data folder (default: $VENVERY_DATA, else the platform's)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    parser.set_defaults(index_url=None, extra_index_url=[], find_links=[], no_index=False)


def _add_requirements(parser: Parser) -> None:
    parser.add_argument("requirements", metavar="REQ", nargs="*", help="a requirement, such as 'django>=1.8'")
    _add_files(parser)


def _add_files(parser: Parser) -> None:
    parser.add_argument(
        "-r", "--requirement", metavar="FILE", action="append", default=[], help="a requirements file"
    )
    parser.add_argument(
        "-c", "--constraint", metavar="FILE", action="append", default=[], help="a constraints file"
    )


def _add_choices(parser: Parser) -> None:
    group = parser.add_argument_group("how to choose")
    group.add_argument("--pre", action="store_true", help="allow pre-releases")
    group.add_argument("--pre-of", metavar="NAMES", action="append", help="allow pre-releases of these projects")
    group.add_argument(
        "--resolution", choices=("highest", "lowest", "lowest-direct"), help="which versions to prefer"
    )
    group.add_argument(
        "--preset", choices=("pip", "uv"), help="whose reading of the standards rules where they differ"
    )
    group.add_argument(
        "--keep", metavar="LOCK", help="take the versions of an earlier lock where they are still allowed"
    )
    group.add_argument(
        "-P", "--upgrade-package", metavar="NAME", action="append", help="of --keep, do not keep this project's"
    )
    group.add_argument(
        "--override",
        metavar="FILE",
        action="append",
        help="requirements that replace all on their projects",
    )
    group.add_argument(
        "--exclude", metavar="NAME", action="append", help="leave a project out, whoever requires it"
    )
    group.add_argument(
        "--source", metavar="NAME=SOURCE", action="append", help="take a project from one source only, by its name"
    )
    group.add_argument("--exclude-newer", metavar="TIME", help="leave out files uploaded after TIME")
    group.add_argument(
        "--only-binary", metavar="NAMES", action="append", help="projects, or :all:, to take as wheels only"
    )
    group.add_argument(
        "--no-binary", metavar="NAMES", action="append", help="projects, or :all:, to take from source only"
    )


def _add_sources(parser: Parser, *, server: bool = True) -> None:
    group = parser.add_argument_group("where from")
    if server:
        group.add_argument(
            "--server", metavar="URL", help="a venvery server (default: $VENVERY_SERVER, else embedded)"
        )
        group.add_argument("--json", action="store_true", help="print the outcome as JSON")
    group.add_argument("--config", metavar="FILE", help="configuration file")
    group.add_argument("--data", metavar="DIR", help="data folder (default: $VENVERY_DATA, else the platform's)")
    group.add_argument("-i", "--index-url", metavar="URL", help="the index, in place of the configured one")
    group.add_argument("--extra-index-url", metavar="URL", action="append", default=[], help="a further index")
    group.add_argument("-f", "--find-links", metavar="DIR", action="append", default=[], help="a folder of files")
    group.add_argument("--no-index", action="store_true", help="use no index, only --find-links")
