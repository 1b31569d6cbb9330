"""What a stranger's web address may reach and bring: a real server on this machine, and no network beyond it."""

import contextlib
import gzip
import io
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from segmentation.errors import ImageError
from segmentation.picture.load import load_image
from segmentation.web.guard.addresses import IPAddress, fetch_picture, is_public
from segmentation.web.guard.uploads import sweep, uploaded_files

MAX_BYTES = 1 << 20
MAX_PIXELS = 4_000_000
ANY_PORT = range(1, 1 << 16)

NO_ADDRESS = "This is not a web address"
NOT_PUBLIC = "leads to no public web site"
TOO_SLOW = "took too long"
TOO_LARGE = "larger than 1 MB"
BROKE_OFF = "is not there, or broke off"


def only_here(address: IPAddress) -> bool:
    """For the tests, one loopback address stands for the public internet; 127.0.0.2 is as private as ever."""
    return address == ip_address("127.0.0.1")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing in it."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content


@dataclass
class Site:
    port: int
    routes: dict[str, Callable[[BaseHTTPRequestHandler], None]]
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # (request target, headers)
    asked: list[str] = field(default_factory=list)  # the names that were asked for before TLS
    uploads: Path = Path()
    otherwise: Callable[[BaseHTTPRequestHandler], None] | None = None  # for paths without a route

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def fetch(self, path: str, **options: Any) -> Path:
        return fetch(self.url(path), **options)


def fetch(address: str, **options: Any) -> Path:
    limits: dict[str, Any] = {"max_bytes": MAX_BYTES, "max_pixels": MAX_PIXELS, "seconds": 5.0, "ports": ANY_PORT}
    return fetch_picture(address, **(limits | {"is_allowed": only_here} | options))


