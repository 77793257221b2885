"""Pictures that come apart from their inference: dataset upload, annotation and image metadata, as stock servers and
workflow blocks send them (protocol 3.6), and what is seen of them."""
import concurrent.futures
import hashlib
import io
import json
import os
import subprocess
import uuid

import pytest
from client import b64, picture
from conftest import BINARY, wait_for
from PIL import Image
from pingbacks import item, pingback, thin
from pingbacks import post as report
from workspaces import OTHER, other_key

KEY = "TESTKEY0123456789"
PREDICTION = {"predictions": [{"x": 16.0, "y": 12.0, "width": 10.0, "height": 8.0, "confidence": 0.91, "class": "dent", "class_id": 0,
                               "detection_id": "d1"}], "image": {"width": 32, "height": 24}, "time": 0.01}


@pytest.fixture(scope="module")
def server(fleet):
    s = fleet.make(workspace="acme", api_key=KEY)
    other_key(s, "line-3")
    return s


def new_id():
    return str(uuid.uuid4())


def shot(n):
    """A picture like no other."""
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (n % 256, n // 256 % 256, 7)).save(out, "PNG")
    return out.getvalue()


def multipart(data, metadata=None):
    """The parts in the order and with the headers that requests_toolbelt's encoder gives them."""
    boundary = uuid.uuid4().hex
    parts = [f'Content-Disposition: form-data; name="name"\r\n\r\n{uuid.uuid4()}.jpg'.encode(),
             b'Content-Disposition: form-data; name="file"; filename="imageToUpload"\r\nContent-Type: image/jpeg\r\n\r\n' + data]
    if metadata is not None:
        parts.append(b'Content-Disposition: form-data; name="metadata"\r\n\r\n' +
                     (metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()))
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + p + b"\r\n" for p in parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def upload(server, data, inference_id, status=200, metadata=None, key=KEY, **query):
    body, kind = multipart(data, metadata)
    query = {"api_key": key, "batch": "sightglass_2026_11_22", "inference_id": inference_id, **query}
    answer = server.post("/dataset/bottles/upload", anonymous=True, params={k: v for k, v in query.items() if v is not None}, data=body,
                         headers={"Content-Type": kind, "X-Roboflow-Inference-Version": "1.5.0", "X-Allow-Chunked": "true"})
    assert answer.status_code == status, answer.text
    return answer.json()


def annotate(server, image, text, status=200, name=None, key=KEY):
    answer = server.post(f"/dataset/bottles/annotate/{image}", anonymous=True, data=text if isinstance(text, bytes) else json.dumps(text).encode(),
                         params={"api_key": key, "name": name or f"{uuid.uuid4()}.json", "prediction": "true"},
                         headers={"Content-Type": "text/plain"})
    assert answer.status_code == status, answer.text
    return answer.json()


def arrive(server, one, key=KEY, index=0, **more):
    answer = server.post("/api/v1/acme/inferences", key=key, json={"model_id": "bottles/3", "inference_id": one, "index": index, **more})
    assert answer.status_code == 200, answer.text


def look(server, one, status=200, key=KEY, workspace="acme", **query):
    answer = server.get(f"/api/v1/{workspace}/inferences/{one}", key=key, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def listed(server, filter_text):
    answer = server.get("/api/v1/acme/inferences", params={"filter": filter_text, "from": "2000-01-01T00:00:00Z"})
    assert answer.status_code == 200, answer.text
    return answer.json()["inferences"]


def fetch(server, url, status=200, **more):
    answer = server.get(url, **more)
    assert answer.status_code == status, answer.text
    return answer


def shows(server, image, data):
    assert fetch(server, image["url"]).content == data
    small = fetch(server, image["thumbnail_url"])
    assert small.headers["Content-Type"] == "image/jpeg" and Image.open(io.BytesIO(small.content)).format == "JPEG"


# --- the picture of an inference

def test_a_picture_after_its_inference(server):
    one = new_id()
    arrive(server, one)
    assert look(server, one)["image"]["url"] is None
    answer = upload(server, shot(1), one)
    assert answer["success"] is True and isinstance(answer["id"], str) and "error" not in answer
    got = look(server, one)
    shows(server, got["image"], shot(1))
    assert len(got["image"]["uploads"]) == 1 and got["image"]["uploads"][0]["index"] is None
    assert listed(server, f"id:{one}")[0]["image"] == got["image"]


def test_a_picture_before_its_thin_record(server):
    """What a stock container does: the picture at once, the pingback up to a minute later."""
    one = new_id()
    image = upload(server, shot(2), one, tag=["bottles-3"])["id"]
    assert annotate(server, image, PREDICTION) == {"success": True}
    missing = look(server, one, status=404)
    assert missing["pending"] == {"tags": "bottles-3"} and [h["field"] for h in missing["metadata_history"]] == ["tags"]
    fetch(server, f"/api/v1/acme/inferences/{one}/image", 404)
    code, answer = report(server, pingback(KEY, [item(thin(("dent", 0.91)), key=KEY, model="bottles/3", inference_id=one)]))
    assert (code, answer["created"]) == (200, 1)
    got = look(server, one)
    shows(server, got["image"], shot(2))
    assert got["predictions"][0]["x"] is None and got["metadata"] == {"tags": "bottles-3"}
    kept = fetch(server, got["image"]["annotation_url"])
    assert kept.json() == PREDICTION and kept.headers["Content-Type"] == "application/json"
    assert kept.headers["X-Content-Type-Options"] == "nosniff"


def test_only_a_picture_waits(server):
    one = new_id()
    upload(server, shot(3), one)
    missing = look(server, one, status=404)
    assert "picture waits" in missing["error"] and missing["pending"] == {} and missing["metadata_history"] == []


def test_the_same_picture_again(server):
    one = new_id()
    first = upload(server, shot(4), one)
    assert upload(server, shot(4), one) == {"duplicate": True, "id": first["id"]}
    arrive(server, one)
    assert upload(server, shot(4), one, metadata={"again": True}) == {"duplicate": True, "id": first["id"]}
    got = look(server, one)
    assert len(got["image"]["uploads"]) == 1 and got["metadata"] == {"again": True}
    two = new_id()  # the same bytes are another inference's picture as well
    assert upload(server, shot(4), two)["success"] is True


def test_the_records_own_picture_comes_first(make_server):
    s = make_server(keep_images="all")
    own = picture("rgb.png")
    answer = s.post("/infer/object_detection", json={"model_id": "coco/24", "image": {"type": "base64", "value": b64(own)}})
    assert answer.status_code == 200, answer.text
    one = answer.json()["inference_id"]
    image = upload(s, shot(5), one, key=s.key)["id"]
    annotate(s, image, PREDICTION, key=s.key)
    got = look(s, one, key=s.key, workspace="test")["image"]
    assert fetch(s, got["url"]).content == own and "max-age=3600" in fetch(s, got["url"]).headers["Cache-Control"]
    assert fetch(s, got["uploads"][0]["url"]).content == shot(5)
    assert fetch(s, got["annotation_url"]).json() == PREDICTION


def test_pictures_of_a_batch(server):
    one = new_id()
    for n in range(3):
        arrive(server, one, index=n)
    loose = shot(600)
    upload(server, loose, one)
    assert fetch(server, look(server, one, index=0)["image"]["url"]).content == loose
    assert look(server, one, index=1)["image"]["url"] is None
    upload(server, shot(601), one)  # now nobody knows whose they are
    images = [look(server, one, index=n)["image"] for n in range(3)]
    assert [i["url"] for i in images] == [None] * 3 and [len(i["uploads"]) for i in images] == [2] * 3
    assert fetch(server, images[2]["uploads"][1]["url"]).content == shot(601)
    upload(server, shot(602), one, index=1)
    got = look(server, one, index=1)["image"]
    assert fetch(server, got["url"]).content == shot(602) and [u["index"] for u in got["uploads"]] == [None, None, 1]
    upload(server, shot(603), one, status=400, index="x")


def test_many_at_once_under_one_id(server):
    one = new_id()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: upload(server, shot(700 + n), one), range(32)))
    arrive(server, one)
    images = look(server, one)["image"]["uploads"]
    assert {fetch(server, u["url"]).content for u in images} == {shot(700 + n) for n in range(32)}
    assert "32 pictures" in upload(server, shot(732), one, status=400)["error"]


