"""Every form of a request in protocol.md 1, 2 and 5, and answers read as the real callers read them: which members they want
and no others, which status they insist on, what they try again and what they ask only once. On networks made by hand
(graphs.py); test_wire.py has the recorded requests on the demo model."""
import asyncio
import http.client
import io
import itertools
import json
import threading

import aiohttp
import pytest
import requests
from client import AIOHTTP_HEADERS, REQUESTS_HEADERS, RETRIED, CallError, Sdk, b64, exchange, hosted, image, send
from conftest import wait_for
from PIL import Image

KEY, WORKSPACE = "TESTKEY0123456789", "acme"
COMMON = {"inference_id", "time", "image", "predictions"}
BOX = {"x", "y", "width", "height", "confidence", "class", "class_id", "detection_id"}
# by task: model, members of an answer, members of a prediction
TASKS = {
    "object-detection": ("yolo-detect/1", COMMON, BOX),
    "instance-segmentation": ("yolo-seg/1", COMMON, BOX | {"points", "mask_format"}),
    "keypoint-detection": ("yolo-pose/1", COMMON, BOX | {"keypoints"}),
    "classification": ("yolo-cls/1", COMMON | {"top", "confidence"}, {"class", "class_id", "confidence"}),
}
PATHS = {"object-detection": "object_detection", "instance-segmentation": "instance_segmentation",
         "keypoint-detection": "keypoints_detection", "classification": "classification"}


def encoded(kind, side=64):
    out = io.BytesIO()
    Image.new("RGB", (side, side), (51, 51, 51)).save(out, kind)
    return out.getvalue()


PNG, JPEG = encoded("PNG"), encoded("JPEG")


@pytest.fixture(scope="module")
def server(models, fleet):
    return fleet.make(workspace=WORKSPACE, api_key=KEY, models=models)


def sender(how):
    return Sdk.run if how == "requests" else Sdk.run_async


def check_members(answer, task, more=frozenset()):
    _, members, prediction = TASKS[task]
    assert set(answer) == members | more and set(answer["image"]) == {"width", "height"}
    assert answer["predictions"] and all(set(p) == prediction for p in answer["predictions"])
    for p in answer["predictions"]:
        assert all(set(k) == {"x", "y", "confidence", "class_id", "class"} for k in p.get("keypoints", []))
        assert all(set(k) == {"x", "y"} for k in p.get("points", []))
        assert p.get("mask_format", "polygon") == "polygon"


# --- members of answers (2.4): nulls are dropped, and nothing is added

@pytest.mark.parametrize("task, v0, how", list(itertools.product(TASKS, [False, True], ["requests", "aiohttp"])))
def test_an_answer_has_the_members_of_its_task(server, task, v0, how):
    check_members(sender(how)(Sdk(server.url, KEY, v0=v0), [PNG], TASKS[task][0]), task)


def test_several_labels_are_an_object_by_class(server):
    answer = Sdk(server.url, KEY).run([PNG], "labels/1")
    assert set(answer) == COMMON | {"predicted_classes"}
    assert all(set(p) == {"confidence", "class_id"} for p in answer["predictions"].values())


def test_masks_as_run_lengths_come_without_points(server):
    answer = Sdk(server.url, KEY, response_mask_format="rle").run([PNG], "yolo-seg/1")
    assert set(answer) == COMMON
    for p in answer["predictions"]:
        assert set(p) == BOX | {"rle", "mask_format"} and p["mask_format"] == "rle" and set(p["rle"]) == {"size", "counts"}


@pytest.mark.parametrize("task", TASKS)
def test_a_drawing_is_one_member_more(server, task):
    check_members(Sdk(server.url, KEY, visualize_predictions=True).run([PNG], TASKS[task][0]), task, {"visualization"})
    check_members(Sdk(server.url, KEY, v0=True, format="image_and_json").run([PNG], TASKS[task][0]), task, {"visualization"})


def test_a_list_of_one_is_answered_by_a_list_of_one(server):
    for images, kind in ((image(PNG), dict), ([image(PNG)], list), ([image(PNG)] * 3, list)):
        answer = server.post("/infer/object_detection", json={"model_id": "yolo-detect/1", "image": images}).json()
        assert isinstance(answer, kind) and len(answer if kind is list else [answer]) == (len(images) if kind is list else 1)
        assert len({a["inference_id"] for a in (answer if kind is list else [answer])}) == 1


