"""The questions, in each engine's language, and whether an answer is right.

W3: per model and class the number of detections and the mean of confidence and latency over them, in the later 45 of
the 90 days and in the 45 before; with quantiles, also the median confidence and the 95th percentile of the latency."""

import datetime
import json
import math

from process import Failure

# name in the truth, in our filter language, as SQL over PostgreSQL's tables and over DuckDB's columns
FILTERS = {
    "all": ("", "", ""),
    "canada": ("camera_location:canada", "m.field = 1 AND m.value = 'canada'", "camera_location = 'canada'"),
    "line-1": ("line:line-1", "m.field = 2 AND m.value = 'line-1'", "line = 'line-1'"),
    "not-canada": ("-camera_location:canada",
                   "NOT EXISTS (SELECT FROM meta m WHERE m.id = ev.id AND m.field = 1 AND m.value = 'canada')",
                   "camera_location IS DISTINCT FROM 'canada'"),
    "correct": ("review:correct", "m.field = 20 AND m.value = 'correct'", "review = 'correct'"),
}


def when(us):
    return datetime.datetime.fromtimestamp(us / 1e6, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def halves(data):
    middle = data.end_us - data.half_us
    return {"now": (middle, data.end_us), "before": (middle - data.half_us, middle)}


# ---- Sightglass ----

def our_query(name, quantiles, first_us, last_us):
    measures = ["inferences", "detections", "avg(confidence)", "avg(monitoring_latency)"]
    if quantiles:
        measures += ["quantile(confidence,0.5)", "quantile(latency,0.95)"]
    plan = {"from": when(first_us), "to": when(last_us),
            "groups": [{"by": ["model", "class"], "measures": measures, "limit": 10000}]}
    if FILTERS[name][0]:
        plan["filter"] = FILTERS[name][0]
    return ("POST", "/api/v1/bench/query", json.dumps(plan), '"answers"')


def our_groups(line):
    """{(model, class): (detections, mean confidence, mean latency, median, 95th percentile)}"""
    answer = json.loads(line)
    if answer.get("incomplete"):
        raise Failure(f"Sightglass left out {answer['incomplete']}")
    groups = {}
    for model, klass, _, detections, confidence, latency, *quantiles in answer["answers"][0]["rows"]:
        if klass is not None:
            groups[model, klass] = (detections, confidence, latency, *quantiles)
    return groups


# ---- SQL ----

def sql(engine, name, quantiles, data):
    """One statement for both halves."""
    halves_of = halves(data)
    first, middle, last = halves_of["before"][0], halves_of["now"][0], halves_of["now"][1]
    where = FILTERS[name][1 if engine == "postgresql" else 2]
    time = "ev.ts" if engine == "postgresql" else "time_us"
    latency = "latency" if engine == "postgresql" else "latency_s"
    tables = "ev"
    if engine == "postgresql" and where.startswith("m."):
        tables = "meta m JOIN ev USING (id)"
    more = ""
    if quantiles and engine == "postgresql":
        more = (", percentile_cont(0.5) WITHIN GROUP (ORDER BY confidence),"
                " percentile_cont(0.95) WITHIN GROUP (ORDER BY latency)")
    elif quantiles:
        more = ", quantile_cont(confidence, 0.5), quantile_cont(latency_s, 0.95)"
    return f"""SELECT model, class, now, count(*), avg(confidence), avg({latency}){more} FROM
        (SELECT model, {latency}, {time} >= {middle} AS now, unnest(classes) AS class, unnest(confidences) AS confidence
         FROM {tables} WHERE {time} >= {first} AND {time} < {last}{" AND " + where if where else ""}) t
        GROUP BY model, class, now"""


def sql_groups(rows, data):
    groups = {"now": {}, "before": {}}
    models, classes = data.truth["models"], data.truth["classes"]
    for model, klass, now, count, *numbers in rows:
        half = "now" if now in (True, "t", "true") else "before"
        groups[half][models[int(model)], classes[int(klass)]] = (int(count), *(float(n) for n in numbers))
    return groups


# ---- the truth ----

def check_groups(engine, name, half, groups, data):
    """Counts and means must be exact, medians within a thousandth; the 95th percentile within 1.5 %, where SQL takes it
    over detections (their number is independent of the latency) within 5 %."""
    want = {(model, klass): row for model, klass, *row in data.truth["filters"][name][half]["groups"] if klass}

    def wrong(key, what, value, right):
        raise Failure(f"{engine}, {name}, {half}: {key} has {what} {value}, want {right}")

    if set(groups) != set(want):
        raise Failure(f"{engine}, {name}, {half}: {len(groups)} groups, want {len(want)}")
    for key, (_, detections, confidence, latency, median, p95) in want.items():
        count, mean_confidence, mean_latency, *quantiles = groups[key]
        if count != detections:
            wrong(key, "detections", count, detections)
        for what, value, right in (("mean confidence", mean_confidence, confidence / 1e4 / detections),
                                   ("mean latency", mean_latency, latency / 1e3 / detections)):
            if not math.isclose(value, right, rel_tol=1e-9):
                wrong(key, what, value, right)
        if quantiles and detections >= 1000:
            if abs(quantiles[0] - median / 1e4) > 0.004:
                wrong(key, "median confidence", quantiles[0], median / 1e4)
            if abs(quantiles[1] / (p95 / 1e3) - 1) > (0.02 if engine == "sightglass" else 0.05):
                wrong(key, "95th percentile of latency", quantiles[1], p95 / 1e3)
    return sum(row[0] for row in groups.values())
