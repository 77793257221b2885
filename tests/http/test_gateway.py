"""/proxy?url=..., as servers with SECURE_GATEWAY make their calls: each is the call that the URL names, whatever host stands in
it, and goes nowhere but to our own routes and the upstream."""
import gzip
import json
import urllib.parse

import pytest
from conftest import wait_for
from pingbacks import item, pingback, thin

STAT = "/models/v1/external/stat"
pytestmark = pytest.mark.usefixtures("fresh_platform")


@pytest.fixture(scope="module")
def gate(platform, fleet):
    return fleet.make(upstream=platform.url)


def wrap(url, more=""):
    return "/proxy?url=" + urllib.parse.quote(url, safe="~()*!'") + more


def both(server, method, path, host="https://api.roboflow.com", **more):
    """The call itself and the wrapped one, which must not differ but in what is of one answer alone."""
    direct, wrapped = server.request(method, path, **more), server.request(method, wrap(host + path), **more)
    assert (wrapped.status_code, wrapped.headers["Content-Type"]) == (direct.status_code, direct.headers["Content-Type"])
    drop = {"X-Request-ID", "Date", "Content-Length"}
    assert {k: v for k, v in wrapped.headers.items() if k not in drop} == {k: v for k, v in direct.headers.items() if k not in drop}
    return wrapped, direct


CALLS = [("GET", "/info", {}), ("GET", "/usage/plan", {}), ("GET", "/healthz", {}), ("GET", "/?api_key=KEY&nocache=true", {}),
         ("GET", "/?api_key=wrong", {"anonymous": True}), ("GET", "/test/some-set?api_key=KEY&nocache=true", {"anonymous": True}),
         ("POST", "/usage/inference", {"json": []}), ("POST", "/test/inference-stats/metadata?api_key=KEY", {"anonymous": True, "json": {"data": []}}),
         ("POST", "/test/inference-stats/metadata", {"json": {"data": 1}}), ("POST", "/clip/embed_image", {"json": {}}),
         ("POST", "/coco/24?confidence=x", {"data": "no picture", "headers": {"Content-Type": "text/plain"}}), ("DELETE", "/info", {}),
         ("GET", "/no/such/path/here", {}), ("GET", STAT + "?modelId=coco%2F24", {}), ("GET", STAT, {"anonymous": True}),
         ("GET", "/api/v1/test/inferences/none", {}), ("OPTIONS", "/info", {}), ("HEAD", "/info", {}), ("GET", "/a/%2e%2e/b", {}), ("GET", "//info", {})]


@pytest.mark.parametrize("method, path, more", CALLS, ids=[f"{m} {p}" for m, p, _ in CALLS])
def test_a_wrapped_call_is_the_call(gate, platform, stranger, method, path, more):
    platform.answers[STAT] = (200, {}, b'{"modelMetadata": {}}')
    path = path.replace("KEY", gate.key)
    for host in ("https://api.roboflow.com", stranger.url, "HTTP://[::1]:99", "http://127.0.0.1:9001"):
        if method == "HEAD" or method == "OPTIONS":
            assert gate.request(method, wrap(host + path)).status_code == gate.request(method, path).status_code
            continue
        wrapped, direct = both(gate, method, path, host, **more)
        assert wrapped.content == direct.content
    assert set(platform.calls()) <= {("GET", STAT + "?modelId=coco%2F24")}


