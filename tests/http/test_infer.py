"""Inference over HTTP: the v1 and the legacy route, what they answer and what they store."""
import concurrent.futures
import datetime
import gzip
import io
import json
import os
import pathlib
import re
import shutil
import uuid

import pytest
import requests
from client import DOG_SIZE, b64, image, photo, picture
from conftest import BINARY, wait_for
from PIL import Image

MODEL = "coco/24"
SPELLINGS = [("true", True), ("False", False), ("1", True), ("0", False), ("yes", True), ("No", False), ("ON", True), ("off", False),
             ("t", True), ("F", False), ("y", True), ("n", False)]
SIZE = {"width": 32, "height": 24}  # of most pictures in tests/data/images


@pytest.fixture(scope="module")
def dog():
    return photo("dog.jpg")


def v1(server, images, status=200, **body):
    """POST /infer/object_detection; images: bytes, a list of bytes, or what `image` shall be."""
    if isinstance(images, bytes):
        images = image(images)
    elif isinstance(images, list):
        images = [image(one) if isinstance(one, bytes) else one for one in images]
    answer = server.post("/infer/object_detection", json={"model_id": MODEL, "image": images, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def legacy(server, data, status=200, path="/" + MODEL, **query):
    body = b64(data) if isinstance(data, bytes) else data
    answer = server.post(path, params=query, data=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == status, answer.text
    return answer.json()


def stored(server, inference_id, status=200, **query):
    answer = server.get(f"/api/v1/{server.workspace}/inferences/{inference_id}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def count(server):
    return server.get(f"/api/v1/{server.workspace}/inferences/count").json()["count"]


def boxes(answer):
    return [{k: v for k, v in p.items() if k != "detection_id"} for p in answer["predictions"]]


def iou(a, b):
    def common(centre, size):
        return max(0, min(a[centre] + a[size] / 2, b[centre] + b[size] / 2) - max(a[centre] - a[size] / 2, b[centre] - b[size] / 2))
    both = common("x", "width") * common("y", "height")
    return both / (a["width"] * a["height"] + b["width"] * b["height"] - both)


# --- what is answered

def test_one_picture_gives_an_object_a_list_of_one_a_list(server, dog):
    single, listed = v1(server, dog), v1(server, [dog])
    assert isinstance(single, dict) and isinstance(listed, list) and len(listed) == 1
    assert boxes(single) == boxes(listed[0]) and single["image"] == DOG_SIZE


def test_both_routes_find_the_same(server, dog):
    by_form = server.post("/" + MODEL, files={"file": ("anything.bin", dog, "text/plain")})
    assert by_form.status_code == 200
    by_get = server.request("GET", "/" + MODEL, data=b64(dog), headers={"Content-Type": "image/jpeg"})
    assert boxes(v1(server, dog)) == boxes(legacy(server, dog)) == boxes(by_form.json()) == boxes(by_get.json())


def test_a_batch_shares_one_id_and_each_picture_is_a_record(server, dog):
    answers = v1(server, [dog, picture("rgb.png"), photo("eagle.jpg")])
    inference_id = answers[0]["inference_id"]
    assert [a["inference_id"] for a in answers] == [inference_id] * 3 and len({a["time"] for a in answers}) == 1
    records = [stored(server, inference_id, index=i) for i in range(3)]
    for i, (answer, record) in enumerate(zip(answers, records)):
        assert record["index"] == i and boxes(record) == boxes(answer)
        assert [p["detection_id"] for p in record["predictions"]] == [p["detection_id"] for p in answer["predictions"]]
    assert records[0]["siblings"] == [{"model_id": MODEL, "index": 1}, {"model_id": MODEL, "index": 2}]


def test_predictions_come_surest_first_and_max_detections_cuts(server, dog):
    whole = boxes(v1(server, dog, confidence=0.1))
    assert whole == sorted(whole, key=lambda p: -p["confidence"]) and len(whole) > 3
    assert boxes(v1(server, dog, confidence=0.1, max_detections=2)) == whole[:2]
    assert boxes(legacy(server, dog, confidence="0.1", max_detections="2")) == whole[:2]


def test_class_filter(server, dog):
    whole = boxes(v1(server, dog, confidence=0.2))
    assert boxes(v1(server, dog, confidence=0.2, class_filter=["dog"])) == [p for p in whole if p["class"] == "dog"] != []
    assert boxes(v1(server, dog, confidence=0.2, class_filter=["dog", "bicycle", "no such class"])) == [
        p for p in whole if p["class"] in ("dog", "bicycle")]
    assert v1(server, dog, class_filter=["no such class"])["predictions"] == []
    assert boxes(v1(server, dog, confidence=0.2, class_filter=None)) == whole


def test_suppression_within_a_class_or_across_all(server, dog):
    each = boxes(v1(server, dog, confidence=0.02, iou_threshold=0.3))
    across = boxes(v1(server, dog, confidence=0.02, iou_threshold=0.3, class_agnostic_nms=True))
    assert len(across) < len(each)

    def worst(found, same_class):
        return max(iou(a, b) for i, a in enumerate(found) for b in found[:i] if not same_class or a["class"] == b["class"])
    assert worst(each, True) <= 0.3 + 1e-9 < worst(each, False)
    assert worst(across, False) <= 0.3 + 1e-9
    assert len(boxes(v1(server, dog, confidence=0.02, iou_threshold=1, max_detections=10000))) > len(each)


def test_legacy_confidence_and_overlap_from_1_on_are_percentages(server, dog):
    assert boxes(legacy(server, dog, confidence="40")) == boxes(legacy(server, dog, confidence="0.4")) == boxes(legacy(server, dog))
    assert boxes(legacy(server, dog, confidence="100")) == []
    all_of_them = {"overlap": "90", "max_detections": "100000"}
    least = boxes(legacy(server, dog, confidence="0.01", **all_of_them))
    assert 0.01 <= least[-1]["confidence"] < 0.0105
    for value in ("1", "0", "0.001", "0.00999"):  # 1 is 0.01, and that is the floor
        assert boxes(legacy(server, dog, confidence=value, **all_of_them)) == least
    assert boxes(legacy(server, dog, confidence="0.02", overlap="1")) == boxes(legacy(server, dog, confidence="2", overlap="0.01"))


def test_v1_takes_confidence_as_given(server, dog):
    assert v1(server, dog, confidence=1)["predictions"] == []
    low = boxes(v1(server, dog, confidence=0.001, iou_threshold=0.9, max_detections=100000, max_candidates=100000))
    floor = boxes(v1(server, dog, confidence=0.01, iou_threshold=0.9, max_detections=100000, max_candidates=100000))
    assert len(low) > len(floor) and min(p["confidence"] for p in low) < 0.01
    assert boxes(v1(server, dog, confidence="0.5")) == boxes(v1(server, dog, confidence=0.5))


def test_best_and_default_are_the_models_own_threshold(server, dog):
    threshold = json.loads((BINARY.parent / "models" / "coco-centernet" / "model.json").read_text())["confidence"]
    expected = boxes(v1(server, dog, confidence=threshold))
    assert expected != boxes(v1(server, dog))  # 0.4
    for word in ("best", "default"):
        assert boxes(v1(server, dog, confidence=word)) == boxes(legacy(server, dog, confidence=word)) == expected


def test_null_members_are_the_defaults(server, dog):
    nulls = dict.fromkeys(["confidence", "iou_threshold", "max_detections", "max_candidates", "class_filter", "class_agnostic_nms",
                           "source", "source_info", "id", "disable_model_monitoring", "visualize_predictions", "model_type"])
    assert boxes(v1(server, dog, **nulls)) == boxes(v1(server, dog))


def test_unknown_options_and_the_platforms_billing_are_ignored(server, dog):
    expected = boxes(v1(server, dog))
    assert boxes(v1(server, dog, frobnicate=3, usage_billable=False, fix_batch_size=True, active_learning_target_dataset="x")) == expected
    assert boxes(legacy(server, dog, tile="640", hosted="true", countinference="False", service_secret="guess")) == expected
    answer = server.post("/infer/object_detection?countinference=False&service_secret=x", json={"model_id": MODEL, "image": image(dog)})
    assert answer.status_code == 200


@pytest.mark.parametrize("form", ["data:image/jpeg;base64,{}", "  {}\r\n", "{}"])
def test_spellings_of_base64(server, form):
    text = form.format(b64(picture("rgb.png")))
    assert v1(server, {"type": "BASE64", "value": text})["image"] == SIZE
    assert legacy(server, text)["image"] == SIZE


def test_base64_in_lines(server):
    text = b64(picture("grey.jpg"))
    assert legacy(server, "\n".join(text[i:i + 76] for i in range(0, len(text), 76)))["image"] == SIZE


@pytest.mark.parametrize("name", ["rgb.png", "rgb16.png", "grey.png", "grey16.png", "grey.jpg", "grey-alpha.png", "alpha.png",
                                  "palette.png", "cmyk.jpg", "rgb.webp", "rgb.tif", "animated.gif"])
def test_every_kind_of_picture(server, name):
    assert v1(server, picture(name))["image"] == SIZE


def test_sizes_and_boxes_are_of_the_upright_picture(server, dog):
    turned = picture("turned.jpg")
    assert v1(server, turned)["image"] == legacy(server, turned)["image"] == SIZE
    lying = {"width": SIZE["height"], "height": SIZE["width"]}
    assert v1(server, turned, disable_preproc_auto_orient=True)["image"] == lying
    assert legacy(server, turned, disable_preproc_auto_orient="True")["image"] == lying
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.open(io.BytesIO(dog)).rotate(90, expand=True).save(out, "PNG", exif=exif.tobytes())
    upright, sideways = v1(server, dog, class_filter=["dog"]), v1(server, out.getvalue(), class_filter=["dog"])
    assert sideways["image"] == DOG_SIZE and stored(server, sideways["inference_id"])["image"]["width"] == DOG_SIZE["width"]
    for side in ("x", "y", "width", "height"):
        assert abs(upright["predictions"][0][side] - sideways["predictions"][0][side]) < 3


# --- errors

@pytest.mark.parametrize("value, message", [
    ({"type": "base64", "value": "!!!"}, "Malformed base64 input image."),
    ({"type": "base64", "value": "QUJD="}, "Malformed base64 input image."),
    ({"type": "base64", "value": ""}, "Empty image payload."),
    ({"type": "base64", "value": "data:image/png;base64,"}, "Empty image payload."),
    ({"type": "base64", "value": b64(b"hello, this is text")}, "The bytes are not a JPEG, PNG"),
    ({"type": "numpy", "value": "gASV"}, "NumPy image type is not supported"),
    ({"type": "Numpy_Object", "value": "gASV"}, "NumPy image type is not supported"),
    ({"type": "url", "value": "https://example.com/a.jpg"}, "Providing images via URL is not enabled"),
    ({"type": "URL", "value": ""}, "Providing images via URL is not enabled"),
    ({"type": "file", "value": "/etc/passwd"}, "Image declaration contains not recognised image type."),
    ({"type": "pil", "value": ""}, "Image declaration contains not recognised image type."),
    ({"value": "aGk="}, "Image declaration contains not recognised image type."),
])
def test_a_picture_that_cannot_be_loaded(server, value, message):
    for form in (value, [value], [value, value]):
        assert v1(server, form, status=400)["message"].startswith("Could not load input image. Cause: " + message)


def test_which_picture_of_a_batch_is_bad_is_told(server, dog):
    assert v1(server, [dog, b"nonsense"], status=400)["message"].endswith("(image 2 of 2)")


@pytest.mark.parametrize("name", ["truncated.jpg", "truncated.png", "text.jpg", "header-only.jpg", "page.svg", "empty.png", "bomb.png"])
def test_bad_pictures_on_both_routes(server, name):
    for answer in (v1(server, picture(name), status=400), legacy(server, picture(name), status=400)):
        assert answer["message"].startswith("Could not load input image. Cause: ")
    by_form = server.post("/" + MODEL, files={"file": (name, picture(name))})
    assert by_form.status_code == 400 and by_form.json()["message"].startswith("Could not load input image. Cause: ")
    assert server.get("/healthz").ok


def test_pixels_at_the_limit_and_one_past(make_server):
    size = SIZE["width"] * SIZE["height"]
    assert v1(make_server(max_image_pixels=size), picture("rgb.png"))["image"] == SIZE
    assert "max_image_pixels" in v1(make_server(max_image_pixels=size - 1), picture("rgb.png"), status=400)["message"]


@pytest.mark.parametrize("headers, body, query, message", [
    ({"Content-Type": "application/json"}, b"", "", "Could not load input image. Cause: Image not found in request body."),
    ({"Content-Type": "image/png"}, picture("rgb.png"), "", "Could not load input image. Cause: Invalid base64 input"),
    ({"Content-Type": "image/jpeg"}, photo()[:5000], "", "Could not load input image. Cause: Invalid base64 input"),
    ({"Content-Type": "x/y"}, b"aGk=", "?image_type=numpy", "Could not load input image. Cause: NumPy image type is not supported"),
    ({"Content-Type": "x/y"}, b"aGk=", "?image=https://example.com/a.jpg", "Could not load input image. Cause: Providing images via URL"),
    ({"Content-Type": "multipart/form-data"}, b"aGk=", "", "Content-Type must be multipart/form-data with a boundary"),
    ({"Content-Type": "x/y"}, b"aGk=", "?confidence=high", "confidence must be a number"),
    ({"Content-Type": "x/y"}, b"aGk=", "?overlap=nan", "overlap must be a number"),
    ({"Content-Type": "x/y"}, b"aGk=", "?confidence=-1", "confidence and overlap must be from 0 to 100"),
    ({"Content-Type": "x/y"}, b"aGk=", "?confidence=101", "confidence and overlap must be from 0 to 100"),
    ({"Content-Type": "x/y"}, b"aGk=", "?stroke=101", "stroke must be from 0 to 100"),
    ({"Content-Type": "x/y"}, b"aGk=", "?labels=perhaps", "labels must be true or false"),
    ({"Content-Type": "x/y"}, b"aGk=", "?max_detections=0", "max_detections must be from 1"),
    ({"Content-Type": "x/y"}, b"aGk=", "?disable_model_monitoring=maybe", "disable_model_monitoring must be true or false"),
])
def test_bad_legacy_requests(server, headers, body, query, message):
    answer = server.post("/" + MODEL + query, data=body, headers=headers)
    assert (answer.status_code, answer.json()["message"][:len(message)]) == (400, message)


def test_legacy_without_a_content_type(server):
    answer = server.raw(f"POST /{MODEL}?api_key={server.key} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\naGk=".encode())
    assert b"HTTP/1.1 400" in answer and b"Content-Type header not provided with request." in answer


@pytest.mark.parametrize("files", [
    {"picture": ("a.png", picture("rgb.png"))},             # another name
    {"file": (None, picture("grey.png").hex())},            # no file name: text, not an upload
], ids=["another-name", "no-filename"])
def test_a_form_without_its_file(server, files):
    answer = server.post("/" + MODEL, files=files)
    assert answer.status_code == 400 and answer.json()["message"].startswith("Invalid Content-Type header provided with request.")


def test_a_form_with_more_than_the_file(server):
    answer = server.post("/" + MODEL, files=[("name", (None, "x")), ("file", ("a.png", picture("rgb.png"))), ("file", ("b.png", b"?"))])
    assert answer.status_code == 200 and answer.json()["image"] == SIZE


@pytest.mark.parametrize("change, field", [
    ({"image": None}, "image"), ({"image": 3}, "image"), ({"image": "abc"}, "image"), ({"image": []}, "image"),
    ({"image": {"type": "base64", "value": 5}}, "image"), ({"image": [{"type": "base64"}]}, "image"),
    ({"model_id": None}, "model_id"), ({"model_id": 3}, "model_id"), ({"model_id": ""}, "model_id"),
    ({"confidence": 1.01}, "confidence"), ({"confidence": -0.1}, "confidence"), ({"confidence": "some"}, "confidence"),
    ({"confidence": []}, "confidence"), ({"iou_threshold": 2}, "iou_threshold"), ({"max_detections": 0}, "max_detections"),
    ({"max_detections": 1.5}, "max_detections"), ({"class_filter": "dog"}, "class_filter"), ({"class_filter": [1]}, "class_filter"),
    ({"class_agnostic_nms": "perhaps"}, "class_agnostic_nms"), ({"id": 5}, "id"), ({"id": ""}, "id"), ({"id": "x" * 257}, "id"),
    ({"id": "a\tb"}, "id"), ({"source": {}}, "source"), ({"source_info": "x" * 1025}, "source_info"),
    ({"disable_model_monitoring": 2}, "disable_model_monitoring"), ({"visualize_predictions": "maybe"}, "visualize_predictions"),
    ({"visualization_stroke_width": 101}, "visualization_stroke_width"), ({"visualization_labels": []}, "visualization_labels"),
])
def test_bad_members_are_named(server, change, field):
    before = count(server)
    body = {"model_id": MODEL, "image": image(picture("rgb.png")), **change}
    answer = server.post("/infer/object_detection", json=body)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert [d["loc"] for d in detail] == [["body", field]] and all(d["msg"] and d["type"] for d in detail)
    assert count(server) == before


def test_a_body_that_is_no_object(server):
    for body in (b"", b"{", b"[]", b"3", b"\xff", b'{"image": "\\ud800"}'):
        answer = server.post("/infer/object_detection", data=body)
        assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body"]


def test_limits_of_id_and_batch(server):
    assert v1(server, picture("rgb.png"), id="x" * 256)["inference_id"] == "x" * 256
    v1(server, [picture("rgb.png")] * 257, status=422)


def test_an_unknown_model(server):
    start = "Requested Roboflow resource not found."
    assert v1(server, picture("rgb.png"), status=404, model_id="nobody/1")["message"].startswith(start)
    assert legacy(server, picture("rgb.png"), status=404, path="/nobody/1")["message"].startswith(start)
    answer = server.post("/model/add", json={"model_id": "nobody/1"})
    assert answer.status_code == 404 and answer.json()["message"].startswith(start)
    assert "nobody/1" not in server.get("/model/registry").text


def test_a_model_id_of_the_path_that_cannot_be_one(server):
    for path in ("/" + "x" * 1025 + "/1", "/a%01b/1"):
        assert legacy(server, picture("rgb.png"), status=400, path=path)["message"].startswith("Invalid Model ID sent in request.")


def test_broken_model_folders(make_server, tmp_path):
    good = BINARY.parent / "models" / "coco-centernet"
    models = tmp_path / "models"
    description = json.loads((good / "model.json").read_text())

    def folder(name, ids, network=b"", **change):
        (models / name).mkdir(parents=True)
        (models / name / "model.json").write_text(json.dumps({**description, "ids": ids, "aliases": [], **change}))
        if network is not None:
            (models / name / "model.onnx").write_bytes(network)
    folder("cut", ["cut/1"], (good / "model.onnx").read_bytes()[:100000])
    folder("empty", ["empty/1"])
    folder("missing", ["missing/1"], None)
    folder("classes", ["classes/1"], (good / "model.onnx").read_bytes(), classes=["one"])
    folder("decoder", ["decoder/1"], b"x", decoder="magic")
    (models / "json").mkdir()
    (models / "json" / "model.json").write_text('{"ids": ["json/1"],')
    (models / "a-file").write_text("no folder")
    shutil.copytree(good, models / "good")
    s = make_server(models=models)
    for name in ("cut", "empty", "missing", "classes", "decoder"):
        inference_id = str(uuid.uuid4())
        answer = v1(s, picture("rgb.png"), status=500, model_id=name + "/1", id=inference_id)
        assert answer["message"].startswith("Model package is broken. ") and name in answer["message"]
        assert stored(s, inference_id)["error"] == answer["message"]
        assert s.post("/model/add", json={"model_id": name + "/1"}).status_code == 500
    assert v1(s, picture("rgb.png"), status=404, model_id="json/1")
    assert s.post("/model/add", json={"model_id": MODEL}).status_code == 200
    assert v1(s, picture("rgb.png"))["image"] == SIZE
    assert [m["model_id"] for m in s.get("/model/registry").json()["models"]] == [MODEL]


def test_a_server_without_models_says_so(make_server, tmp_path):
    s = make_server(models=tmp_path / "nothing")
    assert "no models at all" in v1(s, picture("rgb.png"), status=404)["message"]


def test_past_the_queue_503_with_retry_after(make_server, dog):
    s = make_server(inference_threads=1, inference_queue=1)
    v1(s, dog)  # the model is loaded
    before = count(s)
    ids = [str(uuid.uuid4()) for _ in range(16)]

    def send(inference_id):
        body = {"model_id": MODEL, "image": image(dog), "id": inference_id}
        return requests.post(f"{s.url}/infer/object_detection?api_key={s.key}", json=body, timeout=30)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, ids))
    refused = [a for a in answers if a.status_code != 200]
    assert refused and len(refused) < 16
    for answer in refused:
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "1" and "inference_queue" in answer.json()["message"]
    assert count(s) == before + 16 - len(refused)
    for inference_id, answer in zip(ids, answers):
        stored(s, inference_id, status=200 if answer.ok else 404)
    assert v1(s, dog)["image"] == DOG_SIZE


# --- what is stored

def test_a_record_tells_all_that_is_known(server, dog):
    sent = datetime.datetime.now(datetime.timezone.utc)
    answer = v1(server, dog, source="line-3", source_info="cam-1")
    record = stored(server, answer["inference_id"])
    info = server.get("/info").json()
    assert boxes(record) == boxes(answer) and record["predictions"][0]["detection_id"] == answer["predictions"][0]["detection_id"]
    assert record["image"] == {**DOG_SIZE, "url": None, "thumbnail_url": None, "annotation_url": None, "uploads": []}
    assert (record["model_id"], record["model_name"], record["index"]) == (MODEL, "CenterNet demo", 0)
    assert (record["source"], record["source_info"], record["error"], record["metadata"]) == ("line-3", "cam-1", None, {})
    assert (record["server_id"], record["server_version"]) == (info["uuid"], info["version"]) and record["device_id"]
    assert re.fullmatch(r"[0-9a-f]{64}", record["model_sha256"]) and record["latency_s"] == answer["time"]
    time = datetime.datetime.fromisoformat(record["time"].replace("Z", "+00:00"))
    assert sent - datetime.timedelta(seconds=2) < time < sent + datetime.timedelta(seconds=30)
    assert record["metadata_history"] == [] and record["siblings"] == []


def test_where_a_result_came_from_when_nobody_says(server):
    record = stored(server, legacy(server, picture("rgb.png"))["inference_id"])
    assert (record["source"], record["source_info"]) == ("external", "external")
    record = stored(server, v1(server, picture("rgb.png"))["inference_id"])
    assert (record["source"], record["source_info"]) == (None, None)


def test_nothing_found_is_a_record_too(server):
    answer = v1(server, picture("rgb.png"))
    assert answer["predictions"] == []
    record = stored(server, answer["inference_id"])
    assert record["predictions"] == [] and record["error"] is None and record["image"]["width"] == SIZE["width"]
    server.put(f"/api/v1/{server.workspace}/inferences/{answer['inference_id']}/metadata/shift", json={"value": "late"})
    assert stored(server, answer["inference_id"])["metadata"] == {"shift": "late"}


@pytest.mark.parametrize("change, status", [({"image": image(b"no picture")}, 400), ({"model_id": "nobody/2"}, 404)])
def test_failures_are_records_with_their_error(server, change, status):
    inference_id = str(uuid.uuid4())
    body = {"model_id": MODEL, "image": image(picture("rgb.png")), "id": inference_id, "source": "line-9", **change}
    answer = server.post("/infer/object_detection", json=body)
    assert answer.status_code == status
    record = stored(server, inference_id)
    assert record["error"] == answer.json()["message"] and record["predictions"] == [] and record["source"] == "line-9"
    assert record["model_id"] == body["model_id"] and record["image"]["width"] is None
    assert record["latency_s"] is not None


def test_an_id_that_is_taken_gets_the_next_free_index(server, dog):
    inference_id = "part 4711/β"
    quoted = "part%204711%2F%CE%B2"
    for expected in range(3):
        assert v1(server, dog if expected else picture("rgb.png"), id=inference_id)["inference_id"] == inference_id
        assert stored(server, quoted, index=expected)["index"] == expected
    assert v1(server, [dog, picture("rgb.png")], id=inference_id)[1]["inference_id"] == inference_id
    assert len(stored(server, quoted)["siblings"]) == 4
    v1(server, dog, id=inference_id, model_id="coco/3")
    assert stored(server, quoted, model="coco/3")["index"] == 0


@pytest.mark.parametrize("text, truth", SPELLINGS)
def test_booleans_in_every_spelling(server, text, truth):
    status = 404 if truth else 200
    stored(server, legacy(server, picture("rgb.png"), disable_model_monitoring=text)["inference_id"], status=status)
    stored(server, v1(server, picture("rgb.png"), disable_model_monitoring=text)["inference_id"], status=status)


@pytest.mark.parametrize("value", [True, False, 1, 0])
def test_booleans_of_json(server, value):
    answer = v1(server, picture("rgb.png"), disable_model_monitoring=value)
    stored(server, answer["inference_id"], status=404 if value else 200)


def test_unmonitored_results_and_failures_leave_nothing(server, dog):
    before = count(server)
    assert v1(server, dog, disable_model_monitoring=True)["predictions"]
    v1(server, b"no picture", status=400, disable_model_monitoring=True)
    v1(server, dog, status=404, disable_model_monitoring=True, model_id="nobody/3")
    assert count(server) == before


def test_an_answered_result_is_on_disk(make_server, dog):
    s = make_server(keep_images="all")
    for _ in range(3):
        answers = v1(s, [dog, picture("rgb.png")])
        s.kill9()
        s.start()
        record = stored(s, answers[0]["inference_id"])
        assert boxes(record) == boxes(answers[0]) and stored(s, answers[0]["inference_id"], index=1)["predictions"] == []
        assert s.get(record["image"]["url"]).content == dog


# --- pictures

def blobs(server):
    return sorted(p for p in pathlib.Path(server.data, "workspaces").rglob("*") if p.is_file() and "image" in str(p))


def test_no_picture_is_kept_by_default(server, dog):
    inference_id = v1(server, dog)["inference_id"]
    assert stored(server, inference_id)["image"]["url"] is None
    for what in ("image", "thumbnail"):
        answer = server.get(f"/api/v1/{server.workspace}/inferences/{inference_id}/{what}")
        assert answer.status_code == 404 and "keep_images" in answer.json()["error"]


def test_keep_all(make_server, dog):
    s = make_server(keep_images="all")
    ids = [v1(s, dog)["inference_id"], legacy(s, dog)["inference_id"],
           s.post("/" + MODEL, files={"file": ("x", dog)}).json()["inference_id"]]
    files = blobs(s)
    for inference_id in ids:
        urls = stored(s, inference_id)["image"]
        whole, small = s.get(urls["url"]), s.get(urls["thumbnail_url"])
        assert whole.content == dog and whole.headers["Content-Type"] == "image/jpeg"
        thumbnail = Image.open(io.BytesIO(small.content))
        assert thumbnail.format == "JPEG" and thumbnail.size == (320, 240)
        again = s.get(urls["url"], headers={"If-None-Match": whole.headers["ETag"]})
        assert again.status_code == 304 and again.content == b""
        assert s.get(urls["url"], anonymous=True).status_code == 401
    answers = v1(s, [dog, picture("grey.png")])
    assert s.get(stored(s, answers[0]["inference_id"], index=1)["image"]["url"]).content == picture("grey.png")
    assert files and len(blobs(s)) == 2 * len(files)  # the dog once, however often it came, and the other one


@pytest.mark.parametrize("policy, dog_is_kept, empty_is_kept", [
    ("none", False, False), ("sample:1", True, True), ("sample:0", False, False), ("below:0.1", False, True), ("below:1", True, True),
    ("none,test=all", True, True), ("all,test=none", False, False), ("all,other=none", True, True)])
def test_policies(make_server, dog, policy, dog_is_kept, empty_is_kept):
    s = make_server(keep_images=policy)
    for data, kept in ((dog, dog_is_kept), (picture("rgb.png"), empty_is_kept)):
        assert (stored(s, v1(s, data)["inference_id"])["image"]["url"] is not None) == kept


def test_a_sample_goes_by_id(make_server):
    s = make_server(keep_images="sample:0.5")
    ids = [f"part-{i}" for i in range(16)]

    def kept(index):
        return [stored(s, i, index=index)["image"]["url"] is not None for i in ids if v1(s, picture("rgb.png"), id=i)]
    first = kept(0)
    assert 1 < sum(first) < 15 and kept(1) == first


# --- methods and other origins

def test_head_runs_no_model(make_server):
    s = make_server()
    answer = s.request("HEAD", f"/{MODEL}?image=x", data=b64(picture("rgb.png")))
    assert answer.status_code == 200 and answer.content == b""
    assert s.request("HEAD", "/" + MODEL).status_code == 200
    assert s.get("/model/registry").json()["models"] == [] and count(s) == 0
    assert s.request("HEAD", "/" + MODEL, anonymous=True).status_code == 401


@pytest.mark.parametrize("path", ["/", "/info", "/healthz", "/readiness", "/model/registry", "/api/v1/session", "/api/v1/server",
                                  "/api/v1/test/inferences", "/api/v1/test/fields", "/api/v1/test/stats"])
def test_head_where_get_is(server, path):
    head, get = server.request("HEAD", path), server.get(path)
    assert head.status_code == get.status_code == 200 and head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("path, allow", [
    ("/infer/object_detection", "POST, OPTIONS"), ("/model/registry", "GET, HEAD, OPTIONS"), ("/model/add", "POST, OPTIONS"),
    ("/" + MODEL, "GET, HEAD, POST, OPTIONS"), ("/test/inference-stats/metadata", "POST, OPTIONS"), ("/info", "GET, HEAD, OPTIONS"),
    ("/", "GET, HEAD, POST, OPTIONS"), ("/api/v1/test/inferences", "POST, GET, HEAD, OPTIONS"),
    ("/api/v1/test/inferences/x/metadata/y", "PUT, DELETE, OPTIONS"),
])
def test_options_and_wrong_methods(server, path, allow):
    options = server.request("OPTIONS", path, anonymous=True)
    assert options.status_code == 204 and options.content == b"" and set(options.headers["Allow"].split(", ")) == set(allow.split(", "))
    for method in ("PATCH", "TRACE", "PUT", "DELETE", "GET", "POST"):
        if method in allow.split(", "):
            continue
        wrong = server.request(method, path)
        assert wrong.status_code == 405 and set(wrong.headers["Allow"].split(", ")) == set(allow.split(", "))
        assert path in ("/",) or "error" in wrong.json() or "message" in wrong.json()


@pytest.mark.parametrize("path, method", [("/infer/object_detection", "POST"), ("/" + MODEL, "POST"), ("/model/registry", "GET"),
                                          ("/test/inference-stats/metadata", "POST")])
def test_pages_of_other_origins_may_call_inference_and_metadata(server, path, method):
    asked = {"Origin": "http://hmi.example", "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}
    preflight = server.request("OPTIONS", path, headers=asked, anonymous=True)
    assert preflight.status_code == 204 and preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert method in preflight.headers["Access-Control-Allow-Methods"] and "Content-Type" in preflight.headers["Access-Control-Allow-Headers"]
    for answer in (preflight, server.request(method, path, headers={"Origin": "http://hmi.example"})):
        assert answer.headers["Access-Control-Allow-Origin"] == "*" and "Access-Control-Allow-Credentials" not in answer.headers
    refused = server.request(method, path, headers={"Origin": "http://hmi.example"}, anonymous=True)
    assert refused.status_code in (400, 401) and refused.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/test/inferences", "/api/v1/test/inferences/x/metadata/y", "/api/v1/test/stats"])
def test_our_own_api_is_for_its_own_origin(server, path):
    for method in ("OPTIONS", "GET", "POST"):
        answer = server.request(method, path, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"})
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


# --- transport

def test_chunked_and_packed_bodies(server, dog):
    body = json.dumps({"model_id": MODEL, "image": image(dog)}).encode()
    expected = boxes(v1(server, dog))
    chunked = server.post("/infer/object_detection", data=(body[i:i + 9000] for i in range(0, len(body), 9000)))
    packed = server.post("/infer/object_detection", data=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert boxes(chunked.json()) == boxes(packed.json()) == expected
    text = b64(dog).encode()
    assert boxes(server.post("/" + MODEL, data=iter([text[:7], text[7:]]), headers={"Content-Type": "text/plain"}).json()) == expected


def test_no_picture_in_the_log(server, dog):
    v1(server, dog)
    legacy(server, dog)
    last = server.get("/info").headers["X-Request-ID"]
    wait_for(lambda: f"request={last} " in server.log())
    assert b64(dog)[:40] not in server.log() and b64(dog)[1000:1040] not in server.log()


# --- pictures that a crash left behind

def test_a_picture_that_no_inference_names_is_removed_and_the_others_stay(make_server, dog):
    s = make_server(keep_images="all")
    inference_id = v1(s, dog)["inference_id"]
    s.stop()
    [kept] = [p for p in blobs(s) if p.suffix != ".thumb"]
    orphan, fresh = kept.with_name("0" * 62), kept.with_name("1" * 62)
    for path in (orphan, fresh):
        path.write_bytes(dog)
    for path in (kept, orphan):
        os.utime(path, (0, 0))
    s.start()
    wait_for(lambda: not orphan.exists(), what="the removal of the orphan")
    assert kept.exists() and fresh.exists()  # one has a record; that of the other may still come
    assert s.get(stored(s, inference_id)["image"]["url"]).content == dog
