"""Who may do what: where a key may stand, which one decides, in which order faults are told, and the session cookie."""
import time
import uuid

import pytest
import requests
from client import b64, image, picture
from conftest import wait_for
from workspaces import OTHER, other_key

NO_KEYS = ["", "None"]
GOOD = {"data": [{"inference_ids": ["x"], "field_name": "a", "field_value": "b"}]}


@pytest.fixture(scope="module")
def server(fleet):
    """With a second workspace, `other`."""
    s = fleet.make()
    other_key(s)
    return s


def call(server, method, path, query=None, bearer=None, body=None, **more):
    headers = {"Authorization": "Bearer " + bearer} if bearer is not None else {}
    return requests.request(method, server.url + path, params=query, headers={**headers, **more.pop("headers", {})}, json=body, timeout=30,
                            allow_redirects=False, **more)


def infer_body(**more):
    return {"model_id": "coco/24", "image": image(picture("rgb.png")), **more}


# Every route that needs a key, with a call that is good but for the key: (method, path, body, where the text of the error is)
GUARDED = [
    ("GET", "/?api_key=None", None, "error"),
    ("POST", "/", {}, "error"),
    ("GET", "/api/v1/session", None, "error"),
    ("GET", "/api/v1/server", None, "error"),
    ("DELETE", "/api/v1/first-key", None, "error"),
    ("POST", "/api/v1/test/inferences", {"model_id": "m"}, "error"),
    ("GET", "/api/v1/test/inferences", None, "error"),
    ("GET", "/api/v1/test/inferences/count", None, "error"),
    ("GET", "/api/v1/test/inferences/x", None, "error"),
    ("GET", "/api/v1/test/inferences/x/image", None, "error"),
    ("GET", "/api/v1/test/inferences/x/thumbnail", None, "error"),
    ("GET", "/api/v1/test/fields", None, "error"),
    ("GET", "/api/v1/test/stats", None, "error"),
    ("GET", "/api/v1/test/shifts", None, "error"),
    ("PUT", "/api/v1/test/shifts", {"shifts": []}, "error"),
    ("PATCH", "/api/v1/test/inferences/x/metadata", {"y": 1}, "error"),
    ("GET", "/api/v1/test/pending", None, "error"),
    ("GET", "/api/v1/test/retention", None, "error"),
    ("PUT", "/api/v1/test/retention", {"days": 5}, "error"),
    ("GET", "/api/v1/test/keys", None, "error"),
    ("POST", "/api/v1/test/keys", {"name": "x"}, "error"),
    ("DELETE", "/api/v1/test/keys/99", None, "error"),
    ("GET", "/api/v1/test/views", None, "error"),
    ("POST", "/api/v1/test/views", {"name": "x", "page": "inferences"}, "error"),
    ("PUT", "/api/v1/test/views/x", {"name": "x"}, "error"),
    ("DELETE", "/api/v1/test/views/x", None, "error"),
    ("GET", "/api/v1/test/markers", None, "error"),
    ("POST", "/api/v1/test/markers", {"text": "x"}, "error"),
    ("PUT", "/api/v1/test/markers/1", {"text": "x"}, "error"),
    ("DELETE", "/api/v1/test/markers/1", None, "error"),
    ("GET", "/api/v1/test/activity", None, "error"),
    ("PUT", "/api/v1/test/inferences/x/metadata/y", {"value": 1}, "error"),
    ("DELETE", "/api/v1/test/inferences/x/metadata/y", None, "error"),
    ("POST", "/test/inference-stats/metadata", GOOD, "error"),
    ("GET", "/model/registry", None, "message"),
    ("POST", "/model/add", {"model_id": "coco/24"}, "message"),
    ("POST", "/infer/object_detection", infer_body(), "message"),
    ("POST", "/coco/24", "base64", "message"),
    ("GET", "/coco/24", "base64", "message"),
    ("GET", "/test/dataset", None, "message"),
]
WORKSPACE_ROUTES = [g for g in GUARDED if "test/inferences" in g[1] or g[1].startswith(("/test/inference-stats", "/api/v1/test/"))]


def ids(routes):
    return [f"{method} {path}" for method, path, *_ in routes]


def send_guarded(server, method, path, body, **more):
    if body == "base64":
        headers = {"Content-Type": "text/plain", **more.pop("headers", {})}
        bearer = more.pop("bearer", None)
        if bearer is not None:
            headers["Authorization"] = "Bearer " + bearer
        return requests.request(method, server.url + path, params=more.pop("query", None), data=b64(picture("rgb.png")), headers=headers, timeout=30)
    return call(server, method, path, body=body, **more)


