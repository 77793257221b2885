"""Starting, being ready, stopping, and what a client sees of the connection."""
import gzip
import os
import re
import signal
import stat
import subprocess
import time

import pytest
from conftest import BINARY, Server, read_all, wait_for


def serve(*arguments, **environment):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("SIGHTGLASS_")}
    return subprocess.run([str(BINARY), "serve", *arguments], capture_output=True, text=True, timeout=30,
                          env={**plain, **environment})


def test_prints_one_line_when_ready_and_only_then(tmp_path):
    s = Server(tmp_path, {})
    s.start()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", s.url)
    process = s.process
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    assert process.stdout.read() == b""  # nothing but that line
    process.stdout.close()


def test_ctrl_c_ends_it_at_once(make_server):
    s = make_server()
    began = time.monotonic()
    assert s.stop(signal.SIGINT) == 0
    assert time.monotonic() - began < 5


def test_stops_with_code_0_within_5_seconds_though_clients_are_connected(make_server):
    s = make_server()
    with s.connect() as idle, s.connect() as half:
        half.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert s.get("/healthz").status_code == 200
        began = time.monotonic()
        assert s.stop() == 0
        assert time.monotonic() - began < 5
        assert idle.recv(1) == b""


def test_what_is_in_flight_at_the_end_is_answered(make_server):
    s = make_server()
    with s.connect() as c:
        c.sendall(b"POST /?api_key=x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        wait_for(lambda: s.get("/healthz").ok)
        s.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "event=stopping" in s.log())
        c.sendall(b"}")
        answer = read_all(c)
        assert answer.startswith(b"HTTP/1.1 401 ") and b"Connection: close" in answer
        assert s.process.wait(timeout=5) == 0


def test_a_second_server_on_the_same_data_names_the_first(make_server):
    s = make_server()
    second = serve("--data", str(s.data), "--listen", "127.0.0.1:0")
    assert second.returncode == 1 and second.stdout == ""
    assert f"pid {s.process.pid};" in second.stderr


def test_a_taken_port_is_named_with_the_way_out(make_server, tmp_path):
    s = make_server()
    second = serve("--data", str(tmp_path / "other"), "--listen", f"127.0.0.1:{s.port}")
    assert second.returncode == 1
    assert f"127.0.0.1:{s.port} is taken" in second.stderr and "--listen" in second.stderr and "PORT=" in second.stderr


def test_a_killed_server_leaves_no_lock(make_server):
    s = make_server()
    assert s.kill9() == -signal.SIGKILL
    s.start()
    assert s.get("/").status_code == 200


@pytest.mark.parametrize("option, value, names", [
    ("--listen", "nonsense", "HOST:PORT"),
    ("--listen", "127.0.0.1:70000", "65535"),
    ("--http-workers", "0", "from 1 to 64"),
    ("--max-body-ingest", "12 apples", "K, M or G"),
    ("--log-level", "loud", "debug, info, warn or error"),
    ("--no-such-thing", "1", "there is no option --no-such-thing"),
    ("--workspace", "alone", "go together"),
])
def test_a_bad_option_is_named_with_its_value_and_limits(option, value, names):
    result = serve(option, value)
    assert result.returncode == 2 and result.stdout == ""
    assert names in result.stderr


def test_flag_beats_environment_beats_file_beats_default(tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("# a comment\nhttp_workers = 3\n\nlog_level = warn\n")
    s = Server(tmp_path, {"config": conf, "log_level": "info", "workspace": None, "api_key": None})
    s.start()
    wait_for(lambda: "event=listening" in s.log())  # the environment's info won over the file's warn
    s.stop()
    conf.write_text("no_such = 1\n")
    result = serve("--config", str(conf))
    assert result.returncode == 2 and f"{conf}:1" in result.stderr and "no_such" in result.stderr


def test_the_first_start_makes_a_workspace_and_a_key_in_a_private_file(make_server):
    s = make_server(workspace=None, api_key=None)
    path = s.data / "first-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    slug, key = path.read_text().split()
    assert slug == "default" and re.fullmatch(r"sg_[A-Za-z0-9]{32}", key)
    assert s.get("/?api_key=" + key, anonymous=True).json() == {"workspace": "default"}
    path.unlink()
    s.restart()
    assert not path.exists()
    assert s.get("/?api_key=" + key, anonymous=True).json() == {"workspace": "default"}


def test_version_and_help():
    for arguments in (["--version"], ["--help"], ["serve", "--help"], ["keys", "--help"]):
        result = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, timeout=30)
        assert result.returncode == 0 and "ightglass" in result.stdout, arguments
    assert subprocess.run([str(BINARY), "dance"], capture_output=True, timeout=30).returncode == 2


