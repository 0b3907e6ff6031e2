"""The command `venvery`: reads the command line, runs the command, turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from venvery.cli.console import say, say_error
from venvery.cli.options import parse_arguments

TYPE_CHECKING = (
    False  # as type checkers understand it; loading `typing` takes longer than reading the command line
)
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = parse_arguments(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads our output has gone, as `venvery resolve … | head` does: not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen command; only its own module is imported, so that a quick command stays quick."""
    command: Callable[[argparse.Namespace], int] = import_module(f"venvery.cli.{arguments.command}_command").run
    try:
        return command(arguments)
    except Exception as error:
        code = tell(error)
        if code is None:
            raise
        if getattr(arguments, "json", False):
            _tell_as_json(error)
        return code


def tell(error: Exception) -> int | None:
    """Say what went wrong, and give the exit code; None for what is no error of ours."""
    # Imported here: a command that goes well needs nothing of it.
    from venvery.cli.exits import exit_code
    from venvery.client.errors import ClientError
    from venvery.errors import BuildFailed, Unsatisfiable, VenveryError

    if isinstance(error, Unsatisfiable):
        from venvery.resolve.explain import story

        say_error(story(error.explanation) if error.explanation else str(error), error.hint)
        return exit_code(error)
    if isinstance(error, BuildFailed):
        _tell_log(error.evidence)
    if isinstance(error, VenveryError):
        say_error(str(error), error.hint)
        return exit_code(error)
    if isinstance(error, ClientError):
        if isinstance(error.problem, dict) and error.problem.get("job"):
            _tell_log(error.problem)
        story_of_server = error.problem.get("story") if isinstance(error.problem, dict) else None
        say_error(str(story_of_server or error), error.hint)
        return error.exit_code
    return None


def _tell_as_json(error: Exception) -> None:
    """Print why there is no answer as the server's problem has it, for programs: explanation, story and hint."""
    problem = getattr(error, "problem", None)
    explanation = getattr(error, "explanation", None)
    if explanation is not None:
        from venvery.resolve.explain import story

        hint = getattr(error, "hint", None)
        problem = {"detail": str(error), "hint": hint, "explanation": explanation, "story": story(explanation)}
    if isinstance(problem, dict) and "explanation" in problem:
        import json

        said = {name: problem.get(name) for name in ("detail", "hint", "explanation", "story")}
        print(json.dumps(said, indent=2))


def _tell_log(evidence: Mapping[str, object]) -> None:
    from venvery.cli.build_lines import tell_log

    tell_log(evidence)