@pytest.mark.parametrize("method, path, body, name", GUARDED, ids=ids(GUARDED))
def test_no_key_and_a_wrong_key_are_401_in_the_shape_of_the_route(server, method, path, body, name):
    wrong = "sg_wrong"
    answers = [send_guarded(server, method, path, body), send_guarded(server, method, path, body, bearer=wrong)]
    answers += [send_guarded(server, method, path, body, bearer=none) for none in NO_KEYS]
    if "?" not in path:
        answers += [send_guarded(server, method, path, body, query={"api_key": key}) for key in (wrong, *NO_KEYS)]
    if isinstance(body, dict):
        answers += [send_guarded(server, method, path, {**body, "api_key": key}) for key in (wrong, None, "", "None", 5, ["x"], {"a": 1})]
    for answer in answers:
        assert answer.status_code == 401, answer.text
        assert list(answer.json()) == [name] and answer.json()[name] and answer.headers["WWW-Authenticate"] == "Bearer"
        assert wrong not in answer.text
    assert "`sightglass keys add`" in answers[1].text


@pytest.mark.parametrize("path", ["/", "/info", "/healthz", "/readiness", "/readyz"])
def test_open_without_a_key(server, path):
    assert call(server, "GET", path).status_code == 200
    assert call(server, "GET", path, bearer="sg_wrong").status_code == 200


@pytest.mark.parametrize("method, path, body, name", [g for g in GUARDED if "?" not in g[1]], ids=ids([g for g in GUARDED if "?" not in g[1]]))
def test_a_key_in_query_bearer_or_body(server, method, path, body, name):
    places = [{"query": {"api_key": server.key}}, {"bearer": server.key}, {"query": {"api_key": server.key}, "bearer": server.key},
              {"query": {"api_key": "None"}, "bearer": server.key}, {"headers": {"Authorization": f"bearer   {server.key} "}}]
    for place in places:
        assert send_guarded(server, method, path, body, **place).status_code not in (401, 500), place
    if isinstance(body, dict) and method != "GET":
        assert send_guarded(server, method, path, {**body, "api_key": server.key}).status_code not in (401, 500)
        none = {"query": {"api_key": "None"}, "bearer": ""}
        assert send_guarded(server, method, path, {**body, "api_key": server.key}, **none).status_code not in (401, 500)


def test_the_first_key_that_is_present_decides(server):
    path, good, bad = "/test/inference-stats/metadata", server.key, "sg_wrong"
    cases = [  # query, Bearer, body -> status
        (good, bad, bad, 200), (bad, good, good, 401), (None, good, bad, 200), (None, bad, good, 401), (None, None, good, 200),
        ("None", good, bad, 200), ("", "None", good, 200), ("None", "None", None, 401), (OTHER, good, good, 401),
    ]
    for query, bearer, body, status in cases:
        answer = call(server, "POST", path, query=None if query is None else {"api_key": query}, bearer=bearer, body={**GOOD, "api_key": body})
        assert answer.status_code == status, (query, bearer, body)


@pytest.mark.parametrize("header", ["{key}", "Basic {key}", "Bearer", "Bearer\t{key}", "BearerX {key}", "Token {key}"])
def test_other_schemes_are_no_key(server, header):
    answer = call(server, "GET", "/api/v1/session", headers={"Authorization": header.format(key=server.key)})
    assert answer.status_code == 401


# --- another workspace

@pytest.mark.parametrize("method, path, body, name", WORKSPACE_ROUTES, ids=ids(WORKSPACE_ROUTES))
def test_anothers_workspace_is_401_and_says_not_whether_it_exists(server, method, path, body, name):
    there = call(server, method, path.replace("/test/", "/other/"), bearer=server.key, body=body)
    nowhere = call(server, method, path.replace("/test/", "/nowhere/"), bearer=server.key, body=body)
    assert there.status_code == nowhere.status_code == 401
    assert there.json() == nowhere.json() and "'test'" in there.json()["error"] and "put that name there" in there.json()["error"]
    assert {k: v for k, v in there.headers.items() if k not in ("X-Request-ID", "Date")} == {
        k: v for k, v in nowhere.headers.items() if k not in ("X-Request-ID", "Date")}


