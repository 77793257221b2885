"""The wire of protocol.md 1 and 3.4: recorded requests replayed byte for byte, and clients that do what the stock ones do."""
import asyncio
import base64
import io
import itertools
import json
import re
import subprocess

import aiohttp
import pytest
import requests
from client import AIOHTTP_HEADERS, DOG_SIZE, REQUESTS_HEADERS, CallError, Sdk, b64, photo, send
from PIL import Image

KEY = "TESTKEY0123456789"
WORKSPACE = "acme"
DETECTION = {"x", "y", "width", "height", "confidence", "class", "class_id", "detection_id"}
ANSWER = {"inference_id", "time", "image", "predictions"}
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def server(fleet):
    return fleet.make(workspace=WORKSPACE, api_key=KEY)


@pytest.fixture(scope="module")
def open_server(fleet):
    return fleet.make(workspace=WORKSPACE, api_key=KEY, open_inference=WORKSPACE)


@pytest.fixture(scope="module")
def dog():
    return photo("dog.jpg")


# --- over a bare socket

def check_answer(answer):
    assert set(answer) == ANSWER and answer["image"] == DOG_SIZE
    assert re.fullmatch(UUID4, answer["inference_id"]) and 0 < answer["time"] < 30
    assert {"dog", "bicycle"} <= {p["class"] for p in answer["predictions"]}
    assert len({p["detection_id"] for p in answer["predictions"]}) == len(answer["predictions"])
    for p in answer["predictions"]:
        assert set(p) == DETECTION and 0.4 <= p["confidence"] <= 1 and re.fullmatch(UUID4, p["detection_id"])
        assert 0 <= p["x"] - p["width"] / 2 and p["x"] + p["width"] / 2 <= DOG_SIZE["width"] + 0.001
        assert 0 <= p["y"] - p["height"] / 2 and p["y"] + p["height"] / 2 <= DOG_SIZE["height"] + 0.001


def test_recorded_v0_request(server, dog):
    status, answer = send(server, f"POST /coco/24?api_key={KEY}&disable_active_learning=False", REQUESTS_HEADERS, b64(dog))
    assert status == 200
    check_answer(answer)


def test_recorded_v0_request_with_the_key_in_the_header(server, dog):
    status, answer = send(server, "POST /coco/24?disable_active_learning=False", REQUESTS_HEADERS, b64(dog),
                          more=f"Authorization: Bearer {KEY}\n")
    assert status == 200
    check_answer(answer)


def test_recorded_v0_request_with_every_option(server, dog):
    target = (f"/coco/24?api_key={KEY}&confidence=0.5&keypoint_confidence=0.2&format=image_and_json&labels=True&max_detections=10"
              "&overlap=0.45&stroke=2&disable_active_learning=False&source=edge&source_info=cam-1")
    status, answer = send(server, "POST " + target, REQUESTS_HEADERS, b64(dog))
    assert status == 200 and set(answer) == ANSWER | {"visualization"}
    assert Image.open(io.BytesIO(base64.b64decode(answer["visualization"]))).size == tuple(DOG_SIZE.values())
    assert all(p["confidence"] >= 0.5 for p in answer["predictions"]) and 0 < len(answer["predictions"]) <= 10
    stored = server.get(f"/api/v1/{WORKSPACE}/inferences/{answer['inference_id']}").json()
    assert (stored["source"], stored["source_info"], stored["model_id"]) == ("edge", "cam-1", "coco/24")


def test_a_picture_as_the_answer_is_known_by_its_type(server, dog):
    """The client takes what says image/jpeg for the visualisation and reads nothing else."""
    answer = requests.post(f"{server.url}/coco/24?api_key={KEY}&format=image", data=b64(dog), headers={"Content-Type": "application/json"},
                           timeout=30)
    assert answer.status_code == 200 and "image/jpeg" in answer.headers["Content-Type"]
    assert Image.open(io.BytesIO(answer.content)).size == tuple(DOG_SIZE.values())


