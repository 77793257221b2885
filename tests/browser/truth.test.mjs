// Pages of sums on the data of the simulated fleet: what is shown is what the API says, and what the API says is what the
// truth files come to, one inference at a time (truth.mjs). Charts: charts.test.mjs; the other pages: records.test.mjs.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { failures, tableOf } from "./drawn.mjs";
import { digits, until, visit } from "./support.mjs";
import { beginWithTruth, groupBy, mean, quantile, sum, sums, tally } from "./truth.mjs";
import { agree, BIN, changed, confidence, count, seconds } from "./written.mjs";

let server, origin, page, tab, truth, now, earlier, within, failed;

before(async () => {
  ({ server, origin, tab, page, truth } = await beginWithTruth(4000));
  ({ now, earlier, within, failed } = truth);
});

const get = (what, q = {}) => server.api(`/api/v1/demo/${what}?${new URLSearchParams(q)}`);
const groups = async body => (await server.api("/api/v1/demo/query", { method: "POST", body })).answers;
const at = more => new URLSearchParams({ ...now, ...more }).toString();
const tile = (name, what) => page.locator(".tile", { hasText: name }).locator(what).innerText();

const table = name => tableOf(page, name);

for (const counting of ["inference", "monitoring"]) {
  test(`overview, counted as ${counting}`, async () => {
    await visit(page, origin, `/ui/?${at({ count: counting })}`);
    const { current, previous } = await get("stats", { ...now, bucket: 86_400 });
    const [a, b] = [sums(within(now)), sums(within(earlier))];
    assert.ok(a.inferences > 1000 && b.inferences > 1000, "both halves hold something");
    const was = async name => (await tile(name, ".delta a")).replace("was ", "");
    agree(await tile("Total requests", ".value"), current.inferences, a.inferences, count, "requests");
    agree(await was("Total requests"), previous.inferences, b.inferences, count, "requests before");
    assert.equal(await tile("Total requests", ".delta b"), changed(a.inferences, b.inferences));
    agree(
      await tile("Total requests", ".note"),
      current.detections,
      a.detections,
      n => `${count(n)} detections`,
      "found",
    );
    const of = t =>
      counting === "monitoring"
        ? [t.monitoring.avg_confidence, t.monitoring.avg_response_time]
        : [t.per_inference.avg_confidence, t.per_inference.avg_latency_s];
    const wanted = t => (counting === "monitoring" ? t.monitoring : t);
    const means = [of(current), of(previous)],
      [m, p] = [wanted(a), wanted(b)];
    agree(await tile("Average confidence", ".value"), means[0][0], m.confidence, confidence, "confidence");
    agree(await was("Average confidence"), means[1][0], p.confidence, confidence, "confidence before");
    agree(await tile("Average inference time", ".value"), means[0][1], m.latency, seconds, "time");
    agree(await was("Average inference time"), means[1][1], p.latency, seconds, "time before");
    const median = (await tile("Average confidence", ".note")).replace("median ", "");
    agree(median, current.median_confidence, a.median, confidence, "median", BIN.confidence);
    const quantiles = (await tile("Average inference time", ".note")).split(" · ");
    for (const [i, q] of ["p50", "p95", "p99"].entries())
      agree(quantiles[i].slice(4), current[`latency_${q}_s`], a[q], seconds, q, BIN.seconds);
    agree(await tile("Errors", ".value"), current.errors, failed(now), count, "errors");
    agree(await was("Errors"), previous.errors, failed(earlier), count, "errors before");
    assert.match(await tile("Errors", ".note"), new RegExp(`· ${count(failed(now))} only counted by servers`));
    // None of them is an inference: the number opens what is known of them, where it stands again.
    for (const [what, window] of [
      [".value", now],
      [".delta a", earlier],
    ]) {
      await visit(page, origin, `/ui/?${at({ count: counting })}`);
      await page.locator(".tile", { hasText: "Errors" }).locator(what).click();
      await until(() => failures(page), failed(window), `the failures behind ${what}`);
    }
  });
}

