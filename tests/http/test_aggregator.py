"""POST /:workspace/inference-stats by the aggregator block (protocol 3.3): records apart, hidden once the whole one comes."""
import uuid

import pytest
from pingbacks import HEADERS, item, pingback, post, system, thin
from workspaces import OTHER, other_key

KEY = "TESTKEY0123456789"
SDK = HEADERS + "X-Roboflow-Inference-Version: 1.5.0\nX-Allow-Chunked: true\n"
TARGET = f"/acme/inference-stats?api_key={KEY}"


@pytest.fixture(scope="module")
def server(fleet):
    s = fleet.make(workspace="acme", api_key=KEY)
    other_key(s, "line-3")
    return s


def best(inference_id, class_name="person", confidence=0.91, model="coco/24"):
    return {"model_id": model, "class_name": class_name, "confidence": confidence, "inference_id": inference_id, "model_type": "object-detection"}


def window(*found, **more):
    return {"timestamp": "2026-11-21T19:39:09.108638", "source": "workflow", "source_info": "ModelMonitoringInferenceAggregatorBlockV1",
            "inference_results": list(found), "device_id": "edge-7", "inference_server_version": "1.5.0", **system(), **more}


def send(server, body, target=TARGET, status=200):
    code, answer = post(server, body, target, headers=SDK)
    assert code == status, answer
    return answer


def look(server, inference_id, **query):
    answer = server.get(f"/api/v1/acme/inferences/{inference_id}", params=query)
    return answer.json() if answer.status_code == 200 else None


def count(server, **query):
    return server.get("/api/v1/acme/inferences/count", params=query).json()["count"]


def test_a_recorded_window_is_apart_and_in_no_statistic(server):
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    before, stats = count(server), server.get("/api/v1/acme/stats").json()["current"]["inferences"]
    answer = send(server, window(best(one), best(two, "car", 0.5), best(one, "dog", 0.25)))
    assert answer["created"] == 2 and answer["set_aside"] == 0
    got = look(server, one)
    assert got["partial"] and (got["device_id"], got["source"], got["server_id"]) == ("edge-7", "workflow", None)
    assert got["source_info"] == "ModelMonitoringInferenceAggregatorBlockV1" and got["server_version"] == "1.5.0"
    assert [(p["class"], p["confidence"]) for p in got["predictions"]] == [("person", 0.91), ("dog", 0.25)]
    assert got["latency_s"] is None and got["time"] == got["received"]  # local time without a zone says nothing
    assert count(server) == before and count(server, filter="partial:true") >= 2
    assert server.get("/api/v1/acme/stats").json()["current"]["inferences"] == stats


def test_a_time_with_a_zone_is_taken(server):
    one = str(uuid.uuid4())
    send(server, window(best(one), timestamp="2026-11-21T19:39:09.108638+01:00"))
    assert look(server, one)["time"] == "2026-11-21T18:39:09.108638Z"


def test_the_complete_record_hides_the_partial_one(server):
    one = item(thin(("person", 0.91), ("person", 0.5)))
    inference_id = one["inference"]["inference_id"]
    send(server, window(best(inference_id)))
    assert server.post("/acme/inference-stats/metadata", json={"data": [
        {"inference_ids": [inference_id], "field_name": "line", "field_value": "3"}]}).status_code == 200
    assert post(server, pingback(KEY, [one]))[1]["created"] == 1
    got = look(server, inference_id)
    assert not got["partial"] and len(got["predictions"]) == 2 and got["metadata"] == {"line": "3"} and got["siblings"] == []
    send(server, window(best(inference_id, "person", 0.91)))
    assert not look(server, inference_id)["partial"]


def test_statistics_have_them_when_the_filter_says_so(server):
    send(server, window(best(str(uuid.uuid4()))))
    n = count(server, filter="partial:true")

    def ask(**more):
        got = server.get("/api/v1/acme/stats", params={"to": "2100-01-01T00:00:00Z", "from": "2020-01-01T00:00:00Z", "bucket": 86400 * 365, **more}).json()
        return [got[w]["inferences"] for w in ("current", "previous")], sum(s["inferences"] for s in got["series"])
    assert n > 0 and ask(filter="partial:true") == ([n, 0], n)
    assert ask(compare_filter="partial:true") == ([count(server), n], count(server))


def test_a_device_may_be_unknown_and_a_window_empty(server):
    one = str(uuid.uuid4())
    send(server, window(best(one), device_id=None))
    assert look(server, one)["device_id"] is None
    assert send(server, window())["created"] == 0


def test_bad_items_are_set_aside(server):
    one = str(uuid.uuid4())
    bad = [best(None), best(""), best("x", None), best("x", "a", 2), best("x", "a", None), best("x", model=None), 7]
    answer = send(server, window(*bad, best(one)))
    assert answer["set_aside"] == len(bad) and answer["created"] == 1 and look(server, one)
    told = server.get("/api/v1/acme/set-aside", params={"limit": len(bad)}).json()["set_aside"]
    assert {a["source"] for a in told} == {"workflow"} and all(a["reason"] for a in told)


def test_what_the_store_refuses_is_found_among_the_others(make_server):
    server = make_server(workspace="acme", api_key=KEY, max_per_id=2)
    models = [best("same", model=f"m/{i}") for i in range(2)]
    assert send(server, window(*models))["created"] == 2
    answer = send(server, window(best("same", model="m/7"), best("good"), best("same", "dog", model="m/7")))
    assert answer["created"] == 1 and answer["set_aside"] == 2 and look(server, "good")


@pytest.mark.parametrize("target, status", [
    ("/acme/inference-stats", 401), ("/acme/inference-stats?api_key=None", 401), ("/acme/inference-stats?api_key=sg_never_heard", 401),
    (f"/line-3/inference-stats?api_key={KEY}", 401), (f"//acme//inference-stats?api_key={KEY}", 200)])
def test_keys_and_paths(server, target, status):
    one = str(uuid.uuid4())
    send(server, window(best(one)), target, status)
    assert bool(look(server, one)) == (status == 200)


def test_many_windows_in_one_body(server):
    ids = [str(uuid.uuid4()) for _ in range(5000)]
    assert send(server, window(*[best(i) for i in ids]))["created"] == 5000


def test_a_server_may_report_here_too(server):
    one, theirs = item(thin(("person", 0.91))), item(thin(("person", 0.91)), key=OTHER)
    assert post(server, pingback(KEY, [one, theirs]), "/acme/inference-stats")[0] == 200
    assert not look(server, one["inference"]["inference_id"])["partial"] and look(server, theirs["inference"]["inference_id"]) is None
