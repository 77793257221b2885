"""Networks made by hand, with answers that are known beforehand: model folders for a server's `models` setting.

Each looks at its picture no further than one number, the mean of the input tensor, and answers with fixed tensors: so an
answer tells that the picture came in as it should (a `probe` is the input's mean, in the place of a score), and that
every number of the output went where it belongs. Debian's python3-onnx writes the graphs.
"""
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64  # of the input


def network(outputs, side=SIDE, batch=1, probe=None, channels_last=False, metadata=None):
    """The bytes of an ONNX file: outputs = {name: array without the axis of pictures}. batch "n" takes any number.
    probe (output, index): there is the mean of the input instead."""
    shape = [batch, side, side, 3] if channels_last else [batch, 3, side, side]
    nodes, constants, infos = [], [], []

    def const(name, array):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
    nodes.append(helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1))
    nodes.append(helper.make_node("Reshape", ["mean", const("flat", np.array([-1], np.int64))], ["means"]))  # one a picture
    nodes.append(helper.make_node("Mul", ["means", const("zero", np.float32(0))], ["zeros"]))
    for name, array in outputs.items():
        array = np.asarray(array, np.float32)
        ones = [1] * array.ndim
        column = const(name + ".column", np.array([-1] + ones, np.int64))
        # fixed + 0 * mean: one copy a picture of the batch. Where the probe is, 1 * mean.
        factor = np.zeros(array.shape, np.float32)
        fixed = array.copy()
        if probe and probe[0] == name:
            factor[probe[1]], fixed[probe[1]] = 1, 0
        nodes.append(helper.make_node("Reshape", ["means", column], [name + ".means"]))
        nodes.append(helper.make_node("Mul", [name + ".means", const(name + ".factor", factor)], [name + ".probe"]))
        nodes.append(helper.make_node("Add", [name + ".probe", const(name + ".fixed", fixed)], [name]))
        infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *array.shape]))
    graph = helper.make_graph(nodes, "by hand", [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)], infos, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def describe(name, task, decoder, outputs, classes, **more):
    """What stands in model.json; input.X=... in `more` as input_X."""
    entry = {"name": "images", "width": SIDE, "height": SIDE, "layout": "nchw", "channels": "rgb", "resize": "letterbox",
             "mean": [0, 0, 0], "scale": [1 / 255] * 3}
    entry.update({k[6:]: more.pop(k) for k in list(more) if k.startswith("input_")})
    return {"name": name, "ids": more.pop("ids", [name + "/1"]), "aliases": more.pop("aliases", []), "task": task, "classes": classes, "input": entry, "decoder": decoder,
            "outputs": outputs, **more}


def write(models, description, network_bytes):
    """MODELS/NAME/model.json and model.onnx."""
    folder = models / description["name"]
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(description))
    (folder / "model.onnx").write_bytes(network_bytes)


# --- the forms of the common exports

BOX = [32, 32, 16, 8]           # centre x, centre y, width, height: 24..40, 28..36 of the input
FAR = [10, 50, 4, 4]


def yolo(rows):
    """Rows of an anchor each, as the exports have them: 1 x channels x anchors."""
    return np.array(rows, np.float32).T


def detect(models, **more):
    """Anchor 0 is a cat of 0.9, anchor 1 the same again a bit less sure, anchor 2 a dog of the input's mean."""
    rows = [[*BOX, 0.9, 0.1], [*BOX, 0.8, 0.1], [*FAR, 0.0, 0.0]]
    write(models, describe("yolo-detect", "object-detection", "yolov8", {"predictions": "output0"}, ["cat", "dog"], **more),
          network({"output0": yolo(rows)}, probe=("output0", (5, 2))))


def segment(models):
    """The mask covers the left half of the input, or with the other coefficient its upper half."""
    half = np.full((2, 16, 16), -1, np.float32)
    half[0, :, :8] = 1
    half[1, :8, :] = 1
    rows = [[*BOX, 0.9, 0.1, 1, 0], [*FAR, 0.2, 0.7, 0, 1], [*FAR[:2], 40, 40, 0.1, 0.6, 1, 0]]
    write(models, describe("yolo-seg", "instance-segmentation", "yolov8", {"predictions": "output0", "masks": "output1"}, ["cat", "dog"]),
          network({"output0": yolo(rows), "output1": half}))


def pose(models):
    rows = [[*BOX, 0.9, 30, 30, 0.8, 34, 33, 0.3], [*FAR, 0.0, 1, 2, 0.5, 3, 4, 0.5]]
    write(models, describe("yolo-pose", "keypoint-detection", "yolov8", {"predictions": "output0"}, ["person"], keypoints=["head", "foot"]),
          network({"output0": yolo(rows)}))


def classify(models):
    """YOLO's classifiers have the softmax inside; others give logits."""
    write(models, describe("yolo-cls", "classification", "scores", {"scores": "output0"}, ["cat", "dog", "bird"], activation="none",
                           input_resize="crop"), network({"output0": [0.2, 0.7, 0.1]}))
    write(models, describe("logits", "classification", "scores", {"scores": "output0"}, ["cat", "dog"], activation="softmax"),
          network({"output0": [0, np.log(3)]}))
    write(models, describe("labels", "classification", "scores", {"scores": "output0"}, ["red", "round", "heavy"], activation="sigmoid",
                           multi_label=True, confidence=0.2), network({"output0": [0, np.log(3), -np.log(3)]}))


def detr(models):
    boxes = [[0.5, 0.5, 0.25, 0.125], [10 / 64, 50 / 64, 4 / 64, 4 / 64]]
    write(models, describe("rtdetr", "object-detection", "detr", {"logits": "logits", "boxes": "pred_boxes"}, ["cat", "dog"],
                           activation="sigmoid", input_resize="stretch"),
          network({"logits": [[np.log(9), -9], [-9, np.log(3)]], "pred_boxes": boxes}))
    write(models, describe("detr", "object-detection", "detr", {"logits": "logits", "boxes": "pred_boxes"}, ["cat", "dog"],
                           activation="softmax", input_resize="stretch"),
          network({"logits": [[np.log(3), 0, 0], [0, 0, 9]], "pred_boxes": boxes}))


def all_of_them(models):
    for make in (detect, segment, pose, classify, detr):
        make(models)