async function checkModels(shown, filter, rows, rowsBefore) {
  const { models } = await get("stats", { ...now, filter, bucket: 86_400 });
  const of = groupBy(rows, r => r.model_id),
    before = tally(rowsBefore.map(r => r.model_id));
  assert.deepEqual([...shown.keys()].sort(), [...of.keys()].sort());
  for (const m of models.filter(m => of.has(m.model_id))) {
    const cells = shown.get(m.model_id).map(c => c.text),
      a = sums(of.get(m.model_id)),
      what = of => `${m.model_id}: ${of}`;
    agree(cells[1], m.inferences, a.inferences, count, what("requests"));
    assert.equal(cells[2], changed(a.inferences, before.get(m.model_id) ?? 0), what("change"));
    const errors = filter ? 0 : failed(now, f => f.model_id === m.model_id);
    agree(cells[3], m.errors, errors, count, what("errors"));
    agree(cells[4], m.avg_confidence, a.confidence, confidence, what("mean"));
    agree(cells[5], m.median_confidence, a.median, confidence, what("median"), BIN.confidence);
    agree(cells[6], m.avg_latency_s, a.latency, seconds, what("time"));
    const last = Math.max(...of.get(m.model_id).map(r => r.at));
    assert.deepEqual(shown.get(m.model_id)[8].times, [last], what("last seen"));
    const classes = tally(of.get(m.model_id).flatMap(r => r.found.map(d => d.class)));
    const links = shown.get(m.model_id)[7].links;
    assert.equal(links.length, Math.min(4, classes.size), what("classes"));
    for (const link of links) {
      const [, name, n] = /^(.*\S)\s+([\d,]+)$/.exec(link);
      agree(n, m.classes.find(c => c.class === name).detections, classes.get(name), count, what(name));
    }
  }
}

test("the table of models, on the overview and on its own page, also with a filter", async () => {
  const night = r => r.metadata.shift === "night";
  for (const link of ["/ui/", "/ui/models"]) {
    await visit(page, origin, `${link}?${at()}`);
    await checkModels(await table("Table of models"), "", within(now), within(earlier));
  }
  await visit(page, origin, `/ui/?${at({ filter: "shift:night" })}`);
  await checkModels(
    await table("Table of models"),
    "shift:night",
    within(now).filter(night),
    within(earlier).filter(night),
  );
});

test("a model's errors, which servers counted, open the failures where that number stands again", async () => {
  for (const link of ["/ui/", "/ui/models"]) {
    const models = [...groupBy(within(now, truth.failures), f => f.model_id).keys()].slice(0, 2);
    assert.equal(models.length, 2);
    for (const model of models) {
      const wanted = failed(now, f => f.model_id === model);
      await visit(page, origin, `${link}?${at()}`);
      const row = page.getByRole("region", { name: "Table of models" }).locator("tbody tr", { hasText: model });
      assert.equal(digits(await row.locator("td").nth(3).innerText()), wanted, model);
      await row.locator("td").nth(3).getByRole("link").click();
      assert.equal(await failures(page), failed(now));
      assert.equal((await table("Failures by model")).get(model)[1].text, count(wanted), model);
    }
  }
});

