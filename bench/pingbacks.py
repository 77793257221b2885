"""What a fleet reports: pingbacks of 1,000 inferences by 16 senders, as fast as they are answered; and 16 bodies of
50 MB at once, which must neither take long nor much memory. Every inference is counted back."""

import datetime
import json
import shutil
import socket
import statistics
import threading
import time
import urllib.parse
import urllib.request

import settings
from process import Failure, Peak, Server, anonymous_mib

SENDERS = 16
ITEMS = 1000
LARGE_BYTES = 50 * 1000 * 1000
CLASSES = ["bottle", "cap", "label", "person", "pallet"]
ID = "00000000-0000-4000-8000-000000000000"


class Body:
    """A thin pingback whose ids can be set: they have one length and stand at known places."""

    def __init__(self, sender, items, spread_s):
        now = time.time() - spread_s
        head = {"api_key": settings.KEY, "timestamp": str(int(now)), "device_id": f"edge-{sender}",
                "inference_server_id": f"srv-{sender:02}", "inference_server_version": "1.5.0", "tags": [""]}
        results = [self.item(now + n * spread_s / items, sender, n) for n in range(items)]
        text = json.dumps(head)[:-1] + ', "inference_results": [' + ", ".join(results) + "]}"
        self.bytes, self.places, at = bytearray(text.encode()), [], 0
        while (at := self.bytes.find(ID.encode(), at)) >= 0:
            self.places.append(at)
            at += len(ID)

    @staticmethod
    def item(when, sender, n):
        return json.dumps({"request_time": when, "inference": {
            "inference_id": ID, "inference_server_version": "1.5.0", "inference_server_id": f"srv-{sender:02}",
            "request": {"api_key": settings.KEY, "source": "external", "source_info": f"cam-{n % 4}",
                        "model_id": f"line/{n % 3}", "model_type": None, "confidence": 0.4},
            "response": [{"predictions": [{"class": CLASSES[(n + k) % 5], "confidence": 0.4 + (n * 7 + k) % 600 / 1000}
                                          for k in range(1 + n % 2)], "time": 0.01 + n % 20 / 1000}]}})

    def number(self, first):
        for n, at in enumerate(self.places):
            self.bytes[at:at + 8] = b"%08x" % ((first + n) >> 48 & 0xffffffff)
            self.bytes[at + 24:at + 36] = b"%012x" % ((first + n) & 0xffffffffffff)


class Sender:
    def __init__(self, url):
        at = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((at.hostname, at.port), timeout=120)
        self.file = self.socket.makefile("rb")

    def post(self, body):
        """The answer's counts, and the seconds it took."""
        started = time.monotonic()
        head = ("POST /inference-stats HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        self.socket.sendall(head.encode())
        self.socket.sendall(body)
        status, length = self.file.readline(), 0
        while (line := self.file.readline()).strip():
            name, value = line.decode().split(":", 1)
            length = int(value) if name.lower() == "content-length" else length
        answer = json.loads(self.file.read(length))
        if not status.startswith(b"HTTP/1.1 200"):
            raise Failure(f"a pingback was answered {status.decode().strip()}: {answer}")
        return answer, time.monotonic() - started


def each_sender(work):
    """Runs work(n) for every sender at once; their results, or the first failure."""
    results, failures = [], []

    def run(n):
        try:
            results.append(work(n))
        except (Failure, OSError, ValueError) as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failure(str(failures[0]))
    return results


def counted(server, want):
    request = urllib.request.Request(f"{server.url}/api/v1/bench/inferences/count?from=2000-01-01T00:00:00Z",
                                     headers={"Authorization": f"Bearer {settings.KEY}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found = json.load(answer)["count"]
    if found != want:
        raise Failure(f"{found} inferences are stored, {want} were acknowledged")


def stream(server, seconds, first):
    """Inferences a second, the time of each answer, how many were stored."""
    bodies, until = [Body(n, ITEMS, 60) for n in range(SENDERS)], time.monotonic() + seconds

    def work(n):
        sender, taken, sent = Sender(server.url), [], 0
        while time.monotonic() < until:
            bodies[n].number((first + n << 40) + sent)
            answer, took = sender.post(bodies[n].bytes)
            if answer["created"] != ITEMS:
                raise Failure(f"of {ITEMS} new inferences the answer says {answer}")
            sent += ITEMS
            taken.append(took)
        return sent, taken

    started = time.monotonic()
    results = each_sender(work)
    stored, took = sum(sent for sent, _ in results), sorted(t for _, taken in results for t in taken)
    return stored / (time.monotonic() - started), took, stored


def large(server, first):
    """16 of 50 MB, sent twice: new to the store, then known. (items, slowest new, slowest known, growth in MiB of each)."""
    per_item = len(Body.item(time.time(), 0, 1)) + 2
    bodies = [Body(n, LARGE_BYTES // per_item, 3600) for n in range(SENDERS)]
    for n, body in enumerate(bodies):
        body.number(first + n << 40)
    items = sum(len(body.places) for body in bodies)
    slowest, growth = [], []
    for name in "created", "unchanged":
        before = anonymous_mib(server.pid)
        with Peak(server.pid) as peak:
            answers = each_sender(lambda n: Sender(server.url).post(bodies[n].bytes))
        if sum(answer[name] for answer, _ in answers) != items:
            raise Failure(f"of {items} items fewer were {name}: {answers[0][0]}")
        slowest.append(max(took for _, took in answers))
        growth.append(peak.mib - before)
    return items, slowest, growth


def measure(folder):
    work = folder / "pingbacks"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    rates, took, stored = [], [], 0
    arguments = [settings.SERVER, "serve", "--data", work / "data", "--listen", "127.0.0.1:0", "--log-level", "warn",
                 "--workspace", "bench", "--api-key", settings.KEY]
    with Server(arguments, work / "log") as server:
        for n in range(settings.ROUNDS):
            rate, times, more = stream(server, settings.SECONDS, 1 + n * SENDERS)
            rates.append(rate)
            took += times
            stored += more
        counted(server, stored)
        single = Body(0, LARGE_BYTES // (len(Body.item(time.time(), 0, 1)) + 2), 3600)
        single.number(9000 << 40)
        _, alone = Sender(server.url).post(single.bytes)
        items, slowest, growth = large(server, 10000)
        counted(server, stored + items + len(single.places))
    shutil.rmtree(work)
    took.sort()
    return "\n".join([
        f"{SENDERS} senders of pingbacks of {ITEMS:,} items each ({datetime.date.today()}): "
        f"{statistics.median(rates):,.0f} inferences/s, median of {len(rates)} ({min(rates):,.0f} - {max(rates):,.0f}; "
        f"goal 150,000); an answer took {took[len(took) // 2] * 1000:.0f} ms, p99 "
        f"{took[len(took) * 99 // 100] * 1000:.0f} ms. One body of 50 MB: {alone:.1f} s (goal 5). {SENDERS} of them at "
        f"once, {items:,} items: all answered after {slowest[0]:.1f} s, sent again {slowest[1]:.1f} s; anonymous memory "
        f"grew by {growth[0]:.0f} MiB at the most, when sent again by {growth[1]:.0f} MiB (goal 64 beyond what they store). Every "
        "inference was counted back."])
