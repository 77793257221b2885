"""The reading half of the own API: list, count, one, picture, fields, statistics."""
import base64
import datetime
import json
import pathlib
import urllib.parse

import pytest

from conftest import KEY
from workspaces import other_key

IMAGES = pathlib.Path(__file__).resolve().parents[1] / "data" / "images"
DAY = datetime.timedelta(days=1)
NOON = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.timezone.utc)
MEMBERS = {
    "inference_id", "model_id", "model_name", "index", "time", "received", "latency_s", "device_id", "source", "source_info",
    "image", "predictions", "metadata", "error",
}


def stamp(t):
    return t.isoformat().replace("+00:00", "Z")


def ingest(server, *items):
    answer = server.post(f"/api/v1/{server.workspace}/inferences", json=list(items))
    assert answer.status_code == 200, answer.text
    return [r["status"] for r in answer.json()["results"]]


def get(server, path, status=200, **query):
    answer = server.get(f"/api/v1/{server.workspace}/{path}?{urllib.parse.urlencode(query, doseq=True)}")
    assert answer.status_code == status, answer.text
    return answer.json()


def ids(server, **query):
    return [i["inference_id"] for i in get(server, "inferences", **query)["inferences"]]


def dog(confidence, name="dog"):
    return {"class": name, "class_id": 1, "confidence": confidence, "x": 10, "y": 20, "width": 5, "height": 6}


@pytest.fixture(scope="module")
def filled(server):
    """Ten inferences a minute apart, i0 the oldest, and one each with what is rare."""
    items = []
    for i in range(10):
        items.append({
            "inference_id": f"i{i}", "model_id": "coco/24" if i % 2 else "coco/25", "time": stamp(NOON + datetime.timedelta(minutes=i)),
            "latency_s": 0.1 * i, "device_id": f"cam {i % 3}", "image": {"width": 640, "height": 480},
            "predictions": [dog(0.05 + 0.1 * i)] * (i % 3), "metadata": {"camera_location": "canada" if i < 4 else "mexico", "n": i, "ok": i > 5},
        })
    items.append({"inference_id": "failed", "model_id": "cards/1", "time": stamp(NOON + DAY), "error": "no frame"})
    items.append({"inference_id": "half", "model_id": "cards/1", "time": stamp(NOON + DAY), "partial": True})
    assert set(ingest(server, *items)) == {"created"}
    return server


def test_a_list_is_newest_first_and_complete(filled):
    answer = get(filled, "inferences")
    assert [i["inference_id"] for i in answer["inferences"]] == ["failed"] + [f"i{i}" for i in range(9, -1, -1)]
    assert answer["next_cursor"] is None
    assert answer["as_of"].endswith("Z")
    one = answer["inferences"][2]
    assert MEMBERS <= set(one)
    assert one["inference_id"] == "i8" and one["model_id"] == "coco/25" and one["index"] == 0
    assert one["time"] == "2026-03-02T12:08:00.000000Z"
    assert one["latency_s"] == 0.8 and one["device_id"] == "cam 2"
    assert one["image"] == {"width": 640, "height": 480, "url": None, "thumbnail_url": None, "annotation_url": None, "uploads": []}
    assert one["predictions"] == [dict(dog(0.05 + 0.1 * 8), detection_id=None)] * 2
    assert one["metadata"] == {"camera_location": "mexico", "n": 8, "ok": True}
    assert one["source"] is None and one["error"] is None and one["model_name"] is None
    assert answer["inferences"][0]["error"] == "no frame" and answer["inferences"][0]["latency_s"] is None


def test_an_answer_sent_back_changes_nothing(filled):
    for i in get(filled, "inferences")["inferences"]:
        assert ingest(filled, i) == ["unchanged"]


def test_pages(filled):
    seen, cursor = [], ""
    for _ in range(4):
        page = get(filled, "inferences", limit=3, cursor=cursor)
        seen += [i["inference_id"] for i in page["inferences"]]
        cursor = page["next_cursor"] or ""
    assert cursor == "" and len(seen) == 11 and len(set(seen)) == 11


def test_limits_at_and_past(filled):
    assert len(ids(filled, limit=1)) == 1
    assert len(ids(filled, limit=1000)) == 11
    for limit in ("0", "1001", "-1", "many", "1.5"):
        assert "limit" in get(filled, "inferences", 400, limit=limit)["error"]
    for cursor in ("x", "1-2-3", "9-1-1-1"):
        assert "cursor" in get(filled, "inferences", 400, cursor=cursor)["error"]


