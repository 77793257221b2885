"""docs/openapi.json is true: it has every route and no other, each operation is called with the example that stands in it,
and each answer, good or bad, has a status, a media type and a shape that it tells of."""
import base64
import copy
import json
import re
import subprocess
import urllib.parse

import pytest
from client import picture
from conftest import BINARY, TOP
from jsonschema import Draft202012Validator, RefResolver

DOC = json.loads((TOP / "docs" / "openapi.json").read_text())
OPERATIONS = [(method.upper(), path) for path, methods in DOC["paths"].items() for method in methods]
# What makes the things that the others look at comes first, what takes them away last.
FIRST = [("POST", "/infer/object_detection"), ("POST", "/api/v1/{workspace}/inferences"), ("POST", "/{workspace}/inference-stats/metadata"),
         ("POST", "/dataset/{project}/upload")]
THEN = [("POST", "/dataset/{project}/annotate/{image}")]  # once
LAST = [("DELETE", "/api/v1/first-key")]
ORDER = FIRST + THEN + [o for o in OPERATIONS if o not in FIRST + THEN + LAST] + LAST


def closed(node):
    """The document with every object of an answer closed: a member that it doesn't tell of is a fault."""
    if isinstance(node, dict):
        node = {name: closed(value) for name, value in node.items()}
        if "properties" in node and "object" in node.get("type", ()) and "additionalProperties" not in node:
            node["additionalProperties"] = False
    elif isinstance(node, list):
        node = [closed(value) for value in node]
    return node


CLOSED = closed(DOC)


def resolve(node, document=DOC):
    while "$ref" in node:
        assert node["$ref"].startswith("#/")
        target = document
        for part in node["$ref"][2:].split("/"):
            target = target[part]
        node = target
    return node


def validate(value, schema, document):
    resolver = RefResolver("", document)
    faults = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in Draft202012Validator(schema, resolver=resolver).iter_errors(value)]
    assert not faults, faults


def operation(method, path):
    return DOC["paths"][path][method.lower()]


def parameters(op):
    return [resolve(p) for p in op.get("parameters", [])]


MADE = {}  # of a path that ends with an id that the server chose: one that is there


def fill(path, op, **change):
    change = {**MADE.get(path, {}), **change}
    for p in parameters(op):
        if p["in"] == "path":
            path = path.replace("{%s}" % p["name"], urllib.parse.quote(str(change.get(p["name"], p["example"])), safe=""))
    assert "{" not in path
    needed = {p["name"]: p["example"] for p in parameters(op) if p["in"] == "query" and p.get("required")}
    return path + ("?" + urllib.parse.urlencode(needed) if needed else "")


def check(answer, method, path):
    """The answer is one that the document tells of; returns its status."""
    told = operation(method, path)["responses"]
    assert str(answer.status_code) in told, f"{method} {path} answered {answer.status_code}: {answer.text[:300]}"
    content = resolve(CLOSED["paths"][path][method.lower()]["responses"][str(answer.status_code)], CLOSED).get("content")
    if content is None:
        assert answer.content == b""
        return answer.status_code
    media = answer.headers["Content-Type"]
    assert media in content, f"{method} {path}: {media}"
    if media == "application/json":
        validate(answer.json(), content[media]["schema"], CLOSED)
    return answer.status_code


def example_body(op, key):
    """Keyword arguments for a request with the example of the operation."""
    content = op.get("requestBody", {}).get("content", {})
    for media, what in content.items():
        if media == "multipart/form-data" and "example" in what:
            return {"files": {"file": ("rgb.png", picture("rgb.png"))}, "data": what["example"]}
        if "example" not in what:
            continue
        if media == "application/json":
            validate(what["example"], what["schema"], DOC)
            return {"json": {"key": key} if what["example"] == {"key": "KEY"} else what["example"]}
        return {"data": what["example"], "headers": {"Content-Type": media}}
    return {}


@pytest.fixture(scope="module")
def server(fleet):
    """As a newcomer starts it: workspace `default`, its key in DATA/first-key."""
    s = fleet.make(workspace=None, api_key=None, keep_images="all")
    s.workspace, s.key = (s.data / "first-key").read_text().split()
    for method, path in FIRST:
        op = operation(method, path)
        assert s.request(method, fill(path, op), **example_body(op, s.key)).status_code == 200
    for path in ("/api/v1/{workspace}/keys", "/api/v1/{workspace}/views", "/api/v1/{workspace}/markers"):
        op = operation("POST", path)
        answer = s.request("POST", fill(path, op), **example_body(op, s.key))
        MADE[path + "/{id}"] = {"id": answer.json()["id"]}
    return s


def test_the_document_has_every_route_and_no_other():
    text = subprocess.run([str(BINARY), "serve", "--routes-markdown"], capture_output=True, text=True, timeout=30).stdout
    routes = {(m, re.sub(r":(\w+)", r"{\1}", p).replace("*", "{path}")): s for m, p, s in re.findall(r"^\| ([A-Z]+) \| `(\S+)` \| (.*) \|$", text, re.M)}
    assert set(OPERATIONS) == set(routes) and len(routes) > 20
    assert {o: operation(*o)["summary"] for o in OPERATIONS} == routes


