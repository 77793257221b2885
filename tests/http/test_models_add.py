"""`sightglass models add`: the folder it makes of an export, what it says it could not know, and that the server runs it."""
import json
import subprocess

import graphs
import numpy as np
import pytest
from client import b64
from conftest import BINARY
from test_infer_tasks import SQUARE

# As Ultralytics writes it into its exports.
META = {"description": "Ultralytics YOLO11n model trained on coco.yaml", "author": "Ultralytics", "version": "8.3.40", "stride": "32",
        "batch": "1", "imgsz": "[64, 64]", "names": "{0: 'cat', 1: \"dog's\"}", "args": "{'nms': False}"}
ROWS = [[*graphs.BOX, 0.9, 0.1], [*graphs.FAR, 0.0, 0.6]]


def add(folder, data, *options, name="my net.onnx"):
    """Runs the command; (exit code, output, error, the description or None)."""
    (folder / name).write_bytes(data)
    command = [str(BINARY), "models", "add", str(folder / name), "--models", str(folder / "models"), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    made = folder / "models" / name.replace(".onnx", "").replace(" ", "-") / "model.json"
    return run.returncode, run.stdout, run.stderr, json.loads(made.read_text()) if made.exists() else None


def served(make_server, folder, model_id="my-net/1"):
    s = make_server(models=folder / "models")
    answer = s.post("/" + model_id, params={"confidence": 0.5}, data=b64(SQUARE), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_export_for_detection_needs_nothing_more(make_server, tmp_path):
    code, out, error, made = add(tmp_path, graphs.network({"output0": graphs.yolo(ROWS)}, metadata={**META, "task": "detect"}))
    assert (code, error) == (0, "") and "my-net/1, object-detection, 2 classes, input 64 x 64" in out and "does not tell" not in out
    assert made["classes"] == ["cat", "dog's"] and made["ids"] == ["my-net/1"] and made["name"] == "my-net"
    assert (made["task"], made["decoder"], made["outputs"]) == ("object-detection", "yolov8", {"predictions": "output0"})
    assert made["input"] == {"name": "images", "width": 64, "height": 64, "layout": "nchw", "channels": "rgb", "resize": "letterbox",
                             "mean": [0, 0, 0], "scale": [pytest.approx(1 / 255)] * 3}
    assert [p["class"] for p in served(make_server, tmp_path)["predictions"]] == ["cat", "dog's"]


def test_exports_of_the_other_tasks(make_server, tmp_path):
    half = np.full((2, 16, 16), 1, np.float32)
    segment = graphs.network({"output0": graphs.yolo([[*graphs.BOX, 0.9, 0.1, 1, 0]] * 9), "output1": half}, metadata={**META, "task": "segment"})
    assert add(tmp_path, segment, name="seg.onnx")[0] == 0
    assert served(make_server, tmp_path, "seg/1")["predictions"][0]["points"]
    points = [30, 30, 0.8] * 17
    pose = graphs.network({"output0": graphs.yolo([[*graphs.BOX, 0.9, *points]])},
                          metadata={**META, "task": "pose", "names": "{0: 'person'}", "kpt_shape": "[17, 3]"})
    code, out, _, made = add(tmp_path, pose, name="pose.onnx")
    assert code == 0 and made["keypoints"][0] == "nose" and "the names of the keypoints (keypoints): those of the COCO person" in out
    assert len(served(make_server, tmp_path, "pose/1")["predictions"][0]["keypoints"]) == 17
    classify = graphs.network({"output0": [0.3, 0.7]}, metadata={**META, "task": "classify"})
    code, out, _, made = add(tmp_path, classify, name="cls.onnx")
    assert code == 0 and made["activation"] == "none" and made["input"]["resize"] == "crop"
    assert served(make_server, tmp_path, "cls/1")["top"] == "dog's"


def test_without_metadata_the_shapes_speak_and_the_rest_is_told(make_server, tmp_path):
    code, out, _, made = add(tmp_path, graphs.network({"output0": graphs.yolo(ROWS + [[0] * 6] * 8)}))
    assert code == 0 and made["classes"] == ["class 0", "class 1"]
    assert "the names of the classes (classes): they are numbered" in out and "how pixels go in" in out
    assert [p["class"] for p in served(make_server, tmp_path)["predictions"]] == ["class 0", "class 1"]


def test_transformers(make_server, tmp_path):
    boxes = [[0.5, 0.5, 0.25, 0.125], [0.2, 0.8, 0.1, 0.1]]
    data = graphs.network({"pred_boxes": boxes, "logits": [[3, -9], [-9, 3]]})
    (tmp_path / "names").write_text("cat\n\n dog \n")
    code, out, _, made = add(tmp_path, data, "--classes", str(tmp_path / "names"), "--id", "plant/7", "--name", "Line 3")
    assert code == 0 and made["activation"] == "sigmoid" and "sigmoid is assumed" in out and made["name"] == "Line 3"
    assert made["outputs"] == {"logits": "logits", "boxes": "pred_boxes"} and made["classes"] == ["cat", "dog"]
    assert [p["class"] for p in served(make_server, tmp_path, "plant/7")["predictions"]] == ["cat", "dog"]
    softmax = graphs.network({"pred_boxes": boxes, "logits": [[3, -9, 0], [-9, 3, 0]]})
    assert add(tmp_path, softmax, "--classes", str(tmp_path / "names"), name="b.onnx")[3]["activation"] == "softmax"


def test_a_classifier(make_server, tmp_path):
    code, out, _, made = add(tmp_path, graphs.network({"scores": [0, 5, 0]}))
    assert code == 0 and made["activation"] == "softmax" and "softmax is assumed, one label" in out
    assert served(make_server, tmp_path)["top"] == "class 1"


def test_the_real_movenet(make_server, tmp_path):
    data = (BINARY.parent / "models" / "movenet-lightning" / "model.onnx").read_bytes()
    code, _, _, made = add(tmp_path, data)
    wanted = json.loads((BINARY.parent / "models" / "movenet-lightning" / "model.json").read_text())
    assert code == 0 and all(made[k] == wanted[k] for k in ("task", "classes", "keypoints", "decoder", "outputs"))
    assert {k: v for k, v in made["input"].items() if k != "pad"} == {k: v for k, v in wanted["input"].items() if k != "pad"}


@pytest.mark.parametrize("data, options, why", [
    (b"", [], "this is no ONNX file"),
    (b"hello", [], "this is no ONNX file"),
    (graphs.network({"output0": graphs.yolo(ROWS)}, metadata={**META, "task": "detect"})[:-400], [], "this is no ONNX file"),
    (graphs.network({"a": np.zeros((3, 4, 5, 6))}), [], 'no decoder here fits the outputs: "a" (1 x 3 x 4 x 5 x 6)'),
    (graphs.network({"output0": np.zeros((300, 6))}, metadata={**META, "task": "detect"}), [], "export it again with nms=False"),
    (graphs.network({"output0": graphs.yolo(ROWS)}, metadata={**META, "task": "obb"}), [], 'task "obb", which this version does not run'),
    (graphs.network({"output0": graphs.yolo(ROWS * 5)}, metadata={**META, "task": "detect", "names": "{0: 'cat'}"}), [],
     "there are 1 names of classes, and the network has 2 classes"),
    (graphs.network({"output0": graphs.yolo(ROWS)}), ["--classes", "/nowhere"], "--classes: /nowhere cannot be read"),
    (graphs.network({"output0": graphs.yolo(ROWS)}), ["--id", "a\nb"], "--id"),
], ids=["empty", "text", "cut", "no-decoder", "suppressed", "task", "names", "no-file", "id"])
def test_what_cannot_be_added_leaves_nothing(tmp_path, data, options, why):
    code, out, error, made = add(tmp_path, data, *options)
    assert (code, out, made) == (1, "", None) and why in error
    assert not (tmp_path / "models").exists() or list((tmp_path / "models").iterdir()) == []


def test_a_network_that_does_not_load_leaves_nothing(tmp_path):
    """Its shapes are readable, its nodes are not."""
    data = graphs.network({"output0": graphs.yolo(ROWS)}, metadata={**META, "task": "detect"}).replace(b"ReduceMean", b"NoSuchNode")
    code, _, error, made = add(tmp_path, data)
    assert code == 1 and made is None and "NoSuchNode" in error and list((tmp_path / "models").iterdir()) == []


def test_what_is_there_stays(tmp_path):
    data = graphs.network({"output0": graphs.yolo(ROWS)}, metadata={**META, "task": "detect"})
    assert add(tmp_path, data)[0] == 0
    code, _, error, _ = add(tmp_path, data)
    assert code == 1 and "is there already" in error


def test_called_wrongly():
    for arguments in ([], ["add"], ["add", "x.onnx"], ["add", "a", "b", "--models", "x"], ["remove", "x"],
                      ["add", "x", "--models", "y", "--size", "0"]):
        run = subprocess.run([str(BINARY), "models", *arguments], capture_output=True, text=True, timeout=30, env={})
        assert run.returncode == 2 and "sightglass models add FILE.onnx" in run.stderr
    assert subprocess.run([str(BINARY), "models", "--help"], capture_output=True, timeout=30).returncode == 0
