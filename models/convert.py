#!/usr/bin/python3
"""Converts a TFJS graph model to ONNX, node by node.

    convert.py IN.json DIR      reads IN.json, its weight files and DIR/model.json; writes DIR/model.onnx

DIR/model.json (see README.md) names the input size and the outputs to cut the graph at; whatever only
later nodes need is left out. The graph is NHWC as TensorFlow has it, ONNX operators are NCHW: every
tensor inside is NCHW, called "NAME.nchw" after its TFJS node NAME; one Transpose stands behind the input
and one before each output, so that both ends keep the names and the layout of the original. Weights are
laid out here, not at run time. The same input gives the same bytes.
"""
import base64
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 7  # the one that came with opset 13; the helper would write its own newest


class Unsupported(Exception):
    pass


# --- reading ---------------------------------------------------------------------------------------


class Node:
    """One node of the TFJS graph, with its attributes as plain Python values."""

    def __init__(self, raw):
        self.name, self.op = raw["name"], raw["op"]
        # "a:1" is the second output of a; the operators below have one each. "^a" is order, not data.
        self.inputs = [i.partition(":")[0] for i in raw.get("input", []) if not i.startswith("^")]
        self.attr = {k: plain(v) for k, v in raw.get("attr", {}).items()}

    def fail(self, why):
        raise Unsupported(f"node {self.name} ({self.op}): {why}")

    def expect(self, attr, wanted):
        """Refuses a variant of the operator that the code for it doesn't cover. Absent means wanted."""
        if self.attr.get(attr, wanted) != wanted:
            self.fail(f"{attr}={self.attr[attr]} is not supported, only {wanted}")


def plain(v):
    """A protobuf attribute in its JSON form: bytes are base64, 64-bit integers are strings."""
    if "list" in v:
        return [plain({kind: x}) for kind, values in v["list"].items() for x in values]
    (kind, x), = v.items()
    return base64.b64decode(x).decode() if kind == "s" else int(x) if kind == "i" else x


def read_model(path):
    """Returns (nodes by name, weights by name) of a TFJS graph model."""
    with open(path, encoding="utf-8") as f:
        model = json.load(f)
    if model.get("format", "graph-model") != "graph-model":
        raise Unsupported(f"{path}: format {model['format']} is not a graph model")
    nodes = {raw["name"]: Node(raw) for raw in model["modelTopology"]["node"]}
    weights = {}
    for group in model["weightsManifest"]:
        data = b""
        for shard in group["paths"]:
            with open(os.path.join(os.path.dirname(path), shard), "rb") as f:
                data += f.read()
        at = 0
        for w in group["weights"]:
            weights[w["name"]], at = read_weight(w, data, at)
        if at != len(data):
            raise Unsupported(f"{path}: its weights take {at} bytes, the files hold {len(data)}")
    return nodes, weights


def read_weight(w, data, at):
    """Returns the array and the offset behind it. A quantized weight is v * scale + min, or float16."""
    quant = w.get("quantization", {})
    stored = quant.get("dtype", w["dtype"])
    if stored not in ("float32", "float16", "int32", "uint8", "uint16") or w["dtype"] not in ("float32", "int32"):
        raise Unsupported(f"weight {w['name']}: {w['dtype']} stored as {stored} is not supported")
    count = int(np.prod(w["shape"]))
    dtype = np.dtype(stored).newbyteorder("<")
    if at + count * dtype.itemsize > len(data):
        raise Unsupported(f"weight {w['name']}: the weight files end before it")
    v = np.frombuffer(data, dtype, count, at)
    if "scale" in quant:
        v = v * quant["scale"] + quant["min"]
    return v.astype(w["dtype"]).reshape(w["shape"]), at + count * dtype.itemsize


def needed(nodes, outputs):
    """The nodes that the outputs depend on, each behind its inputs."""
    order, state = [], {}
    stack = list(reversed(outputs))
    while stack:
        name = stack[-1]
        if name not in nodes:
            raise Unsupported(f"no node is called {name}")
        if name not in state:
            state[name] = "open"
            stack += [i for i in reversed(nodes[name].inputs) if i not in state]
            continue
        if state[name] == "open":
            state[name] = "done"
            order.append(nodes[name])
        stack.pop()
    return order


# --- writing ---------------------------------------------------------------------------------------


