"""The real program, started for a test.

    def test_x(server):         one program for all tests of a file that only look; a free port, data in a temp folder
    def test_y(make_server):    s = make_server(max_per_id=3)   one of the test's own, with settings; stopped afterwards
    def small(fleet):           return fleet.make(max_per_id=3) a fixture: one for all tests of a file, with settings
    def test_z(platform):       a fake platform for all tests of a file; `stranger` is another, whom nobody may ask anything
    def test_m(models):         a folder of all networks that graphs.py makes, for all tests of a file

A Server has .url, .key, .workspace ("test" unless set), .data, .port, and

    s.get("/x"), s.post("/x", json=...), s.put, s.delete, s.request(method, path, ...)
                                        requests, with the key as Bearer; anonymous=True leaves the key out
    s.raw(bytes)                        what the server answers to these bytes on a fresh socket, until it closes
    s.restart(), s.stop(), s.kill9()    s.start() after the last two; restart keeps the data
    s.log()                             what it wrote to standard error, all starts together
    s.keys("add", "--name", "x")        runs `sightglass keys`; a CompletedProcess
    wait_for(lambda: ..., seconds=10)   for what takes effect a little later

When a test fails, the log of each server that it used is printed with it. SIGHTGLASS_BIN names the program (default
build/sightglass).
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest
import requests

TOP = pathlib.Path(__file__).resolve().parents[2]
BINARY = (TOP / os.environ.get("SIGHTGLASS_BIN", "build/sightglass")).resolve()
KEY = "sg_test0123456789abcdefghijklmnopq"
START_SECONDS = 30  # a program built with sanitizers on a busy machine


def wait_for(condition, seconds=10, what="the condition"):
    """Returns the first true value of condition(), or fails after `seconds`."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            pytest.fail(f"{what} did not come true within {seconds} s")
        time.sleep(0.01)


class Server:
    def __init__(self, folder, settings):
        self.data = folder / "data"
        self.log_path = folder / "log"
        self.settings = {"journal_file_size": "1M", "log_level": "debug", "workspace": "test", "api_key": KEY, **settings}
        self.key, self.workspace = self.settings["api_key"], self.settings["workspace"]
        self.process = self.url = self.port = None
        self.http = requests.Session()
        self.http.trust_env = False

    # --- the process

    def environment(self):
        plain = {k: v for k, v in os.environ.items() if not k.startswith("SIGHTGLASS_")}
        for name, value in self.settings.items():
            if value is not None:
                plain["SIGHTGLASS_" + name.upper()] = str(value)
        return plain

    def command(self):
        return [str(BINARY), "serve", "--data", str(self.data), "--listen", f"127.0.0.1:{self.port or 0}"]

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.environment(),
                cwd=self.log_path.parent)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening on http://"):
            code = self.process.wait(timeout=START_SECONDS)
            raise RuntimeError(f"sightglass did not start (exit code {code}):\n{self.log()}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def stop(self, how=signal.SIGTERM):
        """The exit code; None when it did not run."""
        if not self.process:
            return None
        self.http.close()
        self.process.send_signal(how)
        code = self.process.wait(timeout=START_SECONDS)
        self.process.stdout.close()
        self.process = None
        return code

    def kill9(self):
        return self.stop(signal.SIGKILL)

    def restart(self):
        """Stops it well, or not at all when it was killed before, and starts it on the same port and data."""
        code = self.stop()
        assert code in (0, None), f"exit code {code}\n{self.log()}"
        return self.start()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def keys(self, *arguments, stdin="", workspace=None):
        where = ["--data", str(self.data), "--workspace", workspace or self.workspace]
        return subprocess.run([str(BINARY), "keys", arguments[0], *where, *arguments[1:]], input=stdin,
                              capture_output=True, text=True, timeout=START_SECONDS)

    # --- requests

    def request(self, method, path, anonymous=False, key=None, headers=None, **more):
        headers = dict(headers or {})
        if not anonymous and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {key or self.key}"
        more.setdefault("timeout", START_SECONDS)
        more.setdefault("allow_redirects", False)
        return self.http.request(method, self.url + path, headers=headers, **more)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def post(self, path, **more):
        return self.request("POST", path, **more)

    def put(self, path, **more):
        return self.request("PUT", path, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS)

    def raw(self, data):
        with self.connect() as s:
            s.sendall(data)
            return read_all(s)


def read_all(s):
    """Everything until the other side closes (or resets)."""
    parts = []
    try:
        while part := s.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"<RESET>")
    return b"".join(parts)


class Fleet:
    """Servers of one test or file, stopped at its end."""

    def __init__(self, base):
        self.base, self.servers = base, []

    def make(self, **settings):
        folder = self.base / f"server{len(self.servers)}"
        folder.mkdir()
        server = Server(folder, settings)
        self.servers.append(server)
        return server.start()

    def close(self):
        codes = [(s, s.stop()) for s in self.servers]
        for server in self.servers:
            shutil.rmtree(server.data, ignore_errors=True)
        for server, code in codes:
            assert code in (0, None), f"exit code {code} at the end\n{server.log()}"
            assert "Sanitizer" not in server.log(), server.log()


@pytest.fixture
def make_server(tmp_path):
    fleet = Fleet(tmp_path)
    yield fleet.make
    fleet.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("servers"))
    yield fleet
    fleet.close()


@pytest.fixture(scope="module")
def server(fleet):
    return fleet.make()


# What lies beside this file is imported where it is used: tests/crash has this file alone.

@pytest.fixture(scope="module")
def platform():
    from fake_platform import Platform
    p = Platform()
    yield p
    p.close()


@pytest.fixture(scope="module")
def stranger():
    from fake_platform import Platform
    p = Platform()
    yield p
    assert p.seen == []
    p.close()


@pytest.fixture
def fresh_platform(platform):
    platform.seen.clear()
    platform.answers.clear()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import graphs
    folder = tmp_path_factory.mktemp("models")
    graphs.all_of_them(folder)
    return folder


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for fixture in ("server", "make_server"):
            used = item.funcargs.get(fixture)
            servers = used.__self__.servers if fixture == "make_server" and used else [used] if used else []
            for one in servers:
                report.sections.append((f"log of {one.url}", one.log()[-6000:]))


def pytest_configure(config):
    if not BINARY.exists():
        pytest.exit(f"{BINARY} is not there: run `make` first, or set SIGHTGLASS_BIN", returncode=2)
