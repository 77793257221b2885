"""What is measured. Each function adds measurements to a Results: a name, the engine, and a number of each round."""

import contextlib
import json
import random
import time

import questions
import settings
from engines import CONNECTIONS
from process import Failure, Peak, anonymous_mib, cpu_s, drop_caches, finish_json, say, size_mib

RANDOM = 20261122
SLOW_MS = 10000  # a statement of PostgreSQL's that takes longer is asked once, not in every round


class Results:
    def __init__(self, quiet=False):
        self.numbers, self.notes, self.quiet = {}, {}, quiet

    def add(self, name, engine, value):
        self.numbers.setdefault(name, {}).setdefault(engine, []).append(value)
        if self.quiet:
            return
        shown = f"{value:,.3f}" if isinstance(value, float) and value < 1000 else f"{value:,.0f}"
        say(f"  {name:44} {engine:12} {shown}")

    def note(self, name, text):
        self.notes[name] = text


# ---- questions ----

def ask_w3(results, engines, data, name, quantiles):
    title = f"W3 {name}" + (" quantiles" if quantiles else "")
    if "sightglass" in engines:
        ours, server = engines["sightglass"]
        out, total = ours.state.with_name("answer"), 0
        for half, (first, last) in questions.halves(data).items():
            question = questions.our_query(name, quantiles, first, last)
            total += ours.ask(server, [question], 1, out=out)["p50_ms"]
            questions.check_groups("sightglass", name, half, questions.our_groups(out.read_text(encoding="utf-8")),
                                   data)
        results.add(title, "sightglass", total)
    slow = results.numbers.get(title, {}).get("postgresql", [0])[0] > SLOW_MS
    if "postgresql" in engines and not slow:
        pg = engines["postgresql"]
        out = pg.state.with_name("answer")
        answer = pg.ask([questions.sql("postgresql", name, quantiles, data)], 1, out=out)
        rows = [line.split("\t") for line in out.read_text(encoding="utf-8").splitlines()]
        for half, groups in questions.sql_groups(rows, data).items():
            questions.check_groups("postgresql", name, half, groups, data)
        results.add(title, "postgresql", answer["p50_ms"])


def w3_duckdb(results, duck, data, kinds):
    """Once in its own process each round; of two askings the second counts, as the others are warm too."""
    answers = duck.ask([questions.sql("duckdb", name, quantiles, data) for name, quantiles in kinds], 2)
    for (name, quantiles), answer in zip(kinds, answers):
        for half, groups in questions.sql_groups(answer["rows"], data).items():
            questions.check_groups("duckdb", name, half, groups, data)
        results.add(f"W3 {name}" + (" quantiles" if quantiles else ""), "duckdb", answer["ms"][-1])


def sample(data, count):
    source = random.Random(RANDOM)
    return [source.randrange(data.events) for _ in range(count)]


def our_lookups(data, ids, serials):
    canada = ("GET", "/api/v1/bench/inferences?metadata.camera_location=canada&limit=50", "", '"canada"')
    by_id = [("GET", f"/api/v1/bench/inferences/{i}", "", f'"{i}"') for i in ids]
    by_serial = [("GET", f"/api/v1/bench/inferences?metadata.serial_number={s}&limit=10", "", f'"{s}"')
                 for s in serials]
    return {"latest 50 canada": [canada] * 20, "by id": by_id, "by serial_number": by_serial}


COLUMNS = "ev.*, ARRAY(SELECT (field, value)::text FROM meta WHERE meta.id = ev.id)"


def pg_lookups(ids, serials):
    setup = [f"PREPARE latest AS SELECT {COLUMNS} FROM meta m JOIN ev USING (id) WHERE m.field = 1 AND"
             " m.value = $1 AND m.ts IS NOT NULL ORDER BY m.ts DESC LIMIT 50",
             f"PREPARE by_id AS SELECT {COLUMNS} FROM ev WHERE id = $1",
             f"PREPARE by_serial AS SELECT {COLUMNS} FROM meta m JOIN ev USING (id) WHERE m.field = 0 AND m.value = $1"]
    return setup, {"latest 50 canada": ["EXECUTE latest('canada')"] * 20,
                   "by id": [f"EXECUTE by_id('{i}')" for i in ids],
                   "by serial_number": [f"EXECUTE by_serial('{s}')" for s in serials]}


def ids_of(ours, server, data, count):
    """Ids and serial numbers of random inferences: the form of the numbers is known, the id comes from the answer."""
    serials = [f"SN{n:014}" for n in sample(data, count)]
    out = ours.state.with_name("answers")
    ours.ask(server, our_lookups(data, [], serials)["by serial_number"], 1, out=out)
    ids = []
    for line, serial in zip(out.read_text(encoding="utf-8").splitlines(), serials):
        found = json.loads(line)["inferences"]
        if len(found) != 1 or found[0]["metadata"]["serial_number"] != serial:
            raise Failure(f"Sightglass: {len(found)} inferences with serial_number {serial}")
        ids.append(found[0]["inference_id"])
    return ids, serials


