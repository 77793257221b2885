"""200 workspaces with an inference a minute each, over 30 days: what many small ones cost."""

import datetime
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

import settings
from process import Failure, Peak, Server, anonymous_mib, mappings, run_json, size_mib

WORKSPACES = int(settings.setting("SMALL", "200"))
MINUTES = 30 * 24 * 60


def serve(folder, log):
    return Server([settings.SERVER, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--log-level", "warn"], log)


def add_keys(data):
    for n in range(WORKSPACES):
        result = subprocess.run([settings.SERVER, "keys", "add", "--data", data, "--workspace", f"small-{n:03}",
                                 "--stdin"], input=f"small-key-{n:03}\n", text=True, capture_output=True, check=False)
        if result.returncode != 0:
            raise Failure(f"keys add failed: {result.stderr.strip()}")


def count(server, n):
    request = urllib.request.Request(f"{server.url}/api/v1/small-{n:03}/inferences/count",
                                     headers={"Authorization": f"Bearer small-key-{n:03}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["count"]


def wait_for_key(server, n, limit_s=10):
    """A new key takes effect within a second."""
    until = time.monotonic() + limit_s
    while True:
        try:
            return count(server, n)
        except urllib.error.HTTPError as error:
            if error.code != 401 or time.monotonic() > until:
                raise Failure(f"the key of small-{n:03} opens nothing: {error}") from None
            time.sleep(0.1)


def counted(server):
    """Every workspace must hold exactly its own."""
    for n in range(WORKSPACES):
        found = count(server, n)
        if found != MINUTES:
            raise Failure(f"small-{n:03} holds {found} inferences, want {MINUTES}")


def measure(folder):
    work = folder / "small"
    shutil.rmtree(work, ignore_errors=True)
    data, log = work / "data", work / "log"
    work.mkdir()
    end_us = int(time.time()) // 3600 * 3600 * 1000000
    with serve(data, log) as server:
        add_keys(data)
        wait_for_key(server, WORKSPACES - 1)
        with Peak(server.pid) as peak:
            load = run_json([settings.LOADGEN, "small", "--url", server.url, "--end", end_us, "--workspaces",
                             WORKSPACES, "--connections", 16])
        counted(server)
        anonymous, maps = anonymous_mib(server.pid), mappings(server.pid)
        segments = len(list(data.glob("workspaces/*/segments/*.arrow")))
        server.kill()
    with serve(data, log) as server:
        restart_s = server.start_s
        counted(server)
        after = anonymous_mib(server.pid)
    mib = size_mib(data)
    shutil.rmtree(work)
    return "\n".join([
        f"{WORKSPACES} workspaces with an inference a minute over 30 days each, {load['items']:,} in all, an hour a "
        f"request, all in turn ({datetime.date.today()}): {load['items_s']:,.0f} events/s, p99 of a request "
        f"{load['p99_ms']:.1f} ms. Peak anonymous memory {peak.mib:,.0f} MiB, {anonymous:,.0f} MiB at the end; "
        f"{segments} segments, {maps} mappings, {mib:,.0f} MiB of files. Restart after `kill -9`: {restart_s:.2f} s, "
        f"{after:,.0f} MiB then. Each workspace's count was exact before and after."])
