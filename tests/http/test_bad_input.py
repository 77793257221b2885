"""Bad input: each gets a clear answer, and after each the server is alive and what it holds is unchanged."""
import gzip
import json
import socket
import struct
import time
import zlib

import pytest
import requests
from client import b64, image, picture
from conftest import read_all, wait_for

METADATA = "/test/inference-stats/metadata"
INGEST = "/api/v1/test/inferences"
INFER = "/infer/object_detection"
FIELD = "/api/v1/test/inferences/known/metadata/field"
JSON_ROUTES = [("POST", METADATA), ("POST", INGEST), ("POST", INFER), ("POST", "/model/add"), ("PUT", FIELD), ("POST", "/api/v1/session")]
REFUSED = (400, 422)


def state(server):
    """All that a request could have changed."""
    return [server.get(path).json()[name] for path, name in (
        (INGEST + "/count", "count"), ("/api/v1/test/fields", "fields"), ("/api/v1/test/fields", "pending"), (INGEST, "inferences"),
        ("/model/registry", "models"))] + [server.get(INGEST + "/known").json()["metadata_history"]]


@pytest.fixture
def unchanged(server):
    """The server holds after the test what it held before it, and answers."""
    server.post(INGEST, json={"inference_id": "known", "model_id": "m/1", "metadata": {"field": "value"}})
    before = state(server)
    yield server
    assert server.process.poll() is None and server.get("/healthz").ok
    assert state(server) == before


def error_of(answer):
    """The text of an error in whichever shape its route has."""
    body = answer.json()
    text = body.get("details") or body.get("error") or body.get("message") or body["detail"][0]["msg"]
    assert isinstance(text, str) and len(text) > 5
    return text


# --- JSON

NOT_JSON = [
    b"", b" ", b"{", b"}", b"[", b"nul", b"nonsense", b"{]", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a" 1}', b"{'a':1}", b'{a:1}', b'{"a":01}',
    b'{"a":+1}', b'{"a":.5}', b'{"a":1.}', b'{"a":1e}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"a":"\x01"}', b'{"a":"\n"}',
    b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b'{"a":"\\u0000"}', b'{"\\u0000":1}', b'{"a":"\x00"}',
    b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b'{"a":"\xc3"}', b'{"\xff":1}', b"\xef\xbb\xbf{}",
    b'{"a":1}\x00', b'{"a":1} tail', b'{"a":tru}', b'{"a":1}}', b"/* */{}", b"\x1f\x8b\x08", b"<xml/>", b"a=b&c=d", b'{"a":"unfinished',
]


@pytest.mark.parametrize("method, path", JSON_ROUTES, ids=[p for _, p in JSON_ROUTES])
def test_what_is_not_json(unchanged, method, path):
    for body in NOT_JSON:
        answer = unchanged.request(method, path, data=body)
        assert answer.status_code in REFUSED, (body, answer.text)
        if path in (METADATA, FIELD):
            assert "JSON" in error_of(answer), (body, answer.text)


@pytest.mark.parametrize("method, path, body", [
    ("POST", METADATA, {"data": [{"inference_ids": ["known"], "field_name": "field", "field_value": "wörld"}]}),
    ("POST", INGEST, {"inference_id": "other", "model_id": "m/1", "metadata": {"field": 1.5}, "predictions": [{"class": "a"}]}),
    ("PUT", FIELD, {"value": "new"}),
    ("POST", INFER, {"model_id": "coco/24", "image": {"type": "base64", "value": "aGk="}}),
], ids=["metadata", "ingest", "put", "infer"])
def test_json_cut_at_every_byte(unchanged, method, path, body):
    text = json.dumps(body, ensure_ascii=False).encode()
    for length in range(len(text)):
        answer = unchanged.request(method, path, data=text[:length])
        assert answer.status_code in REFUSED, (text[:length], answer.text)


