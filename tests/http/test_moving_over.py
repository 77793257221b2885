"""The three ways over of docs/moving-over.md: what a stock container sends with each set of variables, call for call in the order of
protocol.md 3.6, what it reads of the answers, and what is to be seen here afterwards."""
import hashlib
import json
import time
import urllib.parse

import graphs
import pytest
import requests
from conftest import wait_for
from fake_platform import Platform
from pingbacks import item, pingback, thin

PLATFORM = "https://api.roboflow.com"


class Container:
    """A stock inference server with a key, its variables as it reads them. calls: (method, URL without host, status)."""

    def __init__(self, key, **env):
        self.key, self.calls = key, []
        self.api = env.get("API_BASE_URL", PLATFORM)
        self.weights = env.get("ROBOFLOW_API_HOST", PLATFORM)
        self.metrics = env.get("METRICS_URL", self.api + "/inference-stats")
        self.collector = env.get("METRICS_COLLECTOR_BASE_URL", self.api)
        self.gateway = env.get("SECURE_GATEWAY")

    def send(self, method, url, **more):
        if self.gateway:
            url = f"http://{self.gateway}/proxy?url=" + urllib.parse.quote(url, safe="~()*!'")
        if url.startswith(PLATFORM):  # not to us: there is no internet in a test
            self.calls.append((method, url, None))
            return None
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, url, timeout=30, **more)
        self.calls.append((method, url.split("/", 3)[3], answer.status_code))
        return answer

    def api_call(self, method, base, path, bearer=False, **more):
        headers = {"X-Roboflow-Inference-Version": "1.5.0", "X-Allow-Chunked": "true"}
        if bearer:
            headers["Authorization"] = f"Bearer {self.key}"
        return self.send(method, base + path, headers=headers, **more)

    def load(self, model_id):
        """The bytes of the network; None when they come straight from the platform."""
        quoted = urllib.parse.quote(model_id, safe="")
        stat = self.api_call("GET", self.api, f"/models/v1/external/stat?modelId={quoted}", bearer=True)
        if stat is not None:
            assert stat.status_code == 200 and stat.json()["modelMetadata"]["taskType"] == "object-detection"
        weights = self.api_call("GET", self.weights, f"/models/v1/external/weights?modelId={quoted}", bearer=True)
        if weights is None:
            return None
        [package] = weights.json()["modelMetadata"]["modelPackages"]
        network = None
        for file in package["packageFiles"]:
            content = self.send("GET", file["downloadUrl"]).content
            assert hashlib.md5(content).hexdigest() == file["md5Hash"]
            network = content if file["fileHandle"] == "weights.onnx" else network
        return network

    def infer(self, model_id, inference_id):
        """What goes out around an inference, in order."""
        dataset = model_id.split("/")[0]
        answer = self.api_call("GET", self.api, f"/?api_key={self.key}&nocache=true")
        if answer is not None:
            workspace = answer.json()["workspace"]
            kind = self.api_call("GET", self.api, f"/{workspace}/{dataset}?api_key={self.key}&nocache=true").json()
            learning = self.api_call("GET", self.api, f"/{workspace}/{dataset}/active_learning?api_key={self.key}").json()
            assert kind["project"]["type"] == "object-detection" and learning["enabled"] is False
        plan = self.send("GET", self.collector + "/usage/plan", headers={"Authorization": f"Bearer {self.key}"})
        assert plan.json()["over_quota"] is False
        usage = [{"timestamp_start": time.time_ns(), "timestamp_stop": time.time_ns(), "exec_session_id": "1_a", "hostname": "5bce9", "processed_frames": 1,
                  "category": "model", "resource_id": model_id, "resource_details": "{}", "api_key": self.key}]
        assert self.send("POST", self.collector + "/usage/inference", headers={"Authorization": f"Bearer {self.key}"}, json=usage).status_code == 200
        report = pingback(self.key, [item(thin(("bolt", 0.9)), inference_id=inference_id, model=model_id, time=time.time())])
        assert self.send("POST", self.metrics, json=report).status_code == 200

    def attach(self, inference_id):
        """The custom-metadata block."""
        answer = self.api_call("GET", self.api, f"/?api_key={self.key}&nocache=true")
        if answer is None:
            return
        data = {"data": [{"inference_ids": [inference_id], "field_name": "line", "field_value": "3"}]}
        path = f"/{answer.json()['workspace']}/inference-stats/metadata?api_key={self.key}&nocache=true"
        assert self.api_call("POST", self.api, path, json=data).status_code == 200


@pytest.fixture
def platform():
    """The platform and, on another port, the storage that its download URLs name."""
    p, storage = Platform(), Platform()
    network = b"the network's bytes"
    storage.answers["/bucket/weights.onnx"] = (200, {"Content-Type": "application/octet-stream"}, network)
    p.answers["/models/v1/external/stat"] = (200, {}, json.dumps({"modelMetadata": {"modelArchitecture": "yolov8", "taskType": "object-detection"}}).encode())
    package = {"packageFiles": [{"fileHandle": "weights.onnx", "downloadUrl": storage.url + "/bucket/weights.onnx?signature=s",
                                 "md5Hash": hashlib.md5(network).hexdigest()}]}
    p.answers["/models/v1/external/weights"] = (200, {}, json.dumps({"modelMetadata": {"modelPackages": [package], "nextPage": None}}).encode())
    p.storage, p.network = storage, network
    yield p
    p.close()
    storage.close()


