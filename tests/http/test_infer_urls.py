"""Pictures told by URL: `image=` on the legacy route and {"type": "url"} on v1, from a fake https server on 127.0.0.1. Only
image_url_private lets the program go there; what would be refused without it is tested as well."""
import http.server
import ssl
import threading
import time

import pytest
from client import DOG_SIZE, image, photo, picture
from conftest import TOP

MODEL = "coco/24"
CAUSE = "Could not load input image. Cause: "
CERTIFICATE, KEY = TOP / "tests/data/tls/localhost.pem", TOP / "tests/data/tls/localhost.key"


class Host(http.server.ThreadingHTTPServer):
    """Serves what is in .pages: path -> (status, headers, body) or a function of the handler; .seen has every request."""
    daemon_threads = True

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                self.seen.append((handler.path, dict(handler.headers)))
                page = self.pages.get(handler.path.split("?")[0], (404, {}, b"nothing here"))
                if callable(page):
                    return page(handler)
                status, headers, body = page
                handler.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    handler.send_header(name, value)
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *args):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.pages, self.seen, self.port = {}, [], self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path, host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def handle_error(self, *args):  # clients that hang up, on purpose
        pass


@pytest.fixture(scope="module")
def host():
    host = Host()
    host.pages = {
        "/dog.jpg": (200, {"Content-Type": "image/jpeg"}, photo("dog.jpg")),
        "/text": (200, {}, b"no picture"), "/empty": (200, {}, b""),
        "/moved": (302, {"Location": "/dog.jpg"}, b"<html>moved</html>"),
        "/round": (302, {"Location": "/round"}, b""),
        "/to-address": (302, {"Location": host.url("/dog.jpg", "127.0.0.1")}, b""),
        "/to-http": (302, {"Location": "http://localhost/dog.jpg"}, b""),
        "/to-file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/to-other": (302, {"Location": "https://other.test/dog.jpg"}, b""),
        "/to-other-port": (302, {"Location": "https://localhost:1/dog.jpg"}, b""),
        "/to-user": (302, {"Location": f"https://me:secret@localhost:{host.port}/dog.jpg"}, b""),
        "/hops0": (302, {"Location": "/hops1"}, b""), "/hops1": (301, {"Location": "/hops2"}, b""),
        "/hops2": (307, {"Location": "/dog.jpg"}, b""), "/hops-": (302, {"Location": "/hops0"}, b""),
    }
    yield host
    host.shutdown()
    host.server_close()


@pytest.fixture(scope="module")
def server(host, fleet):
    return fleet.make(image_url_hosts=f"images.example.com,localhost:{host.port}", image_url_private=1, image_url_ca=CERTIFICATE,
                      image_url_timeout_s=2, max_body_inference="1M", keep_images="all")


def v1(server, url, status=200):
    answer = server.post("/infer/object_detection", json={"model_id": MODEL, "image": {"type": "url", "value": url}})
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(server, url, cause):
    assert v1(server, url, 400)["message"].startswith(CAUSE + cause)


def test_both_routes_fetch(server, host):
    by_v1 = v1(server, host.url("/dog.jpg"))
    assert by_v1["image"] == DOG_SIZE and {"dog", "bicycle"} <= {p["class"] for p in by_v1["predictions"]}
    for method in ("GET", "POST"):
        by_query = server.request(method, "/" + MODEL, params={"image": host.url("/dog.jpg")})
        assert by_query.status_code == 200 and len(by_query.json()["predictions"]) == len(by_v1["predictions"])
    both = server.post("/" + MODEL, params={"image": host.url("/dog.jpg")}, data="the body counts for nothing")
    assert both.json()["image"] == DOG_SIZE
    record = server.get(f"/api/v1/{server.workspace}/inferences/{by_v1['inference_id']}").json()
    assert server.get(record["image"]["url"]).content == photo("dog.jpg")


def test_in_a_batch_too(server, host):
    mixed = [image(picture("rgb.png")), {"type": "URL", "value": host.url("/dog.jpg")}]
    answers = server.post("/infer/object_detection", json={"model_id": MODEL, "image": mixed}).json()
    assert [a["image"]["width"] for a in answers] == [32, 768]
    mixed[1]["value"] = host.url("/nothing")
    answer = server.post("/infer/object_detection", json={"model_id": MODEL, "image": mixed})
    assert answer.status_code == 400 and answer.json()["message"] == CAUSE + "The URL answered with status 404. (image 2 of 2)"


def test_nothing_of_the_request_is_told_to_the_host(server, host):
    host.seen.clear()
    v1(server, host.url("/dog.jpg?x=1"))
    [(path, headers)] = host.seen
    assert path == "/dog.jpg?x=1" and server.key not in str(headers) and "Cookie" not in headers and "Authorization" not in headers
    assert headers["User-Agent"].startswith("sightglass/")


def test_what_cannot_be_decoded(server, host):
    refused(server, host.url("/text"), "Data pointed by URL could not be decoded into image.")
    refused(server, host.url("/empty"), "Data pointed by URL could not be decoded into image.")


def test_redirects_are_followed_and_held_to_the_same(server, host):
    assert v1(server, host.url("/moved"))["image"] == DOG_SIZE
    assert v1(server, host.url("/hops0"))["image"] == DOG_SIZE  # three
    refused(server, host.url("/hops-"), "The URL was redirected over 3 times.")
    refused(server, host.url("/round"), "The URL was redirected over 3 times.")
    refused(server, host.url("/to-address"), "Providing images via URL without FQDN is not supported")
    refused(server, host.url("/to-http"), "Providing images via non https:// URL is not supported")
    refused(server, host.url("/to-file"), "Providing images via non https:// URL is not supported")
    refused(server, host.url("/to-other"), "other.test:443 is not among the hosts")
    refused(server, host.url("/to-other-port"), "localhost:1 is not among the hosts")
    refused(server, host.url("/to-user"), "The URL has a user name in it")


