"""What the API answers to any question, against naive.py over the same records: the suite that every engine behind it
must pass, in every world (worlds.py): records in memory, in segments, in segments with changes beside them.

SIGHTGLASS_SEED=n makes other records and questions; a failure names the seed.
"""
import itertools
import json
import random
import re
import struct
import time
import urllib.parse

import naive
import pytest
from conftest import TOP, Fleet, wait_for
from worlds import FIELDS, HOUR, LOOKS, NOW, SEED, START, WORLDS, Loader, load, record, segments

@pytest.fixture(scope="module", params=list(WORLDS))
def world(request, tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp(request.param))
    server = fleet.make(**WORLDS[request.param])
    made = naive.World()
    load(server, made, random.Random(SEED), request.param != "open")
    server.world, server.rows = made, list(made.rows())
    print(f"SIGHTGLASS_SEED={SEED}")
    yield server
    fleet.close()


# --- asking

def query(server, plan, status=200):
    answer = server.post(f"/api/v1/{server.workspace}/query", json=plan)
    assert answer.status_code == status, f"{plan}\n{answer.text}"
    return answer.json()


def whole(server, plan, kind):
    """An answer that leaves nothing out."""
    answer = query(server, plan)
    assert answer["incomplete"] == [] and abs(naive.micros(answer["as_of"]) - time.time() * 1e6) < 600e6
    return answer[kind]


def one(d):
    return d["inference_id"], d["model_id"], d["index"], d["partial"]


def listed(server, plan):
    found = whole(server, dict(plan, list={"limit": 1000}), "inferences")
    assert found == sorted(found, key=lambda i: i["time"], reverse=True)
    return [one(i) for i in found]


def expected(server, plan):
    return [(r.id, r.record["model_id"], r.index, r.partial) for r in naive.selected(server.world, plan)]


def key_value(key, value):
    if value is None:
        return naive.NONE
    if value == {"other": True}:
        return naive.OTHER
    return (1, naive.micros(value)) if naive.subject(key) == "time" else naive.typed(value)


def close(name, got, wanted):
    if wanted is None or got is None or isinstance(wanted, str):
        return got == wanted
    if isinstance(wanted, list):
        return [n for _, n in got] == [n for _, n in wanted] and [m for m, _ in got] == pytest.approx([m for m, _ in wanted], rel=1e-12)
    if name.startswith("quantile(confidence"):
        return abs(got - wanted) <= 0.0005 + 1e-9
    if name.startswith("quantile(latency"):
        return abs(got - wanted) <= 0.01 * wanted + 1e-6
    return got == wanted if isinstance(wanted, int) and isinstance(got, int) else got == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def compare(grouping, got, wanted):
    keys, names = grouping.get("by", []), wanted["columns"][len(grouping.get("by", [])):]
    assert got["columns"] == wanted["columns"]
    rows = [[key_value(k, v) for k, v in zip(keys, row)] + row[len(keys):] for row in got["rows"]]
    limit = grouping.get("limit", 1000)
    assert [row[:len(keys)] for row in rows] == [row[:len(keys)] for row in wanted["rows"]][:limit]
    assert got["groups"] == len(wanted["rows"])
    for row, right in zip(rows, wanted["rows"]):
        for i, name in enumerate(names, len(keys)):
            assert close(name, row[i], right[i]), f"{name} of {row[:len(keys)]}: {row[i]}, not {right[i]}"
    assert ("totals" in got) == grouping.get("totals", False)
    for i, name in enumerate(names):
        assert "totals" not in got or close(name, got["totals"][i], wanted["totals"][i]), f"totals {name}"


def check_groups(server, plan):
    answers = whole(server, plan, "answers")
    rows = naive.selected(server.world, plan)
    assert len(answers) == len(plan["groups"])
    for grouping, got in zip(plan["groups"], answers):
        compare(grouping, got, naive.groups(rows, grouping))


# --- filters

def meta(field, *wanted):
    return {"field": "metadata." + field, "any": list(wanted)}


def of(field, *wanted, **more):
    return dict({"field": field, "any": list(wanted)}, **more)


