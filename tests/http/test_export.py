"""GET /api/v1/:workspace/inferences?format=csv and ndjson: the list as lines."""
import csv
import io
import json

import pytest

URL = "/api/v1/test/inferences"
NASTY = 'a "quoted", text\nin two lines <b>; ü'


@pytest.fixture(scope="module")
def filled(server):
    items = [{"inference_id": f"i{n:03}", "model_id": "coco/24", "time": f"2026-03-02T12:00:00.{n:06}Z", "latency_s": n / 8 if n else None,
              "device_id": "cam, 1", "predictions": [{"class": "dog", "confidence": 0.25}, {"class": "c\"at", "confidence": 0.5}][:n % 3],
              "metadata": {"n": n, **({"odd, one": NASTY} if n % 2 else {}), **({"ok": True} if n == 7 else {})}} for n in range(100)]
    items.append({"inference_id": "failed", "model_id": "coco/24", "time": "2026-03-02T13:00:00Z", "error": "no, frame"})
    assert server.post(URL, json=items).status_code == 200
    return server


def rows(answer):
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/csv; charset=utf-8", answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def everything(server, **query):
    """All pages of the list as JSON."""
    found, cursor = [], None
    while True:
        page = server.get(URL, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        found += page["inferences"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def test_csv_says_what_the_list_says(filled):
    got, want = rows(filled.get(URL, params={"format": "csv"})), everything(filled)
    assert len(got) == len(want) == 101
    known = lambda v: "" if v is None else str(v)
    for row, inf in zip(got, want):
        assert [row[k] for k in ("inference_id", "model_id", "time", "received", "device_id", "error")] == [
            known(inf[k]) for k in ("inference_id", "model_id", "time", "received", "device_id", "error")]
        assert float(row["latency_s"] or -1) == (-1 if inf["latency_s"] is None else inf["latency_s"]) and row["partial"] == "false"
        assert int(row["detections"]) == len(inf["predictions"]) and row["classes"] == "; ".join(p["class"] for p in inf["predictions"])
        assert float(row["top_confidence"] or -1) == max([p["confidence"] for p in inf["predictions"]], default=-1)
        kept = {k[9:]: v for k, v in row.items() if k.startswith("metadata.") and v}
        assert kept == {k: "true" if v is True else str(v) for k, v in inf["metadata"].items()}
    assert [k for k in got[0] if k.startswith("metadata.")] == ["metadata.n", "metadata.odd, one", "metadata.ok"]
    assert any(row["metadata.odd, one"] == NASTY for row in got)


def test_a_line_an_inference(filled):
    answer = filled.get(URL, params={"format": "ndjson", "filter": "n>=50"})
    assert answer.headers["Content-Type"] == "application/x-ndjson" and "X-Next-Cursor" not in answer.headers
    assert [json.loads(line) for line in answer.text.splitlines()] == everything(filled, filter="n>=50")


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_pages(filled, form):
    ids, cursor = [], None
    while True:
        answer = filled.get(URL, params={"format": form, "limit": 40, **({"cursor": cursor} if cursor else {})})
        ids += [r["inference_id"] for r in (rows(answer) if form == "csv" else map(json.loads, answer.text.splitlines()))]
        cursor = answer.headers.get("X-Next-Cursor")
        if not cursor:
            break
    assert ids == [i["inference_id"] for i in everything(filled)]


def test_nothing_is_a_head_line(filled):
    assert filled.get(URL, params={"format": "csv", "filter": "n:none"}).text.count("\n") == 1
    assert filled.get(URL, params={"format": "ndjson", "filter": "n:none"}).content == b""


def test_limits(filled):
    assert len(rows(filled.get(URL, params={"format": "csv", "limit": 10000}))) == 101
    for wrong in ({"format": "csv", "limit": 10001}, {"format": "csv", "limit": 0}, {"format": "xml"}, {"format": "json", "limit": 1001}):
        assert filled.get(URL, params=wrong).status_code == 400, wrong
    assert filled.get(URL, params={"format": "json"}).json()["inferences"]