def test_the_id_of_a_request_is_the_id_of_its_inference(server):
    answer = server.post("/infer/object_detection", json={"model_id": "yolo-detect/1", "image": image(PNG), "id": "from-the-plc-7"}).json()
    assert answer["inference_id"] == "from-the-plc-7"


@pytest.mark.parametrize("path, body", [("/model/remove", {"model_id": "yolo-detect/1"}), ("/model/remove", {"model_id": "none/9"}),
                                        ("/model/clear", None)])
def test_registry_calls_all_answer_the_registry_nulls_kept(server, path, body):
    listed = server.get("/model/registry").json()
    assert len(listed) == 8 and all(v is None for k, v in listed.items() if k != "models")
    answer = requests.post(server.url + path, json=body, timeout=30)  # the SDK sends no key with these
    assert answer.status_code == 200 and answer.json() == {**listed, "models": []}


# --- what the SDK can send (1.5, 1.6), in its order and spelling

@pytest.mark.parametrize("headers", [REQUESTS_HEADERS, AIOHTTP_HEADERS], ids=["requests", "aiohttp"])
@pytest.mark.parametrize("truth", ["True", "False"])
@pytest.mark.parametrize("task", TASKS)
def test_every_option_of_v0(server, task, truth, headers):
    target = (f"/{TASKS[task][0]}?api_key={KEY}&confidence=0.3&keypoint_confidence=0.1&format=json&labels={truth}&mask_decode_mode=tradeoff"
              f"&tradeoff_factor=0.5&max_detections=10&overlap=0.45&stroke=2&countinference=True&service_secret=s&"
              f"disable_preproc_auto_orient={truth}&disable_preproc_contrast={truth}&disable_preproc_grayscale={truth}"
              f"&disable_preproc_static_crop={truth}&disable_active_learning={truth}&active_learning_target_dataset=other&source=edge"
              "&source_info=cam-1&response_mask_format=polygon")
    status, answer = send(server, "POST " + target, headers, b64(PNG), more="execution_id: 4f5c\n")
    assert status == 200, answer
    check_members(answer, task)


@pytest.mark.parametrize("task", TASKS)
def test_every_member_of_v1(server, task):
    body = {"api_key": KEY, "model_id": TASKS[task][0], "disable_preproc_auto_orient": False, "disable_preproc_contrast": False,
            "disable_preproc_grayscale": False, "disable_preproc_static_crop": False, "confidence": 0.3}
    if task != "classification":
        body.update(class_agnostic_nms=True, class_filter=None, fix_batch_size=True, iou_threshold=0.3, max_detections=300, max_candidates=3000,
                    visualization_labels=True)
    if task == "keypoint-detection":
        body.update(keypoint_confidence=0.0)
    if task == "instance-segmentation":
        body.update(mask_decode_mode="accurate", tradeoff_factor=0.0, response_mask_format="polygon", enforce_dense_masks_in_inference_models=False)
    body.update(visualization_stroke_width=1, visualize_predictions=False, disable_active_learning=False, active_learning_target_dataset=None,
                source="edge", source_info="cam-1", usage_billable=True, start=None, model_type=None, image=image(PNG))
    status, answer = send(server, f"POST /infer/{PATHS[task]}?service_secret=s&countinference=True", REQUESTS_HEADERS, json.dumps(body))
    assert status == 200, answer
    check_members(answer, task)


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
@pytest.mark.parametrize("path", ["/infer/object_detection", "//infer//object_detection", "/yolo-detect/1", "//yolo-detect/1"])
def test_bodies_in_chunks(server, how, path):
    v1 = "infer" in path
    text = json.dumps({"api_key": KEY, "model_id": "yolo-detect/1", "image": image(PNG)}) if v1 else b64(PNG)
    pieces = [text[i:i + 50].encode() for i in range(0, len(text), 50)]
    url, headers = server.url + path, {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}

    async def post():
        async def body():
            for piece in pieces:
                yield piece
        async with aiohttp.ClientSession() as session, session.post(url, data=body(), headers=headers) as answer:
            return answer.status, await answer.json()
    if how == "aiohttp":
        status, answer = asyncio.run(post())
    else:
        answer = requests.post(url, data=iter(pieces), headers=headers, timeout=30)
        status, answer = answer.status_code, answer.json()
    assert status == 200, answer
    check_members(answer, "object-detection")


