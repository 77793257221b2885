"""POST /usage/inference and GET /usage/plan (protocol 3.7): the only place where stock servers tell of failures."""
import copy
import json
import time

import pytest
from pingbacks import HEADERS, post
from workspaces import OTHER, other_key

KEY = "TESTKEY0123456789"
BEARER = HEADERS + f"Authorization: Bearer {KEY}\n"
RECORD = {"timestamp_start": 1795289949182019774, "timestamp_stop": 1795289949182020231, "exec_session_id": "1795289947715640771_45f9",
          "hostname": "5bce9", "ip_address_hash": "12ca1", "processed_frames": 2, "fps": 0, "source_duration": 0, "category": "model",
          "resource_id": "coco/24", "resource_details": "{\"billable\": true}", "hosted": False, "is_gpu_available": False,
          "python_version": "3.11.2", "inference_version": "1.5.0", "enterprise": False, "execution_duration": 0.5,
          "megapixel_buckets": {}, "api_key": KEY}
START = RECORD["timestamp_start"]
SPAN = {"from": "2026-11-21T19:00:00Z", "to": "2026-11-21T20:00:00Z", "bucket": 60}
MINUTE = "2026-11-21T19:39:00.000000Z"


@pytest.fixture
def server(make_server):
    return make_server(workspace="acme", api_key=KEY)


def failed(n=0, error="Could not load input image.", kind="InputImageLoadError", status=400, **more):
    details = {"billable": True, "error": error, "error_type": kind, "error_status_code": status}
    return {**RECORD, "timestamp_start": START + n, "resource_details": json.dumps(details), "processed_frames": 1, **more}


def send(server, records, status=200, headers=BEARER):
    code, answer = post(server, records, "/usage/inference", headers)
    assert code == status, answer
    return answer


