"""What a plan (docs/query.md) asks of a list of records, worked out one row at a time: the other half of
test_query_api.py. It knows nothing of the program but its documents, and takes filters as trees only.

    world = World(); world.add(record, ...), world.attach(id, field, value), world.rows()
    answer(rows, plan) -> the members of the program's answer that don't depend on the clock
"""
import datetime
import json
import math
import struct

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
COUNTS = ("inferences", "errors", "empty", "detections")
STATS = ["inferences", "errors", "empty", "detections", "avg(monitoring_confidence)", "avg(monitoring_latency)", "avg(confidence)", "avg(latency)",
         "max(time)", "newest(model_name)", "quantile(confidence,0.5)", "quantile(latency,0.5)", "quantile(latency,0.95)", "quantile(latency,0.99)"]
TEXTS = {"model": "model_id", "model_name": "model_name", "device": "device_id", "source": "source", "source_info": "source_info", "server": "server_id"}
OTHER, NONE = "other", "none"  # keys are tuples (kind, ...), these stand alone


def micros(text):
    return (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH) // datetime.timedelta(microseconds=1)


def stamp(us):
    return (EPOCH + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class World:
    """Records as they were sent, in that order, and what was attached; metadata belongs to the id."""

    def __init__(self):
        self.records, self.metadata = [], {}

    def add(self, record):
        same = [r for r in self.records if all(r.get(k) == record.get(k) for k in ("inference_id", "model_id", "partial"))
                and r.get("index", 0) == record.get("index", 0)]
        assert not same, "records here are sent once"
        self.records.append(record)
        for field, value in record.get("metadata", {}).items():
            self.attach(record["inference_id"], field, value)

    def attach(self, inference_id, field, value):
        values = self.metadata.setdefault(inference_id, {})
        if value is None:
            values.pop(field, None)
        else:
            values[field] = value

    def rows(self):
        whole = {(r["inference_id"], r["model_id"], r.get("index", 0)) for r in self.records if not r.get("partial")}
        for seq, r in enumerate(self.records):
            if not r.get("partial") or (r["inference_id"], r["model_id"], r.get("index", 0)) not in whole:
                yield Row(r, self.metadata.get(r["inference_id"], {}), seq)


class Row:
    def __init__(self, record, metadata, seq):
        self.record, self.metadata, self.seq = record, dict(metadata), seq
        self.id, self.time = record["inference_id"], micros(record["time"])
        self.partial, self.failed = bool(record.get("partial")), bool(record.get("error"))
        self.found = record.get("predictions") or []
        self.index, self.latency = record.get("index", 0), record.get("latency_s")
        known = [d["confidence"] for d in self.found if d.get("confidence") is not None]
        self.top = max(known) if known else None

    def text(self, column):
        return self.record.get(TEXTS[column])


# --- values

def number_of(text):
    """The whole text as a JSON number, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    same = isinstance(value, (int, float)) and not isinstance(value, bool) and text == text.strip() and math.isfinite(value)
    return float(value) if same else None


def as_number(value):
    if isinstance(value, bool) or value is None:
        return None
    return number_of(value) if isinstance(value, str) else float(value)


def typed(value):
    """A value as something that tells 1 from "1" and from True, in the order that answers have."""
    if isinstance(value, bool):
        return (0, value)
    return (2, value.encode()) if isinstance(value, str) else (1, float(value))


# --- filters

def in_range(limits, value, read=float):
    tests = {">": lambda v, x: v > x, ">=": lambda v, x: v >= x, "<": lambda v, x: v < x, "<=": lambda v, x: v <= x}
    return all(tests[op](value, read(x)) for op, x in limits.items())


def glob(pattern, text):
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    text = text[len(first):]
    for piece in rest[:-1]:
        at = text.find(piece)
        if at < 0:
            return False
        text = text[at + len(piece):]
    return text.endswith(rest[-1])


def match_typed_text(text, value):
    if isinstance(value, bool):
        return text == ("true" if value else "false")
    return value == text if isinstance(value, str) else number_of(text) == value


def match_metadata(match, value):
    if value is None:
        return False
    if not isinstance(match, dict):
        return typed(match) == typed(value)
    if "present" in match:
        return True
    if "text" in match:
        return match_typed_text(match["text"], value)
    if "glob" in match:
        return isinstance(value, str) and glob(match["glob"], value)
    number = as_number(value)
    return number is not None and in_range(match, number)


def match_text(match, text, model=False):
    if text is None:
        return False
    if isinstance(match, dict) and "present" in match:
        return True
    if isinstance(match, dict) and "glob" in match:
        return glob(match["glob"], text)
    wanted = match["text"] if isinstance(match, dict) else match
    return text == wanted or model and text.rpartition("/")[0] == wanted and "/" in text


def match_number(match, value, read=float):
    if value is None:
        return False
    if isinstance(match, dict):
        return "present" in match or in_range(match, value, read)
    return value == read(match)


def match_class(test, row):
    count = 0
    for d in row.found:
        if any(match_text(m, d["class"]) for m in test["any"]):
            confidence = d.get("confidence")
            count += "confidence" not in test or confidence is not None and in_range(test["confidence"], confidence)
    return in_range(test.get("count", {">=": 1}), count)


def match_test(test, row):
    field, wanted = test["field"], test["any"]
    if field.startswith("metadata."):
        return any(match_metadata(m, row.metadata.get(field[9:])) for m in wanted)
    if field == "class":
        return match_class(test, row)
    if field in TEXTS and field != "model_name":
        return any(match_text(m, row.text(field), field == "model") for m in wanted)
    if field in ("id", "error"):
        return any(match_text(m, row.id if field == "id" else row.record.get("error")) for m in wanted)
    if field in ("partial", "picture"):
        value = row.partial if field == "partial" else False
        return any(value == (True if isinstance(m, dict) else m) for m in wanted)
    if field == "time":
        return any(match_number(m, row.time, micros) for m in wanted)
    if field == "detections":
        return any(len(row.found) > 0 if isinstance(m, dict) and "present" in m else match_number(m, len(row.found)) for m in wanted)
    value = {"confidence": row.top, "latency": row.latency, "index": row.index}[field]
    return any(match_number(m, value) for m in wanted)


def holds(tree, row):
    if tree is None:
        return True
    if "and" in tree:
        return all(holds(t, row) for t in tree["and"])
    if "or" in tree:
        return any(holds(t, row) for t in tree["or"])
    if "not" in tree:
        return not holds(tree["not"], row)
    if "word" in tree:
        return row.id == tree["word"] or any(match_typed_text(tree["word"], v) for v in row.metadata.values())
    return match_test(tree, row)


def mentions_partial(tree):
    if tree is None or "word" in tree:
        return False
    children = tree.get("and") or tree.get("or") or ([tree["not"]] if "not" in tree else [])
    return tree.get("field") == "partial" or any(map(mentions_partial, children))


# --- keys: a key's value is NONE, or a tuple that sorts as answers do

def subject(key):
    return key if isinstance(key, str) else key["key"]


def bucket(key, time):
    width, offset = key.get("width_s", 3600) * 10 ** 6, key.get("offset_s", 0) * 10 ** 6
    return (time + offset) // width * width - offset


def bin_of(key, confidence):
    width = round((key.get("width", 0.05) if isinstance(key, dict) else 0.05) * 1000)
    count = -(-1000 // width)
    return max([0] + [k * width / 1000 for k in range(count) if confidence >= k * width / 1000])


def key_of(key, row, detection):
    name = subject(key)
    model = row.text("model")
    if name == "time":
        return (1, bucket(key if isinstance(key, dict) else {}, row.time))
    if name == "class":
        return typed(detection["class"]) if detection else NONE
    if name == "confidence":
        value = row.top if detection is None else detection.get("confidence")
        return NONE if value is None else typed(bin_of(key, value))
    if name.startswith("metadata."):
        value = row.metadata.get(name[9:])
    elif name == "model_base":
        value = model.rpartition("/")[0] if "/" in model else model
    elif name == "model_version":
        value = model.rpartition("/")[2] if "/" in model else None
    elif name in TEXTS:
        value = row.text(name)
    else:
        value = {"error": row.failed, "partial": row.partial, "picture": False, "index": row.index, "detections": len(row.found)}[name]
    return NONE if value is None or value == "" and not name.startswith("metadata.") else typed(value)


# --- measures of a group: rows, and of each the detections that count there

class Group(dict):
    """seq -> (row, detections)"""

    def __init__(self, by_class=False):
        super().__init__()
        self.by_class = by_class

    def put(self, row, detections):
        self.setdefault(row.seq, (row, []))[1].extend(detections)

    @property
    def rows(self):
        return [row for row, _ in self.values()]

    @property
    def good(self):
        return [(row, found) for row, found in self.values() if not row.failed]

    def confidences(self):
        if self.by_class:
            return [d["confidence"] for _, found in self.good for d in found if d.get("confidence") is not None]
        return [row.top for row, _ in self.good if row.top is not None]

    def numbers(self, name):
        if name == "confidence":
            return self.confidences()
        if name == "latency":
            return [row.latency for row, _ in self.good if row.latency is not None]
        if name == "detections":
            return [float(len(found)) for _, found in self.good]
        if name == "time":
            return [row.time for row in self.rows]
        if name == "monitoring_confidence":
            return [d.get("confidence") or 0 for _, found in self.good for d in found or [{}]]
        if name == "monitoring_latency":
            return [row.latency or 0 for row, found in self.good for _ in found or [0]]
        values = [as_number(row.metadata.get(name[9:])) for row in self.rows]
        return [v for v in values if v is not None]

    def distinct(self, name):
        if name == "class":
            return {d["class"] for row, _ in self.good for d in row.found}
        if name == "id":
            return {row.id for row in self.rows}
        return {key_of(name, row, None) for row in self.rows} - {NONE}

    def newest(self, name):
        rows = [r for r in self.rows if r.text(name)]
        return max(rows, key=lambda r: (r.time, r.seq)).text(name) if rows else None

    def count(self, name):
        return {"inferences": len(self), "errors": sum(r.failed for r in self.rows), "empty": sum(not r.found for r, _ in self.good),
                "detections": sum(len(found) for _, found in self.good)}[name]


def quantile(values, q):
    values = sorted(values)
    if not values:
        return None
    at = q * (len(values) - 1)
    low = int(at)
    return values[low] + (at - low) * (values[min(low + 1, len(values) - 1)] - values[low])


def latency_bin(seconds):
    if not seconds > 0:
        return 0
    bits = struct.unpack("<q", struct.pack("<d", seconds))[0] >> 46
    return min(max(bits - ((1023 - 20) << 6), 0), 37 * 64 - 1)


def histogram(name, values):
    counts = {}
    for v in values:
        b = min(int(max(v, 0) * 1000 + 0.5), 1000) if name == "confidence" else latency_bin(v)
        counts[b] = counts.get(b, 0) + 1
    middle = (lambda b: b / 1000) if name == "confidence" else (lambda b: math.ldexp(1 + (b % 64 + 0.5) / 64, -20 + b // 64))
    return [[middle(b), n] for b, n in sorted(counts.items())]


def measure(name, group):
    if name in COUNTS:
        return group.count(name)
    function, _, of = name[:-1].partition("(")
    if function == "quantile":
        of, _, q = of.rpartition(",")
        return quantile(group.numbers(of), float(q))
    if function == "distinct":
        return len(group.distinct(of))
    if function == "newest":
        return group.newest(of)
    values = group.numbers(of)
    if function == "histogram":
        return histogram(of, values)
    if function == "sum":
        return math.fsum(values)
    if not values:
        return None
    if function == "avg":
        return math.fsum(values) / len(values)
    value = min(values) if function == "min" else max(values)
    return stamp(value) if of == "time" else value


# --- groupings

def entries_of(rows, keys):
    """(row, the detection that counts or None, the keys' values)"""
    if "class" not in map(subject, keys):
        return [(row, None, tuple(key_of(k, row, None) for k in keys)) for row in rows]
    return [(row, d, tuple(key_of(k, row, d) for k in keys)) for row in rows if not row.failed for d in row.found or [None]]


def collect(entries, by_class):
    groups = {}
    for row, detection, values in entries:
        found = ([detection] if detection else []) if by_class else row.found
        groups.setdefault(values, Group(by_class)).put(row, found)
    return groups


def top_values(rows, key):
    """The values of a key that are not "other"; None: all of them."""
    if isinstance(key, str) or "top" not in key:
        return None
    by = key.get("top_by", "inferences")
    score = {v: measure(by, g) for (v,), g in collect(entries_of(rows, [key]), subject(key) == "class").items() if v != NONE}
    return set(sorted(score, key=lambda v: (score[v] is None, -(score[v] or 0), v))[:key["top"]])


def groups_of(rows, grouping):
    keys = grouping.get("by", [])
    best, entries = [top_values(rows, k) for k in keys], []
    for row, detection, values in entries_of(rows, keys):
        rest = [b is not None and v != NONE and v not in b for v, b in zip(values, best)]
        if not any(r and not k.get("other", True) for r, k in zip(rest, keys)):
            entries.append((row, detection, tuple(OTHER if r else v for v, r in zip(values, rest))))
    return collect(entries, "class" in map(subject, keys)) or ({} if keys else {(): Group()})


def measures_of(grouping):
    return [m for name in grouping["measures"] for m in (STATS if name == "stats" else [name])]


class Backwards:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return other.value < self.value

    def __eq__(self, other):
        return other.value == self.value


def key_rank(value, descending):
    return (2,) if value == OTHER else (1,) if value == NONE else (0, Backwards(value) if descending else value)


def cell_rank(value, descending):
    if value is None:
        return (1,)
    value = value.encode() if isinstance(value, str) else value
    return (0, Backwards(value) if descending else value)


def groups(rows, grouping):
    keys, names = grouping.get("by", []), measures_of(grouping)
    found = [(k, [measure(m, g) for m in names]) for k, g in groups_of(rows, grouping).items()]
    columns = [subject(k) for k in keys] + names

    def order(one):
        parts = []
        for name in grouping.get("order", []):
            descending, name = name.startswith("-"), name.lstrip("-")
            at = columns.index(name)
            parts.append(key_rank(one[0][at], descending) if at < len(keys) else cell_rank(one[1][at - len(keys)], descending))
        return parts + [key_rank(v, False) for v in one[0]]

    found.sort(key=order)
    whole = Group()
    for row in rows:
        whole.put(row, row.found)
    return {"columns": columns, "rows": [list(k) + cells for k, cells in found], "totals": [measure(m, whole) for m in names]}


# --- plans

def facet_values(rows, of):
    counts = {}
    for row in rows:
        values = {typed(d["class"]) for d in row.found} if of == "class" else {key_of(of, row, None)} - {NONE}
        for v in values:
            counts[v] = counts.get(v, 0) + 1
    return counts


def selected(world, plan):
    tree = plan.get("filter")
    keys = [subject(k) for g in plan.get("groups", []) for k in g.get("by", [])] + plan.get("facets", {}).get("of", [])
    partial = plan.get("partial", mentions_partial(tree) or "partial" in keys)
    low, high = micros(plan.get("from") or "1900-01-01T00:00:00Z"), micros(plan.get("to") or "9000-01-01T00:00:00Z")
    rows = [r for r in world.rows() if low <= r.time < high and (partial or not r.partial) and holds(tree, r)]
    return sorted(rows, key=lambda r: (r.time, r.seq), reverse=True)
