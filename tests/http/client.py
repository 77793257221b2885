"""What a client of the inference server does, for the tests: protocol.md section 1, and pictures to send.

Sdk(url, key) does what the SDK's client does, call for call and field for field, and reads of the answers what it reads;
.calls lists what went over the wire. run() sends with requests, run_async() with aiohttp; both drive the same steps, and
try again as it does (1.7): .pause() is what happens instead of its wait of up to a second.

hosted(url, key, task, data) sends as roboflow-python's classes do (2.5). send() puts a request as it was recorded on a
connection of its own.
"""
import asyncio
import base64
import json
import pathlib

import aiohttp
import requests

REQUESTS_HEADERS = """Host: 127.0.0.1:9901
User-Agent: python-requests/2.28.1
Accept-Encoding: gzip, deflate, br
Accept: */*
Connection: keep-alive
"""
AIOHTTP_HEADERS = """Host: 127.0.0.1:9901
Accept: */*
Accept-Encoding: gzip, deflate
User-Agent: Python/3.11 aiohttp/3.8.4
"""

RETRIED, TRIES = (429, 503, 504), 3  # on registry and model calls: one
PICTURES = pathlib.Path(__file__).resolve().parents[1] / "data" / "images"
PHOTOS = pathlib.Path("/usr/share/darknet/data")  # Debian's package darknet
DOG_SIZE = {"width": 768, "height": 576}


def picture(name):
    return (PICTURES / name).read_bytes()


def photo(name="dog.jpg"):
    return (PHOTOS / name).read_bytes()


def b64(data):
    return base64.b64encode(data).decode()


def image(data):
    return {"type": "base64", "value": b64(data)}


def exchange(server, start, headers, data=b""):
    """The request's first words, its header lines, its body; (status, reason, headers, body) of the answer."""
    with server.connect() as s:
        s.sendall(f"{start} HTTP/1.1\n{headers}\n".replace("\n", "\r\n").encode() + data)
        f = s.makefile("rb")
        _, status, reason = f.readline().decode().rstrip("\r\n").split(" ", 2)
        told = {}
        while (line := f.readline()) != b"\r\n":
            name, value = line.decode().rstrip("\r\n").split(": ", 1)
            told[name.lower()] = value
        return int(status), reason, told, f.read(int(told.get("content-length", 0)))


def send(server, start, headers, body=None, content_type="application/json", more=""):
    """One request as recorded; status and body of the answer."""
    data = b"" if body is None else body.encode() if isinstance(body, str) else body
    if body is not None:
        more += f"Content-Type: {content_type}\nContent-Length: {len(data)}\n"
    status, _, _, answer = exchange(server, start, headers + more, data)
    return status, json.loads(answer)


