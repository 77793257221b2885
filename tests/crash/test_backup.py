"""Backups of a server under load, and of one that is stopped: the folder holds exactly what was answered up to some
moment, its checksums stand whatever the source does afterwards, and a server can be started on it as it is.

Each writer sends numbered requests, one after the other. Request n makes the inference WRITER-n and writes n to the
field `last` of WRITER-0; so what a server holds of a writer is one number, and must be consistent with it.
"""
import base64
import shutil
import subprocess
import threading

import pytest
from http_server import BINARY, TOP, wait_for
from test_kill import Client, INFERENCES

WRITERS = 3
SMALL = {"journal_file_size": "1M", "journal_max": "4M", "checkpoint_interval_s": 1, "segment_rows": 64,
         "fold_share": 5, "log_level": "info"}


class Writer(threading.Thread):
    def __init__(self, server, who, first=0):
        super().__init__(daemon=True)
        self.client, self.who = Client(server), who
        self.sent = self.answered = first
        self.stop, self.failure = threading.Event(), None

    def run(self):
        try:
            while not self.stop.is_set():
                n = self.sent
                self.sent += 1
                body = [{"inference_id": f"{self.who}-{n}", "model_id": "coco/24", "device_id": "x" * (n % 700),
                         "predictions": [{"class": "dog", "confidence": 0.5}], "metadata": {"n": n}}]
                assert self.client.call("POST", INFERENCES, body)[0] == 200
                status, answer = self.client.call("PUT", f"{INFERENCES}/{self.who}-0/metadata/last", {"value": n})
                assert (status, answer["result"]) == (200, "applied"), (status, answer)
                self.answered += 1
        except Exception as why:  # told to the test
            self.failure = why
        self.client.close()

    def end(self):
        self.stop.set()
        self.join()
        if self.failure:
            raise self.failure


def backup(server, to, data=None):
    return subprocess.run([str(BINARY), "backup", "--data", str(data or server.data), "--to", str(to)],
                          capture_output=True, text=True, timeout=120)