def seen(server, inference_id, metadata):
    """As a person looks: the inference, its metadata, and the device it came from."""
    found = wait_for(lambda: server.get(f"/api/v1/test/inferences/{inference_id}"))
    assert found.status_code == 200 and found.json()["metadata"] == metadata and found.json()["device_id"] == "edge-7"
    assert "edge-7" in [d["device_id"] for d in server.get("/api/v1/test/devices").json()["devices"]]
    assert [d for d in server.get("/api/v1/test/devices").json()["devices"] if d["device_id"] == "edge-7"][0]["inferences"] == 1


PASSED_ON = [("GET", "/models/v1/external/stat?modelId=parts%2F3"), ("GET", "/models/v1/external/weights?modelId=parts%2F3")]


def test_a_monitoring_alone(server):
    c = Container(server.key, METRICS_URL=server.url + "/inference-stats", METRICS_COLLECTOR_BASE_URL=server.url)
    assert c.load("parts/3") is None
    c.infer("parts/3", "way-a")
    c.attach("way-a")
    assert [call for call in c.calls if call[2]] == [("GET", "usage/plan", 200), ("POST", "usage/inference", 200), ("POST", "inference-stats", 200)]
    seen(server, "way-a", {})


def test_b_everything_through_us(make_server, platform):
    server = make_server(upstream=platform.url)
    c = Container(server.key, API_BASE_URL=server.url, ROBOFLOW_API_HOST=server.url)
    assert c.load("parts/3") == platform.network
    c.attach("way-b")  # the workflow is faster than the pingback
    c.infer("parts/3", "way-b")
    seen(server, "way-b", {"line": "3"})
    assert platform.calls() == PASSED_ON
    for _, _, headers, _ in platform.seen:
        assert dict(headers)["Authorization"] == f"Bearer {server.key}" and dict(headers)["X-Roboflow-Inference-Version"] == "1.5.0"
    assert platform.storage.calls() == [("GET", "/bucket/weights.onnx?signature=s")]  # by the container itself


def test_b_weights_straight_from_the_platform(make_server, platform):
    """Without ROBOFLOW_API_HOST only the stat call comes through us."""
    server = make_server(upstream=platform.url)
    c = Container(server.key, API_BASE_URL=server.url)
    assert c.load("parts/3") is None
    assert platform.calls() == PASSED_ON[:1] and [u for _, u, status in c.calls if status is None] == [PLATFORM + PASSED_ON[1][1]]


def test_b_by_the_gateway(make_server, platform):
    """All calls come wrapped; files on a host that is not the upstream's are not fetched, and the storage sees nothing."""
    server = make_server(upstream=platform.url)
    c = Container(server.key, SECURE_GATEWAY=f"127.0.0.1:{server.port}")
    with pytest.raises(AssertionError):
        c.load("parts/3")
    assert c.calls[-1][2] in (400, 401, 404) and platform.storage.seen == []
    c.attach("way-g")
    c.infer("parts/3", "way-g")
    seen(server, "way-g", {"line": "3"})
    assert platform.calls() == PASSED_ON
    assert all(url.startswith("proxy?url=") for _, url, _ in c.calls)


def test_b_by_the_gateway_where_the_platform_has_the_files_itself(make_server, platform):
    """Nothing but the upstream's host is asked: a path of ours that passes on is needed for the file as well."""
    server = make_server(upstream=platform.url)
    package = {"packageFiles": [{"fileHandle": "weights.onnx", "downloadUrl": f"{platform.url}/core_model/parts/3/weights.onnx?api_key={server.key}",
                                 "md5Hash": hashlib.md5(platform.network).hexdigest()}]}
    platform.answers["/models/v1/external/weights"] = (200, {}, json.dumps({"modelMetadata": {"modelPackages": [package], "nextPage": None}}).encode())
    platform.answers["/core_model/parts/3/weights.onnx"] = (200, {}, platform.network)
    assert Container(server.key, SECURE_GATEWAY=f"127.0.0.1:{server.port}").load("parts/3") == platform.network


@pytest.mark.parametrize("gateway", [False, True], ids=["API_BASE_URL", "SECURE_GATEWAY"])
def test_c_without_the_platform(make_server, tmp_path, gateway):
    graphs.detect(tmp_path / "models")
    server = make_server(models=tmp_path / "models")
    env = {"SECURE_GATEWAY": f"127.0.0.1:{server.port}"} if gateway else {"API_BASE_URL": server.url, "ROBOFLOW_API_HOST": server.url}
    c = Container(server.key, **env)
    assert c.load("yolo-detect/1") == (tmp_path / "models" / "yolo-detect" / "model.onnx").read_bytes()
    c.attach("way-c")
    c.infer("yolo-detect/1", "way-c")
    seen(server, "way-c", {"line": "3"})
    answer = c.api_call("GET", c.api, "/models/v1/external/stat?modelId=parts%2F3", bearer=True)
    assert answer.status_code == 404 and "--upstream" in answer.json()["error"]
