"""The settings of `make bench`, all from the environment.

  BENCH_EVENTS       inferences in the data (10000000); 1000000 for a quick look
  BENCH_ROUNDS       rounds; the table holds their medians (5)
  BENCH_SECONDS      length of a measurement of W1 and W2 (20)
  BENCH_W1_SECONDS   of W1 alone; BENCH_W2_SECONDS of W2 with 1 item alone, 600 as the goal says
  BENCH_ROWS         groups of rows: "questions,attach,mixed,restart,ingest,small,pingbacks" (the first five)
  BENCH_ENGINES      "bare,sightglass,postgresql,duckdb"
  BENCH_SIZES        the plot's sizes, "1000000,10000000,50000000" (none: no plot)
  BENCH_DIR          folder on the disk to measure (/var/tmp); everything goes into a new folder in it
  BENCH_KEEP         folder in which the loaded data stays for the next run; it must be on the disk to measure
  BENCH_SERVER       the program (build/sightglass)
  BENCH_WRITE        0: leave docs/ as it is (1)
"""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


def setting(name, default):
    return os.environ.get("BENCH_" + name, default)


def names(name, default):
    return [part for part in setting(name, default).split(",") if part]


EVENTS = int(setting("EVENTS", "10000000"))
ROUNDS = int(setting("ROUNDS", "5"))
SECONDS = float(setting("SECONDS", "20"))
W1_SECONDS = float(setting("W1_SECONDS", str(SECONDS)))
W2_SECONDS = float(setting("W2_SECONDS", str(SECONDS)))
ROWS = names("ROWS", "questions,attach,mixed,restart,ingest")
ENGINES = names("ENGINES", "bare,sightglass,postgresql,duckdb")
SIZES = [int(n) for n in names("SIZES", "")]
DIR = setting("DIR", "/var/tmp")
KEEP = setting("KEEP", "")
WRITE = setting("WRITE", "1") != "0"

PROGRAMS = pathlib.Path(setting("PROGRAMS", str(BUILD)))
SERVER = pathlib.Path(setting("SERVER", str(BUILD / "sightglass")))
LOADGEN = PROGRAMS / "loadgen"
BARE = PROGRAMS / "bench/bare"
PG = PROGRAMS / "bench/pg"
PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
DUCKDB = ROOT / "bench/duckdb/run.mjs"
DOCUMENT = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance.svg"
KEY = "bench-key-0123456789"
