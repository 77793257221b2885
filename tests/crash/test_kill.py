"""kill -9 at random moments under load: what was answered is there, what was not is there whole or not at all, and
nothing else is.

Each life of the server has some writers, each with ids of its own. A writer attaches values that were never used
before, to one id or to several at once under several fields, to ids whose inference is there and to ids whose
inference comes later; and it sends inferences in, several in a request, with metadata. The server is killed somewhere
in that, or while it starts. Started again on the same data, it is asked for all that the last life touched and for
some of what older ones did; at the end for everything.

    KILLS=1000 SEED=7 pytest -s tests/crash/test_kill.py       SEED picks moments and operations; it is always printed
"""
import http.client
import json
import os
import random
import subprocess
import threading
import time

KILLS = int(os.environ.get("KILLS", 100))
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
WRITERS = 3
LOAD_SECONDS = 0.2    # a life under load is at most this long
OLDER = 15             # ids of older lives that a writer writes to, and that are looked at after each kill
KEY = "sg_test0123456789abcdefghijklmnopq"
ATTACH = "/test/inference-stats/metadata"
INFERENCES = "/api/v1/test/inferences"


class Lost(Exception):
    """The connection broke: nobody knows whether the request was taken."""


class Client:
    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

    def call(self, method, path, body=None):
        """(status, answer); Lost when there is none."""
        try:
            text = None if body is None else json.dumps(body)
            self.connection.request(method, path, text, {"Authorization": "Bearer " + KEY})
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")
        except (OSError, http.client.HTTPException, ValueError) as why:
            raise Lost(str(why)) from why

    def close(self):
        self.connection.close()


class Request:
    """What one request would bring about, in order: inferences made, and (id, field, value) writes."""

    def __init__(self, made=(), writes=()):
        self.made, self.writes = list(made), list(writes)


class Model:
    """What the server must show. Requests of one id come from one writer, so their order is known."""

    def __init__(self):
        self.there = set()    # ids with an inference
        self.history = {}     # id -> [(field, value)], oldest first

    def apply(self, request):
        self.there.update(request.made)
        for one, field, value in request.writes:
            self.history.setdefault(one, []).append((field, value))

    def ids(self):
        return self.there | self.history.keys()


class Writer(threading.Thread):
    """One writer in one life. Ends when the connection breaks, at the latest."""

    def __init__(self, lives, number, life, rng):
        super().__init__(daemon=True)
        older = lives.known[number]
        self.server, self.lock, self.model = lives.server, lives.lock, lives.model
        self.who, self.n, self.rng = f"w{number}", lives.numbers[number], rng
        self.life, self.made = life, 0
        self.known = rng.sample(older, min(len(older), OLDER))  # ids with an inference, here since older lives
        self.waiting = []                                       # ids without
        self.unknown = None                 # the request without an answer
        self.acknowledged, self.failure = 0, None
        self.stop = threading.Event()

    def new_id(self):
        self.made += 1
        return f"{self.who}-{self.life}-{self.made}"

    def value(self):
        """Unique and increasing; now a string, now a number."""
        self.n += 1
        return self.n if self.n % 3 == 0 else f"{self.who}:{self.n:07d}"

    def some(self, ids, most):
        return self.rng.sample(ids, min(len(ids), self.rng.randint(1, most)))

    # --- operations: (method, path, body, Request)

    def ingest(self):
        ids = [self.new_id() for _ in range(self.rng.randint(1, 4))]
        late = []
        if self.waiting and self.rng.random() < 0.5:
            late = [self.waiting.pop(self.rng.randrange(len(self.waiting)))]
        body, request = [], Request()
        for one in ids + late:
            metadata = {f"born{k}": self.value() for k in range(self.rng.randint(0, 2))}
            body.append({"inference_id": one, "model_id": "coco/24", "device_id": "x" * self.rng.choice([1, 100, 1000]),
                         "predictions": [{"class": "dog", "confidence": 0.5}], "metadata": metadata})
            request.made.append(one)
            request.writes += [(one, field, value) for field, value in metadata.items()]
        self.known += ids + late
        return "POST", INFERENCES, body, request

    def attach_many(self):
        data, request = [], Request()
        for _ in range(self.rng.randint(1, 3)):
            field, value = self.rng.choice(["line", "shift", "verdict"]), str(self.value())
            ids = self.some(self.known, 5) if self.known else []
            if self.rng.random() < 0.4:
                if not self.waiting or self.rng.random() < 0.3:
                    self.waiting.append(self.new_id())
                ids.append(self.rng.choice(self.waiting))
            if ids:
                data.append({"inference_ids": ids, "field_name": field, "field_value": value})
                request.writes += [(one, field, value) for one in ids]
        return "POST", ATTACH, {"data": data}, request

    def attach_one(self):
        one, value = self.rng.choice(self.known), self.value()
        return "PUT", f"{INFERENCES}/{one}/metadata/single", {"value": value}, Request(writes=[(one, "single", value)])

    def operation(self):
        dice = self.rng.random()
        if not self.known or dice < 0.15:
            return self.ingest()
        return self.attach_many() if dice < 0.8 else self.attach_one()

    def run(self):
        client = Client(self.server)
        while not self.stop.is_set():
            method, path, body, request = self.operation()
            try:
                status, answer = client.call(method, path, body)
            except Lost:
                self.unknown = request
                break
            if status != 200:
                self.failure = f"{method} {path}: {status} {answer}"
                break
            with self.lock:
                self.model.apply(request)
            self.acknowledged += 1
        client.close()


