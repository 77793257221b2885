"""How models are run: several pictures at once, threads of a model's own, what headers tell, public names."""
import json
import threading

import graphs
import pytest
import requests
from client import image, picture
from test_infer_tasks import png

GREYS = [25, 51, 76, 102, 127]


def probe(folder, name, batch, rows=None, **more):
    """Its dog's score is the mean of the picture, so each picture of a batch has its own answer."""
    rows = rows or [[*graphs.BOX, 0.9, 0.1], [*graphs.FAR, 0.0, 0.0]]
    graphs.write(folder / "models", graphs.describe(name, "object-detection", "yolov8", {"predictions": "output0"}, ["cat", "dog"], **more),
                 graphs.network({"output0": graphs.yolo(rows)}, batch=batch, probe=("output0", (5, 1))))


@pytest.fixture(scope="module")
def server(tmp_path_factory, fleet):
    folder = tmp_path_factory.mktemp("service")
    for name, batch in (("one", 1), ("open", "n"), ("three", 3)):
        probe(folder, name, batch)
    return fleet.make(models=folder / "models")


def infer(server, model, images, status=200, **body):
    answer = server.post("/infer/object_detection", json={"model_id": model, "image": images, "confidence": 0.05, **body})
    assert answer.status_code == status, answer.text
    return answer


def dogs(answer):
    return [[p["confidence"] for p in a["predictions"] if p["class"] == "dog"][0] for a in answer.json()]


# --- batches

@pytest.mark.parametrize("model", ["one", "open", "three"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 40])
def test_each_picture_of_a_batch_gets_its_own_answer(server, model, count):
    greys = [GREYS[i % 5] for i in range(count)]
    answer = infer(server, model + "/1", [image(png(32 + i, 32 + i, (g, g, g))) for i, g in enumerate(greys)])
    assert [a["image"]["width"] for a in answer.json()] == [32 + i for i in range(count)]
    assert dogs(answer) == pytest.approx([g / 255 for g in greys], abs=0.002)


@pytest.mark.parametrize("model", ["one", "open", "three"])
@pytest.mark.parametrize("bad", [0, 1, 4])
def test_a_bad_picture_of_a_batch_is_named(server, model, bad):
    images = [image(png(32, 32))] * 5
    images[bad] = image(b"no picture")
    assert infer(server, model + "/1", images, 400).json()["message"].endswith(f"(image {bad + 1} of 5)")


def test_few_pixels_at_once(make_server, tmp_path):
    """Pictures are gathered no further than one may be large."""
    probe(tmp_path, "open", "n")
    s = make_server(models=tmp_path / "models", max_image_pixels=1500)
    answer = infer(s, "open/1", [image(png(32, 32, (g, g, g))) for g in GREYS])
    assert dogs(answer) == pytest.approx([g / 255 for g in GREYS], abs=0.002)


def test_the_registry_tells_the_batch(server):
    for model in ("one", "open", "three"):
        infer(server, model + "/1", image(png(32, 32)))
    told = {m["model_id"]: m["batch_size"] for m in server.get("/model/registry").json()["models"]}
    assert (told["one/1"], told["open/1"], told["three/1"]) == (1, None, 3)


# --- threads and queue

def test_a_model_with_threads_of_its_own(make_server, tmp_path):
    probe(tmp_path, "own", 1, threads=1, queue=1, runtime_threads=2)
    probe(tmp_path, "shared", 1)
    s = make_server(models=tmp_path / "models")
    large = image(png(5000, 5000))
    infer(s, "own/1", image(png(32, 32)))
    statuses = []

    def send():
        answer = requests.post(f"{s.url}/infer/object_detection?api_key={s.key}", json={"model_id": "own/1", "image": large}, timeout=60)
        statuses.append((answer.status_code, answer.json().get("message", "")))
    senders = [threading.Thread(target=send) for _ in range(8)]
    for t in senders:
        t.start()
    infer(s, "shared/1", image(png(32, 32)))  # has its place whatever waits there
    for t in senders:
        t.join()
    refused = [message for status, message in statuses if status == 503]
    assert refused and len(refused) < 8
    assert set(refused) == {"The inference queue is full: 1 requests wait (queue in its model.json). Send it again soon."}


@pytest.mark.parametrize("more, why", [({"threads": 0}, '"threads" must be a whole number from 1 to 64'),
                                       ({"queue": 3}, '"queue" is that of its own "threads", which are missing'),
                                       ({"runtime_threads": "many"}, '"runtime_threads" must be a whole number')])
def test_wrong_threads(make_server, tmp_path, more, why):
    probe(tmp_path, "own", 1, **more)
    s = make_server(models=tmp_path / "models")
    assert why in infer(s, "own/1", image(png(32, 32)), 500).json()["message"]


# --- headers

def test_headers_tell_the_model_and_whether_it_was_loaded(make_server, tmp_path):
    probe(tmp_path, "one", 1)
    s = make_server(models=tmp_path / "models")
    first, second = (infer(s, "one/1", image(png(32, 32))).headers for _ in range(2))
    assert (first["X-Model-Id"], first["X-Model-Cold-Start"], first["X-Model-Cold-Start-Count"]) == ("one/1", "true", "1")
    [detail] = json.loads(first["X-Model-Load-Details"])
    assert detail["m"] == "one/1" and 0 < detail["t"] < 60 and float(first["X-Model-Load-Time"]) == pytest.approx(detail["t"], abs=1e-5)
    assert (second["X-Model-Id"], second["X-Model-Cold-Start"], second["X-Model-Cold-Start-Count"]) == ("one/1", "false", "0")
    assert "X-Model-Load-Time" not in second and "X-Model-Load-Details" not in second
    assert first["x-inference-engine"] and first["X-Request-ID"] != second["X-Request-ID"]
    added = s.post("/model/add", json={"model_id": "one/1"}).headers
    assert added["X-Model-Cold-Start"] == "false"
    unknown = infer(s, "nobody/1", image(png(32, 32)), 404).headers
    assert "X-Model-Id" not in unknown and unknown["X-Model-Cold-Start"] == "false"


# --- public names

def test_a_public_name_finds_the_model_of_its_id(make_server, tmp_path):
    probe(tmp_path, "one", 1, ids=["coco/3", "coco-pose-detection/1"])
    probe(tmp_path, "two", 1, ids=["two/1"], aliases=["yolov8s-640"])
    s = make_server(models=tmp_path / "models")
    for name, own in (("yolov8n-640", "coco/3"), ("yolov8n-pose-640", "coco/3"), ("yolov8s-640", "two/1")):
        answer = infer(s, name, image(picture("rgb.png")))
        assert answer.headers["X-Model-Id"] == name
        listed = {m["model_id"]: m for m in s.get("/model/registry").json()["models"]}  # under the name that was asked for
        assert listed[name]["request_aliases"] == [own]
        record = s.get(f"/api/v1/{s.workspace}/inferences/{answer.json()['inference_id']}").json()
        assert record["model_id"] == name
    infer(s, "yolov8m-640", image(picture("rgb.png")), 404)
