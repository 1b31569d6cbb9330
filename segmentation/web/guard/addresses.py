"""Pictures from web addresses that strangers type: fetched from public hosts only, and kept as if they were uploads.

The danger is a request forged through this server, which stands where the stranger does not: beside databases, routers
and the keys of its cloud. So a host is resolved once, all its addresses are checked, and the connection goes to one of
them, whatever the name resolves to a moment later. Nothing here knows a proxy, a cookie or a password.
"""

import io
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

from segmentation.errors import ImageError
from segmentation.messages import Message
from segmentation.outputs import safe_stems
from segmentation.picture.load import picture_ending
from segmentation.web.guard.gradio_seams.files import new_upload

IPAddress = IPv4Address | IPv6Address

WEB_PORTS = frozenset({80, 443})
MAX_REDIRECTS = 5

_LONGEST = 4096  # characters of an address
_TRIED = 4  # addresses of a host; all are checked, but a list of a thousand must not make us knock at each
_CHUNK = 1 << 16  # bytes
_UPLOAD_IT = Message("Or download the picture yourself and upload it.")

_NAT64 = IPv6Network("64:ff9b::/96")  # how a host without IPv4 reaches one with nothing else (RFC 6052)
_GIVEN_OUT = IPv6Network("2000::/3")  # the only part of IPv6 that hosts have public addresses of
# Parts of the public ranges that lead elsewhere, listed because versions of `ipaddress` differ about some of them
_ELSEWHERE = [
    ip_network(block)
    for block in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
        "2002::/16",  # 6to4, which has any IPv4 address in it
        "192.88.99.0/24",  # its relays
        "192.0.0.0/24",  # protocol assignments
        "168.63.129.16/32",  # what a machine on Azure calls its own host
    )
]


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the internet, and the same host for everybody."""
    if any(address in block for block in _ELSEWHERE):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not (address.is_multicast or address.is_reserved)
    if address.scope_id is not None:  # a zone has its meaning on one machine only
        return False
    if address.ipv4_mapped is not None or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GIVEN_OUT


def fetch_picture(
    address: str,
    *,
    max_bytes: int,
    max_pixels: int,
    seconds: float = 15.0,
    is_allowed: Callable[[IPAddress], bool] = is_public,
    ports: Container[int] = WEB_PORTS,
) -> Path:
    """Fetch a picture from a web address into the upload folder, where it lies as an upload of Gradio's does.

    Args:
        address: Begins with http:// or https://; redirects are followed under the same rules, but not out of https.
        max_bytes: Larger files are refused, at the latest when so much has arrived.
        max_pixels: Pictures with more are refused; none is decoded here.
        seconds: For all of it, from resolving the name to the last byte.
        is_allowed: What every single address that a host resolves to must satisfy.
        ports: To which connections may go.

    Returns:
        `<upload folder>/<64 hex digits nobody can guess>/<safe name with the ending of the real format>`.

    Raises:
        ImageError: The address is none, leads to where it may not, or to no whole picture within the limits. No file
            stays behind.
    """
    deadline = time.monotonic() + seconds
    url = _parse(address.strip(), ports)
    for _ in range(1 + MAX_REDIRECTS):
        with _answer(url, is_allowed, deadline) as answer:
            if answer.status == 200:
                return _save(answer, url.name, max_bytes, max_pixels)
            if answer.status not in (301, 302, 303, 307, 308):
                raise ImageError(
                    Message(
                        "The web site gave no picture, but status {status}. Open the address in a browser to check "
                        "it. {upload_it}",
                        status=answer.status,
                        upload_it=_UPLOAD_IT,
                    )
                )
            # headers come decoded as Latin-1, but addresses are written in UTF-8
            location = answer.headers.get("Location", "").encode("latin-1").decode("utf-8", "replace")
        moved = _parse(location.strip(), ports, url.text)
        if url.secure and not moved.secure:
            raise ImageError(
                Message(
                    "The address leads from https to http, which is not followed. {upload_it}", upload_it=_UPLOAD_IT
                )
            )
        url = moved
    raise ImageError(
        Message(
            "The address leads on more than {max_redirects} times. Copy the picture's own. {upload_it}",
            max_redirects=MAX_REDIRECTS,
            upload_it=_UPLOAD_IT,
        )
    )


@dataclass(frozen=True, slots=True)
class _Url:
    text: str
    secure: bool
    host: str  # ASCII, without the brackets of IPv6
    port: int
    request: bytes
    name: str  # of the file, as the stranger's site has it


def _parse(text: str, ports: Container[int], base: str = "") -> _Url:
    refusal = ImageError(
        Message("This is not a web address. Copy the picture's own, which begins with http:// or https://.")
    )
    if len(text) > _LONGEST or not text.isprintable():  # urlsplit would drop tabs and line feeds without a word
        raise refusal
    try:
        parts = urlsplit(urljoin(base, text))
        host = (parts.hostname or "").encode("idna").decode("ascii").removesuffix(".")
        usual = {"http": 80, "https": 443}[parts.scheme]
        port = usual if parts.port is None else parts.port
    except (ValueError, KeyError) as error:
        raise refusal from error
    if "@" in parts.netloc:
        raise ImageError(
            Message(
                "Addresses with a user name or password are not fetched. Remove it. {upload_it}", upload_it=_UPLOAD_IT
            )
        )
    if not re.fullmatch(r"[0-9A-Za-z_.:-]+", host):  # so no zone of an IPv6 address either
        raise refusal
    if port not in ports:
        raise ImageError(
            Message("Pictures are fetched from the usual ports of the web only. {upload_it}", upload_it=_UPLOAD_IT)
        )
    # quote lets nothing through that could end the line; escapes that are there stay
    target = quote((parts.path or "/") + ("?" + parts.query if parts.query else ""), safe="%/?:=&~+!$,;'@()*[]")
    site = (f"[{host}]" if ":" in host else host) + ("" if port == usual else f":{port}")
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {site}\r\nUser-Agent: Segmatte\r\nAccept: image/*\r\n"
        "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )
    name = unquote(parts.path).rpartition("/")[2]
    return _Url(parts.geturl(), parts.scheme == "https", host, port, request.encode("ascii"), name)


@contextmanager
def _answer(url: _Url, is_allowed: Callable[[IPAddress], bool], deadline: float) -> Iterator[HTTPResponse]:
    """What the host answers; its head has arrived, its body is read from it."""
    with _network():
        sock = _connect(url, _resolve(url, is_allowed, deadline), deadline)
    with sock:
        with _network():
            sock.settimeout(_left(deadline))
            sock.sendall(url.request)
            answer = HTTPResponse(_Wire(sock, deadline))  # type: ignore[arg-type]  # of a socket it wants makefile alone
            answer.begin()
        yield answer


def _resolve(url: _Url, is_allowed: Callable[[IPAddress], bool], deadline: float) -> list[IPAddress]:
    resolver = ThreadPoolExecutor(1)  # the system's resolver knows no deadline, and a stranger's name server is slow
    try:
        lookup = resolver.submit(socket.getaddrinfo, url.host, url.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(ip_address(str(entry[4][0])) for entry in lookup.result(_left(deadline))))
    except socket.gaierror:
        addresses = []
    finally:
        resolver.shutdown(wait=False)
    if not addresses or not all(map(is_allowed, addresses)):
        # one sentence for both: which private names exist is nobody's business
        raise ImageError(
            Message("The address leads to no public web site. Check its spelling. {upload_it}", upload_it=_UPLOAD_IT)
        )
    return addresses[:_TRIED]


def _connect(url: _Url, addresses: list[IPAddress], deadline: float) -> socket.socket:
    for index, address in enumerate(addresses, 1):
        try:  # with its share of the time; a numeric address is not resolved again
            share = _left(deadline) / (len(addresses) - index + 1)
            sock = socket.create_connection((str(address), url.port), share)
            break
        except OSError:
            if index == len(addresses):
                raise
    if not url.secure:
        return sock
    with sock:  # which the secure one takes over
        sock.settimeout(_left(deadline))
        return ssl.create_default_context().wrap_socket(sock, server_hostname=url.host)


class _Wire(io.RawIOBase):
    """What arrives until the deadline: a server that sends a byte a second gains nothing by it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        return self._sock.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _network() -> Iterator[None]:
    """Say what went wrong on the way; the system's own words could name what lies inside."""
    try:
        yield
    except TimeoutError as error:
        raise ImageError(
            Message("The web site took too long. Try again later. {upload_it}", upload_it=_UPLOAD_IT)
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise ImageError(
            Message("The web site cannot prove that it is what its address says. {upload_it}", upload_it=_UPLOAD_IT)
        ) from error
    except (OSError, HTTPException) as error:
        raise ImageError(
            Message("The web site is not there, or broke off. Check the address. {upload_it}", upload_it=_UPLOAD_IT)
        ) from error


def _save(answer: HTTPResponse, name: str, max_bytes: int, max_pixels: int) -> Path:
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":  # a bomb may be in it
        raise ImageError(
            Message("The web site sends the picture packed, which was not asked for. {upload_it}", upload_it=_UPLOAD_IT)
        )
    too_large = ImageError(
        Message(
            "The file at this address is larger than {max_bytes:.3g} MB, the most that is taken. "
            "Make it smaller first.",
            max_bytes=max_bytes / (1 << 20),
        )
    )
    if (answer.length or 0) > max_bytes:
        raise too_large
    partial = new_upload("partial")
    try:
        received, buffer = 0, memoryview(bytearray(_CHUNK))
        with partial.open("wb") as file:
            while count := _read(answer, buffer):
                received += count
                if received > max_bytes:
                    raise too_large
                file.write(buffer[:count])
        ending = picture_ending(partial, Message("The file at this address"), max_pixels)
        stem = safe_stems([re.sub(r"[^\w ,.()-]", "_", name)])[0]
        return partial.rename(partial.with_name(f"{stem}{ending}"))
    except BaseException:
        shutil.rmtree(partial.parent, ignore_errors=True)
        raise


def _read(answer: HTTPResponse, buffer: memoryview) -> int:
    with _network():
        count = answer.readinto(buffer)
        if not count and answer.length:  # is still to come; http.client says so only of chunks
            raise IncompleteRead(b"", answer.length)
    return count