def held(client, who):
    """How many of a writer's requests are there: whole ones, in order, and nothing that came later."""
    status, answer = client.call("GET", f"{INFERENCES}/{who}-0")
    if status == 404:
        return 0
    assert status == 200, (status, answer)
    values = [w["value"] for w in reversed(answer["metadata_history"]) if w["field"] == "last"]
    assert values == list(range(len(values)))
    count = len(values)
    for n in {0, count // 2, count - 1} - {-1}:
        status, answer = client.call("GET", f"{INFERENCES}/{who}-{n}")
        assert status == 200 and answer["metadata"]["n"] == n
    assert client.call("GET", f"{INFERENCES}/{who}-{count + 1}")[0] == 404
    return count


def holds(server, writers, least, most):
    client = Client(server)
    counts = [held(client, w.who) for w in writers]
    for writer, count, low, high in zip(writers, counts, least, most):
        assert low <= count <= high, f"{writer.who}: {count} of {low} to {high}"
    status, answer = client.call("GET", INFERENCES + "/count")
    extra = answer["count"] - sum(counts)  # an inference whose `last` was not written yet
    assert status == 200 and 0 <= extra <= len(writers), (answer, counts)
    client.close()
    return counts


def checksums_stand(folder):
    """BACKUP's own list, with a checksum made here."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)

    def crc(data):
        c = 0xFFFFFFFF
        for byte in data:
            c = table[(c ^ byte) & 255] ^ c >> 8
        return f"{c ^ 0xFFFFFFFF:08x}"

    text = (folder / "BACKUP").read_bytes()
    lines = text.decode().splitlines()
    assert lines[0] == "sightglass-backup 1"
    assert lines[-1] == "crc " + crc(text[:text.rindex(b"crc ")])
    files = [line.split(" ", 3)[1:] for line in lines if line.startswith("file ")]
    listed = {path for _, _, path in files} | {"BACKUP"}
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "/images/" not in str(p)}
    assert listed == there - {"BACKUP.unfinished"}  # means nothing beside BACKUP
    for sum_, size, path in files:
        data = (folder / path).read_bytes()
        assert (len(data), crc(data)) == (int(size), sum_), path
    return files


def start_on(make_server, source, folder):
    """Another server on this folder, which becomes its own."""
    server = make_server(**SMALL)
    server.stop()
    shutil.rmtree(server.data)
    folder.rename(server.data)
    server.port = None
    return server.start()


def journal_files_begun(server):
    """The highest number in the headers: grows with each file that is used again."""
    numbers = [int.from_bytes(p.open("rb").read(32)[24:32], "little") for p in (server.data / "journal").glob("slot-*")]
    return max(numbers, default=0)


def test_under_load(make_server, tmp_path):
    server = make_server(**SMALL)
    writers = [Writer(server, f"w{n}") for n in range(WRITERS)]
    for w in writers:
        w.start()
    folders, least, most = [], [], []
    for n in range(2):
        wait_for(lambda: all(w.failure or w.answered > 150 * (n + 1) for w in writers), 60, "the load")
        folder = tmp_path / f"backup{n}"
        least.append([w.answered for w in writers])
        done = backup(server, folder)
        most.append([w.sent for w in writers])
        assert done.returncode == 0, done.stderr
        assert "everything up to number" in done.stdout
        folders.append(folder)
        assert not any(w.failure for w in writers), [w.failure for w in writers]
    files = [checksums_stand(folder) for folder in folders]
    assert any("/segments/" in path for _, _, path in files[1])
    begun = journal_files_begun(server)
    wait_for(lambda: any(w.failure for w in writers) or journal_files_begun(server) >= begun + 5, 120,
             "the journal's files to be used again")
    for w in writers:
        w.end()
    sealed = {path.name for path in (server.data / "workspaces" / "1" / "segments").glob("*")}
    linked = {path.rsplit("/", 1)[1] for _, _, path in files[0] if "/segments/" in path}
    assert not linked or linked - sealed, "nothing of what was linked has been folded or merged since"
    for folder, low, high in zip(folders, least, most):
        checksums_stand(folder)
        other = start_on(make_server, server, folder)
        counts = holds(other, writers, low, high)
        assert (other.data / "RESTORED").exists() and not (other.data / "BACKUP").exists()
        more = Writer(other, "w0", counts[0] + 1)  # and it goes on; one inference may be there without its `last`
        more.start()
        wait_for(lambda: more.failure or more.answered > counts[0] + 30, 30)
        more.end()
        other.restart()
        assert Client(other).call("GET", f"{INFERENCES}/w0-0")[1]["metadata"]["last"] == more.answered - 1
        other.stop()
    holds(server, writers, [w.answered for w in writers], [w.sent for w in writers])


def test_of_a_stopped_server(make_server, tmp_path):
    server = make_server(**SMALL)
    writers = [Writer(server, f"w{n}") for n in range(WRITERS)]
    for w in writers:
        w.start()
    wait_for(lambda: all(w.failure or w.answered > 100 for w in writers), 60, "the load")
    for how in (server.kill9, server.stop):
        if how == server.kill9:
            for w in writers:
                w.stop.set()
            for w in writers:
                w.join()
                assert not w.failure
        how()
        folder = tmp_path / how.__name__
        done = backup(server, folder)
        assert done.returncode == 0, done.stderr
        checksums_stand(folder)
        other = start_on(make_server, server, folder)
        holds(other, writers, [w.answered for w in writers], [w.sent for w in writers])
        other.stop()
        server.start()
    holds(server, writers, [w.answered for w in writers], [w.sent for w in writers])


def test_a_kill_in_the_middle(make_server, tmp_path):
    """Whatever is there then is a whole backup or is refused."""
    server = make_server(**SMALL)
    writers = [Writer(server, "w0")]
    writers[0].start()
    wait_for(lambda: writers[0].failure or writers[0].answered > 100, 60, "the load")
    writers[0].end()
    refused = 0
    for n in range(6):
        folder = tmp_path / f"backup{n}"
        asked = subprocess.Popen([str(BINARY), "backup", "--data", str(server.data), "--to", str(folder)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        begun = folder / ("BACKUP.unfinished" if n % 2 else "workspaces")
        wait_for(lambda: begun.exists() or asked.poll() is not None, 20)
        server.kill9()
        errors = asked.communicate()[1]
        if (folder / "BACKUP").exists():
            checksums_stand(folder)
        else:
            assert asked.returncode == 1 and "server ended" in errors
            done = subprocess.run([str(BINARY), "serve", "--data", str(folder), "--listen", "127.0.0.1:0"],
                                  capture_output=True, text=True, timeout=60)
            assert done.returncode != 0 and "was not finished" in done.stderr, done
            refused += 1
        server.start()
    holds(server, writers, [writers[0].answered], [writers[0].sent])
    print(f"{refused} of 6 refused")


def test_what_is_refused(make_server, tmp_path):
    server = make_server()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    for to, why in [(tmp_path / "full", "is not empty"), (tmp_path / "no" / "such", "the folder above it"),
                    (server.data, "is not empty")]:
        done = backup(server, to)
        assert done.returncode == 1 and why in done.stderr, done
    assert (tmp_path / "full" / "file").read_text() == "x"
    done = backup(server, tmp_path / "b", data=tmp_path / "full")
    assert done.returncode == 1 and "no data folder" in done.stderr
    assert subprocess.run([str(BINARY), "backup"], capture_output=True).returncode == 2
    done = backup(server, tmp_path / "b")
    assert done.returncode == 0 and oct((tmp_path / "b").stat().st_mode)[-3:] == "700"
    assert server.log().count("backup_done") == 1
    with pytest.raises(OSError):
        (server.data / "control.sock").read_bytes()
    assert oct((server.data / "control.sock").stat().st_mode)[-3:] == "600"
    (server.data / "control.sock").unlink()  # no way to ask the server: the folder is its own
    done = backup(server, tmp_path / "c")
    assert done.returncode == 1 and "in use by the sightglass with pid" in done.stderr


def test_keys_and_a_long_path(make_server, tmp_path):
    """The catalog comes along, and so does a path longer than a socket's may be."""
    server = make_server(**SMALL)
    made = server.keys("add", "--name", "second").stdout.strip()
    server.stop()
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server.data.rename(deep / "data")
    server.data = deep / "data"
    server.start()
    done = backup(server, tmp_path / "b")
    assert done.returncode == 0, done.stderr
    other = start_on(make_server, server, tmp_path / "b")
    assert other.get("/api/v1/session", key=made).json()["workspace"] == "test"


def test_pictures_come_along(make_server, tmp_path):
    server = make_server(**SMALL, keep_images="all")
    picture = (TOP / "tests" / "data" / "images" / "rgb.png").read_bytes()
    image = {"type": "base64", "value": base64.b64encode(picture).decode()}
    answer = server.post("/infer/object_detection", json={"model_id": "coco/24", "image": image, "api_key": server.key})
    url = server.get(f"{INFERENCES}/{answer.json()['inference_id']}").json()["image"]
    assert backup(server, tmp_path / "b").returncode == 0
    assert "\npictures 2 " in (tmp_path / "b" / "BACKUP").read_text()
    source = {p.stat().st_ino for p in server.data.rglob("images/*/*")}
    assert {p.stat().st_ino for p in (tmp_path / "b").rglob("images/*/*")} == source
    other = start_on(make_server, server, tmp_path / "b")
    shutil.rmtree(server.data / "workspaces" / "1" / "images")
    assert other.get(url["url"]).content == picture and other.get(url["thumbnail_url"]).status_code == 200