def answer(body: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """A route: this body, of the length it has unless `Content_Length` says otherwise ("" leaves it out)."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def raw(*parts: bytes, pause: float = 0.0) -> Callable[[BaseHTTPRequestHandler], None]:
    """A route that sends these bytes, head and all, with pauses between."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        for part in parts:
            handler.wfile.write(part)
            time.sleep(pause)

    return respond


def moved(location: str, status: int = 302, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    in_utf_8 = location.encode().decode("latin-1")  # as a header of http.server's must be given
    return answer(b"", status, Location=in_utf_8, **headers)


def serve(tls: ssl.SSLContext | None = None) -> tuple[ThreadingHTTPServer, Site]:
    site: Site

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.seen.append((self.path, dict(self.headers)))
            with contextlib.suppress(OSError):  # the client hung up, as it should
                site.routes.get(self.path.partition("?")[0], site.otherwise or answer(b"", 404))(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that failed, as it should
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    site = Site(server.server_port, {})
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server, site


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    server, site = serve()
    yield site
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(shared: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    shared.routes.clear()
    shared.seen.clear()
    shared.otherwise = None
    shared.uploads = tmp_path / "uploads"
    return shared


@pytest.fixture
def jpeg(photos: dict[str, Path]) -> bytes:
    return photos["cheetah"].read_bytes()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """A name server: host -> what it answers the first time, the second time...; the last answer is repeated."""
    answers: dict[str, list[list[str]]] = {}
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in answers:
            return system(host, port, *rest, **options)
        now = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        if not now:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [entry for address in now for entry in system(address, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


def assert_nothing_stayed(site: Site) -> None:
    assert not list(site.uploads.rglob("*"))


# ------------------------------------------------------------------------------------------------ what is brought home


def test_a_picture_lies_where_an_upload_of_the_visitor_would(site: Site, jpeg: bytes) -> None:
    site.routes["/cat.jpg"] = answer(jpeg)
    path = site.fetch("/cat.jpg")
    assert path.read_bytes() == jpeg
    assert path.name == "cat.jpg"
    assert path.parent.parent == site.uploads
    assert re.fullmatch("[0-9a-f]{64}", path.parent.name)
    assert uploaded_files([str(path)], 1) == [path.resolve()]
    assert [child.name for child in path.parent.iterdir()] == ["cat.jpg"]
    assert site.fetch("/cat.jpg").parent != path.parent
    assert sweep(-1) == 2
    assert_nothing_stayed(site)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/photo?id=3", "photo.jpg"),
        ("/photo.png", "photo.jpg"),
        ("/", "picture.jpg"),
        ("/albums/", "picture.jpg"),
        ("/a%20b%26c.JPEG", "a b_c.jpg"),
        ("/l%C3%B6we.jpg", "löwe.jpg"),
        ("/löwe.jpg", "löwe.jpg"),
        ("/big cat.jpg", "big cat.jpg"),
        ("/%FF.jpg", "_.jpg"),
        ("/..%2f..%2f..%2fetc%2fpasswd", "passwd.jpg"),
        ("/..%5c..%5cboot.ini", "_.._boot.jpg"),
        ("/%2e%2e", "picture.jpg"),
        ("/.htaccess", "htaccess.jpg"),
        ("/a%00b%0d%0a.jpg", "a_b__.jpg"),
        ("/cat%E2%80%AEgpj.exe", "cat_gpj.jpg"),
        ("/" + "x" * 300, "x" * 150 + ".jpg"),
    ],
)
def test_the_name_is_the_last_part_made_safe_with_the_ending_of_the_content(
    site: Site, jpeg: bytes, path: str, name: str
) -> None:
    site.otherwise = answer(jpeg)
    fetched = site.fetch(path)
    assert fetched.name == name
    assert uploaded_files([str(fetched)], 1) == [fetched.resolve()]


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        *(("JPEG", ".jpg"), ("MPO", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")),
        *(("BMP", ".bmp"), ("TIFF", ".tif"), ("GIF", ".gif"), ("AVIF", ".avif")),
    ],
)
def test_every_format_that_can_be_read_gets_its_own_ending(site: Site, kind: str, ending: str) -> None:
    file = io.BytesIO()
    view = Image.new("RGB", (30, 20), "red")
    view.save(file, kind, **({"save_all": True, "append_images": [view]} if kind == "MPO" else {}))
    site.routes["/shot"] = answer(file.getvalue(), Content_Type="application/octet-stream")
    path = site.fetch("/shot")
    assert path.name == f"shot{ending}"
    assert load_image(path).size == (20, 30)


def test_the_request_tells_no_more_than_it_must(site: Site, jpeg: bytes, names: Any) -> None:
    names["pictures.example"] = [["127.0.0.1"]]
    site.routes["/cat"] = answer(jpeg)
    fetch(site.url("/cat?a=1&b=%20c d#part", "Pictures.Example."))
    target, headers = site.seen[0]
    assert target == "/cat?a=1&b=%20c%20d"
    assert headers == {
        "Host": f"pictures.example:{site.port}",
        "User-Agent": "Segmatte",
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }


def test_proxies_of_the_environment_are_passed_by(site: Site, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    site.routes["/cat"] = answer(jpeg)
    assert site.fetch("/cat").read_bytes() == jpeg


def test_a_picture_in_chunks_is_put_together(site: Site, jpeg: bytes) -> None:
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for at in range(0, len(jpeg), 9999) if (part := jpeg[at : at + 9999])]
    site.routes["/cat"] = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    assert site.fetch("/cat").read_bytes() == jpeg


# --------------------------------------------------------------------------------------------------------- redirects


def test_redirects_are_followed_and_the_last_one_names_the_picture(site: Site, jpeg: bytes) -> None:
    hops = ["/0", "1", "/deep/2", f"//127.0.0.1:{site.port}/3", site.url("/4"), "/löwe?x=1"]
    for index, status in enumerate((301, 302, 303, 307, 308)):
        at = "/deep/2" if index == 2 else f"/{index}"
        site.routes[at] = moved(hops[index + 1], status, Set_Cookie="who=you")
    site.routes["/l%C3%B6we"] = answer(jpeg)
    assert site.fetch("/0").name == "löwe.jpg"
    assert not [headers for _, headers in site.seen if "Cookie" in headers or "Referer" in headers]


def test_more_than_five_redirects_are_refused(site: Site) -> None:
    for index in range(9):
        site.routes[f"/{index}"] = moved(f"/{index + 1}")
    with pytest.raises(ImageError, match="leads on more than 5 times"):
        site.fetch("/0")
    assert len(site.seen) == 6


@pytest.mark.parametrize("location", ["/round", ""])
def test_a_redirect_in_a_circle_ends(site: Site, location: str) -> None:
    site.routes["/round"] = moved(location)
    with pytest.raises(ImageError, match="leads on more than 5 times"):
        site.fetch("/round")


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("http://127.0.0.2:{port}/cat", NOT_PUBLIC),
        ("http://10.0.0.1/", NOT_PUBLIC),
        ("http://169.254.169.254/latest/meta-data/", NOT_PUBLIC),
        ("//[::1]:{port}/cat", NOT_PUBLIC),
        ("http://me:secret@127.0.0.1:{port}/cat", "user name or password"),
        ("file:///etc/passwd", NO_ADDRESS),
        ("ftp://127.0.0.1/cat", NO_ADDRESS),
        ("data:image/png;base64,AAAA", NO_ADDRESS),
        ("http://[", NO_ADDRESS),
        ("http://127.0.0.1:{port}/a\tb", NO_ADDRESS),
    ],
)
def test_a_redirect_is_checked_as_the_address_was(site: Site, jpeg: bytes, location: str, sentence: str) -> None:
    site.routes |= {"/go": moved(location.format(port=site.port)), "/cat": answer(jpeg)}
    with pytest.raises(ImageError, match=sentence):
        site.fetch("/go")
    assert [path for path, _ in site.seen] == ["/go"]
    assert_nothing_stayed(site)


def test_a_redirect_to_another_port_is_refused(site: Site, names: Any) -> None:
    site.routes["/go"] = moved("http://127.0.0.1:22/")
    with pytest.raises(ImageError, match="usual ports"):
        site.fetch("/go", ports={site.port})


# ------------------------------------------------------------------------------------------------- what is no address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "cat.jpg",
        "/etc/passwd",
        "example.org/cat.jpg",
        "//example.org/cat.jpg",
        "file:///etc/passwd",
        "ftp://example.org/cat.jpg",
        "gopher://example.org/",
        "gopher:",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http:",
        "http://",
        "http:///cat.jpg",
        "http://:80/",
        "http://?x",
        "http://exa\nmple.org/",
        "http://example.org/\r\nHost: other",
        "http://example.org/a\tb",
        "http://example.org/\0",
        "http://example.org/\x7f",
        "http://example.org/\u2028a",
        "http://example.org/\ud800",
        "http://exa mple.org/",
        "http://example.org\\.other/",
        "http://a..b/",
        "http://.example.org/",
        "http://" + "a" * 64 + ".org/",
        "http://%6c%6f/",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[x]/",
        "http://example.org:http/",
        "http://example.org:99999/",
        "http://example.org:-1/",
        "http://example.org/" + "a" * 4096,
    ],
)
def test_what_is_no_web_address_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")  # nothing is even looked up
    with pytest.raises(ImageError, match=NO_ADDRESS):
        fetch(address)