@pytest.mark.parametrize("query, found", [
    ({"filter": "camera_location:canada"}, 4),
    ({"metadata.camera_location": "canada"}, 4),
    ({"metadata.camera_location": ["canada", "mexico"]}, 10),
    ({"metadata.camera_location": "can*"}, 0),
    ({"filter": "camera_location:can*"}, 4),
    ({"filter": "-camera_location:canada"}, 7),
    ({"model": "coco"}, 10),
    ({"model": "coco/24"}, 5),
    ({"model": "coco/24", "filter": "camera_location:canada"}, 2),
    ({"filter": "model:coco/25", "model": "coco/24"}, 0),
    ({"device": "cam 1"}, 3),
    ({"filter": 'device:"cam 1"'}, 3),
    ({"filter": "n:5"}, 1),
    ({"filter": "n>=3 n<6"}, 3),
    ({"filter": "ok:true"}, 4),
    ({"filter": "has:ok"}, 10),
    ({"filter": "-has:ok"}, 1),
    ({"filter": "has:error"}, 1),
    ({"filter": "confidence<0.5"}, 3),
    ({"filter": "detections:2"}, 3),
    ({"class": "dog"}, 6),
    ({"filter": "class:dog[confidence>0.5]>=2"}, 2),
    ({"filter": "i3"}, 1),
    ({"filter": "mexico"}, 6),
    ({"filter": "partial:true"}, 1),
    ({"partial": "true"}, 1),
    ({"from": stamp(NOON), "to": stamp(NOON + datetime.timedelta(minutes=5))}, 5),
    ({"from": "2026-03-03"}, 1),
    ({"to": "2026-03-02T13:00:00+01:00"}, 0),
    ({"filter": "", "model": "", "from": "", "to": "", "limit": "", "cursor": ""}, 11),
    ({"_": "12345"}, 11),
    ({"metadata.x y:z\"": "1"}, 0),
])
def test_what_a_filter_finds(filled, query, found):
    assert len(ids(filled, **query)) == found
    counted = {k: v for k, v in query.items() if k not in ("limit", "cursor")}
    assert get(filled, "inferences/count", **counted)["count"] == found


def test_bad_input_is_named(filled):
    answer = get(filled, "inferences", 400, filter="camera_location:canada confidence<high")
    assert answer["position"] == 34 and answer["expected"] == "a number" and "34" in answer["error"]
    assert get(filled, "inferences", 400, filter="a:x (b:y")["position"] == 8
    assert "metdata.x" in get(filled, "inferences", 400, **{"metdata.x": "1"})["error"]
    assert "from" in get(filled, "inferences", 400, **{"from": "yesterday"})["error"]
    assert "to" in get(filled, "inferences/count", 400, to="2026-13-01")["error"]
    assert "confidence" in get(filled, "inferences", 400, confidence="high")["error"]
    assert "unknown parameter" in get(filled, "inferences/count", 400, limit=5)["error"]
    assert get(filled, "inferences", 400, filter="x" * 4097)["position"] == 4096
    assert get(filled, "inferences", 200, filter="x" * 4096)["inferences"] == []
    answer = filled.get(f"/api/v1/{filled.workspace}/inferences?filter=a:%ff")
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["inferences", "inferences/count", "inferences/i1", "inferences/i1/image", "inferences/i1/thumbnail",
                                  "fields", "stats", "facets"])
def test_every_route_asks_for_a_key_of_its_workspace(filled, path):
    there, elsewhere = f"/api/v1/{filled.workspace}/{path}", f"/api/v1/nobody/{path}"
    assert filled.get(there, anonymous=True).status_code == 401
    assert filled.get(there, key="sg_wrong").status_code == 401
    assert filled.get(elsewhere).status_code == 401
    assert filled.get(there + "?filter=((", anonymous=True).status_code == 401
    allowed = filled.post(there, json={}) if path != "inferences" else filled.delete(there)
    assert allowed.status_code == 405 and "GET" in allowed.headers["Allow"]
    head, body = filled.request("HEAD", there), filled.get(there)
    assert head.status_code == body.status_code and head.content == b""


