"""Models of ours as stock inference servers load them: the answers of rows 20 and 21, read as their readers do, and the files
that they name. That a stock container runs the network then is not proved here: there is none on this machine."""
import hashlib
import json
import os
import urllib.parse

import graphs
import pytest
import requests
from fake_platform import Platform

STAT, WEIGHTS = "/models/v1/external/stat", "/models/v1/external/weights"
MODELS = {"yolo-detect/1": ("object-detection", "yolov8n", ["cat", "dog"]), "yolo-seg/1": ("instance-segmentation", "yolov8n-seg", ["cat", "dog"]),
          "yolo-pose/1": ("keypoint-detection", "yolov8n-pose", ["person"])}


@pytest.fixture(scope="module")
def server(models, fleet):
    return fleet.make(models=models)


def fetch(url):
    """As servers do it: no key, no headers of the platform."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def load(server, model_id, via=""):
    """stat, weights, the package's files; what the reader insists on."""
    stat = server.get(via + STAT, params={"modelId": model_id}).json()["modelMetadata"]
    answer = server.get(via + WEIGHTS, params={"modelId": model_id, "pageSize": 10})
    assert answer.status_code == 200
    m = answer.json()["modelMetadata"]
    assert m["type"] == "external-model-metadata-v1" and m["modelId"] == model_id and m["nextPage"] is None
    assert (m["modelArchitecture"], m["taskType"]) == (stat["modelArchitecture"], stat["taskType"])
    [package] = m["modelPackages"]
    assert package["type"] == "external-model-package-v1" and package["packageId"] and package["trustedSource"] is True
    manifest = package["packageManifest"]
    assert (manifest["type"], manifest["backendType"], manifest["quantization"]) == ("onnx-model-package-v1", "onnx", "fp32")
    assert isinstance(manifest["opset"], int) and (manifest["dynamicBatchSize"] is True) == (manifest["staticBatchSize"] is None)
    files = {}
    for file in package["packageFiles"]:
        content = fetch(file["downloadUrl"]).content
        assert hashlib.md5(content).hexdigest() == file["md5Hash"]
        files[file["fileHandle"]] = content
    return m, manifest, files


@pytest.mark.parametrize("model_id", MODELS)
def test_a_package(server, models, model_id):
    task, _, classes = MODELS[model_id]
    m, manifest, files = load(server, model_id)
    assert (m["modelArchitecture"], m["taskType"]) == ("yolov8", task)
    assert (manifest["opset"], manifest["staticBatchSize"]) == (13, 1)
    assert files["weights.onnx"] == (models / model_id.split("/")[0] / "model.onnx").read_bytes()
    assert files["class_names.txt"].decode().splitlines() == classes
    config = json.loads(files["inference_config.json"])
    size = {"height": graphs.SIDE, "width": graphs.SIDE}
    assert config["network_input"] == {"training_input_size": size, "dynamic_spatial_size_supported": False, "color_mode": "rgb", "resize_mode": "letterbox",
                                       "padding_value": 114, "input_channels": 3, "scaling_factor": 255}
    assert config["post_processing"] == {"type": "nms", "fused": False}
    points = json.loads(files.get("keypoints_metadata.json", "null"))
    assert points == ([{"object_class_id": 0, "keypoints": {"0": "head", "1": "foot"}, "edges": []}] if task == "keypoint-detection" else None)


def test_stretch_and_any_batch(make_server, tmp_path):
    graphs.write(tmp_path / "models", graphs.describe("d", "object-detection", "yolov8", {"predictions": "output0"}, ["cat", "dog"], input_resize="stretch"),
                 graphs.network({"output0": graphs.yolo([[*graphs.BOX, 0.9, 0.1]])}, batch="n"))
    _, manifest, files = load(make_server(models=tmp_path / "models"), "d/1")
    network_input = json.loads(files["inference_config.json"])["network_input"]
    assert network_input["resize_mode"] == "stretch" and "padding_value" not in network_input
    assert (manifest["dynamicBatchSize"], manifest["staticBatchSize"]) == (True, None)


