// Every point of every chart on the data of the simulated fleet: what it is copied as is what the truth files come to
// (truth.mjs), what it reads out is that as pages write numbers, and it stands at that height.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bars, copied, failures, figure, flags, spark, walked } from "./drawn.mjs";
import { digits, visit } from "./support.mjs";
import { beginWithTruth, groupBy, quantile, sum, sums, tally } from "./truth.mjs";
import { BIN, confidence, count, EXACT, seconds } from "./written.mjs";

let server, origin, page, tab, truth, now, earlier, within, failed;

before(async () => {
  ({ server, origin, tab, page, truth } = await beginWithTruth(6000));
  ({ now, earlier, within, failed } = truth);
  await tab.context.grantPermissions(["clipboard-read", "clipboard-write"]);
});

const at = more => new URLSearchParams({ ...now, ...more }).toString();
const plural = (n, one) => `${count(n)} ${n === 1 ? one : `${one}s`}`;
const percent = s => (s === null ? "–" : `${(s * 100).toFixed(1)} %`);
const share = (n, all) => (all ? n / all : null);

// The buckets of a range, and what of the truth is in each.
function buckets(times, { from, to }, of) {
  const width = times[1] - times[0];
  assert.ok(times.length > 20 && times.every((t, i) => t === times[0] + i * width), "buckets follow each other");
  assert.ok(times[0] <= Date.parse(from) && times[0] + width > Date.parse(from), "from the beginning");
  assert.ok(times.at(-1) < Date.parse(to) && times.at(-1) + width >= Date.parse(to), "to the end");
  const iso = t => new Date(t).toISOString();
  return times.map(t => of({ from: iso(Math.max(t, Date.parse(from))), to: iso(Math.min(t + width, Date.parse(to))) }));
}

// What a chart should show of some inferences; `failures` is the number that servers counted.
const low = rows => quantile(rows.flatMap(r => r.top ?? []), 0.1);
const high = rows => quantile(rows.flatMap(r => r.top ?? []), 0.9);
const MEASURES = {
  requests: [rows => rows.length, n => plural(n, "request"), EXACT],
  mean: [rows => sums(rows).confidence, confidence, EXACT],
  monitoring: [rows => sums(rows).monitoring.confidence, confidence, EXACT],
  low: [low, confidence, BIN.confidence],
  high: [high, confidence, BIN.confidence],
  p50: [rows => sums(rows).p50, seconds, BIN.seconds],
  p95: [rows => sums(rows).p95, seconds, BIN.seconds],
  p99: [rows => sums(rows).p99, seconds, BIN.seconds],
  latency: [rows => sums(rows).latency, seconds, EXACT],
};

function same(got, wanted, slack, what) {
  assert.equal(got.length, wanted.length, what);
  assert.ok(wanted.filter(v => v !== null).length > 10, `${what}: there is something to see`);
  for (const [i, v] of wanted.entries())
    if (v === null || got[i] === null) assert.equal(got[i], v, `${what}, point ${i}`);
    else assert.ok(Math.abs(got[i] - v) <= slack(v), `${what}, point ${i}: drawn ${got[i]}, the truth is ${v}`);
}

// All heights lie on one straight scale: the greatest and the least tell which.
function scaled(pairs, what, slack = 1) {
  const [low, ...rest] = pairs.filter(([v, y]) => v !== null && y !== null).sort((a, b) => a[0] - b[0]),
    high = rest.at(-1),
    slope = (high[1] - low[1]) / (high[0] - low[0]);
  assert.ok(Math.abs(high[1] - low[1]) > 12 * slack, `${what}: it fills its height`);
  for (const [v, y] of rest) {
    const wanted = low[1] + (v - low[0]) * slope;
    assert.ok(Math.abs(y - wanted) <= slack, `${what}: ${v} stands at ${y}, it should at ${wanted}`);
  }
}

