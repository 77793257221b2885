"""POST /v2/events: the recorded form of the vision events block in local mode and of the event writer, what becomes of
each member, and what both read of an answer."""
import base64
import io
import json
import threading

import pytest
import requests
from client import REQUESTS_HEADERS, b64, send
from conftest import wait_for
from PIL import Image

TIME = "2026-11-21T19:39:09.145208+00:00"
BOX = {"class": "person", "x": 320.0, "y": 240.0, "width": 100.0, "height": 80.0, "confidence": 0.91}


def png(grey, size=(640, 480)):
    out = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(out, "PNG")
    return out.getvalue()


DRAWN, INPUT = png(200), png(50)


def image(**more):
    return {"base64Image": b64(DRAWN), "label": "workflow", "objectDetections": [BOX], **more}


def event(**more):
    return {"inference_timestamp": TIME, "solution": "my-use-case", "event_schema": "quality_check",
            "event_data": {"result": "fail", "externalId": "batch-1"}, "images": [image()],
            "custom_metadata": {"camera_id": "cam_01", "n": 3, "ok": True}, "displayImagePosition": 0, **more}


def post(server, body, status=201, **headers):
    answer = requests.post(server.url + "/v2/events", json=body, headers={"X-API-Key": server.key, **headers}, timeout=30)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"id" if status == 201 else "detail"}
    return answer.json().get("id") or answer.json()["detail"]


def get(server, inference_id, what="", **which):
    return server.get(f"/api/v1/{server.workspace}/inferences/{inference_id}{what}", params=which)


def record(server, inference_id, **which):
    answer = get(server, inference_id, **which)
    assert answer.status_code == 200, answer.text
    return answer.json()


def predictions(stored):
    return [{k: v for k, v in p.items() if v is not None} for p in stored["predictions"]]


def count(server, filter=""):
    return server.get(f"/api/v1/{server.workspace}/inferences/count", params={"filter": filter}).json()["count"]


# --- what becomes of it

def test_the_recorded_event(server):
    status, answer = send(server, "POST /v2/events", REQUESTS_HEADERS, json.dumps(event()), more=f"X-API-Key: {server.key}\n")
    assert status == 201 and set(answer) == {"id"}
    stored = record(server, answer["id"])
    assert (stored["model_id"], stored["source"], stored["source_info"], stored["index"]) == ("my-use-case", "event", "workflow", 0)
    assert stored["time"].startswith("2026-11-21T19:39:09.145208") and (stored["image"]["width"], stored["image"]["height"]) == (640, 480)
    assert predictions(stored) == [BOX] and stored["latency_s"] is None and not stored["partial"] and stored["siblings"] == []
    assert stored["metadata"] == {"event_schema": "quality_check", "result": "fail", "externalId": "batch-1", "camera_id": "cam_01", "n": 3,
                                  "ok": True, "displayImagePosition": 0}
    assert get(server, answer["id"], "/image").content == DRAWN
    assert Image.open(io.BytesIO(get(server, answer["id"], "/thumbnail").content)).size == (320, 240)
    assert count(server, "metadata.externalId:batch-1 result:fail model:my-use-case") == 1


def test_without_a_solution_the_schema_is_the_model(server):
    """The event writer's form: no solution, one image, no metadata."""
    body = {"inference_timestamp": TIME, "event_schema": "part_seen", "event_data": {"serial": "4711"}, "images": [{"base64Image": b64(DRAWN)}]}
    stored = record(server, post(server, body))
    assert (stored["model_id"], stored["source_info"], stored["metadata"]) == ("part_seen", None, {"event_schema": "part_seen", "serial": "4711"})


def test_both_pictures_are_kept_and_one_inference_is_counted(server):
    before = count(server)
    inference_id = post(server, event(images=[image(inputBase64Image=b64(INPUT))]))
    stored, drawn = record(server, inference_id), record(server, inference_id, index=1)
    assert get(server, inference_id, "/image").content == INPUT  # what the detections are of
    assert get(server, inference_id, "/image", index=1).content == DRAWN
    assert stored["siblings"] == [{"model_id": "my-use-case", "index": 1}] and drawn["partial"] and drawn["predictions"] == []
    assert predictions(stored) == [BOX] and drawn["metadata"] == stored["metadata"]
    assert count(server) == before + 1