# --- looking

class Wrong(AssertionError):
    pass


def shown(client, one):
    """The history of an id as the server tells it, oldest first; None when it has no inference."""
    status, answer = client.call("GET", f"{INFERENCES}/{one}")
    if status == 404:
        return None
    if status != 200:
        raise Wrong(f"{one}: {status} {answer}")
    history = list(reversed(answer["metadata_history"]))
    newest, times = {}, [h["time"] for h in history]
    for entry in history:
        if entry["removed"] or entry["previous"] != newest.get(entry["field"]):
            raise Wrong(f"{one}: a history that does not follow from itself: {history}")
        newest[entry["field"]] = entry["value"]
    if answer["metadata"] != newest:
        raise Wrong(f"{one}: the values {answer['metadata']} are not the last ones of its history {newest}")
    if times != sorted(times):
        raise Wrong(f"{one}: the times go back: {times}")
    return [(entry["field"], entry["value"]) for entry in history]


def check(client, model, one):
    seen = shown(client, one)
    if one not in model.there:
        if seen is not None:
            raise Wrong(f"{one}: an inference that nobody sent")
        return
    if seen is None:
        raise Wrong(f"{one}: the inference is lost")
    expected = model.history.get(one, [])
    if seen != expected:
        missing = [e for e in expected if e not in seen]
        more = [e for e in seen if e not in expected]
        raise Wrong(f"{one}: missing {missing}, invented {more}\n  shown    {seen}\n  expected {expected}")


def give_inference(client, model, ids):
    """Ids that wait get their inference, so that one can look at them."""
    ids = [i for i in ids if i not in model.there]
    for start in range(0, len(ids), 100):
        part = ids[start:start + 100]
        body = [{"inference_id": i, "model_id": "coco/24"} for i in part]
        status, answer = client.call("POST", INFERENCES, body)
        if status != 200:
            raise Wrong(f"{status} {answer}")
        model.there.update(part)


def settle(client, model, request):
    """The request that got no answer: whole or not at all. The model then knows which."""
    made = [one for one in request.made if shown(client, one) is not None]
    if made and len(made) != len(request.made):
        raise Wrong(f"of one request the inferences {made} are there, of {request.made}")
    if not request.made:
        give_inference(client, model, dict.fromkeys(one for one, _, _ in request.writes))
    present = []
    for one, field, value in request.writes:
        seen = shown(client, one) or []
        present.append((field, value) in seen)
    if (any(present) or made) and not (all(present) and len(made) == len(request.made)):
        raise Wrong(f"a request that is there in part: made {made} of {request.made}, writes "
                    f"{[w for w, p in zip(request.writes, present) if p]} of {request.writes}")
    if any(present) or made:
        model.apply(request)
        return True
    return False


