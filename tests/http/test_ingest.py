"""POST /api/v1/:workspace/inferences: results that were computed elsewhere, and that they come back as they were sent."""
import datetime
import json
import re
import time
import uuid

import pytest

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
MODEL = "coco/24"


def api(server, tail=""):
    return f"/api/v1/{server.workspace}/inferences{tail}"


def send(server, body, status=200, **more):
    answer = server.post(api(server), **({"json": body} if isinstance(body, (dict, list)) else {"data": body}), **more)
    assert answer.status_code == status, answer.text
    return answer.json()


def statuses(server, body):
    return [r["status"] for r in send(server, body)["results"]]


def look(server, inference_id, status=200, **query):
    answer = server.get(api(server, "/" + inference_id), params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def count(server):
    return server.get(api(server, "/count")).json()["count"]


def new(**more):
    return {"inference_id": str(uuid.uuid4()), "model_id": MODEL, **more}


WHOLE = {
    "model_id": "line-3/7", "index": 2, "time": "2026-11-21T19:39:09.145208Z", "latency_s": 0.0125, "device_id": "edge-7",
    "source": "plc", "source_info": "cam-1", "image": {"width": 1920, "height": 1080},
    "predictions": [
        {"class": "bottle", "class_id": 3, "confidence": 0.910000000000001, "x": 320.5, "y": 240.25, "width": 100, "height": 80,
         "detection_id": "5b6c2c0e-0000-4000-8000-000000000001"},
        {"class": "cap", "confidence": 0.5},
    ],
    "metadata": {"line": 3, "shift": "late", "ok": True, "gauge": -0.125},
    "error": None,
}


# --- forms of the body

def test_one_object_a_list_or_one_after_the_other(server):
    one, two, three = new(), new(), new()
    assert send(server, one)["results"] == [{"inference_id": one["inference_id"], "model_id": MODEL, "index": 0, "status": "created"}]
    assert statuses(server, [two, three]) == ["created"] * 2
    lines = [json.dumps(new()) for _ in range(3)]
    for text in ("\n".join(lines), "\r\n".join(json.dumps(new()) for _ in range(3)) + "\r\n",
                 json.dumps(new(), indent=2) + json.dumps([new(), new()])):
        assert statuses(server, text.encode()) == ["created"] * 3
    assert statuses(server, "\n".join(lines).encode()) == ["unchanged"] * 3
    assert send(server, [])["results"] == []


def test_an_id_is_made_when_none_is_sent(server):
    results = send(server, [{"model_id": MODEL}, {"model_id": MODEL, "inference_id": None}])["results"]
    ids = [r["inference_id"] for r in results]
    assert len(set(ids)) == 2 and all(re.fullmatch(UUID4, i) for i in ids)
    assert look(server, ids[0])["model_id"] == MODEL


def test_all_that_is_sent_comes_back(server):
    inference = new(**WHOLE)
    send(server, inference)
    found = look(server, inference["inference_id"])
    assert {name: found[name] for name in WHOLE if name not in ("time", "predictions", "image")} == {
        name: WHOLE[name] for name in WHOLE if name not in ("time", "predictions", "image")}
    assert found["image"] == {"width": 1920, "height": 1080, "url": None, "thumbnail_url": None, "annotation_url": None, "uploads": []}
    assert datetime.datetime.fromisoformat(found["time"].replace("Z", "+00:00")) == datetime.datetime(
        2026, 11, 21, 19, 39, 9, 145208, datetime.timezone.utc)
    assert [{k: v for k, v in p.items() if v is not None} for p in found["predictions"]] == WHOLE["predictions"]
    assert found["inference_id"] == inference["inference_id"]


def test_what_nobody_said_is_null(server):
    inference_id = send(server, {"model_id": MODEL})["results"][0]["inference_id"]
    found = look(server, inference_id)
    for name in ("latency_s", "device_id", "source", "source_info", "error", "model_name"):
        assert found[name] is None, name
    assert found["image"] == {"width": None, "height": None, "url": None, "thumbnail_url": None, "annotation_url": None, "uploads": []}
    assert found["predictions"] == [] and found["metadata"] == {} and found["time"] == found["received"]


def test_an_answer_can_be_sent_back(server):
    inference = new(**WHOLE)
    send(server, inference)
    before = look(server, inference["inference_id"])
    assert statuses(server, before) == ["unchanged"]
    listed = server.get(api(server), params={"filter": inference["inference_id"]}).json()["inferences"]
    assert statuses(server, listed) == ["unchanged"]
    assert look(server, inference["inference_id"]) == before


def test_members_beyond_ours_stay_in_a_prediction(server):
    inference = new(predictions=[{"class": "a", "confidence": 0.5, "points": [{"x": 1, "y": 2.5}], "tracker_id": 7, "näme": None}])
    send(server, inference)
    found = look(server, inference["inference_id"])["predictions"][0]
    assert found["points"] == [{"x": 1, "y": 2.5}] and found["tracker_id"] == 7 and found["näme"] is None


@pytest.mark.parametrize("given, expected", [
    ("2025-11-21T19:39:09Z", "2025-11-21T19:39:09.000000Z"), ("2025-11-21T20:39:09.5+01:00", "2025-11-21T19:39:09.500000Z"),
    ("2025-11-21t19:39:09z", "2025-11-21T19:39:09.000000Z"), (1795289949.145208, "2026-11-21T19:39:09.145208Z"),
    (1795289949, "2026-11-21T19:39:09.000000Z"), (0, "1970-01-01T00:00:00.000000Z"),
])
def test_times(server, given, expected):
    inference = new(time=given)
    send(server, inference)
    assert look(server, inference["inference_id"])["time"] == expected


def test_a_clock_that_cannot_be_right_is_marked_and_kept(server):
    now = time.time()
    for offset, suspect in ((0, False), (-3600 * 24 * 364, False), (3600 * 23, False), (3600 * 25, True), (-3600 * 24 * 366, True)):
        inference = new(time=now + offset)
        send(server, inference)
        assert look(server, inference["inference_id"])["clock_suspect"] == suspect


def test_received_is_ours_and_never_goes_back(server):
    ids = [send(server, new(time=t))["results"][0]["inference_id"] for t in (5000, 100, 2000)]
    received = [look(server, i)["received"] for i in ids]
    assert received == sorted(received)


# --- the same again

def test_the_first_record_of_id_model_and_index_wins(server):
    inference = new(predictions=[{"class": "a", "confidence": 0.5}])
    changed = {**inference, "predictions": [{"class": "b", "confidence": 0.5}]}
    assert statuses(server, [inference, inference, changed]) == ["created", "unchanged", "conflict"]
    assert statuses(server, inference) == ["unchanged"] and statuses(server, changed) == ["conflict"]
    assert [p["class"] for p in look(server, inference["inference_id"])["predictions"]] == ["a"]
    assert statuses(server, [{**changed, "index": 1}, {**changed, "model_id": "other/1"}]) == ["created", "created"]
    assert sorted((s["model_id"], s["index"]) for s in look(server, inference["inference_id"])["siblings"]) == [(MODEL, 1), ("other/1", 0)]


def test_the_same_again_after_a_restart(make_server):
    s = make_server()
    inferences = [new(**WHOLE) for _ in range(20)]
    assert statuses(s, inferences) == ["created"] * 20
    before = [look(s, i["inference_id"]) for i in inferences]
    s.kill9()
    s.start()
    assert [look(s, i["inference_id"]) for i in inferences] == before
    assert statuses(s, inferences) == ["unchanged"] * 20


# --- metadata in the same call

def test_metadata_comes_with_it_and_joins_what_waited(server):
    inference = new(metadata={"line": 3, "shift": "late", "gone": None})
    server.post(f"/{server.workspace}/inference-stats/metadata", json={"data": [
        {"inference_ids": [inference["inference_id"]], "field_name": name, "field_value": "before"} for name in ("shift", "plant")]})
    send(server, inference)
    found = look(server, inference["inference_id"])
    assert found["metadata"] == {"shift": "late", "plant": "before", "line": 3}
    assert ("shift", "late", "before") in [(h["field"], h["value"], h["previous"]) for h in found["metadata_history"]]


def test_metadata_of_a_resend_is_written_again_only_when_it_differs(server):
    inference = new(metadata={"line": 3})
    assert statuses(server, [inference, inference]) == ["created", "unchanged"]
    assert len(look(server, inference["inference_id"])["metadata_history"]) == 1
    assert statuses(server, {**inference, "metadata": {"line": 4}}) == ["unchanged"]
    found = look(server, inference["inference_id"])
    assert found["metadata"] == {"line": 4} and len(found["metadata_history"]) == 2


# --- failures sent in

def test_a_failure_is_a_record(server):
    inference = new(error="camera unplugged")
    send(server, inference)
    assert look(server, inference["inference_id"])["error"] == "camera unplugged"


# --- whole or not at all

FAULTS = [
    ({"model_id": None}, "model_id is missing"), ({"model_id": ""}, "model_id is missing"), ({"model_id": 5}, "model_id must be a string"),
    ({"model_id": "x" * 1025}, "1024"), ({"model_id": "a\nb"}, "control character"), ({"inference_id": 5}, "inference_id must be a string"),
    ({"inference_id": ""}, "inference_id"), ({"inference_id": "x" * 257}, "256"), ({"inference_id": "a\x7f"}, "control character"),
    ({"index": -1}, "index must be from 0"), ({"index": 1.5}, "whole number"), ({"index": "1"}, "index must be a number"),
    ({"index": 4294967296}, "index must be from 0"), ({"time": "yesterday"}, "RFC 3339"), ({"time": True}, "RFC 3339"),
    ({"time": -1}, "RFC 3339"), ({"time": 1e300}, "RFC 3339"), ({"time": "2026-13-01T00:00:00Z"}, "RFC 3339"),
    ({"latency_s": -1}, "latency_s"), ({"latency_s": "fast"}, "latency_s must be a number"), ({"device_id": 7}, "device_id must be a string"),
    ({"device_id": "x" * 1025}, "1024"), ({"source": []}, "source must be a string"), ({"source_info": "x\0"}, "not JSON"),
    ({"image": 5}, "image must be an object"), ({"image": {"width": -1}}, "image.width"), ({"image": {"height": 1.5}}, "image.height"),
    ({"image": {"depth": 3}}, "width and height"), ({"predictions": {}}, "predictions must be an array"),
    ({"predictions": [5]}, "predictions[0] must be an object"), ({"predictions": [{"class": "a"}, None]}, "predictions[1] must be an object"),
    ({"predictions": [{}]}, "class is missing"), ({"predictions": [{"class": ""}]}, "class is missing"),
    ({"predictions": [{"class": 5}]}, "].predictions[0].class must be a string"),
    ({"predictions": [{"class": "b"}, {"class": "a", "confidence": 1.01}]}, "].predictions[1].confidence must be from 0 to 1"),
    ({"predictions": [{"class": "a", "confidence": -0.01}]}, "confidence"), ({"predictions": [{"class": "a", "confidence": "hi"}]}, "confidence"),
    ({"predictions": [{"class": "a", "class_id": 0.5}]}, "class_id"), ({"predictions": [{"class": "a", "x": 1, "y": 1}]},
     "].predictions[0].x, y, width and height: some"),
    ({"predictions": [{"class": "a", "x": 1e10, "y": 1, "width": 1, "height": 1}]}, "].predictions[0].x must be from"),
    ({"predictions": [{"class": "a", "x": True, "y": 1, "width": 1, "height": 1}]}, "must be a number"),
    ({"metadata": []}, "metadata must be an object"), ({"metadata": {"": 1}}, "metadata"), ({"metadata": {"x" * 257: 1}}, "256"),
    ({"metadata": {"a": {}}}, "].metadata.a: a value must be"), ({"metadata": {"a": []}}, "].metadata.a: a value must be"),
    ({"metadata": {"a": "x" * 4097}}, "metadata.a: a value has 4097 bytes"), ({"metadata": {"a\nb": 1}}, "control character"), ({"error": 5}, "error must be a string"),
    ({"error": "x" * 4097}, "4096"), ({"modelid": "x"}, "modelid is not a member"),
]


@pytest.mark.parametrize("change, what", FAULTS, ids=range(len(FAULTS)))
def test_a_faulty_item_is_named_and_nothing_of_the_request_is_stored(server, change, what):
    before = count(server)
    good = new(metadata={"never-there": 1})
    error = send(server, [good, {**new(), **change}, new()], status=400)["error"]
    assert what in error and ("inferences[1]" in error or "not JSON" in error), error
    assert count(server) == before
    look(server, good["inference_id"], status=404)
    assert "never-there" not in server.get(f"/api/v1/{server.workspace}/fields").text


@pytest.mark.parametrize("body, what", [
    (b"", "not JSON"), (b"{", "not JSON"), (b'{"model_id": "a"', "not JSON"), (b'{"model_id": "a"} {', "not JSON"),
    (b'[{"model_id": "a"}', "not JSON"), (b'{"model_id": "a"},{"model_id": "b"}', "not JSON"), (b"5", "must be an object"),
    (b"null", "must be an object"), (b'"x"', "must be an object"), (b"[5]", "must be an object"), (b'[{"model_id": "a"}, []]', "must be an object"),
    (b'{"model_id": "\xff"}', "not JSON"), (b'{"model_id": "a"}\n\n\x00', "not JSON"), (b"\xef\xbb\xbf{}", "not JSON"),
])
def test_a_body_that_is_no_inference(server, body, what):
    before = count(server)
    assert what in send(server, body, status=400)["error"]
    assert count(server) == before


def test_a_fault_is_found_at_its_place(server):
    error = send(server, b'{"model_id": "a"}\n{"model_id": oops}', status=400)["error"]
    assert error.endswith("at byte 31")


# --- limits

def test_numbers_at_their_limits(server):
    inference = new(index=4294967295, latency_s=1e6, image={"width": 1000000, "height": 1000000}, model_id="m" * 1024, error="e" * 4096,
                    predictions=[{"class": "c" * 1024, "confidence": 1, "class_id": 4294967295}, {"class": "d", "confidence": 0}])
    send(server, inference)
    found = look(server, inference["inference_id"])
    assert (found["index"], found["latency_s"], found["error"]) == (4294967295, 1e6, "e" * 4096)
    assert found["predictions"][0]["class_id"] == 4294967295


def test_predictions_of_an_inference(server):
    many = [{"class": "a", "confidence": 0.5}] * 10000
    inference = new(predictions=many)
    send(server, inference)
    assert len(look(server, inference["inference_id"])["predictions"]) == 10000
    assert "10000" in send(server, new(predictions=[*many, many[0]]), status=400)["error"]


def test_inferences_of_a_request(make_server):
    s = make_server(journal_file_size="64M")
    assert "100000" in send(s, b'{"model_id":"m"}\n' * 100001, status=400)["error"]
    assert count(s) == 0
    assert len(send(s, b'{"model_id":"m"}\n' * 100000)["results"]) == 100000
    assert count(s) == 100000


def test_inferences_under_one_id(make_server):
    s = make_server(max_per_id=3)
    inferences = [new(inference_id="one", index=i) for i in range(4)]
    assert "max_per_id" in send(s, inferences, status=400)["error"] and count(s) == 0
    send(s, inferences[:3])
    assert "max_per_id" in send(s, inferences[3], status=400)["error"]
    assert statuses(s, inferences[:3]) == ["unchanged"] * 3
    assert s.put(api(s, "/one/metadata/a"), json={"value": 1}).ok  # attaching goes on
    s.restart()
    assert count(s) == 3 and send(s, inferences[3], status=400)


def test_body_limit(make_server):
    s = make_server(max_body_ingest=2048)
    body = json.dumps(new()).encode()
    assert send(s, body.ljust(2048))["results"][0]["status"] == "created"
    assert "2048 bytes" in send(s, body.ljust(2049), status=413)["error"]
    assert "2048 bytes" in send(s, iter([body.ljust(2048), b" "]), status=413)["error"]


# --- who

def test_the_key_may_be_in_the_first_object(server):
    body = [new(api_key=server.key), new()]
    assert send(server, body[0], anonymous=True)["results"]
    assert send(server, "\n".join(map(json.dumps, body)).encode(), anonymous=True)["results"]
    assert send(server, new(api_key="sg_wrong"), status=401, anonymous=True)["error"]
    assert send(server, b"not JSON", status=401, anonymous=True)["error"]


# --- lists

def test_newest_first_in_pages(server):
    device = str(uuid.uuid4())
    ids = [i["inference_id"] for i in (new() for _ in range(25))]
    order = [3, 1, 2] + list(range(4, 26))
    send(server, [{"inference_id": i, "model_id": MODEL, "device_id": device, "time": 1795280000 + t} for i, t in zip(ids, order)])
    seen, cursor = [], None
    while True:
        page = server.get(api(server), params={"filter": f"device:{device}", "limit": 7, **({"cursor": cursor} if cursor else {})}).json()
        seen += [i["inference_id"] for i in page["inferences"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == [i for _, i in sorted(zip(order, ids), reverse=True)]
    assert server.get(api(server, "/count"), params={"device": device}).json()["count"] == 25