def test_pictures_that_come_while_their_id_is_deleted_bring_none_back(server):
    """What was uploaded before the deletion was asked for is gone, whatever is uploaded meanwhile."""
    def more(of):
        for n in range(9):
            upload(server, shot(810 + 10 * of + n), one)

    for _ in range(10):
        one = new_id()
        arrive(server, one)
        upload(server, shot(800), one)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            others = [pool.submit(more, of) for of in range(3)]
            answer = server.post("/api/v1/acme/inferences/delete", json={"ids": [one]})
            for o in others:
                o.result()
        assert answer.status_code == 200 and answer.json()["deleted"] == 1, answer.text
        arrive(server, one)
        assert shot(800) not in [fetch(server, u["url"]).content for u in look(server, one)["image"]["uploads"]]


def test_names_of_every_kind(server):
    for one in ("Flasche-Ä/12 %41", "瓶 💥", "a" * 256, "x.y", "..", "a?b#c"):
        image = upload(server, shot(8), one)["id"]
        assert annotate(server, image, PREDICTION) == {"success": True}
        arrive(server, one)
        got = [i for i in listed(server, "has:picture") if i["inference_id"] == one]
        assert len(got) == 1
        if one not in (".."):  # a client cannot ask for this path
            shows(server, got[0]["image"], shot(8))
    upload(server, shot(8), "a" * 257, status=400)
    upload(server, shot(8), "a\x01b", status=400)


