"""GET /:workspace/inference-stats as its callers read it (product.md 1.3 and 1.6 A, protocol 3.8)."""
import json
import time

import pytest
from pingbacks import item, pingback, post, thin

KEY = "TESTKEY0123456789"
NOON = 1795262400  # 2026-11-21 12:00:00 UTC
NOW = {"startTime": "2026-11-21 12:00:00", "endTime": "2026-11-21 13:00:00"}
TOTALS = ["num_inferences", "num_errors", "avg_confidence", "avg_response_time"]
ROW = {"model_name", "predicted_class", "num_inferences", "prev_num_inferences", "num_errors", "prev_num_errors", "avg_confidence",
       "prev_avg_confidence", "avg_response_time", "prev_avg_response_time", "median_confidence", "class_count", "deployment_types",
       "inference_server_versions", "model_num_inferences", "prev_model_num_inferences"}
# The documented answer: 120 inferences of three models (107, 11, 2), and these means; weighting the durations by inference gives 0.16329.
CONFIDENCE, DURATION, BY_INFERENCE = 0.92541713388321, 0.16464362986438943, 0.16329


def ask(server, status=200, **query):
    answer = server.get("/acme/inference-stats", anonymous=True, params={"api_key": KEY, **query})
    assert answer.status_code == status, answer.text
    return answer.json()


def rows(got):
    assert all(set(r) == ROW for r in got["inference_stats"])
    return {(r["model_name"], r["predicted_class"]): r for r in got["inference_stats"]}


def report(server, items, **more):
    status, answer = post(server, pingback(KEY, items, **more))
    assert (status, answer["set_aside"]) == (200, 0)


def versioned(one, server_id, version):
    one["inference"].update(inference_server_id=server_id, inference_server_version=version)
    return one


def documented():
    """120 inferences in 135 rows: 107 of cards (one of them empty), 11 of coco with two detections each, 2 with three each."""
    count, b, c, l3 = 135, 0.9, 0.8, 0.2
    a = (count * CONFIDENCE - 22 * b - 6 * c) / 106
    l2 = (count * DURATION - 120 * BY_INFERENCE - 4 * l3) / 11
    l1 = (count * DURATION - 22 * l2 - 6 * l3) / 106
    items = [item(thin(("K", a), time=l1), time=NOON + i, model="cards-3z9gn/4") for i in range(106)] + [item([], time=NOON, model="cards-3z9gn/4")]
    items += [item(thin(("person", b), ("car", b), time=l2), time=NOON + i, model="coco/24") for i in range(11)]
    items += [item(thin(*[("screw", c)] * 3, time=l3), time=NOON + i, model="parts/1") for i in range(2)]
    for i, one in enumerate(items):
        versioned(one, "srv-a" if i % 2 else "srv-b", "0.16.0" if i % 2 else "0.15.3")
    return items


@pytest.fixture(scope="module")
def server(fleet):
    s = fleet.make(workspace="acme", api_key=KEY)
    report(s, documented())
    before = [item(thin(("K", 0.5), time=0.5), time=NOON - 60, model="cards-3z9gn/3"), item(thin(("Q", 0.75), time=0.25), time=NOON - 60, model="cards-3z9gn/3"),
              item(thin(("gone", 0.25), time=1.0), time=NOON - 60, model="gone/1")]
    report(s, [versioned(one, "srv-old", "0.14.0") for one in before])
    return s


def test_the_documented_totals(server):
    got = ask(server, **NOW)
    assert got["num_inferences"] == 120 and got["num_errors"] == 0
    assert got["avg_confidence"] == pytest.approx(CONFIDENCE, rel=1e-9) and got["avg_response_time"] == pytest.approx(DURATION, rel=1e-9)
    assert set(got) == {*TOTALS, *("prev_" + t for t in TOTALS), "inference_stats"}
    now = [r for r in rows(got).values() if r["class_count"] is not None]
    assert sorted({(r["model_name"], r["model_num_inferences"]) for r in now}) == [("cards-3z9gn", 107), ("coco", 11), ("parts", 2)]
    count = sum(r["class_count"] for r in now)
    for name in ("avg_confidence", "avg_response_time"):
        assert sum(r["class_count"] * r[name] for r in now) / count == pytest.approx(got[name], rel=1e-9)
    before = {name: got["prev_" + name] for name in TOTALS}
    assert before == {"num_inferences": 3, "num_errors": 0, "avg_confidence": pytest.approx(0.5), "avg_response_time": pytest.approx(1.75 / 3)}