def count_all(client, model):
    status, answer = client.call("GET", INFERENCES + "/count")
    if status != 200 or answer["count"] != len(model.there) or answer["incomplete"]:
        raise Wrong(f"{status} {answer}, expected are {len(model.there)} inferences")


def segments(server):
    """How many were made so far, and how often those that are there have been folded."""
    names = [p.name.split(".") for p in server.data.glob("workspaces/*/segments/*.arrow")]
    return max((int(n[0]) for n in names), default=0), sum(int(n[1]) - 1 for n in names)


# --- lives

def kill_while_starting(server, rng):
    """As one is started, and killed before or just after it is ready."""
    process = subprocess.Popen(server.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=server.environment(), cwd=server.log_path.parent)
    time.sleep(rng.uniform(0, 0.06))
    process.kill()
    process.wait()


class Lives:
    def __init__(self, server, rng):
        self.server, self.rng, self.model, self.lock = server, rng, Model(), threading.Lock()
        self.older, self.numbers = [], [0] * WRITERS
        self.known = [[] for _ in range(WRITERS)]
        self.acknowledged = self.whole = self.nothing = self.at_start = 0

    def one(self, life):
        writers = [Writer(self, n, life, random.Random(self.rng.random())) for n in range(WRITERS)]
        for w in writers:
            w.start()
        time.sleep(self.rng.uniform(0.01, LOAD_SECONDS))
        self.server.kill9()
        for w in writers:
            w.stop.set()
            w.join()
            assert not w.failure, w.failure
        if self.rng.random() < 0.15:
            kill_while_starting(self.server, self.rng)
            self.at_start += 1
        self.server.start()
        client = Client(self.server)
        for n, w in enumerate(writers):
            self.numbers[n] = w.n
            self.acknowledged += w.acknowledged
            if w.unknown:
                whole = settle(client, self.model, w.unknown)
                self.whole += whole
                self.nothing += not whole
        touched = sorted(i for w in writers for i in w.known + w.waiting)
        touched = [i for i in touched if i in self.model.ids()]
        for n, w in enumerate(writers):
            self.known[n] = sorted({*self.known[n], *(i for i in w.known if i in self.model.there)})
        for one in touched + self.rng.sample(self.older, min(OLDER, len(self.older))):
            check(client, self.model, one)
        count_all(client, self.model)
        client.close()
        self.older = sorted({*self.older, *touched})

    def end(self, most):
        client = Client(self.server)
        give_inference(client, self.model, sorted(self.model.history.keys()))
        ids = sorted(self.model.ids())
        for one in self.rng.sample(ids, min(most, len(ids))):
            check(client, self.model, one)
        count_all(client, self.model)
        client.close()


def test_nothing_answered_is_lost(make_server):
    rng = random.Random(SEED)
    server = make_server(journal_file_size="1M", journal_max="4M", checkpoint_interval_s=1, segment_rows=64,
                         fold_share=1, log_level="warn")
    lives = Lives(server, rng)
    began = time.monotonic()
    try:
        for life in range(KILLS):
            lives.one(life)
        lives.end(most=10**9)
        server.restart()
        lives.end(most=1000)
    except AssertionError as why:
        raise AssertionError(f"SEED={SEED} KILLS={KILLS}, after {life + 1} kills: {why}") from why
    sealed, folds = segments(server)
    print(f"\n{KILLS} kills, {lives.at_start} more while starting, in {time.monotonic() - began:.0f} s, SEED={SEED}: "
          f"{lives.acknowledged} requests answered, {len(lives.model.ids())} ids; "
          f"without an answer {lives.whole} whole, {lives.nothing} not at all; "
          f"{sealed} segments made, {folds} folds in those that are left")
    assert lives.acknowledged > KILLS
    if KILLS >= 100:
        assert sealed > 10 and folds > 0, "it was killed over nothing but chunks"