test("the overview, broken down by a metadata field and by class", async () => {
  const MEASURES = [
    "inferences",
    "detections",
    "avg(confidence)",
    "quantile(confidence,0.5)",
    "avg(latency)",
    "quantile(latency,0.95)",
  ];
  for (const [by, key] of [
    ["metadata.line", r => r.metadata.line ?? null],
    ["device", r => r.device_id],
  ]) {
    await visit(page, origin, `/ui/?${at({ by })}`);
    const shown = await table(`Broken down by ${by}`),
      [{ rows }] = await groups({ ...now, groups: [{ by: [by], measures: MEASURES }] }),
      of = groupBy(within(now), key),
      before = tally(within(earlier).map(key));
    assert.ok(of.size > 2 && rows.length === of.size && shown.size === of.size, `${shown.size} values of ${by}`);
    for (const [value, ...api] of rows) {
      const cells = shown.get(value ?? "no value").map(c => c.text),
        a = sums(of.get(value)),
        what = of => `${by} ${value}: ${of}`;
      agree(cells[1], api[0], a.inferences, count, what("requests"));
      assert.equal(cells[2], changed(a.inferences, before.get(value) ?? 0), what("change"));
      assert.equal(cells[3], "0", "no failure of which the group is known");
      agree(cells[4], api[1], a.detections, count, what("detections"));
      agree(cells[5], api[2], a.confidence, confidence, what("mean"));
      agree(cells[6], api[3], a.median, confidence, what("median"), BIN.confidence);
      agree(cells[7], api[4], a.latency, seconds, what("time"));
      agree(cells[8], api[5], a.p95, seconds, what("p95"), BIN.seconds);
      const last = Math.max(...of.get(value).map(r => r.at));
      assert.deepEqual(shown.get(value ?? "no value")[9].times, [last], what("last seen"));
    }
  }

  // Each detection counts for its class, an inference once for each that it has.
  await visit(page, origin, `/ui/?${at({ by: "class" })}`);
  const shown = await table("Broken down by class"),
    of = groupBy(within(now).flatMap(r => r.found), d => d.class),
    having = (w, name) => within(w).filter(r => r.found.some(d => d.class === name));
  const [{ rows }] = await groups({ ...now, groups: [{ by: ["class"], measures: MEASURES }] }),
    told = new Map(rows.map(([name, ...api]) => [name, api]));
  assert.equal(shown.size, of.size + 1);
  for (const [name, found] of of) {
    const with_ = having(now, name),
      { latency, p95 } = sums(with_),
      confidences = found.map(d => d.confidence),
      api = told.get(name),
      cells = shown.get(name).map(c => c.text);
    agree(cells[1], api[0], with_.length, count, `${name}: requests`);
    assert.equal(cells[2], changed(with_.length, having(earlier, name).length), `${name}: change`);
    agree(cells[4], api[1], found.length, count, `${name}: detections`);
    agree(cells[5], api[2], mean(confidences), confidence, `${name}: mean`);
    agree(cells[7], api[4], latency, seconds, `${name}: time`);
    assert.ok(Math.abs(Number(cells[6]) - quantile(confidences, 0.5)) < 0.0011, `${name}: median`);
    assert.ok(Math.abs(parseFloat(cells[8]) / 1000 / p95 - 1) < 0.02, `${name}: p95 ${cells[8]}, the truth is ${p95}`);
  }
  assert.equal(shown.get("nothing found")[1].text, count(within(now).filter(r => !r.found.length).length));
});

test("the overview, compared with a device and with another range", async () => {
  const device = truth.rows.find(r => r.found.length).device_id,
    days = (t, n) => new Date(Date.parse(t) + n * 86_400_000).toISOString(),
    day = { from: now.from, to: days(now.from, 1) },
    back = { from: days(now.from, -1), to: days(now.to, -1) };
  for (const [compare, wanted, asked] of [
    [
      { vs_filter: `device:${device}` },
      within(now).filter(r => r.device_id === device),
      { ...now, filter: `device:${device}` },
    ],
    [{ vs_from: day.from, vs_to: day.to }, within(day), day],
    [{ vs_back: 86_400 }, within(back), back],
  ]) {
    await visit(page, origin, `/ui/?${at(compare)}`);
    const b = sums(wanted),
      { current } = await get("stats", { ...asked, bucket: 86_400 });
    const was = async name => (await tile(name, ".delta a")).replace("was ", "");
    agree(await was("Total requests"), current.inferences, b.inferences, count, "requests compared");
    agree(
      await was("Average confidence"),
      current.per_inference.avg_confidence,
      b.confidence,
      confidence,
      "confidence compared",
    );
    agree(
      await was("Average inference time"),
      current.per_inference.avg_latency_s,
      b.latency,
      seconds,
      "time compared",
    );
    assert.equal(await tile("Total requests", ".delta b"), changed(within(now).length, wanted.length));
  }
});

