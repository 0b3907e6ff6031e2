"""Interpreters on this machine: what one is, and where the one with a certain version is.

Platform names and their versions follow the wheel tags (PEP 600, PEP 656); what is asked of an interpreter
is asked by running it, isolated, once for each file.
"""

from __future__ import annotations

import json
import os
import re
import sys

from venvery.client.errors import ClientError, LocalError, UsageError
from venvery.client.state import interpreter_identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Mapping, Optional

__all__ = ["Interpreter", "find_python", "identify", "this_interpreter"]

TIMEOUT = 60.0

# Runs in the interpreter that is asked, whatever its version; prints one line of JSON.
_PROBE = r"""
import json, os, sys
base = getattr(sys, "_base_executable", None) or sys.executable
if sys.prefix != getattr(sys, "base_prefix", sys.prefix) and base == sys.executable:
    for name in ("python%d.%d" % sys.version_info[:2], "python3", "python", "python.exe"):
        for folder in ("bin", ""):
            path = os.path.join(sys.base_prefix, folder, name)
            if os.path.isfile(path):
                base = path
                break
        else:
            continue
        break
def full(info):
    text = "%d.%d.%d" % info[:3]
    if info[3] != "final":
        text += info[3][0] + str(info[4])
    return text
libc = ""
if sys.platform.startswith("linux"):
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError, AttributeError):
        pass
    if not libc:
        try:
            with open(sys.executable, "rb") as f:
                head = f.read(65536)
            i = head.find(b"/lib/ld-musl-")
            if i >= 0:
                import subprocess
                loader = head[i:head.index(b"\0", i)].decode()
                said = subprocess.run([loader], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL).stderr.decode()
                libc = "musl " + said.split("Version ")[1].split()[0]
        except Exception:
            pass
if os.name == "posix":
    # The same as `platform` and `sysconfig` say, which take longer to load than all of the rest.
    system, _, release, version, machine = os.uname()
    known = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM"}
    implementation = known.get(sys.implementation.name, sys.implementation.name)
    tag, mac = sys.platform + "-" + machine, ""
    threads = "t" if "t" in getattr(sys, "abiflags", "") else ""
    if sys.platform == "darwin":
        import platform, sysconfig
        tag, mac = sysconfig.get_platform(), platform.mac_ver()[0]
else:
    import platform, sysconfig
    system, release, version = platform.system(), platform.release(), platform.version()
    machine, implementation = platform.machine(), platform.python_implementation()
    tag, mac = sysconfig.get_platform(), ""
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
print(json.dumps({
    "executable": sys.executable, "base": base, "prefix": sys.base_prefix,
    "version": full(sys.version_info), "implementation": sys.implementation.name,
    "threads": threads,
    "bits": 64 if sys.maxsize > 2 ** 32 else 32, "libc": libc,
    "mac": mac, "platform_tag": tag,
    "markers": {
        "implementation_name": sys.implementation.name,
        "implementation_version": full(sys.implementation.version),
        "os_name": os.name, "platform_machine": machine,
        "platform_python_implementation": implementation,
        "platform_release": release, "platform_system": system,
        "platform_version": version, "python_full_version": full(sys.version_info),
        "python_version": "%d.%d" % sys.version_info[:2], "sys_platform": sys.platform,
    },
}))
"""


class Interpreter:
    """One interpreter, as it says itself."""

    __slots__ = ("base", "executable", "implementation", "markers", "platform", "threads", "version")

    def __init__(
        self,
        executable: str,
        base: str,
        version: str,
        implementation: str,
        threads: str,
        platform: str,
        markers: Dict[str, str],
    ) -> None:
        self.executable = executable
        self.base = base
        """The interpreter that is not in a virtualenv: what an environment is made from."""
        self.version = version
        """`3.11.7`."""
        self.implementation = implementation
        self.threads = threads
        """`t` for a free-threaded build (PEP 703), else empty."""
        self.platform = platform
        """As the contract names it, with the version of libc or system: `manylinux_2_36_x86_64`."""
        self.markers = markers
        """The marker environment (PEP 508)."""

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Interpreter({fields})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Interpreter) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def target(self) -> Dict[str, str]:
        """The short target."""
        return {"python": self.version + self.threads, "platform": self.platform}


def identify(path: str, cache: Optional[str] = None) -> Interpreter:
    """Say what the interpreter at `path` is; `cache` is a folder for answers. Raises `ClientError`."""
    identity = interpreter_identity(path)
    if identity is None or not os.path.isfile(path):
        raise UsageError(f"there is no interpreter at {path}")
    if identity["path"] == os.path.realpath(sys.executable) and not _in_virtualenv(path):
        # The very program that runs this, by whatever link: nothing to ask.
        here = this_interpreter()
        here.executable, here.base = path, os.path.abspath(path)
        return here
    remembered = _remembered(cache, path, identity)
    if remembered is None:
        remembered = _ask(path)
        # A shim answers for another file than its own, which may be another one tomorrow.
        if not _is_script(identity["path"]):
            _remember(cache, path, identity, remembered)
    return _read(remembered, path)


def _in_virtualenv(path: str) -> bool:
    folder = os.path.dirname(os.path.abspath(path))
    return any(os.path.exists(os.path.join(place, "pyvenv.cfg")) for place in (folder, os.path.dirname(folder)))