class Graph:
    """The ONNX graph as it grows. shape[NAME] is the NCHW shape of the tensor "NAME.nchw"."""

    def __init__(self, weights):
        self.weights = weights
        self.shape = {}
        self.nodes, self.initializers, self.inputs, self.outputs = [], {}, [], []

    def const(self, name, array):
        tensor = numpy_helper.from_array(np.ascontiguousarray(array), name)
        if self.initializers.setdefault(name, tensor) != tensor:
            raise Unsupported(f"weight {name} is used in two layouts")
        return name

    def emit(self, op, inputs, output, **attrs):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def tensor(self, node, i):
        """Name and shape of an input that is computed."""
        name = node.inputs[i]
        if name not in self.shape:
            node.fail(f"input {i} ({name}) must not be a constant")
        return name + ".nchw", self.shape[name]

    def weight(self, node, i):
        """An input that is a constant."""
        if node.inputs[i] not in self.weights:
            node.fail(f"input {i} ({node.inputs[i]}) must be a constant")
        return self.weights[node.inputs[i]]

    def finish(self, node, op, inputs, shape, **attrs):
        """Emits the ONNX node that makes this TFJS node's tensor."""
        self.emit(op, inputs, node.name + ".nchw", **attrs)
        self.shape[node.name] = tuple(int(d) for d in shape)


def placeholder(g, node):
    node.expect("dtype", "DT_FLOAT")
    dims = [int(d["size"]) for d in node.attr["shape"]["dim"]]
    if len(dims) != 4:
        node.fail(f"the input must be NHWC, its shape is {dims}")
    n, h, w, c = (g.input_shape[i] if d < 0 else d for i, d in enumerate(dims))
    g.inputs.append(helper.make_tensor_value_info(node.name, TensorProto.FLOAT, (n, h, w, c)))
    g.finish(node, "Transpose", [node.name], (n, c, h, w), perm=[0, 3, 1, 2])


