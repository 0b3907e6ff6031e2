"""Activation in the shells that this machine has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.environments.workshop import Workshop, run, unpack
from tests.support.wheels import make_wheel
from venvery.environments.activate import activation_scripts

FOLDERS = [
    "env",
    "my env",
    "it's $HOME",
    'say "hi"',
    "back\\slash",
    "`id`",
    "!bang",
    "@PROMPT@",
    "Größe",
    "a;b&c|d",
]

_SH = """
set -u
PS1='$ '
before=$PATH
PYTHONHOME=/elsewhere
export PYTHONHOME
. "$1"
printf '%s\\n' "$VIRTUAL_ENV" "$(command -v marker)" "${PYTHONHOME-none}" "$PS1" "$VIRTUAL_ENV_PROMPT"
. "$1"
[ "$PATH" = "$VIRTUAL_ENV/bin:$before" ] || echo 'PATH grew'
deactivate
printf '%s\\n' "${VIRTUAL_ENV-none}" "${VIRTUAL_ENV_PROMPT-none}" "$PYTHONHOME" "$PS1"
[ "$PATH" = "$before" ] || echo 'PATH is another'
command -v deactivate || echo gone
"""

_FISH = """
function fish_prompt
    echo -n "old $status"
end
set before $PATH
set -gx PYTHONHOME /elsewhere
source $argv[1]
set -q PYTHONHOME; and set home $PYTHONHOME; or set home none
false
set prompt (fish_prompt)
printf '%s\\n' $VIRTUAL_ENV (command -v marker) $home $prompt $VIRTUAL_ENV_PROMPT
source $argv[1]
test (string join : $PATH) = (string join : $VIRTUAL_ENV/bin $before); or echo 'PATH grew'
deactivate
set -q VIRTUAL_ENV; or echo none
set -q VIRTUAL_ENV_PROMPT; or echo none
true
printf '%s\\n' $PYTHONHOME (fish_prompt)
test (string join : $PATH) = (string join : $before); or echo 'PATH is another'
functions -q deactivate; or echo gone
"""

_CSH = """
set prompt = '% '
set before = "$PATH:q"
setenv PYTHONHOME /elsewhere
set file = "$1:q"
source "$file:q"
echo "$VIRTUAL_ENV:q"
which marker
if ( $?PYTHONHOME ) echo wrong
echo none
echo "$prompt:q"
echo "$VIRTUAL_ENV_PROMPT:q"
source "$file:q"
if ( "$PATH:q" != "${VIRTUAL_ENV:q}/bin:${before:q}" ) echo PATH grew
deactivate
if ( ! $?VIRTUAL_ENV ) echo none
if ( ! $?VIRTUAL_ENV_PROMPT ) echo none
echo "$PYTHONHOME:q"
echo "$prompt:q"
if ( "$PATH:q" != "$before:q" ) echo PATH is another
alias deactivate
echo gone
"""

SHELLS = {
    "sh": (["sh"], _SH, "activate", "$ "),
    "dash": (["dash"], _SH, "activate", "$ "),
    "bash": (["bash", "--posix"], _SH, "activate", "$ "),
    "plain-bash": (["bash"], _SH, "activate", "$ "),
    "busybox": (["busybox", "sh"], _SH, "activate", "$ "),
    "zsh": (["zsh", "-f"], _SH, "activate", "$ "),
    "fish": (["fish", "--no-config"], _FISH, "activate.fish", "old"),
    "csh": (["csh", "-f"], _CSH, "activate.csh", "% "),
    "tcsh": (["tcsh", "-f"], _CSH, "activate.csh", "% "),
}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("shell", SHELLS)
def test_going_in_and_out_again(tmp_path: Path, shell: str, folder: str) -> None:
    command, program, name, prompt = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    prefix = tmp_path / folder
    (prefix / "bin").mkdir(parents=True)
    for script, content in activation_scripts(str(prefix), folder, "posix").items():
        (prefix / "bin" / script).write_bytes(content)
    marker = prefix / "bin" / "marker"
    marker.write_text("#!/bin/sh\n")
    marker.chmod(0o755)
    test = tmp_path / "test-script"
    test.write_text(program)
    done = run([*command, test, prefix / "bin" / name], env={"LC_ALL": "C.UTF-8", "HOME": str(tmp_path)})
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert lines[:3] == [str(prefix), str(marker), "none"]
    assert lines[3].startswith("(") and lines[3].endswith(prompt + (" 1" if shell == "fish" else ""))
    if shell != "fish":  # which prints the prompt and does not expand it
        assert not set(lines[3][1:].partition(")")[0]) & set("$`\\!%;&|\"'")
    assert lines[4:] == [folder, "none", "none", "/elsewhere", prompt + (" 0" if shell == "fish" else ""), "gone"]


def test_the_prompt_stays_when_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "activate").write_bytes(activation_scripts(str(tmp_path), "x", "posix")["activate"])
    done = run(
        ["sh", "-c", f"PS1='$ '; . {tmp_path}/activate; echo \"$PS1\""], env={"VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    )
    assert done.stdout == "$ \n"


def test_under_errexit_and_with_nothing_set(tmp_path: Path) -> None:
    (tmp_path / "activate").write_bytes(activation_scripts(str(tmp_path), "x", "posix")["activate"])
    done = run(["sh", "-euc", f"unset PS1; . {tmp_path}/activate; deactivate; echo fine"])
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_quotes_of_powershell_are_doubled() -> None:
    script = activation_scripts("C:\\it\u2019s", "it's", "nt")["Activate.ps1"].decode()
    assert "$env:VIRTUAL_ENV = 'C:\\it\u2019\u2019s'" in script
    assert "$env:VIRTUAL_ENV_PROMPT = 'it''s'" in script


def test_activation_of_a_real_environment(workshop: Workshop, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    manifest, layers = workshop.environment([make_wheel("tiny", "1.0")])
    unpack(b"".join(workshop.archive(manifest, layers, prefix, "gzip").chunks()), prefix, "gzip", "gnu-tar")
    done = run(["sh", "-c", f". {prefix}/bin/activate; echo $VIRTUAL_ENV; command -v python3.11"])
    assert done.stdout.splitlines() == [str(prefix), f"{prefix}/bin/python3.11"]
