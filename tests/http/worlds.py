"""The records that test_query_api.py asks about, and the worlds they are put into: servers with other settings, so that
the same records lie elsewhere. Everything comes in by ingest and attach, as it would with another engine behind them.

SIGHTGLASS_SEED=n makes other records.
"""
import os
import random
import time
import urllib.parse

import naive
from conftest import wait_for

SEED = int(os.environ.get("SIGHTGLASS_SEED", "3"))
WORLDS = {
    "open": {},
    "sealed": {"segment_rows": 64, "fold_share": 10000, "seal_idle_s": 1000000},
    "folded": {"segment_rows": 48, "fold_share": 1, "seal_idle_s": 1},
}
HOUR = 3600 * 10 ** 6
NOW = int(time.time()) * 10 ** 6
START = NOW - 60 * HOUR - NOW % HOUR
MODELS = ["coco/24", "coco/25", "cards/1", "yolo", "a/b/3", "coco"]
LOOKS = ["5", 5, 5.0, "5.0", " 5", "05", True, "true", False, "false", "", "null", "1e1", 10, "-0.5", -0.5, "naïve", "ZZ", "canada", "A12", "A1*",
         "xA1"]
FIELDS = ["shift", "serial", "n", "mixed", "camera location", "Shift", "metadata.n", "time"]


# --- the records

def prediction(rng):
    d = {"class": rng.choice(["bottle", "cap", "dog", "Dog", "a b", "ü"])}
    if rng.random() < 0.9:
        d["confidence"] = rng.choice([round(rng.random(), 3), rng.random(), 0, 1, 0.3, 0.05, 0.95])
    return d


def value_for(rng, field, n):
    if field == "serial":
        return f"SN-{n:04d}"
    if field == "n":
        return rng.choice([rng.randrange(5), rng.random() * 100, str(rng.randrange(5)), "not a number"])
    if field in ("shift", "Shift"):
        return rng.choice(["early", "late", "night"])
    return rng.choice(LOOKS)


def record(rng, n):
    found = [prediction(rng) for _ in range(rng.choice([0, 0, 1, 1, 2, 5]))]
    r = {"inference_id": f"id-{n:03d}", "model_id": rng.choice(MODELS), "predictions": found}
    second = START + n * 400 * 10 ** 6 + rng.choice([0, 0, 10 ** 6, rng.randrange(10 ** 9), -30 * HOUR])
    r["time"] = naive.stamp(second)
    optional = {
        "latency_s": lambda: rng.choice([0.25, 0, rng.random(), 10 ** rng.uniform(-5, 3)]),
        "device_id": lambda: rng.choice(["cam 1", "cam 2", "cam 10"]),
        "source": lambda: rng.choice(["line1", "5"]),
        "source_info": lambda: "south",
        "server_id": lambda: rng.choice(["s1", "s2", "s3"]),
        "model_name": lambda: rng.choice(["CenterNet", "YOLO"]),
        "error": lambda: rng.choice(["no frame", "out of memory"]),
    }
    for name, make in optional.items():
        if rng.random() < (0.1 if name == "error" else 0.7):
            r[name] = make()
    if rng.random() < 0.6:
        r["metadata"] = {f: value_for(rng, f, n) for f in rng.sample(FIELDS, rng.randrange(1, 6))}
    return r


def family(rng, n):
    """One record, or several under one id: images of a batch, models, a partial one with or without its complete one."""
    one = record(rng, n)
    kind = rng.choice(["one"] * 6 + ["images", "models", "partial", "both"])
    if kind == "images":
        return [dict(record(rng, n), model_id=one["model_id"], index=i) for i in range(rng.randrange(2, 5))]
    if kind == "models":
        return [dict(record(rng, n), model_id=m) for m in rng.sample(MODELS, 3)]
    if kind == "partial":
        return [dict(one, partial=True)]
    return [dict(one, partial=True), dict(record(rng, n), model_id=one["model_id"])] if kind == "both" else [one]


class Loader:
    """Tells the server and the naive world the same."""

    def __init__(self, server, world, rng):
        self.server, self.world, self.rng = server, world, rng

    def ingest(self, records):
        for r in records:
            self.world.add(r)
        answer = self.server.post(f"/api/v1/{self.server.workspace}/inferences", json=records)
        assert answer.status_code == 200 and {r["status"] for r in answer.json()["results"]} == {"created"}, answer.text

    def attach(self, n):
        field = self.rng.choice(FIELDS)
        value = None if self.rng.random() < 0.2 else value_for(self.rng, field, n)
        self.world.attach(f"id-{n:03d}", field, value)
        path = f"/api/v1/{self.server.workspace}/inferences/id-{n:03d}/metadata/{urllib.parse.quote(field)}"
        answer = self.server.delete(path) if value is None else self.server.put(path, json={"value": value})
        assert answer.status_code == 200, answer.text


def segments(server):
    return len(list(server.data.glob("workspaces/*/segments/*.arrow")))


def load(server, world, rng, sealed):
    """In three parts, so that what is attached meets records in every place, and records join metadata that waits."""
    loader = Loader(server, world, rng)
    families = [family(rng, n) for n in range(330)]
    for part in (range(0, 180), range(180, 300), range(300, 330)):
        for n in rng.sample(range(max(0, part.start - 100), part.stop), 60):
            loader.attach(n)
        pieces = [p for n in part for p in families[n]]
        late = [pieces.pop(rng.randrange(len(pieces))) for _ in range(len(pieces) // 10)]
        for at in range(0, len(pieces), 37):
            loader.ingest(pieces[at:at + 37])
        if sealed and part.start < 300:
            wait_for(lambda: segments(server) >= (2 if part.start == 0 else 4), 60, "sealing")
        loader.ingest(late)
        for n in rng.sample(range(part.stop), 60):
            loader.attach(n)