def test_the_same_picture_twice_is_one(server):
    inference_id = post(server, event(images=[image(inputBase64Image="data:image/png;base64," + b64(DRAWN))]))
    assert record(server, inference_id)["siblings"] == [] and get(server, inference_id, "/image").content == DRAWN


def test_images_are_inferences_of_one_id(server):
    images = [image(label="left"), image(label="right", inputBase64Image=b64(INPUT)), {"label": "none", "objectDetections": []}]
    inference_id = post(server, event(images=images))
    stored = [record(server, inference_id, index=i) for i in range(3)]
    assert [s["source_info"] for s in stored] == ["left", "right", "none"] and not any(s["partial"] for s in stored)
    assert [len(s["predictions"]) for s in stored] == [1, 1, 0] and [bool(s["image"]["url"]) for s in stored] == [True, True, False]
    assert all(s["metadata"]["externalId"] == "batch-1" for s in stored)
    assert get(server, inference_id, "/image", index=4).content == DRAWN


@pytest.mark.parametrize("images", [[], None, "absent"])
def test_an_event_without_images_is_an_inference_too(server, images):
    body = event(images=images)
    if images == "absent":
        del body["images"]
    stored = record(server, post(server, body))
    assert stored["predictions"] == [] and stored["image"]["url"] is None and stored["metadata"]["result"] == "fail"


def test_every_kind_of_annotation(server):
    outline = {**BOX, "class": "crack", "points": [[1, 2], [3.5, 4], [5, 6]]}
    joints = {**BOX, "class": "hand", "keypoints": [{"id": 0, "x": 1, "y": 2}], "class_id": 7, "detection_id": "d-1"}
    stored = record(server, post(server, event(images=[{"classifications": [{"class": "good", "confidence": 0.8}], "objectDetections": [BOX],
                                                        "instanceSegmentations": [outline], "keypoints": [joints]}])))
    assert predictions(stored) == [BOX, {"class": "good", "confidence": 0.8},
                                   {**outline, "points": [{"x": 1, "y": 2}, {"x": 3.5, "y": 4}, {"x": 5, "y": 6}]}, joints]


def test_what_is_no_single_value_is_kept_as_its_text(server):
    stored = record(server, post(server, event(event_data={"list": [1, "a"], "object": {"b": None}, "nothing": None}, custom_metadata=None,
                                               draft=True, images=[{"frame": 12}], api_key=server.key)))
    assert stored["metadata"] == {"event_schema": "quality_check", "displayImagePosition": 0, "list": '[1,"a"]', "object": '{"b":null}', "draft": True,
                                  "frame": 12}


def test_of_two_with_one_name_both_are_kept(server):
    stored = record(server, post(server, event(event_data={"result": "fail"}, custom_metadata={"result": "rework"})))
    assert stored["metadata"]["result"] == "rework"
    assert [h["value"] for h in stored["metadata_history"] if h["field"] == "result"] == ["rework", "fail"]


@pytest.mark.parametrize("time, told", [(1795289949.5, "2026-11-21T19:39:09.5"), ("2026-11-21T20:39:09+01:00", "2026-11-21T19:39:09")])
def test_times(server, time, told):
    assert record(server, post(server, event(inference_timestamp=time)))["time"].startswith(told)


@pytest.mark.parametrize("time", ["2026-11-21T19:39:09.145208", "this morning"])
def test_a_time_without_a_zone_is_kept_as_told(server, time):
    stored = record(server, post(server, event(inference_timestamp=time)))
    assert stored["metadata"]["inference_timestamp"] == time and stored["time"] == stored["received"]


def test_it_is_there_after_a_kill(make_server):
    s = make_server()
    inference_id = post(s, event())
    s.kill9()
    s.start()
    assert record(s, inference_id)["metadata"]["result"] == "fail" and get(s, inference_id, "/image").content == DRAWN