@pytest.mark.parametrize("model_id", MODELS)
def test_for_older_servers(server, models, model_id):
    task, model_type, classes = MODELS[model_id]
    assert server.get(f"/acme/{model_id}?api_key={server.key}&nocache=true", anonymous=True).json() == {"version": {"modelType": model_type}}
    ort = server.get(f"/ort/{model_id}?nocache=true&device=x&dynamic=true&api_key={server.key}", anonymous=True).json()["ort"]
    by_name = server.get("/getWeights", params={"model": model_id, "api_key": server.key}, anonymous=True).json()
    assert (ort["type"], ort["modelType"], ort["classes"]) == (task, model_type, classes)
    assert (by_name["taskType"], by_name["modelType"], by_name["classes"]) == (task, model_type, classes)
    network = (models / model_id.split("/")[0] / "model.onnx").read_bytes()
    assert fetch(ort["model"]).content == network == fetch(by_name["modelFiles"]["ort"]["model"]).content
    environment = fetch(ort["environment"]).json()
    assert environment == by_name["environment"]
    assert json.loads(environment["PREPROCESSING"])["resize"] == {"enabled": True, "width": graphs.SIDE, "height": graphs.SIDE, "format": "Fit (grey edges) in"}
    assert ("keypoints_metadata" in ort) == (task == "keypoint-detection")


def test_every_file_by_a_gateway(server):
    """With SECURE_GATEWAY the calls come wrapped, the downloads too."""
    quote = urllib.parse.quote
    target = f"https://api.roboflow.com{WEIGHTS}?modelId=yolo-detect%2F1"
    m = server.get("/proxy?url=" + quote(target, safe="~()*!'")).json()["modelMetadata"]
    for file in m["modelPackages"][0]["packageFiles"]:
        assert file["downloadUrl"].startswith(server.url + "/models/v1/files?")
        answer = server.get("/proxy?url=" + quote(file["downloadUrl"], safe="~()*!'"), anonymous=True)
        assert hashlib.md5(answer.content).hexdigest() == file["md5Hash"]


def url_of(server, file="weights.onnx", **headers):
    m = server.get(WEIGHTS, params={"modelId": "yolo-detect/1"}, headers=headers).json()["modelMetadata"]
    return next(f["downloadUrl"] for f in m["modelPackages"][0]["packageFiles"] if f["fileHandle"] == file)


def test_a_url_is_for_one_file_and_an_hour(server):
    url = urllib.parse.urlsplit(url_of(server))
    good = dict(urllib.parse.parse_qsl(url.query))
    assert server.get(url.path, params=good, anonymous=True).status_code == 200
    for change in ({"model": "yolo-seg/1"}, {"file": "class_names.txt"}, {"file": "../../x"}, {"expires": str(int(good["expires"]) + 1)}, {"expires": ""},
                   {"signature": ""}, {"signature": "0" * 64}, {"signature": good["signature"][:-1]}, {"signature": good["signature"] + "0"}):
        answer = server.get(url.path, params={**good, **change})
        assert answer.status_code == 403 and "ask for the model again" in answer.json()["error"]
    for name in good:
        assert server.get(url.path, params={k: v for k, v in good.items() if k != name}).status_code == 403


def test_the_url_names_the_host_that_was_asked(server):
    assert url_of(server).startswith(server.url)
    assert url_of(server, Host="monitor.plant:8443").startswith("http://monitor.plant:8443/")
    assert url_of(server, **{"Host": "monitor.plant", "X-Forwarded-Proto": "https"}).startswith("https://monitor.plant/")
    for host in ("a/b", "a@b", "a?b", 'a"b', "a b"):
        assert url_of(server, Host=host).startswith(server.url)


@pytest.mark.parametrize("target", [STAT + "?modelId=yolo-detect%2F1", WEIGHTS + "?modelId=yolo-detect%2F1", "/ort/yolo-detect/1", "/getWeights?model=yolo-detect%2F1",
                                    "/acme/yolo-detect/1"])
def test_a_key_is_needed(server, target):
    assert server.get(target).status_code == 200
    assert server.get(target, anonymous=True).status_code == 401
    assert server.get(target, key="unknown").status_code == 401