// A chart of lines or bars against its series: { name: [[value a bucket], as written, slack] }, in the order it is drawn.
async function check(title, wanted, { band, window = now, kind = "line", tones } = {}) {
  const table = await copied(page, title),
    times = table.time,
    columns = { ...wanted, ...(band && { [`${band.name} low`]: band.low, [`${band.name} high`]: band.high }) };
  assert.deepEqual(Object.keys(table), ["time", ...Object.keys(columns)], `${title}: its columns`);
  for (const [name, [of, , slack]] of Object.entries(columns))
    same(table[name], buckets(times, window, of), slack, `${title}: ${name}`);
  const points = await walked(page, title);
  assert.equal(points.length, times.length);
  const told = Object.entries(wanted).map(([name, [, write]]) => i => `${name}: ${write(table[name][i])}`);
  if (band)
    told.push(i => {
      const [low, high] = ["low", "high"].map(end => band[end][1](table[`${band.name} ${end}`][i]));
      return `${band.name}: ${low} to ${high}`;
    });
  for (const [i, { said }] of points.entries())
    assert.ok(said.includes(`: ${told.map(one => one(i)).join(", ")}`), `${title}, point ${i} reads ${said}`);
  if (kind === "line") {
    const drawn = [...(band ? [`${band.name} high`, `${band.name} low`] : []), ...Object.keys(wanted)];
    scaled(
      drawn.flatMap((name, k) => times.map((_, i) => [table[name][i], points[i].tops[k]])),
      title,
      1.01,
    );
    for (const [k, name] of drawn.entries())
      for (const [i, { tops }] of points.entries())
        assert.equal(tops[k] === null, table[name][i] === null, `${title}, ${name}: what is unknown is not drawn, ${i}`);
  } else if (kind === "bars") {
    const heights = await bars(page, title, times, Date.parse(window.to), tones);
    const pairs = Object.keys(wanted).flatMap((name, k) => times.map((_, i) => [table[name][i], heights[i][k]]));
    scaled([[0, 0], ...pairs], title, tones.length > 1 ? 2.01 : 1.01); // edges are of neither colour
  }
  return table;
}

// The four charts of a page of numbers, of the inferences that `own` chooses.
async function four(own, { counting = "inference", errors } = {}) {
  const of = name => {
    const [measure, write, slack] = MEASURES[name];
    return [w => measure(within(w).filter(own)), write, slack];
  };
  await check("Requests", { requests: of("requests") }, { kind: "bars", tones: ["accent"] });
  if (counting === "monitoring")
    await check("Average confidence, as Model Monitoring counts", { mean: of("monitoring") });
  else
    await check(
      "Average confidence, per inference",
      { mean: of("mean") },
      { band: { name: "p10 to p90", low: of("low"), high: of("high") } },
    );
  await check("Inference time", { p50: of("p50"), p95: of("p95"), p99: of("p99") });
  // None of the simulator's failures is an inference.
  const write = n => plural(n, "error"),
    shown = { errors: [() => 0, write, EXACT], ...(errors && { "counted by servers": [errors, write, EXACT] }) };
  if (errors) await check("Errors", shown, { kind: "bars", tones: ["alert", "c0"] });
}

// The little lines in the tiles have the same buckets as the charts.
async function sparks(own, counting) {
  const { time: times } = await copied(page, "Requests"),
    [mean, latency] =
      counting === "monitoring"
        ? [MEASURES.monitoring[0], rows => sums(rows).monitoring.latency]
        : [MEASURES.mean[0], MEASURES.latency[0]];
  const wanted = {
    "Total requests": w => within(w).filter(own).length,
    "Average confidence": w => mean(within(w).filter(own)),
    "Average inference time": w => latency(within(w).filter(own)),
    Errors: w => failed(w),
  };
  for (const [name, of] of Object.entries(wanted)) {
    const path = await page.locator(".tile", { hasText: name }).locator(".spark path").getAttribute("d"),
      values = buckets(times, now, of),
      heights = spark(path, times.length);
    assert.deepEqual(heights.map(h => h === null), values.map(v => v === null), `${name}: where it is unknown`);
    scaled(values.map((v, i) => [v, heights[i]]), `the line of ${name}`, 0.11);
  }
}

for (const counting of ["inference", "monitoring"]) {
  test(`the overview's charts, counted as ${counting}`, async () => {
    await visit(page, origin, `/ui/?${at({ count: counting })}`);
    await four(() => true, { counting, errors: w => failed(w) });
    await sparks(() => true, counting);
  });
}

test("a point of the chart of errors opens the failures of its time", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  const chart = page.getByRole("slider", { name: /^Errors/ });
  await chart.focus();
  await page.keyboard.press("Home");
  const counted = async () => digits(/counted by servers: ([\d,]+)/.exec(await chart.getAttribute("aria-valuetext"))[1]);
  while (!(await counted())) await page.keyboard.press("ArrowRight");
  const wanted = await counted();
  await page.keyboard.press("Enter");
  assert.equal(await failures(page), wanted);
  const [from, to] = ["from", "to"].map(end => new URL(page.url()).searchParams.get(end));
  assert.equal(wanted, failed({ from, to }));
});