# --- keys

def test_keys(server):
    answer = requests.post(server.url + "/v2/events", json=event(), timeout=30)
    assert answer.status_code == 401 and set(answer.json()) == {"detail"}
    assert "known" in post(server, event(), 401, **{"X-API-Key": "wrong"})
    for how in ({"params": {"api_key": server.key}}, {"headers": {"Authorization": "Bearer " + server.key}}):
        assert requests.post(server.url + "/v2/events", json=event(), timeout=30, **how).status_code == 201


def test_without_a_key_where_inference_is_open(make_server):
    """EVENT_INGESTION_API_KEY is unset by default."""
    s = make_server(open_inference="test")
    answer = requests.post(s.url + "/v2/events", json=event(), timeout=30)
    assert answer.status_code == 201 and record(s, answer.json()["id"])["model_id"] == "my-use-case"


# --- refusals: nothing of it is stored

@pytest.mark.parametrize("body, said", [
    ([], "must be an object"), ({}, "solution or event_schema"), (event(images={}), "images must be a list"),
    (event(images=[3]), "images[0]: it must be an object"), (event(images=[{"base64Image": 5}]), "base64Image must be a string"),
    (event(images=[image(), {"base64Image": "!"}]), "images[1]: Could not load input image"),
    (event(images=[{"base64Image": b64(b"no picture")}]), "images[0]: Could not load input image"),
    (event(images=[{}] * 65), "65 images"), (event(images=[{"objectDetections": {}}]), "objectDetections must be a list"),
    (event(images=[{"classifications": [{"confidence": 1}]}]), "images[0]: classifications[0]: an annotation has no class"),
    (event(images=[{"classifications": [{"class": "a", "confidence": 1.5}]}]), "confidence must be from 0 to 1"),
    (event(images=[{"classifications": [{"class": "a"}] * 10001}]), "10001 annotations"),
    (event(event_data=[]), "event_data must be an object"), (event(custom_metadata={"a": "x" * 4097}), "custom_metadata: a: a value has 4097 bytes"),
    (event(event_data={"": 1}), "a field name is empty"), (event(solution="a\tb"), "control character"),
])
def test_what_cannot_be_kept_is_refused(server, body, said):
    before = count(server), count(server, "partial:true")
    assert said in post(server, body, 400)
    assert (count(server), count(server, "partial:true")) == before


def test_no_json(server):
    answer = requests.post(server.url + "/v2/events", data=b'{"solution": ', headers={"X-API-Key": server.key}, timeout=30)
    assert answer.status_code == 400 and "not JSON" in answer.json()["detail"]


def test_a_body_over_the_limit(make_server):
    s = make_server(max_body_inference=100000)
    answer = requests.post(s.url + "/v2/events", data=b" " * 100001, headers={"X-API-Key": s.key}, timeout=30)
    assert answer.status_code == 413 and set(answer.json()) == {"detail"}


def test_a_full_queue_is_529_and_what_was_taken_is_there(make_server):
    s = make_server(event_queue=1)
    large = event(images=[{"base64Image": b64(png(9, (4000, 4000)))}])
    answers, enough = [], threading.Event()

    def write():
        while not enough.is_set():
            answers.append(requests.post(s.url + "/v2/events", json=large, headers={"X-API-Key": s.key}, timeout=60))
    writers = [threading.Thread(target=write) for _ in range(4)]
    for w in writers:
        w.start()
    wait_for(lambda: {201, 529} <= {a.status_code for a in list(answers)}, seconds=30)
    enough.set()
    for w in writers:
        w.join()
    assert {a.status_code for a in answers} == {201, 529}
    assert all(a.headers["Retry-After"] == "1" and "event_queue" in a.json()["detail"] for a in answers if a.status_code == 529)
    assert count(s) == len([a for a in answers if a.status_code == 201])
    assert base64.b64encode(get(s, answers[[a.status_code for a in answers].index(201)].json()["id"], "/image").content).decode() == \
        large["images"][0]["base64Image"]
