"""GET /api/v1/:workspace/devices: who reports, with what, since when, and who has fallen silent."""
import datetime
import json
import time

import pytest
from conftest import wait_for
from pingbacks import START, item, pingback, post, system, thin
from workspaces import OTHER, other_key

KEY = "TESTKEY0123456789"


@pytest.fixture
def server(make_server):
    return start(make_server)


def start(make_server, **settings):
    return make_server(workspace="acme", api_key=KEY, **settings)


def report(server, items=(), key=KEY, **more):
    status, answer = post(server, pingback(key, list(items), **more))
    assert status == 200, answer
    return answer


def devices(server, workspace="acme", key=KEY, **query):
    answer = server.get(f"/api/v1/{workspace}/devices", key=key, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def one(server, **query):
    (device,) = devices(server, **query)["devices"]
    return device


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def recent(*predictions, ago=60, **more):
    return item(thin(*(predictions or (("a", 0.5),))), time=time.time() - ago, **more)


def test_a_heartbeat_is_enough_to_be_there(server):
    assert devices(server)["devices"] == []
    before = time.time()
    report(server)
    d = one(server)
    assert (d["device_id"], d["silent"], d["tags"], d["versions"], d["hosts"]) == ("edge-7", False, ["line-1", "plant-a"], ["1.5.0"], ["vm"])
    assert (d["inferences"], d["rate_per_s"], d["errors"], d["models"]) == (0, 0, 0, [])
    assert before - 1 < seconds(d["last_seen"]) < time.time() + 1
    (s,) = d["servers"]
    assert (s["server_id"], s["version"], s["hostname"], s["ip_address"], s["platform"]) == ("srv-abc123", "1.5.0", "vm", "10.0.0.7", "Linux")
    assert (s["platform_release"], s["architecture"], s["reports"], s["inferences"], s["set_aside"]) == ("6.1.0", "x86_64", 1, 0, 0)
    assert seconds(s["started"]) == int(START) and s["interval_s"] is None and s["silent_after_s"] == 180 and not s["silent"]


def test_what_it_runs(server):
    report(server, [recent(model="coco/24"), recent(model="coco/24", ago=30), recent(model="cards/1"), recent(model=None), recent(ago=90000)])
    report(server, [recent(model="cards/1")])
    d = one(server)
    assert {m["model_id"]: (m["inferences"], m["errors"]) for m in d["models"]} == {"coco/24": (2, 0), "cards/1": (2, 0)}
    assert d["inferences"] == 4 and d["rate_per_s"] == pytest.approx(4 / 86400)
    (s,) = d["servers"]
    assert (s["reports"], s["inferences"], s["set_aside"]) == (2, 5, 1)
    got = one(server, **{"from": "2026-01-01T00:00:00Z"})
    assert got["inferences"] == 5


def test_servers_of_a_device(server):
    report(server, tags=["old"], inference_server_id="srv-1", inference_server_version="0.9.0", hostname="a")
    report(server, tags=["new"], inference_server_id="srv-2", inference_server_version="1.0.0", hostname="b")
    report(server, tags=[""], inference_server_id="srv-3", device_id="edge-8", hostname="b", **{"ip_address": None})
    d8, d7 = devices(server)["devices"]
    assert (d8["device_id"], d8["tags"]) == ("edge-8", []) and d8["servers"][0]["ip_address"] is None
    assert (d7["device_id"], d7["tags"], d7["versions"], d7["hosts"]) == ("edge-7", ["new"], ["1.0.0", "0.9.0"], ["b", "a"])
    assert [s["server_id"] for s in d7["servers"]] == ["srv-2", "srv-1"]


def later(server, by):
    """Waits until the newest report is `by` seconds ago, as the server sees it."""
    wait_for(lambda: (lambda got: seconds(got["as_of"]) - seconds(got["devices"][0]["last_seen"]) > by)(devices(server)))


def test_silence_is_three_times_its_own_interval(server):
    report(server)
    later(server, 0.25)
    report(server)
    interval = one(server)["servers"][0]["interval_s"]
    assert 0.25 < interval < 5 and one(server)["servers"][0]["silent_after_s"] == pytest.approx(3 * interval)
    wait_for(lambda: one(server)["silent"], 3 * interval + 10)
    report(server)  # after a silence the interval is what it was
    assert one(server)["servers"][0]["interval_s"] == interval and not one(server)["silent"]
    report(server, timestamp="1795290000")  # another process
    s = one(server)["servers"][0]
    assert s["interval_s"] is None and s["silent_after_s"] == 180 and s["started"] == "2026-11-21T19:40:00.000000Z"


def test_silence_by_the_setting(make_server):
    server = start(make_server, device_silent_s=1)
    report(server)
    assert one(server)["servers"][0]["silent_after_s"] == 1
    wait_for(lambda: one(server)["silent"])


def test_devices_outlive_a_restart_and_soon_a_kill(server):
    report(server, [recent()])
    server.restart()
    assert one(server)["servers"][0]["inferences"] == 1
    report(server, inference_server_id="srv-2")
    assert len(one(server)["servers"]) == 2  # to look writes it
    server.kill9()
    server.start()
    assert len(one(server)["servers"]) == 2


def test_errors_of_its_hosts(server):
    """5bce9 is how a server on host vm names it."""
    now = time.time_ns()
    details = json.dumps({"error": "x", "error_type": "E"})
    record = {"exec_session_id": "s", "category": "model", "resource_id": "coco/24", "processed_frames": 2, "resource_details": details}
    assert server.post("/usage/inference", json=[{**record, "timestamp_start": now, "hostname": "5bce9"},
                                                 {**record, "timestamp_start": now - 1, "hostname": "b5919"}]).status_code == 200
    report(server)
    assert server.post("/api/v1/acme/inferences", json={"model_id": "m/1", "device_id": "edge-7", "error": "broken"}).status_code == 200
    d = one(server)
    assert d["errors"] == 3 and d["models"][0]["errors"] == 1


def test_devices_that_only_inferences_name(server):
    assert server.post("/api/v1/acme/inferences", json=[{"model_id": "m/1", "device_id": "plc-3"}, {"model_id": "m/1"}]).status_code == 200
    got = {d["device_id"]: d for d in devices(server)["devices"]}
    assert set(got) == {"plc-3", None}
    assert got["plc-3"]["servers"] == [] and got["plc-3"]["silent"] is None and got["plc-3"]["models"][0]["inferences"] == 1


def test_what_it_asked_for_that_is_not_served(server):
    report(server)
    assert one(server)["unserved"] == []
    agent = {"User-Agent": "python-requests/2.28.1"}
    for _ in range(2):
        assert server.post(f"/clip/compare/it?api_key={KEY}", anonymous=True, headers=agent).status_code == 501
    assert server.post("/infer/semantic_segmentation", headers=agent, json={"model_id": "a/1", "image": []}).status_code == 501
    assert server.get("/no/such/thing/here", anonymous=True, headers=agent).status_code == 404  # whose it is nobody knows
    assert server.get("/no/such/thing/here", key="sg_never_heard_of_it", headers=agent).status_code == 404
    assert server.get("/api/v1/acme/inferences/none", headers=agent).status_code == 404  # an answer
    other_key(server, "line-3")
    assert server.get("/theirs/alone/x", key=OTHER).status_code == 404
    got = one(server)["unserved"]
    assert [(u["method"], u["path"], u["user_agent"], u["status"], u["count"]) for u in got] == [
        ("POST", "/clip/compare/it", agent["User-Agent"], 501, 2), ("POST", "/infer/semantic_segmentation", agent["User-Agent"], 501, 1)]
    assert KEY not in json.dumps(got)
    for i in range(1100):
        server.get(f"/many/of/{i}")
    assert len(one(server)["unserved"]) == 1023  # and one that is another's


def test_workflows_are_seen_too(server):
    window = {"source": "workflow", "inference_results": [], "device_id": "edge-9", "inference_server_version": "1.5.0", **system()}
    assert post(server, window, f"/acme/inference-stats?api_key={KEY}")[0] == 200
    d = one(server)
    assert d["device_id"] == "edge-9" and d["servers"][0]["server_id"] is None and d["servers"][0]["hostname"] == "vm"


def test_a_workspace_sees_those_that_report_to_it(server):
    other_key(server, "line-3")
    report(server)
    assert devices(server, "line-3", OTHER)["devices"] == []
    report(server, [recent(key=OTHER)], device_id="shared")
    (d,) = devices(server, "line-3", OTHER)["devices"]
    assert (d["device_id"], d["inferences"], d["servers"][0]["inferences"]) == ("shared", 1, 1)
    assert {d["device_id"]: d["servers"][0]["inferences"] for d in devices(server)["devices"]} == {"edge-7": 0, "shared": 0}


def test_a_device_keeps_its_newest_servers(server):
    for i in range(35):
        report(server, inference_server_id=f"srv-{i}")
    assert {s["server_id"] for s in one(server)["servers"]} == {f"srv-{i}" for i in range(3, 35)}


def test_parameters(server):
    for query in ({"from": "x"}, {"to": "2020-01-01T00:00:00Z", "from": "2021-01-01T00:00:00Z"}, {"filter": "a"}, {"limit": 3}):
        assert server.get("/api/v1/acme/devices", params=query).status_code == 400