def lookups(results, engines, data, ids, serials):
    if "sightglass" in engines:
        ours, server = engines["sightglass"]
        for name, asked in our_lookups(data, ids, serials).items():
            answer = ours.ask(server, asked, 1)
            results.add(name, "sightglass", answer["p50_ms"])
            results.add(name + " p99", "sightglass", answer["p99_ms"])
    if "postgresql" in engines:
        pg = engines["postgresql"]
        setup, statements = pg_lookups(ids, serials)
        for name, asked in statements.items():
            answer = pg.ask(asked, 1, setup=setup)
            results.add(name, "postgresql", answer["p50_ms"])
            results.add(name + " p99", "postgresql", answer["p99_ms"])


PLAIN = [("canada", False), ("line-1", False), ("not-canada", False), ("all", False)]
QUANTILES = [("canada", True), ("line-1", True), ("not-canada", True), ("all", True)]
OVERLAY = [("correct", False), ("correct", True)]


def idle(results, ours):
    with ours.serve(ours.base) as server:
        ours.settle(server, ours.base, 60)
        used, started = cpu_s(server.pid), time.monotonic()
        time.sleep(10)
        results.add("idle CPU %", "sightglass", (cpu_s(server.pid) - used) / (time.monotonic() - started) * 100)
        results.add("idle memory", "sightglass", anonymous_mib(server.pid))


def dashboard(results, ours, server, data):
    (first, last) = questions.halves(data)["now"]
    path = f"/api/v1/bench/stats?from={questions.when(first)}&to={questions.when(last)}&bucket=86400"
    for name, more in (("stats page, unfiltered", ""), ("stats page, line-1", "&metadata.line=line-1")):
        results.add(name, "sightglass", ours.ask(server, [("GET", path + more, "", "current")], 1)["p50_ms"])


def measure_questions(results, active, data, rounds):
    """Everything that only reads, engine after engine for each question, with all of them running all the time."""
    ours, pg = active.get("sightglass"), active.get("postgresql")
    warm, engines = Results(), {}
    with contextlib.ExitStack() as stack:
        if pg:
            stack.enter_context(pg.on_base())
            engines["postgresql"] = pg
        if ours:
            server = stack.enter_context(ours.serve(ours.base))
            engines["sightglass"] = (ours, server)
            ids, serials = ids_of(ours, server, data, 1000)
        else:
            ids, serials = [], []
        for number in range(rounds + 1):
            # The first round warms up and is not counted, but for what PostgreSQL needs long for.
            say(f"questions, {'warming up' if number == 0 else f'round {number} of {rounds}'}")
            questions_round(results if number else warm, active, engines, data, ids, serials)
            if number == 0:
                for title, numbers in warm.numbers.items():
                    if numbers.get("postgresql", [0])[0] > SLOW_MS:
                        results.numbers.setdefault(title, {})["postgresql"] = numbers["postgresql"]
    for _ in range(min(3, rounds) if ours else 0):
        idle(results, ours)


def questions_round(results, active, engines, data, ids, serials):
    for name, quantiles in PLAIN + QUANTILES:
        # PostgreSQL sorts 20 million rows for a median: two of these are enough to see.
        some = {n: e for n, e in engines.items() if n != "postgresql" or not quantiles or name in ("canada", "line-1")}
        ask_w3(results, some, data, name, quantiles)
    for name, quantiles in OVERLAY:
        ask_w3(results, {name: e for name, e in engines.items() if name == "postgresql"}, data, name, quantiles)
    if "duckdb" in active:
        w3_duckdb(results, active["duckdb"], data, PLAIN + QUANTILES + OVERLAY)
    lookups(results, engines, data, ids, serials)
    if "sightglass" in engines:
        ours, server = engines["sightglass"]
        with Peak(server.pid) as peak:
            for name, quantiles in PLAIN + QUANTILES:
                ask_w3(Results(quiet=True), {"sightglass": (ours, server)}, data, name, quantiles)
            dashboard(results, ours, server, data)
        results.add("memory, questions", "sightglass", peak.mib)


def overlay(results, ours, server, data):
    """W3 while a fifth of all rows have a value that no segment has yet."""
    before = ours.segments(ours.copy)
    ours.generate("review", server, "--connections", 8)
    for name, quantiles in OVERLAY:
        ask_w3(Results(quiet=True), {"sightglass": (ours, server)}, data, name, quantiles)
        ask_w3(results, {"sightglass": (ours, server)}, data, name, quantiles)
    folded = len(set(ours.segments(ours.copy)) - set(before))
    results.note("overlay", f"{folded} of {len(before)} segments were folded between attaching and asking")
    ours.check_load(server, review=True)


