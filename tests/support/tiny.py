"""The tiny world: stand-ins for django and requests with what real ones have, in some kilobytes."""

from __future__ import annotations

from tests.support.sdists import make_sdist
from tests.support.wheels import BuiltFile, make_wheel
from tests.support.world import World

__all__ = ["tiny_world"]

_DJANGO = 'VERSION = "{}"\n\n\ndef get_version():\n    return VERSION\n'
_MAIN = "from django.core import management\n\nmanagement.execute_from_command_line()\n"
_MANAGE = '''\
"""A stand-in for the command line of django."""

import sys

import django


def execute_from_command_line(argv=None):
    argv = sys.argv if argv is None else argv
    if argv[1:] in (["--version"], ["version"]):
        print(django.get_version())
        return 0
    print("usage: django-admin --version", file=sys.stderr)
    return 1
'''

_SPEEDUPS = {
    "cp38": "cp38-cp38-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp310": "cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp311": "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp312": "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp313": "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
    "cp313-arm": "cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64",
    "cp313-mac": "cp313-cp313-macosx_11_0_arm64",
    "cp313-win": "cp313-cp313-win_amd64",
    "any": "py3-none-any",
}


def tiny_world() -> World:
    """Make a fresh tiny world.

    `django>=1.8` and `requests>=2.7` resolve in it to django 5.2, asgiref 3.8.1, sqlparse 0.5.3, requests
    2.32.3, urllib3 2.2.0 (2.9.0 is yanked, 2.10.0rc1 a pre-release, requests wants < 3), idna 3.7,
    certifi 2024.7.4, charset-normalizer 3.3.2 (a wheel for each platform), and on Windows tzdata 2024.1.
    """
    world = World()
    for file in (*_django(), *_requests(), *_oddities()):
        world.add(file)
    world.yank("urllib3-2.9.0-py3-none-any.whl", "breaks everything")
    return world


def _django() -> list[BuiltFile]:
    files = []
    for version, python in (("1.8.19", None), ("4.2.16", ">=3.8"), ("5.2", ">=3.10"), ("5.99", ">=3.99")):
        old = version == "1.8.19"
        requires = [] if old else ["asgiref<4,>=3.6.0", "sqlparse>=0.3.1", "tzdata; sys_platform == 'win32'"]
        files.append(
            make_wheel(
                "Django",
                version,
                requires=requires,
                extras={} if old else {"argon2": ["argon2-cffi>=19.1.0"]},
                requires_python=python,
                files={
                    "django/__init__.py": _DJANGO.format(version),
                    "django/core/__init__.py": "",
                    "django/core/management/__init__.py": _MANAGE,
                    "django/__main__.py": _MAIN,
                    "django/conf/locale/de/LC_MESSAGES/django.mo": bytes(range(256)) * 4,
                    "django/conf/app_template/views.py-tpl": "{{ docs }}\n",
                },
                entry_points={
                    "console_scripts": {"django-admin": "django.core.management:execute_from_command_line"}
                },
            )
        )
    files += [make_wheel("asgiref", version, requires_python=">=3.8") for version in ("3.6.0", "3.8.1", "4.0.0")]
    files.append(
        make_wheel(
            "sqlparse",
            "0.5.3",
            files={
                "sqlparse/__init__.py": "def format(sql):\n    return sql\n",
                "sqlparse/cli.py": "def main():\n    print('sqlparse')\n    return 0\n",
            },
            entry_points={"console_scripts": {"sqlformat": "sqlparse.cli:main"}},
        )
    )
    files.append(make_wheel("tzdata", "2024.1", files={"tzdata/__init__.py": "", "tzdata/zones": "UTC\n"}))
    files.append(make_wheel("argon2-cffi", "23.1.0", files={"argon2/__init__.py": ""}))
    return files


def _requests() -> list[BuiltFile]:
    requires = ["charset-normalizer<4,>=2", "idna<4,>=2.5", "urllib3<3,>=1.21.1", "certifi>=2017.4.17"]
    source = 'import certifi, charset_normalizer, idna, urllib3\n\n__version__ = "{}"\n'
    files = [
        make_wheel("requests", "2.7.0", files={"requests/__init__.py": '__version__ = "2.7.0"\n'}),
        make_wheel(
            "requests",
            "2.32.3",
            requires=requires,
            extras={"socks": ["PySocks!=1.5.7,>=1.5.6"]},
            requires_python=">=3.8",
            files={"requests/__init__.py": source.format("2.32.3"), "requests/py.typed": ""},
        ),
    ]
    files += [make_wheel("urllib3", version) for version in ("1.26.20", "2.2.0", "2.9.0", "2.10.0rc1", "3.0.0")]
    files += [make_wheel("idna", version) for version in ("2.10", "3.7")]
    files.append(
        make_wheel(
            "certifi",
            "2024.7.4",
            files={"certifi/__init__.py": "", "certifi/cacert.pem": "-----BEGIN CERTIFICATE-----\n"},
        )
    )
    files.append(make_wheel("PySocks", "1.7.1", files={"socks.py": "", "sockshandler.py": ""}))
    files += [_charset_normalizer(tag) for tag in _SPEEDUPS.values()]
    return files


def _charset_normalizer(tag: str) -> BuiltFile:
    files: dict[str, bytes | str] = {"charset_normalizer/__init__.py": f'TAG = "{tag}"\n'}
    if tag != "py3-none-any":
        files["charset_normalizer/md.so"] = b"\x7fELF" + tag.encode()
    return make_wheel(
        "charset-normalizer",
        "3.3.2",
        tag=tag,
        files=files,
        entry_points={"console_scripts": {"normalizer": "charset_normalizer:main"}},
    )


def _oddities() -> list[BuiltFile]:
    """Distributions that exercise one thing each."""
    return [
        make_wheel(
            "everything",
            "1.0",
            files={
                "everything/__init__.py": "",
                "everything/data file, with comma.txt": "x\n",
                "everything/run.sh": "#!/bin/sh\necho ran\n",
            },
            scripts={
                "everything-script": "#!python\nimport everything, sys\nprint(sys.prefix)\n",
                "everything-shell": "#!/bin/sh\necho shell\n",
            },
            data={
                "data/share/everything/readme.txt": "read me\n",
                "headers/everything.h": "#define EVERYTHING 1\n",
                "purelib/everything_pure.py": "PURE = True\n",
                "platlib/everything_plat.py": "PLAT = True\n",
            },
            executable={"everything/run.sh"},
            entry_points={
                "console_scripts": {"everything": "everything:main"},
                "gui_scripts": {"everything-gui": "everything:main"},
            },
        ),
        make_wheel("conflict-a", "1.0", requires=["shared<2"]),
        make_wheel("conflict-b", "1.0", requires=["shared>=2"]),
        make_wheel("shared", "1.0"),
        make_wheel("shared", "2.0"),
        make_wheel("linux-only", "1.0", tag="cp311-cp311-manylinux_2_17_x86_64"),
        make_sdist("only-source", "1.0", requires=["idna"]),
        make_sdist("dynamic-source", "1.0", requires=["idna"], static=False),
    ]
