#!/usr/bin/python3
"""Converts a TFJS graph model to ONNX, node by node.

    convert.py IN.json DIR      reads IN.json, its weight files and DIR/model.json; writes DIR/model.onnx

DIR/model.json (see README.md) names the input size and the outputs to cut the graph at; whatever only
later nodes need is left out. The graph is NHWC as TensorFlow has it, ONNX operators are NCHW: every
tensor of the convolutional part is NCHW, called "NAME.nchw" after its TFJS node NAME. What stands before and
behind it, indices and the like, stays as it is in TensorFlow, called "NAME.tf"; Transposes are put between
the two, so that both ends keep the names and the layout of the original. Weights are laid out here, not at
run time. The same input gives the same bytes.
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
        # "a:1" is the second output of a. "^a" is order, not data.
        refs = [i.partition(":") for i in raw.get("input", []) if not i.startswith("^")]
        self.inputs = [name for name, _, _ in refs]
        self.outputs_of = [int(index or 0) for _, _, index in refs]  # which of them, for the few that have several
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
    """The ONNX graph as it grows. shape[NAME] is the NCHW shape of the tensor "NAME.nchw", plain[NAME, i] the shape of
    output i of NAME in TensorFlow's layout, the tensor "NAME.tf" or "NAME.tf:i"."""

    def __init__(self, weights):
        self.weights = weights
        self.shape, self.plain = {}, {}
        self.nodes, self.initializers, self.inputs, self.outputs = [], {}, [], []

    def const(self, name, array, scalar=False):
        # Where one number is meant, a list of one does as well, but for an index, which a list makes an axis of.
        tensor = numpy_helper.from_array(array if scalar else np.ascontiguousarray(array), name)
        if self.initializers.setdefault(name, tensor) != tensor:
            raise Unsupported(f"weight {name} is used in two layouts")
        return name

    def emit(self, op, inputs, output, **attrs):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attrs))
        return output

    def tensor(self, node, i):
        """Name and shape of an input that is computed, NCHW."""
        name = node.inputs[i]
        if name not in self.shape and len(self.plain.get((name, 0), ())) == 4:
            n, h, w, c = self.plain[name, 0]
            self.emit("Transpose", [name + ".tf"], name + ".nchw", perm=[0, 3, 1, 2])
            self.shape[name] = (n, c, h, w)
        if name not in self.shape:
            node.fail(f"input {i} ({name}) must not be a constant")
        return name + ".nchw", self.shape[name]

    def as_is(self, node, i):
        """Name and shape of an input in TensorFlow's layout, computed or constant."""
        name, index = node.inputs[i], node.outputs_of[i]
        if (name, index) in self.plain:
            return name + (f".tf:{index}" if index else ".tf"), self.plain[name, index]
        if name in self.shape:
            n, c, h, w = self.shape[name]
            self.emit("Transpose", [name + ".nchw"], name + ".tf", perm=[0, 2, 3, 1])
            self.plain[name, 0] = (n, h, w, c)
            return name + ".tf", self.plain[name, 0]
        v = self.weights.get(name)
        if v is None:
            node.fail(f"input {i} ({name}) is not there")
        # ONNX wants 64 bits for indices and shapes; whatever is counted here is counted with them.
        return self.const(name + ".tf", v.astype(np.int64) if v.dtype == np.int32 else v), v.shape

    def weight(self, node, i):
        """An input that is a constant."""
        if node.inputs[i] not in self.weights:
            node.fail(f"input {i} ({node.inputs[i]}) must be a constant")
        return self.weights[node.inputs[i]]

    def finish(self, node, op, inputs, shape, **attrs):
        """Emits the ONNX node that makes this TFJS node's tensor."""
        self.emit(op, inputs, node.name + ".nchw", **attrs)
        self.shape[node.name] = tuple(int(d) for d in shape)

    def finish_as_is(self, node, op, inputs, shape, index=0, **attrs):
        """The same in TensorFlow's layout."""
        name = node.name + (f".tf:{index}" if index else ".tf")
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        self.plain[node.name, index] = tuple(int(d) for d in shape)