def test_a_wrapped_pingback(gate):
    """Its key is in the body alone; a long one is kept in a file."""
    pad = "x" * 200
    items = [item(thin(("bolt", 0.9)), inference_id=f"wrapped-{i}", source_info=pad) for i in range(3000)]
    body = json.dumps(pingback(gate.key, items)).encode()
    assert len(body) > 1 << 20
    answer = gate.post(wrap("https://api.roboflow.com/inference-stats"), anonymous=True, data=gzip.compress(body),
                       headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert answer.status_code == 200 and answer.json()["status"] == "ok"
    found = wait_for(lambda: gate.get("/api/v1/test/inferences/wrapped-2999"))
    assert found.status_code == 200


def test_the_limit_is_that_of_the_route(make_server):
    s = make_server(max_body_pingback="100K", max_body_metadata="200K")
    for path, most in (("/inference-stats", 100 << 10), ("/test/inference-stats/metadata", 200 << 10), ("/", 65536)):
        for size, status in ((most + 1, 413), (most, 400)):
            answer = s.post(wrap("https://x" + path), data=b"[" * size)
            assert answer.status_code == status or (path == "/" and answer.status_code == 200), (path, size, answer.text)


def test_the_query_is_the_inner_one_and_what_stands_beside(gate, platform):
    platform.answers[STAT] = (200, {}, b"{}")
    for inner, outer, want in [("", "", ""), ("?a=1&b=%2F%26", "", "?a=1&b=%2F%26"), ("?a=1", "&modelId=x%2Fy&url=z", "?a=1&modelId=x%2Fy&url=z"),
                               ("", "&nocache=true&x", "?nocache=true&x"), ("?", "&a=1", "?&a=1")]:
        platform.seen.clear()
        assert gate.get(wrap("https://api.roboflow.com" + STAT + inner, outer)).status_code == 200
        assert platform.calls() == [("GET", STAT + want)]
    platform.seen.clear()
    assert gate.get("/proxy?first=1&url=https%3A%2F%2Fh" + urllib.parse.quote(STAT, safe="")).status_code == 200
    assert platform.calls() == [("GET", STAT + "?first=1")]
    # The key beside it counts as if it stood inside.
    assert gate.get(wrap("https://h/", f"&api_key={gate.key}"), anonymous=True).json() == {"workspace": "test"}


@pytest.mark.parametrize("url", ["", "/info", "//h/info", "info", "ftp://h/info", "file:///etc/passwd", "https:/info", "https://", "https:///info", "https://me@h/info",
                                 "https://me:you@h/info", "https://h\\@i/info", "https://h/a b", "https://h/a\r\nX: 1", "https://h/a\r\n\r\nGET / HTTP/1.1",
                                 "https://h/a#b", "https://h/\x00", "https://h/\u00e4", "javascript:alert(1)", "https://h/proxy", "https://h//proxy/", "https://h/%70roxy",
                                 "https://h/proxy?url=https%3A%2F%2Fh%2Finfo", "https://h/..", "https://h/a/../info", "https://h/%2e%2e/info", "https://h" + "/x" * 20])
def test_urls_that_are_none(gate, platform, url):
    answer = gate.get(wrap(url))
    assert answer.status_code == 400 and set(answer.json()) <= {"error"}, answer.text
    assert platform.seen == []


def test_without_a_url(gate):
    for target in ("/proxy", "/proxy?", "/proxy?URL=x", "/proxy/"):
        assert gate.get(target).status_code == 400
    assert gate.post("/proxy").status_code == 400
    assert gate.get("/proxy/x?url=https%3A%2F%2Fh%2Finfo").status_code in (401, 404)


def test_too_long(gate):
    assert gate.get(wrap("https://h/info?" + "x" * 9000)).status_code == 414


def test_absolute_form_is_unwrapped_once_more(gate, stranger):
    answer = gate.raw(f"GET {stranger.url}{wrap(stranger.url + '/info')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200") and b"Roboflow Inference Server" in answer or b"uuid" in answer


def test_no_host_but_the_upstream(gate, platform, stranger):
    """Whatever the URL names: downloads from other hosts are not fetched."""
    answers = [gate.get(wrap(stranger.url + path)).status_code for path in ("/bucket/weights.onnx?signature=x", "/a/b/c/weights.onnx", "/weights.onnx")]
    assert answers == [400, 404, 404] and platform.seen == []  # the first looks like an inference without a picture
    platform.answers[STAT] = (200, {}, b"{}")
    assert gate.get(wrap(stranger.url + STAT)).status_code == 200
    assert len(platform.seen) == 1


def test_without_an_upstream(server):
    answer = server.get(wrap("https://api.roboflow.com" + STAT))
    assert answer.status_code == 404 and "--upstream" in answer.json()["error"]


def test_the_inner_path_is_logged_and_counted_without_its_key(make_server):
    s = make_server()
    body = pingback(s.key, [])
    assert s.post(wrap("https://api.roboflow.com/inference-stats"), anonymous=True, json=body).status_code == 200
    s.post(wrap(f"https://api.roboflow.com/clip/compare?api_key={s.key}"), anonymous=True, json={})
    [device] = s.get("/api/v1/test/devices").json()["devices"]
    assert [(u["method"], u["path"], u["status"]) for u in device["unserved"]] == [("POST", "/clip/compare", 501)]
    assert 'path="/clip/compare"' in s.log() and s.key not in s.log()