# ---- writes ----

CELLS = ["1", "100", "100ids"]


def attach_cells(results, active, server, state):
    """W2 in its three shapes, engine after engine; what each one stored is counted back at once."""
    ours, pg, bare = (active.get(name) for name in ("sightglass", "postgresql", "bare"))
    for cell, shape in enumerate(CELLS):
        seconds = settings.W2_SECONDS if shape == "1" else settings.SECONDS
        unit = "requests_s" if shape == "1" else "items_s"
        title = f"W2 {shape}"
        if bare:
            result = bare.attach(shape, seconds, cell)
            results.add(title, "bare", result[unit])
            results.add(title + " p99", "bare", result["p99_ms"])
        if server:
            result = ours.attach(server, shape, seconds, cell)
            joined = ours.check(server, shape, cell, state["extra"], state["pending"])
            state["extra"] += joined
            state["pending"] += result["waiting"] - joined
            record_attach(results, title, "sightglass", result, unit)
            results.add("memory, W2", "sightglass", result["peak_mib"])
        if pg:
            result = pg.attach(shape, seconds, cell)
            record_attach(results, title, "postgresql", result, unit)


def record_attach(results, title, engine, result, unit):
    results.add(title, engine, result[unit])
    if result.get("refused"):
        results.note(title, f"{result['refused']:,} requests were answered 503 and sent again")
    for name in ("p99", "p999"):
        results.add(f"{title} {name}", engine, result[name + "_ms"])


def cold_attach(results, ours, server, state):
    if not drop_caches():
        results.note("cold", "this user may not drop the page cache: what is called cold was warm")
    result = ours.attach(server, "1", min(10, settings.SECONDS), 3)
    joined = ours.check(server, "1", 3, state["extra"], state["pending"])
    state["extra"] += joined
    state["pending"] += result["waiting"] - joined
    results.add("attach, cold cache p99", "sightglass", result["p99_ms"])


def sealing_attach(results, ours, server, state):
    """Attach while 5,000 inferences a second come in, chunks are sealed and segments folded."""
    before = set(ours.segments(ours.copy))
    seconds = settings.SECONDS * 1.5
    ingest = ours.generating("ingest", server, "--items", 100, "--connections", 4, "--rate", 5000, "--seconds",
                             seconds + 1, "--first", state["first"])
    result = ours.attach(server, "1", seconds, 4)
    fresh = finish_json(ingest)["items"]
    state["first"] += fresh
    state["extra"] += fresh
    joined = ours.check(server, "1", 4, state["extra"], state["pending"])
    state["extra"] += joined
    state["pending"] += result["waiting"] - joined
    record_attach(results, "attach while sealing", "sightglass", result, "requests_s")
    results.note("sealing", f"{len(set(ours.segments(ours.copy)) - before)} segments were written meanwhile")


def busy(results, ours, server, data, state):
    """W3 while 20,000 inferences a second come in, and ingest at that rate with and without it."""
    first, last = questions.halves(data)["now"]
    question = questions.our_query("line-1", False, first, last)
    seconds = settings.SECONDS
    results.add("W3 line-1 idle p99", "sightglass", ours.ask(server, [question], 50)["p99_ms"])
    rate = ["--items", 100, "--connections", 8, "--rate", 20000, "--seconds", seconds]

    def ingest():
        process = ours.generating("ingest", server, *rate, "--first", state["first"])
        state["first"] += int(seconds * 20000) + 100000
        return process

    def over(process):
        result = finish_json(process)
        state["extra"] += result["items"]
        return result["p99_ms"]

    results.add("ingest 20 k/s idle p99", "sightglass", over(ingest()))
    running = ingest()
    asked = ours.ask(server, [question], 0, max(1, seconds - 1))
    results.add("W3 line-1 with ingest p50", "sightglass", asked["p50_ms"])
    results.add("W3 line-1 with ingest p99", "sightglass", asked["p99_ms"])
    results.add("ingest 20 k/s with W3 p99", "sightglass", over(running))


def ingest_w1(results, active, server, state):
    ours, pg = active.get("sightglass"), active.get("postgresql")
    if server:
        with Peak(server.pid) as peak:
            result = ours.generate("ingest", server, "--items", 100, "--connections", 8, "--seconds",
                                   settings.W1_SECONDS, "--first", state["first"])
        state["first"] += result["items"]
        state["extra"] += result["items"]
        count = ours.get(server, "/api/v1/bench/inferences/count")["count"]
        if count != ours.data.events + state["extra"]:
            raise Failure(f"Sightglass holds {count} inferences, want {ours.data.events + state['extra']}")
        record_attach(results, "W1", "sightglass", result, "items_s")
        results.add("memory, W1", "sightglass", peak.mib)
    if pg:
        result = pg.program("ingest", "--items", 100, "--connections", 8, "--seconds", settings.W1_SECONDS)
        record_attach(results, "W1", "postgresql", result, "items_s")