class CallError(Exception):
    """A status that the client takes for a failure; .message is what it shows of the body."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class Sdk:
    def __init__(self, url, key=None, transport="legacy", v0=False, max_batch_size=1, **config):
        self.url, self.key, self.transport, self.v0, self.max_batch_size, self.config = url, key, transport, v0, max_batch_size, config
        self.calls = []  # (method, path, status); a connection that failed has the status None
        self.pause = lambda: None

    # --- what is sent

    def headers(self, **more):
        bearer = self.transport in ("both", "header") and self.key is not None
        return {**more, **({"Authorization": f"Bearer {self.key}"} if bearer else {})}

    def query(self, **more):
        return {**({} if self.transport == "header" else {"api_key": self.key if self.key is not None else "None"}), **more}

    def body(self, **more):
        return more if self.transport == "header" else {**more, "api_key": self.key}

    def registry(self):
        return ("GET", "/model/registry", self.query(), self.headers(), None)

    def steps(self, pictures, model_id):
        """Yields (method, path, query, headers, body) and is sent what the answer held."""
        if self.v0:
            return (yield from self.steps_v0(pictures, model_id))
        listed = models_of((yield self.registry()))
        if model_id not in listed:
            listed = models_of((yield "POST", "/model/add", {}, self.headers(), self.body(model_id=model_id)))
            assert model_id in listed, "ModelNotInitializedError"
        task = listed[model_id]["task_type"]
        path = {"object-detection": "/infer/object_detection", "instance-segmentation": "/infer/instance_segmentation",
                "classification": "/infer/classification", "keypoint-detection": "/infer/keypoints_detection"}[task]
        results = []
        for start in range(0, len(pictures), self.max_batch_size):
            images = [image(p) for p in pictures[start:start + self.max_batch_size]]
            body = {**self.body(), "model_id": model_id, "visualize_predictions": False, "disable_active_learning": False,
                    **self.config, "image": images if len(images) > 1 else images[0]}
            answer = yield "POST", path, {}, self.headers(), body
            answers = answer if isinstance(answer, list) else [answer]
            assert len(answers) == len(images)
            results += [read_detections(one) for one in answers]
        return results[0] if len(results) == 1 else results

    def steps_v0(self, pictures, model_id):
        assert self.key, "APIKeyNotProvided"
        assert len(model_id.split("/")) == 2, "InvalidModelIdentifier"
        results = []
        for data in pictures:
            query = {**self.query(), **self.config, "disable_active_learning": "False"}
            answer = yield "POST", "/" + model_id, query, self.headers(**{"Content-Type": "application/json"}), b64(data)
            assert isinstance(answer, dict)
            results.append(read_detections(answer))
        return results[0] if len(results) == 1 else results

    # --- the two ways to send

    def run(self, pictures, model_id="coco/24"):
        return self.drive(self.steps(pictures, model_id))

    def tries(self, path):
        return 1 if path.startswith("/model/") else TRIES

    def drive(self, steps):
        with requests.Session() as session:
            session.trust_env = False
            sent = None
            while True:
                try:
                    step = steps.send(sent)
                except StopIteration as end:
                    return end.value
                sent = self.call(session, *step)

    def call(self, session, method, path, query, headers, body):
        data = {"json": body} if isinstance(body, dict) else {"data": body}
        for left in reversed(range(self.tries(path))):
            try:
                answer = session.request(method, self.url + path, params=query, headers=headers, timeout=30, **data)
            except requests.ConnectionError:
                self.calls.append((method, path, None))
                if not left:
                    raise
            else:
                self.calls.append((method, path, answer.status_code))
                if not left or answer.status_code not in RETRIED:
                    break
            self.pause()
        if answer.status_code >= 400:
            raise CallError(answer.status_code, api_message(answer.headers.get("Content-Type", ""), answer.text))
        assert answer.status_code == 200
        return answer.json()

    def run_async(self, pictures, model_id="coco/24"):
        return asyncio.run(self.drive_async(self.steps(pictures, model_id)))

    async def drive_async(self, steps):
        async with aiohttp.ClientSession() as session:
            sent = None
            while True:
                try:
                    step = steps.send(sent)
                except StopIteration as end:
                    return end.value
                sent = await self.call_async(session, *step)

    async def call_async(self, session, method, path, query, headers, body):
        data = {"json": body} if isinstance(body, dict) else {"data": body}
        for left in reversed(range(self.tries(path))):
            try:
                async with session.request(method, self.url + path, params=query, headers=headers, **data) as answer:
                    self.calls.append((method, path, answer.status))
                    if answer.status == 200:
                        return await answer.json()
                    if not left or answer.status not in RETRIED:
                        raise CallError(answer.status, answer.reason)
            except aiohttp.ClientConnectionError:
                self.calls.append((method, path, None))
                if not left:
                    raise
            await asyncio.to_thread(self.pause)


def hosted(url, key, task, model, data, **query):
    """As roboflow-python's class for the task does it; raises on any status from 400 on."""
    target, form = f"{url}/{model}", {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "data": b64(data)}
    query = {"api_key": key, **query}
    if task == "object-detection":
        query.update(name="YOUR_IMAGE.jpg", overlap="30", confidence="40", stroke="1", labels="false", format="json")
    if task == "instance-segmentation":
        query.update(confidence="40")
        form = {"files": {"file": ("imageToUpload", data, "image/jpeg")}}
    answer = requests.post(target, params=query, timeout=30, **form)
    answer.raise_for_status()
    return answer.json()


def models_of(registry):
    """The registry as the client reads it."""
    for model in registry["models"]:
        assert isinstance(model["model_id"], str) and isinstance(model["task_type"], str)
        for name in ("batch_size", "input_height", "input_width"):
            assert model.get(name) is None or isinstance(model[name], int)
    return {model["model_id"]: model for model in registry["models"]}


def read_detections(answer):
    """What the client and the code around it touch in an answer of any task."""
    assert isinstance(answer["inference_id"], str) and isinstance(answer["time"], float)
    assert isinstance(answer["image"]["width"], int) and isinstance(answer["image"]["height"], int)
    if isinstance(answer["predictions"], dict):  # several labels
        assert all(isinstance(p["confidence"], float) and isinstance(p["class_id"], int) for p in answer["predictions"].values())
        assert isinstance(answer["predicted_classes"], list) and "top" not in answer
        return answer
    if "top" in answer:
        assert isinstance(answer["top"], str) and isinstance(answer["confidence"], float)
        assert all(isinstance(p["class"], str) and isinstance(p["confidence"], float) for p in answer["predictions"])
        return answer
    for p in answer["predictions"]:
        for point in p.get("points", p.get("keypoints", [])):
            assert isinstance(point["x"], (int, float)) and isinstance(point["y"], (int, float))
        assert all(isinstance(p[name], (int, float)) for name in ("x", "y", "width", "height", "confidence"))
        assert isinstance(p["class"], str) and isinstance(p["class_id"], int) and isinstance(p["detection_id"], str)
    return answer


def api_message(content_type, text):
    if "application/json" not in content_type:
        return text
    body = json.loads(text)
    assert isinstance(body, dict)
    message = body.get("message", body.get("detail", "N/A"))
    inner = body.get("inner_error_message")
    return f"{message}. More details: {inner}" if inner else message