@pytest.mark.parametrize("kind", ["", "Content-Type: text/plain\n", "Content-Type: application/x-www-form-urlencoded\n",
                                  "Content-Type: application/json; charset=utf-8\n"], ids=["none", "plain", "form", "json"])
@pytest.mark.parametrize("target, body, status", [
    ("/infer/object_detection", {"api_key": KEY, "model_id": "yolo-detect/1", "image": image(PNG)}, 200),
    ("/model/add", {"api_key": KEY, "model_id": "yolo-detect/1"}, 200),
    (f"/{WORKSPACE}/inference-stats/metadata", {"api_key": KEY, "data": []}, 200),
    ("/inference-stats", {"api_key": KEY, "inference_results": []}, 200),
    (f"/usage/inference?api_key={KEY}", [], 200),
    (f"/v2/events?api_key={KEY}", {"event_schema": "quality_check", "images": []}, 201),
    (f"/api/v1/{WORKSPACE}/inferences", {"api_key": KEY, "model_id": "m/1"}, 200),
])
def test_json_is_read_whatever_its_type_says(server, target, body, status, kind):
    data = json.dumps(body).encode()
    got, _, _, answer = exchange(server, "POST " + target, REQUESTS_HEADERS + kind + f"Content-Length: {len(data)}\n", data)
    assert got == status, answer


@pytest.mark.parametrize("query, bearer, body, status", [
    (KEY, None, None, 200), ("None", KEY, None, 200), ("", KEY, None, 200), (None, KEY, "wrong", 200), ("None", None, KEY, 200),
    (None, None, KEY, 200), (KEY, "wrong", "wrong", 200), ("wrong", KEY, KEY, 401), (None, "wrong", KEY, 401), ("None", None, None, 401),
    (None, "None", None, 401)])
def test_query_before_header_before_body_and_none_is_no_key(server, query, bearer, body, status):
    answer = requests.post(server.url + "/infer/object_detection", params=None if query is None else {"api_key": query}, timeout=30,
                           headers={} if bearer is None else {"Authorization": "Bearer " + bearer},
                           json={"api_key": body, "model_id": "yolo-detect/1", "image": image(PNG)})
    assert answer.status_code == status, answer.text


# --- roboflow-python (2.5)

@pytest.mark.parametrize("task", TASKS)
def test_hosted_classes(server, task):
    data = PNG if task == "object-detection" else JPEG
    check_members(hosted(server.url, KEY, task, TASKS[task][0], data), task)


def test_hosted_login_then_a_model(server):
    """Its login asks with the key in the query and reads `workspace`."""
    answer = requests.post(f"{server.url}/?api_key={KEY}", timeout=30)
    assert (answer.status_code, answer.json()["workspace"]) == (200, WORKSPACE)
    answer = hosted(server.url, KEY, "object-detection", "yolo-detect/1", PNG)
    status, _ = send(server, f"POST /{WORKSPACE}/inference-stats/metadata?api_key={KEY}", REQUESTS_HEADERS, json.dumps(
        {"data": [{"inference_ids": [answer["inference_id"]], "field_name": "location", "field_value": "toronto"}]}))
    assert status == 200
    assert server.get(f"/api/v1/{WORKSPACE}/inferences/{answer['inference_id']}").json()["metadata"] == {"location": "toronto"}


# --- statuses and retries (1.7, fact 8)

def count(server):
    return server.get(f"/api/v1/{server.workspace}/inferences/count").json()["count"]


class Crowd:
    """Keeps one thread and its queue full until it is let go."""

    def __init__(self, server):
        self.go_on, self.seen = True, set()
        body = {"model_id": "yolo-detect/1", "image": image(encoded("PNG", 3000)), "disable_model_monitoring": True}

        def send():
            while self.go_on:
                self.seen.add(requests.post(server.url + "/infer/object_detection", params={"api_key": server.key}, json=body, timeout=60).status_code)
        self.threads = [threading.Thread(target=send) for _ in range(4)]
        for t in self.threads:
            t.start()
        wait_for(lambda: 503 in self.seen, what="a full queue")

    def let_go(self):
        self.go_on = False
        for t in self.threads:
            t.join()


