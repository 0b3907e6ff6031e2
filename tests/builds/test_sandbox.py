"""What a program in the sandbox tries, it tries in vain; and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import packaging
import pytest

from tests.support.index_server import IndexServer
from tests.support.world import World
from venvery.builds.sandbox import HOME, Mount, Ran, Sandbox, Task
from venvery.client.interpreter import this_interpreter
from venvery.model.build_settings import BuildLimits

SMALL = BuildLimits(
    memory_bytes=256 << 20,
    disk_bytes=32 << 20,
    processes=40,
    cpu_seconds=10,
    wall_seconds=20,
    output_bytes=1 << 20,
)
"""What is hostile here is kept small twice: by these limits, and by the time that a test may take."""


@dataclass
class Outcome:
    """What came of a run."""

    ran: Ran
    log: bytes = b""
    result: bytes = b""
    said: str = field(init=False)

    def __post_init__(self) -> None:
        self.said = self.log.decode("utf-8", "replace")


def attempt(
    sandbox: Sandbox, code: str, limits: BuildLimits = SMALL, stop: threading.Event | None = None, **variables: str
) -> Outcome:
    """Run Python code in the sandbox."""
    python = Path(os.path.realpath(this_interpreter().base))
    prefix = python.parent.parent
    mounts = () if prefix == Path("/usr") else (Mount(prefix, str(prefix)),)
    task = Task((str(python), "-I", "-c", code), mounts, {"HOME": HOME, **variables})
    log, result = bytearray(), bytearray()
    ran = sandbox.run(task, limits, log=log.extend, take=result.extend, stop=stop)
    return Outcome(ran, bytes(log[:100_000]), bytes(result))


@contextmanager
def nothing_is_left() -> Iterator[None]:
    """Insist that no process and no folder of a run outlives it."""
    before = _traces()
    yield
    deadline = time.monotonic() + 5
    while (left := _traces() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _traces() -> set[str]:
    """List this process's sandboxes and their folders."""
    found = {str(path) for path in Path("/tmp").glob("venvery-sandbox-*")}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if b"bwrap" in words and int(parent) == os.getpid():
                found.add(entry.name)
    return found


def test_it_gives_a_result_and_a_code(sandbox: Sandbox) -> None:
    code = (
        "import os, sys; print('building'); os.write(int(os.environ['VENVERY_RESULT']), b'a wheel'); sys.exit(3)"
    )
    with nothing_is_left():
        done = attempt(sandbox, code)
    assert (done.ran.ending, done.ran.code) == ("exited", 3)
    assert done.result == b"a wheel"
    assert done.said == "building\n"


