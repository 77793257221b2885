"""What is not ours goes to the host of the setting `upstream`, unchanged, and to no other; answers come back as they are.
The platform is a fake one on 127.0.0.1."""
import gzip
import socket
import subprocess
import threading

import pytest
import requests
from conftest import BINARY, read_all, wait_for
from fake_platform import CERTIFICATE, Platform

STAT = "/models/v1/external/stat"
pytestmark = pytest.mark.usefixtures("fresh_platform")


@pytest.fixture(scope="module")
def gate(platform, fleet):
    return fleet.make(upstream=platform.url, upstream_timeout_s=2, upstream_max_bytes="1M", upstream_threads=4)


PASSED = [("GET", STAT), ("GET", "/models/v1/external/weights"), ("GET", "/ort/nobody/24"), ("GET", "/getWeights"),
          ("GET", "/core_model/clip/ViT-B-16"), ("GET", "/owlv2/owlv2-large/1"), ("GET", "/lora_bases"),
          ("GET", "/acme/workflows/count-parts"), ("GET", "/acme/parts/3"), ("GET", "/acme/parts/batches"),
          ("GET", "/acme/parts/jobs"), ("POST", "/acme/parts/search"), ("POST", "/apiproxy/openai/v1/chat")]


@pytest.mark.parametrize("method, path", PASSED, ids=[" ".join(p) for p in PASSED])
def test_passes(gate, platform, method, path):
    platform.answers[path] = (200, {}, b'{"from": "platform"}')
    answer = gate.request(method, path + "?nocache=true&device=a%2Fb&dynamic=true", data=b"x" if method == "POST" else None)
    assert (answer.status_code, answer.content) == (200, b'{"from": "platform"}')
    assert platform.calls() == [(method, path + "?nocache=true&device=a%2Fb&dynamic=true")]
    assert gate.request(method, path, anonymous=True).status_code == 401
    assert gate.request(method, path, key="a-stranger's").status_code == 401
    assert len(platform.seen) == 1


def test_the_request_is_not_changed(gate, platform):
    """Query order, doubled names, escapes, header names and values; only the connection's headers and cookies stay behind."""
    query = f"b=2&a=%7e&a=~&=&empty=&api_key={gate.key}&flag&plus=+%2B&%6eame=%c3%a4"
    headers = {"User-Agent": "python-requests/2.32", "X-Roboflow-Inference-Version": "1.5.0", "X-Allow-Chunked": "true", "x-lower": "a, b",
               "Empty": "", "Accept-Encoding": "gzip, br", "Authorization": "Bearer another-one", "Accept": "text/x"}
    lines = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    lines += "Cookie: sightglass_session=x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 3\r\nTE: trailers\r\nProxy-Authorization: Basic eA==\r\n"
    answer = gate.raw(f"GET {STAT}?{query} HTTP/1.1\r\nHost: some.where\r\n{lines}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404") and b"not at the platform" in answer
    [(method, target, got, body)] = platform.seen
    assert (method, target, body) == ("GET", f"{STAT}?{query}", b"")
    got = dict(got)
    via = got.pop("Via")
    assert via.startswith("1.1 sightglass-") and got.pop("Host") == f"127.0.0.1:{platform.port}"
    assert got == headers


