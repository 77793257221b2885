// Fleet and models on the data of the simulated fleet: what the pages say is what the API says, and opens it.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { tableOf } from "./drawn.mjs";
import { beginSignedIn, digits, KEY, settled, simulate, until, visit } from "./support.mjs";

let server, origin, page, tab;

const events = s => simulate(s, "--events", "3000", "--days", "15", "--metadata", "20", "--hostile");
before(async () => ({ server, origin, tab, page } = await beginSignedIn(events)));

const total = async () => digits(await page.locator(".total b").innerText());
const get = (what, q) => server.api(`/api/v1/demo/${what}?${new URLSearchParams(q)}`);
const groups = async body => (await server.api("/api/v1/demo/query", { method: "POST", body })).answers;
const now = Date.now();
const range = { from: new Date(now - 7 * 86_400_000).toISOString(), to: new Date(now + 60_000).toISOString() };
const at = more => new URLSearchParams({ ...range, ...more }).toString();
const row = (region, text) =>
  page.getByRole("region", { name: region }).locator("tbody tr", { hasText: text }).first();

test("every device is a row with the API's numbers and its state", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  const { devices } = await get("devices", range);
  const named = devices.filter(d => /^sim-[a-z]+-\d+$/.test(d.device_id ?? ""));
  assert.ok(named.length >= 10, `the API lists ${named.length} devices`);
  for (const d of named) {
    const r = row("Devices", d.device_id);
    const { count } = await get("inferences/count", { ...range, filter: `device:${d.device_id}` });
    assert.equal(digits(await r.locator("td").nth(5).innerText()), count, d.device_id);
    assert.equal(digits(await r.locator("td").nth(6).innerText()), d.errors, d.device_id);
    // What is silent changes by itself while the test looks.
    await until(
      async () => {
        const known = (await get("devices", range)).devices.find(x => x.device_id === d.device_id);
        return (await r.locator(".state").innerText()).startsWith(known.silent ? "silent" : "alive");
      },
      true,
      `the state of ${d.device_id}`,
    );
    assert.equal(await r.getByText("simulated", { exact: true }).count(), 1);
  }
});

test("a device's number opens its inferences; the device opens its servers, also from the link alone", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  const { count } = await get("inferences/count", { ...range, filter: "device:sim-south-01" });
  await row("Devices", "sim-south-01").locator("td").nth(5).getByRole("link").click();
  await settled(page);
  await until(total, count, "the inferences of sim-south-01");

  await visit(page, origin, `/ui/fleet?${at()}`);
  await page.getByRole("button", { name: "sim-south-01", exact: true }).click();
  await page.waitForURL(/device=sim-south-01/);
  const link = page.url().slice(origin.length);
  await visit(page, origin, link);
  const { devices } = await get("devices", range);
  const known = devices.find(d => d.device_id === "sim-south-01");
  const servers = page.getByRole("region", { name: "Servers on sim-south-01" });
  assert.equal(await servers.locator("tbody tr").count(), known.servers.length);
  assert.ok((await servers.innerText()).includes(known.servers[0].version));
});

test("a device's cameras: what each did, the one that has been quiet longest first", async () => {
  // The simulator's devices have one each in so few events: this one gets a second.
  const time = new Date(now - 3 * 86_400_000).toISOString(),
    quiet = { device_id: "sim-south-01", source_info: "quiet/cam", predictions: [{ class: "ok", confidence: 0.5 }] };
  const body = { inference_id: "quiet", model_id: "bottle-inspection/1", time, ...quiet };
  await server.api("/api/v1/demo/inferences", { method: "POST", body });
  const filter = "device:sim-south-01",
    measures = ["inferences", "avg(confidence)", "max(time)"];
  const [{ rows }] = await groups({ ...range, filter, groups: [{ by: ["source_info"], measures }] });
  assert.ok(rows.length >= 2 && rows.some(r => r[0] === "quiet/cam"), `${rows.length} cameras`);
  await visit(page, origin, `/ui/fleet?${at({ device: "sim-south-01" })}`);
  const shown = await tableOf(page, "Cameras of sim-south-01");
  const wanted = rows.sort((a, b) => (a[3] < b[3] ? -1 : 1)).map(([name, n, mean]) => [name, String(n), mean.toFixed(3)]);
  assert.deepEqual(
    [...shown].map(([name, cells]) => [name, cells[2].text.replace(/,/g, ""), cells[3].text]),
    wanted,
  );
});

