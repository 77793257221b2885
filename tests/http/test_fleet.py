"""The simulated fleet (tools/fleet): what a server has after it reported, held against its truth files one row at a time
(naive.py); that the same seed makes the same; that it says so when something goes wrong."""
import collections
import json
import os
import pathlib
import re
import subprocess

import naive
import pytest
from conftest import BINARY, KEY, wait_for

PROGRAM = BINARY.parent / "fleet"
NOW = "2026-11-19T20:00:00Z"
HISTORY = ["--now", NOW, "--days", "2", "--events", "3000", "--containers", "8", "--metadata", "90"]
FILES = {"inferences.ndjson", "metadata.ndjson", "failures.ndjson", "duplicates.ndjson", "partial.ndjson", "summary.json"}


def start(*options, url=None, key=KEY):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("SIGHTGLASS_")}
    where = ["--url", url] if url else []
    return subprocess.Popen([str(PROGRAM), *where, *options], env={**plain, "SIGHTGLASS_API_KEY": key}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process, status=0):
    """The line it printed, and what it complained of."""
    out, complaint = process.communicate(timeout=120)
    assert process.returncode == status, out + complaint
    return json.loads(out) if out else None, complaint


def run(*options, status=0, **more):
    return ended(start(*options, **more), status)


def lines(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.ndjson").read_text().splitlines()]


class Told:
    """A server, what was told to it, and the same as naive.py has it."""

    def __init__(self, server, folder, result):
        self.server, self.result = server, result
        self.inferences, self.metadata, self.failures = lines(folder, "inferences"), lines(folder, "metadata"), lines(folder, "failures")
        self.duplicates, self.partial = lines(folder, "duplicates"), lines(folder, "partial")
        self.summary = json.loads((folder / "summary.json").read_text())
        self.world = naive.World()
        self.world.records = self.inferences
        for write in self.metadata:
            self.world.attach(write["inference_id"], write["field"], write["value"])
        self.rows = list(self.world.rows())
        self.span = {"from": self.summary["from"], "to": self.summary["to"]}

    def get(self, path, **query):
        answer = self.server.get(f"/api/v1/test/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def group(self, rows, measures):
        whole = naive.Group()
        for row in rows:
            whole.put(row, row.found)
        return [naive.measure(m, whole) for m in measures]


@pytest.fixture(scope="module")
def told(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("fleet")
    result, _ = run(*HISTORY, "--truth", str(folder / "truth"), "--verify", url=server.url)
    return Told(server, folder / "truth", result)


# --- what the server has of it

def stored(server, **query):
    """All that are there, as they are told."""
    found, cursor = [], None
    while True:
        answer = server.get("/api/v1/test/inferences", params={"limit": 1000, "cursor": cursor, "from": "2020-01-01T00:00:00Z", **query}).json()
        found += answer["inferences"]
        cursor = answer["next_cursor"]
        if not cursor:
            return found


def known(one):
    """What the truth tells of an inference."""
    return {**{k: one[k] for k in ("inference_id", "time", "model_id", "index", "device_id", "server_id", "server_version", "source", "source_info",
                                   "latency_s", "error")},
            "predictions": [(p["class"], p["confidence"]) for p in one["predictions"]]}


def test_every_inference_is_as_the_truth_has_it(told):
    assert told.result["ok"] and told.result["verified"]
    assert (told.result["events"], told.result["sent"], told.result["acknowledged"], told.result["refused"]) == (3000, 3000, 3000, 0)
    got = stored(told.server)
    assert all(one["metadata"] == told.world.metadata.get(one["inference_id"], {}) for one in got)
    by_id = {one["inference_id"]: known(one) for one in got}
    assert len(by_id) == len(got) and by_id == {one["inference_id"]: known(one) for one in told.inferences}


def test_it_is_marked_as_simulated(told):
    assert all(one["source"] == "simulated" and one["device_id"].startswith("sim-") for one in told.inferences)
    assert all(d["device_id"].startswith("sim-") and "simulated" in d["tags"] for d in told.get("devices")["devices"])
    assert told.get("inferences/count", filter="-source:simulated")["count"] == 0


def test_the_summary_is_what_the_lines_come_to(told):
    def sums(rows):
        count = {"inferences": len(rows), "empty": sum(not r.found for r in rows), "detections": sum(len(r.found) for r in rows),
                 "with_latency": sum(r.latency is not None for r in rows)}
        return {**count, "confidence_sum": pytest.approx(sum(d["confidence"] for r in rows for d in r.found)),
                "latency_sum_s": pytest.approx(sum(r.latency or 0 for r in rows))}

    def grouped(key):
        groups = collections.defaultdict(list)
        for row in told.rows:
            groups[key(row)].append(row)
        return {k: sums(rows) for k, rows in groups.items()}

    s = told.summary
    assert s["totals"] == sums(told.rows)
    assert s["models"] == grouped(lambda r: r.record["model_id"]) and s["days"] == grouped(lambda r: r.record["time"][:10])
    assert {k: v for k, v in s["devices"].items() if v["inferences"]} == grouped(lambda r: r.record["device_id"])
    assert s["sent_again"] == len(told.duplicates) == told.result["sent_again"]
    assert s["failures"] == sum(f["count"] for f in told.failures) and s["failure_records"] == len(told.failures)
    assert s["partial_kept"] == sum(not p["hidden"] for p in told.partial)
    assert s["metadata_waiting"] == sum(w["result"] == "pending" and not w["joins"] for w in told.metadata)
    assert s["metadata_applied"] == sum(w["result"] == "applied" for w in told.metadata)
    assert s["metadata_applied"] + s["metadata_joined"] + s["metadata_waiting"] == len(told.metadata) == told.result["metadata_sent"]


STATS = ["inferences", "errors", "empty", "detections", "avg(monitoring_confidence)", "avg(monitoring_latency)", "avg(confidence)", "avg(latency)"]


def test_statistics(told):
    got = told.get("stats", **told.span, bucket=3600)
    now = got["current"]
    values = [now["inferences"], 0, now["empty"], now["detections"], now["monitoring"]["avg_confidence"], now["monitoring"]["avg_response_time"],
              now["per_inference"]["avg_confidence"], now["per_inference"]["avg_latency_s"]]
    assert values == pytest.approx(told.group(told.rows, STATS), rel=1e-9)
    assert now["errors"] == told.summary["failures"]
    for model in got["models"]:
        rows = [r for r in told.rows if r.record["model_id"] == model["model_id"]]
        wanted = told.group(rows, ["inferences", "detections", "avg(latency)"])
        assert [model["inferences"], model["detections"], model["avg_latency_s"]] == pytest.approx(wanted, rel=1e-9)
        classes = collections.Counter(d["class"] for r in rows for d in r.found)
        assert {c["class"]: c["detections"] for c in model["classes"]} == classes
    assert {m["model_id"] for m in got["models"]} == set(told.summary["models"])
    hours = collections.Counter(r.time // 3_600_000_000 for r in told.rows)
    assert {naive.micros(s["time"]) // 3_600_000_000: s["inferences"] for s in got["series"] if s["inferences"]} == hours


def test_the_form_of_model_monitoring(told):
    day = {"startTime": "2026-11-18 00:00:00", "endTime": "2026-11-19 00:00:00"}
    got = told.server.get("/test/inference-stats", params={"api_key": KEY, **day}, anonymous=True).json()
    rows = [r for r in told.rows if r.record["time"].startswith("2026-11-18")]
    wanted = told.group(rows, ["inferences", "avg(monitoring_confidence)", "avg(monitoring_latency)"])
    assert [got[n] for n in ("num_inferences", "avg_confidence", "avg_response_time")] == pytest.approx(wanted, rel=1e-9)
    assert got["num_errors"] == sum(f["count"] for f in told.failures if f["time"].startswith("2026-11-18"))
    counts = collections.Counter((r.record["model_id"].split("/")[0], c) for r in rows for c in [d["class"] for d in r.found] or [""])
    assert {(r["model_name"], r["predicted_class"]): r["class_count"] for r in got["inference_stats"] if r["class_count"]} == counts


def meta(field, value):
    return {"field": "metadata." + field, "any": [{"text": value}]}


@pytest.mark.parametrize("text, tree", [
    ("result:fail", meta("result", "fail")),
    ("-has:result", {"not": {"field": "metadata.result", "any": [{"present": True}]}}),
    ("plant:north shift:night", {"and": [meta("plant", "north"), meta("shift", "night")]}),
    ("my_location:west or My_location:north", {"or": [meta("my_location", "west"), meta("My_location", "north")]}),
    ("review:incorrect", meta("review", "incorrect")),
    ("model:bottle-inspection/2", {"field": "model", "any": ["bottle-inspection/2"]}),
    ("confidence<0.6", {"field": "confidence", "any": [{"<": 0.6}]}),
    ("class:scratch[confidence>0.8]", {"field": "class", "any": ["scratch"], "confidence": {">": 0.8}}),
    ("device:sim-south-01 source_info:line-1/cam-1",
     {"and": [{"field": "device", "any": ["sim-south-01"]}, {"field": "source_info", "any": ["line-1/cam-1"]}]}),
    ("detections:0 -has:latency", {"and": [{"field": "detections", "any": [0]}, {"not": {"field": "latency", "any": [{"present": True}]}}]}),
])
def test_counts_by_filter(told, text, tree):
    wanted = len(naive.selected(told.world, {"filter": tree}))
    assert 0 < wanted < 3000 and told.get("inferences/count", filter=text)["count"] == wanted


def test_fields_and_what_waits(told):
    got = told.get("fields")
    ids = {row.id for row in told.rows}
    values = collections.defaultdict(collections.Counter)
    for inference_id, fields in told.world.metadata.items():
        for field, value in fields.items():
            values[field][value] += inference_id in ids
    assert {f["name"]: f["inferences"] for f in got["fields"]} == {f: sum(c.values()) for f, c in values.items()} == told.summary["fields"]
    for field in got["fields"]:
        assert all(top["count"] == values[field["name"]][top["value"]] for top in field["top"])
    waiting = set(told.world.metadata) - ids
    assert got["pending"]["ids"] == len(waiting) == told.summary["ids_waiting"] > 0
    assert waiting == {w["inference_id"] for w in told.metadata if w["result"] == "pending" and not w["joins"]}


def test_devices(told):
    got = {d["device_id"]: d for d in told.get("devices", **told.span)["devices"]}
    assert {d: one["inferences"] for d, one in got.items()} == {d: one["inferences"] for d, one in told.summary["devices"].items()}
    for name, device in got.items():
        models = collections.Counter(r.record["model_id"] for r in told.rows if r.record["device_id"] == name)
        assert {m["model_id"]: m["inferences"] for m in device["models"] if m["inferences"]} == models
        assert device["errors"] == sum(f["count"] for f in told.failures if f["device_id"] == name)


def test_failures(told):
    got = told.get("errors", **told.span)
    assert got["errors"] == told.summary["failures"] > 0 and any(f["sent_again"] for f in told.failures)
    for kind, name, of in (("types", "type", "type"), ("hosts", "host", "host"), ("resources", "resource_id", "model_id")):
        counts = collections.Counter()
        for f in told.failures:
            counts[f[of]] += f["count"]
        assert {one[name]: one["errors"] for one in got[kind]} == counts


def test_partial_records(told):
    kept = {p["inference_id"]: p for p in told.partial if not p["hidden"]}
    got = stored(told.server, filter="partial:true", **{"to": "2100-01-01T00:00:00Z"})
    assert {one["inference_id"]: [(p["class"], p["confidence"]) for p in one["predictions"]] for one in got} == {
        i: [(p["class"], p["confidence"])] for i, p in kept.items()} and kept


# --- what happens in it

def mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_what_was_promised_happens(told):
    marked = collections.defaultdict(list)
    for marker in told.summary["markers"]:
        marked[marker["kind"]].append(marker)
    assert set(marked) == {"model", "changeover", "lens", "silent"}
    lens, silent = marked["lens"][0], marked["silent"][0]
    dirty = [r for r in told.rows if (r.record["device_id"], r.record["source_info"]) == (lens["device_id"], "line-1/cam-1") and r.top]
    end = naive.micros(NOW)
    clean, late = [r.top for r in dirty if r.time < naive.micros(lens["time"])], [r.top for r in dirty if r.time > end - 6 * 3600 * 10 ** 6]
    assert mean(late) < mean(clean) - 0.2
    last = [r.time for r in told.rows if r.record["device_id"] == silent["device_id"]]
    assert silent["time"] == "2026-11-18T22:00:00.000000Z" and last and max(last) < naive.micros(silent["time"])
    for marker in marked["model"]:
        times = [r.time for r in told.rows if r.record["model_id"] == marker["model_id"] and r.record["device_id"] != "sim-north-06"]
        assert min(times) > naive.micros(marker["time"]) - 4 * 60 * 10 ** 6  # clocks that are slow
    ahead = [r.time for r in told.rows if r.record["device_id"] == "sim-north-06"]
    assert max(ahead) > end + 12 * 3600 * 10 ** 6
    expected = [(r.metadata["expected"], r.found[0]["class"]) for r in told.rows if r.found and "expected" in r.metadata]
    wrong = sum(a != b for a, b in expected) / len(expected)
    assert 0.01 < wrong < 0.2
    assert {r["form"] for r in told.inferences} == {"thin", "full"} and any(not r.found for r in told.rows)


# --- the same again

def truth_of(tmp_path, name, *options, **more):
    run(*HISTORY, "--truth", str(tmp_path / name), *options, **more)
    return {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}


def test_the_same_seed_makes_the_same(told, make_server, tmp_path):
    first, second = truth_of(tmp_path, "a"), truth_of(tmp_path, "b", "--connections", "3")
    assert set(first) == FILES and first == second
    assert truth_of(tmp_path, "c", "--seed", "2")["inferences.ndjson"] != first["inferences.ndjson"]
    assert set(truth_of(tmp_path, "d", "--truth-events", "0")) == {"summary.json"}
    other = make_server()
    run(*HISTORY, "--connections", "1", url=other.url)

    def content(server):
        return sorted(json.dumps({**one, "received": None, "image": None}, sort_keys=True) for one in stored(server))
    assert content(other) == content(told.server)


def test_once_more_changes_nothing(told):
    result, _ = run(*HISTORY, "--verify", url=told.server.url)
    assert result["ok"] and result["acknowledged"] == 3000
    one = next(w for w in told.metadata if w["field"] == "review")
    history = told.get(f"inferences/{one['inference_id']}")["metadata_history"]
    assert len(history) == len(told.world.metadata[one["inference_id"]])


def test_live_windows_come_after_the_history(make_server, tmp_path):
    server = make_server()
    options = ["--events", "80000", "--days", "1", "--containers", "3", "--metadata", "1", "--realtime", "--interval", "1", "--seconds", "4"]
    result, _ = run(*options, "--verify", "--truth", str(tmp_path / "truth"), url=server.url)
    summary = json.loads((tmp_path / "truth" / "summary.json").read_text())
    assert result["verified"] and result["events"] == summary["totals"]["inferences"] > 80000
    assert summary["to"] > summary["now"]
    seen = {d["device_id"]: d["last_seen"] for d in server.get("/api/v1/test/devices").json()["devices"]}
    silent = next(m["device_id"] for m in summary["markers"] if m["kind"] == "silent")
    assert len(seen) == 3 and seen.pop(silent) < min(seen.values())


def test_markers_are_set_once(make_server):
    server = make_server()
    for _ in range(2):
        run(*HISTORY, "--markers", url=server.url)
        got = server.get("/api/v1/test/markers", params={"from": "2026-11-17T00:00:00Z", "to": "2026-11-20T00:00:00Z"}).json()["markers"]
        assert {m["kind"] for m in got} == {"changeover", "other", "model"}
        by_hand = [(m["time"], m["text"]) for m in got if not m["automatic"]]
        assert len(set(by_hand)) == len(by_hand) and [t for _, t in by_hand].count("the lens begins to get dirty") == 1
        assert {m["model_id"] for m in got if m["automatic"]} == {f"{n}/2" for n in ("bottle-inspection", "seal-check", "screw-count", "carton-label")}


def test_hostile_names_only_when_asked_for(told, make_server):
    server = make_server()
    hostile = "<img src=x onerror=alert(1)>"
    assert hostile not in json.dumps(told.inferences + told.metadata)
    run(*HISTORY, "--hostile", "--verify", url=server.url)
    found = [one for one in stored(server) if hostile in one["device_id"]]
    assert found and all(hostile in one["source_info"] for one in found)
    assert any(hostile in one["metadata"] and hostile in one["metadata"]["operator"] for one in found)


# --- when something goes wrong

def test_a_server_that_goes_away_is_told_of_and_the_rest_can_follow(make_server):
    server = make_server()
    big = ["--now", NOW, "--events", "150000", "--metadata", "2"]
    process = start(*big, url=server.url)
    wait_for(lambda: server.get("/api/v1/test/inferences/count").json()["count"], 30, "the first inference")
    server.kill9()
    result, complaint = ended(process, 1)
    assert not result["ok"] and 0 < result["acknowledged"] < result["events"] == 150000 and complaint.startswith("fleet: ")
    server.start()
    assert server.get("/api/v1/test/inferences/count").json()["count"] >= result["acknowledged"]
    result, _ = run(*big, "--verify", url=server.url)
    assert result["acknowledged"] == 150000


def test_what_is_refused_is_told(make_server):
    server = make_server(max_fields=3)
    result, complaint = run(*HISTORY, url=server.url, status=1)
    assert result["refused"] > 0 and result["acknowledged"] == 3000 and not result["ok"]
    assert f"{result['refused']} requests were refused, the first: " in complaint and "max_fields" in complaint


def test_verify_sees_what_is_missing_and_what_is_too_much(make_server):
    """Each is seen by a check that comes before those that saw the ones before it."""
    server = make_server()
    run(*HISTORY, "--verify", url=server.url)
    one = next(i for i in stored(server) if "My_location" not in i["metadata"])

    def wrong(said):
        result, complaint = run(*HISTORY, "--verify", url=server.url, status=1)
        assert not result["ok"] and not result["verified"] and complaint.startswith(f"fleet: verify: {said}: "), complaint

    assert server.put(f"/api/v1/test/inferences/{one['inference_id']}/metadata/My_location", json={"value": "x"}).status_code == 200
    wrong("My_location")
    assert server.put("/api/v1/test/inferences/unheard-of/metadata/result", json={"value": "pass"}).status_code == 200
    wrong("ids that wait")
    more = {"model_id": "a/1", "time": one["time"], "predictions": []}
    assert server.post("/api/v1/test/inferences", json={**more, "error": "broken"}).status_code == 200
    wrong("inferences")
    assert server.post("/api/v1/test/inferences", json={**more, "partial": True}).status_code == 200
    wrong("partial:true")
    assert server.post("/api/v1/test/inferences", json={**more, "source": "simulated"}).status_code == 200
    wrong("source:simulated")


def test_without_the_right_key(told):
    result, complaint = run(*HISTORY, url=told.server.url, key="sg_never_heard_of_it", status=1)
    assert result is None and "401" in complaint and "sg_never" not in complaint


def test_the_key_may_stand_in_a_file(told, tmp_path):
    keys = tmp_path / "first-key"
    keys.write_text(f"other sg_never_heard_of_it\ntest {KEY}\n")
    file, url = ["--key-file", str(keys)], told.server.url
    run(*HISTORY, *file, "--workspace", "test", url=url, key="")
    assert "401" in run(*HISTORY, *file, url=url, status=1)[1]
    assert "no key of acme" in run(*HISTORY, *file, "--workspace", "acme", url=url, status=1)[1]
    assert "of workspace test, not of acme" in run(*HISTORY, "--workspace", "acme", url=url, status=1)[1]
    keys.write_text(KEY)
    run(*HISTORY, *file, url=url, key="")


@pytest.mark.parametrize("options, said", [
    ([], "--url"), (["--url", "http://192.0.2.1:9001"], "127.0.0.1"), (["--url", "http://127.0.0.1.example.com:9001"], "127.0.0.1"),
    (["--url", "https://127.0.0.1:9001"], "127.0.0.1"), (["--url", "http://127.0.0.1:99999"], "port"),
    (["--truth", "x", "--events", "0"], "--events 0"), (["--truth", "x", "--events", "-1"], "--events -1"),
    (["--truth", "x", "--containers", "1001"], "from 1 to 1000"), (["--truth", "x", "--now", "yesterday"], "--now yesterday"),
    (["--truth", "x", "--now", "1970-01-02T00:00:00Z"], "too long ago"), (["--truth", "x", "--metadata", "101"], "from 0 to 100"),
    (["--truth", "x", "--days", "3650", "--containers", "1000", "--events", "100000000"], "fewer"), (["--truth", "x", "--verify"], "--verify needs"),
    (["--truth", "x", "--realtime"], "--realtime needs"), (["--truth", "x", "--markers"], "--markers needs"), (["--nonsense"], "no such option"), (["--seed"], "missing"),
    (["--url", "http://127.0.0.1:1", "--key-file", "/nowhere"], "/nowhere"), (["--truth", "/proc/nowhere"], "/proc/nowhere")])
def test_bad_options(options, said, tmp_path):
    process = subprocess.run([str(PROGRAM), *options], env={"SIGHTGLASS_API_KEY": KEY}, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert process.returncode == 1 and not process.stdout and said in process.stderr


@pytest.mark.parametrize("key, said", [("", "no API key"), ("a b", "no key has"), ("x" * 500, "too long")])
def test_bad_keys(key, said):
    _, complaint = run(url="http://127.0.0.1:1", key=key, status=1)
    assert said in complaint


def test_help_names_every_option():
    process = subprocess.run([str(PROGRAM), "--help"], capture_output=True, text=True, timeout=60)
    text = (pathlib.Path(__file__).parents[2] / "docs" / "fleet-simulator.md").read_text()
    assert process.returncode == 0 and all(f"--{o}" in process.stdout for o in ("url", "events", "seed", "truth", "verify"))
    assert all(f"  {option} " in process.stdout for option in set(re.findall("--[a-z-]*[a-z]", text)) - {"--help"})