def errors(server, workspace="acme", key=KEY, **more):
    answer = server.get(f"/api/v1/{workspace}/errors", key=key, params={**SPAN, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def stats(server, **more):
    answer = server.get("/api/v1/acme/stats", params={**SPAN, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_recorded_list_has_no_failure(server):
    assert send(server, [RECORD]) == {}
    assert errors(server)["errors"] == 0


def test_failures_are_counted_by_what_is_known_of_them(server):
    send(server, [RECORD, failed(1), failed(2, processed_frames=3, hostname="b5919"), failed(3, resource_id="cards/1", kind="ModelArtefactError", status=500,
                                                                                            error="gone")])
    got = errors(server)
    assert got["errors"] == 5 and got["prev_errors"] == 0
    assert [(m["resource_id"], m["errors"]) for m in got["resources"]] == [("cards/1", 1), ("coco/24", 4)]
    assert [(h["host"], h["errors"]) for h in got["hosts"]] == [("5bce9", 2), ("b5919", 3)]
    assert [(t["type"], t["errors"], t["message"]) for t in got["types"]] == [
        ("InputImageLoadError", 4, "Could not load input image."), ("ModelArtefactError", 1, "gone")]
    assert [(s["time"], s["errors"]) for s in got["series"] if s["errors"]] == [(MINUTE, 5)] and len(got["series"]) == 60
    assert got["types"][0]["last_seen"] == "2026-11-21T19:39:09.182019Z"


def test_the_same_again_counts_once_also_after_a_kill(server):
    send(server, [failed(1), failed(1)])
    server.kill9()
    server.start()
    send(server, [failed(1), failed(2), failed(1, resource_id="cards/1"), failed(1, exec_session_id="another")])
    assert errors(server)["errors"] == 4


def test_they_are_errors_in_the_statistics_but_no_requests(server):
    now = time.time_ns()
    item = {"inference_id": "a", "model_id": "coco/24", "time": SPAN["from"], "error": "broken"}
    assert server.post("/api/v1/acme/inferences", json=[item, {**item, "inference_id": "b", "error": None}]).status_code == 200
    send(server, [failed(1), failed(2), failed(3, resource_id="never/1"), failed(4, timestamp_start=now)])
    got = stats(server)
    assert got["current"]["inferences"] == 2 and got["current"]["errors"] == 4 and got["previous"]["errors"] == 0
    counts = ("inferences", "errors", "errors_counted")
    assert {m["model_id"]: tuple(m[k] for k in counts) for m in got["models"]} == {"coco/24": (2, 3, 2), "never/1": (0, 1, 1)}
    assert [got[w]["errors_counted"] for w in ("current", "previous")] == [3, 0]
    assert [s["errors_counted"] for s in got["series"] if s["time"] == MINUTE] == [3] == [sum(s["errors_counted"] for s in got["series"])]
    assert sum(s["errors"] for s in got["series"]) == 4 and {s["time"]: s["errors"] for s in got["series"]}[MINUTE] == 3
    later = stats(server, **{"from": SPAN["to"], "to": "2026-11-21T21:00:00Z"})
    assert later["previous"]["errors"] == 4 and later["current"]["errors"] == 0 and later["previous"]["errors_counted"] == 3
    filtered = stats(server, filter="model:coco/24")["current"]
    assert (filtered["errors"], filtered["errors_counted"]) == (1, 0)  # a filter asks for what failures don't have


def test_what_is_around_a_model_is_shown_but_not_counted_twice(server):
    send(server, [failed(1), failed(1, category="request", resource_id="/infer/object_detection"), failed(1, category="workflows", resource_id="w")])
    got = errors(server)
    assert got["errors"] == 1 and [(c["category"], c["errors"]) for c in got["categories"]] == [("model", 1), ("request", 1), ("workflows", 1)]
    assert stats(server)["current"]["errors"] == 1


def test_details_may_be_an_object_and_say_little(server):
    send(server, [{**RECORD, "resource_details": {"error": "x"}}, failed(2, kind=None, error="y", status=None), failed(3, error=None),
                  failed(4, error="", kind=""), failed(5, error=None, kind=None), {**RECORD, "timestamp_start": START + 6, "resource_details": "no JSON"}])
    assert errors(server)["errors"] == 2 + 1 + 1  # the first with its two frames


def test_records_go_to_the_workspaces_of_their_keys(server):
    other_key(server, "line-3")
    send(server, [failed(1), failed(2, api_key=OTHER), failed(3, api_key="sg_never_heard_of_it"), failed(4, api_key=None)])
    assert errors(server)["errors"] == 2 and errors(server, "line-3", OTHER)["errors"] == 1


@pytest.mark.parametrize("headers", [HEADERS, HEADERS + "Authorization: Bearer sg_never_heard_of_it\n", HEADERS + "Authorization: Bearer None\n"])
def test_any_key_is_answered_200_or_the_sender_never_stops(server, headers):
    assert send(server, [failed(1, api_key="sg_never_heard_of_it")], headers=headers) == {}
    assert errors(server)["errors"] == 0
    assert send(server, [failed(1)], headers=headers) == {}
    assert errors(server)["errors"] == 1


def test_any_list_is_read(server):
    for records in ([], [1, None, "x", [], {}], [{**RECORD, "processed_frames": None, "hostname": 7}] * 100):
        assert send(server, records) == {}
    assert errors(server)["errors"] == 0
    lame = [failed(1), failed(2, exec_session_id=None), failed(3, timestamp_start=None), failed(4, resource_id=""), failed(5, timestamp_start=-1)]
    assert send(server, lame) == {}
    assert errors(server)["errors"] == 1
    told = server.get("/api/v1/acme/set-aside").json()
    assert told["total"] == 4 and {a["source"] for a in told["set_aside"]} == {"usage"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[1,]", b"\xff", b"7"])
def test_what_is_no_list_is_refused(server, body):
    assert "error" in send(server, body, 400)


def test_the_newest_are_kept(make_server):
    server = make_server(workspace="acme", api_key=KEY, failures_most=3)
    send(server, [failed(1000 * n, resource_id=f"m/{n}") for n in range(7)])
    assert [m["resource_id"] for m in errors(server)["resources"]] == ["m/4", "m/5", "m/6"]


@pytest.mark.parametrize("headers", [BEARER, HEADERS, HEADERS + "Authorization: Bearer sg_never_heard_of_it\n"])
def test_the_plan_never_says_over_quota(server, headers):
    with server.connect() as s:
        s.sendall(f"GET /usage/plan HTTP/1.1\n{headers}\n".replace("\n", "\r\n").encode())
        text = s.recv(65536).decode()
    head, body = text.split("\r\n\r\n")
    assert " 200 " in head.splitlines()[0]
    assert json.loads(body) == {"is_enterprise": False, "is_pro": False, "is_trial": False, "is_billed": False, "over_quota": False}


def test_parameters_of_errors(server):
    for query in ({"filter": "model:a"}, {"bucket": 0}, {"bucket": 1}, {"from": "x"}, {"from": SPAN["to"]}, {"nonsense": 1}):
        answer = server.get("/api/v1/acme/errors", params={**SPAN, **query})
        assert answer.status_code == 400, (query, answer.text)
    assert server.get("/api/v1/acme/errors").status_code == 200
