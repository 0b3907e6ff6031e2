"""What a person can do about a failed build, read off the end of its log."""

from __future__ import annotations

import re

__all__ = ["find_hint"]

_PACKAGES = {
    "Python.h": "python3-dev",
    "ffi.h": "libffi-dev",
    "openssl/ssl.h": "libssl-dev",
    "openssl/opensslv.h": "libssl-dev",
    "libpq-fe.h": "libpq-dev",
    "mysql.h": "libmariadb-dev",
    "sqlite3.h": "libsqlite3-dev",
    "zlib.h": "zlib1g-dev",
    "bzlib.h": "libbz2-dev",
    "lzma.h": "liblzma-dev",
    "jpeglib.h": "libjpeg-dev",
    "png.h": "libpng-dev",
    "libxml/xmlversion.h": "libxml2-dev and libxslt1-dev",
    "libxml/xpath.h": "libxml2-dev and libxslt1-dev",
    "ldap.h": "libldap-dev",
    "lber.h": "libldap-dev",
    "sasl.h": "libsasl2-dev",
    "sasl/sasl.h": "libsasl2-dev",
    "krb5.h": "libkrb5-dev",
    "gssapi/gssapi.h": "libkrb5-dev",
    "curl/curl.h": "libcurl4-openssl-dev",
    "snappy-c.h": "libsnappy-dev",
    "librdkafka/rdkafka.h": "librdkafka-dev",
    "hdf5.h": "libhdf5-dev",
    "gmp.h": "libgmp-dev",
    "mpfr.h": "libmpfr-dev",
    "yaml.h": "libyaml-dev",
    "portaudio.h": "portaudio19-dev",
    "alsa/asoundlib.h": "libasound2-dev",
    "sql.h": "unixodbc-dev",
    "dbus/dbus.h": "libdbus-1-dev",
    "cups/cups.h": "libcups2-dev",
    "systemd/sd-daemon.h": "libsystemd-dev",
    "libvirt/libvirt.h": "libvirt-dev",
    "pcap.h": "libpcap-dev",
    "uv.h": "libuv1-dev",
}
"""The Debian packages of headers that are asked for most."""
_TOOLS = {
    "pg_config": "libpq-dev",
    "mysql_config": "libmariadb-dev",
    "mariadb_config": "libmariadb-dev",
    "pkg-config": "pkg-config",
    "cmake": "cmake",
    "swig": "swig",
    "git": "git",
    "cargo": "cargo",
    "rustc": "rustc",
    "xslt-config": "libxslt1-dev",
    "krb5-config": "libkrb5-dev",
    "curl-config": "libcurl4-openssl-dev",
    "gfortran": "gfortran",
    "make": "make",
}
_HEADER = re.compile(r"fatal error: ([\w./+-]+\.h(?:pp)?)[:'\"]|'([\w./+-]+\.h)' file not found")
_LIBRARY = re.compile(r"cannot find -l([\w.+-]+)")
_COMPILER = re.compile(
    r"(?:command|unable to execute) '?([\w.+-]*(?:gcc|cc|g\+\+|clang)(?:-\d+)?)'?[: ].*(?:failed: )?No such file"
    r"|error: command '([\w.+-]*(?:gcc|cc|g\+\+|clang))' failed: No such file"
)
_TOOL = re.compile(
    r"([\w-]+) executable not found|([\w.-]+): (?:command )?not found"
    r"|No such file or directory: '(pg_config|mysql_config|cmake|swig|git|cargo|rustc|make|gfortran|pkg-config)'"
)
_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)'?")
_PKG_CONFIG = re.compile(r"No package '([\w.+-]+)' found|Package '?([\w.+-]+)'?,? (?:was )?not found")
_NETWORK = re.compile(
    r"Temporary failure in name resolution|Network is unreachable|Name or service not known|getaddrinfo failed"
)


def find_hint(log: str) -> str | None:
    """Say what is missing, when the log of a failed build shows it; else None."""
    if match := _HEADER.search(log):
        header = match[1] or match[2]
        return _install(f"the header {header}", _PACKAGES.get(header))
    if match := _COMPILER.search(log):
        return _install(f"the compiler {match[1] or match[2]}", "build-essential")
    if match := _TOOL.search(log):
        name = match[1] or match[2] or match[3]
        if name in _TOOLS:
            return _install(f"the program {name}", _TOOLS[name])
    if match := _LIBRARY.search(log):
        return _install(f"the library {match[1]}", None)
    if match := _PKG_CONFIG.search(log):
        return _install(f"the library {match[1] or match[2]}", None)
    if _NETWORK.search(log):
        return "builds have no network here; what it wants to download has to be among its build requirements"
    if "No space left on device" in log:
        return "it writes more than a build may here: raise disk in [builds] of the configuration"
    if match := _MODULE.search(log):
        module = match[1].split(".")[0]
        if module == "pkg_resources":
            return 'it needs an older setuptools: set build-constraints = ["setuptools<80"] in [builds]'
        return f"it needs {module} to build and does not say so: name it in [builds.packages.NAME] build-requires"
    return None


def _install(what: str, package: str | None) -> str:
    where = f" (Debian and Ubuntu: apt-get install {package})" if package else ""
    return f"{what} is missing on the machine that builds: install it there{where}, or ask for another version"
