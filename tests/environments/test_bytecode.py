"""Bytecode layers: made by the very interpreter, the same bytes each time, and used by it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from tests.environments.workshop import LINUX, POSIX, Workshop, make_lock, run, unpack
from tests.support.machine import find_python
from tests.support.wheels import BuiltFile, make_wheel
from venvery.environments import LayerInfo, compile_layers, make_manifest
from venvery.errors import BadConfiguration
from venvery.model.targets import Family

SITE = "lib/python3.11/site-packages/"
CODE = textwrap.dedent('''
    """Doc."""
    from __future__ import annotations
    import os
    NAMES = frozenset({"alpha", "beta", "gamma", "delta", "epsilon"})
    def f(x, *, y=(1, 2.5, "text", b"raw", None, ..., True, 10**30, 1j)):
        if x in {"alpha", "beta", "gamma", "delta", "zeta", "eta"}:
            return lambda: [x for x in y if x]
        class Inner:
            attribute: int = 3
            def method(self): return f"{self.attribute!r:>{x}}"
        return Inner
''')


def wheel(name: str = "code", **files: str) -> BuiltFile:
    return make_wheel(
        name, "1.0", files=files or {f"{name}/__init__.py": CODE, f"{name}/sub.py": CODE + "z = f\n"}
    )


def this() -> str:
    found = find_python("3.11")
    assert found is not None
    return str(found)


def test_every_module_has_its_bytecode(workshop: Workshop) -> None:
    layer = workshop.layer(
        make_wheel(
            "code",
            "1.0",
            files={
                "code/__init__.py": CODE,
                "code/empty.py": "",
                "code/old.py": "print 'python 2'\n",
                "code/null.py": b"x = 1\x00\n",
                "code/latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
                "code/broken_coding.py": b"x = '\xe9'\n",
                "code/deep.py": "x = " + "(" * 5000 + ")" * 5000,
                "code/data.txt": "x",
                "single.py": "x = 1\n",
            },
            data={"data/share/example.py": "x = 1\n"},
            scripts={"tool.py": "#!/bin/sh\n"},
        )
    )
    (compiled,) = compile_layers([layer], POSIX, this(), workshop.blobs)
    files = workshop.files(compiled)
    assert list(files) == [
        SITE + "__pycache__/single.cpython-311.pyc",
        SITE + "code/__pycache__/__init__.cpython-311.pyc",
        SITE + "code/__pycache__/empty.cpython-311.pyc",
        SITE + "code/__pycache__/latin.cpython-311.pyc",
    ]
    assert (compiled.kind, compiled.of, compiled.interpreter) == ("bytecode", layer.digest, "cpython-311")
    assert compiled.files == 4
    assert (compiled.project, compiled.wheel) == (layer.project, layer.wheel)
    assert LayerInfo.from_json(compiled.to_json()) == compiled
    for content in files.values():
        assert content[4:8] == b"\1\0\0\0"
        assert str(workshop.blobs.root).encode() not in content


def test_a_layer_without_modules_has_no_bytecode(workshop: Workshop) -> None:
    layer = workshop.layer(make_wheel("data", "1.0", files={"data.txt": "x"}))
    (compiled,) = compile_layers([layer], POSIX, this(), workshop.blobs)
    assert compiled.files == 0
    manifest = make_manifest(
        make_lock([make_wheel("data", "1.0", files={"data.txt": "x"})], LINUX), 0, [layer], [compiled]
    )
    assert len(manifest.layers) == 1


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_the_bytes_depend_on_the_source_alone(workshop: Workshop, version: str) -> None:
    interpreter = find_python(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} on this machine")
    family = Family("posix", version)
    first, second, third = (workshop.layer(wheel(name), family) for name in ("code", "other", "third"))
    together = compile_layers([first, second, third], family, str(interpreter), workshop.blobs)
    backwards = compile_layers([third, second, first], family, str(interpreter), workshop.blobs)
    alone = compile_layers([second], family, str(interpreter), workshop.blobs)
    assert [info.digest for info in together] == [info.digest for info in reversed(backwards)]
    assert alone[0] == together[1]
    assert together[0].files == 2


def test_it_is_used_at_import_and_its_files_have_their_real_names(workshop: Workshop, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    source = wheel(
        "code", **{"code.py": "def where(): return where.__code__.co_filename\nvalue = 'from the source'\n"}
    )
    layer = workshop.layer(source)
    compiled = compile_layers([layer], POSIX, this(), workshop.blobs)
    manifest = make_manifest(make_lock([source], LINUX), 0, [layer], compiled)
    archive = workshop.archive(manifest, [layer, *compiled], prefix, "gzip", python=this())
    unpack(b"".join(archive.chunks()), prefix, "gzip", "gnu-tar")
    module = prefix / SITE / "code.py"
    module.write_text("value = 'changed, which nobody looks at'\n")
    done = run([prefix / "bin/python", "-I", "-c", _USE.format(folder=str(prefix / SITE))])
    assert done.stdout.splitlines() == ["from the source", str(module)]


_USE = """
import sys
sys.path.insert(0, {folder!r})
sys.modules.pop("code", None)
import code
print(code.value)
print(code.where())
"""


def test_another_interpreter_than_the_familys_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    layer = workshop.layer(wheel())
    with pytest.raises(BadConfiguration, match=r"is cpython 3\.11, not cpython 3\.12"):
        compile_layers([layer], Family("posix", "3.12"), this(), workshop.blobs)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    for path in (str(broken), "/nowhere/python", "/bin/true"):
        with pytest.raises(BadConfiguration, match="cannot be run"):
            compile_layers([layer], POSIX, path, workshop.blobs)


def test_a_file_that_brings_the_interpreter_down_is_left_out(workshop: Workshop, tmp_path: Path) -> None:
    fragile = tmp_path / "python"
    fragile.write_text(f"#!{sys.executable}\n{_FRAGILE.format(python=this())}")
    fragile.chmod(0o755)
    layer = workshop.layer(
        wheel("code", **{"a.py": "x = 1\n", "b.py": "KILL\n", "c.py": "x = 1\n", "d.py": "KILL\n", "e.py": ""})
    )
    (compiled,) = compile_layers([layer], POSIX, str(fragile), workshop.blobs)
    assert [path.rpartition("/")[2][0] for path in workshop.files(compiled)] == ["a", "c", "e"]


# Stands in for an interpreter that crashes on one source, as deep nesting did in older ones.
_FRAGILE = """
import os, sys
arguments = list(sys.argv[1:])
at = arguments.index("-c") + 1
arguments[at] = arguments[at].replace(
    "def pyc(name, source):",
    "def pyc(name, source):\\n    if b'KILL' in source: import os; os.kill(os.getpid(), 9)",
)
os.execv({python!r}, ["python", *arguments])
"""


def test_a_file_that_takes_too_long_is_left_out(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("venvery.environments.bytecode.FILE_SECONDS", 0.3)
    slow = tmp_path / "python"
    slow.write_text(
        f"#!{sys.executable}\n{_FRAGILE.format(python=this())}".replace(
            "os.kill(os.getpid(), 9)", "time = __import__('time'); time.sleep(30)"
        )
    )
    slow.chmod(0o755)
    layer = workshop.layer(wheel("code", **{"a.py": "x = 1\n", "b.py": "KILL\n", "c.py": "x = 1\n"}))
    (compiled,) = compile_layers([layer], POSIX, str(slow), workshop.blobs)
    assert [path.rpartition("/")[2][0] for path in workshop.files(compiled)] == ["a", "c"]