def placeholder(g, node):
    # A network that takes whole numbers casts them at once: floats of the same value do as well.
    if node.attr.get("dtype") not in ("DT_FLOAT", "DT_INT32"):
        node.fail(f"dtype={node.attr.get('dtype')} is not supported")
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
    elif fused == ["Relu6"]:
        g.finish(node, "Clip", [g.emit("Conv", inputs, node.name + ".conv", **attrs)] + relu6_limits(g), shape)
    else:
        node.fail(f"fused {fused} is not supported")


def depthwise_conv(g, node):
    conv(g, node, depthwise=True)


def elementwise(op):
    def convert(g, node):
        if any((name, index) in g.plain for name, index in zip(node.inputs, node.outputs_of)):
            inputs, shapes = zip(*(g.as_is(node, i) for i in range(len(node.inputs))))
            g.finish_as_is(node, op, inputs, np.broadcast_shapes(*shapes))
            return
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
    g.finish(node, "Clip", [x] + relu6_limits(g), shape)


def relu6_limits(g):
    return [g.const("relu6.min", np.float32(0)), g.const("relu6.max", np.float32(6))]


def mean(g, node):
    node.expect("keep_dims", True)
    x, (n, c, h, w) = g.tensor(node, 0)
    if sorted(a % 4 for a in g.weight(node, 1)) != [1, 2]:
        node.fail("only the mean over height and width is supported")
    g.finish(node, "GlobalAveragePool", [x], (n, c, 1, 1))


def concat(g, node):
    *parts, axis = range(len(node.inputs))
    if any((node.inputs[i], node.outputs_of[i]) in g.plain for i in parts):
        inputs, shapes = zip(*(g.as_is(node, i) for i in parts))
        at = int(g.weight(node, axis)) % len(shapes[0])
        shape = list(shapes[0])
        shape[at] = sum(s[at] for s in shapes)
        g.finish_as_is(node, "Concat", inputs, shape, axis=at)
        return
    if int(g.weight(node, axis)) % 4 != 3:
        node.fail("only channels can be concatenated")
    tensors = [g.tensor(node, i) for i in parts]
    n, _, h, w = tensors[0][1]
    g.finish(node, "Concat", [x for x, _ in tensors], (n, sum(s[1] for _, s in tensors), h, w), axis=1)


def resize_bilinear(g, node):
    node.expect("align_corners", False)
    x, (n, c, h, w) = g.tensor(node, 0)
    oh, ow = (int(d) for d in g.weight(node, 1))
    scales = g.const(node.name + ".scales", np.array([1, 1, oh / h, ow / w], np.float32))
    # Neither corners aligned nor half pixels: source = target / scale, which ONNX calls asymmetric.
    mode = "half_pixel" if node.attr.get("half_pixel_centers") else "asymmetric"
    g.finish(node, "Resize", [x, "", scales], (n, c, oh, ow), mode="linear", coordinate_transformation_mode=mode)


# --- in TensorFlow's layout, as indices and their like come ---


def cast(g, node):
    if node.inputs[0] in g.shape:  # the input's, see placeholder
        x, shape = g.tensor(node, 0)
        g.finish(node, "Identity", [x], shape)
        return
    x, shape = g.as_is(node, 0)
    kinds = {"DT_FLOAT": TensorProto.FLOAT, "DT_INT32": TensorProto.INT64}
    if node.attr["DstT"] not in kinds:
        node.fail(f"DstT={node.attr['DstT']} is not supported")
    g.finish_as_is(node, "Cast", [x], shape, to=kinds[node.attr["DstT"]])


def axes(g, node, values):
    return g.const(f"{node.name}.axes", np.array(values, np.int64))


def expand_dims(g, node):
    x, shape = g.as_is(node, 0)
    at = int(g.weight(node, 1)) % (len(shape) + 1)
    g.finish_as_is(node, "Unsqueeze", [x, axes(g, node, [at])], shape[:at] + (1,) + shape[at:])