HERE = {"present": True}
TEXTS = [
    ("", None),
    ("model:coco", of("model", "coco")),
    ("model:coco/24", of("model", "coco/24")),
    ("model:co*5", of("model", {"glob": "co*5"})),
    ("model:(cards/1 or a/b)", of("model", "cards/1", "a/b")),
    ('device:"cam 1"', of("device", "cam 1")),
    ("-has:device", {"not": of("device", HERE)}),
    ("source:5 source:line1", of("source", "5", "line1")),
    ("has:source_info server:s*", {"and": [of("source_info", HERE), of("server", {"glob": "s*"})]}),
    ("has:error", of("error", HERE)),
    ("error:*mem*", of("error", {"glob": "*mem*"})),
    ("id:id-007", of("id", "id-007")),
    ("id:*7", of("id", {"glob": "*7"})),
    ("id-007", {"word": "id-007"}),
    ("canada", {"word": "canada"}),
    ("5", {"word": "5"}),
    ("true", {"word": "true"}),
    ("class:bottle", of("class", "bottle")),
    ("class:bottle[confidence>0.5]>=2", of("class", "bottle", confidence={">": 0.5}, count={">=": 2})),
    ("class:(dog or Dog)[confidence<=0.3]", of("class", "dog", "Dog", confidence={"<=": 0.3})),
    ("class:*o*<1", of("class", {"glob": "*o*"}, count={"<": 1})),
    ("(class:bottle) (class:cap)", {"and": [of("class", "bottle"), of("class", "cap")]}),
    ("-has:class", {"not": of("class", HERE)}),
    ("confidence<0.5", of("confidence", {"<": 0.5})),
    ("confidence>=0.3 confidence<=0.95", {"and": [of("confidence", {">=": 0.3}), of("confidence", {"<=": 0.95})]}),
    ("has:confidence", of("confidence", HERE)),
    ("latency:0.25", of("latency", 0.25)),
    ("latency>0.25 -latency>100", {"and": [of("latency", {">": 0.25}), {"not": of("latency", {">": 100})}]}),
    ("detections:2..4", of("detections", {">=": 2, "<=": 4})),
    ("-has:detections", {"not": of("detections", HERE)}),
    ("index>0", of("index", {">": 0})),
    ("partial:true", of("partial", True)),
    ("partial:false or index:2", {"or": [of("partial", False), of("index", 2)]}),
    ("picture:true", of("picture", True)),
    ("shift:night", meta("shift", {"text": "night"})),
    ("Shift:night", meta("Shift", {"text": "night"})),
    ("-shift:night", {"not": meta("shift", {"text": "night"})}),
    ("has:shift -has:n", {"and": [meta("shift", HERE), {"not": meta("n", HERE)}]}),
    ("mixed:5", meta("mixed", {"text": "5"})),
    ('mixed:"5.0"', meta("mixed", {"text": "5.0"})),
    ("mixed:5..10", meta("mixed", {">=": 5, "<=": 10})),
    ("mixed>=5", meta("mixed", {">=": 5})),
    ("mixed<0", meta("mixed", {"<": 0})),
    ("mixed:true", meta("mixed", {"text": "true"})),
    ('mixed:""', meta("mixed", {"text": ""})),
    ("mixed:A1*", meta("mixed", {"glob": "A1*"})),
    ("mixed:*A1*", meta("mixed", {"glob": "*A1*"})),
    ('mixed:"A1*"', meta("mixed", {"text": "A1*"})),
    ('mixed:naïve metadata."camera location":canada',
     {"and": [meta("mixed", {"text": "naïve"}), meta("camera location", {"text": "canada"})]}),
    ("n>1 n<50", {"and": [meta("n", {">": 1}), meta("n", {"<": 50})]}),
    ("metadata.time:canada metadata.metadata.n:5", {"and": [meta("time", {"text": "canada"}), meta("metadata.n", {"text": "5"})]}),
    ("nobody:has has:nobody", {"and": [meta("nobody", {"text": "has"}), meta("nobody", HERE)]}),
    ("-(shift:night or shift:late) model:coco",
     {"and": [{"not": {"or": [meta("shift", {"text": "night"}), meta("shift", {"text": "late"})]}}, of("model", "coco")]}),
    ("serial:SN-000* -id:id-003 (index:0 or has:error)",
     {"and": [meta("serial", {"glob": "SN-000*"}), {"not": of("id", "id-003")}, {"or": [of("index", 0), of("error", HERE)]}]}),
]
TREES = [meta("mixed", v) for v in LOOKS] + [
    meta("mixed", 5, "5"), meta("mixed", {"glob": "*5*"}, False), of("detections", 0), of("detections", HERE, 0), of("confidence", 1),
    of("index", {">": 0, "<": 2}), of("class", HERE, count={">=": 2, "<=": 4}), of("class", "dog", {"glob": "D*"}, confidence={">": 0.3, "<": 1}),
    of("class", HERE, confidence={"<=": 1}, count={"<=": 0}), {"not": {"not": of("source", "5")}},
    {"or": [{"and": [of("latency", HERE), of("error", HERE)]}, {"word": "ZZ"}]},
    of("time", {">=": naive.stamp(START + 10 * HOUR), "<": naive.stamp(START + 20 * HOUR)}), of("time", HERE), of("partial", HERE),
    of("picture", False),
]


def check_filter(server, plan):
    rows = expected(server, plan)
    assert listed(server, plan) == rows
    assert whole(server, dict(plan, count={}), "count") == len(rows)


@pytest.mark.parametrize("text, tree", TEXTS, ids=[t for t, _ in TEXTS])
def test_a_filter_as_text_and_as_a_tree(world, text, tree):
    check_filter(world, {"filter": tree})
    assert listed(world, {"filter": text}) == expected(world, {"filter": tree})
    target = f"/api/v1/{world.workspace}/inferences"
    spelled = urllib.parse.urlencode({"filter": text, "limit": 1000})
    assert [one(i) for i in world.get(f"{target}?{spelled}").json()["inferences"]] == expected(world, {"filter": tree})
    counted = world.get(f"{target}/count?{urllib.parse.urlencode({'filter': text})}").json()
    assert counted["count"] == len(expected(world, {"filter": tree})) and counted["incomplete"] == []


