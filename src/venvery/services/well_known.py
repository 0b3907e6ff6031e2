"""Names that people mean: modules that are called otherwise than their project, and projects that many use."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["BY_MODULE", "projects"]

BY_MODULE = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "bson": "pymongo",
    "cairo": "pycairo",
    "cv2": "opencv-python",
    "crypto": "pycryptodome",
    "dateutil": "python-dateutil",
    "discord": "discord-py",
    "docx": "python-docx",
    "dns": "dnspython",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "gitpython",
    "github": "pygithub",
    "gi": "pygobject",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "memcache": "python-memcached",
    "mpl-toolkits": "matplotlib",
    "mysqldb": "mysqlclient",
    "nacl": "pynacl",
    "openssl": "pyopenssl",
    "osgeo": "gdal",
    "pil": "pillow",
    "pkg-resources": "setuptools",
    "pptx": "python-pptx",
    "pywin32-system32": "pywin32",
    "rest-framework": "djangorestframework",
    "ruamel": "ruamel-yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "sqlite": "aiosqlite",
    "telegram": "python-telegram-bot",
    "tensorflow-hub": "tensorflow-hub",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32api": "pywin32",
    "xdg": "pyxdg",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""By the normalised name of a module."""


@cache
def projects() -> tuple[str, ...]:
    """Give projects that many use, by their normalised names."""
    return tuple(Path(__file__).with_name("well_known.txt").read_text("ascii").split())