def this_interpreter() -> Interpreter:
    """Say what the running interpreter is. Safe to call from several threads at once."""
    said: List[str] = []
    # A `print` of its own: redirecting the process's standard output would mix up what two threads say.
    exec(compile(_PROBE, "<probe>", "exec"), {"__name__": "probe", "print": said.append})
    return _read(json.loads(said[-1]), sys.executable)


def find_python(
    version: str, environ: Optional[Mapping[str, str]] = None, cache: Optional[str] = None
) -> Interpreter:
    """Find the interpreter for `3`, `3.11`, `3.11.7` or `3.13t` on PATH. Raises `LocalError`.

    The running interpreter comes first, then PATH in its order; the more exactly named program first.
    """
    match = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:(?:a|b|rc)\d+)?(t?)\Z", version.strip())
    if match is None:
        raise UsageError(f"{version[:80]!r} is neither a Python version nor the path of an interpreter")
    here = this_interpreter()
    if _fits(here, version):
        return here
    for path in _candidates(match[1], match[2], match[4], os.environ if environ is None else environ):
        try:
            found = identify(path, cache)
        except ClientError:
            continue  # a stub, a shim without a version behind it, a broken installation
        if _fits(found, version):
            return found
    raise LocalError(
        f"there is no Python {version} on this machine's PATH",
        hint="install it, or name the interpreter with --python /path/to/python",
    )


def _fits(found: Interpreter, version: str) -> bool:
    wanted, threads = (version[:-1], "t") if version.endswith("t") else (version, "")
    return (
        found.implementation == "cpython"
        and found.threads == threads
        and (found.version == wanted or found.version.startswith(wanted + "."))
    )


def _candidates(major: str, minor: Optional[str], threads: str, environ: Mapping[str, str]) -> Iterator[str]:
    names = [f"python{major}", "python"]
    if minor:
        names.insert(0, f"python{major}.{minor}{threads}")
    suffix = ".exe" if sys.platform == "win32" else ""
    folders = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    seen = set()
    for name in names:
        for folder in folders:
            path = os.path.join(folder, name + suffix)
            # The Windows store's stubs are of size 0 and open a shop.
            if "WindowsApps" in folder or not os.access(path, os.X_OK) or os.path.isdir(path):
                continue
            real = os.path.realpath(path)
            if real not in seen or _is_script(real):
                seen.add(real)
                yield path


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _ask(path: str) -> Dict[str, Any]:
    import subprocess

    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
        said = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        said = None
    if not isinstance(said, dict):
        raise LocalError(f"{path} does not run as a Python interpreter")
    return said


def _read(said: Dict[str, Any], path: str) -> Interpreter:
    try:
        return Interpreter(
            executable=said["executable"],
            base=os.path.abspath(said["base"]),
            version=said["version"],
            implementation=said["implementation"],
            threads=said["threads"],
            platform=_platform(said),
            markers={str(name): str(value) for name, value in said["markers"].items()},
        )
    except (KeyError, TypeError, AttributeError):
        raise LocalError(f"{path} does not run as a Python interpreter") from None


def _platform(said: Dict[str, Any]) -> str:
    system = said["markers"]["sys_platform"]
    # The interpreter's own word, as a 32-bit one may run on a 64-bit kernel.
    machine = str(said["platform_tag"]).rpartition("-")[2].lower()
    if system.startswith("linux"):
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
        kind, _, version = str(said["libc"]).partition(" ")
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if numbers is None:
            return f"linux-{machine}"
        family = "musllinux" if kind == "musl" else "manylinux"
        return f"{family}_{numbers[1]}_{numbers[2]}_{machine}"
    if system == "darwin":
        own = said["markers"]["platform_machine"]
        numbers = re.match(r"(\d+)(?:\.(\d+))?", said["mac"])
        if numbers is None:
            return f"macos-{own}"
        minor = (numbers[2] or "0") if numbers[1] == "10" else "0"
        return f"macosx_{numbers[1]}_{minor}_{own}"
    if system == "win32":
        return {"win32": "win32", "arm64": "win_arm64"}.get(machine, "win_amd64")
    return f"{system}-{machine}"


def _remembered(cache: Optional[str], path: str, identity: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    if cache is None:
        return None
    try:
        with open(_cache_file(cache, path), "rb") as file:
            kept = json.loads(file.read())
        said: Dict[str, Any] = kept["said"]
        return said if kept["identity"] == identity and kept["path"] == os.path.abspath(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Optional[str], path: str, identity: Dict[str, Any], said: Dict[str, Any]) -> None:
    if cache is None:
        return
    file = _cache_file(cache, path)
    try:
        os.makedirs(os.path.dirname(file), exist_ok=True)
        fresh = f"{file}.{os.getpid()}"
        with open(fresh, "w", encoding="utf-8") as out:
            json.dump({"path": os.path.abspath(path), "identity": identity, "said": said}, out)
        os.replace(fresh, file)
    except OSError:
        pass  # asked again next time


def _cache_file(cache: str, path: str) -> str:
    import hashlib

    name = hashlib.sha256(os.path.abspath(path).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return os.path.join(cache, "interpreters-1", name + ".json")