def test_the_program_serves_the_document(server):
    answer = server.get("/openapi.json", anonymous=True)
    assert answer.json() == DOC and answer.headers["Content-Type"] == "application/json"
    again = server.get("/openapi.json", anonymous=True, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_document_holds_together():
    def walk(node, at=""):
        if isinstance(node, dict):
            if "$ref" in node:
                resolve(node)
            for name, value in node.items():
                walk(value, f"{at}/{name}")
        elif isinstance(node, list):
            for value in node:
                walk(value, at)
    walk(DOC)
    for name, schema in DOC["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
    used = set(re.findall(r'"#/components/(\w+/\w+)"', json.dumps(DOC)))
    assert used == {f"{kind}/{name}" for kind in ("schemas", "parameters", "responses") for name in DOC["components"][kind]}
    for method, path in OPERATIONS:
        op = operation(method, path)
        assert {p["name"] for p in parameters(op) if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path)), path
        assert all(p["required"] and "example" in p for p in parameters(op) if p["in"] == "path")
        assert ("401" in op["responses"]) == (op.get("security") != [] or path in ("/", "/api/v1/session") and method in ("GET", "POST"))


@pytest.mark.parametrize("method, path", ORDER, ids=[" ".join(o) for o in ORDER])
def test_an_operation(server, method, path):
    op = operation(method, path)
    target, body = fill(path, op), example_body(op, server.key)
    if method == "GET" and path == "/{project}/{version}":
        check(server.get(target), method, path)
        target = fill(path, op, project="coco", version="24")
        body = example_body(operation("POST", path), server.key)
    good = {int(s) for s in op["responses"] if s < "300"} or {int(s) for s in op["responses"]}
    if "upstream" in op["tags"]:
        good = {403} if path == "/models/v1/files" else {404}  # nothing is signed, none is set
    if (method, path) == LAST[0]:
        assert check(server.request(method, target, anonymous=True), method, path) == 401
    assert check(server.request(method, target, **body), method, path) in good
    if path != "/" and op.get("security") != []:
        assert check(server.request(method, target, anonymous=True, **body), method, path) == 401
        assert check(server.request(method, target, key="sg_wrong", **body), method, path) == 401
    if "{workspace}" in path:
        assert check(server.request(method, fill(path, op, workspace="another"), **body), method, path) == 401


QUERIES = [(m, p, q["name"]) for m, p in OPERATIONS for q in parameters(operation(m, p)) if q["in"] == "query"]


@pytest.mark.parametrize("method, path, name", QUERIES, ids=[" ".join(q) for q in QUERIES])
def test_a_query_parameter(server, method, path, name):
    op = operation(method, path)
    p = next(p for p in parameters(op) if p["name"] == name)
    assert ("required" not in p or "example" in p) and p["description"]
    if "example" not in p:
        return
    validate(p["example"], p["schema"], DOC)
    query = p["example"] if isinstance(p["example"], dict) else {name: p["example"]}
    target, body = fill(path, op), example_body(op, server.key)
    if method == "GET" and path == "/{project}/{version}":
        target, body = fill(path, op, project="coco"), example_body(operation("POST", path), server.key)
    assert check(server.request(method, target, params=query, **body), method, path) == 200


@pytest.mark.parametrize("method, path", OPERATIONS, ids=[" ".join(o) for o in OPERATIONS])
def test_errors_are_told_of(server, method, path):
    """Bodies and parameters that are wrong, whatever the operation: what comes is in the document."""
    op = operation(method, path)
    if (method, path) == LAST[0]:
        return
    target = fill(path, op)
    if "requestBody" in op:
        for body in (b"", b"{", b"[]", b"{}", b'{"data": 1}', b'{"value": []}', b'{"image": 1, "model_id": "coco/24"}', b" " * (33 << 20)):
            check(server.request(method, target, data=body, headers={"Content-Type": "text/plain"}), method, path)
    for query in ({"limit": "x"}, {"filter": "(("}, {"index": "-1"}, {"confidence": "x"}, {"cursor": "?"}, {"nonsense": "1"}, {"format": "image"},
                  {"model": "none"}, {"from": "x"}, {"bucket": "0"}):
        if not (method == "POST" and path == "/infer/object_detection"):
            check(server.request(method, target, params=query, **example_body(op, server.key)), method, path)


def test_things_that_are_not_there(server):
    for path in ("/api/v1/{workspace}/inferences/{id}", "/api/v1/{workspace}/inferences/{id}/image", "/api/v1/{workspace}/inferences/{id}/thumbnail"):
        op = operation("GET", path)
        for inference_id in ("never-heard-of", "accf0af9-bdf0-4b22-8106-6988d4cada5a"):
            assert check(server.get(fill(path, op, id=inference_id)), "GET", path) == 404
    assert check(server.post("/model/add", json={"model_id": "no/1"}), "POST", "/model/add") == 404
    assert check(server.post("/no/1", data=example_body(operation("POST", "/{project}/{version}"), "")["data"], headers={"Content-Type": "a/b"}),
                 "POST", "/{project}/{version}") == 404
    assert check(server.get("/ui/assets/none.js"), "GET", "/ui/{path}") == 404


def test_a_validator_that_finds_nothing_would_be_no_proof(server):
    """Each document that is off by one member is found out."""
    answer = server.get("/api/v1/default/inferences").json()
    schema = {"$ref": "#/components/schemas/InferenceList"}
    validate(answer, schema, CLOSED)
    for spoil in (lambda d: d["inferences"][0].pop("latency_s"), lambda d: d["inferences"][0].update(extra=1), lambda d: d.pop("next_cursor"),
                  lambda d: d["inferences"][0]["image"].update(width="32"), lambda d: d["inferences"][0]["metadata"].update(a=[])):
        wrong = copy.deepcopy(answer)
        spoil(wrong)
        with pytest.raises(AssertionError):
            validate(wrong, schema, CLOSED)


def test_the_picture_of_the_example_is_the_test_picture():
    example = operation("POST", "/infer/object_detection")["requestBody"]["content"]["application/json"]["example"]
    assert base64.b64decode(example["image"]["value"]) == picture("rgb.png")