def test_nothing_is_added(gate, platform):
    gate.raw(f"GET {STAT}?api_key={gate.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    gate.raw(f"POST /apiproxy/x?api_key={gate.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n".encode() + b"x" * 2000)
    assert [{n for n, _ in headers} for _, _, headers, _ in platform.seen] == [{"Host", "Via"}, {"Host", "Via", "Content-Length"}]
    assert platform.seen[1][3] == b"x" * 2000


@pytest.mark.parametrize("where", ["query", "bearer", "body"])
def test_the_key_travels_as_it_came(gate, platform, where):
    query, headers, body = "", {}, {"prompt": "x"}
    if where == "query":
        query = "?api_key=" + gate.key
    elif where == "bearer":
        headers["Authorization"] = "Bearer " + gate.key
    else:
        body["api_key"] = gate.key
    gate.post("/apiproxy/x" + query, anonymous=True, headers=headers, json=body)
    [(_, target, got, sent)] = platform.seen
    assert (gate.key in target, gate.key in dict(got).get("Authorization", ""), gate.key in sent.decode()) == (
        where == "query", where == "bearer", where == "body")


def test_the_cookie_opens_nothing_there(gate, platform):
    with requests.Session() as session:
        session.trust_env = False
        assert session.post(gate.url + "/api/v1/session", json={"key": gate.key}).status_code == 200
        assert session.get(gate.url + STAT).status_code == 401
    assert platform.seen == []


@pytest.mark.parametrize("status", [200, 201, 204, 301, 302, 304, 307, 400, 401, 402, 403, 404, 423, 429, 500, 503])
def test_every_answer_comes_back(gate, platform, stranger, status):
    body = b"" if status in (204, 304) else b"\x00 as it is \xff"
    platform.answers[STAT] = (status, {"Content-Type": "application/x-odd; a=b", "Location": stranger.url + "/elsewhere", "ETag": '"1"',
                                       "X-Model": "m", "Retry-After": "7", "Set-Cookie": "sightglass_session=evil",
                                       "Strict-Transport-Security": "max-age=1", "X-Accel-Redirect": "/internal/secret",
                                       "X-Sendfile": "/etc/passwd", "Access-Control-Allow-Origin": "*"}, body)
    answer = gate.get(STAT)
    assert (answer.status_code, answer.content) == (status, body)
    for name, value in {"Content-Type": "application/x-odd; a=b", "Location": stranger.url + "/elsewhere", "ETag": '"1"', "X-Model": "m",
                        "Retry-After": "7", "Content-Security-Policy": "sandbox"}.items():
        assert answer.headers[name] == value
    assert not {"Set-Cookie", "Strict-Transport-Security", "Access-Control-Allow-Origin", "X-Accel-Redirect", "X-Sendfile"} & set(answer.headers)
    assert answer.headers["Date"].count("GMT") == 1
    assert len(platform.seen) == 1


def test_what_is_packed_stays_packed(gate, platform):
    packed = gzip.compress(b'{"a": 1}')
    platform.answers["/apiproxy/x"] = (200, {"Content-Encoding": "gzip"}, packed)
    answer = gate.post("/apiproxy/x", data=packed, headers={"Content-Encoding": "gzip"}, stream=True)
    assert answer.raw.read(decode_content=False) == packed and answer.headers["Content-Encoding"] == "gzip"
    assert platform.seen[0][3] == packed and ("Content-Encoding", "gzip") in platform.seen[0][2]


def test_chunks_both_ways(gate, platform):
    def chunked(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    platform.answers["/apiproxy/x"] = chunked
    answer = gate.post("/apiproxy/x", data=iter([b"one", b"two"]))
    assert answer.content == b"abcde" and "Transfer-Encoding" not in answer.headers
    assert platform.seen[0][3] == b"onetwo" and dict(platform.seen[0][2])["Content-Length"] == "6"


def test_head_is_a_head_there(gate, platform):
    platform.answers[STAT] = (200, {}, b"12345")
    answer = gate.request("HEAD", STAT)
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "5", b"")
    assert platform.calls() == [("HEAD", STAT)]


def test_many_at_once(gate, platform):
    platform.answers[STAT] = (200, {}, b"{}")
    got = []
    threads = [threading.Thread(target=lambda i=i: got.append(requests.get(f"{gate.url}{STAT}?i={i}&api_key={gate.key}").status_code))
               for i in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert got == [200] * 24 and len({target for _, target in platform.calls()}) == 24


# --- to that one host only

@pytest.mark.parametrize("target", ["http://{stranger}" + STAT, "https://{stranger}" + STAT, "http://me:you@{stranger}" + STAT,
                                    STAT + "?modelId=http://{stranger}/", STAT + "?url=http://{stranger}/&host={stranger}"])
def test_a_request_does_not_say_where_to(gate, platform, stranger, target):
    target = target.replace("{stranger}", f"127.0.0.1:{stranger.port}")
    answer = gate.raw(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{stranger.port}\r\nX-Forwarded-Host: 127.0.0.1:{stranger.port}\r\n"
                      f"Authorization: Bearer {gate.key}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404") and b"not at the platform" in answer
    assert len(platform.seen) == 1 and dict(platform.seen[0][2])["Host"] == f"127.0.0.1:{platform.port}"


BAD_TARGETS = ["/core_model/../../etc/passwd", "/core_model/%2e%2e/x", "/core_model/a%0d%0aX: 1", "/core_model/a#b", "/core_model/a\\b",
               "/core_model/a?b#c", "/core_model/a?b\x01c", "/core_model/\xe4", "/core_model/a?\xff", "/core_model/%00", "/core_model/a?" + "x" * 9000]


@pytest.mark.parametrize("target", BAD_TARGETS, ids=range(len(BAD_TARGETS)))
def test_targets_that_readers_differ_on(gate, platform, target):
    answer = gate.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.key}\r\nConnection: close\r\n\r\n".encode("latin1"))
    if "%0d%0a" in target:  # an escape is no line end
        assert platform.calls() == [] or "\r" not in str(platform.seen[0][1:])
    else:
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 414"), answer
        assert platform.seen == []


@pytest.mark.parametrize("header", ["Transfer-Encoding : chunked", "Content-Length : 5", "X Y: 1", "X(a): 1", "X: a\x01b", "X: a\x7fb"])
def test_headers_that_readers_differ_on(gate, platform, header):
    answer = gate.raw(f"GET {STAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.key}\r\n{header}\r\nConnection: close\r\n\r\n".encode("latin1"))
    assert b"200 OK" not in answer
    for _, _, headers, _ in platform.seen:  # what libmicrohttpd has made right by itself
        assert all(name.strip() == name and name not in ("Content-Length", "Transfer-Encoding", "X Y", "X(a)", "X") for name, _ in headers)


def test_two_requests_in_one_are_not_two_there(gate, platform):
    smuggled = b"GET /ort/nobody/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    head = f"POST /apiproxy/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.key}\r\nConnection: close\r\n"
    for framing in ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 4\r\nContent-Length: 41\r\n",
                    "Transfer-Encoding: xchunked\r\n"):
        answer = gate.raw((head + framing + "\r\n").encode() + b"0\r\n\r\n" + smuggled)
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 501", b"HTTP/1.1 413"), answer
    assert platform.seen == []
    gate.raw((head + f"Content-Length: {len(smuggled)}\r\n\r\n").encode() + smuggled)
    assert platform.calls() == [("POST", "/apiproxy/x")] and platform.seen[0][3] == smuggled