def test_rows_and_their_nulls(server):
    got = rows(ask(server, **NOW))
    assert set(got) == {("cards-3z9gn", ""), ("cards-3z9gn", "K"), ("cards-3z9gn", "Q"), ("coco", "car"), ("coco", "person"), ("gone", "gone"),
                        ("parts", "screw")}
    assert all(r["deployment_types"] == "self-hosted" and r["num_errors"] is None and r["prev_num_errors"] is None for r in got.values())
    both = got["cards-3z9gn", "K"]
    assert (both["num_inferences"], both["prev_num_inferences"], both["class_count"]) == (106, 1, 106)
    assert (both["model_num_inferences"], both["prev_model_num_inferences"], both["inference_server_versions"]) == (107, 2, "0.15.3,0.16.0")
    assert both["median_confidence"] == pytest.approx(both["avg_confidence"], abs=0.0005) and both["prev_avg_confidence"] == 0.5
    empty = got["cards-3z9gn", ""]
    assert (empty["num_inferences"], empty["class_count"], empty["avg_confidence"], empty["avg_response_time"], empty["median_confidence"]) == (1, 1, 0, 0, 0)
    assert empty["prev_num_inferences"] is None and empty["prev_model_num_inferences"] is None
    gone = got["cards-3z9gn", "Q"]
    assert all(gone[n] is None for n in ("num_inferences", "avg_confidence", "avg_response_time", "median_confidence", "class_count", "model_num_inferences"))
    assert (gone["prev_num_inferences"], gone["prev_avg_confidence"], gone["prev_avg_response_time"]) == (1, 0.75, 0.25)
    assert gone["inference_server_versions"] == "0.14.0" and gone["prev_model_num_inferences"] == 2
    screw = got["parts", "screw"]
    assert (screw["num_inferences"], screw["class_count"], screw["model_num_inferences"]) == (2, 6, 2)
    assert all(screw["prev_" + n] is None for n in ("num_inferences", "avg_confidence", "avg_response_time", "model_num_inferences"))


@pytest.mark.parametrize("names, models", [
    ("coco", {"coco"}), ("coco,parts", {"coco", "parts"}), (" coco , ,parts,", {"coco", "parts"}), ("nothing", set()), ("COCO", set()),
    ("", {"cards-3z9gn", "coco", "parts", "gone"}), (",", {"cards-3z9gn", "coco", "parts", "gone"}), ("co*", set())])
def test_model_names(server, names, models):
    got = ask(server, **NOW, modelNames=names)
    assert {m for m, _ in rows(got)} == models
    assert got["num_inferences"] == sum({"cards-3z9gn": 107, "coco": 11, "parts": 2}.get(m, 0) for m in models)


def test_nothing_at_all(server):
    got = ask(server, startTime="2020-01-01 00:00:00", endTime="2020-01-02 00:00:00")
    assert got == {"num_inferences": 0, "num_errors": 0, "avg_confidence": None, "avg_response_time": None, "prev_num_inferences": 0,
                   "prev_num_errors": 0, "prev_avg_confidence": None, "prev_avg_response_time": None, "inference_stats": []}


@pytest.mark.parametrize("spelling", ["2026-11-21 12:00:00", "2026-11-21T12:00:00Z", "2026-11-21 13:00:00+01:00"])
def test_times_are_utc(server, spelling):
    assert ask(server, startTime=spelling, endTime=NOW["endTime"])["num_inferences"] == 120


def test_a_plus_is_a_space(server):
    answer = server.get(f"//acme/inference-stats?api_key={KEY}&startTime=2026-11-21+12:00:00&endTime=2026-11-21%2013:00:00&nocache=true", anonymous=True)
    assert answer.json()["num_inferences"] == 120


def test_empty_is_absent_and_a_day_is_asked(make_server):
    server = make_server(workspace="acme", api_key=KEY)
    now = time.time()
    report(server, [item(thin(("a", 0.5)), time=now - 86400 * d - s, model="m/1") for d, s in ((0, 60), (1, -60), (1, 60), (2, 60))])
    for query in ({}, {"startTime": "", "endTime": "", "modelNames": ""}, {"startTime": ""}):
        got = ask(server, **query)
        assert got["num_inferences"] == 2 and got["prev_num_inferences"] == 1


def test_failures_are_errors_and_no_inferences(make_server):
    server = make_server(workspace="acme", api_key=KEY)
    start = NOON * 10**9
    details = json.dumps({"error": "x", "error_type": "E"})
    record = {"exec_session_id": "s", "category": "model", "processed_frames": 1, "resource_details": details, "api_key": KEY}
    records = [{**record, "timestamp_start": start + n, "resource_id": m} for n, m in enumerate(["coco/24", "coco/25", "other/1"])]
    records.append({**record, "timestamp_start": start - 1, "resource_id": "coco/24"})
    assert server.post("/usage/inference", json=records).status_code == 200
    got = ask(server, **NOW)
    assert (got["num_inferences"], got["num_errors"], got["prev_num_errors"], got["inference_stats"]) == (0, 3, 1, [])
    assert ask(server, **NOW, modelNames="coco")["num_errors"] == 2


def test_partial_records_are_in_no_statistic(make_server):
    server = make_server(workspace="acme", api_key=KEY)
    window = {"source": "workflow", "inference_results": [{"model_id": "m/1", "class_name": "a", "confidence": 0.5, "inference_id": "x"}]}
    assert server.post(f"/acme/inference-stats?api_key={KEY}", json=window, anonymous=True).json()["created"] == 1
    assert ask(server)["num_inferences"] == 0


@pytest.mark.parametrize("query, said", [
    ({"startTime": "yesterday"}, "startTime"), ({"endTime": "21.11.2026"}, "endTime"), ({"startTime": "2026-11-21 13:00:00", "endTime": "2026-11-21 13:00:00"}, "startTime"),
    ({"modelNames": ",".join(f"m{i}" for i in range(101))}, "modelNames")])
def test_wrong_parameters(server, query, said):
    assert said in ask(server, 400, **query)["error"]


def test_keys(server):
    for key, status in (("", 401), ("None", 401), ("sg_never_heard_of_it", 401)):
        assert server.get("/acme/inference-stats", anonymous=True, params={"api_key": key}).status_code == status
    assert server.get("/line-3/inference-stats").status_code == 401 and server.get("/acme/inference-stats").status_code == 200