test("markers stand on the charts where they belong: those set by hand, and new versions of a model by themselves", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  const { markers } = await server.api(`/api/v1/demo/markers?${new URLSearchParams(now)}`),
    versions = groupBy(truth.rows, r => r.model_id);
  const [own, others] = [true, false].map(is => markers.filter(m => m.automatic === is));
  assert.ok(own.length > 0 && others.length > 0, "of both kinds");
  for (const m of own) {
    const first = Math.min(...versions.get(m.model_id).map(r => r.at));
    assert.equal(Date.parse(m.time), first, `${m.model_id} is new with its first inference`);
  }
  for (const m of others)
    assert.ok(truth.summary.markers.some(t => t.time === m.time && t.text === m.text), `${m.time} ${m.text}`);
  for (const title of ["Requests", "Average confidence, per inference", "Inference time", "Errors"]) {
    const { time } = await copied(page, title),
      points = await walked(page, title),
      range = { from: Math.min(time[0], Date.parse(now.from)), to: Date.parse(now.to) };
    for (const m of markers) {
      const i = time.findLastIndex(t => t <= Date.parse(m.time));
      assert.ok(points[i].said.includes(m.text), `${title}, point ${i} reads ${points[i].said}, not ${m.text}`);
    }
    const drawn = await flags(page, title, markers.map(m => Date.parse(m.time)), range);
    assert.ok(drawn.every(n => n > 30), `${title}: its markers are drawn, ${drawn} pixels high`);
  }
});

test("the overview's charts with a filter", async () => {
  await visit(page, origin, `/ui/?${at({ filter: "shift:night" })}`);
  await four(r => r.metadata.shift === "night");
});

// What a chart is split by: the six most frequent values, those without one, all others.
async function parts(field, key, rows) {
  const table = await copied(page, `Requests by ${field.replace("metadata.", "")}`),
    counts = tally(rows.map(key)),
    names = Object.keys(table).slice(1),
    named = names.filter(n => !["no value", "all others"].includes(n));
  const known = [...counts.keys()].filter(v => v !== null);
  assert.equal(named.length, Math.min(6, known.length));
  const rest = known.filter(v => !named.includes(v));
  for (const v of rest) assert.ok(named.every(n => counts.get(n) >= counts.get(v)), `${v} is not among the first`);
  assert.equal(names.includes("all others"), rest.length > 0);
  assert.equal(names.includes("no value"), counts.has(null));
  const own = { "no value": r => key(r) === null, "all others": r => rest.includes(key(r)) };
  return new Map(names.map(n => [n, own[n] ?? (r => key(r) === n)]));
}

async function split(by, key, own = () => true) {
  const of = await parts(by, key, within(now).filter(own)),
    title = by.replace("metadata.", "");
  const series = name => {
    const [measure, write, slack] = MEASURES[name],
      each = ([value, is]) => [value, [w => measure(within(w).filter(r => own(r) && is(r))), write, slack]];
    return Object.fromEntries([...of].map(each));
  };
  const tones = [...of.keys()].map((n, i) => (["no value", "all others"].includes(n) ? "c7" : `c${i}`));
  // Those without a value and all others have the same colour, one above the other.
  const once = tones.indexOf("c7") === tones.lastIndexOf("c7");
  await check(`Requests by ${title}`, series("requests"), once ? { kind: "bars", tones } : { kind: "none" });
  await check(`Average confidence, per inference by ${title}`, series("mean"));
  await check(`Inference time, p95 by ${title}`, series("p95"));
  return of;
}

test("the overview's charts, broken down by a field and by a column", async () => {
  await visit(page, origin, `/ui/?${at({ by: "metadata.line" })}`);
  const lines = await split("metadata.line", r => r.metadata.line ?? null);
  assert.ok(lines.has("no value") && !lines.has("all others"));
  await visit(page, origin, `/ui/?${at({ by: "device" })}`);
  const devices = await split("device", r => r.device_id);
  assert.ok(devices.has("all others") && !devices.has("no value"));
});

test("the overview's charts, compared with another range and with another filter", async () => {
  // Not whole buckets away: each bucket of the compared range is as far from its beginning as the one it is beside.
  const back = 41 * 3_600_000 + 23 * 60_000,
    moved = t => new Date(Date.parse(t) - back).toISOString(),
    range = { from: moved(now.from), to: moved(now.to) };
  const device = truth.rows.find(r => r.found.length).device_id;
  for (const [link, shift, inside, own] of [
    [{ vs_from: range.from, vs_to: range.to }, back, range, () => true],
    [{ vs_filter: `device:${device}` }, 0, now, r => r.device_id === device],
  ]) {
    await visit(page, origin, `/ui/?${at(link)}`);
    const earlier = w => {
      const [from, to] = [w.from, w.to].map(t => new Date(Date.parse(t) - shift).toISOString());
      return within(inside, within({ from, to })).filter(own);
    };
    for (const [title, name, of] of [
      ["Requests", "requests", "requests"],
      ["Average confidence, per inference", "mean", "mean"],
      ["Inference time", "p95", "p95"],
    ]) {
      const table = await copied(page, title),
        [measure, write, slack] = MEASURES[of],
        compared = `${name}, compared`;
      same(table[compared], buckets(table.time, now, w => measure(earlier(w))), slack, `${title}: ${compared}`);
      same(table[name], buckets(table.time, now, w => measure(within(w))), slack, `${title}: ${name}`);
      for (const [i, { said }] of (await walked(page, title)).entries())
        assert.ok(said.includes(`${compared}: ${write(table[compared][i])}`), `${title}, point ${i} reads ${said}`);
    }
  }
});