def test_workspaces_share_nothing(server):
    inference_id = str(uuid.uuid4())
    for key, workspace in ((server.key, "test"), (OTHER, "other")):
        answer = call(server, "POST", f"/api/v1/{workspace}/inferences", bearer=key, body={"model_id": "m", "inference_id": inference_id})
        assert answer.json()["results"][0]["status"] == "created"  # though the other one has that id
        call(server, "PUT", f"/api/v1/{workspace}/inferences/{inference_id}/metadata/whose", bearer=key, body={"value": workspace})
    for key, workspace in ((server.key, "test"), (OTHER, "other")):
        found = call(server, "GET", f"/api/v1/{workspace}/inferences/{inference_id}", bearer=key).json()
        assert found["metadata"] == {"whose": workspace} and found["siblings"] == []
    only = str(uuid.uuid4())
    call(server, "POST", "/api/v1/other/inferences", bearer=OTHER, body={"model_id": "secret/1", "inference_id": only, "metadata": {"secret": only}})
    assert call(server, "GET", f"/api/v1/test/inferences/{only}", bearer=server.key).status_code == 404
    for path in ("inferences", "fields", "stats", "inferences/count?filter=secret:" + only):
        text = call(server, "GET", "/api/v1/test/" + path, bearer=server.key).text
        assert only not in text and "secret/1" not in text and ("count" not in path or '"count":0' in text)


# --- which fault is told first

@pytest.mark.parametrize("method, path, body", [
    ("POST", "/test/inference-stats/metadata", '{"data": 5}'),
    ("POST", "/test/inference-stats/metadata", '{"data": [], "api_key": "sg_wrong"}'),
    ("POST", "/api/v1/test/inferences", "{"),
    ("POST", "/api/v1/test/inferences", '{"nonsense": 1}'),
    ("PUT", "/api/v1/test/inferences/x/metadata/y", "not JSON"),
    ("PUT", "/api/v1/test/inferences/x/metadata/" + "y" * 300, '{"value": 1}'),
    ("POST", "/infer/object_detection", "not JSON"), ("POST", "/infer/object_detection", "[]"), ("POST", "/infer/object_detection", "{}"),
    ("POST", "/model/add", "not JSON"), ("POST", "/model/add", "{}"),
    ("POST", "/coco/24", "not base64"), ("POST", "/coco/24?confidence=high", "aGk="), ("GET", "/coco/24?image=http://x/y", ""),
    ("GET", "/api/v1/test/inferences?limit=many", ""), ("GET", "/api/v1/test/inferences?filter=((", ""), ("GET", "/api/v1/test/stats?bucket=x", ""),
    ("POST", "/", "not JSON"),
])
def test_401_comes_before_400(server, method, path, body):
    for more in ({}, {"headers": {"Authorization": "Bearer sg_wrong"}}):
        answer = requests.request(method, server.url + path, data=body, timeout=30, **more)
        assert answer.status_code == 401, answer.text


def test_but_a_metadata_body_that_is_not_json_may_have_held_the_key(server):
    path, body = "/test/inference-stats/metadata", '{"api_key": "%s", "data": [' % server.key
    answer = call(server, "POST", path, data=body)
    assert answer.status_code == 400 and answer.json()["error"] == "Invalid request" and "not JSON" in answer.json()["details"]
    assert call(server, "POST", path, data=body, bearer="sg_wrong").status_code == 401
    assert call(server, "POST", path, data=body, bearer=server.key).status_code == 400


# --- keys come and go while it runs

def test_a_new_key_works_and_a_revoked_one_stops_within_a_second(server):
    key = server.keys("add", "--name", "line 3").stdout.strip()
    wait_for(lambda: call(server, "GET", "/api/v1/session", bearer=key).ok, seconds=1)
    assert call(server, "GET", "/api/v1/session", bearer=key).json()["key"]["name"] == "line 3"
    call(server, "PUT", "/api/v1/test/inferences/by-key/metadata/a", bearer=key, body={"value": 1})
    number = call(server, "GET", "/api/v1/session", bearer=key).json()["key"]["id"]
    began = time.monotonic()
    assert server.keys("revoke", str(number)).returncode == 0
    wait_for(lambda: call(server, "GET", "/api/v1/session", bearer=key).status_code == 401, seconds=1)
    assert time.monotonic() - began < 2
    assert call(server, "POST", "/test/inference-stats/metadata", body={**GOOD, "api_key": key}).status_code == 401
    history = call(server, "GET", "/api/v1/test/inferences/by-key", bearer=server.key).json()["metadata_history"]
    assert [h["by"] for h in history] == ["line 3"]  # who wrote it is still known
    assert call(server, "GET", "/api/v1/session", bearer=server.key).ok


def test_a_fleet_keeps_its_key(server):
    key = "rf_" + uuid.uuid4().hex
    assert server.keys("add", "--stdin", stdin=key + "\n").returncode == 0
    wait_for(lambda: call(server, "POST", "/test/inference-stats/metadata", body={"data": [], "api_key": key}).ok, seconds=1)


