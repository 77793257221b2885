"""The dashboard's files, as the program serves them."""
import gzip
import re

import pytest


@pytest.fixture(scope="module")
def page(server):
    answer = server.get("/ui/", anonymous=True, headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    return answer


def test_the_page_and_all_that_it_names_is_there(server, page):
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any(name.endswith(".js") for name in named) and any(name.endswith(".css") for name in named)
    for name in named:
        assert name.startswith("/ui/"), f"{name} is not ours: plants are offline"
        answer = server.get(name, anonymous=True)
        assert answer.status_code == 200 and answer.content
        assert "immutable" in answer.headers["Cache-Control"]


def test_every_address_below_ui_is_the_page_but_not_what_should_be_a_file(server, page):
    for path in ("/ui", "/ui/inferences", "/ui/inferences/a.b%2Fc?index=1", "/ui/%E2%82%AC"):
        assert server.get(path, anonymous=True).text == page.text
    missing = server.get("/ui/assets/none.js", anonymous=True)
    assert missing.status_code == 404 and "error" in missing.json()


def test_it_is_packed_for_who_takes_it(server, page):
    packed = server.get("/ui/", anonymous=True, headers={"Accept-Encoding": "br, gzip;q=0.8"}, stream=True)
    assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.raw.read()) == page.content
    assert "Content-Encoding" not in page.headers


def test_it_is_sent_again_only_when_it_has_changed(server, page):
    etag = page.headers["ETag"]
    assert page.headers["Cache-Control"] == "no-cache"
    for value in (etag, f'"other", {etag}'):
        again = server.get("/ui/", anonymous=True, headers={"If-None-Match": value})
        assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == etag
    assert server.get("/ui/", anonymous=True, headers={"If-None-Match": '"other"'}).status_code == 200


def test_nothing_may_run_on_the_page_that_is_not_ours(page):
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'" and policy["script-src"] == "'self'"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff" and page.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\bsrc=)", page.text) and "style=" not in page.text
