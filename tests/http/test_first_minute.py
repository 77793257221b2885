"""What a stock container and the blocks of its workflow send from its first inference on, in the order of protocol.md 3.6,
byte for byte as recorded: told by API_BASE_URL to come here, and through SECURE_GATEWAY. Each answer is read as its
caller reads it, and in the end the inference has everything that was said of it."""
import json
import urllib.parse
import uuid

import pytest
from client import REQUESTS_HEADERS, exchange, picture
from pingbacks import item, pingback, system, thin
from test_aggregator import best, window
from test_pictures import multipart
from test_usage import failed

KEY, WS = "TESTKEY0123456789", "acme"
PLATFORM = "X-Roboflow-Inference-Version: 1.5.0\nX-Allow-Chunked: true\n"  # what roboflow_api.py adds; the pingback does not
BEARER = f"Authorization: Bearer {KEY}\n"
JSON = "Content-Type: application/json\n"


class Container:
    def __init__(self, server, gateway):
        self.server, self.gateway = server, gateway

    def call(self, method, path, headers="", body=None):
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        target = "/proxy?url=" + urllib.parse.quote("https://api.roboflow.com" + path, safe="") if self.gateway else path
        length = f"Content-Length: {len(data)}\n" if method == "POST" else ""
        status, _, told, answer = exchange(self.server, f"{method} {target}", REQUESTS_HEADERS + headers + length, data)
        assert told["content-type"] == "application/json" and isinstance(json.loads(answer), dict)
        return status, json.loads(answer)


@pytest.mark.parametrize("gateway", [False, True], ids=["API_BASE_URL", "SECURE_GATEWAY"])
def test_from_its_first_inference_to_its_first_report(make_server, gateway):
    s = make_server(workspace=WS, api_key=KEY)
    assert s.put(f"/api/v1/{WS}/picture-capture", json={"rules": [
        {"model": "coco", "share": 1, "below_confidence": None, "per_hour": None}]}).status_code == 200
    c, inference_id = Container(s, gateway), str(uuid.uuid4())

    # Loading: no upstream is set, so the container learns that at once and tries nothing again.
    for path in ("/models/v1/external/stat?modelId=coco%2F24", "/models/v1/external/weights?modelId=coco%2F24"):
        status, answer = c.call("GET", path, PLATFORM + BEARER)
        assert status == 404 and "upstream" in answer["error"]

    # Active learning, in the background of the inference: workspace, type of the project, whether and what to sample.
    assert c.call("GET", f"/?api_key={KEY}&nocache=true", PLATFORM) == (200, {"workspace": WS})
    assert c.call("GET", f"/{WS}/coco?api_key={KEY}&nocache=true", PLATFORM) == (200, {"project": {"type": "object-detection"}})
    status, answer = c.call("GET", f"/{WS}/coco/active_learning?api_key={KEY}", PLATFORM)
    assert status == 200 and answer["enabled"] is True and answer["sampling_strategies"]
    body, kind = multipart(picture("rgb.png"))
    status, answer = c.call("POST", f"/dataset/coco/upload?api_key={KEY}&batch=b&inference_id={inference_id}&tag=t", PLATFORM +
                            f"Content-Type: {kind}\n", body)
    assert status == 200 and answer["success"] and answer["id"]
    found = {"predictions": [{"x": 16.0, "y": 12.0, "width": 10.0, "height": 8.0, "confidence": 0.91, "class": "person", "class_id": 0}]}
    status, answer = c.call("POST", f"/dataset/coco/annotate/{answer['id']}?api_key={KEY}&name={uuid.uuid4()}.json&prediction=true",
                            PLATFORM + "Content-Type: text/plain\n", found)
    assert status == 200 and answer["success"] and "error" not in answer

    # The workflow's blocks: metadata and an aggregate, both before the inference itself.
    assert c.call("POST", f"/{WS}/inference-stats/metadata?api_key={KEY}&nocache=true", PLATFORM + JSON, {
        "data": [{"inference_ids": [inference_id], "field_name": "location", "field_value": "toronto"}]}) == (200, {"status": "ok"})
    assert c.call("POST", f"/{WS}/inference-stats?api_key={KEY}", PLATFORM + JSON, window(best(inference_id)))[0] < 400

    # Usage, every ten seconds: 200 and nothing else ends it.
    status, answer = c.call("GET", "/usage/plan", BEARER)
    assert status == 200 and answer["over_quota"] is False
    assert c.call("POST", "/usage/inference", BEARER + JSON, [failed()])[0] == 200

    # The report, a minute later; its key is in its body alone.
    report = pingback(KEY, [item(thin(("person", 0.91)), key=KEY, inference_id=inference_id)])
    assert c.call("POST", "/inference-stats", JSON, report)[0] < 400

    stored = s.get(f"/api/v1/{WS}/inferences/{inference_id}").json()
    assert (stored["model_id"], stored["device_id"], stored["server_id"], stored["partial"]) == ("coco/24", "edge-7", "srv-abc123", False)
    assert [(p["class"], p["confidence"]) for p in stored["predictions"]] == [("person", 0.91)]
    assert stored["metadata"]["location"] == "toronto" and stored["latency_s"] == 0.0123
    assert s.get(f"/api/v1/{WS}/inferences/{inference_id}/image").content == picture("rgb.png")
    [device] = s.get(f"/api/v1/{WS}/devices").json()["devices"]
    # The aggregate names no server, so it counts as one of the device's without an id.
    assert device["device_id"] == "edge-7" and {one["server_id"] for one in device["servers"]} == {"srv-abc123", None}
    assert {one["hostname"] for one in device["servers"]} == {system()["hostname"]}
    totals = s.get(f"/{WS}/inference-stats", params={"startTime": "2026-11-21 00:00:00", "endTime": "2026-11-22 00:00:00"}).json()
    assert (totals["num_inferences"], totals["num_errors"]) == (1, 1)