test("what was asked for and is not served is shown with the device", async () => {
  const asked = `${origin}/workflows/nobody-serves-this?api_key=${KEY}`;
  await fetch(asked, { method: "POST", headers: { "User-Agent": "old-client/1" }, body: "{}" });
  const { devices } = await get("devices", range);
  const one = devices.find(d => /^sim-[a-z]+-\d+$/.test(d.device_id ?? "") && d.unserved.length);
  assert.ok(one, "the API tells it");
  await visit(page, origin, `/ui/fleet?${at({ device: one.device_id })}`);
  const table = page.getByRole("region", { name: "Asked for, and not served here" });
  for (const u of one.unserved) await table.getByText(u.path, { exact: true }).first().waitFor();
});

test("failures that servers counted are told by model, kind and host", async () => {
  await visit(page, origin, `/ui/fleet?${at()}`);
  const failed = await get("errors", range);
  assert.ok(failed.resources.length > 0);
  for (const r of failed.resources) {
    const shown = row("Failures by model", r.resource_id).locator("td").nth(1);
    await until(async () => digits(await shown.innerText()), r.errors, r.resource_id);
  }
});

test("a model's page says what the API says, and opens it", async () => {
  const filter = "model:bottle-inspection";
  const { current } = await get("stats", { ...range, filter, bucket: 7200 });
  const [classes, bins] = await groups({
    ...range,
    filter,
    groups: [
      { by: ["class"], measures: ["detections"] },
      { by: [{ key: "confidence", width: 0.05 }], measures: ["inferences"] },
    ],
  });
  await visit(page, origin, `/ui/model/bottle-inspection?${at()}`);
  const tile = name => page.locator(".tile", { hasText: name });
  assert.equal(digits(await tile("Total requests").locator(".value").innerText()), current.inferences);
  assert.equal(
    await tile("Average confidence").locator(".value").innerText(),
    current.per_inference.avg_confidence.toFixed(3),
  );
  const seen = classes.rows.filter(r => r[0] !== null),
    all = seen.reduce((n, r) => n + r[1], 0);
  assert.equal(all, current.detections);
  for (const [name, n] of seen) {
    const r = row("Detections by class", name);
    assert.equal(digits(await r.locator("td").nth(1).innerText()), n, name);
    assert.equal(digits(await r.locator("td").nth(2).innerText()), Number(((n / all) * 100).toFixed(1)), name);
  }
  const bin = bins.rows.filter(r => r[0] !== null).sort((a, b) => b[1] - a[1])[0];
  const i = Math.min(19, Math.round(bin[0] / 0.05));
  await page.locator(".bins a").nth(i).click();
  await settled(page);
  await until(total, bin[1], "the inferences of a bar");

  await visit(page, origin, `/ui/model/bottle-inspection?${at()}`);
  await row("Detections by class", seen[0][0]).locator("td").nth(4).getByRole("link").click();
  await settled(page);
  const link = new URL(page.url()).searchParams;
  await until(total, (await get("inferences/count", link)).count, "the inferences of a class");
});