@pytest.mark.parametrize("headers", [REQUESTS_HEADERS, AIOHTTP_HEADERS], ids=["requests", "aiohttp"])
def test_recorded_v1_requests_three_for_the_first_picture_two_for_the_next(fleet, dog, headers):
    s = fleet.make(workspace=WORKSPACE, api_key=KEY)
    registry = f"GET /model/registry?api_key={KEY}"
    add = f'{{"model_id": "coco/24", "api_key": "{KEY}"}}'
    infer = (f'{{"api_key": "{KEY}", "model_id": "coco/24", "visualize_predictions": false, '
             f'"disable_active_learning": false, "image": {{"type": "base64", "value": "{b64(dog)}"}}}}')
    status, empty = send(s, registry, headers)
    assert status == 200 and empty["models"] == []
    status, added = send(s, "POST /model/add", headers, add)
    assert status == 200 and [m["model_id"] for m in added["models"]] == ["coco/24"]
    status, answer = send(s, "POST /infer/object_detection", headers, infer)
    assert status == 200
    check_answer(answer)
    status, listed = send(s, registry, headers)
    assert status == 200 and listed == added
    status, answer = send(s, "POST /infer/object_detection", headers, infer)
    assert status == 200
    check_answer(answer)


def test_recorded_custom_metadata_requests(server):
    more = "X-Roboflow-Inference-Version: 1.5.0\nX-Allow-Chunked: true\n"
    body = ('{"data": [{"inference_ids": ["bfab26d5-e319-4ddc-acbb-828eab2e057e"], "field_name": "location", '
            '"field_value": "toronto"}]}')
    assert send(server, f"GET /?api_key={KEY}&nocache=true", REQUESTS_HEADERS, more=more) == (200, {"workspace": WORKSPACE})
    assert send(server, f"POST /acme/inference-stats/metadata?api_key={KEY}&nocache=true", REQUESTS_HEADERS, body,
                more=more) == (200, {"status": "ok"})


# --- clients

def sender(how):
    return Sdk.run if how == "requests" else Sdk.run_async


WAYS = list(itertools.product(["requests", "aiohttp"], ["", "/"], ["legacy", "both", "header"]))


@pytest.mark.parametrize("how, slash, transport", WAYS)
def test_sdk_v1(server, dog, how, slash, transport):
    model = f"coco/{5 + WAYS.index((how, slash, transport))}"  # one that nobody asked for yet
    sdk = Sdk(server.url + slash, KEY, transport)
    registry, add, infer = ("GET", "/model/registry", 200), ("POST", "/model/add", 200), ("POST", "/infer/object_detection", 200)
    check_answer(sender(how)(sdk, [dog], model))
    assert sdk.calls == [registry, add, infer]
    sdk.calls.clear()
    check_answer(sender(how)(sdk, [dog], model))
    assert sdk.calls == [registry, infer]


@pytest.mark.parametrize("how, slash, transport", WAYS)
def test_sdk_v0(server, dog, how, slash, transport):
    sdk = Sdk(server.url + slash, KEY, transport, v0=True, overlap="0.3")
    check_answer(sender(how)(sdk, [dog]))
    assert sdk.calls == [("POST", "/coco/24", 200)]


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
def test_sdk_sends_batches_a_list_and_a_last_object(server, dog, how):
    sdk = Sdk(server.url, KEY, max_batch_size=2)
    results = sender(how)(sdk, [dog, photo("horses.jpg"), photo("eagle.jpg")])
    assert [path for _, path, _ in sdk.calls if path.startswith("/infer")] == ["/infer/object_detection"] * 2
    assert [max(r["predictions"], key=lambda p: p["confidence"])["class"] for r in results[1:]] == ["horse", "bird"]
    assert results[0]["inference_id"] == results[1]["inference_id"] != results[2]["inference_id"]


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
def test_sdk_without_a_key_is_told_so(server, dog, how):
    """It sends api_key=None and null then, which are no keys."""
    with pytest.raises(CallError) as e:
        sender(how)(Sdk(server.url), [dog])
    assert e.value.status == 401
    if how == "requests":
        assert "api_key is needed" in e.value.message


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
def test_sdk_without_a_key_where_inference_is_open(open_server, dog, how):
    answer = sender(how)(Sdk(open_server.url), [dog])
    stored = open_server.get(f"/api/v1/{WORKSPACE}/inferences/{answer['inference_id']}")
    assert stored.status_code == 200 and len(stored.json()["predictions"]) == len(answer["predictions"])


