"""The table, and where it goes."""

import datetime
import os
import pathlib
import re
import statistics
import subprocess

import settings
from engines import memory_mib
from process import Failure

# What stands in the table: name in the results, text, unit, digits, goal (None: none), whether less is better.
# Two goals depend on other numbers and are worked out in goals().
ROWS = [
    ("W1", "W1 ingest, 100 a request", "events/s", 0, 200000, False),
    ("W2 1", "W2 attach, 1 item a request, 32 connections", "requests/s", 0, "bare", False),
    ("W2 1 p99", "its p99", "ms", 2, 3, True),
    ("W2 1 p999", "its p99.9", "ms", 2, 20, True),
    ("W2 100", "W2 attach, 100 entries a request", "items/s", 0, 250000, False),
    ("W2 100ids", "W2 attach, 1 entry of 100 ids", "items/s", 0, 400000, False),
    ("W3 canada", "W3 counts and means, filter on 1 %", "ms", 1, 150, True),
    ("W3 line-1", "W3 counts and means, filter on 50 %", "ms", 1, 150, True),
    ("W3 not-canada", "W3 counts and means, filter on 99 %", "ms", 1, 150, True),
    ("W3 correct", "W3 counts and means, filter on a field that lies over 20 % of the rows", "ms", 1, 150, True),
    ("W3 canada quantiles", "W3 with median and p95, filter on 1 %", "ms", 1, 250, True),
    ("W3 line-1 quantiles", "W3 with median and p95, filter on 50 %", "ms", 1, 250, True),
    ("W3 not-canada quantiles", "W3 with median and p95, filter on 99 %", "ms", 1, 250, True),
    ("W3 correct quantiles", "W3 with median and p95, filter on that field over 20 %", "ms", 1, 250, True),
    ("W3 all", "W3 counts and means, no filter, whole hours", "ms", 2, 5, True),
    ("W3 all quantiles", "W3 with median and p95, no filter, whole hours", "ms", 1, None, True),
    ("stats page, unfiltered", "the dashboard's statistics, 45 days against 45, no filter", "ms", 1, None, True),
    ("stats page, line-1", "the dashboard's statistics, filter on 50 %", "ms", 1, None, True),
    ("latest 50 canada", "latest 50 with camera_location=canada", "ms", 2, 5, True),
    ("by id", "one inference by id", "ms", 3, 1, True),
    ("by id p99", "its p99", "ms", 3, None, True),
    ("by serial_number", "one inference by serial_number", "ms", 3, 5, True),
    ("by serial_number p99", "its p99", "ms", 3, None, True),
    ("restart warm", "restart from SIGKILL under load, warm", "s", 2, 2, True),
    ("restart cold", "the same with the page cache dropped", "s", 2, 5, True),
    ("memory, W1", "peak anonymous memory in W1", "MiB", 0, 512, True),
    ("memory, W2", "peak anonymous memory in W2", "MiB", 0, 512, True),
    ("memory, questions", "peak anonymous memory in the questions", "MiB", 0, 512, True),
    ("idle memory", "anonymous memory, idle, no model loaded", "MiB", 0, 64, True),
    ("idle CPU %", "CPU, idle", "%", 1, 1, True),
    ("attach while sealing", "attach, 1 item, while 5 k events/s are sealed and segments folded", "requests/s", 0, None,
     False),
    ("attach while sealing p99", "its p99", "ms", 2, None, True),
    ("attach while sealing p999", "its p99.9", "ms", 2, 20, True),
    ("attach, cold cache p99", "attach, 1 item, page cache just dropped: p99", "ms", 2, None, True),
    ("W3 line-1 idle p99", "W3 half (45 days, filter on 50 %) p99, idle", "ms", 1, None, True),
    ("W3 line-1 with ingest p99", "the same while 20 k events/s come in", "ms", 1, "idle", True),
    ("ingest 20 k/s idle p99", "ingest at 20 k events/s: p99 of a request", "ms", 1, None, True),
    ("ingest 20 k/s with W3 p99", "the same while W3 is asked without pause", "ms", 1, "idle", True),
]
IDLE_OF = {"W3 line-1 with ingest p99": "W3 line-1 idle p99", "ingest 20 k/s with W3 p99": "ingest 20 k/s idle p99"}


def median(numbers, name, engine):
    values = numbers.get(name, {}).get(engine)
    return statistics.median(values) if values else None


def shown(value, digits):
    return "" if value is None else f"{value:,.{digits}f}"


def spread(values, digits):
    if not values:
        return ""
    return f"{min(values):,.{digits}f} - {max(values):,.{digits}f}" if len(values) > 1 else "once"


