"""Paths, methods, HEAD, OPTIONS and CORS over the wire. Which route wins where paths collide is held by
tests/unit/test_routes.c."""
import pytest


@pytest.mark.parametrize("path", ["/info", "//info", "/info/", "///info//", "/info?x=1&y", "/%69nfo"])
def test_doubled_slashes_are_one(server, path):
    answer = server.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"Sightglass" in body


PATHS = ["/{}", "/{}/24", "/coco/{}", "/{}/inference-stats/metadata", "/api/v1/{}/fields",
         "/api/v1/test/inferences/{}", "/api/v1/test/inferences/{}/image",
         "/api/v1/test/inferences/some-id/metadata/{}", "/ui/{}", "/ui/assets/{}/x"]
SEGMENTS = ["..", ".", "%2e%2e", "%2E.", ".%2e", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%ff", "%c0%ae", "%zz", "%"]


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("path", PATHS)
def test_no_segment_leads_out(server, path, segment):
    headers = f"Host: x\r\nAuthorization: Bearer {server.key}\r\nConnection: close\r\n\r\n"
    answer = server.raw(f"GET {path.format(segment)} HTTP/1.1\r\n{headers}".encode())
    page = path == "/ui/{}" and b"<title>Sightglass</title>" in answer  # what is no file there is the dashboard
    assert page or answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 404", b"HTTP/1.1 405"), answer
    assert b"root:" not in answer


def test_unknown_paths_are_404_in_json(server):
    answer = server.get("/no/such/path/here", anonymous=True)
    assert answer.status_code == 404 and set(answer.json()) == {"error"} and "/openapi.json" in answer.json()["error"]
    assert server.get("/openapi.json", anonymous=True).status_code == 200


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/info", "GET, HEAD, OPTIONS"),
    ("DELETE", "/", "GET, HEAD, POST, OPTIONS"),
    ("PATCH", "/api/v1/session", "GET, HEAD, POST, DELETE, OPTIONS"),
    ("GET", "/test/inference-stats/metadata", "POST, OPTIONS"),
    ("GET", "/model/add", "POST, OPTIONS"),
])
def test_a_wrong_method_is_405_with_allow(server, method, path, allow):
    answer = server.request(method, path)
    assert answer.status_code == 405 and answer.headers["Allow"] == allow and allow in "".join(answer.json().values())


@pytest.mark.parametrize("path", ["/", "/info", "/healthz", "/nothing/to/see", "/api/v1/server", "/model/registry"])
def test_head_is_get_without_the_body(server, path):
    get, head = server.get(path), server.request("HEAD", path)
    assert head.status_code == get.status_code and head.content == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("path, allow", [("/info", "GET, HEAD, OPTIONS"),
                                         ("/api/v1/session", "GET, HEAD, POST, DELETE, OPTIONS"),
                                         ("/test/inference-stats/metadata", "POST, OPTIONS")])
def test_options_is_204_with_allow_and_needs_no_key(server, path, allow):
    answer = server.request("OPTIONS", path, anonymous=True)
    assert answer.status_code == 204 and answer.headers["Allow"] == allow and answer.content == b""
    assert server.request("OPTIONS", "/no/such/path/here", anonymous=True).status_code == 404


@pytest.mark.parametrize("method, path", [("POST", "/test/inference-stats/metadata"), ("GET", "/model/registry"),
                                          ("POST", "/infer/object_detection"), ("POST", "/coco/24")])
def test_pages_of_other_hosts_may_call_inference_and_metadata(server, method, path):
    asked = {"Origin": "http://hmi.plant", "Access-Control-Request-Method": method,
             "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = server.request("OPTIONS", path, headers=asked, anonymous=True)
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert method in preflight.headers["Access-Control-Allow-Methods"]
    allowed = preflight.headers["Access-Control-Allow-Headers"].lower()
    assert "authorization" in allowed and "content-type" in allowed
    refused = server.request(method, path, headers={"Origin": "http://hmi.plant"}, json={}, anonymous=True)
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "*"  # so that the page can read why
    assert "Access-Control-Allow-Credentials" not in refused.headers


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/test/inferences", "/"])
def test_pages_of_other_hosts_may_not_call_the_own_api(server, path):
    for method in ("OPTIONS", "GET"):
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        answer = server.request(method, path, headers=asked)
        assert not [h for h in answer.headers if h.lower().startswith("access-control-")]


def test_the_cookie_counts_only_where_other_hosts_may_not_call(server):
    answer = server.post("/api/v1/session", json={"key": server.key}, anonymous=True)
    server.http.cookies.clear()
    held = {"Cookie": answer.headers["Set-Cookie"].split(";")[0], "Origin": server.url}
    assert server.get("/api/v1/test/fields", headers=held, anonymous=True).status_code == 200
    refused = server.post("/test/inference-stats/metadata", json={"data": []}, headers=held, anonymous=True)
    assert refused.status_code == 401