test("a model: its tiles, classes with their shares, confidence by bins", async () => {
  const name = "bottle-inspection",
    filter = `model:${name}`,
    own = r => r.model_id.startsWith(`${name}/`);
  await visit(page, origin, `/ui/model/${name}?${at()}`);
  const rows = within(now).filter(own),
    a = sums(rows);
  const { current } = await get("stats", { ...now, filter, bucket: 86_400 });
  agree(await tile("Total requests", ".value"), current.inferences, a.inferences, count, "requests");
  agree(
    await tile("Average confidence", ".value"),
    current.per_inference.avg_confidence,
    a.confidence,
    confidence,
    "mean",
  );
  const errors = failed(now, own);
  assert.ok(errors > 0);
  await page
    .locator(".tile", { hasText: "Errors" })
    .getByText(`· ${count(errors)} more counted`)
    .waitFor();

  const shown = await table("Detections by class");
  const [classes, bins] = await groups({
    ...now,
    filter,
    groups: [
      { by: ["class"], measures: ["detections", "inferences", "avg(confidence)", "quantile(confidence,0.5)"] },
      { by: [{ key: "confidence", width: 0.05 }], measures: ["inferences"] },
    ],
  });
  const found = of =>
      groupBy(
        of.flatMap(r => r.found),
        d => d.class,
      ),
    [seen, past] = [found(rows), found(within(earlier).filter(own))],
    all = n => sum([...n.values()].map(d => d.length));
  assert.equal(classes.rows.filter(r => r[0] !== null).length, seen.size);
  for (const [of, detections, inferences, average, median] of classes.rows.filter(r => r[0] !== null)) {
    const cells = shown.get(of).map(c => c.text),
      d = seen.get(of),
      what = x => `${of}: ${x}`;
    agree(cells[1], detections, d.length, count, what("detections"));
    assert.equal(digits(cells[2]), Number(((d.length / all(seen)) * 100).toFixed(1)), what("share"));
    const points = (d.length / all(seen) - (past.get(of)?.length ?? 0) / all(past)) * 100,
      moved = `${points > 0 ? "▲ +" : "▼ −"}${Math.abs(points).toFixed(1)} pt`;
    assert.equal(cells[3], !past.has(of) ? "new" : Math.abs(points) < 0.05 ? "no change" : moved, what("change"));
    agree(cells[4], inferences, rows.filter(r => r.found.some(x => x.class === of)).length, count, what("inferences"));
    agree(cells[5], average, mean(d.map(x => x.confidence)), confidence, what("mean"));
    agree(
      cells[6],
      median,
      quantile(
        d.map(x => x.confidence),
        0.5,
      ),
      confidence,
      what("median"),
      BIN.confidence,
    );
  }
  const bars = (await page.locator(".bins a title").allTextContents()).map(t => digits(/: ([\d,]+) \(/.exec(t)[1]));
  const wanted = Array.from(
    { length: 20 },
    (_, i) => rows.filter(r => r.top !== null && Math.min(19, bin(r.top)) === i).length,
  );
  assert.deepEqual(bars, wanted);
  assert.equal(sum(bins.rows.map(r => (r[0] === null ? 0 : r[1]))), sum(wanted));
});

// The greatest multiple of 0.05 that is not above it, as decimals have it.
const bin = c => Math.floor(Math.round(c * 1e6) / 50_000);

test("a model: two versions side by side", async () => {
  const ids = ["bottle-inspection/1", "bottle-inspection/2"];
  await visit(page, origin, `/ui/model/bottle-inspection?${at()}&version=1&version=2`);
  const shown = await table(ids.join(" and "));
  const measures = [
    "inferences",
    "empty",
    "detections",
    "avg(confidence)",
    "quantile(confidence,0.5)",
    "quantile(latency,0.5)",
    "quantile(latency,0.95)",
  ];
  const [{ rows }] = await groups({ ...now, filter: "model:bottle-inspection", groups: [{ by: ["model"], measures }] });
  for (const [i, id] of ids.entries()) {
    const [, inferences, empty, detections, ...api] = rows.find(r => r[0] === id),
      a = sums(within(now).filter(r => r.model_id === id)),
      cell = what => shown.get(what)[1 + i].text,
      what = of => `${id}: ${of}`;
    agree(cell("Requests"), inferences, a.inferences, count, what("requests"));
    const share = n => `${((n / a.inferences) * 100).toFixed(2)} %`;
    agree(cell("Nothing found"), empty, a.empty, share, what("nothing found"));
    agree(cell("Detections an inference"), detections, a.detections, n => (n / a.inferences).toFixed(2), what("each"));
    agree(cell("Mean confidence"), api[0], a.confidence, confidence, what("mean"));
    agree(cell("Median confidence"), api[1], a.median, confidence, what("median"), BIN.confidence);
    agree(cell("Time, p50"), api[2], a.p50, seconds, what("p50"), BIN.seconds);
    agree(cell("Time, p95"), api[3], a.p95, seconds, what("p95"), BIN.seconds);
  }
  const [one, two] = ids.map(id => sums(within(now).filter(r => r.model_id === id)));
  for (const [name, of] of [
    ["Requests", a => a.inferences],
    ["Mean confidence", a => a.confidence],
  ])
    assert.equal(shown.get(name)[3].text, changed(of(two), of(one)), `${name}: the second against the first`);
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
