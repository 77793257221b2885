"""A segment's file is cut under a running server, which has it mapped: reading it is a SIGBUS. The server lives, answers
from the rest and says what is missing, and takes what is attached to the ids in it. When the file is whole again,
all of it is there."""
import os

from http_server import wait_for

INFERENCES = "/api/v1/test/inferences"
ROWS = 256  # a segment
SEGMENTS = 3
SETTINGS = dict(segment_rows=ROWS, checkpoint_interval_s=1, log_level="warn")


def names(first, count):
    return [f"id-{n}" for n in range(first, first + count)]


def ingest(server, first, count):
    body = [{"inference_id": one, "model_id": f"lines/{n % 3}", "time": f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
             "predictions": [{"class": "dog", "confidence": 0.5}], "metadata": {"shift": "early"}}
            for n, one in enumerate(names(first, count), first)]
    answer = server.post(INFERENCES, json=body)
    assert answer.status_code == 200, answer.text


def segments(server):
    return sorted(server.data.glob("workspaces/*/segments/*.arrow"), key=lambda p: int(p.name.split(".")[0]))


def count(server):
    answer = server.get(INFERENCES + "/count")
    assert answer.status_code == 200, answer.text
    return answer.json()["count"], answer.json()["incomplete"]


def metadata(server, one):
    answer = server.get(f"{INFERENCES}/{one}")
    return answer.json()["metadata"] if answer.status_code == 200 else answer.status_code


def cut_server(make_server):
    server = make_server(**SETTINGS)
    for first in range(0, SEGMENTS * ROWS + 10, ROWS // 2):
        ingest(server, first, ROWS // 2)
    wait_for(lambda: len(segments(server)) == SEGMENTS, 20, "the segments")
    return server


def test_a_segment_is_cut_under_a_running_server(make_server):
    server = cut_server(make_server)
    total = (SEGMENTS + 1) * ROWS - ROWS // 2
    assert count(server) == (total, [])
    path = segments(server)[1]
    whole = path.read_bytes()
    inside = f"id-{ROWS + 7}"
    pid = server.process.pid

    os.truncate(path, 0)
    # Something that reads the segment, whatever the server has kept of it in its own memory.
    answer = server.get(INFERENCES, params={"limit": 1000, "filter": "shift:early"})
    assert answer.status_code == 200, answer.text
    wait_for(lambda: count(server)[1], 5, "the answer that says what is missing")
    there, missing = count(server)
    assert there == total - ROWS and len(missing) == 1, missing
    assert str(missing[0]["segment"]) == path.name.split(".")[0]
    listed = server.get(INFERENCES, params={"limit": 1000}).json()
    assert len(listed["inferences"]) == total - ROWS and listed["incomplete"] == missing
    stats = server.get("/api/v1/test/stats", params={"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"})
    assert stats.status_code == 200 and stats.json()["current"]["inferences"] == total - ROWS
    assert stats.json()["incomplete"]

    # What lies beside it is as before; what is written to it waits for it.
    assert metadata(server, "id-3") == {"shift": "early"}
    assert metadata(server, f"id-{2 * ROWS + 3}") == {"shift": "early"}
    for one in (inside, "id-3"):
        assert server.put(f"{INFERENCES}/{one}/metadata/verdict", json={"value": "bad"}).status_code == 200
    ingest(server, total, 10)
    assert count(server)[0] == total - ROWS + 10
    assert server.process.poll() is None and server.process.pid == pid
    assert path.name in server.log(), "the file is not named in the log"

    # Once more from the beginning, with the file still cut; then with the file as it was.
    server.restart()
    assert count(server)[0] == total - ROWS + 10 and count(server)[1]
    server.stop()
    path.write_bytes(whole)
    server.start()
    assert count(server) == (total + 10, [])
    assert metadata(server, inside) == metadata(server, "id-3") == {"shift": "early", "verdict": "bad"}


def test_it_is_cut_in_the_middle(make_server):
    """Some pages are there and some are not: what is read of it is right, or it is set aside."""
    server = cut_server(make_server)
    total = (SEGMENTS + 1) * ROWS - ROWS // 2
    path = segments(server)[0]
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    for _ in range(2):
        answer = server.get(INFERENCES, params={"limit": 1000}).json()
        assert len(answer["inferences"]) in (total - ROWS, total)
        assert bool(answer["incomplete"]) == (len(answer["inferences"]) < total)
        assert all(one["metadata"] == {"shift": "early"} for one in answer["inferences"])
    assert count(server)[0] == total - ROWS
    assert server.process.poll() is None