def squeeze(g, node):
    x, shape = g.as_is(node, 0)
    dims = [int(d) % len(shape) for d in node.attr.get("squeeze_dims", [])] or [i for i, d in enumerate(shape) if d == 1]
    g.finish_as_is(node, "Squeeze", [x, axes(g, node, dims)], [d for i, d in enumerate(shape) if i not in dims])


def reshape(g, node):
    x, shape = g.as_is(node, 0)
    wanted = [int(d) for d in g.weight(node, 1)]
    to = list(np.empty(shape, np.int8).reshape(wanted).shape)
    g.finish_as_is(node, "Reshape", [x, g.const(node.name + ".shape", np.array(to, np.int64))], to)


def arg_max(g, node):
    x, shape = g.as_is(node, 0)
    at = int(g.weight(node, 1)) % len(shape)
    g.finish_as_is(node, "ArgMax", [x], shape[:at] + shape[at + 1:], axis=at, keepdims=0)


def pack(g, node):
    at, parts = node.attr.get("axis", 0), []
    for i in range(len(node.inputs)):
        x, shape = g.as_is(node, i)
        name = f"{node.name}.part{i}"
        parts.append(g.emit("Unsqueeze", [x, axes(g, node, [at])], name))
    g.finish_as_is(node, "Concat", parts, shape[:at] + (len(parts),) + shape[at:], axis=at)


def unpack(g, node):
    x, shape = g.as_is(node, 0)
    at = node.attr.get("axis", 0)
    for i in range(shape[at]):
        index = g.const(f"{node.name}.index{i}", np.array(i, np.int64), scalar=True)
        g.finish_as_is(node, "Gather", [x, index], shape[:at] + shape[at + 1:], index=i, axis=at)


def gather_nd(g, node):
    x, shape = g.as_is(node, 0)
    indices, index_shape = g.as_is(node, 1)
    g.finish_as_is(node, "GatherND", [x, indices], index_shape[:-1] + shape[index_shape[-1]:])


def squared_difference(g, node):
    (a, shape), (b, other) = g.as_is(node, 0), g.as_is(node, 1)
    difference = g.emit("Sub", [a, b], node.name + ".difference")
    g.finish_as_is(node, "Mul", [difference, difference], np.broadcast_shapes(shape, other))


def identity(g, node):
    if (node.inputs[0], node.outputs_of[0]) in g.plain:
        x, shape = g.as_is(node, 0)
        g.finish_as_is(node, "Identity", [x], shape)
    else:
        elementwise("Identity")(g, node)


OPERATORS = {
    "Placeholder": placeholder,
    "Const": lambda g, node: None,  # taken by the nodes that use it
    "Conv2D": conv,
    "_FusedConv2D": conv,
    "DepthwiseConv2dNative": depthwise_conv,
    "FusedDepthwiseConv2dNative": depthwise_conv,
    "Add": elementwise("Add"),
    "AddV2": elementwise("Add"),
    "Sub": elementwise("Sub"),
    "Mul": elementwise("Mul"),
    "RealDiv": elementwise("Div"),
    "FloorDiv": elementwise("Div"),  # of indices, which are whole and not negative
    "Sqrt": elementwise("Sqrt"),
    "Cast": cast,
    "ExpandDims": expand_dims,
    "Squeeze": squeeze,
    "Reshape": reshape,
    "ArgMax": arg_max,
    "Pack": pack,
    "Unpack": unpack,
    "GatherNd": gather_nd,
    "SquaredDifference": squared_difference,
    "Relu": elementwise("Relu"),
    "Sigmoid": elementwise("Sigmoid"),
    "Identity": identity,
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
        if (name, 0) in g.plain:
            g.emit("Identity", [name + ".tf"], name)
            g.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, g.plain[name, 0]))
            continue
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
    scores = description["outputs"].get("scores")
    classes = g.shape[scores][1] if scores else len(description["classes"])
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