@pytest.mark.parametrize("netloc", ["user:pw@{}", "user@{}", "@{}", "a:b@c@{}", "127.0.0.1\\@{}", "x%40@{}"])
def test_an_address_with_a_password_is_refused_and_not_repeated(site: Site, netloc: str) -> None:
    with pytest.raises(ImageError, match="user name or password") as caught:
        fetch(f"http://{netloc.format('127.0.0.1')}:{site.port}/")
    assert "pw" not in str(caught.value)
    assert not site.seen


@pytest.mark.parametrize("port", [0, 22, 6379, 8080, 65535])
def test_only_the_ports_of_the_web_are_reached(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")
    with pytest.raises(ImageError, match="usual ports"):
        fetch_picture(f"http://93.184.216.34:{port}/", max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "2130706433",
        "017700000001",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1",
        "１２７.0.0.1",  # full width digits
        "①②⑦。0。0。1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ],
)
def test_a_host_that_is_not_public_is_refused(site: Site, host: str) -> None:
    for address in (f"http://{host}/", f"https://{host}/", site.url("/", host)):
        with pytest.raises(ImageError, match=NOT_PUBLIC) as caught:
            fetch(address, is_allowed=is_public)
        assert "127" not in str(caught.value)
    assert not site.seen


def test_private_and_missing_names_cannot_be_told_apart(names: Any) -> None:
    names |= {"database.internal": [["10.1.2.3"]], "nowhere.internal": [[]]}
    texts = set()
    for host in names:
        with pytest.raises(ImageError, match=NOT_PUBLIC) as caught:
            fetch(f"http://{host}/", is_allowed=is_public)
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
        *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1"),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:100.64.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1"),
        *("2001::1", "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:20::1", "2001:db8::1"),
        *("2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "3fff::1", "4000::1", "5f00::1"),
        *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "2606:4700::1%eth0"),
        "::ffff:8.8.8.8%eth0",
    ],
)
def test_an_address_that_is_not_the_internets_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.1", "172.32.0.1", "168.63.129.17"),
        *("2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


# --------------------------------------------------------------------------------------------------- the name server


def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_checked(
    site: Site, jpeg: bytes, names: Any
) -> None:
    names["rebinding.example"] = [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.3"]]
    site.routes["/cat"] = answer(jpeg)
    assert fetch(site.url("/cat", "rebinding.example")).read_bytes() == jpeg
    assert names["rebinding.example"] == [["127.0.0.2"], ["127.0.0.3"]]  # still to be asked for


def test_a_name_that_turns_private_between_redirects_is_refused(site: Site, jpeg: bytes, names: Any) -> None:
    names["rebinding.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    site.routes |= {"/go": moved("/cat"), "/cat": answer(jpeg)}
    with pytest.raises(ImageError, match=NOT_PUBLIC):
        fetch(site.url("/go", "rebinding.example"))
    assert [path for path, _ in site.seen] == ["/go"]


@pytest.mark.parametrize("private", ["127.0.0.2", "10.0.0.1", "::1", "fe80::1"])
@pytest.mark.parametrize("order", [1, -1])
def test_one_private_address_among_public_ones_is_enough_to_refuse(
    site: Site, names: Any, private: str, order: int
) -> None:
    names["mixed.example"] = [["127.0.0.1", private][::order]]
    with pytest.raises(ImageError, match=NOT_PUBLIC):
        fetch(site.url("/cat", "mixed.example"))
    assert not site.seen


def test_the_next_address_is_tried_where_nobody_answers(site: Site, jpeg: bytes, names: Any) -> None:
    names["two.example"] = [["127.0.0.2", "127.0.0.1"]]  # the site listens at the second alone
    site.routes["/cat"] = answer(jpeg)
    path = fetch(site.url("/cat", "two.example"), is_allowed=lambda address: address.is_loopback)
    assert path.read_bytes() == jpeg


def test_a_long_list_of_addresses_is_not_knocked_at_one_by_one(site: Site, names: Any) -> None:
    names["many.example"] = [[*(f"127.0.0.{last}" for last in range(2, 100)), "127.0.0.1"]]
    with pytest.raises(ImageError, match=BROKE_OFF):
        fetch(site.url("/cat", "many.example"), is_allowed=lambda address: address.is_loopback)
    assert not site.seen


def test_a_slow_name_server_does_not_hold_us(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(9) and [])
    assert_too_slow(lambda: fetch("http://slow.example/", seconds=0.3), site)
    answered.set()


# --------------------------------------------------------------------------------------------------------------- time


def assert_too_slow(act: Callable[[], Any], site: Site) -> None:
    started = time.monotonic()
    with pytest.raises(ImageError, match=TOO_SLOW):
        act()
    assert time.monotonic() - started < 2
    assert_nothing_stayed(site)


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "silence": [b""],
    "the status line": [bytes([letter]) for letter in OK * 20],
    "headers": [OK, *[b"X"] * 250],
    "many headers": [OK, *[b"X: y\r\n"] * 250],
    "promises to go on": [b"HTTP/1.1 100 Continue\r\n\r\n"] * 250,
    "the body": [OK, b"Content-Length: 9999\r\n\r\n", *[b"x"] * 250],
    "a body without length": [OK, b"\r\n", *[b"x"] * 250],
    "chunks": [OK, b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 250],
    "what follows the chunks": [OK, b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", *[b"X: y\r\n"] * 250],
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_drips_is_left_at_the_deadline(site: Site, what: str) -> None:
    site.routes["/drip"] = raw(*DRIPS[what], pause=2.5 if what == "silence" else 0.02)
    assert_too_slow(lambda: site.fetch("/drip", seconds=0.4), site)


def test_the_deadline_is_for_all_redirects_together(site: Site) -> None:
    def slow(location: str) -> Callable[[BaseHTTPRequestHandler], None]:
        def respond(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(0.15)
            moved(location)(handler)

        return respond

    for index in range(6):
        site.routes[f"/{index}"] = slow(f"/{index + 1}")
    assert_too_slow(lambda: site.fetch("/0", seconds=0.4), site)


@contextlib.contextmanager
def deaf(address: str, port: int = 0) -> Iterator[int]:
    """A port that drops whoever knocks, as a firewall does: its queue is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(server.getsockname())
        yield server.getsockname()[1]


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where Linux lets a caller wait")


@only_linux
def test_a_host_that_takes_no_connection_is_left_at_the_deadline(site: Site) -> None:
    with deaf("127.0.0.1") as port:
        assert_too_slow(lambda: fetch(f"http://127.0.0.1:{port}/", seconds=0.3), site)


@only_linux
def test_an_address_that_takes_no_connection_leaves_time_for_the_next(site: Site, jpeg: bytes, names: Any) -> None:
    names["two.example"] = [["127.0.0.2", "127.0.0.1"]]
    site.routes["/cat"] = answer(jpeg)
    with deaf("127.0.0.2", site.port):
        path = fetch(site.url("/cat", "two.example"), seconds=1.0, is_allowed=lambda address: address.is_loopback)
    assert path.read_bytes() == jpeg


# --------------------------------------------------------------------------------------------------- size and content


def test_a_file_that_says_it_is_too_large_is_not_read(site: Site) -> None:
    site.routes["/big"] = answer(b"x", Content_Length=str(MAX_BYTES + 1))
    with pytest.raises(ImageError, match=TOO_LARGE):
        site.fetch("/big")
    assert_nothing_stayed(site)


@pytest.mark.parametrize("head", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: -1\r\n\r\n"])
def test_a_file_that_turns_out_too_large_is_left(site: Site, head: bytes) -> None:
    chunk = b"x" * (1 << 16)
    body = [b"10000\r\n" + chunk + b"\r\n"] * 20 if b"chunked" in head else [chunk] * 20
    site.routes["/big"] = raw(OK + head, *body)
    with pytest.raises(ImageError, match=TOO_LARGE):
        site.fetch("/big")
    assert_nothing_stayed(site)


@pytest.mark.parametrize("size", [b"-1", b"-5", b"ffffffffffffffffff", b"x", b"", b"0x_1"])
def test_a_chunk_of_a_false_size_does_no_harm(site: Site, size: bytes) -> None:
    site.routes["/odd"] = raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n", *[b"x" * (1 << 16)] * 64)
    with pytest.raises(ImageError, match=f"{TOO_LARGE}|{BROKE_OFF}|is not a picture"):
        site.fetch("/odd")
    assert_nothing_stayed(site)


def test_a_file_of_just_the_size_allowed_is_taken(site: Site, jpeg: bytes) -> None:
    site.routes |= {"/a": answer(jpeg), "/b": answer(jpeg, Content_Length="")}
    for path in ("/a", "/b"):
        assert site.fetch(path, max_bytes=len(jpeg)).read_bytes() == jpeg
        with pytest.raises(ImageError, match="larger than"):
            site.fetch(path, max_bytes=len(jpeg) - 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_packed_content_is_refused_and_never_unpacked(site: Site, coding: str) -> None:
    site.routes["/bomb"] = answer(gzip.compress(bytes(64 << 20), 1), Content_Encoding=coding)
    with pytest.raises(ImageError, match="sends the picture packed"):
        site.fetch("/bomb")
    assert_nothing_stayed(site)


def test_packed_content_that_hides_it_is_no_picture(site: Site) -> None:
    site.routes["/bomb"] = answer(gzip.compress(bytes(64 << 20)))
    with pytest.raises(ImageError, match="is not a picture that can be read here"):
        site.fetch("/bomb")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"<!DOCTYPE html>\n<HTML><body><svg></svg>", "is a web page, not the picture on it. Use JPEG"),
        (
            b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
            "is an SVG drawing, which cannot be read here",
        ),
        (b"root:x:0:0:root", "is not a picture that can be read here"),
        (b"%PDF-1.7", "is a PDF document, which cannot be read here"),
        (png_header(60_000, 60_000), r"has 3600 megapixels \(60000 x 60000\); at most 4 are allowed"),
        (png_header(9, 9)[:20], "is damaged and cannot be decoded"),
    ],
)
def test_what_is_no_picture_for_us_gets_its_sentence(site: Site, content: bytes, sentence: str) -> None:
    site.routes["/cat.jpg"] = answer(content, Content_Type="image/jpeg")
    with pytest.raises(ImageError, match=f"^The file at this address {sentence}") as caught:
        site.fetch("/cat.jpg")
    assert str(site.uploads) not in str(caught.value)
    assert_nothing_stayed(site)


@pytest.mark.parametrize("status", [201, 204, 206, 304, 305, 400, 401, 403, 404, 429, 500, 503])
def test_any_status_but_200_is_refused(site: Site, jpeg: bytes, status: int) -> None:
    site.routes["/cat"] = answer(jpeg, status)
    with pytest.raises(ImageError, match=f"no picture, but status {status}"):
        site.fetch("/cat")
    assert_nothing_stayed(site)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        OK + b"X: " + b"x" * 70_000 + b"\r\n\r\n",
        OK + b"X: y\r\n" * 200 + b"\r\n",
        OK + b"Content-Length: 500\r\n\r\n" + b"x" * 99,
        OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + b"x" * 99,
    ],
)
def test_an_answer_that_makes_no_sense_or_breaks_off_is_refused(site: Site, response: bytes) -> None:
    site.routes["/cat"] = raw(response)
    with pytest.raises(ImageError, match=BROKE_OFF) as caught:
        site.fetch("/cat")
    assert "SSH" not in str(caught.value)  # no reading of what private services say
    assert_nothing_stayed(site)


def test_a_port_where_nobody_listens_gets_its_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ImageError, match=BROKE_OFF) as caught:
        fetch(f"http://127.0.0.1:{port}/")
    assert "127.0.0.1" not in str(caught.value)


def test_a_full_disk_is_not_blamed_on_the_web_site(site: Site, jpeg: bytes) -> None:
    site.routes["/cat"] = answer(jpeg)
    site.uploads.write_bytes(b"a file where the folder should be")
    with pytest.raises(OSError, match="uploads"):
        site.fetch("/cat")


# -------------------------------------------------------------------------------------------------------------- https


@pytest.fixture
def secure(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with a certificate for pictures.example, signed by itself and trusted by this process."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    whose = ["-subj", "/CN=test", "-addext", "subjectAltName=DNS:pictures.example"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *kind, *whose, *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked: list[str] = []
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    server, secure = serve(context)
    secure.uploads = site.uploads
    secure.asked = asked
    yield secure
    server.shutdown()
    server.server_close()


def test_a_secure_site_is_asked_for_by_its_name_though_connected_by_its_address(
    secure: Any, jpeg: bytes, names: Any
) -> None:
    names["pictures.example"] = [["127.0.0.1"], ["127.0.0.2"]]
    secure.routes["/cat"] = answer(jpeg)
    assert fetch(secure.url("/cat", "pictures.example", "https")).read_bytes() == jpeg
    assert secure.asked == ["pictures.example"]
    assert secure.seen[0][1]["Host"] == f"pictures.example:{secure.port}"
    assert names["pictures.example"] == [["127.0.0.2"]]


@pytest.mark.parametrize("host", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(secure: Site, names: Any, host: str) -> None:
    names["other.example"] = [["127.0.0.1"]]
    with pytest.raises(ImageError, match="cannot prove that it is what its address says"):
        fetch(secure.url("/cat", host, "https"))
    assert not secure.seen


def test_a_certificate_that_nobody_vouches_for_is_refused(
    secure: Site, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    names["pictures.example"] = [["127.0.0.1"]]
    with pytest.raises(ImageError, match="cannot prove that it is what its address says"):
        fetch(secure.url("/cat", "pictures.example", "https"))


def test_the_way_from_https_to_http_is_not_followed_but_back_it_is(
    secure: Site, site: Site, jpeg: bytes, names: Any
) -> None:
    names["pictures.example"] = [["127.0.0.1"]]
    secure.routes |= {"/down": moved(site.url("/cat")), "/cat": answer(jpeg)}
    site.routes |= {"/up": moved(secure.url("/cat", "pictures.example", "https")), "/cat": answer(jpeg)}
    assert site.fetch("/up").read_bytes() == jpeg
    with pytest.raises(ImageError, match="from https to http, which is not followed"):
        fetch(secure.url("/down", "pictures.example", "https"))


def test_https_drips_and_silent_handshakes_meet_the_same_deadline(secure: Site, site: Site, names: Any) -> None:
    names["pictures.example"] = [["127.0.0.1"]]
    secure.routes["/drip"] = raw(*DRIPS["the body"], pause=0.02)
    assert_too_slow(lambda: fetch(secure.url("/drip", "pictures.example", "https"), seconds=0.4), secure)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert_too_slow(lambda: fetch(f"https://pictures.example:{port}/", seconds=0.4), secure)


def test_http_at_the_port_of_https_is_no_secure_site(site: Site) -> None:
    with pytest.raises(ImageError, match=BROKE_OFF):
        fetch(site.url("/cat", scheme="https"))