@pytest.mark.parametrize("method, path", JSON_ROUTES, ids=[p for _, p in JSON_ROUTES])
@pytest.mark.parametrize("form", ["[{}", '{{"data":{}', '{{"image":{}', '{{"value":{}'])
def test_deep_nesting(unchanged, method, path, form):
    small = path in ("/model/add", FIELD, "/api/v1/session")
    for depth in (65, 1000, 10000, 60000 if small else 1000000):
        for inner in ("[" * depth, "[" * depth + "]" * depth, '{"a":' * (depth // 6)):
            answer = unchanged.request(method, path, data=form.format(inner))
            assert answer.status_code in (400, 413, 422), answer.text[:200]


def test_nesting_up_to_64_levels_is_read(unchanged):
    body = '{"data": [], "x": %s}' % ("[" * 63 + "]" * 63)
    assert unchanged.post(METADATA, data=body).status_code == 200
    assert "nested too deep" in error_of(unchanged.post(METADATA, data=body.replace("[[", "[[[").replace("]]", "]]]")))


def test_members_that_stand_there_twice(unchanged):
    entry = '{"inference_ids": ["known"], "field_name": "field", "field_value": "new"}'
    for body in (f'{{"data": [{entry}], "data": [{entry}]}}', f'{{"data": [{entry[:-1]}, "field_value": "newer"}}]}}',
                 f'{{"data": [{entry[:-1]}, "inference_ids": ["x"]}}]}}'):
        assert "twice" in error_of(unchanged.post(METADATA, data=body))


def test_empty_arrays(unchanged):
    assert unchanged.post(METADATA, json={"data": []}).json() == {"status": "ok"}
    assert unchanged.post(INGEST, json=[]).json() == {"results": []}
    assert unchanged.post(METADATA, json=[]).status_code == 400
    assert unchanged.post(METADATA, json={"data": [[]]}).status_code == 400
    assert unchanged.post(METADATA, json={"data": [{"inference_ids": [], "field_name": "a", "field_value": "b"}]}).status_code == 400
    assert unchanged.post(INFER, json={"model_id": "coco/24", "image": []}).status_code == 422
    assert unchanged.put(FIELD, json={"value": []}).status_code == 400


def entry(**change):
    return {"data": [{"inference_ids": ["known"], "field_name": "field", "field_value": "new", **change}]}


@pytest.mark.parametrize("body, what", [
    (entry(field_name="n" * (1 << 20)), "256"), (entry(inference_ids=["i" * 10240]), "256"), (entry(inference_ids=["known", "i" * 257]), "256"),
    (entry(field_value="v" * 4097), "4096"), (entry(field_value="v" * (1 << 20)), "4096"), (entry(inference_ids=[f"a\0{i}" for i in range(3)]), "JSON"),
    (entry(field_name="a\0b"), "JSON"), (entry(field_value="a\0"), "JSON"), (entry(field_name=1), "string"), (entry(field_value=1.5), "string"),
    (entry(field_value=False), "string"), (entry(inference_ids=[1, 2]), "string"), (entry(inference_ids=1), "array"),
    (entry(inference_ids={"a": "b"}), "array"), ({"data": 7}, "array"), (7, "object"),
], ids=range(16))
def test_bad_metadata(unchanged, body, what):
    answer = unchanged.post(METADATA, json=body)
    assert answer.status_code == 400 and what in error_of(answer), answer.text[:300]


def test_a_long_fault_is_told_in_short(unchanged):
    answer = unchanged.post(INGEST, json={"model_id": "m", "x" * 100000: 1})
    assert answer.status_code == 400 and len(answer.text) < 1000


# --- bodies and limits

BIG = 2 << 20


@pytest.fixture(scope="module")
def small(fleet):
    return fleet.make(max_body_metadata="4K", max_body_inference="4K", max_body_ingest="4K", idle_timeout_s=1)


@pytest.mark.parametrize("path", [METADATA, INGEST, INFER, "/coco/24", "/model/add", FIELD, "/info"])
def test_a_body_over_the_limit(small, path):
    method = "PUT" if path == FIELD else "GET" if path == "/info" else "POST"
    before = state_of_small(small)
    body = b" " * BIG
    declared = small.request(method, path, data=body)
    chunked = small.request(method, path, data=(body[i:i + 65536] for i in range(0, BIG, 65536)))
    for answer in (declared, chunked):
        assert answer.status_code == 413 and "bytes" in error_of(answer)
    head = f"{method} {path}?api_key={small.key} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**18}\r\n\r\n".encode()
    assert small.raw(head).startswith(b"HTTP/1.1 413 ")  # told before a byte of it came
    assert state_of_small(small) == before


def state_of_small(small):
    fields = small.get("/api/v1/test/fields").json()
    return small.get(INGEST + "/count").json()["count"], fields["fields"], fields["pending"]


def test_packed_bodies_over_the_limit(small):
    before = state_of_small(small)
    for path in (METADATA, INGEST, INFER, "/coco/24"):
        for packed in (gzip.compress(b" " * 5000), gzip.compress(b"[" * (1 << 20)), gzip.compress(b"0" * (8 << 20))[:4000]):
            answer = small.post(path, data=packed, headers={"Content-Encoding": "gzip"})
            assert answer.status_code == 413, answer.text
    assert state_of_small(small) == before


@pytest.mark.parametrize("head, status", [
    ("Content-Length: -1", 400), ("Content-Length: many", 400), ("Content-Length: 1\r\nContent-Length: 2", 400),
    ("Content-Length: 99999999999999999999999", 413), ("Transfer-Encoding: gzip", 501), ("Transfer-Encoding: chunked, chunked", 501),
])
def test_bad_framing(small, head, status):
    answer = small.raw(f"POST {METADATA} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) or (status == 400 and not answer.startswith(b"HTTP/1.1 2")), answer
    assert requests.get(small.url + "/healthz", timeout=30).ok


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"5\r\nab", b"ffffffffffffffffff\r\n", b"-1\r\n", b"2\r\n{}XX0\r\n\r\n"])
def test_bad_chunks(small, chunks):
    head = f"POST {METADATA}?api_key={small.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert not small.raw(head + chunks).startswith(b"HTTP/1.1 2")
    assert requests.get(small.url + "/healthz", timeout=30).ok


def test_good_chunks_of_every_size(unchanged):
    body = b'{"data": []}'
    head = f"POST {METADATA}?api_key={unchanged.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for size in range(1, len(body) + 1):
        chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in (body[i:i + size] for i in range(0, len(body), size)))
        assert unchanged.raw(head + chunks + b"0\r\nTrailer: x\r\n\r\n").endswith(b'{"status":"ok"}')


