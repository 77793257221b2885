// Every page's numbers on the data of the simulated fleet: what is shown is what the API says, and what the API says is
// what the truth files come to, one inference at a time (truth.mjs).
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { failures, tableOf } from "./drawn.mjs";
import { beginSignedIn, digits, settled, simulate, until, visit } from "./support.mjs";
import { groupBy, mean, quantile, readTruth, sum, sums, tally } from "./truth.mjs";
import { agree, BIN, changed, confidence, count, seconds } from "./written.mjs";

let server, origin, page, tab, truth, folder, now, earlier, within, failed;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "sightglass-truth-"));
  const options = ["--events", "4000", "--days", "8", "--metadata", "60", "--markers", "--truth", folder];
  ({ server, origin, tab, page } = await beginSignedIn(s => simulate(s, ...options)));
  truth = readTruth(folder);
  ({ now, earlier, within, failed } = truth);
});

after(() => rmSync(folder, { recursive: true, force: true }));

const get = (what, q = {}) => server.api(`/api/v1/demo/${what}?${new URLSearchParams(q)}`);
const groups = async body => (await server.api("/api/v1/demo/query", { method: "POST", body })).answers;
const at = more => new URLSearchParams({ ...now, ...more }).toString();
const tile = (name, what) => page.locator(".tile", { hasText: name }).locator(what).innerText();
const total = async () => digits(await page.locator(".total b").innerText());

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
    }
  }
});

