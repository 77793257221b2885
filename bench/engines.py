"""The engines that are measured: the bare server, Sightglass, PostgreSQL and DuckDB, and the data they have in common.

An engine's `base` is the folder with everything loaded; it is only ever read. Whatever writes works on a copy."""

import contextlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import time
import urllib.request

import settings
from process import Failure, Peak, Server, cpu_s, run, run_json, say, size_mib, start

CONNECTIONS = 32


def shape_options(shape):
    """1: one item a request; 100: a hundred entries; 100ids: one entry of a hundred ids."""
    if shape == "1":
        return ["--items", 1]
    return ["--items", 100, "--shape", "ids" if shape.endswith("ids") else "entries"]


def copied(source, target, unchanging=None):
    """A copy to write to; files that no engine ever writes to again are the same ones under a second name."""
    shutil.rmtree(target, ignore_errors=True)
    if not unchanging:
        run(["cp", "-a", "--reflink=auto", source, target])
    else:
        shutil.copytree(source, target, copy_function=lambda a, b: os.link(a, b) if a.endswith(unchanging)
                        else shutil.copy2(a, b))
    os.sync()


class Data:
    """Which data it is. The 90 days end at a full hour that is kept beside the folders loaded with them."""

    def __init__(self, folder, events):
        self.folder, self.events = folder, events
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        note = folder / "data.json"
        if note.exists():
            self.end_us = json.loads(note.read_text(encoding="utf-8"))["end_us"]
        else:
            self.end_us = int(time.time()) // 3600 * 3600 * 1000000
            note.write_text(json.dumps({"events": events, "end_us": self.end_us}), encoding="utf-8")
        self.half_us = 45 * 86400 * 1000000
        self._truth = None

    def options(self):
        return ["--events", self.events, "--end", self.end_us]

    @property
    def truth(self):
        if self._truth is None:
            self._truth = run_json([settings.LOADGEN, "truth", *self.options()])
        return self._truth

    @property
    def recent(self):
        """How many of the newest are certainly in the open chunk: what is left over of full ones, at most 30,000."""
        left = self.events % 65536
        return min(30000, left if left >= 8192 else self.events // 4)


class Bare:
    def __init__(self, folder, data):
        self.folder, self.data = folder, data

    def attach(self, shape, seconds, cell):
        log = self.folder / "bare.log"
        with Server([settings.BARE, "serve", log, max(256, int(seconds * 250))], self.folder / "bare.err") as server:
            os.sync()
            result = run_json([settings.LOADGEN, "attach", "--url", server.url, *self.data.options(), "--recent",
                               self.data.recent, "--cell", cell, "--seconds", seconds, *shape_options(shape)])
        stored = run_json([settings.BARE, "count", log])
        log.unlink()
        if any(stored[name] != result[name] for name in ("requests", "items", "sum")):
            raise Failure(f"bare acknowledged {result}, but its log holds {stored}")
        return result


class Sightglass:
    def __init__(self, folder, data):
        self.data, self.base, self.copy = data, folder / "sightglass", folder / "sightglass-copy"
        self.log, self.state = folder / "sightglass.log", folder / "state"
        self.load_result = None

    def serve(self, folder, *options):
        return Server([settings.SERVER, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--workspace", "bench",
                       "--api-key", settings.KEY, "--log-level", "warn", *options], self.log)

    def generator(self, what, server, *options):
        return [settings.LOADGEN, what, "--url", server.url, "--key", settings.KEY, *self.data.options(), *options]

    def generate(self, what, server, *options):
        return run_json(self.generator(what, server, *options))

    def generating(self, what, server, *options):
        return start(self.generator(what, server, *options))

    def get(self, server, path):
        request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {settings.KEY}"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def post(self, server, path, body):
        request = urllib.request.Request(server.url + path, json.dumps(body).encode(), method="POST",
                                         headers={"Authorization": f"Bearer {settings.KEY}",
                                                  "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def segments(self, folder):
        return sorted(p.name for p in pathlib.Path(folder).glob("workspaces/*/segments/*.arrow"))

    def settle(self, server, folder, limit_s=300):
        """Waits until the keeper has nothing left to do: no CPU used, no segment made, for three seconds."""
        until, quiet, before = time.monotonic() + limit_s, 0, None
        while quiet < 3 and time.monotonic() < until:
            used, files = cpu_s(server.pid), self.segments(folder)
            time.sleep(1)
            quiet = quiet + 1 if cpu_s(server.pid) - used < 0.05 and files == before else 0
            before = files
        return quiet >= 3

    def load(self):
        note = self.base.with_suffix(".json")
        if note.exists():
            self.load_result = json.loads(note.read_text(encoding="utf-8"))
            return
        shutil.rmtree(self.base, ignore_errors=True)
        say(f"Sightglass: loading {self.data.events:,} inferences")
        with self.serve(self.base) as server:
            with Peak(server.pid) as peak:
                result = self.generate("data", server, "--connections", 16)
            result["peak_mib"] = peak.mib
            self.check_load(server)
            started = time.monotonic()
            self.settle(server, self.base)
            result["settle_s"] = time.monotonic() - started
        result["mib"], result["segments"] = size_mib(self.base), len(self.segments(self.base))
        note.write_text(json.dumps(result), encoding="utf-8")
        self.load_result = result

    def check_load(self, server, review=False):
        answer = self.get(server, "/api/v1/bench/fields")
        found = {field["name"]: field["inferences"] for field in answer["fields"]}
        want = {name: n for name, n in self.data.truth["fields"].items() if (name != "review" or review) and n}
        count = self.get(server, "/api/v1/bench/inferences/count")["count"]
        if found != want or count != self.data.events or answer["pending"]["ids"] != self.data.truth["pending"]:
            raise Failure(f"Sightglass holds {count} inferences, {found} and {answer['pending']}; "
                          f"want {self.data.events}, {want} and {self.data.truth['pending']}")

    def attach(self, server, shape, seconds, cell, *options):
        with Peak(server.pid) as peak:
            result = self.generate("attach", server, "--recent", self.data.recent, "--cell", cell, "--seconds", seconds,
                                   "--connections", CONNECTIONS, "--state", self.state, *shape_options(shape), *options)
        result["peak_mib"] = peak.mib
        return result

    def check(self, server, shape, cell, extra, pending):
        """Counts back an attach run; returns how many pending ids it joined to an inference."""
        return self.generate("check", server, "--recent", self.data.recent, "--cell", cell, "--state", self.state,
                             "--connections", CONNECTIONS, "--extra", extra, "--pending", pending,
                             *shape_options(shape))["joined"]

    def ask(self, server, questions, rounds, seconds=0, out=None):
        """questions: (method, path, body or None, text that the answer must hold)."""
        file = self.state.with_name("questions")
        lines = ["\t".join((method, path, body or "", want)) for method, path, body, want in questions]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        options = ["--out", out] if out else []
        return run_json([settings.LOADGEN, "ask", "--url", server.url, "--key", settings.KEY, "--file", file,
                         "--rounds", rounds, "--seconds", seconds, *options])

    @contextlib.contextmanager
    def on_copy(self, *options):
        copied(self.base, self.copy, ".arrow")
        try:
            with self.serve(self.copy, *options) as server:
                yield server
        finally:
            shutil.rmtree(self.copy, ignore_errors=True)


CONF = """
listen_addresses = ''
unix_socket_directories = '{folder}'
max_connections = 300
shared_buffers = {buffers}MB
effective_cache_size = {cache}MB
max_wal_size = 8GB
work_mem = 256MB
maintenance_work_mem = 1GB
random_page_cost = 1.1
effective_io_concurrency = 200
wal_level = minimal
max_wal_senders = 0
jit = off
fsync = on
synchronous_commit = on
"""


def memory_mib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)


class PostgreSQL:
    def __init__(self, folder, data):
        self.data, self.base, self.copy = data, folder / "postgresql", folder / "postgresql-copy"
        self.state = folder / "sql"
        self.as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.running = None

    def control(self, *arguments):
        command = [*self.as_postgres, settings.PG_BIN / arguments[0], *arguments[1:]]
        result = subprocess.run([str(a) for a in command], capture_output=True, text=True, cwd="/", check=False)
        if result.returncode != 0:
            raise Failure(f"{arguments[0]} failed: {result.stderr.strip()}{result.stdout.strip()}")

    def start(self, folder):
        # A socket's path may have 107 bytes; the folder is where the data is, as both move together.
        (folder / "data/postgresql.auto.conf").write_text(f"unix_socket_directories = '{folder}'\n", encoding="utf-8")
        started = time.monotonic()
        self.running = folder
        self.control("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-t", 600, "start")
        return time.monotonic() - started

    def stop(self, mode="fast"):
        if self.running:
            folder, self.running = self.running, None
            self.control("pg_ctl", "-D", folder / "data", "-m", mode, "-w", "-t", 600, "stop")

    def command(self, what, *options):
        conninfo = f"host={self.running} dbname=postgres user=postgres"
        return [settings.PG, what, "--conninfo", conninfo, *self.data.options(), *options]

    def program(self, what, *options):
        return run_json(self.command(what, *options))

    def starting(self, what, *options):
        return start(self.command(what, *options))

    def load(self):
        note = self.base.with_suffix(".json")
        if note.exists():
            return
        shutil.rmtree(self.base, ignore_errors=True)
        say(f"PostgreSQL: loading {self.data.events:,} inferences")
        self.base.mkdir()
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.base, postgres.pw_uid, postgres.pw_gid)
        self.control("initdb", "-D", self.base / "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C")
        with open(self.base / "data/postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(CONF.format(folder=self.base, buffers=min(4096, memory_mib() // 5), cache=memory_mib() * 2 // 3))
        self.start(self.base)
        try:
            result = self.program("load")
            self.program("review")
        finally:
            self.stop()
        result["mib"] = size_mib(self.base)
        note.write_text(json.dumps(result), encoding="utf-8")

    @contextlib.contextmanager
    def on_base(self):
        self.start(self.base)
        try:
            yield
        finally:
            self.stop()

    @contextlib.contextmanager
    def on_copy(self):
        copied(self.base, self.copy)
        self.start(self.copy)
        try:
            self.ask(["SELECT pg_prewarm('ev_pkey'), pg_prewarm('meta_pkey'), pg_prewarm('ev_ts')"], 1,
                     setup=["CREATE EXTENSION IF NOT EXISTS pg_prewarm"])
            yield
        finally:
            self.stop()
            shutil.rmtree(self.copy, ignore_errors=True)

    def attach(self, shape, seconds, cell):
        os.sync()
        return self.program("attach", "--recent", self.data.recent, "--cell", cell, "--seconds", seconds,
                            "--connections", CONNECTIONS, *shape_options(shape))

    def ask(self, statements, rounds, out=None, setup=()):
        lines = ["!" + s for s in setup] + list(statements)
        self.state.write_text("\n".join(" ".join(line.split()) for line in lines) + "\n", encoding="utf-8")
        return self.program("ask", "--file", self.state, "--rounds", rounds, *(["--out", out] if out else []))


class DuckDB:
    def __init__(self, folder, data):
        self.data, self.base = data, folder / "duckdb"
        self.file, self.csv = folder / "duckdb-questions", folder / "rows.csv"

    def load(self):
        if self.base.exists():
            return
        say(f"DuckDB: loading {self.data.events:,} inferences")
        run([settings.LOADGEN, "rows", *self.data.options(), "--out", self.csv])
        loading = self.base.with_suffix(".loading")
        loading.unlink(missing_ok=True)
        run(["node", settings.DUCKDB, "load", loading, self.csv])
        loading.rename(self.base)
        self.csv.unlink()

    def ask(self, statements, rounds):
        """For each statement the milliseconds of each round, the first of them cold, and the rows."""
        self.file.write_text("\n".join(" ".join(s.split()) for s in statements) + "\n", encoding="utf-8")
        return [json.loads(line) for line in
                run(["node", settings.DUCKDB, "ask", self.base, self.file, rounds]).splitlines()]
