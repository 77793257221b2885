"""Pictures with what was found drawn on them: format=image and image_and_json on the legacy route, visualize_predictions on
v1. On plain grey pictures and networks whose answers are known (graphs.py), so that each pixel is known too."""
import base64
import io

import pytest
from client import b64, image
from PIL import Image
from test_infer_tasks import PATHS, png

GREY = (120, 120, 120)


@pytest.fixture(scope="module")
def server(models, fleet):
    return fleet.make(models=models, keep_images="all")


@pytest.fixture(scope="module")
def plain():
    return png(512, 512, GREY)  # eight times the input


def opened(data):
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG" and picture.size == (512, 512)
    return picture.convert("RGB")


def v1(server, model, data, **body):
    answer = server.post("/infer/" + PATHS[model], json={"model_id": model + "/1", "image": image(data), "visualize_predictions": True, **body})
    assert answer.status_code == 200, answer.text
    return opened(base64.b64decode(answer.json()["visualization"], validate=True))


def legacy(server, model, data, form="image", **query):
    return server.post(f"/{model}/1", params={"format": form, **query}, data=b64(data), headers={"Content-Type": "image/jpeg"})


def changed(picture, box=None):
    """The share of pixels in the box that are not grey any more."""
    pixels = list(picture.crop(box).getdata() if box else picture.getdata())
    return sum(max(abs(a - b) for a, b in zip(p, GREY)) > 20 for p in pixels) / len(pixels)


# The cat lies at 24..40, 28..36 of the input.
CAT = (192, 224, 320, 288)


def test_a_box(server, plain):
    drawn = v1(server, "yolo-detect", plain, visualization_stroke_width=4, confidence=0.6)
    assert changed(drawn, (190, 222, 322, 226)) > 0.95 and changed(drawn, (190, 222, 194, 290)) > 0.95
    assert changed(drawn, (200, 232, 312, 280)) == 0 and changed(drawn, (0, 0, 180, 512)) == 0
    wider = v1(server, "yolo-detect", plain, visualization_stroke_width=16, confidence=0.6)
    assert changed(wider) > 2 * changed(drawn)


def test_names_only_when_asked_for(server, plain):
    above = (192, 200, 260, 222)
    assert changed(v1(server, "yolo-detect", plain), above) < 0.05
    assert changed(v1(server, "yolo-detect", plain, visualization_labels=True), above) > 0.5


def test_both_routes_draw_the_same(server, plain):
    by_v1 = v1(server, "yolo-detect", plain, visualization_stroke_width=3, visualization_labels=True)
    as_picture = legacy(server, "yolo-detect", plain, stroke=3, labels="True")
    assert as_picture.status_code == 200 and as_picture.headers["Content-Type"] == "image/jpeg"
    both = legacy(server, "yolo-detect", plain, "image_and_json", stroke=3, labels="True").json()
    assert as_picture.content == base64.b64decode(both["visualization"])
    assert list(opened(as_picture.content).getdata()) == list(by_v1.getdata())
    assert list(both)[0] == "visualization" and both["predictions"][0]["class"] == "cat"
    assert "visualization" not in legacy(server, "yolo-detect", plain, "json").json()
    assert "visualization" not in legacy(server, "yolo-detect", plain, "something").json()


@pytest.mark.parametrize("form", ["polygon", "rle"])
def test_a_mask(server, plain, form):
    """The left half of the cat's box is tinted, whichever way the mask is answered."""
    drawn = v1(server, "yolo-seg", plain, confidence=0.8, response_mask_format=form)
    assert changed(drawn, (196, 228, 252, 284)) > 0.95 and changed(drawn, (260, 228, 316, 284)) == 0


def test_keypoints(server, plain):
    drawn = v1(server, "yolo-pose", plain, visualization_stroke_width=4)
    for x, y in ((240, 240), (272, 264)):  # of the input 30, 30 and 34, 33
        assert changed(drawn, (x - 3, y - 3, x + 3, y + 3)) == 1
    few = v1(server, "yolo-pose", plain, visualization_stroke_width=4, keypoint_confidence=0.5)
    assert changed(few, (269, 261, 275, 267)) == 0


def test_classes_are_told_in_the_corner(server, plain):
    one, several = v1(server, "yolo-cls", plain), v1(server, "labels", plain)
    assert 0 < changed(one) < changed(several) and changed(one, (0, 60, 512, 512)) == 0


def test_of_a_batch_each_has_its_own(server, plain):
    body = {"model_id": "yolo-detect/1", "visualize_predictions": True, "image": [image(plain), image(png(64, 64, GREY))]}
    answers = server.post("/infer/object_detection", json=body).json()
    sizes = [Image.open(io.BytesIO(base64.b64decode(a["visualization"]))).size for a in answers]
    assert sizes == [(512, 512), (64, 64)]


def test_nothing_found_is_the_picture_as_it_was(server, plain):
    assert changed(v1(server, "yolo-detect", plain, confidence=0.99)) == 0


def test_the_picture_that_is_kept_is_the_one_that_came(server, plain):
    answer = legacy(server, "yolo-detect", plain, "image_and_json").json()
    record = server.get(f"/api/v1/{server.workspace}/inferences/{answer['inference_id']}").json()
    assert server.get(record["image"]["url"]).content == plain
    small = Image.open(io.BytesIO(server.get(record["image"]["thumbnail_url"]).content)).convert("RGB")
    assert all(max(abs(a - b) for a, b in zip(p, GREY)) < 10 for p in small.getdata())
    assert set(record["predictions"][0]) >= {"class", "confidence"} and "visualization" not in str(record)


def test_errors_are_json_also_where_a_picture_was_asked_for(server):
    answer = legacy(server, "nobody", png(8, 8))
    assert answer.status_code == 404 and answer.json()["message"]
    answer = legacy(server, "yolo-detect", b"no picture")
    assert answer.status_code == 400 and answer.json()["message"]