def goal_of(numbers, name, goal):
    """The goal as a number, and how it is written."""
    if goal == "bare":
        bare = median(numbers, name, "bare")
        return (0.75 * bare, f"0.75 of bare = {0.75 * bare:,.0f}") if bare else (None, "0.75 of bare")
    if goal == "idle":
        alone = median(numbers, IDLE_OF[name], "sightglass")
        return (2 * alone, f"2x idle = {2 * alone:,.1f}") if alone else (None, "2x idle")
    return goal, "" if goal is None else f"{goal:,}"


def verdict(value, goal, less):
    if value is None or goal is None:
        return ""
    if (value < goal) if less else (value >= goal):
        return "met"
    factor = value / goal if less else goal / value
    return f"missed by {(factor - 1) * 100:.0f} %" if factor < 2 else f"missed {factor:.1f}-fold"


def table(numbers):
    lines = ["| work | unit | goal | Sightglass | spread | | PostgreSQL 15 | other peer |",
             "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: |"]
    for name, text, unit, digits, goal, less in ROWS:
        if name not in numbers:
            continue
        ours = median(numbers, name, "sightglass")
        limit, limit_text = goal_of(numbers, name, goal)
        sign = "" if goal is None else ("< " if less else ">= ")
        other = [f"{label} {shown(median(numbers, name, engine), digits)}" for engine, label in
                 (("bare", "bare"), ("duckdb", "DuckDB")) if median(numbers, name, engine) is not None]
        lines.append("| " + " | ".join([
            text, unit, sign + limit_text, shown(ours, digits), spread(numbers[name].get("sightglass"), digits),
            verdict(ours, limit, less), shown(median(numbers, name, "postgresql"), digits), ", ".join(other)]) + " |")
    return lines


def load_lines(loads):
    lines = []
    if loads.get("sightglass"):
        r = loads["sightglass"]
        lines.append(f"- Loading into Sightglass: {r['items']:,} inferences ({r['unchanged']:,} of them sent again) "
                     f"and {r['attached']:,} metadata items over HTTP in {r['seconds']:,.0f} s, with sealing; peak "
                     f"anonymous memory {r['peak_mib']:,.0f} MiB. On disk {r['mib']:,.0f} MiB, the journal among them; "
                     f"{r['segments']} segments.")
    if loads.get("postgresql"):
        r = loads["postgresql"]
        lines.append(f"- Loading into PostgreSQL: COPY, then indexes and VACUUM ANALYZE, {r['seconds']:,.0f} s; on "
                     f"disk {r['mib']:,.0f} MiB.")
    return lines


def cpu_name():
    found = re.findall(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[0] if found else os.uname().machine


def head(kind, fsyncs):
    private = ("BENCH_DIR", "BENCH_KEEP", "BENCH_WRITE", "BENCH_SERVER", "BENCH_PROGRAMS")
    given = " ".join(f"{name}={value}" for name, value in sorted(os.environ.items())
                     if name.startswith("BENCH_") and name not in private)
    return [f"Command: `{(given + ' make bench').strip()}`, {datetime.date.today()}. "
            f"{len(os.sched_getaffinity(0))} cores ({cpu_name()}), {memory_mib() / 1024:.0f} GiB, {kind}, Linux "
            f"{os.uname().release}. {settings.EVENTS:,} inferences. Medians of {settings.ROUNDS}; a round is "
            f"{settings.W1_SECONDS:g} s of W1, {settings.W2_SECONDS:g} s of W2 with 1 item, {settings.SECONDS:g} s of "
            f"other loads.", "",
            f"Disk: {statistics.median(fsyncs):,.0f} fdatasync/s of 4 KiB overwrites, one at a time "
            f"({min(fsyncs):,.0f} to {max(fsyncs):,.0f}).", ""]


def text(results, loads, kind, fsyncs):
    notes = [f"- {name}: {note}." for name, note in results.notes.items()]
    return "\n".join(head(kind, fsyncs) + table(results.numbers) + [""] + load_lines(loads) + notes)


def file_system(folder):
    found = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", folder], capture_output=True, text=True, check=True)
    kind = found.stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise Failure(f"{folder} is in memory ({kind}), nothing there is durable; set BENCH_DIR to a folder on a disk")
    return kind


def write_between(name, body):
    """Replaces what stands between the two markers of that name in docs/performance.md."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = settings.DOCUMENT.read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise Failure(f"{settings.DOCUMENT}: the lines {begin} and {end} are not there")
    before, after = old[:old.index(begin) + len(begin)], old[old.index(end):]
    settings.DOCUMENT.write_text(f"{before}\n{body}\n{after}", encoding="utf-8")
