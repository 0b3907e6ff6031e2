"""HTTP/1.1, as much of it as one request needs (RFC 9110, RFC 9112).

The standard library's client loads mail parsers and TLS before it says a word, which takes longer than most
servers need to answer.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

__all__ = ["Answer", "HttpError", "NoAnswer", "connect", "exchange", "secured", "tunnelled"]

MAX_HEADERS = 1 << 18
"""Bytes of status line and header fields."""


class HttpError(Exception):
    """What came over the connection is no answer, or not all of it."""


class NoAnswer(HttpError):
    """The connection was closed without an answer."""


class Answer:
    """Status and header fields of an answer, and its body as it comes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        """Bytes that came and were not taken yet."""
        self._chunked = False
        self._left: Optional[int] = None
        """Bytes of the body, or of the current chunk, that are still to come; None: until the end."""
        self.status = 0
        self.reason = ""
        self.headers: Dict[str, str] = {}
        """By their names in small letters; several of one name are joined by commas."""

    def begin(self) -> None:
        """Read up to the body. Raises `OSError`, `HttpError`."""
        while self.status < 200:  # 1xx: the real one is still to come
            self._read_status(self._line(first=True))
            self._read_headers()
        coding = self.headers.get("transfer-encoding", "").lower()
        self._chunked = coding.rpartition(",")[2].strip() == "chunked"
        if self._chunked or self.status in (204, 304):
            self._left = 0
        elif not coding:
            length = self.headers.get("content-length", "")
            self._left = int(length) if length.isdigit() and length.isascii() else None

    @property
    def media_type(self) -> str:
        """The media type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def readinto(self, view: memoryview) -> int:
        """Put the next bytes of the body into `view`; 0 at its end. Raises `OSError`, `HttpError`."""
        if self._chunked and not self._left and not self._next_chunk():
            return 0
        if self._left is not None:
            if not self._left:
                return 0
            view = view[: self._left]
        if self._buffer:
            count = min(len(view), len(self._buffer))
            view[:count] = self._buffer[:count]
            self._buffer = self._buffer[count:]
        else:
            count = self._connection.recv_into(view)
        if self._left is not None:
            if not count:
                raise HttpError("the answer ended before its end")
            self._left -= count
            if self._chunked and not self._left:
                self._line()
        return count

    def read(self, size: int) -> bytes:
        """Give the next bytes of the body, at most `size`; none at its end. Raises `OSError`, `HttpError`."""
        room = bytearray(size)
        return bytes(memoryview(room)[: self.readinto(memoryview(room))])

    def read_all(self, most: int) -> bytes:
        """Give what is left of the body, but for what is beyond `most` bytes. Raises `OSError`, `HttpError`."""
        parts = []
        while most > 0:
            part = self.read(min(most, 1 << 16))
            if not part:
                break
            most -= len(part)
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Drop the connection; again is no harm."""
        self._connection.close()

    def _next_chunk(self) -> bool:
        """Read the size of the next chunk; False after the last one."""
        digits = self._line().partition(b";")[0].strip()
        try:
            if not digits or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
                raise ValueError
            self._left = int(digits, 16)
        except ValueError:
            raise HttpError("a chunk of the answer has no readable size") from None
        if self._left:
            return True
        while self._line():
            pass  # trailers
        self._chunked = False
        return False

    def _read_status(self, line: bytes) -> None:
        version, _, rest = line.partition(b" ")
        code, _, reason = rest.strip().partition(b" ")
        if not version.startswith(b"HTTP/1.") or len(code) != 3 or not code.isdigit():
            raise HttpError("the answer does not begin as HTTP does")
        self.status = int(code)
        self.reason = reason.decode("latin-1").strip()

    def _read_headers(self) -> None:
        self.headers = {}
        for _ in range(1000):
            line = self._line()
            if not line:
                return
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip():
                raise HttpError("the answer has a header field that is none")
            name, value = name.lower(), value.strip()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        raise HttpError("the answer has too many header fields")

    def _line(self, first: bool = False) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_HEADERS:
                raise HttpError("the answer has a line that is too long")
            more = self._connection.recv(1 << 16)
            if not more:
                if first and not self._buffer:
                    raise NoAnswer("the server closed the connection without an answer")
                raise HttpError("the answer ended before its end")
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line[:-1] if line.endswith(b"\r") else line


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Open a connection. Raises `OSError`."""
    # As bytes: for text the codec for international names would be loaded, whatever is in it.
    name = host.encode("ascii") if host.isascii() else host
    connection = socket.create_connection((name, port), timeout)  # type: ignore[arg-type]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def secured(connection: socket.socket, host: str) -> socket.socket:
    """Speak TLS from here on, and insist on the host's certificate. Raises `OSError`."""
    import ssl

    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def tunnelled(connection: socket.socket, authority: str, headers: Dict[str, str]) -> None:
    """Have a proxy carry the connection on to `host:port`. Raises `OSError`, `HttpError`."""
    answer = exchange(connection, "CONNECT", authority, {"Host": authority, **headers}, None)
    if answer.status != 200:
        raise OSError(f"the proxy answered {answer.status} {answer.reason}".rstrip())


def exchange(
    connection: socket.socket, method: str, target: str, headers: Dict[str, str], body: Optional[bytes]
) -> Answer:
    """Send a request and read the answer up to its body. Raises `OSError`, `HttpError`."""
    send(connection, method, target, headers, body)
    answer = Answer(connection)
    answer.begin()
    return answer


def send(
    connection: socket.socket, method: str, target: str, headers: Dict[str, str], body: Optional[bytes]
) -> None:
    """Send a request. Raises `OSError`, and `HttpError` for one that cannot be written."""
    if body is not None:
        headers = {**headers, "Content-Length": str(len(body))}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(ord(char) < 32 or ord(char) == 127 for line in lines for char in line):
        raise HttpError("the request has a control character in its address or header fields")
    if " " in target:
        raise HttpError("the address has a space in it")
    connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
