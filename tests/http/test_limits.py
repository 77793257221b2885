"""Limits at their edge and one past it, bodies of every framing, and clients that misbehave."""
import gzip
import json
import socket
import time

import pytest
from conftest import read_all, wait_for

LIMIT = 4096
PATH = "/test/inference-stats/metadata"


@pytest.fixture(scope="module")
def small(fleet):
    server = fleet.make(max_body_metadata=LIMIT, max_connections=40, idle_timeout_s=2)
    server.http.headers["Connection"] = "close"  # so that no request meets a connection that is just being closed
    return server


def body(size):
    """A good metadata body of exactly so many bytes."""
    start, end = b'{"data": [', b']}'
    return start + b" " * (size - len(start) - len(end)) + end


def chunks(data, size=1000):
    return (data[i:i + size] for i in range(0, len(data), size))


@pytest.mark.parametrize("size, status", [(LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 5000, 413)])
def test_with_content_length(small, size, status):
    answer = small.post(PATH, data=body(size))
    assert answer.status_code == status
    if status == 413:
        assert str(LIMIT) in answer.json()["error"]
        assert answer.headers["Connection"] == "close" and answer.headers["X-Request-ID"]


@pytest.mark.parametrize("size, status", [(LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 5000, 413)])
def test_chunked(small, size, status):
    answer = small.post(PATH, data=chunks(body(size), 10000))
    assert answer.status_code == status


@pytest.mark.parametrize("size, status", [(LIMIT, 200), (LIMIT + 1, 413), (LIMIT * 5000, 413)])
def test_gzip_counts_unpacked(small, size, status):
    packed = gzip.compress(body(size))
    answer = small.post(PATH, data=packed[:LIMIT * 8], headers={"Content-Encoding": "gzip"})
    assert answer.status_code == status


def test_a_gzip_bomb_costs_no_memory(small):
    bomb = gzip.compress(b"\0" * 3_000_000, 9)  # 1000 : 1
    assert len(bomb) < LIMIT
    assert small.post(PATH, data=bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


PACKED = gzip.compress(body(100))


@pytest.mark.parametrize("data", [b"not gzip", PACKED[:-1], PACKED + b"tail", b"\x1f\x8b"])
def test_broken_gzip_is_400(small, data):
    answer = small.post(PATH, data=data, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400 and "gzip" in answer.json()["error"]


@pytest.mark.parametrize("encoding, status", [("br", 415), ("deflate", 415), ("gzip, gzip", 415),
                                              ("identity", 200), ("GZIP", 400)])
def test_other_content_encodings_are_415(small, encoding, status):
    answer = small.post(PATH, data=body(100), headers={"Content-Encoding": encoding})
    assert answer.status_code == status
    if status == 415:
        assert "gzip" in answer.headers["Accept-Encoding"]


@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "application/x-www-form-urlencoded",
                                  "image/jpeg", "nonsense"])
def test_any_content_type_will_do(small, kind):
    assert small.post(PATH, data=body(100), headers={"Content-Type": kind} if kind else {}).status_code == 200


def test_who_asks_before_sending_is_told_before_sending(small):
    start, expect = f"POST {PATH}?api_key={small.key} HTTP/1.1\r\nHost: x\r\n", "Expect: 100-continue\r\n\r\n"
    with small.connect() as s:
        s.sendall(f"{start}Content-Length: 100000000\r\n{expect}".encode())
        answer = read_all(s)
        assert answer.startswith(b"HTTP/1.1 413 ") and b"100 Continue" not in answer
    with small.connect() as s:
        s.sendall(f"{start}Content-Length: 100\r\n{expect}".encode())
        assert s.recv(1000).startswith(b"HTTP/1.1 100 ")
        s.sendall(body(100))
        assert s.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_the_answer_arrives_though_the_client_goes_on_sending(small):
    with small.connect() as s:
        s.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n".encode())
        for _ in range(500):
            s.sendall(b" " * 10000)
        answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"<RESET>" not in answer