def restart(results, ours, server, data, state):
    """Killed in the middle of W2 and ingest; what was acknowledged must be there. Returns the server started last."""
    ingest = ours.generating("ingest", server, "--items", 100, "--connections", 4, "--rate", 20000, "--seconds", 600,
                             "--first", state["first"], "--until-closed")
    attach = ours.generating("attach", server, "--recent", data.recent, "--cell", 5, "--seconds", 600, "--connections",
                             CONNECTIONS, "--state", ours.state, "--until-closed")
    time.sleep(min(15, settings.SECONDS))
    server.kill()
    fresh, attached = finish_json(ingest), finish_json(attach)
    journal = sum(f.stat().st_size for f in (ours.copy / "journal").glob("*") if f.is_file()) / (1 << 20)
    results.note("restart", f"{size_mib(ours.copy):,.0f} MiB of files, {journal:,.0f} MiB of them journal")
    server = ours.serve(ours.copy)
    results.add("restart warm", "sightglass", server.start_s)
    # Requests in flight at the kill may be there or not: whole ones of 100.
    count = ours.get(server, "/api/v1/bench/inferences/count")["count"]
    beyond = count - data.events - state["extra"] - fresh["items"]
    if beyond not in (0, 100, 200, 300, 400):
        raise Failure(f"after the kill {beyond} inferences more than acknowledged, with 4 requests of 100 in flight")
    state["first"] += fresh["items"] + 100000
    state["extra"] += fresh["items"] + beyond
    joined = ours.check(server, "1", 5, state["extra"], state["pending"])
    state["extra"] += joined
    state["pending"] = ours.get(server, "/api/v1/bench/fields")["pending"]["ids"]
    server.kill()
    if not drop_caches():
        results.note("cold", "this user may not drop the page cache: what is called cold was warm")
    server = ours.serve(ours.copy)
    results.add("restart cold", "sightglass", server.start_s)
    return server


def pg_restart(results, pg, data):
    """The same load on PostgreSQL, stopped as by a crash, and the time until it answers again."""
    running = [pg.starting("ingest", "--items", 100, "--connections", 4, "--seconds", 600, "--first", 1000000000),
               pg.starting("attach", "--recent", data.recent, "--cell", 5, "--seconds", 600, "--connections",
                           CONNECTIONS)]
    time.sleep(min(15, settings.SECONDS))
    folder = pg.running
    pg.stop("immediate")
    for process in running:
        process.communicate()
    results.add("restart warm", "postgresql", pg.start(folder))


def measure_writes(results, active, data, rounds, wanted):
    ours, pg = active.get("sightglass"), active.get("postgresql")
    for number in range(rounds):
        say(f"writes, round {number + 1} of {rounds}")
        writes_round(results, active, data, wanted, ours)
        if pg and set(wanted) & {"attach", "restart", "ingest"}:
            with pg.on_copy():
                only = {"postgresql": pg}
                if "attach" in wanted:
                    attach_cells(results, only, None, {})
                if "restart" in wanted:
                    pg_restart(results, pg, data)
                if "ingest" in wanted:
                    ingest_w1(results, only, None, {})


def writes_round(results, active, data, wanted, ours):
    """Three kinds of load, each on a copy of its own, so that none begins with what another left to be folded."""
    if "attach" in wanted and "bare" in active:
        attach_cells(results, {"bare": active["bare"]}, None, {})
    if not ours:
        return
    only = {"sightglass": ours}
    if "ingest" in wanted:
        with ours.on_copy() as server:
            ingest_w1(results, only, server, fresh(data))
    if set(wanted) & {"attach", "mixed"}:
        state = fresh(data)
        with ours.on_copy() as server:
            if "attach" in wanted:
                attach_cells(results, only, server, state)
            if "mixed" in wanted:
                cold_attach(results, ours, server, state)
                sealing_attach(results, ours, server, state)
                busy(results, ours, server, data, state)
    if "restart" in wanted:
        with ours.on_copy() as server:
            restart(results, ours, server, data, fresh(data)).stop()
    if "mixed" in wanted:
        with ours.on_copy() as server:
            overlay(results, ours, server, data)


def fresh(data):
    """What is beside the data in a new copy: inferences and waiting ids, and the number of the next fresh inference."""
    return {"extra": 0, "pending": data.truth["pending"], "first": 0}