@pytest.fixture
def crowded(make_server, models):
    s = make_server(models=models, inference_threads=1, inference_queue=1)
    Sdk(s.url, s.key).run([PNG], "yolo-detect/1")
    crowd = Crowd(s)
    yield s, crowd
    crowd.let_go()
    assert crowd.seen == {200, 503}


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
@pytest.mark.parametrize("v0", [False, True])
def test_a_full_queue_is_tried_again_and_stores_once(crowded, how, v0):
    s, crowd = crowded
    before = count(s)
    sdk, path = Sdk(s.url, s.key, v0=v0), "/yolo-detect/1" if v0 else "/infer/object_detection"
    sdk.pause = crowd.let_go  # instead of a second's wait: until there is room
    answers = 0
    for _ in range(200):  # a place may have been free just then
        check_members(sender(how)(sdk, [PNG], "yolo-detect/1"), "object-detection")
        answers += 1
        if 503 in [status for _, _, status in sdk.calls]:
            break
    infer = [status for _, at, status in sdk.calls if at == path]
    assert infer[-2:] == [503, 200] and infer[:-2] == [200] * (answers - 1)
    assert count(s) == before + answers


def test_calls_that_are_made_once_meet_no_full_queue(crowded):
    """Registry, model/add and /info have one try; nor does a model that nobody loaded wait behind pictures."""
    s, _ = crowded
    for model in ("yolo-detect/1", "yolo-seg/1", "yolo-pose/1", "yolo-cls/1", "logits/1"):
        answer = s.post("/model/add", json={"model_id": model})
        assert answer.status_code == 200 and model in [m["model_id"] for m in answer.json()["models"]], answer.text
    for method, path in (("GET", "/model/registry"), ("GET", "/info"), ("POST", "/model/remove"), ("POST", "/model/clear"), ("GET", "/")):
        assert s.request(method, path).status_code == 200
    body = {"data": [{"inference_ids": ["any"], "field_name": "a", "field_value": "b"}]}
    assert s.post("/test/inference-stats/metadata", json=body).status_code == 200


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
def test_a_server_that_comes_back_is_found_again(make_server, models, how):
    s = make_server(models=models)
    sdk = Sdk(s.url, s.key, v0=True)
    s.kill9()
    sdk.pause = s.start
    check_members(sender(how)(sdk, [PNG], "yolo-detect/1"), "object-detection")
    assert [status for _, _, status in sdk.calls] == [None, 200] and count(s) == 1


WRONG = [
    ("POST", "/infer/object_detection", {"json": {"model_id": "yolo-detect/1"}}, 422),
    ("POST", "/infer/object_detection", {"json": {"model_id": "yolo-detect/1", "image": {"type": "base64", "value": "!"}}}, 400),
    ("POST", "/infer/object_detection", {"json": {"model_id": "yolo-detect/1", "image": {"type": "numpy", "value": "x"}}}, 400),
    ("POST", "/infer/object_detection", {"json": {"model_id": "yolo-detect/1", "image": {"type": "pil", "value": "x"}}}, 400),
    ("POST", "/infer/object_detection", {"json": {"model_id": "none/1", "image": image(PNG)}}, 404),
    ("POST", "/infer/object_detection", {"data": b"{"}, 422),
    ("POST", "/infer/keypoints_detection", {"json": {"model_id": "yolo-pose/1", "confidence": "best", "image": image(PNG)}}, 422),
    ("POST", "/infer/semantic_segmentation", {"json": {}}, 501),
    ("POST", "/yolo-detect/1", {"data": b"", "headers": {"Content-Type": "application/json"}}, 400),
    ("POST", "/yolo-detect/1", {"data": JPEG, "headers": {"Content-Type": "image/jpeg"}}, 400),
    ("POST", "/yolo-detect/1", {}, 400),
    ("POST", "/none/1", {"data": b64(PNG), "headers": {"Content-Type": "application/json"}}, 404),
    ("POST", "/yolo-detect/1?image=https://example.com/x.jpg", {}, 400),
    ("POST", "/model/add", {"json": {"model_id": "none/1"}}, 404),
    ("POST", "/model/add", {"json": {}}, 422),
    ("POST", "/model/add", {"json": []}, 422),
    ("GET", "/model/registry", {"key": "wrong"}, 401),
    ("POST", "/infer/object_detection", {"key": "wrong", "json": {"model_id": "yolo-detect/1", "image": image(PNG)}}, 401),
    ("DELETE", "/model/registry", {}, 405),
]


