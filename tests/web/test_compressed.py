"""The page is sent compressed to those who take it so, and nothing else is touched."""

import gzip

import httpx

from tests.web.conftest import Server

MOST = 350_000  # bytes: a first visit's line may be slow


def test_the_page_is_compressed_for_those_who_take_it(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        plain = client.get("/", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        with client.stream("GET", "/", headers={"accept-encoding": "gzip"}) as answer:
            sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        (whole, size) = len(gzip.decompress(sent)), len(sent)
        assert size < MOST
        assert whole > 3 * size
        # a file is not compressed once more
        file = client.get("/card.png", headers={"accept-encoding": "gzip"})
        assert "content-encoding" not in file.headers
