"""GET /metrics: the names of an inference server (protocol 2.1) of the key's workspace, and what an operator watches. Read
as strictly as Prometheus reads it: a family's lines together, after its type, no series twice."""
import concurrent.futures
import os
import re
import subprocess

import pytest
from client import image, send
from conftest import BINARY, wait_for
from test_infer_service import infer, probe
from test_infer_tasks import png

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="[^"\\\n]*",?)*)\})? (-?[0-9.e+-]+)')
METERS = {"num_inferences_total": 0, "avg_inference_time_total": 0, "num_errors_total": 0}


def scrape(server, **how):
    """{name: {labels: value}}; labels are a tuple of pairs."""
    answer = server.get("/metrics", **how)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    types, found, family = {}, {}, None
    for line in answer.text.splitlines():
        if line.startswith("#"):
            _, kind, name, text = line.split(" ", 3)
            assert (kind == "HELP" and name not in types) or (kind == "TYPE" and text in ("gauge", "counter", "histogram") and name == family)
            types[name], family = text, name
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        suffix = name[len(family):]
        assert name.startswith(family) and suffix in (("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",))
        assert types[family] != "counter" or name.endswith("_total")
        series = found.setdefault(name, {})
        key = tuple(re.findall(r'(\w+)="([^"]*)"', labels or ""))
        assert key not in series
        series[key] = float(value)
    return found


def metrics(server, **how):
    """Those without labels."""
    return {name: series[()] for name, series in scrape(server, **how).items() if () in series}


def meters(told):
    return {name: value for name, value in told.items() if re.match(r"(num_inferences|avg_inference_time|num_errors)_", name)}


def requests_of(server, method, handler):
    return {dict(k)["status"]: n for k, n in scrape(server)["http_requests_total"].items() if (dict(k)["method"], dict(k)["handler"]) == (method, handler)}


# --- what ran here

def test_gauges_of_the_last_ten_seconds(make_server, tmp_path):
    probe(tmp_path, "line.1", 1)
    s = make_server(models=tmp_path / "models")
    assert meters(metrics(s)) == METERS
    infer(s, "line.1/1", [image(png(32, 32))] * 3)
    infer(s, "line.1/1", image(b"no picture"), 400)
    infer(s, "nobody/1", image(png(32, 32)), 404)
    told = metrics(s)
    assert (told["num_inferences_line_1_1"], told["num_errors_line_1_1"]) == (3, 1)
    assert (told["num_inferences_total"], told["num_errors_total"]) == (3, 2)
    assert 0 < told["avg_inference_time_line_1_1"] == told["avg_inference_time_total"] < 30
    assert not [name for name in told if "nobody" in name]
    assert told["inference_pipeline_active_streams"] == 0
    wait_for(lambda: metrics(s)["num_inferences_total"] == 0, seconds=30)


def test_a_workspace_sees_its_own(make_server, tmp_path):
    probe(tmp_path, "one", 1)
    s = make_server(models=tmp_path / "models")
    other = s.keys("add", workspace="other").stdout.strip()
    infer(s, "one/1", image(png(32, 32)))
    s.post("/test/inference-stats/metadata", json={"data": [{"inference_ids": ["never", "seen"], "field_name": "a", "field_value": "b"}]})
    told = metrics(s)
    assert (told["num_inferences_one_1"], told["sightglass_records"], told["sightglass_pending_ids"]) == (1, 1, 2)
    wait_for(lambda: s.get("/metrics", key=other).status_code == 200)
    told = metrics(s, key=other)
    assert meters(told) == METERS and (told["sightglass_records"], told["sightglass_pending_ids"]) == (0, 0)
    assert s.get("/metrics", anonymous=True).status_code == 401


# --- what was answered

def test_requests_are_counted_by_route_and_status(make_server):
    s = make_server(http_workers=3, max_body_metadata=2000)
    for path in ("/info", "/info", "/api/v1/test/inferences/a", "/api/v1/test/inferences/b%22c", "/no/such/path/here", "/ui/x"):
        s.get(path)
    s.request("HEAD", "/info")
    s.get("/api/v1/test/fields", anonymous=True)
    s.post("/test/inference-stats/metadata", data=b" " * 3000)  # answered in the middle of its body
    s.request("OPTIONS", "/info")
    assert requests_of(s, "GET", "/info") == {"200": 3}
    assert requests_of(s, "GET", "/api/v1/{workspace}/inferences/{id}") == {"404": 2}
    assert requests_of(s, "GET", "/api/v1/{workspace}/fields") == {"401": 1}
    assert requests_of(s, "GET", "/ui/{path}") == {"200": 1}
    assert requests_of(s, "POST", "/{workspace}/inference-stats/metadata") == {"413": 1}
    assert requests_of(s, "any", "none") == {"404": 1, "204": 1}
    handlers = {dict(k)["handler"] for k in scrape(s)["http_requests_total"]}
    table = subprocess.run([str(BINARY), "serve", "--routes-markdown"], capture_output=True, text=True, timeout=30).stdout
    patterns = {re.sub(r":(\w+)", r"{\1}", p).replace("*", "{path}") for p in re.findall(r"^\| [A-Z]+ \| `(\S+)`", table, re.M)}
    assert handlers <= patterns | {"none"}