@pytest.mark.parametrize("method, path, how, status", WRONG, ids=[f"{m} {p} {s} {i}" for i, (m, p, _, s) in enumerate(WRONG)])
def test_an_error_is_an_object_that_the_client_reads(server, method, path, how, status):
    """`message`, else `detail`; to the asynchronous client the reason phrase is all. What won't work is not tried again."""
    answer = server.request(method, path, **how)
    assert answer.status_code == status and status not in RETRIED, answer.text
    assert answer.headers["Content-Type"] == "application/json" and answer.reason == {422: "Unprocessable Content"}.get(status, http.client.responses[status])
    body = answer.json()
    if status == 422:
        assert set(body) == {"detail"} and [set(d) for d in body["detail"]] == [{"type", "loc", "msg", "input"}]
    elif status == 405:
        assert set(body) == {"error"} and "GET" in answer.headers["Allow"]
    else:
        assert set(body) == {"message"} and body["message"]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("sent, shown", [({}, ("missing", None)), ({"image": 3}, ("value_error", 3)), ({"image": "A" * 1000}, ("value_error", None))])
def test_a_422_shows_what_came_unless_it_is_long(server, sent, shown):
    [fault] = server.post("/infer/object_detection", json={"model_id": "yolo-detect/1", **sent}).json()["detail"]
    assert fault["loc"] == ["body", "image"] and (fault["type"], fault["input"]) == shown


@pytest.mark.parametrize("how", ["requests", "aiohttp"])
def test_what_a_client_shows_of_an_error(server, how):
    with pytest.raises(CallError) as e:
        sender(how)(Sdk(server.url, KEY, v0=True), [b"no picture"], "yolo-detect/1")
    assert e.value.status == 400
    assert e.value.message == "Bad Request" if how == "aiohttp" else e.value.message.startswith("Could not load input image. Cause: ")


# --- pages of other hosts

@pytest.mark.parametrize("path", ["/infer/object_detection", "/yolo-detect/1", "/model/add"])
def test_a_preflight_lets_any_header_of_a_client_through(server, path):
    answer = server.request("OPTIONS", path, anonymous=True, headers={
        "Origin": "http://hmi.plant", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "execution_id,x-allow-chunked"})
    allowed = [name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")]
    assert answer.status_code == 204 and {"*", "authorization"} <= set(allowed)  # * is not for Authorization


# --- what the platform's callers insist on (section 5)

@pytest.mark.parametrize("start, body, status, wanted", [
    ("POST /inference-stats", {"api_key": KEY, "timestamp": "1795289947", "inference_results": []}, 200, None),
    (f"POST /{WORKSPACE}/inference-stats?api_key={KEY}",
     {"timestamp": "2026-11-21T19:39:09.108638", "source": "workflow", "inference_results": [], "device_id": None}, 200, None),
    (f"POST /{WORKSPACE}/inference-stats/metadata?api_key={KEY}&nocache=true",
     {"data": [{"inference_ids": ["x"], "field_name": "a", "field_value": "b"}]}, 200, {"status": "ok"}),
    (f"GET /?api_key={KEY}&nocache=true", None, 200, {"workspace": WORKSPACE}),
    ("POST /usage/inference", [], 200, {}),
    (f"GET /{WORKSPACE}/dataset?api_key={KEY}&nocache=true", None, 200, {"project": {"type": "object-detection"}}),
])
def test_platform_calls(server, start, body, status, wanted):
    more = f"X-Roboflow-Inference-Version: 1.5.0\nX-Allow-Chunked: true\nAuthorization: Bearer {KEY}\n"
    got, answer = send(server, start, REQUESTS_HEADERS, None if body is None else json.dumps(body), more=more)
    assert got == status and (wanted is None or answer == wanted)


def test_a_pingback_answers_on_a_connection_that_is_used_again(server):
    """requests.Session and aiohttp keep theirs; two different calls on one."""
    for _ in range(2):
        status, _, headers, _ = exchange(server, f"GET /?api_key={KEY}", REQUESTS_HEADERS)
        assert status == 200 and headers.get("connection", "").lower() != "close"