test("two versions stand side by side, and the link alone shows them", async () => {
  await visit(page, origin, `/ui/model/bottle-inspection?${at()}`);
  const group = page.getByRole("group", { name: /Versions/ });
  await group.getByRole("button", { name: /^1\b/ }).click();
  await settled(page);
  await group.getByRole("button", { name: /^2\b/ }).click();
  await page.waitForURL(/version=1&version=2/);
  await visit(page, origin, page.url().slice(origin.length));
  const [{ rows }] = await groups({
    ...range,
    filter: "model:bottle-inspection",
    groups: [{ by: ["model"], measures: ["inferences", "avg(confidence)"] }],
  });
  const table = page.getByRole("region", { name: "bottle-inspection/1 and bottle-inspection/2" });
  for (const [i, id] of ["bottle-inspection/1", "bottle-inspection/2"].entries()) {
    const known = rows.find(r => r[0] === id);
    const cell = what => table.locator("tbody tr", { hasText: what }).locator("td").nth(1 + i).innerText();
    assert.equal(digits(await cell("Requests")), known[1], id);
    assert.equal(await cell("Mean confidence"), known[2].toFixed(3), id);
  }
  await table.locator("tbody tr", { hasText: "Requests" }).locator("td").nth(2).getByRole("link").click();
  await settled(page);
  await until(total, rows.find(r => r[0] === "bottle-inspection/2")[1], "the second version");
});

test("the models' page lists each version, and leads to the model", async () => {
  await visit(page, origin, `/ui/models?${at()}`);
  const { models } = await get("stats", { ...range, bucket: 604_800 });
  for (const m of models) {
    const r = row("Table of models", m.model_id);
    assert.equal(digits(await r.locator("td").nth(1).innerText()), m.inferences, m.model_id);
  }
  await page.getByRole("link", { name: "seal-check/1", exact: true }).click();
  await page.waitForURL(/model\/seal-check\?.*version=1/);
  await settled(page);
  await page.getByRole("heading", { name: /seal-check/ }).waitFor();
});

test("what is simulated carries its mark wherever it shows, partial records too", async () => {
  const mark = page.locator(".badge", { hasText: "simulated" }),
    partial = { filter: "partial:true" },
    // One device's clock is a day ahead.
    long = { from: new Date(now - 20 * 86_400_000).toISOString(), to: new Date(now + 2 * 86_400_000).toISOString() },
    within = more => new URLSearchParams({ ...long, ...more });
  const { inferences } = await get("inferences", partial),
    [all, some] = [await get("inferences/count"), await get("inferences/count", partial)].map(c => c.count);
  assert.ok(some > 0 && inferences.every(i => i.source !== "simulated"), "partial ones have another source");
  for (const [link, n] of [
    [`/ui/?${within()}`, all],
    [`/ui/models?${within()}`, all],
    ["/ui/metadata", all],
    [`/ui/?${within(partial)}`, some],
  ]) {
    await visit(page, origin, link);
    await page.locator(`header .badge[title^="${n.toLocaleString("en-US")} of these inferences"]`).waitFor();
  }
  assert.equal(digits(await page.locator(".tile", { hasText: "Total requests" }).locator(".value").innerText()), some);
  for (const link of [
    "/ui/fleet",
    "/ui/review",
    `/ui/review?${within(partial)}`,
    `/ui/inference/${inferences[0].inference_id}`,
    "/ui/model/bottle-inspection",
  ]) {
    await visit(page, origin, link);
    await until(async () => (await mark.count()) > 0, true, `a mark on ${link}`);
  }
  for (const filter of ["", "partial:true"]) {
    await visit(page, origin, `/ui/inferences?${new URLSearchParams({ filter })}`);
    const rows = page.locator(".table tbody tr[data-row]");
    await rows.first().waitFor();
    assert.equal(await rows.locator(".badge").count(), await rows.count(), `each row of the list ${filter}`);
  }
  await visit(page, origin, `/ui/?${within({ filter: "-source:simulated -device:sim-*" })}`);
  assert.equal(await mark.count(), 0);
});

test("hostile names are text on fleet and model pages", async () => {
  for (const link of ["/ui/fleet", "/ui/models", "/ui/?by=device", "/ui/?by=metadata.operator", "/ui/?by=source_info"]) {
    await visit(page, origin, link);
    assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0, link);
  }
  const { devices } = await get("devices", range);
  const evil = devices.find(d => (d.device_id ?? "").includes("<img"));
  assert.ok(evil, "the simulator was hostile");
  await visit(page, origin, `/ui/fleet?${new URLSearchParams({ device: evil.device_id })}`);
  await page.getByRole("region", { name: `Servers on ${evil.device_id}` }).waitFor();
  assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