@pytest.mark.parametrize("model_id, why", [("yolo-cls/1", "decoder yolov8"), ("rtdetr/1", "decoder yolov8"), ("nobody/1", "--upstream")])
def test_what_servers_cannot_load(server, model_id, why):
    for target in (f"{STAT}?modelId={model_id}", f"{WEIGHTS}?modelId={model_id}", f"/ort/{model_id}", f"/getWeights?model={model_id}", f"/acme/{model_id}"):
        answer = server.get(target)
        assert answer.status_code == 404 and why in answer.json()["error"] and "--upstream" in answer.json()["error"]
    assert server.get(STAT).status_code == 404 and server.get(WEIGHTS + "?modelId=").status_code == 404


@pytest.mark.parametrize("change, why", [({"input_channels": "bgr"}, "rgb"), ({"input_mean": [1, 0, 0]}, "mean 0"), ({"input_scale": [1, 1, 1]}, "1/255"),
                                         ({"input_resize": "crop"}, "letterbox")])
def test_inputs_that_servers_do_not_make(make_server, tmp_path, change, why):
    graphs.detect(tmp_path / "models", **change)
    answer = make_server(models=tmp_path / "models").get(STAT, params={"modelId": "yolo-detect/1"})
    assert answer.status_code == 404 and why in answer.json()["error"]


def test_keypoints_without_scores(make_server, tmp_path):
    graphs.write(tmp_path / "models", graphs.describe("p", "keypoint-detection", "yolov8", {"predictions": "output0"}, ["person"], keypoints=["head", "foot"]),
                 graphs.network({"output0": graphs.yolo([[*graphs.BOX, 0.9, 30, 30, 34, 33]])}))
    answer = make_server(models=tmp_path / "models").get(STAT, params={"modelId": "p/1"})
    assert answer.status_code == 404 and "points with scores" in answer.json()["error"]


def test_ours_before_the_upstream_and_the_rest_from_there(make_server, models):
    platform = Platform()
    platform.answers[STAT] = (200, {}, b'{"from": "platform"}')
    s = make_server(models=models, upstream=platform.url)
    assert s.get(STAT, params={"modelId": "yolo-detect/1"}).json()["modelMetadata"]["modelArchitecture"] == "yolov8"
    assert platform.seen == []
    for model_id in ("nobody/1", "rtdetr/1"):  # of the last there is a model here, but none that servers load
        assert s.get(STAT, params={"modelId": model_id}).json() == {"from": "platform"}
    assert len(platform.seen) == 2
    platform.close()


def hash_of(server, model_id):
    [package] = server.get(WEIGHTS, params={"modelId": model_id}).json()["modelMetadata"]["modelPackages"]
    return next(f["md5Hash"] for f in package["packageFiles"] if f["fileHandle"] == "weights.onnx")


def test_the_hash_is_that_of_the_file_as_it_is_now(make_server, tmp_path):
    """Also when it is as long as before and somebody set its time back, and when there are more networks than hashes are kept."""
    def network(score):
        return graphs.network({"output0": graphs.yolo([[*graphs.BOX, score, 0.1]])})
    names = [f"m{n}" for n in range(70)]
    for n, name in enumerate(names):
        graphs.write(tmp_path / "models", graphs.describe(name, "object-detection", "yolov8", {"predictions": "output0"}, ["cat", "dog"]), network(n / 100))
    s = make_server(models=tmp_path / "models")
    for name in names + names[::-1]:
        assert hash_of(s, name + "/1") == hashlib.md5((tmp_path / "models" / name / "model.onnx").read_bytes()).hexdigest()
    file = tmp_path / "models" / "m3" / "model.onnx"
    was, before = file.stat(), hash_of(s, "m3/1")
    file.write_bytes(network(0.95))
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert file.stat().st_size == was.st_size and file.stat().st_ino == was.st_ino
    assert hash_of(s, "m3/1") == hashlib.md5(file.read_bytes()).hexdigest() != before


def test_a_network_that_is_gone(make_server, tmp_path):
    graphs.detect(tmp_path / "models")
    s = make_server(models=tmp_path / "models")
    url = url_of(s)
    (tmp_path / "models" / "yolo-detect" / "model.onnx").write_bytes(b"damaged")
    assert s.get(STAT, params={"modelId": "yolo-detect/1"}).status_code == 500
    (tmp_path / "models" / "yolo-detect" / "model.onnx").unlink()
    assert s.get(STAT, params={"modelId": "yolo-detect/1"}).status_code == 500
    assert requests.get(url).status_code == 500