def test_no_answer_is_lost_between_workers(make_server):
    s = make_server(http_workers=3)
    body = '{"data": [{"inference_ids": ["x"], "field_name": "a", "field_value": "b"}]}'

    def attach(_):
        return send(s, f"POST /test/inference-stats/metadata?api_key={s.key}", "Host: x\n", body)[0]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attach, range(200))) == {200}
    told = scrape(s)
    [n] = [n for k, n in told["http_requests_total"].items() if dict(k)["handler"] == "/{workspace}/inference-stats/metadata"]
    assert n == 200 and told["sightglass_journal_records_total"][()] >= 200


def test_durations_are_a_histogram(make_server):
    s = make_server()
    for _ in range(5):
        s.get("/info")
    told = scrape(s)
    mine = {name: {k: n for k, n in told["http_request_duration_seconds_" + name].items() if dict(k)["handler"] == "/info"}
            for name in ("bucket", "sum", "count")}
    buckets = [(float(dict(k)["le"]), n) for k, n in mine["bucket"].items()]
    assert [b for b, _ in buckets] == sorted(b for b, _ in buckets) and buckets[-1][0] == float("inf")
    assert [n for _, n in buckets] == sorted(n for _, n in buckets) and buckets[-1][1] == 5
    assert list(mine["count"].values()) == [5] and 0 < list(mine["sum"].values())[0] < 30


def test_a_slow_request_is_in_its_bucket(make_server):
    """The time is from the first line on: a body that is half a second under way is no quick answer."""
    s = make_server()
    body = b'{"data": []}'
    with s.connect() as c:
        c.sendall(f"POST /test/inference-stats/metadata?api_key={s.key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        wait_for(lambda: s.get("/info").elapsed and sum_of_info(s) > 20)
        c.sendall(body)
        assert c.recv(100).startswith(b"HTTP/1.1 200")
    told = scrape(s)["http_request_duration_seconds_sum"]
    [slow] = [n for k, n in told.items() if "metadata" in dict(k)["handler"]]
    assert slow > sum(n for k, n in told.items() if dict(k)["handler"] == "/info")


def sum_of_info(s):
    return sum(requests_of(s, "GET", "/info").values())


# --- the program

def test_what_an_operator_watches(make_server):
    s = make_server()
    told = scrape(s)
    version = s.get("/info").json()["version"]
    assert told["sightglass_build_info"] == {(("version", version),): 1}
    assert {dict(k)["queue"]: n for k, n in told["sightglass_queue_waiting"].items()} == {"event": 0, "inference": 0, "ingest": 0, "query": 0}
    plain = metrics(s)
    assert plain["sightglass_writable"] == 1 and plain["sightglass_write_queue_bytes"] == 0
    assert abs(plain["process_start_time_seconds"] - os.stat(f"/proc/{s.process.pid}").st_ctime) < 60
    assert plain["process_resident_memory_bytes"] > 1 << 20 and plain["process_open_fds"] > 5 and plain["process_cpu_seconds_total"] > 0


def test_records_syncs_and_repeats(make_server):
    s = make_server()
    before = metrics(s)
    one = {"inference_id": "a", "model_id": "m/1", "time": 1795289947}
    for body in (one, one, {**one, "latency_s": 3}, [{"model_id": "m/1"}] * 4):
        assert s.post("/api/v1/test/inferences", json=body).status_code == 200
    after = metrics(s)

    def grew(name):
        return after[name] - before[name]
    assert (after["sightglass_records"], after["sightglass_segments"]) == (5, 0)
    assert (grew("sightglass_records_unchanged_total"), grew("sightglass_records_conflicting_total")) == (1, 1)
    assert grew("sightglass_journal_syncs_total") == 4 and grew("sightglass_journal_records_total") == 7
    assert grew("sightglass_journal_bytes_total") > 0 and after["sightglass_journal_files"] > 0