def test_a_body_where_none_is_wanted_is_dropped_up_to_64_kib(small):
    assert small.request("GET", "/info", data=b"x" * 65536).status_code == 200
    assert small.request("GET", "/info", data=b"x" * 65537).status_code == 413
    assert small.request("POST", "/info", data=b"x" * 65536).status_code == 405
    with small.connect() as s:  # the connection lives on after a dropped body
        s.sendall(b"POST /no/such/path/here HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                  b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"healthy" in answer


def test_target_headers_query_and_segments(small):
    assert small.get("/info?x=" + "y" * (8192 - 8), anonymous=True).status_code == 200
    assert small.get("/info?x=" + "y" * (8192 - 7), anonymous=True).status_code == 414
    assert small.get("/info", headers={"X-Long": "y" * 15000}, anonymous=True).status_code == 200
    assert small.get("/info", headers={"X-Long": "y" * 16384}, anonymous=True).status_code == 431
    assert small.get("/info", headers={"X-Long": "y" * 100000}, anonymous=True).status_code in (413, 431)
    assert small.get("/info?" + "&".join("x" * 128), anonymous=True).status_code == 200
    assert small.get("/info?" + "&".join("x" * 129), anonymous=True).status_code == 400
    assert small.get("/a" * 17, anonymous=True).status_code == 400


@pytest.mark.parametrize("request_bytes", [
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /info\r\n\r\n", b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50,
    b"GET /info HTTP/1.1\r\n\r\n", b"GET /info HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /\0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /info HTTP/1.1\r\nHost: x\r\nX: \0\r\nConnection: close\r\n\r\n",
])
def test_what_is_no_request_does_no_harm(small, request_bytes):
    with small.connect() as s:
        s.sendall(request_bytes)
        s.shutdown(socket.SHUT_WR)
        answer = read_all(s)
    assert b"HTTP/1.1 5" not in answer or b"HTTP/1.1 50" in answer
    assert small.get("/healthz", anonymous=True).status_code == 200


def test_a_slow_client_is_closed_after_the_idle_timeout_and_others_are_served(make_server):
    s = make_server(idle_timeout_s=1)
    began = time.monotonic()
    slow = [s.connect() for _ in range(8)]
    begun = [b"", b"GET /in", b"GET /info HTTP/1.1\r\nHos",
             b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"]
    for i, client in enumerate(slow):
        client.sendall(begun[i % 4])
    assert s.get("/healthz", anonymous=True).status_code == 200
    for client in slow:
        assert b"200 OK" not in read_all(client)
        client.close()
    assert 0.5 < time.monotonic() - began < 10


def test_a_client_that_leaves_in_the_middle_of_a_body(small):
    head = f"POST {PATH}?api_key={small.key} HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n".encode()
    for cut in range(0, 60, 7):
        with small.connect() as s:
            s.sendall(head + body(60)[:cut])
    assert small.get("/healthz", anonymous=True).status_code == 200


def test_clients_that_leave_while_their_write_is_on_its_way(small):
    data = json.dumps({"data": [{"inference_ids": ["gone"], "field_name": "f", "field_value": "v"}]}).encode()
    head = f"POST {PATH}?api_key={small.key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    for _ in range(100):
        with small.connect() as s:
            s.sendall(head + data)
    assert small.post(PATH, data=data).status_code == 200


def test_more_connections_than_allowed_wait_or_are_closed(small):
    crowd = [small.connect() for _ in range(60)]
    for s in crowd:
        s.close()
    wait_for(lambda: small.get("/healthz", anonymous=True).ok)


# --- what a proxy in front could read differently


@pytest.mark.parametrize("headers", ["Content-Length: 2\r\nContent-Length: 3\r\n", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"])
def test_a_body_with_two_lengths_is_refused(server, headers):
    answer = server.raw(f"POST /test/inference-stats/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{{}}x".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_http_1_1_without_a_host_is_refused(server):
    assert server.raw(b"GET /info HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 400 ")