test("the overview, compared with a device and with another range", async () => {
  const device = truth.rows.find(r => r.found.length).device_id,
    day = { from: now.from, to: new Date(Date.parse(now.from) + 86_400_000).toISOString() };
  for (const [compare, wanted, asked] of [
    [
      { vs_filter: `device:${device}` },
      within(now).filter(r => r.device_id === device),
      { ...now, filter: `device:${device}` },
    ],
    [{ vs_from: day.from, vs_to: day.to }, within(day), day],
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
});

test("fleet: each device's work, and what failed by model, kind and host", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  const shown = await table("Devices"),
    { devices } = await get("devices", now),
    of = groupBy(within(now), r => r.device_id);
  assert.equal(shown.size, devices.length);
  for (const d of devices) {
    const cells = shown.get(d.device_id),
      a = sums(of.get(d.device_id) ?? []);
    agree(cells[5].text, d.inferences, a.inferences, count, `${d.device_id}: requests`);
    agree(
      cells[6].text,
      d.errors,
      failed(now, f => f.device_id === d.device_id),
      count,
      `${d.device_id}: errors`,
    );
    assert.equal(cells[7].text, confidence(a.confidence), `${d.device_id}: confidence`);
    assert.equal(cells[8].text, seconds(a.latency), `${d.device_id}: time`);
  }
  agree(await tile("Errors", ".value"), sum(devices.map(d => d.errors)), failed(now), count, "errors");
  await page.locator(".tile", { hasText: "Errors" }).locator("a.value").click();
  assert.equal(await failures(page), failed(now));
  assert.equal(await tile("Alive", ".value"), `${devices.filter(d => !d.silent).length} of ${devices.length}`);
  const told = await get("errors", now);
  for (const [title, list, key, own] of [
    ["Failures by model", told.resources, "resource_id", f => f.model_id],
    ["Failures by kind", told.types, "type", f => f.type],
    ["Failures by host", told.hosts, "host", f => f.host],
  ]) {
    const rows = await table(title),
      wanted = groupBy(within(now, truth.failures), own);
    assert.deepEqual([...rows.keys()].sort(), [...wanted.keys()].sort(), title);
    for (const one of list)
      agree(
        rows.get(one[key])[1].text,
        one.errors,
        sum(wanted.get(one[key]).map(f => f.count)),
        count,
        `${title}: ${one[key]}`,
      );
  }
});

test("fleet: the last hour against the same hour a week ago, of each device and of all, and what each runs", async () => {
  // It goes with the clock: the page's own links say which hour that was.
  await visit(page, origin, "/ui/fleet");
  const [link, value, change, shown] = await page.evaluate(() => {
    const [tile] = [...document.querySelectorAll(".tile")].filter(t => /last hour/.test(t.innerText)),
      text = e => e.innerText.replace(/\s+/g, " ").trim(),
      told = td => td.querySelector("[title]").title;
    const rows = [...document.querySelectorAll('[aria-label="Devices"] tbody tr')].map(({ cells }) => [
      cells[0].querySelector("button").innerText,
      ...[text(cells[3]), text(cells[4]), told(cells[4]), told(cells[9])],
    ]);
    const number = tile.querySelector("a.value");
    return [number.search, text(number), text(tile.querySelector(".delta")), rows];
  });
  const hour = Object.fromEntries(new URLSearchParams(link)),
    week = Object.fromEntries(Object.entries(hour).map(([end, t]) => [end, Date.parse(t) - 7 * 86_400_000]));
  assert.equal(Date.parse(hour.to) - Date.parse(hour.from), 3_600_000);
  assert.ok(Math.abs(Date.now() - Date.parse(hour.to)) < 60_000, "up to now");
  const [a, b] = [hour, week].map(w => groupBy(within(w), r => r.device_id)),
    moved = (n, before) => (n || before ? changed(n, before) : "–");
  const [n, before] = [a, b].map(of => sum([...of.values()].map(r => r.length)));
  assert.ok(n + before > 0, "there was something");
  assert.equal(value, count(n));
  assert.equal(change, before ? `${moved(n, before)} ${count(before)} last week` : "new nothing in this hour last week");
  const day = within({ from: Date.parse(hour.to) - 86_400_000, to: hour.to });
  for (const [device, requests, change, title, models] of shown) {
    const [n, before] = [a, b].map(of => of.get(device)?.length ?? 0);
    assert.equal(requests, count(n), `${device}: in the last hour`);
    assert.equal(change, moved(n, before), `${device}: against last week`);
    assert.equal(title, `${count(before)} in the same hour a week ago`, device);
    const runs = tally(day.filter(r => r.device_id === device).map(r => r.model_id));
    assert.deepEqual(models.split("\n").filter(Boolean).sort(), [...runs].map(([m, n]) => `${m}: ${count(n)}`).sort());
  }
  await page.locator(".tile", { hasText: "last hour" }).locator("a.value").click();
  await settled(page);
  await until(total, n, "the inferences of the last hour");
});

const FILTER = "plant:north confidence<0.9 -shift:night",
  chosen = r => r.metadata.plant === "north" && r.top !== null && r.top < 0.9 && r.metadata.shift !== "night";

test("inferences: the count, the newest rows, and the facets of a filtered list", async () => {
  await visit(
    page,
    origin,
    `/ui/inferences?${at({ filter: FILTER, facets: 1, columns: "time,model,confidence,latency,device,m.plant" })}`,
  );
  const rows = within(now)
    .filter(chosen)
    .sort((a, b) => (a.time < b.time ? 1 : -1));
  assert.ok(rows.length > 30);
  assert.equal((await get("inferences/count", { ...now, filter: FILTER })).count, rows.length);
  await until(total, rows.length, "the count");
  const drawn = await page
    .locator(".table tbody tr[data-row]")
    .evaluateAll(all =>
      all.map(tr => [
        decodeURIComponent(tr.querySelector("a.row").pathname.split("/").pop()),
        ...[...tr.cells].slice(2, 7).map(td => td.innerText.trim()),
      ]),
    );
  assert.ok(drawn.length >= 20);
  const by = new Map(rows.map(r => [r.id, r]));
  for (const [i, [id, ...cells]] of drawn.entries()) {
    const r = by.get(id);
    assert.equal(r.time, rows[i].time, "newest first");
    assert.deepEqual(cells, [r.model_id, confidence(r.top), seconds(r.latency_s), r.device_id, r.metadata.plant], id);
  }

  const read = () =>
    page
      .locator(".facets section:has(h3 button[aria-expanded=true])")
      .evaluateAll(all =>
        all.map(s => [
          s.querySelector("h3 .clip").title,
          [...s.querySelectorAll("li .value")].map(b => [
            b.querySelector(".clip").innerText,
            b.querySelector("b").title,
          ]),
        ]),
      );
  await until(async () => (await read()).every(([, values]) => values.length), true, "all facets are counted");
  const facets = await read();
  assert.ok(facets.length >= 8, `${facets.length} facets`);
  for (const [of, values] of facets) {
    const field = of.replace(/^metadata\./, ""),
      // Without what the filter says of the field itself.
      filter = FILTER.split(" ")
        .filter(c => !c.replace("-", "").startsWith(`${field}:`))
        .join(" ");
    const own = within(now).filter(
      r =>
        r.top !== null &&
        r.top < 0.9 &&
        (field === "plant" || r.metadata.plant === "north") &&
        (field === "shift" || r.metadata.shift !== "night"),
    );
    const valuesOf = {
      model: r => [r.model_id],
      device: r => [r.device_id],
      class: r => [...new Set(r.found.map(d => d.class))],
    }[of];
    const wanted = tally(own.flatMap(valuesOf ?? (r => r.metadata[field] ?? [])));
    const {
      facets: [api],
    } = await get("facets", { ...now, filter, fields: of, limit: 8 });
    assert.equal(values.length, Math.min(8, wanted.size), of);
    for (const [value, n] of values)
      agree(n, api.top.find(t => t.value === value).count, wanted.get(value), count, `${of} ${value}`);
  }
});

test("one inference: its detections, its fields, its metadata", async () => {
  const some = form =>
    truth.rows.find(r => r.form === form && r.found.length > 1 && r.metadata.product && r.latency_s !== null);
  for (const r of [some("thin"), some("full")]) {
    await visit(page, origin, `/ui/inference/${r.id}`);
    const api = await server.api(`/api/v1/demo/inferences/${r.id}`);
    const detections = await page
      .locator(".detections tbody tr")
      .evaluateAll(all => all.map(tr => [tr.cells[0].innerText.trim(), tr.cells[1].innerText.trim()]));
    const wanted = found => found.map(d => [d.class, confidence(d.confidence)]).sort();
    assert.deepEqual(detections.sort(), wanted(r.found));
    assert.deepEqual(wanted(api.predictions), wanted(r.found));
    const facts = new Map(
      await page
        .locator("section[aria-labelledby=facts-title] .fields > div")
        .evaluateAll(all =>
          all.map(d => [
            d.querySelector("dt").innerText,
            d.querySelector("time")?.dateTime ?? d.querySelector("dd").innerText.trim(),
          ]),
        ),
    );
    assert.equal(Date.parse(facts.get("Time")), r.at);
    agree(facts.get("Inference time"), api.latency_s, r.latency_s, seconds, "time");
    for (const [title, value] of [
      ["Model", r.model_id],
      ["Device", r.device_id],
      ["Source info", r.source_info],
      ["Source", "simulated"],
    ])
      assert.equal(facts.get(title), value, title);
    const metadata = await page
      .locator(".metadata .fields > div")
      .evaluateAll(all => all.map(d => [d.querySelector("dt").innerText, d.querySelector(".value").innerText.trim()]));
    assert.deepEqual(Object.fromEntries(metadata), r.metadata);
    assert.deepEqual(api.metadata, r.metadata);
  }
});

test("review: how many are left, the most doubtful first", async () => {
  const filter = "-has:review -has:error has:confidence";
  await visit(page, origin, `/ui/review?${at({ filter })}`);
  const rows = within(now)
    .filter(r => !r.metadata.review && r.top !== null)
    .sort((a, b) => a.top - b.top);
  assert.equal((await get("inferences/count", { ...now, filter })).count, rows.length);
  await until(total, rows.length, "left");
  const shown = () => page.locator(".judge .fields > div", { hasText: "Top confidence" }).locator("dd").innerText();
  for (let i = 0; i < 5; i++) {
    await until(shown, confidence(rows[i].top), `the doubtful one ${i}`);
    await page.keyboard.press("j");
  }
});

test("metadata: fields, values, the most frequent of them, when they were seen, what waits", async () => {
  await visit(page, origin, "/ui/metadata");
  const shown = await table("Metadata fields"),
    { fields, pending } = await get("fields");
  const of = new Map();
  for (const r of truth.rows)
    for (const [field, value] of Object.entries(r.metadata)) of.set(field, [...(of.get(field) ?? []), [value, r]]);
  assert.deepEqual([...shown.keys()].sort(), [...of.keys()].sort());
  for (const f of fields) {
    const cells = shown.get(f.name),
      counts = tally(of.get(f.name).map(v => v[0]));
    agree(cells[2].text, f.inferences, of.get(f.name).length, count, `${f.name}: inferences`);
    if (f.estimated) assert.equal(cells[3].text, `≈ ${count(f.values)}`);
    else agree(cells[3].text, f.values, counts.size, count, `${f.name}: values`);
    for (const link of cells[4].links) {
      const [, value, n] = /^(.*\S)\s+([\d,]+)$/.exec(link);
      agree(n, f.top.find(t => t.value === value).count, counts.get(value), count, `${f.name} ${value}`);
    }
  }
  const line = page
    .getByRole("region", { name: "Metadata fields" })
    .locator("tr", { hasText: /^operator/ })
    .locator("time");
  await until(() => line.count(), 2, "when operators were seen");
  const times = of.get("operator").map(v => v[1].at);
  assert.deepEqual(await line.evaluateAll(l => l.map(t => Date.parse(t.dateTime))), [
    Math.min(...times),
    Math.max(...times),
  ]);
  const waits = page.locator("section[aria-labelledby=pending-title]");
  agree(digits(await waits.locator("p b").innerText()), pending.ids, truth.waiting.length, n => n, "ids that wait");
  await until(async () => sum((await waits.locator(".ages .num").allInnerTexts()).map(digits)), pending.ids, "by age");
  assert.ok((await waits.locator("tbody th").allInnerTexts()).every(id => truth.waiting.includes(id.trim())));
});

test("settings: who attached how much, and the markers", async () => {
  // The server adds up what was attached and writes it every two seconds.
  const told = async () => {
    const { activity } = await get("activity", { limit: 100 });
    return sum(activity.filter(a => ["attach", "review"].includes(a.action)).map(a => a.count));
  };
  while ((await told()) < truth.writes.length) await new Promise(done => setTimeout(done, 50));
  await visit(page, origin, "/ui/settings/activity");
  const rows = page.getByRole("region", { name: "Activity" }).locator("tbody tr:not(.waiting)");
  await rows.first().waitFor();
  const { activity } = await get("activity", { limit: 100 });
  assert.equal(await rows.count(), activity.length);
  const shown = new Map();
  for (const [did, field, n] of await rows.evaluateAll(all =>
    all.map(tr => [3, 4, 5].map(i => tr.cells[i].innerText.trim())),
  ))
    if (/attached|reviewed/.test(did)) shown.set(field, (shown.get(field) ?? 0) + digits(n));
  assert.deepEqual(shown, new Map([...shown.keys()].map(f => [f, truth.writes.filter(w => w.field === f).length])));
  assert.equal(sum([...shown.values()]), truth.writes.length);

  await visit(page, origin, "/ui/settings/markers");
  await page.locator(".markers li").first().waitFor();
  const { markers } = await get("markers", { from: truth.summary.begin, to: truth.summary.to });
  assert.equal(await page.locator(".markers li").count(), markers.length);
  const changes = truth.summary.markers
    .filter(m => m.kind === "model")
    .map(m => m.model_id)
    .sort();
  assert.deepEqual(
    markers
      .filter(m => m.automatic)
      .map(m => m.model_id)
      .sort(),
    changes,
  );
  for (const id of changes) assert.ok((await page.locator(".markers li", { hasText: id }).count()) > 0, id);
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