def test_survives_sealing_and_a_restart(make_server):
    s = make_server(segment_rows=16, workspace="acme", api_key=KEY)
    ids = [new_id() for _ in range(40)]
    early = new_id()
    upload(s, shot(900), early)
    for n, one in enumerate(ids):
        arrive(s, one)
        if n % 2:
            upload(s, shot(901 + n), one)
    for n, one in enumerate(ids):  # by now most are in segments
        if n % 2 == 0:
            annotate(s, upload(s, shot(901 + n), one)["id"], {"top": str(n)})
    for _ in range(2):
        for n, one in enumerate(ids):
            got = look(s, one)["image"]
            shows(s, got, shot(901 + n))
            assert n % 2 or fetch(s, got["annotation_url"]).json() == {"top": str(n)}
        assert len(listed(s, "has:picture")) == 40 and listed(s, "-has:picture") == []
        s.restart()
    arrive(s, early)
    shows(s, look(s, early)["image"], shot(900))


def test_killed_right_after_the_answer(make_server):
    s = make_server(workspace="acme", api_key=KEY)
    one = new_id()
    annotate(s, upload(s, shot(10), one)["id"], PREDICTION)
    s.kill9()
    s.start()
    arrive(s, one)
    got = look(s, one)["image"]
    shows(s, got, shot(10))
    assert fetch(s, got["annotation_url"]).json() == PREDICTION


def blobs(server):
    return [p for p in (server.data / "workspaces").glob("*/images/*/*") if not p.name.endswith(".thumb")]