def test_a_redirect_is_not_followed(gate, platform, stranger):
    platform.answers["/apiproxy/x"] = (307, {"Location": stranger.url + "/apiproxy/x"}, b"")
    assert gate.post("/apiproxy/x", json={}).status_code == 307
    assert len(platform.seen) == 1  # and the stranger's fixture says of itself


def test_no_proxy_of_the_environment(make_server, platform, stranger, monkeypatch):
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, stranger.url)
    platform.answers[STAT] = (200, {}, b"{}")
    assert make_server(upstream=platform.url).get(STAT).status_code == 200


def test_our_own_paths_never_leave(gate, platform):
    for path in ("/", "/info", "/api/v1/test/fields", "/api/v1/nothing", "/api/v1/test", "/ui/none.js", "/test/inference-stats", "/a/b/c/d",
                 "/usage/plan", "/coco/24", "/test/some-dataset", "/model/a/b", "/apiproxy/x", "/metrics"):
        gate.get(path)
    for path in ("/inference-stats", "/usage/inference", "/infer/object_detection", "/clip/embed_image", "/test/workflows/x", "/webrtc_plans"):
        gate.post(path, json={})
    assert platform.seen == []


# --- when there is no answer

def error(answer, status, *words):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"} and all(w in answer.json()["error"] for w in words), answer.text


def test_nobody_there(make_server):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        gate = make_server(upstream=f"http://127.0.0.1:{s.getsockname()[1]}")
        error(gate.get(STAT), 502, "upstream http://127.0.0.1", "is it up")
    gate = make_server(upstream="https://no-such-host.invalid")
    error(gate.get(STAT), 502, "upstream https://no-such-host.invalid", "resolve")


def test_a_slow_one(gate, platform):
    release = threading.Event()
    platform.answers[STAT] = lambda handler: release.wait(20)
    error(gate.get(STAT), 504, "within 2 s", "upstream_timeout_s")
    release.set()


def test_a_slow_one_holds_up_nothing_of_ours(make_server, platform):
    gate = make_server(upstream=platform.url, upstream_threads=1, http_workers=1)
    release, held = threading.Event(), threading.Event()

    def hold(handler):
        held.set()
        release.wait(20)
    platform.answers[STAT] = hold
    waiting = threading.Thread(target=lambda: gate.get(STAT))
    waiting.start()
    assert held.wait(20)
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(gate.url + "/info").status_code == 200
    release.set()
    waiting.join(20)


def test_one_that_hangs_up(gate, platform):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
    platform.answers[STAT] = cut
    error(gate.get(STAT), 502, "gave no answer")
    platform.answers[STAT] = lambda handler: None
    error(gate.get(STAT), 502, "gave no answer")
    platform.answers[STAT] = lambda handler: handler.wfile.write(b"this is not HTTP\r\n\r\n")
    error(gate.get(STAT), 502, "gave no answer")


@pytest.mark.parametrize("told", [True, False])
def test_one_that_says_too_much(gate, platform, told):
    def endless(handler):
        handler.send_response(200)
        if told:
            handler.send_header("Content-Length", str(2 << 20))
        handler.end_headers()
        for _ in range(32):
            handler.wfile.write(bytes(65536))
    platform.answers[STAT] = endless
    error(gate.get(STAT), 502, "more than 1048576 bytes", "upstream_max_bytes")


