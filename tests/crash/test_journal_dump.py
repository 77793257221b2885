"""journal-dump on the files of a running server: what was sent is printed, record by record, and where it ends."""
import json
import subprocess

import pytest
from http_server import BINARY

PROGRAM = BINARY.parent / "journal-dump"


def dump(*files):
    """(exit code, lines, standard error)"""
    if not PROGRAM.exists():
        pytest.fail(f"{PROGRAM} is not there: make {PROGRAM.relative_to(BINARY.parents[1])}")
    done = subprocess.run([str(PROGRAM), *map(str, files)], capture_output=True, text=True, timeout=30)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def write(server):
    inference = {"inference_id": "i \"1\"", "model_id": "m", "time": "2026-11-21T19:39:09.108638Z", "error": "no light",
                 "predictions": [{"class": "dog", "confidence": 0.5}], "metadata": {"line": 3, "ok": True}}
    assert server.post("/api/v1/test/inferences", json=inference).status_code == 200
    data = [{"inference_ids": ["a", "b"], "field_name": "f", "field_value": "\u00e4"}]
    assert server.post("/test/inference-stats/metadata", json={"data": data}).status_code == 200


def records(lines):
    return [line for line in lines if "seq" in line]


def check(lines):
    got = records(lines)
    assert [r["seq"] for r in got] == [1, 2, 3, 4]
    inference = got[0]["inference"]
    assert (inference["id"], inference["model_id"], inference["error"]) == ("i \"1\"", "m", "no light")
    assert inference["claimed"] == "2026-11-21T19:39:09.108638Z"
    assert inference["detections"] == [{"class": "dog", "confidence": 0.5}]
    assert [(r["attach"]["field"], r["attach"]["value"], r["attach"]["ids"]) for r in got[1:]] == [
        ("line", 3, ["i \"1\""]), ("ok", True, ["i \"1\""]), ("f", "\u00e4", ["a", "b"])]
    assert [("chain_end" in r["flags"]) for r in got] == [False, False, True, True]
    assert got == sorted(got, key=lambda r: r["at"])
    assert "no_record_but_bytes_up_to" not in lines[-1] and lines[-1]["end"] > got[-1]["at"]


def test_journal_and_log(make_server):
    server = make_server()
    write(server)
    slot, log = server.data / "journal" / "slot-00.journal", server.data / "workspaces" / "1" / "log-1"
    code, lines, _ = dump(slot)
    assert code == 0 and (lines[0]["kind"], lines[0]["number"], lines[0]["first_seq"]) == ("journal", 1, 1)
    check(lines)
    server.stop()
    code, lines, _ = dump(log)
    assert code == 0 and (lines[0]["kind"], lines[0]["workspace"], lines[0]["number"]) == ("workspace log", 1, 1)
    check(lines)
    for path in (slot, log):
        data = bytearray(path.read_bytes())
        at = records(dump(path)[1])[2]["at"]
        data[at + 40] ^= 1
        damaged = path.with_suffix(".damaged")
        damaged.write_bytes(data)
        code, lines, _ = dump(damaged)
        assert code == 1 and len(records(lines)) == 2
        assert lines[-1]["end"] == at and lines[-1]["no_record_but_bytes_up_to"] > at
    server.start()
    write(server)
    server.stop()
    code, lines, _ = dump(log)  # over two checkpoints, the second on a sector of its own
    assert code == 0 and [r["seq"] for r in records(lines)] == list(range(1, 9)) and records(lines)[4]["at"] % 512 == 0


def test_what_is_neither(tmp_path):
    (tmp_path / "other").write_bytes(b"SGJRNL1\n" + bytes(5000))
    for name in ("other", "missing"):
        code, lines, errors = dump(tmp_path / name)
        assert code == 1 and lines == [] and name in errors
    assert subprocess.run([str(PROGRAM)], capture_output=True).returncode == 2