def test_one_workspace_sees_nothing_of_another(make_server):
    server = make_server()
    other = other_key(server)
    ingest(server, {"inference_id": "mine", "model_id": "m/1", "predictions": [], "metadata": {"f": "v"}})
    assert server.get("/api/v1/other/inferences", key=other).json()["inferences"] == []
    assert server.get("/api/v1/other/inferences/mine", key=other).status_code == 404
    assert server.get("/api/v1/other/fields", key=other).json()["fields"] == []
    assert server.get("/api/v1/other/stats", key=other).json()["current"]["inferences"] == 0
    assert server.get("/api/v1/test/inferences", key=other).status_code == 401


# --- one

def test_one_with_history(filled):
    path = f"/api/v1/{filled.workspace}/inferences/i0/metadata/review"
    for value in ("incorrect", "correct"):
        assert filled.put(path, json={"value": value}).json()["result"] == "applied"
    assert filled.delete(path).json()["result"] == "applied"
    one = get(filled, "inferences/i0")
    assert MEMBERS <= set(one) and one["siblings"] == []
    assert one["metadata"] == {"camera_location": "canada", "n": 0, "ok": False}
    changes = [(c["field"], c["value"], c["previous"], c["removed"]) for c in one["metadata_history"][:3]]
    assert changes == [("review", None, "correct", True), ("review", "correct", "incorrect", False), ("review", "incorrect", None, False)]
    assert len(one["metadata_history"]) == 6
    assert all(c["by"] == "api_key setting" and c["time"].endswith("Z") for c in one["metadata_history"])


def test_siblings(server):
    ingest(server, *[{"inference_id": "batch", "model_id": m, "index": i, "predictions": []} for m, i in (("a/1", 0), ("a/1", 1), ("b/2", 0))])
    one = get(server, "inferences/batch")
    assert (one["model_id"], one["index"]) == ("a/1", 0)
    assert one["siblings"] == [{"model_id": "a/1", "index": 1}, {"model_id": "b/2", "index": 0}]
    assert get(server, "inferences/batch", index=1)["index"] == 1
    assert get(server, "inferences/batch", model="b/2")["model_id"] == "b/2"
    assert "index" in get(server, "inferences/batch", 404, index=1, model="b/2")["error"]
    assert "index" in get(server, "inferences/batch", 400, index="x")["error"]
    assert "whatever" in get(server, "inferences/batch", 400, whatever="x")["error"]


def test_an_unknown_id_and_one_that_waits(server):
    assert set(get(server, "inferences/nobody", 404)) == {"error"}
    odd = urllib.parse.quote("later/ü %", safe="")
    assert server.put(f"/api/v1/test/inferences/{odd}/metadata/shift", json={"value": "night"}).json()["result"] == "pending"
    answer = get(server, f"inferences/{odd}", 404)
    assert answer["pending"] == {"shift": "night"} and len(answer["metadata_history"]) == 1
    pending = get(server, "fields")["pending"]
    assert pending["ids"] == 1 and pending["oldest"].endswith("Z")
    ingest(server, {"inference_id": "later/ü %", "model_id": "m/1", "predictions": []})
    assert get(server, f"inferences/{odd}")["metadata"] == {"shift": "night"}
    assert get(server, "fields")["pending"] == {"ids": 0, "oldest": None}


def test_further_members_of_a_prediction_come_back(server):
    points = [{"x": 1, "y": 2}]
    prediction = {"class": "a", "confidence": 0.5, "points": points, "tracker_id": 5}
    ingest(server, {"inference_id": "poly", "model_id": "m/1", "predictions": [prediction]})
    got = get(server, "inferences/poly")["predictions"][0]
    assert got["points"] == points and got["tracker_id"] == 5 and got["x"] is None and got["class_id"] is None


def test_text_that_needs_escaping(server):
    nasty = "<img onerror=alert(1)>\"\\\u2028"
    ingest(server, {"inference_id": "nasty", "model_id": "m/1", "predictions": [dog(0.5, nasty)], "metadata": {"<b>\"": nasty, "lines": "a\n\tb"}})
    one = get(server, "inferences/nasty")
    assert one["metadata"] == {"<b>\"": nasty, "lines": "a\n\tb"} and one["predictions"][0]["class"] == nasty
    assert ids(server, **{"metadata.<b>\"": nasty}) == ["nasty"]


# --- pictures

@pytest.fixture(scope="module")
def photographed(fleet):
    from conftest import BINARY
    if not (BINARY.parent / "models").is_dir():
        pytest.skip("the demo model is not built")
    return fleet.make(keep_images="all")


def picture():
    return next(p for p in sorted(IMAGES.iterdir()) if p.suffix in (".jpg", ".png")).read_bytes()


