"""kill -9 while pictures are uploaded and annotated, some before their inference and some after it: what was answered is
there, byte for byte, what was not is there whole or not at all, and the check finds every file that is named.

    KILLS=100 SEED=7 pytest -s tests/crash/test_kill_pictures.py
"""
import http.client
import json
import os
import random
import subprocess
import threading
import time
import zlib

from http_server import BINARY
from test_kill import Client, INFERENCES, KEY, Lost

KILLS = int(os.environ.get("KILLS", 12))
SEED = int(os.environ.get("SEED", time.time_ns() % 1000000))
WRITERS = 3


def png(n):
    """A picture of 8 x 8 pixels like no other."""
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    row = b"\0" + n.to_bytes(8, "big") * 3
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", (8).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0") + chunk(b"IDAT", zlib.compress(row * 8)) +
            chunk(b"IEND", b""))


class Uploader(Client):
    def send(self, path, body, kind):
        try:
            self.connection.request("POST", path, body, {"Authorization": "Bearer " + KEY, "Content-Type": kind})
            answer = self.connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as why:
            raise Lost(str(why)) from why

    def upload(self, inference_id, data):
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + data + b"\r\n--x--\r\n"
        return self.send(f"/dataset/d/upload?inference_id={inference_id}", body, "multipart/form-data; boundary=x")

    def fetch(self, path):
        self.connection.request("GET", path, headers={"Authorization": "Bearer " + KEY})
        answer = self.connection.getresponse()
        return answer.status, answer.read()


class Writer(threading.Thread):
    """Uploads until the server is gone. `done`: (id, number of the picture, whether its annotation was answered)."""

    def __init__(self, server, name, first, random_):
        super().__init__()
        self.client, self.name, self.next, self.random = Uploader(server), name, first, random_
        self.done, self.open, self.failure = [], None, None

    def run(self):
        try:
            while True:
                n, self.next = self.next, self.next + 1
                one = f"{self.name}-{n}"
                self.open = (one, n)
                if self.random.random() < 0.5:
                    assert self.client.call("POST", INFERENCES, [{"inference_id": one, "model_id": "coco/24"}])[0] == 200
                status, answer = self.client.upload(one, png(n))
                assert status == 200 and answer["success"], answer
                self.done.append([one, n, False])
                if self.random.random() < 0.5:
                    status, answer = self.client.send(f"/dataset/d/annotate/{answer['id']}?name=a.json", json.dumps({"n": n}), "text/plain")
                    assert (status, answer) == (200, {"success": True}), answer
                    self.done[-1][2] = True
        except Lost:
            pass
        except Exception as why:  # told to the test
            self.failure = why


def look(client, one, n, certain, annotated):
    assert client.call("POST", INFERENCES, [{"inference_id": one, "model_id": "coco/24"}])[0] == 200
    image = client.call("GET", f"{INFERENCES}/{one}")[1]["image"]
    assert image["url"] or not certain, f"{one}: its picture was answered and is not there"
    if image["url"]:
        assert client.fetch(image["url"]) == (200, png(n)), one
        assert client.fetch(image["thumbnail_url"])[0] == 200, one
    assert image["annotation_url"] or not annotated, f"{one}: its annotation was answered and is not there"
    if image["annotation_url"]:
        assert json.loads(client.fetch(image["annotation_url"])[1]) == {"n": n}, one


def test_what_was_answered_is_there(make_server):
    print(f"SEED={SEED}")
    pick = random.Random(SEED)
    server = make_server(journal_file_size="1M", journal_max="4M", checkpoint_interval_s=1, segment_rows=32, fold_share=5)
    names = {f"w{i}": 0 for i in range(WRITERS)}
    for _ in range(KILLS):
        writers = [Writer(server, name, first, random.Random(pick.random())) for name, first in names.items()]
        for w in writers:
            w.start()
        time.sleep(pick.uniform(0.01, 0.4))  # the moment of the kill
        server.kill9()
        for w in writers:
            w.join()
            assert w.failure is None, w.failure
        server.start()
        client = Uploader(server)
        for w in writers:
            names[w.name] = w.next
            for one, n, annotated in w.done:
                look(client, one, n, True, annotated)
            if w.open not in [(one, n) for one, n, _ in w.done]:
                look(client, *w.open, False, False)
        client.close()
    server.stop()
    check = subprocess.run([BINARY, "check", "--data", server.data, "--pictures"], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    assert sum(names.values()) > KILLS