def test_keys_are_kept_as_hashes(server):
    held = b"".join(p.read_bytes() for p in server.data.rglob("*") if p.is_file())
    assert server.key.encode() not in held and OTHER.encode() not in held


# --- the cookie

@pytest.fixture
def cookie(server):
    answer = call(server, "POST", "/api/v1/session", body={"key": server.key})
    assert answer.status_code == 200
    text = answer.headers["Set-Cookie"]
    assert "HttpOnly" in text and "SameSite=Strict" in text and "Path=/" in text and server.key not in text
    return {"Cookie": text.split(";")[0]}


def origin(server):
    return server.url


def test_the_cookie_reads_without_an_origin(server, cookie):
    for path in ("/api/v1/session", "/api/v1/server", "/api/v1/test/inferences", "/api/v1/test/fields", "/api/v1/test/stats"):
        assert call(server, "GET", path, headers=cookie).status_code == 200
        assert call(server, "HEAD", path, headers=cookie).status_code == 200
    assert call(server, "GET", "/api/v1/other/inferences", headers=cookie).status_code == 401


@pytest.mark.parametrize("method, path, body", [
    ("PUT", "/api/v1/test/inferences/x/metadata/y", {"value": 1}), ("DELETE", "/api/v1/test/inferences/x/metadata/y", None),
    ("POST", "/api/v1/test/inferences", [])])
def test_a_change_by_cookie_needs_an_origin_of_this_host(server, cookie, method, path, body):
    def send(**headers):
        return call(server, method, path, body=body, headers={**cookie, **headers}).status_code
    assert send(Origin=server.url) == 200
    assert send(Origin=server.url.replace("http:", "https:")) == 200  # a proxy in front speaks TLS
    for bad in (None, "", "null", "http://evil.example", server.url + ".evil.example", "http://127.0.0.1", "file://", server.url + "/", "//" + server.url[7:]):
        assert send(**({} if bad is None else {"Origin": bad})) == 401, bad
    assert send(Origin="http://evil.example", Authorization=f"Bearer {server.key}") == 200  # a key is no cookie


def test_where_any_origin_may_call_the_cookie_is_no_key(server, cookie):
    headers = {**cookie, "Origin": server.url}
    assert call(server, "POST", "/test/inference-stats/metadata", body=GOOD, headers=headers).status_code == 401
    assert call(server, "POST", "/infer/object_detection", body=infer_body(), headers=headers).status_code == 401
    assert call(server, "GET", "/model/registry", headers=headers).status_code == 401


def test_a_key_beats_the_cookie(server, cookie):
    assert call(server, "GET", "/api/v1/session", headers=cookie, bearer=OTHER).json()["workspace"] == "other"
    assert call(server, "GET", "/api/v1/session", headers=cookie, bearer="sg_wrong").status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"{}", b'{"key": 5}', b'{"key": null}', b'{"key": ""}', b'{"key": "None"}', b'{"key": "sg_wrong"}'])
def test_bad_sign_ins(server, body):
    answer = requests.post(server.url + "/api/v1/session", data=body, timeout=30)
    assert answer.status_code in (400, 401) and answer.json()["error"] and "Set-Cookie" not in answer.headers


# --- inference open to all

def test_open_inference(make_server):
    s = make_server(open_inference="test")
    for key in (None, "", "None"):
        answer = call(s, "POST", "/infer/object_detection", body=infer_body(api_key=key))
        assert answer.status_code == 200
        record = call(s, "GET", f"/api/v1/test/inferences/{answer.json()['inference_id']}", bearer=s.key)
        assert record.status_code == 200
    assert send_guarded(s, "POST", "/coco/24", "base64").status_code == 200
    assert call(s, "GET", "/model/registry", query={"api_key": "None"}).status_code == 200
    assert call(s, "POST", "/model/add", body={"model_id": "coco/24", "api_key": None}).status_code == 200
    # a key that is there must be good, and nothing else is open
    assert call(s, "POST", "/infer/object_detection", body=infer_body(api_key="sg_wrong")).status_code == 401
    assert call(s, "GET", "/model/registry", query={"api_key": "sg_wrong"}).status_code == 401
    assert call(s, "POST", "/test/inference-stats/metadata", body=GOOD).status_code == 401
    assert call(s, "GET", "/api/v1/test/inferences").status_code == 401


def test_open_inference_into_a_workspace_that_is_not_there_stays_shut(make_server):
    s = make_server(open_inference="nowhere")
    assert call(s, "POST", "/infer/object_detection", body=infer_body()).status_code == 401