def test_files_of_this_machine_are_not_there(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "venvery.sqlite"
    secret.write_text("secret")
    paths = [str(secret), str(Path.home()), "/etc/shadow", "/etc/hostname", "/var/lib", "/run", "/sys", "/home"]
    done = attempt(sandbox, f"import os\nfor path in {paths!r}: print(os.path.exists(path))")
    there = [path for path, word in zip(paths, done.said.split(), strict=True) if word == "True"]
    python = this_interpreter().base
    assert [path for path in there if not python.startswith(path + "/")] == []  # its own folder has a way to it
    if there:
        listed = attempt(sandbox, f"import os; print(os.listdir({str(Path.home())!r}))").said
        assert ".ssh" not in listed
        assert len(listed.split(",")) == 1


def test_variables_and_descriptors_do_not_come_along(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENVERY_TOKEN", "secret-token")
    code = "import os; print(sorted(os.environ), [n for n in os.listdir('/proc/self/fd')])"
    with open(os.devnull, "rb") as file:
        os.set_inheritable(file.fileno(), True)
        done = attempt(sandbox, code, GIVEN="x")
    names, descriptors = done.said.split("] [")
    assert "TOKEN" not in names
    assert "GIVEN" in names
    assert len(descriptors.split(",")) == 5  # three, the result's, and the one that lists them


def test_there_is_no_network(sandbox: Sandbox) -> None:
    with IndexServer(World()) as index:
        host, port = index.origin.removeprefix("http://").split(":")
        code = (
            "import socket, sys\n"
            f"for address in (({host!r}, {port}), ('192.0.2.1', 80)):\n"
            "    try: socket.create_connection(address, timeout=3)\n"
            "    except OSError as error: print(type(error).__name__)\n"
            "    else: print('REACHED')\n"
        )
        done = attempt(sandbox, code)
        assert index.requests == ()
    assert len(done.said.split()) == 2
    assert "REACHED" not in done.said


def test_nothing_outside_can_be_written(sandbox: Sandbox) -> None:
    places = [
        "/x",
        "/usr/x",
        "/dev/x",
        "/etc/x",
        "/bin/x",
        "/proc/sys/kernel/hostname",
        "/root/x",
        "/var/x",
        HOME + "/x",
    ]
    code = f"for path in {places!r}:\n    try: open(path, 'w').write('x'); print(path)\n    except OSError: pass"
    done = attempt(sandbox, code)
    assert done.said.split() == [HOME + "/x"]
    assert not Path("/usr/x").exists()


def test_no_rights_are_to_be_had(sandbox: Sandbox) -> None:
    code = (
        "import os, subprocess\n"
        "status = open('/proc/self/status').read()\n"
        "print([line.split()[1] for line in status.splitlines() if line.startswith(('CapEff', 'NoNewPrivs'))])\n"
        "print(subprocess.run(['unshare', '--user', '--map-root-user', 'true'], stderr=-3).returncode)\n"
        "print(sorted(int(n) for n in os.listdir('/proc') if n.isdigit())[-1] < 50)\n"
        "try: os.setuid(0)\n"
        "except OSError: print('refused')\n"
    )
    said = attempt(sandbox, code).said.splitlines()
    assert said[0] == "['0000000000000000', '1']"
    assert said[1] != "0", "namespaces inside would open the kernel's doors again"
    assert said[2:] == ["True", "refused"]


def test_no_terminal_can_be_typed_into(sandbox: Sandbox) -> None:
    code = (
        "import fcntl, termios\n"
        "for path in ('/dev/tty', '/dev/console', '/dev/stdin'):\n"
        "    try:\n"
        "        with open(path, 'rb') as terminal: fcntl.ioctl(terminal, termios.TIOCSTI, b'x'); print('TYPED')\n"
        "    except OSError: pass\n"
    )
    assert "TYPED" not in attempt(sandbox, code).said


def test_a_fork_bomb_ends(sandbox: Sandbox) -> None:
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    with nothing_is_left():
        done = attempt(sandbox, code, replace(SMALL, wall_seconds=3))
    assert done.ran.ending in ("time", "cpu", "memory")
    assert done.ran.seconds < 10


def test_processes_are_counted(sandbox: Sandbox) -> None:
    code = (
        "import os, time\ncount = 0\n"
        "try:\n    while count < 500:\n        count += 1\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "except OSError: pass\nprint(count)\n"
    )
    with nothing_is_left():
        done = attempt(sandbox, code)
    assert 10 < int(done.said) <= SMALL.processes


def test_the_disk_cannot_be_filled(sandbox: Sandbox) -> None:
    """With many files, and with names alone, it ends at the limit; this machine's disk has none of it."""
    code = (
        "import os\n"
        "def fill(folder):\n"
        "    total = 0\n"
        "    try:\n"
        "        for n in range(100_000):\n"
        "            with open(f'{folder}/{n}', 'wb') as file: total += file.write(b'x' * 1_000_000)\n"
        "    except OSError as error: print(folder, total < 40_000_000, error.errno, flush=True)\n"
        "for folder in ('/build', '/tmp', '/dev/shm'): fill(folder)\n"
        "os.system('rm -rf /build/*[0-9] /tmp/* /dev/shm/*')\n"
        "try:\n    for n in range(3_000_000): os.mkdir(f'/build/d{n}')\n"
        "except OSError as error: print('folders', error.errno)\n"
    )
    before = os.statvfs("/tmp").f_bavail
    done = attempt(sandbox, code, replace(SMALL, wall_seconds=30))
    assert "/build True 28" in done.said
    assert done.ran.ending in ("exited", "memory", "time")
    assert abs(os.statvfs("/tmp").f_bavail - before) * os.statvfs("/tmp").f_frsize < 200_000_000


def test_memory_is_limited(sandbox: Sandbox) -> None:
    done = attempt(sandbox, "x = bytearray(1 << 30); print('HAD IT')")
    assert "HAD IT" not in done.said
    assert done.ran.ending == "memory" or "MemoryError" in done.said


def test_time_is_limited_and_daemons_go_too(sandbox: Sandbox) -> None:
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
        "time.sleep(600)\n"
    )
    with nothing_is_left():
        done = attempt(sandbox, code, replace(SMALL, wall_seconds=1.0))
    assert done.ran.ending == "time"
    assert done.ran.seconds < 5


def test_a_daemon_ends_with_the_program(sandbox: Sandbox) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\nprint('bye')"
    with nothing_is_left():
        done = attempt(sandbox, code)
    assert (done.ran.ending, done.said) == ("exited", "bye\n")
    assert done.ran.seconds < 10


def test_processor_time_is_limited(sandbox: Sandbox) -> None:
    done = attempt(sandbox, "while True: pass", replace(SMALL, cpu_seconds=1))
    assert done.ran.ending == "cpu"


def test_a_gigabyte_of_log_passes_through(sandbox: Sandbox) -> None:
    """It costs time and no memory."""
    passed = 0

    def count(piece: bytes) -> None:
        nonlocal passed
        passed += len(piece)

    task = Task(("/usr/bin/head", "-c", str(1 << 30), "/dev/zero"))
    ran = sandbox.run(task, replace(SMALL, wall_seconds=60), log=count, take=lambda _: None)
    assert (ran.ending, ran.code, passed) == ("exited", 0, 1 << 30)


def test_too_large_a_result_ends_it(sandbox: Sandbox) -> None:
    code = "import os\nwhile True: os.write(int(os.environ['VENVERY_RESULT']), b'x' * 65536)"
    done = attempt(sandbox, code)
    assert done.ran.ending == "output"
    assert len(done.result) <= SMALL.output_bytes


def test_it_can_be_stopped(sandbox: Sandbox) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with nothing_is_left():
        done = attempt(sandbox, "import time; time.sleep(600)", stop=stop)
    assert done.ran.ending == "stopped"
    assert done.ran.seconds < 5


def test_it_dies_with_who_started_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """`kill -9` of the worker leaves no build behind."""
    code = (
        "from tests.builds.test_sandbox import *\n"
        "from venvery.builds.probing import probe\n"
        "attempt(probe().sandbox, sys.argv[1])\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", code, SLEEPER], cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 90
    while not (running := _sleepers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running, "it never started"
    worker.kill()
    worker.wait(10)
    while _sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _sleepers()


def test_however_early_it_dies_nothing_goes_on(sandbox: Sandbox) -> None:
    """Killed while the sandbox is being put up: what is half there does not begin."""
    code = (
        "from tests.builds.test_sandbox import *\n"
        "from venvery.builds.probing import probe\n"
        "box = probe().sandbox\n"
        "print('now', flush=True)\n"
        "attempt(box, sys.argv[1])\n"
    )
    for moment in range(12):
        command = [sys.executable, "-c", code, SLEEPER]
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"now\n"
            time.sleep(moment * 0.004)
            worker.kill()
    deadline = time.monotonic() + 20
    while any(map(_has_begun, _sleepers())) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = _sleepers()
    begun = [pid for pid in left if _has_begun(pid)]
    for (
        pid
    ) in left:  # bubblewrap itself, killed between two steps of its own, may wait for ever; nothing runs in it
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    assert begun == []


def _has_begun(pid: str) -> bool:
    """Tell whether it is more than bubblewrap, which has the program's words among its own."""
    with suppress(OSError):
        return not (Path("/proc") / pid / "cmdline").read_bytes().startswith(b"bwrap\0")
    return False


SLEEPER = f"import time; time.sleep(617)  # of {os.getpid()}"
"""Told from those of others who run these tests on the same machine."""


def _is_sleeper(words: bytes) -> bool:
    return SLEEPER.encode() in words and b"attempt(" not in words


def _sleepers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and _is_sleeper((entry / "cmdline").read_bytes()):
                found.append(entry.name)
        except OSError:
            continue
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="every other test here runs as an ordinary user already")
def test_an_ordinary_user_has_it_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """Without root there is no user id to drop to, and the same walls."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from venvery.builds.cgroups import Cgroups\n"
        "from venvery.model.build_settings import BuildLimits\n"
        "from venvery.builds.sandbox import Sandbox, Task\n"
        "said = []\n"
        "script = 'id -u; cat /etc/shadow; touch /usr/x /build/x; ls /build; echo x > /dev/tcp'\n"
        "ran = Sandbox(Cgroups(0, {})).run(Task(('/bin/sh', '-c', script)), BuildLimits(), log=said.append,\n"
        "    take=lambda _: None)\n"
        "print(ran.ending, b''.join(said).decode())\n"
    )
    system = next((path for path in ("/usr/bin/python3",) if _is_new(path)), None)
    if system is None:
        pytest.skip("the system has no Python of at least 3.11 that an ordinary user may run")
    source = tmp_path / "venvery"
    shown = Path("/tmp") / f"venvery-test-{os.getpid()}"
    shown.mkdir(mode=0o755)
    try:
        for package in (Path(__file__).parents[2] / "src" / "venvery", Path(packaging.__file__).parent):
            subprocess.run(["cp", "-r", str(package), str(shown)], check=True)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", system, "-c", code, str(shown)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        subprocess.run(["rm", "-rf", str(shown), str(source)], check=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("exited 1000\n")
    assert "/etc/shadow: No such file" in done.stdout
    assert "cannot touch '/usr/x'" in done.stdout


def _is_new(path: str) -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return Path(path).exists() and subprocess.run([path, "-c", code], check=False).returncode == 0