def test_sdk_asks_for_an_alias_literally_and_finds_it_listed(server, dog):
    sdk = Sdk(server.url, KEY)
    sdk.run([dog], "yolov8n-640")
    listed = {m["model_id"]: m for m in server.get("/model/registry").json()["models"]}
    assert listed["yolov8n-640"]["request_aliases"] == ["coco/24"]


def test_sdk_unload_calls_carry_no_key_and_unload_nothing(server, dog):
    Sdk(server.url, KEY).run([dog])
    for path, body in (("/model/remove", {"model_id": "coco/24"}), ("/model/clear", None)):
        answer = requests.post(server.url + path, json=body, timeout=30)
        assert answer.status_code == 200 and answer.json()["models"] == []
    status, answer = send(server, "POST /model/clear", REQUESTS_HEADERS, more="Content-Length: 0\n")
    assert status == 200 and answer["models"] == []
    assert "coco/24" in [m["model_id"] for m in server.get("/model/registry").json()["models"]]


def test_sdk_server_info(server):
    answer = requests.get(server.url + "/info", timeout=30)
    assert answer.status_code == 200 and all(isinstance(answer.json()[name], str) for name in ("name", "version", "uuid"))


def test_registry_has_what_the_protocol_lists(server, dog):
    Sdk(server.url, KEY).run([dog])
    registry = server.get("/model/registry").json()
    assert set(registry) == {"models", "total_vram_bytes", "gpu_memory_used", "gpu_memory_total", "torch_cuda_allocated",
                             "torch_cuda_reserved", "torch_cuda_allocator_cache", "non_torch_gpu_memory"}
    model = next(m for m in registry["models"] if m["model_id"] == "coco/24")
    assert model == {"model_id": "coco/24", "task_type": "object-detection", "batch_size": 1, "input_height": 512,
                     "input_width": 512, "vram_bytes": None, "request_aliases": [], "request_paths": ["/infer/object_detection"]}


# --- the public page

def metadata_call(url, inference_id):
    data = {"api_key": KEY, "data": [{"inference_ids": [inference_id], "field_name": "test_field", "field_value": "test_value"}]}
    return {"url": f"{url}/{WORKSPACE}/inference-stats/metadata", "headers": {"Content-Type": "application/json"}, "json": data}


@pytest.mark.parametrize("slash", ["", "/"], ids=["plain", "trailing-slash"])
def test_the_public_python_example(server, dog, slash):
    result = Sdk(server.url + slash, KEY).run([dog])
    inference_id = result.get("inference_id")
    response = requests.post(**metadata_call(server.url + slash, inference_id), timeout=30)
    assert response.status_code == 200 and response.json() == {"status": "ok"}
    stored = server.get(f"/api/v1/{WORKSPACE}/inferences/{inference_id}").json()
    assert stored["metadata"] == {"test_field": "test_value"} and stored["model_name"] == "CenterNet demo"


@pytest.mark.parametrize("slash", ["", "/"], ids=["plain", "trailing-slash"])
def test_the_public_python_example_with_aiohttp(server, dog, slash):
    inference_id = Sdk(server.url + slash, KEY).run_async([dog])["inference_id"]

    async def post():
        async with aiohttp.ClientSession() as session:
            async with session.post(**metadata_call(server.url + slash, inference_id)) as answer:
                assert answer.status == 200 and await answer.json() == {"status": "ok"}

    asyncio.run(post())
    assert server.get(f"/api/v1/{WORKSPACE}/inferences/{inference_id}").json()["metadata"] == {"test_field": "test_value"}


