"""/api/v1/:workspace/markers: marks on the time axis, by hand and by themselves."""
import datetime
import sqlite3

import pytest
from workspaces import other_key

URL = "/api/v1/test/markers"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)


def stamp(t):
    return t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def add(server, status=201, **body):
    answer = server.post(URL, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def listed(server, **query):
    answer = server.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["markers"]


def ingest(server, *items, workspace="test", **more):
    answer = server.post(f"/api/v1/{workspace}/inferences", json=[{"model_id": m, "time": stamp(t), "predictions": []} for m, t in items], **more)
    assert answer.status_code == 200, answer.text


def versions(server, **query):
    got = [m for m in listed(server, **query) if m["automatic"]]
    for m in got:
        assert m == {"id": None, "time": m["time"], "text": f"{m['model_id']} seen for the first time", "kind": "model", "model_id": m["model_id"],
                     "device_id": None, "by": None, "automatic": True}
    return [(m["model_id"], m["time"]) for m in got]


def test_set_changed_removed_and_kept(make_server):
    server = make_server()
    assert listed(server) == []
    lens = add(server, time="2026-03-02T12:00:00+02:00", text="Lens <b>", kind="cleaned", device_id="edge-7", model_id="coco/24")
    assert lens == {"id": lens["id"], "time": "2026-03-02T10:00:00.000000Z", "text": "Lens <b>", "kind": "cleaned", "model_id": "coco/24", "device_id": "edge-7",
                    "by": "api_key setting", "automatic": False}
    plain = add(server, text="something")
    assert plain["kind"] == "other" and plain["model_id"] is None and plain["device_id"] is None
    assert abs(datetime.datetime.fromisoformat(plain["time"].replace("Z", "+00:00")) - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)
    assert listed(server) == [lens, plain]
    one = f"{URL}/{lens['id']}"
    assert server.put(one, json={"kind": "changeover"}).json() == {**lens, "kind": "changeover"}
    assert server.put(one, json={"text": "ü", "model_id": None, "device_id": ""}).json() == {**lens, "kind": "changeover", "text": "ü", "model_id": None, "device_id": None}
    assert server.put(one, json={"time": stamp(NOW + HOUR)}).status_code == 200
    server.restart()
    assert [m["text"] for m in listed(server)] == ["something", "ü"]
    assert server.delete(one).status_code == 204
    assert [m["text"] for m in listed(server)] == ["something"]
    assert server.delete(one).status_code == server.put(one, json={"text": "x"}).status_code == 404
    for none in ("x", "0", "-1", "99999999999999999999"):
        assert server.delete(f"{URL}/{none}").status_code == 404
    told = [(x["subject"], x["detail"], x["action"]) for x in server.get("/api/v1/test/activity").json()["activity"] if x["action"] == "marker"]
    assert told[0] == ("ü", "removed", "marker") and [t[1] for t in told] == ["removed", "changed", "changed", "changed", "added", "added"]


def test_a_range(server):
    for minute in range(4):
        add(server, time=f"2025-01-01T00:0{minute}:00Z", text=str(minute))
    texts = lambda **query: [m["text"] for m in listed(server, **query)]
    assert texts(**{"from": "2025-01-01T00:01:00Z", "to": "2025-01-01T00:03:00Z"}) == ["1", "2"]
    assert texts(to="2025-01-01T00:01:00Z") == ["0"] and texts(**{"from": "2025-01-01T00:03:00Z", "to": "2025-01-02"}) == ["3"]
    for wrong in ({"from": "x"}, {"to": "x"}, {"nonsense": 1}):
        assert server.get(URL, params=wrong).status_code == 400


def test_a_workspace_has_its_own(make_server):
    server = make_server()
    other = other_key(server)
    mine = add(server, text="mine")
    ingest(server, ("coco/1", NOW - HOUR), ("coco/2", NOW))
    assert server.get("/api/v1/other/markers", key=other).json() == {"markers": []}
    theirs = f"/api/v1/other/markers/{mine['id']}"
    assert server.put(theirs, json={"text": "x"}, key=other).status_code == server.delete(theirs, key=other).status_code == 404
    ingest(server, ("coco/3", NOW), workspace="other", key=other)
    assert server.get("/api/v1/other/markers", key=other).json() == {"markers": []}
    assert [m["text"] for m in listed(server) if not m["automatic"]] == ["mine"] and len(versions(server)) == 1


def test_limits(server):
    assert len(add(server, text="x" * 1024, model_id="m" * 1024, device_id="d" * 1024)["text"]) == 1024
    for name in ("text", "model_id", "device_id"):
        assert add(server, 400, **{"text": "x", name: "x" * 1025})["error"] == f"{name} has 1025 bytes, the most is 1024"


@pytest.mark.parametrize("body, error", [
    ({}, "text is missing"), ({"text": None}, "text is missing"), ({"text": ""}, "text is empty"), ({"text": 1}, "text must be a string"),
    ({"text": "a\tb"}, "text has a control character"), ({"text": "x", "kind": "party"}, "kind must be"), ({"text": "x", "kind": 1}, "kind must be a string"),
    ({"text": "x", "time": "noon"}, "time must be"), ({"text": "x", "time": 1}, "time must be"), ({"text": "x", "id": 1}, 'unknown member "id"'),
    ({"text": "x", "automatic": True}, 'unknown member "automatic"'),
])
def test_what_is_no_marker(server, body, error):
    before = listed(server)
    assert add(server, 400, **body)["error"].startswith(error)
    assert listed(server) == before
    there = add(server, text="there")
    if body.get("text"):
        assert server.put(f"{URL}/{there['id']}", json=body).json()["error"].startswith(error)
    server.delete(f"{URL}/{there['id']}")


def test_as_many_as_there_may_be(make_server):
    server = make_server()
    db = sqlite3.connect(server.data / "catalog.db")
    with db:
        db.executemany("INSERT INTO markers (workspace, time_us, text, kind, model, device, key) VALUES (1, ?, 'x', 'other', '', '', 1)", [(n,) for n in range(9999)])
    db.close()
    last = add(server, text="last")
    assert "10000 markers, the most" in add(server, 507, text="one more")["error"]
    assert len(listed(server)) == 10000
    server.delete(f"{URL}/{last['id']}")
    add(server, text="again")


# --- by themselves

def test_a_version_is_marked_when_it_is_first_seen(make_server):
    server = make_server(segment_rows=16, seal_idle_s=1)
    ingest(server, ("coco/1", NOW - 9 * HOUR), ("yolo", NOW - 9 * HOUR), ("a/b/1", NOW - 9 * HOUR))
    assert versions(server) == []  # nothing was known of these models before
    ingest(server, ("coco/2", NOW - 7 * HOUR), ("coco/2", NOW - 8 * HOUR), ("coco-2/1", NOW - 8 * HOUR), ("yolo2", NOW), ("a/c/2", NOW), ("coco/1", NOW))
    seen = [("coco/2", stamp(NOW - 8 * HOUR))]
    assert versions(server) == seen
    ingest(server, ("coco/10", NOW - 2 * HOUR), ("a/b/2", NOW - HOUR))
    seen += [("coco/10", stamp(NOW - 2 * HOUR)), ("a/b/2", stamp(NOW - HOUR))]
    assert versions(server) == seen
    assert versions(server, **{"from": stamp(NOW - 2 * HOUR), "to": stamp(NOW - HOUR)}) == seen[1:2]
    ingest(server, ("coco/0", NOW - 10 * HOUR))  # what came late was there before
    assert versions(server)[0] == ("coco/1", stamp(NOW - 9 * HOUR)) and versions(server)[1:] == seen
    for _ in range(5):
        ingest(server, *((f"coco/{n % 3}", NOW - 5 * HOUR) for n in range(20)))
    assert versions(server)[1:] == seen
    server.restart()
    assert versions(server)[1:] == seen
    assert add(server, text="by hand", time=stamp(NOW - 3 * HOUR)) in listed(server)
    assert [m["time"] for m in listed(server)] == sorted(m["time"] for m in listed(server))


def test_a_wrong_clock_makes_no_version(make_server):
    server = make_server()
    ingest(server, ("coco/1", NOW - 9 * HOUR))
    ingest(server, ("coco/2", datetime.datetime(1990, 1, 1)), ("coco/3", NOW + 48 * HOUR))
    assert versions(server) == []
    ingest(server, ("coco/2", NOW - HOUR))
    assert versions(server) == [("coco/2", stamp(NOW - HOUR))]


def test_what_was_seen_is_remembered(make_server):
    """A model whose inferences have gone, as with a retention, was there before the others all the same."""
    server = make_server()
    ingest(server, ("coco/2", NOW - 8 * HOUR), ("cards/1", NOW - 8 * HOUR))
    assert versions(server) == []
    db = sqlite3.connect(server.data / "catalog.db")
    since = dict(db.execute("SELECT model, first_us FROM models_seen"))
    assert sorted(since) == ["cards/1", "coco/2"]
    with db:
        db.execute("INSERT INTO models_seen VALUES (1, 'coco/1', ?)", (since["coco/2"] - 1,))
        db.execute("UPDATE models_seen SET first_us = 5 WHERE model = 'cards/1'")
    db.close()
    ingest(server, ("cards/2", NOW))
    assert versions(server) == [("coco/2", stamp(NOW - 8 * HOUR)), ("cards/2", stamp(NOW))]
