// The pages of records, on the data of the simulated fleet: devices, inferences, reviews, metadata, what was done. What is
// shown is what the API says, and what the API says is what the truth files come to (truth.mjs).
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { failures, tableOf } from "./drawn.mjs";
import { digits, settled, until, visit } from "./support.mjs";
import { beginWithTruth, groupBy, sum, sums, tally } from "./truth.mjs";
import { agree, changed, confidence, count, EXACT, seconds } from "./written.mjs";

let server, origin, page, tab, truth, now, earlier, within, failed;

before(async () => {
  ({ server, origin, tab, page, truth } = await beginWithTruth(4000));
  ({ now, earlier, within, failed } = truth);
});

const get = (what, q = {}) => server.api(`/api/v1/demo/${what}?${new URLSearchParams(q)}`);
const at = more => new URLSearchParams({ ...now, ...more }).toString();
const tile = (name, what) => page.locator(".tile", { hasText: name }).locator(what).innerText();
const total = async () => digits(await page.locator(".total b").innerText());
const table = name => tableOf(page, name);

// Each device's mean confidence and time, by the API.
async function means(range) {
  const plan = { ...range, groups: [{ by: ["device"], measures: ["avg(confidence)", "avg(latency)"] }] },
    { answers } = await server.api("/api/v1/demo/query", { method: "POST", body: plan });
  return new Map(answers[0].rows.map(([device, ...of]) => [device, of]));
}

test("fleet: each device's work, and what failed by model, kind and host", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  const shown = await table("Devices"),
    { devices } = await get("devices", now),
    [of, before] = [now, earlier].map(w => groupBy(within(w), r => r.device_id)),
    [work, workBefore] = await Promise.all([now, earlier].map(means));
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
    assert.deepEqual(cells[2].times, [Date.parse(d.last_seen)], `${d.device_id}: last heard`);
    const [sure, time] = work.get(d.device_id) ?? [null, null],
      [was] = workBefore.get(d.device_id) ?? [null],
      { confidence: wasTrue } = sums(before.get(d.device_id) ?? []);
    agree(cells[7].text, sure, a.confidence, confidence, `${d.device_id}: confidence`);
    assert.ok(was === wasTrue || Math.abs(was - wasTrue) <= EXACT(wasTrue), `${d.device_id}: confidence before`);
    assert.equal(cells[8].text, sure && was ? changed(sure, was) : "–", `${d.device_id}: its slide`);
    agree(cells[9].text, time, a.latency, seconds, `${d.device_id}: time`);
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
      ...[text(cells[3]), text(cells[4]), told(cells[4]), told(cells[10])],
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
    `/ui/inferences?${at({ filter: FILTER, facets: 1, columns: "time,model,classes,confidence,latency,device,m.plant" })}`,
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
        ...[...tr.cells].slice(2, 8).map(td => td.innerText.trim()),
      ]),
    );
  assert.ok(drawn.length >= 20);
  const by = new Map(rows.map(r => [r.id, r]));
  for (const [i, [id, ...cells]] of drawn.entries()) {
    const r = by.get(id);
    assert.equal(r.time, rows[i].time, "newest first");
    const classes = [...tally(r.found.map(d => d.class))].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)),
      seen = classes.map(([name, n]) => (n > 1 ? `${name} × ${n}` : name)).join(", ") || "no detections";
    assert.deepEqual(cells, [r.model_id, seen, confidence(r.top), seconds(r.latency_s), r.device_id, r.metadata.plant], id);
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