# --- slow clients

def test_a_slow_client_holds_up_nobody_and_is_served(server):
    body = b'{"data": []}'
    request = f"POST {METADATA}?api_key={server.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    slow = [server.connect() for _ in range(40)]
    try:
        for i in range(len(request)):
            for s in slow:
                s.sendall(request[i:i + 1])
            if i % 20 == 0:
                began = time.monotonic()
                assert server.get("/healthz").ok and time.monotonic() - began < 2
        assert all(read_all(s).endswith(b'{"status":"ok"}') for s in slow)
    finally:
        for s in slow:
            s.close()


@pytest.mark.parametrize("sent", [b"", b"POST ", b"POST / HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"])
def test_a_client_that_stops_is_let_go(small, sent):
    with small.connect() as s:
        s.sendall(sent)
        s.settimeout(10)
        assert b"HTTP/1.1 2" not in read_all(s)  # returns, so the connection was closed
    assert requests.get(small.url + "/healthz", timeout=30).ok


def test_clients_that_hang_up(unchanged):
    body = json.dumps(entry(field_value="never")).encode()
    head = f"POST {METADATA}?api_key={unchanged.key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for cut in range(0, len(head + body) - 1, 7):
        with unchanged.connect() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # with a reset
            s.sendall((head + body)[:cut])


# --- paths

SEGMENTS = ["/{}/inference-stats/metadata", "/test/{}/metadata", "/test/inference-stats/{}", "/api/{}/test/inferences", "/api/v1/{}/inferences",
            "/api/v1/test/{}", "/api/v1/test/inferences/{}", "/api/v1/test/inferences/{}/image", "/api/v1/test/inferences/{}/thumbnail",
            "/api/v1/test/inferences/x/{}", "/api/v1/test/inferences/x/metadata/{}", "/api/v1/test/inferences/{}/metadata/x", "/coco/{}", "/{}/24",
            "/infer/{}", "/model/{}", "/ui/{}", "/ui/assets/{}", "/{}", "/{}/{}/{}/etc/passwd"]


