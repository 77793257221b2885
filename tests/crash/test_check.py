"""`sightglass check` on the data folder of a real server: nothing wrong where nothing is; each kind of damage is named
and, after --repair, gone, with a server that starts and goes on."""
import shutil
import subprocess

from http_server import BINARY, wait_for
from test_backup import SMALL, Writer, backup, checksums_stand
from test_kill import Client, INFERENCES


def check(folder, *arguments):
    done = subprocess.run([str(BINARY), "check", "--data", str(folder), *arguments], capture_output=True, text=True,
                          timeout=120)
    return done.returncode, done.stdout.splitlines(), done.stderr


def loaded(make_server, requests=150):
    server = make_server(**SMALL)
    writers = [Writer(server, f"w{n}") for n in range(3)]
    for w in writers:
        w.start()
    wait_for(lambda: all(w.failure or w.answered > requests for w in writers), 60, "the load")
    for w in writers:
        w.end()
    server.kill9()
    (server.data / "control.sock").unlink()  # no copy can be made of it
    return server


def flip(path, at, count=1):
    data = bytearray(path.read_bytes())
    for i in range(at, min(at + count, len(data))):
        data[i] ^= 4
    path.unlink()  # it may be linked from elsewhere
    path.write_bytes(data)


def newest(folder, pattern):
    return max(folder.glob(pattern), key=lambda p: p.stat().st_size)


def test_nothing_is_wrong(make_server, tmp_path):
    server = loaded(make_server)
    code, lines, errors = check(server.data)
    assert (code, errors) == (0, "") and len(lines) == 1 and ": 0 problems in 1 workspaces" in lines[0], lines
    assert " 0 segments" not in lines[0]
    assert check(server.data, "--pictures") == (0, lines + ["0 pictures: 0 missing, 0 damaged"], "")
    server.start()
    code, lines, errors = check(server.data)
    assert code == 1 and "in use by the sightglass with pid" in errors
    assert backup(server, tmp_path / "b").returncode == 0
    assert check(tmp_path / "b")[0] == 0
    (tmp_path / "b" / "lock").unlink()
    checksums_stand(tmp_path / "b")
    flip(tmp_path / "b" / "settings", 30)
    code, lines, _ = check(tmp_path / "b")
    assert code == 1 and "settings has other bytes than when the backup was made" in lines[0]
    (tmp_path / "b" / "BACKUP").unlink()
    (tmp_path / "b" / "BACKUP.unfinished").touch()
    assert "was not finished" in check(tmp_path / "b")[2]
    assert "no data folder" in check(tmp_path)[2]
    assert subprocess.run([str(BINARY), "check"], capture_output=True).returncode == 2


def test_each_kind_of_damage(make_server, tmp_path):
    server = loaded(make_server)
    whole = tmp_path / "whole"
    shutil.copytree(server.data, whole)
    before = None
    for pattern, at in [("workspaces/1/log-*", 40), ("workspaces/1/segments/*", 3000), ("MANIFEST", 100), (None, None)]:
        shutil.rmtree(server.data)
        shutil.copytree(whole, server.data)
        if pattern:
            damaged = newest(server.data, pattern)
            flip(damaged, at, 300)  # more than what may be anything between two buffers
            code, lines, errors = check(server.data)
            assert code == 1 and not errors and damaged.name in lines[0], lines
            assert check(server.data)[1] == lines  # looking changes nothing
            code, lines, errors = check(server.data, "--repair")
            assert code == 0 and not errors, (lines, errors)
            assert any("is kept as" in line for line in lines), lines
        code, lines, _ = check(server.data)
        assert code == 0 and len(lines) == 1, lines
        server.start()
        client = Client(server)
        count = client.call("GET", INFERENCES + "/count")[1]["count"]
        more = Writer(server, "more")
        more.start()
        wait_for(lambda: more.failure or more.answered > 20, 30)
        more.end()
        server.kill9()
        server.start()
        assert client is not None and Client(server).call("GET", INFERENCES + "/count")[1]["count"] == count + more.sent
        server.stop()
        assert check(server.data)[0] == 0
        if pattern is None or pattern == "MANIFEST":
            before = before or count  # a new manifest names all there was
            assert count == before
        elif "segments" in pattern:
            assert before is None


def test_the_catalog(make_server):
    server = loaded(make_server, 5)
    server.start()
    server.stop()
    data = bytearray((server.data / "catalog.db").read_bytes())
    data[4096:8192] = bytes(4096)
    (server.data / "catalog.db").write_bytes(data)
    code, lines, errors = check(server.data, "--repair")
    assert code == 1 and "catalog" in "".join(lines) + errors