const MODEL = "bottle-inspection",
  ofModel = r => r.model_id.startsWith(`${MODEL}/`);

// Bars and outline of the histogram: [bars, outline] of counts, and what is told of each bar.
async function histogram(now, base, names) {
  const bin = r => Math.min(19, Math.floor(Math.round(r.top * 1e6) / 50_000)),
    counts = rows => Array.from({ length: 20 }, (_, i) => rows.filter(r => r.top !== null && bin(r) === i).length);
  const [a, b] = [counts(now), counts(base)],
    [all, past] = [sum(a), sum(b)],
    title = "Confidence of the top detection";
  assert.ok(all > 100 && past > 100);
  const table = await copied(page, title);
  assert.deepEqual([table[names[0]], table[names[1]]], [a, b]);
  assert.deepEqual(table.from, a.map((_, i) => (i * 5) / 100));
  const chart = figure(page, title);
  const told = await chart.locator("a title").allTextContents();
  for (const [i, one] of told.entries()) {
    const range = `${(i / 20).toFixed(2)} to ${((i + 1) / 20).toFixed(2)}`,
      now = `${count(a[i])} (${percent(share(a[i], all))})`,
      base = `${names[1]}: ${count(b[i])} (${percent(share(b[i], past))})`;
    assert.equal(one, `${range}: ${now}; ${base}`);
  }
  const apart = sum(a.map((n, i) => Math.abs(n / all - b[i] / past))) / 2;
  assert.equal(await chart.locator("output").innerText(), `${percent(apart)} apart`);
  const heights = await chart.locator("rect:not(.hit)").evaluateAll(r => r.map(e => e.height.baseVal.value));
  const outline = [...(await chart.locator("svg.bins > path").getAttribute("d")).matchAll(/L\d+ ([\d.]+)/g)];
  scaled(
    [...a.map((n, i) => [n / all, heights[i]]), ...b.map((n, i) => [n / past, 100 - Number(outline[2 * i][1])])],
    title,
    0.01,
  );
}

test("a model's charts: its numbers, the mix of its classes, how sure it is", async () => {
  await visit(page, origin, `/ui/model/${MODEL}?${at()}`);
  await four(ofModel);
  const title = "Classes, share of detections",
    found = rows => rows.filter(ofModel).flatMap(r => r.found.map(d => d.class)),
    all = tally(found(within(now))),
    shown = [...all].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([name]) => name);
  const part = is => [
    w => share(found(within(w)).filter(is).length, found(within(w)).length),
    percent,
    EXACT,
  ];
  const wanted = Object.fromEntries(shown.map(name => [name, part(c => c === name)]));
  if (all.size > 6) wanted["all others"] = part(c => !shown.includes(c));
  const tones = Object.keys(wanted).map((n, i) => (n === "all others" ? "c7" : `c${i}`));
  await check(title, wanted, { kind: "bars", tones });
  await histogram(within(now).filter(ofModel), within(earlier).filter(ofModel), ["now", "the period before"]);
});

test("two versions of a model: each has its line, its bars and its outline", async () => {
  await visit(page, origin, `/ui/model/${MODEL}?${at()}&version=1&version=2`);
  const ids = [`${MODEL}/1`, `${MODEL}/2`];
  await split("model", r => r.model_id, r => ids.includes(r.model_id));
  const [one, two] = ids.map(id => within(now).filter(r => r.model_id === id));
  await histogram(one, two, ids);
});

test("fleet: the failures that servers counted, over time", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  await check("Failures", { failures: [w => failed(w), count, EXACT] }, { kind: "bars", tones: ["alert"] });
});

test("one inference: its classes as bars", async () => {
  const r = within(now).find(r => r.form === "thin" && new Set(r.found.map(d => d.class)).size > 1);
  await visit(page, origin, `/ui/inference/${r.id}`);
  const shown = await page
    .locator(".bars li")
    .evaluateAll(all => all.map(li => [...li.children].map(e => e.querySelector("i")?.style.width ?? e.innerText)));
  const wanted = [...groupBy(r.found, d => d.class)]
    .map(([name, found]) => [name, found.length, Math.max(...found.map(d => d.confidence))])
    .sort((a, b) => b[2] - a[2])
    .map(([name, n, top]) => [n > 1 ? `${name} × ${n}` : name, top * 100, confidence(top)]);
  assert.deepEqual(
    shown.map(([name, , top]) => [name, top]),
    wanted.map(([name, , top]) => [name, top]),
  );
  for (const [i, [, width]] of shown.entries()) assert.ok(Math.abs(parseFloat(width) - wanted[i][1]) < 0.001, shown[i]);
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
