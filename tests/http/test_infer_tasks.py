"""Every task and every decoder, on networks made by hand (graphs.py) whose answers are known, and keypoints on the real
MoveNet: what the v1 and the legacy route answer and what is stored."""
import io
import json

import graphs
import pytest
from client import Sdk, b64, image, photo
from conftest import BINARY
from PIL import Image

CAT = {"x": 64, "y": 64, "width": 32, "height": 16, "confidence": 0.9, "class": "cat", "class_id": 0}


@pytest.fixture(scope="module")
def server(models, fleet):
    (models / "movenet-lightning").symlink_to(BINARY.parent / "models" / "movenet-lightning")
    return fleet.make(models=models)


def png(width, height, colour=(51, 51, 51)):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "PNG")
    return out.getvalue()


SQUARE, WIDE = png(128, 128), png(128, 64)
PATHS = {"yolo-detect": "object_detection", "yolo-seg": "instance_segmentation", "yolo-pose": "keypoints_detection",
         "yolo-cls": "classification", "logits": "classification", "labels": "classification", "rtdetr": "object_detection",
         "detr": "object_detection", "movenet": "keypoints_detection"}


def v1(server, model, data=SQUARE, status=200, path=None, **body):
    images = [image(one) for one in data] if isinstance(data, list) else image(data)
    answer = server.post("/infer/" + (path or PATHS[model]), json={"model_id": model + "/1", "image": images, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def legacy(server, model, data=SQUARE, status=200, **query):
    answer = server.post(f"/{model}/1", params=query, data=b64(data), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == status, answer.text
    return answer.json()


def stored(server, answer):
    return server.get(f"/api/v1/{server.workspace}/inferences/{answer['inference_id']}").json()


def close(got, expected):
    """Equal, but floats only nearly; detection_id is passed over."""
    if isinstance(expected, dict):
        assert set(got) - {"detection_id"} == set(expected) - {"detection_id"}, got
        for key in set(expected) - {"detection_id"}:
            close(got[key], expected[key])
    elif isinstance(expected, list):
        assert len(got) == len(expected), got
        for pair in zip(got, expected):
            close(*pair)
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, abs=1e-4)
    else:
        assert got == expected


def kept(record):
    """The stored predictions as they were answered: without what is null there."""
    return [{k: v for k, v in p.items() if v is not None} for p in record["predictions"]]


# --- detection

def test_yolo_detect(server):
    answer = v1(server, "yolo-detect")
    close(answer["predictions"], [{**CAT, "confidence": 0.9}])  # the second anchor is suppressed, the dog's 0.2 too little
    assert set(answer) == {"inference_id", "time", "image", "predictions"} and answer["image"] == {"width": 128, "height": 128}
    assert set(answer["predictions"][0]) == {*CAT, "detection_id"}
    dog = {"x": 20, "y": 100, "width": 8, "height": 8, "confidence": 0.2, "class": "dog", "class_id": 1}
    close(v1(server, "yolo-detect", confidence=0.1)["predictions"], [CAT, dog])
    close(v1(server, "yolo-detect", png(128, 128, (0, 255, 0)), confidence=0.1)["predictions"], [CAT, {**dog, "confidence": 1 / 3}])
    close(v1(server, "yolo-detect", confidence=0.1, iou_threshold=1)["predictions"], [CAT, {**CAT, "confidence": 0.8}, dog])
    close(legacy(server, "yolo-detect", confidence="10")["predictions"], [CAT, dog])


def test_a_letterbox_keeps_proportions(server):
    """128 x 64 lies in the input with a band of grey above and below: boxes come back, the band does not."""
    close(v1(server, "yolo-detect", WIDE, confidence=0.1)["predictions"], [{**CAT, "y": 32}])
    assert v1(server, "yolo-detect", WIDE)["image"] == {"width": 128, "height": 64}


def test_the_input_is_as_described(make_server, tmp_path):
    """The dog's score is the mean of the input: pixel, padding, scale and mean went in as model.json says."""
    graphs.detect(tmp_path / "models", input_mean=[10, 20, 30], input_scale=[0.01, 0.02, 0.0025], input_pad=60, input_channels="bgr")
    s = make_server(models=tmp_path / "models")
    inside = (41 - 10) * 0.01 + (31 - 20) * 0.02 + (70 - 30) * 0.0025
    outside = (60 - 10) * 0.01 + (60 - 20) * 0.02 + (60 - 30) * 0.0025
    found = v1(s, "yolo-detect", png(128, 128, (70, 31, 41)), confidence=0.1)["predictions"]
    assert found[1]["confidence"] == pytest.approx(inside / 3, abs=1e-4)
    found = v1(s, "yolo-detect", png(127, 128, (70, 31, 41)), confidence=0.1)["predictions"]
    assert found[1]["confidence"] == pytest.approx(inside / 3, abs=0.01)
    found = v1(s, "yolo-detect", png(64, 128, (70, 31, 41)), confidence=0.1, iou_threshold=1)["predictions"]
    assert [f["class"] for f in found] == ["cat", "cat"] and found[0]["x"] == 32  # the dog is in the band on the left
    assert outside > inside


def test_detr(server):
    close(v1(server, "rtdetr", confidence=0.5)["predictions"],
          [CAT, {"x": 20, "y": 100, "width": 8, "height": 8, "confidence": 0.75, "class": "dog", "class_id": 1}])
    close(v1(server, "rtdetr", WIDE)["predictions"][0], {**CAT, "y": 32, "height": 8})  # stretched
    close(v1(server, "detr")["predictions"], [{**CAT, "confidence": 0.6}])
    close(legacy(server, "detr", confidence="0.7")["predictions"], [])


# --- segmentation

LEFT_HALF = {**CAT, "points": [{"x": 48, "y": 56}, {"x": 64, "y": 56}, {"x": 64, "y": 72}, {"x": 48, "y": 72}], "mask_format": "polygon"}
UPPER_HALF = {"x": 20, "y": 100, "width": 8, "height": 8, "confidence": 0.7, "class": "dog", "class_id": 1, "points": [], "mask_format": "polygon"}
CORNER = {"x": 25, "y": 95, "width": 50, "height": 66, "confidence": 0.6, "class": "dog", "class_id": 1, "mask_format": "polygon"}


def test_outlines(server):
    answer = v1(server, "yolo-seg", iou_threshold=1)
    corner = {**CORNER, "x": 30, "y": 94, "width": 60, "height": 68,
              "points": [{"x": 0, "y": 60}, {"x": 60, "y": 60}, {"x": 60, "y": 128}, {"x": 0, "y": 128}]}
    close(answer["predictions"], [LEFT_HALF, UPPER_HALF, corner])
    close(kept(stored(server, answer)), answer["predictions"])
    close(legacy(server, "yolo-seg", overlap="100", confidence="0.8")["predictions"], [LEFT_HALF])


def test_run_lengths(server):
    found = v1(server, "yolo-seg", response_mask_format="rle", confidence=0.8)["predictions"]
    # 128 lines a column: 48 columns, then 16 with 56 outside, 16 inside, 56 outside; then 64 columns more.
    runs = [48 * 128 + 56] + [16, 112] * 15 + [16, 56 + 64 * 128]
    close(found, [{k: v for k, v in {**LEFT_HALF, "mask_format": "rle", "rle": {"size": [128, 128], "counts": rle(runs)}}.items() if k != "points"}])
    answer = legacy(server, "yolo-seg", response_mask_format="rle", confidence="0.8")
    close(answer["predictions"], found)
    close(kept(stored(server, answer)), found)


def rle(runs):
    """The COCO API's rleToString."""
    text = ""
    for i, x in enumerate(runs):
        x -= runs[i - 2] if i > 2 else 0
        more = True
        while more:
            c = x & 31
            x >>= 5
            more = x != -1 if c & 16 else x != 0
            text += chr(c + (32 if more else 0) + 48)
    return text


def test_mask_decode_modes(server):
    """The picture's box is cut at cells of the mode's grid: 1 input pixel, 4, or 2.5."""
    box = {"image": image(SQUARE), "model_id": "yolo-seg/1", "confidence": 0.8}
    edge = {}
    for mode, factor in (("accurate", None), ("fast", None), ("tradeoff", 0.0), ("tradeoff", 1.0), ("tradeoff", 0.5)):
        body = {**box, "mask_decode_mode": mode, **({} if factor is None else {"tradeoff_factor": factor})}
        found = server.post("/infer/instance_segmentation", json=body).json()["predictions"][0]
        edge[mode, factor] = found["points"]
        query = {"mask_decode_mode": mode, "confidence": "0.8", **({} if factor is None else {"tradeoff_factor": factor})}
        close(legacy(server, "yolo-seg", **query)["predictions"][0]["points"], found["points"])
    assert edge["accurate", None] == edge["tradeoff", 1.0] and edge["fast", None] == edge["tradeoff", 0.0]
    assert edge["tradeoff", 0.5] not in (edge["accurate", None], edge["fast", None])


@pytest.mark.parametrize("wrong", [{"mask_decode_mode": "guess"}, {"tradeoff_factor": 1.5}, {"tradeoff_factor": -0.1, "mask_decode_mode": "tradeoff"}])
def test_wrong_mask_arguments(server, wrong):
    start = "Invalid mask decode argument sent."
    assert v1(server, "yolo-seg", status=400, **wrong)["message"].startswith(start)
    assert legacy(server, "yolo-seg", status=400, **wrong)["message"].startswith(start)
    assert v1(server, "yolo-seg", status=422, response_mask_format="png")["detail"][0]["loc"] == ["body", "response_mask_format"]
    legacy(server, "yolo-seg", status=400, response_mask_format="png")


# --- keypoints

HEAD = {"x": 60, "y": 60, "confidence": 0.8, "class_id": 0, "class": "head"}
FOOT = {"x": 68, "y": 66, "confidence": 0.3, "class_id": 1, "class": "foot"}


def test_keypoints(server):
    person = {**CAT, "class": "person", "keypoints": [HEAD, FOOT]}
    answer = v1(server, "yolo-pose")
    close(answer["predictions"], [person])
    close(kept(stored(server, answer)), answer["predictions"])
    close(v1(server, "yolo-pose", keypoint_confidence=0.5)["predictions"], [{**person, "keypoints": [HEAD]}])
    close(legacy(server, "yolo-pose", keypoint_confidence="0.5")["predictions"], [{**person, "keypoints": [HEAD]}])
    close(v1(server, "yolo-pose", WIDE)["predictions"], [{**person, "y": 32, "keypoints": [{**HEAD, "y": 28}, {**FOOT, "y": 34}]}])


def test_keypoints_refuse_best(server):
    assert v1(server, "yolo-pose", status=422, confidence="best")["detail"][0]["loc"] == ["body", "confidence"]
    v1(server, "yolo-pose", confidence="default")


def test_the_real_movenet_finds_the_person(server):
    """On the photo a person stands between a dog and a horse; left and right are the person's own."""
    answer = v1(server, "movenet", photo("person.jpg"), confidence=0.25)
    assert answer["image"] == {"width": 640, "height": 424}
    [person] = answer["predictions"]
    at = {k["class"]: k for k in person["keypoints"]}
    assert len(at) == 17 and person["class"] == "person" and 0.25 < person["confidence"] < 0.6
    assert abs(person["x"] - 230) < 30 and abs(person["y"] - 245) < 40 and 200 < person["height"] < 300
    for name in ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "left_ankle", "right_ankle"):
        assert 185 < at[name]["x"] < 270 and at[name]["confidence"] > 0.3, name
    for side in ("left", "right"):
        heights = [at[side + part]["y"] for part in ("_eye", "_shoulder", "_hip", "_knee", "_ankle")]
        assert heights == sorted(heights) and heights[-1] - heights[0] > 150
    sure = v1(server, "movenet", photo("person.jpg"), confidence=0.25, keypoint_confidence=0.4)["predictions"][0]["keypoints"]
    assert 0 < len(sure) < 17 and all(k["confidence"] >= 0.4 for k in sure)
    assert v1(server, "movenet", photo("eagle.jpg"), confidence=0.25)["predictions"] == []
    close(kept(stored(server, answer)), answer["predictions"])


# --- classification

def test_a_single_label(server):
    answer = v1(server, "yolo-cls")
    assert set(answer) == {"inference_id", "time", "image", "predictions", "top", "confidence"}
    close(answer["predictions"], [{"class": "dog", "class_id": 1, "confidence": 0.7}, {"class": "cat", "class_id": 0, "confidence": 0.2},
                                  {"class": "bird", "class_id": 2, "confidence": 0.1}])
    assert answer["top"] == "dog" and answer["confidence"] == pytest.approx(0.7)
    close(kept(stored(server, answer)), [{"class": "dog", "class_id": 1, "confidence": 0.7}])  # its answer, not its doubts
    assert legacy(server, "yolo-cls")["predictions"] == answer["predictions"]
    close(v1(server, "logits")["predictions"], [{"class": "dog", "class_id": 1, "confidence": 0.75}, {"class": "cat", "class_id": 0, "confidence": 0.25}])


def test_several_labels(server):
    answer = v1(server, "labels")
    assert set(answer) == {"inference_id", "time", "image", "predictions", "predicted_classes"}
    close(answer["predictions"], {"red": {"confidence": 0.5, "class_id": 0}, "round": {"confidence": 0.75, "class_id": 1},
                                  "heavy": {"confidence": 0.25, "class_id": 2}})
    assert answer["predicted_classes"] == ["round", "red"]
    close(kept(stored(server, answer)), [{"class": "round", "class_id": 1, "confidence": 0.75}, {"class": "red", "class_id": 0, "confidence": 0.5}])
    none = v1(server, "labels", confidence=0.9)
    assert none["predicted_classes"] == [] and stored(server, none)["predictions"] == []
    assert v1(server, "labels", confidence="default")["predicted_classes"] == ["round", "red", "heavy"]  # its own 0.2
    assert legacy(server, "labels", confidence="60")["predicted_classes"] == ["round"]


def test_what_classification_does_not_know_is_ignored(server):
    v1(server, "yolo-cls", iou_threshold="wrong", max_detections=-1, mask_decode_mode="wrong")


# --- all of them

@pytest.mark.parametrize("model", sorted(PATHS))
def test_the_sdk_takes_the_path_that_the_registry_names(server, model):
    data = photo("person.jpg") if model == "movenet" else SQUARE
    answer = Sdk(server.url, server.key).run([data], model + "/1")
    assert answer["image"]["width"] and answer["inference_id"]
    [listed] = [m for m in server.get("/model/registry").json()["models"] if m["model_id"] == model + "/1"]
    assert listed["request_paths"] == ["/infer/" + PATHS[model]]
    assert listed["input_width"] == (192 if model == "movenet" else graphs.SIDE)


@pytest.mark.parametrize("model", ["yolo-detect", "yolo-seg", "yolo-pose", "yolo-cls"])
def test_a_model_of_another_task(server, model):
    for path in sorted(set(PATHS.values()) - {PATHS[model]}):
        message = v1(server, model, status=400, path=path)["message"]
        assert model in message and "/infer/" + PATHS[model] in message


def test_tasks_that_no_model_can_be_for(server):
    for task in ("semantic_segmentation", "panoptic-segmentation"):
        assert task in v1(server, "yolo-detect", status=501, path=task)["message"]


def test_a_batch_of_each(server):
    for model in ("yolo-seg", "yolo-pose", "labels"):
        answers = v1(server, model, [SQUARE, WIDE, SQUARE])
        assert [a["image"]["height"] for a in answers] == [128, 64, 128]
        close(answers[2]["predictions"], answers[0]["predictions"])


@pytest.mark.parametrize("change, named", [
    ({"classes": ["one"]}, 'output "output0" is 1 x 6 x 3; by model.json 1 x 5 x any number'),
    ({"task": "classification"}, 'the decoder "yolov8" does not fit the task "classification"'),
    ({"task": "instance-segmentation"}, '"outputs.masks" is missing'),
    ({"task": "keypoint-detection"}, '"keypoints" is missing'),
    ({"decoder": "detr", "outputs": {"logits": "a", "boxes": "b"}, "activation": "none"}, '"activation" must be sigmoid or softmax'),
])
def test_a_description_that_does_not_fit(make_server, tmp_path, change, named):
    graphs.detect(tmp_path / "models")
    path = tmp_path / "models" / "yolo-detect" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    s = make_server(models=tmp_path / "models")
    message = s.post("/model/add", json={"model_id": "yolo-detect/1"}).json()["message"]
    assert message.startswith("Model package is broken. yolo-detect/model.") and named in message