@pytest.mark.parametrize("tree", TREES, ids=[json.dumps(t) for t in TREES])
def test_a_filter_that_only_a_tree_can_say(world, tree):
    check_filter(world, {"filter": tree})


def random_tree(rng, depth):
    kind = rng.random()
    if depth and kind < 0.5:
        return {rng.choice(["and", "or"]): [random_tree(rng, depth - 1) for _ in range(rng.randrange(1, 4))]}
    if depth and kind < 0.6:
        return {"not": random_tree(rng, depth - 1)}
    if kind < 0.9:
        return rng.choice([t for _, t in TEXTS if t] + TREES)
    low = rng.choice([0, 0.3, 5, 1])
    return rng.choice([of("confidence", {">=": low}), of("latency", {"<": low}), meta("n", {">": low}),
                       meta(rng.choice(FIELDS), rng.choice(LOOKS), {"text": str(low)})])


@pytest.mark.parametrize("number", range(40))
def test_random_filters(world, number):
    rng = random.Random(f"{SEED} {number}")
    plan = {"filter": random_tree(rng, 3)}
    if rng.random() < 0.5:
        plan["from"] = naive.stamp(START + rng.randrange(40) * HOUR)
    if rng.random() < 0.5:
        plan["to"] = naive.stamp(START + (40 + rng.randrange(40)) * HOUR)
    check_filter(world, plan)


def test_time_ranges_include_from_and_not_to(world):
    times = sorted({r.time for r in world.rows})
    for low, high in [(times[3], times[3]), (times[3], times[3] + 1), (times[0], times[-1]), (times[0], times[-1] + 1), (times[-1] + 1, times[-1] + HOUR)]:
        check_filter(world, {"from": naive.stamp(low), "to": naive.stamp(high)})


def test_partial_records_are_asked_for(world):
    assert not any(p for _, _, _, p in listed(world, {}))
    assert any(p for _, _, _, p in listed(world, {"partial": True}))
    for partial in (True, False):
        check_filter(world, {"partial": partial, "filter": of("model", "coco")})
        check_filter(world, {"partial": partial, "filter": of("partial", True)})


def test_a_list_shows_the_metadata_that_counts(world):
    rows = {(r.id, r.record["model_id"], r.index, r.partial): r for r in world.rows}
    found = whole(world, {"list": {"limit": 1000}, "partial": True}, "inferences")
    assert len(found) == len(rows)
    for i in found:
        wanted = rows[one(i)]
        assert {k: naive.typed(v) for k, v in i["metadata"].items()} == {k: naive.typed(v) for k, v in wanted.metadata.items()}
        assert i["time"] == wanted.record["time"] and i["latency_s"] == wanted.latency and i["error"] == wanted.record.get("error")
        assert [(p["class"], p["confidence"]) for p in i["predictions"]] == [(p["class"], p.get("confidence")) for p in wanted.found]


# --- groups

KEYS = ["model", "model_base", "model_version", "model_name", "device", "source", "source_info", "server", "error", "partial", "picture", "index",
        "detections", "class", "confidence", "metadata.shift", "metadata.mixed", "metadata.n", "metadata.nobody",
        {"key": "time", "width_s": 3600}, {"key": "confidence", "width": 0.1}]
KEYS_ALONE = ["time", "metadata.serial", "metadata.camera location", "metadata.time", {"key": "time", "width_s": 86400, "offset_s": -18000},
              {"key": "time", "width_s": 604800, "offset_s": 3 * 86400}, {"key": "time", "width_s": 1800, "offset_s": 20700},
              {"key": "confidence", "width": 0.001}, {"key": "confidence", "width": 1}, {"key": "confidence", "width": 0.3}]
FEW = ["inferences", "detections", "avg(confidence)", "sum(latency)"]
MANY = [
    "inferences", "errors", "empty", "detections",
    *(f"distinct({x})" for x in ("id", "model", "model_base", "model_version", "model_name", "device", "source", "source_info", "server", "index",
                                 "metadata.mixed", "metadata.serial", "metadata.nobody")),
    *(f"{f}({x})" for x in ("latency", "confidence", "metadata.n", "metadata.mixed", "metadata.nobody") for f in ("sum", "avg", "min", "max")),
    "avg(monitoring_confidence)", "avg(monitoring_latency)", "min(time)", "max(time)",
    *(f"newest({x})" for x in ("model", "model_name", "device", "source", "source_info", "server")),
    *(f"quantile(confidence,{q})" for q in (0, 0.5, 1)), *(f"quantile(latency,{q})" for q in (0.5, 0.95, 0.99)),
    "histogram(confidence)", "histogram(latency)",
]
NOT_BY_CLASS = ["distinct(class)", "sum(detections)", "avg(detections)", "min(detections)", "max(detections)"]
FILTERS = [None, meta("shift", {"text": "night"}), of("class", "dog"), {"not": of("error", HERE)}, meta("nobody", HERE)]


def name_of(key):
    return json.dumps(key) if isinstance(key, dict) else key