def test_the_public_curl_example(server):
    result = subprocess.run(
        ["curl", "--silent", "--show-error", "--noproxy", "*", "--location", "--request", "POST",
         f"{server.url}/{WORKSPACE}/inference-stats/metadata", "--header", "Content-Type: application/json", "--data-raw",
         """{
    "api_key": "%s",
    "data": [
        {
            "inference_ids": ["a12a19a9-a933-44c9-970c-a55ea03bb453"],
            "field_name": "camera_location",
            "field_value": "canada"
        },
        {
            "inference_ids": ["accf0af9-bdf0-4b22-8106-6988d4cada5a"],
            "field_name": "camera_location",
            "field_value": "emea"
        }
    ]
}""" % KEY], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0 and json.loads(result.stdout) == {"status": "ok"}, result
    waits = server.get(f"/api/v1/{WORKSPACE}/inferences/accf0af9-bdf0-4b22-8106-6988d4cada5a")
    assert waits.status_code == 404 and waits.json()["pending"] == {"camera_location": "emea"}


# --- roboflow-python

def test_hosted_detection_form(server, dog):
    query = {"api_key": KEY, "name": "YOUR_IMAGE.jpg", "overlap": "30", "confidence": "40", "stroke": "1", "labels": "false", "format": "json"}
    answer = requests.post(f"{server.url}/coco/24", params=query, data=b64(dog), timeout=30,
                           headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200
    check_answer(answer.json())


def test_hosted_multipart_form(server, dog):
    answer = requests.post(f"{server.url}/coco/24?api_key={KEY}&confidence=40", timeout=30,
                           files={"file": ("imageToUpload", dog, "image/jpeg")})
    assert answer.status_code == 200
    check_answer(answer.json())


def test_hosted_login(server):
    assert requests.post(f"{server.url}/?api_key={KEY}", timeout=30).json() == {"workspace": WORKSPACE}


# --- one port, two halves (architecture.md, 7): who answers what

@pytest.mark.parametrize("method, target, status, part", [
    ("GET", "/", 200, "<!doctype html>"),
    ("GET", f"/?api_key={KEY}", 200, '{"workspace":"acme"}'),
    ("GET", "/?api_key=", 401, '"error"'),
    ("GET", "/?api_key=None", 401, '"error"'),
    ("GET", "/?api_key=wrong", 401, '"error"'),
    ("POST", f"/?api_key={KEY}", 200, '{"workspace":"acme"}'),
    ("GET", f"/acme/some-dataset?api_key={KEY}", 200, '{"project":{"type":"object-detection"}}'),
    ("GET", f"/acme/some-dataset?api_key={KEY}&nocache=true", 200, '{"project"'),
    ("GET", f"/acme/some-dataset?api_key={KEY}&image=http://x/y.jpg", 400, '"message"'),
    ("GET", f"/other/some-dataset?api_key={KEY}", 400, '"message"'),
    ("GET", f"/acme/inference-stats?api_key={KEY}", 200, '"inference_stats"'),
    ("GET", f"/other/inference-stats?api_key={KEY}", 401, '"error"'),
    ("POST", f"/acme/inference-stats?api_key={KEY}", 400, '"error"'),
    ("POST", f"/other/inference-stats?api_key={KEY}", 400, '"error"'),
    ("POST", f"/inference-stats?api_key={KEY}", 400, '"error"'),
    ("GET", f"/model/registry?api_key={KEY}", 200, '{"models":'),
    ("GET", f"//model///registry?api_key={KEY}", 200, '{"models":'),
    ("GET", f"/model/registry/?api_key={KEY}", 200, '{"models":'),
    ("GET", "/model/add", 405, '"error"'),
    ("POST", f"/model/nothing?api_key={KEY}", 404, '"message"'),
    ("POST", f"/infer/semantic_segmentation?api_key={KEY}", 501, '"message"'),
    ("POST", f"/vision-events/batch?api_key={KEY}", 501, '"error"'),
    ("POST", f"/usage/inference?api_key={KEY}", 400, '"error"'),
    ("GET", f"/usage/plan?api_key={KEY}", 200, '"over_quota"'),
    ("GET", f"/api/v1?api_key={KEY}", 404, '"message"'),
    ("GET", f"/api/v1/acme?api_key={KEY}", 404, '"error"'),
])
def test_collisions(server, method, target, status, part):
    answer = requests.request(method, server.url + target, timeout=30, allow_redirects=False)
    assert (answer.status_code, part in answer.text) == (status, True), answer.text


@pytest.mark.parametrize("slug", ["model", "infer", "api", "info", "ui", "inference-stats", "usage", "vision-events", "healthz", "readyz"])
def test_a_first_segment_of_the_route_table_is_no_workspace(server, slug):
    result = server.keys("add", workspace=slug)
    assert result.returncode != 0 and slug in result.stderr