def test_health_and_info(server):
    assert server.get("/healthz", anonymous=True).json() == {"status": "healthy"}
    for path in ("/readiness", "/readyz"):
        assert server.get(path, anonymous=True).json() == {"status": "ready"}
    info = server.get("/info", anonymous=True).json()
    assert info["name"] == "Sightglass" and info["version"] and re.fullmatch(r"[0-9a-f-]{36}", info["uuid"])
    uuid = info["uuid"]
    server.restart()
    assert server.get("/info", anonymous=True).json()["uuid"] == uuid


def test_every_answer_carries_its_own_request_id_which_the_log_has(server):
    ids = [server.get(path, anonymous=True).headers["X-Request-ID"] for path in ("/info", "/nothing-here", "/info")]
    assert len(set(ids)) == 3
    for one in ids:
        wait_for(lambda: f"request={one} " in server.log())


def test_no_key_in_the_log(server):
    secret = "sg_SECRETSECRETSECRET"
    server.get(f"/?api_key={secret}", anonymous=True)
    server.get("/info", key=secret)
    server.post("/", data='{"api_key": "%s"}' % secret, anonymous=True)
    server.post("/api/v1/session", data='{"key": "%s"}' % secret, anonymous=True)
    last = server.get("/nothing-here").headers["X-Request-ID"]
    wait_for(lambda: f"request={last} " in server.log())
    assert secret not in server.log() and server.key not in server.log()


def test_gzip_bodies_are_read(server):
    body = gzip.compress(b'{"api_key": "%s"}' % server.key.encode())
    headers = {"Content-Encoding": "gzip"}
    assert server.post("/", data=body, headers=headers, anonymous=True).json() == {"workspace": server.workspace}
    two = gzip.compress(b'{"api_key": ') + gzip.compress(b'"%s"}' % server.key.encode())
    assert server.post("/", data=two, headers=headers, anonymous=True).json() == {"workspace": server.workspace}


def test_keep_alive_serves_several_requests_and_pipelining(server):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert server.raw(one * 5 + last).count(b'{"status":"healthy"}') == 6


def test_sign_in_by_cookie(server):
    bad = server.post("/api/v1/session", json={"key": "sg_nonsense"}, anonymous=True)
    assert bad.status_code == 401 and "error" in bad.json() and "Set-Cookie" not in bad.headers
    answer = server.post("/api/v1/session", json={"key": server.key}, anonymous=True)
    assert answer.json()["workspace"] == server.workspace and answer.json()["key"]["prefix"] == server.key[:8]
    assert answer.json()["first_key"] is False
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and server.key not in cookie
    server.http.cookies.clear()
    held = {"Cookie": cookie.split(";")[0]}
    assert server.get("/api/v1/session", headers=held, anonymous=True).json() == answer.json()
    assert server.get("/api/v1/server", headers=held, anonymous=True).json()["listen"] == server.url[len("http://"):]
    name, value = held["Cookie"].split("=", 1)
    for forged in (value[:-1] + ("A" if value[-1] != "A" else "B"), "B" + value[1:], value[:20], "", value + "AAAA"):
        assert server.get("/api/v1/session", headers={"Cookie": f"{name}={forged}"}, anonymous=True).status_code == 401
    gone = server.delete("/api/v1/session", headers=held, anonymous=True)
    assert gone.status_code == 204 and "Max-Age=0" in gone.headers["Set-Cookie"]


def test_a_change_by_cookie_needs_an_origin_of_this_host_and_the_first_key_can_be_removed(make_server):
    s = make_server(workspace=None, api_key=None)
    path = s.data / "first-key"
    key = path.read_text().split()[1]
    answer = s.post("/api/v1/session", json={"key": key}, anonymous=True)
    assert answer.json()["first_key"] is True
    s.http.cookies.clear()
    held = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert s.delete("/api/v1/first-key", headers={**held, **origin}, anonymous=True).status_code == 401
        assert path.exists()
    assert s.delete("/api/v1/first-key", headers={**held, "Origin": s.url}, anonymous=True).status_code == 204
    assert not path.exists()
    assert s.get("/api/v1/session", headers=held, anonymous=True).json()["first_key"] is False
    assert s.delete("/api/v1/first-key", key=key).status_code == 404


def test_a_session_ends_with_its_key(server):
    made = server.keys("add")
    key = made.stdout.strip()
    wait_for(lambda: server.get("/api/v1/session", key=key).ok)
    answer = server.post("/api/v1/session", json={"key": key}, anonymous=True)
    server.http.cookies.clear()
    held = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    assert server.get("/api/v1/session", headers=held, anonymous=True).ok
    assert server.keys("revoke", str(answer.json()["key"]["id"])).returncode == 0
    wait_for(lambda: server.get("/api/v1/session", headers=held, anonymous=True).status_code == 401, seconds=5)