def same_or_valid(node, size, kernel, stride):
    """Output size and padding (before, behind) of one axis, by TensorFlow's rule."""
    if node.attr["padding"] == "VALID":
        return (size - kernel) // stride + 1, (0, 0)
    if node.attr["padding"] != "SAME":
        node.fail(f"padding {node.attr['padding']} is not supported")
    out = -(-size // stride)
    pad = max((out - 1) * stride + kernel - size, 0)
    return out, (pad // 2, pad - pad // 2)


def conv(g, node, depthwise=False):
    node.expect("data_format", "NHWC")
    node.expect("dilations", [1, 1, 1, 1])
    x, (n, c, h, w) = g.tensor(node, 0)
    kernel = g.weight(node, 1)
    kh, kw = kernel.shape[:2]
    _, sh, sw, _ = node.attr["strides"]
    oh, (top, bottom) = same_or_valid(node, h, kh, sh)
    ow, (left, right) = same_or_valid(node, w, kw, sw)
    if depthwise:  # [kh, kw, channels, multiplier]: each channel is a group of its own
        kernel, group = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, kh, kw), c
    else:          # [kh, kw, in, out]
        kernel, group = kernel.transpose(3, 2, 0, 1), 1
    inputs = [x, g.const(node.inputs[1], kernel)]
    fused = node.attr.get("fused_ops", [])
    if fused[:1] == ["BiasAdd"]:
        inputs.append(g.const(node.inputs[2], g.weight(node, 2)))
        fused = fused[1:]
    shape = (n, kernel.shape[0], oh, ow)
    attrs = dict(kernel_shape=[kh, kw], strides=[sh, sw], pads=[top, left, bottom, right], group=group)
    if not fused:
        g.finish(node, "Conv", inputs, shape, **attrs)
    elif fused == ["Relu"]:
        g.finish(node, "Relu", [g.emit("Conv", inputs, node.name + ".conv", **attrs)], shape)
    else:
        node.fail(f"fused {fused} is not supported")


def depthwise_conv(g, node):
    conv(g, node, depthwise=True)


def elementwise(op):
    def convert(g, node):
        inputs, shapes = [], []
        for i, name in enumerate(node.inputs):
            if name in g.shape:
                x, shape = g.tensor(node, i)
            else:  # a constant broadcasts along NHWC: its axes, if any, move as the tensors' do
                v = g.weight(node, i)
                if v.ndim:
                    v = v.reshape((1,) * (4 - v.ndim) + v.shape).transpose(0, 3, 1, 2)
                x, shape = g.const(name, v), v.shape
            inputs.append(x)
            shapes.append(shape)
        g.finish(node, op, inputs, np.broadcast_shapes(*shapes))
    return convert


def relu6(g, node):
    x, shape = g.tensor(node, 0)
    limits = [g.const("relu6.min", np.float32(0)), g.const("relu6.max", np.float32(6))]
    g.finish(node, "Clip", [x] + limits, shape)


def mean(g, node):
    node.expect("keep_dims", True)
    x, (n, c, h, w) = g.tensor(node, 0)
    if sorted(a % 4 for a in g.weight(node, 1)) != [1, 2]:
        node.fail("only the mean over height and width is supported")
    g.finish(node, "GlobalAveragePool", [x], (n, c, 1, 1))


def concat(g, node):
    *parts, axis = range(len(node.inputs))
    if int(g.weight(node, axis)) % 4 != 3:
        node.fail("only channels can be concatenated")
    tensors = [g.tensor(node, i) for i in parts]
    n, _, h, w = tensors[0][1]
    g.finish(node, "Concat", [x for x, _ in tensors], (n, sum(s[1] for _, s in tensors), h, w), axis=1)


def resize_bilinear(g, node):
    node.expect("align_corners", False)
    node.expect("half_pixel_centers", False)
    x, (n, c, h, w) = g.tensor(node, 0)
    oh, ow = (int(d) for d in g.weight(node, 1))
    scales = g.const(node.name + ".scales", np.array([1, 1, oh / h, ow / w], np.float32))
    # Neither corners aligned nor half pixels: source = target / scale, which ONNX calls asymmetric.
    g.finish(node, "Resize", [x, "", scales], (n, c, oh, ow),
             mode="linear", coordinate_transformation_mode="asymmetric")


OPERATORS = {
    "Placeholder": placeholder,
    "Const": lambda g, node: None,  # taken by the nodes that use it
    "Conv2D": conv,
    "_FusedConv2D": conv,
    "DepthwiseConv2dNative": depthwise_conv,
    "FusedDepthwiseConv2dNative": depthwise_conv,
    "Add": elementwise("Add"),
    "Mul": elementwise("Mul"),
    "Relu": elementwise("Relu"),
    "Sigmoid": elementwise("Sigmoid"),
    "Identity": elementwise("Identity"),
    "Relu6": relu6,
    "Mean": mean,
    "ConcatV2": concat,
    "ResizeBilinear": resize_bilinear,
}


def convert(nodes, weights, description):
    """Returns the ONNX model cut at description["outputs"]."""
    g = Graph(weights)
    outputs = list(description["outputs"].values())
    size = description["input"]
    g.input_shape = (1, size["height"], size["width"], 3)
    for node in needed(nodes, outputs):
        if node.op not in OPERATORS:
            node.fail("this operator is not supported")
        OPERATORS[node.op](g, node)
    for name in outputs:
        n, c, h, w = g.shape[name]
        g.emit("Transpose", [name + ".nchw"], name, perm=[0, 2, 3, 1])
        g.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (n, h, w, c)))
    check(g, description)
    graph = helper.make_graph(g.nodes, description["name"], g.inputs, g.outputs, list(g.initializers.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def check(g, description):
    """The description is written by hand: it must fit the network."""
    classes = g.shape[description["outputs"]["scores"]][1]
    if classes != len(description["classes"]):
        raise Unsupported(f"model.json names {len(description['classes'])} classes, the network has {classes}")
    shapes = [tuple(d.dim_value for d in i.type.tensor_type.shape.dim) for i in g.inputs]
    if shapes != [g.input_shape] or description["input"]["layout"] != "nhwc":
        raise Unsupported(f"model.json wants one nhwc input of {g.input_shape}, the network has {shapes}")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: convert.py IN.json DIR")
    source, folder = sys.argv[1:]
    try:
        with open(os.path.join(folder, "model.json"), encoding="utf-8") as f:
            description = json.load(f)
        model = convert(*read_model(source), description)
    except (OSError, ValueError, Unsupported) as e:
        sys.exit(f"convert.py: {e}")
    # Complete or not at all: whoever finds model.onnx may use it.
    path = os.path.join(folder, "model.onnx")
    with open(path + ".part", "wb") as f:
        f.write(model.SerializeToString(deterministic=True))
    os.replace(path + ".part", path)


if __name__ == "__main__":
    main()