def test_a_client_that_leaves_ends_it(gate, platform):
    ended = threading.Event()

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while not ended.wait(0.02):
                handler.wfile.write(b"x")
        except OSError:
            ended.set()
    platform.answers[STAT] = endless
    s = gate.connect()
    s.sendall(f"GET {STAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.key}\r\n\r\n".encode())
    wait_for(lambda: platform.seen)
    s.close()
    assert ended.wait(20)


def test_stopping_does_not_wait(make_server, platform):
    gate = make_server(upstream=platform.url, upstream_timeout_s=300)
    release = threading.Event()
    platform.answers[STAT] = lambda handler: release.wait(60)
    s = gate.connect()
    s.sendall(f"GET {STAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gate.key}\r\n\r\n".encode())
    wait_for(lambda: platform.seen)
    assert gate.stop() == 0
    assert b"200" not in read_all(s)[:15]
    release.set()
    s.close()


def test_ourselves(make_server):
    """A round of one, and of two."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    first = make_server()
    first.stop()
    first.port, first.settings["upstream"] = port, f"http://127.0.0.1:{port}"
    first.start()
    error(first.get(STAT), 508, "leads back to this server", "upstream")
    second = make_server(upstream=first.url)
    first.stop()
    first.settings["upstream"] = second.url
    first.start()
    error(first.get(STAT), 508, "leads back to this server")
    error(second.get(STAT), 508, "leads back to this server")


# --- TLS

@pytest.fixture(scope="module")
def secure():
    p = Platform(tls=True)
    yield p
    p.close()


def test_over_tls(make_server, secure):
    secure.answers[STAT] = (200, {}, b"{}")
    assert make_server(upstream=secure.url, upstream_ca=CERTIFICATE).get(STAT).status_code == 200
    assert secure.calls() == [("GET", STAT)]
    secure.seen.clear()
    error(make_server(upstream=secure.url).get(STAT), 502, "certificate", "upstream_ca")
    assert secure.seen == []
    other = Platform(tls=True, host="127.0.0.2")  # which the certificate does not name
    error(make_server(upstream=f"https://127.0.0.2:{other.port}", upstream_ca=CERTIFICATE).get(STAT), 502, "certificate")
    assert other.seen == []
    other.close()


def test_no_tls_where_it_was_promised(make_server, platform):
    error(make_server(upstream=platform.url.replace("http:", "https:")).get(STAT), 502, "upstream https://127.0.0.1")
    assert platform.seen == []


def refused(tmp_path, **settings):
    flags = [x for name, value in settings.items() for x in (f"--{name.replace('_', '-')}", str(value))]
    run = subprocess.run([str(BINARY), "serve", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0", *flags], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    return run.stderr


@pytest.mark.parametrize("setting", ["http://api.example.com", "http://127.example.com", "ftp://localhost", "localhost", "https://",
                                     "https://me:you@localhost", "https://localhost/base", "https://localhost?x", "https://localhost#x",
                                     "file:///etc/passwd", "https://local host", "http://localhost.evil.example"])
def test_settings_that_are_none(tmp_path, setting):
    assert f'upstream: "{setting}"' in refused(tmp_path, upstream=setting)


def test_a_ca_file_that_is_not_there(tmp_path):
    assert "upstream_ca: " in refused(tmp_path, upstream="https://localhost", upstream_ca=tmp_path / "none.pem")


# --- without

@pytest.mark.parametrize("method, path", PASSED, ids=[" ".join(p) for p in PASSED])
def test_without_one_it_is_404_and_names_the_setting(server, method, path):
    error(server.request(method, path), 404, "--upstream")
    assert server.request(method, path, anonymous=True).status_code == 401


def test_what_is_asked_for_in_vain_is_counted(gate, platform, server):
    report = {"api_key": server.key, "device_id": "edge-1", "inference_server_id": "s", "inference_server_version": "1.5.0", "timestamp": "1795289949",
              "inference_results": []}
    for s in (gate, server):
        assert s.post("/inference-stats", json=report).status_code == 200
        s.get(STAT + "?modelId=coco%2F24")

    def unserved(s):
        [device] = [d for d in s.get(f"/api/v1/{s.workspace}/devices").json()["devices"] if d["device_id"] == "edge-1"]
        return [(u["path"], u["status"]) for u in device["unserved"]]
    assert (STAT, 404) in unserved(server)
    assert STAT not in [path for path, _ in unserved(gate)]  # the platform's answer, no lack of ours