def test_picture_and_thumbnail(photographed):
    bytes_ = picture()
    answer = photographed.post("/coco/24", data=base64.b64encode(bytes_), headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200, answer.text
    one = get(photographed, "inferences/" + answer.json()["inference_id"])
    assert one["image"]["url"] and one["image"]["thumbnail_url"]
    got = photographed.get(one["image"]["url"])
    assert got.status_code == 200 and got.content == bytes_
    assert got.headers["Content-Type"] == ("image/jpeg" if bytes_[:2] == b"\xff\xd8" else "image/png")
    assert got.headers["Cache-Control"] == "private, max-age=3600" and got.headers["X-Content-Type-Options"] == "nosniff"
    small = photographed.get(one["image"]["thumbnail_url"])
    assert small.status_code == 200 and small.headers["Content-Type"] == "image/jpeg" and small.headers["ETag"] != got.headers["ETag"]
    again = photographed.get(one["image"]["url"], headers={"If-None-Match": got.headers["ETag"]})
    assert again.status_code == 304 and again.content == b"" and again.headers["ETag"] == got.headers["ETag"]
    assert photographed.get(one["image"]["url"], headers={"If-None-Match": '"other"'}).status_code == 200
    assert photographed.get(one["image"]["url"], anonymous=True).status_code == 401


def test_no_picture(filled):
    assert "keep_images" in get(filled, "inferences/i0/image", 404)["error"]
    assert get(filled, "inferences/nobody/thumbnail", 404)["error"]


# --- fields

def test_fields(make_server):
    server = make_server()
    ingest(server, *[{"inference_id": f"i{n}", "model_id": "m/1", "predictions": [], "time": f"2026-03-0{n + 1}T00:00:00Z",
                     "metadata": {"n": n % 3, "s": "x" if n else 1, **({"t": 1} if n in (2, 3) else {})}} for n in (3, 0, 5, 1, 4, 2)])
    fields = {f["name"]: f for f in get(server, "fields")["fields"]}
    assert fields["n"] == {"name": "n", "types": {"string": 0, "number": 6, "boolean": 0}, "inferences": 6, "values": 3, "estimated": False, "near": [],
                           "first": "2026-03-01T00:00:00.000000Z", "last": "2026-03-06T00:00:00.000000Z",
                           "top": [{"value": v, "count": 2} for v in (0, 1, 2)]}
    assert fields["s"]["types"] == {"string": 5, "number": 1, "boolean": 0}
    assert fields["s"]["top"] == [{"value": "x", "count": 5}, {"value": 1, "count": 1}]
    some = {f["name"]: f for f in get(server, "fields", filter="n:1")["fields"]}
    assert some["n"]["inferences"] == 2 and some["n"]["top"] == [{"value": 1, "count": 2}]
    assert (fields["t"]["first"][:10], fields["t"]["last"][:10]) == ("2026-03-03", "2026-03-04")
    assert (some["n"]["first"][:10], some["n"]["last"][:10]) == ("2026-03-02", "2026-03-05")


def test_fields_that_are_easily_mistaken_for_one_another(make_server):
    server = make_server()
    names = ["my_location", "My_location", "my location", "MyLocation", "my_locations", "Prüfer", "PRÜFER", "Pru\u0308fer", "."]
    ingest(server, *[{"inference_id": f"i{n}", "model_id": "m/1", "predictions": [], "metadata": {name: 1}} for n, name in enumerate(names)])
    near = {f["name"]: f["near"] for f in get(server, "fields")["fields"]}
    same = {"my_location", "My_location", "my location", "MyLocation"}
    examiners = {"Prüfer", "PRÜFER", "Pru\u0308fer"}
    for group in (same, examiners, {"my_locations"}, {"."}):
        for name in group:
            assert near.pop(name) == sorted(group - {name})
    assert not near
    ingest(server, *[{"inference_id": f"j{n}", "model_id": "m/1", "predictions": [], "metadata": {"a" + "_" * n: 1}} for n in range(20)])
    assert {len(f["near"]) for f in get(server, "fields", filter="id:j*")["fields"]} == {16}


# --- statistics

def test_statistics_of_a_range_and_the_one_before(filled):
    stats = get(filled, "stats", **{"from": stamp(NOON + datetime.timedelta(minutes=5)), "to": stamp(NOON + datetime.timedelta(minutes=10)), "bucket": 60})
    now, before = stats["current"], stats["previous"]
    tops = {i: 0.05 + 0.1 * i for i in range(10) if i % 3}
    assert (now["inferences"], now["detections"], now["empty"], now["errors"]) == (5, 2 + 0 + 1 + 2 + 0, 2, 0)
    assert (before["inferences"], before["detections"], before["empty"]) == (5, 0 + 1 + 2 + 0 + 1, 2)
    rows = [tops[5]] * 2 + [0] + [tops[7]] + [tops[8]] * 2 + [0]
    waits = [0.5] * 2 + [0.6] + [0.7] + [0.8] * 2 + [0.9]
    assert now["monitoring"]["avg_confidence"] == pytest.approx(sum(rows) / 7, rel=1e-9)
    assert now["monitoring"]["avg_response_time"] == pytest.approx(sum(waits) / 7, rel=1e-9)
    assert now["per_inference"]["avg_confidence"] == pytest.approx((tops[5] + tops[7] + tops[8]) / 3, rel=1e-9)
    assert now["per_inference"]["avg_latency_s"] == pytest.approx(0.7, rel=1e-9)
    assert now["median_confidence"] == pytest.approx(tops[7], abs=0.0005)
    assert now["latency_p50_s"] == pytest.approx(0.7, rel=0.01)
    assert now["latency_p95_s"] == pytest.approx(0.88, rel=0.01) and now["latency_p99_s"] == pytest.approx(0.896, rel=0.01)
    assert stats["bucket_s"] == 60
    assert [s["time"] for s in stats["series"]] == [f"2026-03-02T12:0{m}:00.000000Z" for m in range(5, 10)]
    assert [s["inferences"] for s in stats["series"]] == [1] * 5
    assert stats["series"][1]["avg_confidence"] is None and stats["series"][1]["avg_latency_s"] == pytest.approx(0.6)
    assert [(m["model_id"], m["inferences"], m["prev_inferences"]) for m in stats["models"]] == [("coco/24", 3, 2), ("coco/25", 2, 3)]
    assert stats["models"][0]["classes"] == [{"class": "dog", "detections": 3}]
    assert stats["models"][0]["last_seen"] == "2026-03-02T12:09:00.000000Z"


def rounded(answer):
    """Sums are added in no certain order."""
    return json.loads(json.dumps(answer), parse_float=lambda text: f"{float(text):.12g}")


def test_statistics_beside_those_of_another_range_or_filter(filled):
    """What stands as `previous` is what the same statistics say when they are asked of it alone."""
    minute = lambda n: stamp(NOON + datetime.timedelta(minutes=n))
    span = {"from": minute(5), "to": minute(10)}
    for compare, alone in (
        ({"compare_from": minute(1), "compare_to": minute(3)}, {"from": minute(1), "to": minute(3)}),
        ({"compare_from": minute(1)}, {"from": minute(1), "to": minute(6)}),
        ({"compare_to": minute(4)}, {"from": minute(-1), "to": minute(4)}),
        ({"compare_filter": "camera_location:canada", "compare_from": minute(0)}, {"from": minute(0), "to": minute(5), "filter": "camera_location:canada"}),
        ({"compare_filter": "model:coco/24"}, {**span, "filter": "model:coco/24"}),
        ({"compare_filter": ""}, span),
    ):
        stats = get(filled, "stats", **span, filter="model:coco/25", **compare)
        other = get(filled, "stats", **({} if "compare_filter" in compare else {"filter": "model:coco/25"}), **alone)
        assert rounded(stats["previous"]) == rounded(other["current"]) and (stats["previous_from"], stats["previous_to"]) == (other["from"], other["to"])
        assert rounded(stats["current"]) == rounded(get(filled, "stats", **span, filter="model:coco/25")["current"])
        before = {m["model_id"]: m["prev_inferences"] for m in stats["models"] if m["prev_inferences"]}
        assert before == {m["model_id"]: m["inferences"] for m in other["models"] if m["inferences"]}
    usual = get(filled, "stats", **span)
    assert (usual["previous_from"], usual["previous_to"]) == (stamp(NOON).replace("Z", ".000000Z"), usual["from"])


def test_a_comparison_that_is_none(filled):
    for wrong in ({"compare_from": "x"}, {"compare_to": "2026-13-01"}, {"compare_from": "2026-03-02", "compare_to": "2026-03-02"}):
        assert "compare_" in get(filled, "stats", status=400, **wrong)["error"]
    answer = get(filled, "stats", status=400, compare_filter="a:(")
    assert answer["position"] == 3 and answer["expected"]


def test_a_failed_inference_counts_and_is_in_no_mean(filled):
    stats = get(filled, "stats", **{"from": stamp(NOON + DAY), "to": stamp(NOON + 2 * DAY)})
    assert stats["current"]["inferences"] == 1 and stats["current"]["errors"] == 1 and stats["current"]["empty"] == 0
    assert stats["current"]["monitoring"] == {"avg_confidence": None, "avg_response_time": None}
    assert stats["current"]["median_confidence"] is None
    gone = [m for m in stats["models"] if m["model_id"] == "coco/24"]
    assert gone[0]["inferences"] == 0 and gone[0]["prev_inferences"] == 5 and gone[0]["last_seen"] is None


def test_totals_equal_counts_and_series(filled):
    query = {"from": "2026-03-01", "to": "2026-03-08", "filter": "model:coco -n:3"}
    stats, count = get(filled, "stats", **query), get(filled, "inferences/count", **query)["count"]
    assert stats["current"]["inferences"] == count == 9
    assert sum(s["inferences"] for s in stats["series"]) == sum(m["inferences"] for m in stats["models"]) == count
    assert stats["bucket_s"] == 3600 and len(stats["series"]) == 168


def test_the_default_range_is_a_week(filled):
    stats = get(filled, "stats")
    start, end = (datetime.datetime.fromisoformat(stats[k].replace("Z", "+00:00")) for k in ("from", "to"))
    assert end - start == 7 * DAY and stats["as_of"] == stats["to"]
    assert 60 <= len(stats["series"]) <= 171


@pytest.mark.parametrize("hours, bucket", [(1, 60), (6, 300), (24, 600), (24 * 7, 3600), (24 * 30, 21600), (24 * 90, 86400)])
def test_buckets_fit_the_range(filled, hours, bucket):
    stats = get(filled, "stats", **{"from": stamp(NOON), "to": stamp(NOON + datetime.timedelta(hours=hours))})
    assert stats["bucket_s"] == bucket
    assert all(int(datetime.datetime.fromisoformat(s["time"].replace("Z", "+00:00")).timestamp()) % bucket == 0 for s in stats["series"])


def test_bucket_limits(filled):
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-01T00:33:20Z"}
    assert len(get(filled, "stats", bucket=1, **span)["series"]) == 2000
    span["to"] = "2026-03-01T00:33:21Z"
    assert "at most 2000" in get(filled, "stats", 400, bucket=1, **span)["error"]
    assert len(get(filled, "stats", bucket=2, **span)["series"]) == 1001
    for bucket in ("0", "x", "1.5", "31536001"):
        assert "bucket" in get(filled, "stats", 400, bucket=bucket)["error"]
    assert "before" in get(filled, "stats", 400, **{"from": "2026-03-02", "to": "2026-03-02"})["error"]
    assert "now" in get(filled, "stats", 400, **{"from": "2999-01-01"})["error"]
    assert len(get(filled, "stats", **{"from": "0001-01-01", "to": "9999-12-31"})["series"]) < 2000


# --- many at once

def test_what_was_acknowledged_is_in_the_next_answer(make_server):
    server = make_server()
    for i in range(50):
        ingest(server, {"inference_id": f"i{i}", "model_id": "m/1", "predictions": []})
        assert get(server, "inferences/count")["count"] == i + 1
        server.put(f"/api/v1/test/inferences/i{i}/metadata/k", json={"value": i})
        assert ids(server, filter=f"k:{i}") == [f"i{i}"]


def test_a_list_after_a_restart_is_the_same(make_server):
    server = make_server()
    ingest(server, *[{"inference_id": f"i{n}", "model_id": "m/1", "predictions": [dog(0.5)], "metadata": {"n": n}} for n in range(20)])
    before = json.dumps(get(server, "inferences")["inferences"])
    cursor = get(server, "inferences", limit=7)["next_cursor"]
    server.kill9()
    server.start()
    assert json.dumps(get(server, "inferences")["inferences"]) == before
    assert [i["inference_id"] for i in get(server, "inferences", cursor=cursor)["inferences"]] == [f"i{n}" for n in range(12, -1, -1)]


def test_the_key_may_be_in_the_query(filled):
    assert filled.get(f"/api/v1/{filled.workspace}/inferences?limit=1&api_key={KEY}", anonymous=True).status_code == 200