def test_hosts_that_are_not_allowed_are_never_asked(server, host):
    host.seen.clear()
    refused(server, host.url("/dog.jpg", "127.0.0.1"), "Providing images via URL without FQDN is not supported")
    refused(server, f"http://localhost:{host.port}/dog.jpg", "Providing images via non https:// URL is not supported")
    refused(server, "https://localhost/dog.jpg", "localhost:443 is not among the hosts")
    answer = server.get("/" + MODEL, params={"image": "https://other.test/a.jpg"})
    assert answer.status_code == 400 and "other.test:443 is not among the hosts" in answer.json()["message"]
    assert host.seen == []


def test_the_url_is_looked_at_before_the_model(server, host):
    """The original's order of checks."""
    answer = server.get("/nobody/1", params={"image": "https://other.test/a.jpg"})
    assert answer.status_code == 400 and answer.json()["message"].startswith(CAUSE)
    assert server.get("/nobody/1", params={"image": host.url("/dog.jpg")}).status_code == 404


def test_a_failure_is_a_record(server):
    body = {"model_id": MODEL, "id": "by-url", "image": {"type": "url", "value": "https://other.test/a.jpg"}}
    message = server.post("/infer/object_detection", json=body).json()["message"]
    assert server.get(f"/api/v1/{server.workspace}/inferences/by-url").json()["error"] == message


@pytest.mark.parametrize("told", [True, False], ids=["told", "not-told"])
def test_size_has_a_limit(server, host, told):
    def endless(handler):
        handler.send_response(200)
        if told:
            handler.send_header("Content-Length", str(10 << 20))
        handler.end_headers()
        for _ in range(160):
            handler.wfile.write(bytes(65536))
    host.pages["/large"] = endless
    refused(server, host.url("/large"), "The picture at the URL has over 1048576 bytes, the limit.")


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "dripping"])
def test_time_has_a_limit(server, host, drip):
    gone = threading.Event()

    def slow(handler):
        handler.send_response(200)
        handler.end_headers()
        while not gone.wait(0.05):
            handler.wfile.write(drip)
    host.pages["/slow"] = slow
    start = time.monotonic()
    refused(server, host.url("/slow"), "The URL gave no whole answer within 2 s")
    assert time.monotonic() - start < 20
    gone.set()


def test_a_slow_host_keeps_no_model_waiting(make_server, host):
    """All threads that fetch are held; a picture in the body goes through."""
    s = make_server(image_url_hosts=f"localhost:{host.port}", image_url_private=1, image_url_ca=CERTIFICATE, image_url_timeout_s=30,
                    inference_threads=1)
    release, held = threading.Event(), threading.Semaphore(0)

    def hold(handler):
        held.release()
        release.wait(20)
        handler.send_response(404)
        handler.end_headers()
    host.pages["/hold"] = hold
    waiting = [threading.Thread(target=v1, args=(s, host.url("/hold"), 400)) for _ in range(4)]
    for t in waiting:
        t.start()
    for _ in range(4):
        assert held.acquire(timeout=20)
    answer = s.post("/infer/object_detection", json={"model_id": MODEL, "image": image(picture("rgb.png"))})
    assert answer.status_code == 200
    release.set()
    for t in waiting:
        t.join(20)


def test_without_a_certificate_that_counts(make_server, host):
    s = make_server(image_url_hosts=f"localhost:{host.port}", image_url_private=1)
    host.seen.clear()
    refused(s, host.url("/dog.jpg"), "The URL could not be fetched: SSL peer certificate")
    assert host.seen == []


def test_private_addresses_are_refused_when_the_connection_is_made(make_server, host):
    """The name is allowed; that it leads to this machine shows only then."""
    s = make_server(image_url_hosts=f"localhost:{host.port},127.0.0.1:{host.port}", image_url_ca=CERTIFICATE)
    host.seen.clear()
    refused(s, host.url("/dog.jpg"), "The URL's host has an address that is not public")
    refused(s, host.url("/dog.jpg", "127.0.0.1"), "The URL's host has an address that is not public")
    assert host.seen == []


def test_no_proxy_of_the_environment(make_server, host, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    s = make_server(image_url_hosts=f"localhost:{host.port}", image_url_private=1, image_url_ca=CERTIFICATE)
    assert v1(s, host.url("/dog.jpg"))["image"] == DOG_SIZE


def test_a_host_that_is_not_there(make_server):
    s = make_server(image_url_hosts="localhost:1", image_url_private=1)
    refused(s, "https://localhost:1/x", "The URL could not be fetched: Couldn't connect to server")


def test_stopping_does_not_wait_for_a_slow_host(make_server, host):
    s = make_server(image_url_hosts=f"localhost:{host.port}", image_url_private=1, image_url_ca=CERTIFICATE, image_url_timeout_s=300)
    release, held = threading.Event(), threading.Event()

    def hold(handler):
        held.set()
        release.wait(25)
    host.pages["/stop"] = hold
    asked = threading.Thread(target=lambda: pytest.raises(Exception, v1, s, host.url("/stop")))
    asked.start()
    assert held.wait(20)
    start = time.monotonic()
    assert s.stop() == 0
    assert time.monotonic() - start < 20
    release.set()
    asked.join(20)