@pytest.mark.parametrize("pattern", SEGMENTS)
def test_dots_in_every_segment(unchanged, pattern):
    for dots in ("..", ".", "%2e%2e", "%2E.", ".%2e", "%2e"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            target = pattern.replace("{}", dots)
            answer = unchanged.raw(f"{method} {target}?api_key={unchanged.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            assert answer.startswith(b"HTTP/1.1 400 ") and b"'.' or '..'" in answer, answer


@pytest.mark.parametrize("segment", ["..%2f..%2fetc%2fpasswd", "%2f", "a%2fb", "..\\..", "%5c..%5c", "~", "%25", "con"])
def test_slashes_in_a_segment_stay_in_it(unchanged, segment):
    for pattern in ("/api/v1/test/inferences/{}", "/api/v1/test/inferences/{}/image", "/ui/{}", "/ui/assets/{}"):
        answer = unchanged.raw(f"GET {pattern.format(segment)}?api_key={unchanged.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert b"root:" not in answer and (answer.startswith(b"HTTP/1.1 404 ") or (pattern.startswith("/ui") and b"<!doctype" in answer.lower())), answer[:300]


@pytest.mark.parametrize("target, status", [
    ("/api/v1/test/inferences/%", 400), ("/api/v1/test/inferences/%4", 400), ("/api/v1/test/inferences/%zz", 400),
    ("/api/v1/test/inferences/%00", 400), ("/api/v1/test/inferences/%ff", 400), ("/api/v1/test/inferences/%c0%ae", 400),
    ("/" + "/".join("a" * 20), 400), ("/info?" + "&".join("a=b" for _ in range(129)), 400), ("/info?a=%00", 400), ("/info?a=%ff", 400),
    ("/" + "a" * 9000, 414), ("info", 400), ("*", 400), ("/api/v1/test/inferences?limit=5&limit", 200), ("/info?" + "&" * 300, 400),
])
def test_bad_targets(server, target, status):
    answer = server.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]


def test_headers_over_the_limit(server):
    answer = server.raw(b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(b"X-%d: %b\r\n" % (i, b"y" * 900) for i in range(20)) + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert server.get("/healthz").ok


@pytest.mark.parametrize("data", [b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n", b"\r\n" * 50,
                                  b"POST /info HTTP/1.1\r\n: no name\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                  "GET /ü HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1")], ids=range(8))
def test_what_is_no_http(small, data):
    with small.connect() as s:
        s.sendall(data)
        assert not read_all(s).startswith(b"HTTP/1.1 2")  # an error or nothing, and then an end
    assert requests.get(small.url + "/healthz", timeout=30).ok


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "FOO", "get", "G" * 300])
def test_wrong_methods(unchanged, method):
    for path in (METADATA, INGEST, INFER, FIELD, "/info", "/model/registry"):
        answer = unchanged.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 405 ") and b"\r\nAllow: " in answer, answer


# --- pictures (each kind and each fault: test_infer.py); here, that they leave a record of the failure and nothing else

def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("data", [picture("bomb.png"), png(60000, 60000, b""), png(2**31 - 1, 2**31 - 1, b""), png(0, 0, b""), png(100, 100, b"\0" * 50),
                                  picture("truncated.jpg"), picture("truncated.png"), picture("text.jpg"), picture("header-only.jpg"),
                                  picture("page.svg"), b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBP", b"II*\0", b"%PDF-1.4",
                                  b"P6 1 1 255 abc", b"BM" + b"\0" * 60, b"\0" * 1000],
                         ids=range(19))
def test_bad_pictures_cost_an_error_and_no_memory(server, data):
    def peak():
        return int(next(line.split()[1] for line in open(f"/proc/{server.process.pid}/status") if line.startswith("VmHWM")))
    before = peak()
    answers = [server.post(INFER, json={"model_id": "coco/24", "image": image(data)}),
               server.post("/coco/24", data=b64(data), headers={"Content-Type": "text/plain"}),
               server.post("/coco/24", files={"file": ("a.jpg", data)})]
    for answer in answers:
        assert answer.status_code == 400 and error_of(answer).startswith("Could not load input image. Cause: "), answer.text
    assert server.get("/healthz").ok and peak() - before < 200000  # kB; the first one loads the model
    newest = server.get(INGEST + "?limit=3").json()["inferences"]
    assert all(i["error"] and not i["predictions"] and i["image"]["url"] is None for i in newest)


def test_no_key_of_a_bad_request_in_the_log(server):
    server.raw(f"GET /nothing/at/all?api_key={server.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    server.raw(f"GET /../?api_key={server.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    server.raw(f"POST /a/broken/off?api_key={server.key} HTTP/1.1\r\nHost: x\r\nContent-Length: zz\r\n\r\n".encode())
    wait_for(lambda: "/a/broken/off" in server.log())
    assert server.key not in server.log()