def test_the_sweep_keeps_what_waits(make_server):
    """Files older than the sweep's least age: one that nobody names goes, the picture and the annotation of an inference
    that has not come stay."""
    s = make_server(workspace="acme", api_key=KEY)
    waits, there = new_id(), new_id()
    annotate(s, upload(s, shot(11), waits)["id"], PREDICTION)
    arrive(s, there)
    upload(s, shot(12), there)
    assert len(blobs(s)) == 3
    orphan = blobs(s)[0].with_name("0" * 62)
    orphan.write_bytes(b"nobody's")
    for path in (s.data / "workspaces").glob("*/images/*/*"):
        os.utime(path, (1e9, 1e9))
    s.restart()
    wait_for(lambda: not orphan.exists())
    arrive(s, waits)
    shows(s, look(s, waits)["image"], shot(11))
    assert fetch(s, look(s, waits)["image"]["annotation_url"]).json() == PREDICTION
    shows(s, look(s, there)["image"], shot(12))
    s.stop()
    check = subprocess.run([BINARY, "check", "--data", s.data, "--pictures"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr


def test_a_backup_has_them(make_server, tmp_path):
    s = make_server(workspace="acme", api_key=KEY)
    one = new_id()
    annotate(s, upload(s, shot(13), one)["id"], PREDICTION)
    done = subprocess.run([BINARY, "backup", "--data", s.data, "--to", tmp_path / "b"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = [p for p in (tmp_path / "b").rglob("*") if "/images/" in str(p) and p.is_file()]
    assert len(kept) == 3, kept  # picture, thumbnail, annotation


# --- metadata it is not

def test_it_is_no_metadata(server):
    one = new_id()
    arrive(server, one)
    image = upload(server, shot(14), one, metadata={"line": "L1", "speed": 2.5, "ok": True})["id"]
    annotate(server, image, PREDICTION)
    got = look(server, one)
    assert got["metadata"] == {"line": "L1", "speed": 2.5, "ok": True}
    assert sorted(h["field"] for h in got["metadata_history"]) == ["line", "ok", "speed"]
    assert all(h["by"] == "api_key setting" for h in got["metadata_history"])
    names = [f["name"] for f in server.get("/api/v1/acme/fields", params={"from": "2000-01-01T00:00:00Z"}).json()["fields"]]
    assert "line" in names and not [n for n in names if n.startswith("\x01")]
    value = ":".join(hashlib.blake2b(d, digest_size=32).hexdigest() for d in (shot(14), json.dumps(PREDICTION).encode()))
    plain = new_id()
    arrive(server, plain, metadata={"note": value})
    assert [i["inference_id"] for i in listed(server, f'"{value}"')] == [plain]  # as a word, in any field
    answer = server.post("/api/v1/acme/query", json={"kind": "facets", "facets": {"of": ["metadata.\x01pictures"]}})
    assert answer.status_code == 400 or all(not f["inferences"] for f in answer.json()["facets"])
    refused = server.put(f"/api/v1/acme/inferences/{one}/metadata/%01pictures", json={"value": "0" * 64})
    assert refused.status_code == 400
    upload(server, shot(15), one, status=400, metadata={"\x01pictures": "x"})


def test_it_counts_to_no_limit_of_fields(make_server):
    s = make_server(max_fields=2, workspace="acme", api_key=KEY)
    one = new_id()
    arrive(s, one, metadata={"a": 1, "b": 2})
    upload(s, shot(16), one)
    upload(s, shot(17), one, metadata={"a": 1, "b": 2})
    assert "max_fields" in upload(s, shot(18), one, status=400, metadata={"c": 3})["error"]
    assert len(look(s, one)["image"]["uploads"]) == 2
    s.restart()
    upload(s, shot(19), one)
    assert look(s, one)["metadata"] == {"a": 1, "b": 2}


def test_a_facet_and_a_filter_know_of_it(server):
    one = new_id()
    arrive(server, one, source="facet-test")
    assert len(listed(server, "source:facet-test has:picture")) == 0
    upload(server, shot(20), one)
    assert len(listed(server, "source:facet-test has:picture")) == 1
    assert len(listed(server, "source:facet-test picture:false")) == 0


# --- what is refused

def test_a_picture_of_no_inference(server):
    before = len(blobs(server))
    for query in ({"inference_id": None}, {"inference_id": ""}):
        body, kind = multipart(shot(21))
        answer = server.post("/dataset/bottles/upload", params={"api_key": KEY, "batch": "b", **query}, data=body, headers={"Content-Type": kind})
        assert answer.status_code == 400 and "inference_id" in answer.json()["error"] and "success" not in answer.json()
    assert len(blobs(server)) == before


@pytest.mark.parametrize("name", ["page.svg", "bomb.png", "truncated.jpg", "truncated.png", "header-only.jpg", "text.jpg", "empty.png"])
def test_hostile_files(server, name):
    before = len(blobs(server))
    one = new_id()
    assert "error" in upload(server, picture(name), one, status=400)
    assert len(blobs(server)) == before
    arrive(server, one)
    assert look(server, one)["image"]["uploads"] == []


def test_over_a_limit(make_server):
    s = make_server(max_body_upload=4096, max_image_pixels=1000, workspace="acme", api_key=KEY)
    small = io.BytesIO()
    Image.new("RGB", (40, 25)).save(small, "PNG")
    wide = io.BytesIO()
    Image.new("RGB", (40, 26)).save(wide, "PNG")
    assert upload(s, small.getvalue(), new_id())["success"] is True
    assert "error" in upload(s, wide.getvalue(), new_id(), status=400)
    body, kind = multipart(small.getvalue() + b"\0" * 4096)
    answer = s.post("/dataset/bottles/upload", params={"inference_id": "a"}, data=body, headers={"Content-Type": kind})
    assert answer.status_code == 413


def test_what_is_no_form(server):
    body, kind = multipart(shot(22))
    for data, content in ((body, "application/json"), (shot(22), "image/jpeg"), (b"", kind), (body[:-30], kind),
                          (body.replace(b'name="file"', b'name="fail"'), kind)):
        answer = server.post("/dataset/bottles/upload", params={"inference_id": new_id()}, data=data, headers={"Content-Type": content})
        assert answer.status_code == 400 and "error" in answer.json(), content
    for metadata in (b"{", b"[]", b'{"a": []}', b'{"a": 1} x', json.dumps({"a": "x" * 5000}).encode()):
        assert "metadata" in upload(server, shot(22), new_id(), status=400, metadata=metadata)["error"]


def test_who_may(server):
    one = new_id()
    upload(server, shot(23), one, status=401, key="nobodyskey")
    image = upload(server, shot(23), one)["id"]
    annotate(server, image, PREDICTION, status=401, key="nobodyskey")
    annotate(server, image, PREDICTION, status=404, key=OTHER)  # another workspace's picture is not there
    arrive(server, one)
    assert server.post(f"/acme/images/{image}/metadata", key=OTHER, json={"metadata": {"a": 1}}).status_code == 401
    assert server.post(f"/line-3/images/{image}/metadata", key=OTHER, json={"metadata": {"a": 1}}).status_code == 404
    upload(server, shot(24), one, key=OTHER)
    assert len(look(server, one)["image"]["uploads"]) == 1
    look(server, one, status=404, key=OTHER, workspace="line-3")


# --- annotations

def test_annotations(server):
    one = new_id()
    arrive(server, one)
    image = upload(server, shot(25), one)["id"]
    assert fetch(server, f"/api/v1/acme/inferences/{one}/annotation", 404).json()["error"]
    assert look(server, one)["image"]["annotation_url"] is None
    for bad in (b"", b"[]", b"not json", b"{", json.dumps(PREDICTION).encode() + b"x"):
        annotate(server, image, bad, status=400)
    assert annotate(server, image, PREDICTION) == {"success": True}
    assert "error" in annotate(server, image, {"predictions": []}, status=409)
    assert fetch(server, look(server, one)["image"]["annotation_url"]).json() == PREDICTION
    for unknown in ("x", "abc.0123456789abcdef", image[:-1] + ("0" if image[-1] != "0" else "1"), image.split(".")[0], "AAA." + "0" * 16):
        assert "error" in annotate(server, unknown, PREDICTION, status=404)


def test_the_class_of_a_classification(server):
    one = new_id()
    arrive(server, one)
    image = upload(server, shot(26), one)["id"]
    assert annotate(server, image, "scratch ä".encode(), name=f"{uuid.uuid4()}.txt") == {"success": True}
    assert fetch(server, look(server, one)["image"]["annotation_url"]).json() == {"top": "scratch ä"}
    two = new_id()
    none = upload(server, shot(26), new_id())["id"]  # of several labels none was found
    assert annotate(server, none, b"", name="x.txt") == {"success": True}
    annotate(server, upload(server, shot(26), two)["id"], b"0 0.5 0.5 1 1\n1 0 0 1 1", name="x.txt", status=400)


# --- metadata and tags by image id

def test_metadata_of_one_image(server):
    one = new_id()
    image = upload(server, shot(27), one, tag=["edge", "edge", "night"])["id"]
    answer = server.post(f"/acme/images/{image}/metadata", anonymous=True, params={"api_key": KEY},
                         json={"metadata": {"lot": 17, "old": "x"}, "addTags": ["night", "recheck"]})
    assert answer.status_code == 200 and answer.json()["success"] is True
    assert server.post(f"/acme/images/{image}/metadata", json={"metadata": {"old": None}}).status_code == 200
    arrive(server, one)
    got = look(server, one)
    assert got["metadata"] == {"lot": 17, "tags": "edge,night,recheck"}
    for bad in ({"metadata": []}, {"addTags": "x"}, {"addTags": [1]}, {"metadata": {"a": {}}}, [], {"removeTags": ["edge"]}):
        assert server.post(f"/acme/images/{image}/metadata", json=bad).status_code == 400, bad
    assert server.post(f"/acme/images/{image}/metadata", data=b"{").status_code == 400
    assert server.post("/acme/images/nobody/metadata", json={"metadata": {"a": 1}}).status_code == 404
    assert look(server, one)["metadata"] == got["metadata"]


def test_tags(server):
    one = new_id()
    arrive(server, one)
    upload(server, shot(30), one, tag=["a"] * 90 + ["b, c", ""])  # some servers repeat theirs
    assert look(server, one)["metadata"] == {"tags": "a,b,c"}
    upload(server, shot(31), one, tag=["c", "b,c,d"])
    assert look(server, one)["metadata"] == {"tags": "a,b,c,d"}
    assert "64 tags" in upload(server, shot(32), one, status=400, tag=[",".join(str(n) for n in range(65))])["error"]
    upload(server, shot(32), one, status=400, tag=["x\x01"])


def test_metadata_of_many_images(server):
    ids = [new_id() for _ in range(3)]
    images = [upload(server, shot(28), one)["id"] for one in ids]
    for one in ids:
        arrive(server, one)
    updates = [{"imageId": i, "metadata": {"n": n}, "addTags": [f"t{n}"]} for n, i in enumerate(images)] + [{"imageId": images[0], "addTags": ["last"]}]
    answer = server.post("/acme/images/metadata", anonymous=True, params={"api_key": KEY}, json={"updates": updates})
    assert answer.status_code == 200 and isinstance(answer.json()["taskId"], str)
    assert [look(server, one)["metadata"] for one in ids] == [{"n": 0, "tags": "t0,last"}, {"n": 1, "tags": "t1"}, {"n": 2, "tags": "t2"}]
    unknown = server.post("/acme/images/metadata", json={"updates": [{"imageId": images[0], "metadata": {"n": 9}},
                                                                     {"imageId": images[1][:-4] + "ffff", "metadata": {"n": 9}}]})
    assert unknown.status_code == 404 and "updates[1]" in unknown.json()["error"]
    assert look(server, ids[0])["metadata"]["n"] == 0  # all or nothing
    noted = [a for a in server.get("/api/v1/acme/activity").json()["activity"] if a["subject"] == "n"]
    assert sum(a["count"] for a in noted) == 3 and noted[0]["action"] == "attach" and noted[0]["by"] == "api_key setting"
    for bad in ({}, {"updates": {}}, {"updates": [1]}, {"updates": [{"metadata": {}}]}, {"updates": [{"imageId": 1}]}):
        assert server.post("/acme/images/metadata", json=bad).status_code == 400, bad
    assert server.post("/acme/images/metadata", json={"updates": []}).status_code == 200