@pytest.mark.parametrize("key", [None] + KEYS + KEYS_ALONE, ids=name_of)
def test_every_measure_by_one_key(world, key):
    by = [key] if key else []
    measures = MANY if key == "class" else MANY + NOT_BY_CLASS
    for tree in FILTERS:
        check_groups(world, {"filter": tree, "groups": [{"by": by, "measures": measures, "totals": True}]})


@pytest.mark.parametrize("first", KEYS, ids=name_of)
def test_pairs_of_keys(world, first):
    pairs = [(first, second) for second in KEYS if naive.subject(second) != naive.subject(first)]
    for some in (pairs[:len(pairs) // 2], pairs[len(pairs) // 2:]):
        check_groups(world, {"groups": [{"by": list(pair), "measures": FEW, "limit": 10000} for pair in some]})


def test_the_set_of_statistics(world):
    for by in ([], ["model"], ["model", "class"], ["metadata.shift", "time"]):
        check_groups(world, {"groups": [{"by": by, "measures": ["stats"], "totals": True, "limit": 10000}]})


ORDERS = [["-inferences"], ["inferences"], ["-avg(latency)"], ["avg(latency)"], ["metadata.mixed"], ["-metadata.mixed"], ["-newest(device)", "inferences"],
          ["max(time)"], ["-distinct(id)", "-metadata.mixed"], ["errors", "-detections", "max(time)", "-metadata.mixed"]]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_orders(world, order):
    measures = ["inferences", "avg(latency)", "newest(device)", "max(time)", "distinct(id)", "errors", "detections"]
    for limit in (1, 3, 10000):
        check_groups(world, {"groups": [{"by": ["metadata.mixed"], "measures": measures, "order": order, "limit": limit}]})


TOPS = [
    [{"key": "metadata.mixed", "top": 3}],
    [{"key": "metadata.mixed", "top": 3, "other": False}],
    [{"key": "metadata.mixed", "top": 100}],
    [{"key": "metadata.serial", "top": 2}],
    [{"key": "class", "top": 2}],
    [{"key": "class", "top": 1, "top_by": "detections"}],
    [{"key": "class", "top": 2, "top_by": "avg(confidence)", "other": False}],
    [{"key": "device", "top": 1, "top_by": "max(latency)"}],
    [{"key": "model", "top": 2, "top_by": "distinct(metadata.mixed)"}],
    [{"key": "index", "top": 1}],
    [{"key": "time", "width_s": 21600}, {"key": "metadata.mixed", "top": 4}],
    [{"key": "metadata.mixed", "top": 2}, {"key": "model", "top": 2}],
    [{"key": "class", "top": 2}, {"key": "device", "top": 1}],
    [{"key": "metadata.shift", "top": 1, "other": False}, {"key": "class", "top": 1}],
    [{"key": "class", "top": 2}, "confidence"],
    [{"key": "metadata.nobody", "top": 1}],
]


@pytest.mark.parametrize("by", TOPS, ids=json.dumps)
def test_the_top_and_the_others(world, by):
    measures = [m for m in MANY if not m.startswith("histogram")]
    for tree in FILTERS:
        grouping = {"by": by, "measures": measures, "totals": True, "order": ["-inferences"], "limit": 10000}
        check_groups(world, {"filter": tree, "groups": [grouping]})


@pytest.mark.parametrize("number", range(30))
def test_random_groupings(world, number):
    rng = random.Random(f"{SEED} groups {number}")
    groups = []
    for _ in range(rng.randrange(1, 6)):
        by = rng.sample(KEYS, rng.randrange(3))
        by = by[:1] if len({naive.subject(k) for k in by}) < len(by) else by
        by = [{"key": k, "top": rng.randrange(1, 5), "other": rng.random() < 0.7}
              if isinstance(k, str) and k != "confidence" and rng.random() < 0.3 else k for k in by]
        groups.append({"by": by, "measures": rng.sample(MANY, rng.randrange(1, 12)), "totals": rng.random() < 0.5, "limit": 10000})
    check_groups(world, {"filter": random_tree(rng, 2), "from": naive.stamp(START + rng.randrange(30) * HOUR), "groups": groups})


# --- clicking through: the filter that a group stands for finds the inferences in it

def filter_of(key, value):
    name = naive.subject(key)
    if name == "class":
        return of("class", value) if value is not None else {"not": of("class", HERE)}
    if value is None:
        return {"not": of(name, HERE)}
    if name == "confidence":
        width, last = (0.05, 0.95) if isinstance(key, str) else (key["width"], 1 - key["width"])
        upper = {} if value >= last - 1e-9 else {"<": (round(value * 1000) + round(width * 1000)) / 1000}
        return of(name, dict({">=": value}, **upper))
    if name == "error":
        return of("error", HERE) if value else {"not": of("error", HERE)}
    return of(name, value)


@pytest.mark.parametrize("key", ["model", "device", "source", "server", "error", "index", "detections", "confidence", {"key": "confidence", "width": 0.1},
                                 "metadata.mixed", "metadata.n", "class"], ids=name_of)
def test_the_filter_of_a_group_finds_its_inferences(world, key):
    base = {"not": of("error", HERE)} if key == "class" else {"not": {"word": "nothing at all"}}
    answer, = whole(world, {"filter": base, "groups": [{"by": [key], "measures": ["inferences"]}]}, "answers")
    assert len(answer["rows"]) > 1
    for value, count in answer["rows"]:
        if (key, value) == ("model", "coco"):
            continue  # a model without a version; the filter finds its versions too
        assert whole(world, {"filter": {"and": [base, filter_of(key, value)]}, "count": {}}, "count") == count, value


# --- pages

def pages(server, plan, between=lambda: None, limit=20):
    seen, cursor = [], None
    while True:
        answer = query(server, dict(plan, list={"limit": limit, "cursor": cursor}))
        seen += answer["inferences"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return [one(i) for i in seen]
        assert len(answer["inferences"]) == limit and len(seen) < 100000
        between()


@pytest.mark.parametrize("tree", FILTERS, ids=json.dumps)
def test_pages_are_the_list_in_pieces(world, tree):
    plan = {"filter": tree, "partial": True}
    for limit in (1, 7, 20, 1000):
        assert pages(world, plan, limit=limit) == expected(world, plan)


@pytest.mark.parametrize("name", list(WORLDS))
def test_pages_while_more_comes_in(make_server, name):
    """No row twice, none missed of those that were there at the first page, whatever comes before, between and behind."""
    server, rng = make_server(**WORLDS[name]), random.Random(SEED)
    made = naive.World()
    loader = Loader(server, made, rng)
    for n in range(0, 150, 30):
        loader.ingest([dict(record(rng, i), inference_id=f"first-{i}") for i in range(n, n + 30)])
    first, count = expected(type("", (), {"world": made}), {}), itertools.count()

    def more():
        n = next(count)
        spot = rng.choice([START - HOUR, START + rng.randrange(60) * HOUR, NOW])
        loader.ingest([dict(record(rng, n), inference_id=f"more-{n}-{i}", time=naive.stamp(spot)) for i in range(10)])

    assert pages(server, {}, more) == first
    assert sorted(pages(server, {}, limit=1000)) == sorted(expected(type("", (), {"world": made}), {}))


def test_pages_of_groups(world):
    for grouping in ({"by": ["metadata.serial"], "measures": ["inferences"]}, {"by": ["class", "device"], "measures": FEW, "order": ["-avg(confidence)"]}):
        every, = whole(world, {"groups": [dict(grouping, limit=10000)]}, "answers")
        seen, cursor = [], None
        while True:
            page, = whole(world, {"groups": [dict(grouping, limit=4, cursor=cursor)]}, "answers")
            seen, cursor = seen + page["rows"], page["next_cursor"]
            assert page["groups"] == every["groups"] and len(seen) <= len(every["rows"])
            if cursor is None:
                break
            assert len(page["rows"]) == 4
        assert seen == every["rows"] and every["next_cursor"] is None


def test_pages_of_groups_while_more_comes_in(make_server):
    server, rng = make_server(), random.Random(SEED)
    loader = Loader(server, naive.World(), rng)
    loader.ingest([dict(record(rng, n), device_id=f"d{n % 30}") for n in range(90)])
    grouping, seen, cursor = {"by": ["device"], "measures": ["inferences"]}, [], None
    every, = whole(server, {"groups": [grouping]}, "answers")
    for n in itertools.count(100):
        page, = whole(server, {"groups": [dict(grouping, limit=7, cursor=cursor)]}, "answers")
        seen, cursor = seen + page["rows"], page["next_cursor"]
        if cursor is None:
            break
        assert len(seen) < 100
        loader.ingest([dict(record(rng, n), device_id=f"d{n % 30}"), dict(record(rng, n + 1000), device_id=f"c{n}")])
    assert seen == every["rows"] and len(seen) == 30


# --- facets, fields

FACETS = ["model", "model_name", "device", "source", "source_info", "server", "error", "partial", "picture", "class"] + ["metadata." + f for f in FIELDS]


def check_facet(got, rows, limit):
    of, counts = got["of"], naive.facet_values(rows, got["of"])
    best = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    assert [(naive.typed(t["value"]), t["count"]) for t in got["top"]] == best[:limit], of
    have = [r for r in rows if naive.key_of(of, r, None) != naive.NONE] if of != "class" else [r for r in rows if r.found]
    assert (got["values"], got["inferences"], got["estimated"]) == (len(counts), len(have), False), of
    if of.startswith("metadata."):
        kinds = [naive.typed(r.metadata[of[9:]])[0] for r in have]
        assert got["types"] == {"boolean": kinds.count(0), "number": kinds.count(1), "string": kinds.count(2)}


@pytest.mark.parametrize("tree", FILTERS, ids=json.dumps)
def test_facets(world, tree):
    plan = {"filter": tree, "facets": {}}
    rows = naive.selected(world.world, plan)
    facets = whole(world, plan, "facets")
    present = {f for r in rows for f in r.metadata}
    assert {f["of"] for f in facets} == set(FACETS[:10]) | {"metadata." + f for f in present}
    for f in facets:
        check_facet(f, rows, 10)
    some = {"filter": tree, "facets": {"of": ["metadata.serial", "class", "metadata.nobody"], "limit": 3}}
    facets = whole(world, some, "facets")
    assert [f["of"] for f in facets] == some["facets"]["of"]
    for f in facets:
        check_facet(f, rows, 3)


def test_facets_by_their_route(world):
    path = f"/api/v1/{world.workspace}/facets"
    spelled = {"filter": "model:coco", "fields": ["model", "metadata.shift"], "limit": 2}
    answer = world.get(f"{path}?{urllib.parse.urlencode(spelled, doseq=True)}").json()
    assert answer["facets"] == whole(world, {"filter": "model:coco", "facets": {"of": spelled["fields"], "limit": 2}}, "facets")
    assert world.get(path).json()["facets"] == whole(world, {"facets": {}}, "facets")
    for wrong in ({"fields": "latency"}, {"fields": "shift"}, {"limit": 0}, {"limit": 1001}, {"facet": "model"}):
        assert world.get(f"{path}?{urllib.parse.urlencode(wrong)}").status_code == 400


def test_fields(world):
    answer = world.get(f"/api/v1/{world.workspace}/fields").json()
    rows = naive.selected(world.world, {})
    assert {f["name"] for f in answer["fields"]} == {f for r in rows for f in r.metadata} and answer["incomplete"] == []
    for f in answer["fields"]:
        check_facet(dict(f, of="metadata." + f["name"]), rows, 10)
    order = [(-f["inferences"], f["name"].encode()) for f in answer["fields"]]
    assert order == sorted(order)
    waiting = {i for i, values in world.world.metadata.items() if i not in {r["inference_id"] for r in world.world.records}}
    assert answer["pending"]["ids"] == len(waiting)


def test_fields_keep_their_order(make_server):
    """Most used first, then by name; an inference's by name. A restart numbers them anew and changes none of it."""
    server = make_server(segment_rows=64, seal_idle_s=1)
    fields = ["zone", "Ärmel", "batch", "Zone"]
    records = [{"inference_id": f"i{n}", "model_id": "m/1", "metadata": {f: n for f in fields[:1 + n % 4]}} for n in range(70)]
    records[0]["metadata"] = {"a": 1, "zone": 0}  # the first to come, and the least used
    assert server.post("/api/v1/test/inferences", json=records).status_code == 200
    assert server.delete("/api/v1/test/inferences/i3/metadata/batch").status_code == 200
    for _ in range(3):
        answer = server.get("/api/v1/test/fields").json()["fields"]
        assert [f["name"] for f in answer] == ["zone", "Ärmel", "batch", "Zone", "a"]
        assert [f["inferences"] for f in answer] == [70, 52, 33, 17, 1]
        facets = server.get("/api/v1/test/facets").json()["facets"]
        assert [f["of"] for f in facets][-5:] == ["metadata." + f["name"] for f in answer]
        assert list(server.get("/api/v1/test/inferences/i3").json()["metadata"]) == ["Zone", "zone", "Ärmel"]
        listed = server.get("/api/v1/test/inferences?limit=100").json()["inferences"]
        assert [list(i["metadata"]) for i in listed if i["inference_id"] in ("i0", "i7")] == [["Zone", "batch", "zone", "Ärmel"], ["a", "zone"]]
        server.restart()


# --- statistics

def test_statistics(world):
    low, high = START + 20 * HOUR, START + 45 * HOUR
    spelled = {"from": naive.stamp(low), "to": naive.stamp(high), "bucket": 7200, "filter": "-shift:night"}
    got = world.get(f"/api/v1/{world.workspace}/stats?{urllib.parse.urlencode(spelled)}").json()
    tree = {"not": meta("shift", {"text": "night"})}
    now = naive.selected(world.world, {"from": naive.stamp(low), "to": naive.stamp(high), "filter": tree})
    before = naive.selected(world.world, {"from": naive.stamp(2 * low - high), "to": naive.stamp(low), "filter": tree})
    assert got["incomplete"] == []
    for name, rows in (("current", now), ("previous", before)):
        wanted = dict(zip(naive.STATS, naive.groups(rows, {"measures": ["stats"]})["rows"][0]))
        for count in naive.COUNTS:
            assert got[name][count] == wanted[count]
        for path, measure in ((("monitoring", "avg_confidence"), "avg(monitoring_confidence)"),
                              (("monitoring", "avg_response_time"), "avg(monitoring_latency)"),
                              (("per_inference", "avg_confidence"), "avg(confidence)"), (("per_inference", "avg_latency_s"), "avg(latency)"),
                              (("median_confidence",), "quantile(confidence,0.5)"), (("latency_p50_s",), "quantile(latency,0.5)"),
                              (("latency_p95_s",), "quantile(latency,0.95)"), (("latency_p99_s",), "quantile(latency,0.99)")):
            value = got[name]
            for step in path:
                value = value[step]
            assert close(measure, value, wanted[measure]), (name, measure)
    by_time = {"by": [{"key": "time", "width_s": 7200}], "measures": ["inferences", "errors", "detections", "avg(confidence)", "avg(latency)"]}
    series = naive.groups(now, by_time)["rows"]
    shown = {naive.micros(s["time"]): [s[k] for k in ("inferences", "errors", "detections", "avg_confidence", "avg_latency_s")] for s in got["series"]}
    for (_, begin), *cells in series:
        assert shown.pop(begin) == pytest.approx(cells, rel=1e-9)
    assert all(v == [0, 0, 0, None, None] for v in shown.values())
    models = {m["model_id"]: m for m in got["models"]}
    by_class = naive.groups(now, {"by": ["model", "class"], "measures": ["detections"]})["rows"]
    for (_, model), count in [(row[0], row[1]) for row in naive.groups(now, {"by": ["model"], "measures": ["inferences"]})["rows"]]:
        m = models[model.decode()]
        classes = sorted(((-n, c[1].decode()) for k, c, n in by_class if k == (2, model) and c != naive.NONE))
        assert m["inferences"] == count and [(-c["detections"], c["class"]) for c in m["classes"]] == classes
    assert [m["inferences"] for m in got["models"]] == sorted((m["inferences"] for m in got["models"]), reverse=True)


# --- what is wrong, and what takes too long

@pytest.mark.parametrize("body, pointer", [
    ([], ""), ({}, ""), ({"count": {}, "list": {}}, ""), ({"count": {}, "nonsense": 1}, "/nonsense"), ({"count": {}, "from": "yesterday"}, "/from"),
    ({"count": {}, "filter": {"and": [{"field": "model", "any": [5]}]}}, "/filter/and/0/any/0"),
    ({"groups": [{"measures": ["inferences", "median(latency)"]}]}, "/groups/0/measures/1"),
    ({"groups": [{"by": ["class"], "measures": ["avg(detections)"]}]}, "/groups/0/measures/0"), ({"list": {"limit": 1001}}, "/list/limit"),
    ({"groups": [{"by": [{"key": "time", "width_s": 0}], "measures": ["inferences"]}]}, "/groups/0/by/0/width_s"),
    ({"facets": {"of": ["latency"]}}, "/facets/of/0"),
])
def test_what_is_wrong_is_named(world, body, pointer):
    answer = query(world, body, 400)
    assert answer["pointer"] == pointer and answer["expected"] in answer["error"] and (pointer or "the plan") in answer["error"]


def test_bad_bodies(world):
    path = f"/api/v1/{world.workspace}/query"
    for body in (b"", b"{", b'{"count": {}, "count": {}}', b'{"count": {}}x', b"\xff", b"[" * 5000):
        answer = world.post(path, data=body)
        assert answer.status_code == 400 and "JSON" in answer.json()["error"]
    assert query(world, {"count": {}, "filter": "a:b c<d"}, 400)["position"] == 6
    assert world.post(path + "?limit=5", json={"count": {}}).status_code == 400
    assert world.post(path, json={"count": {}, "filter": "x" * 70000}).status_code == 413
    assert world.post(path, json={"count": {}}, anonymous=True).status_code == 401
    assert world.post(path, json={"count": {}, "api_key": world.key}, anonymous=True).status_code == 200
    assert world.post(path, data=b"{", anonymous=True).status_code == 401
    assert world.get(path).status_code == 405


# Long in its rows, not in what is made of the groups at the end.
HEAVY = {"groups": [{"by": ["class"], "measures": [m for m in MANY if "quantile" not in m and "histogram" not in m]} for _ in range(16)]}


@pytest.fixture(scope="module")
def large(fleet):
    server = fleet.make(query_threads=1, slow_query_ms=0, segment_rows=512)
    for batch in range(100):
        items = [{"inference_id": f"{batch}-{n}", "model_id": "m/1", "latency_s": n / 1000, "metadata": {"serial": f"{n % 700}"},
                  "predictions": [{"class": f"c{n % 5}", "confidence": 0.5}] * 3} for n in range(500)]
        assert server.post("/api/v1/test/inferences", json=items).status_code == 200
    return server


def timed(server, plan):
    began = time.monotonic()
    query(server, plan)
    return time.monotonic() - began


def test_a_query_has_a_deadline(large):
    took = min(timed(large, HEAVY) for _ in range(3))
    answer = query(large, dict(HEAVY, timeout_s=max(0.001, round(took / 20, 3))), 503)
    assert "too long" in answer["error"]


def test_a_query_has_bounded_memory(make_server):
    server = make_server(query_memory="1M")
    items = [{"inference_id": f"{n}", "model_id": "m/1", "metadata": {"serial": f"serial number {n}"}} for n in range(30000)]
    assert server.post("/api/v1/test/inferences", json=items).status_code == 200
    answer = query(server, {"groups": [{"by": ["metadata.serial"], "measures": ["stats"]}]}, 422)
    assert "memory" in answer["error"]
    assert query(server, {"groups": [{"by": ["model"], "measures": ["stats"]}]})["answers"][0]["groups"] == 1


def test_a_query_stops_when_its_client_is_gone(large):
    """One thread answers, in turn; the log tells what was begun and how it ended."""
    took = min(timed(large, HEAVY) for _ in range(3))
    body = json.dumps(HEAVY).encode()
    head = f"POST /api/v1/test/query?api_key={large.key} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def leave(count, after):
        clients = [large.connect() for _ in range(count)]
        for c in clients:
            c.sendall(head + body)
        time.sleep(after)
        for c in clients:
            c.close()

    def begun():
        return large.log().count("event=slow_query")

    def stopped():
        return large.log().count('error="the client is gone"')

    before = begun()
    leave(20, 0)  # before their turn
    query(large, {"count": {}})  # comes to it behind them
    assert begun() < before + 20
    before = stopped()
    for part in range(1, 100):  # in the middle of it
        leave(1, took * (part % 10) / 10)
        query(large, {"count": {}})
        if stopped() > before:
            return
    pytest.fail("no query was stopped")


def test_slow_questions_are_logged_with_their_plan(make_server):
    quick, slow = make_server(slow_query_ms=3600000), make_server(slow_query_ms=0)
    for server in (quick, slow):
        query(server, {"filter": 'metadata."a b":"c\n\\"d"', "groups": [{"by": ["model"], "measures": ["inferences"]}]})
        server.get("/api/v1/test/stats?filter=model:x")
    assert "slow_query" not in quick.log()
    lines = re.findall(r"event=slow_query request=\w{16} workspace=test ms=[\d.]+ error=\"\" plan=(\".*\")$", slow.log(), re.M)
    assert len(lines) == 3  # stats are two plans
    plan = json.loads(json.loads(lines[0]))
    assert plan["filter"] == meta("a b", {"text": 'c\n"d'}) and plan["groups"][0]["by"] == ["model"]


def damage_column(data):
    """A number of the metadata field `n`, found when it is first looked at."""
    data[data.index(struct.pack("<2d", 70, 71)) + 6] ^= 1


def damage_all(data):
    """So much that it can't be opened at all: what it held, the manifest knows."""
    for at in range(len(data) // 4, len(data) * 3 // 4, 64):
        data[at] ^= 1


@pytest.mark.parametrize("damage", [damage_column, damage_all])
def test_what_cannot_be_read_is_told(make_server, damage):
    """One damaged segment: every answer is of the rest, and names the gap."""
    server = make_server(segment_rows=64, seal_idle_s=1)
    records = [{"inference_id": f"i{n}", "model_id": "m/1", "time": naive.stamp(START + n * 10 ** 6), "metadata": {"n": n},
                "predictions": [{"class": "a", "confidence": 0.5}]} for n in range(256)]
    for at in range(0, 256, 64):
        assert server.post("/api/v1/test/inferences", json=records[at:at + 64]).status_code == 200
    wait_for(lambda: segments(server) >= 4, 30, "sealing")
    assert server.stop() == 0
    path = next(p for p in server.data.glob("workspaces/*/segments/*.arrow") if struct.pack("<2d", 70, 71) in p.read_bytes())
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    server.start()
    rest = [r["inference_id"] for r in records[:64] + records[128:]]
    answer = query(server, {"filter": "n>=0 class:a", "count": {}})
    gap, = answer["incomplete"]
    assert answer["count"] == 192
    assert gap == {"from": records[64]["time"], "to": records[127]["time"], "inferences": 64, "segment": int(path.name.split(".")[0])}
    listed = query(server, {"list": {"limit": 1000}})
    assert [i["inference_id"] for i in listed["inferences"]] == rest[::-1] and listed["incomplete"] == [gap]
    groups = query(server, {"groups": [{"by": ["class"], "measures": ["inferences", "max(metadata.n)"], "totals": True}]})
    assert groups["answers"][0]["rows"][0][1] == 192 and groups["incomplete"] == [gap]
    for route in ("inferences", "inferences/count", "fields", "facets", "inferences/i70"):
        assert server.get(f"/api/v1/test/{route}").json()["incomplete"] == [gap], route
    stats = server.get(f"/api/v1/test/stats?from={naive.stamp(START - HOUR)}&to={naive.stamp(START + HOUR)}").json()
    assert stats["current"]["inferences"] == 192 and stats["incomplete"] == [gap]
    assert query(server, {"from": records[-1]["time"], "count": {}})["incomplete"] == []


# --- what docs/query.md says

DOCUMENT = (TOP / "docs" / "query.md").read_text()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCUMENT, re.M | re.S)


@pytest.mark.parametrize("text", blocks("json"))
def test_a_plan_of_the_document(world, text):
    query(world, json.loads(text))


@pytest.mark.parametrize("text", [line for block in blocks("filter") for line in block.splitlines()])
def test_a_filter_of_the_document(world, text):
    query(world, {"filter": text, "count": {}})


def test_the_document_names_every_column_and_measure():
    for word in KEYS + MANY + FACETS + ["stats"]:
        if isinstance(word, str) and not word.startswith("metadata."):
            name = re.sub(r"\((.*)\)", "(x)", word).split("(")
            assert f"`{name[0]}`" in DOCUMENT or f"`{name[0]}(" in DOCUMENT, word
