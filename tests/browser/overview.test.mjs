import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, digits, fill, KEY, open, settled, signIn, until, visit } from "./support.mjs";

let server, origin, page, tab;

before(async () => ({ server, origin, tab, page } = await beginSignedIn(fill)));

const tile = name => page.locator(".tile", { hasText: name });
const table = () => page.getByRole("region", { name: "Table of models" });
const total = async () => digits(await page.locator(".total b").innerText());
const count = async link => {
  const q = new URL(link, origin).searchParams;
  q.delete("columns");
  return (await server.api(`/api/v1/demo/inferences/count?${q}`)).count;
};

// A range that stands still, so that page and API are asked the same.
const now = Date.now();
const window = new URLSearchParams({
  from: new Date(now - 7 * 86_400_000).toISOString(),
  to: new Date(now + 60_000).toISOString(),
});

for (const counting of ["inference", "monitoring"]) {
  test(`the overview's numbers are the API's, counted as ${counting}`, async () => {
    await visit(page, origin, `/ui/?${window}&count=${counting}`);
    const s = await server.api(`/api/v1/demo/stats?${window}&bucket=7200`),
      c = s.current;
    const [conf, time] =
      counting === "monitoring"
        ? [c.monitoring.avg_confidence, c.monitoring.avg_response_time]
        : [c.per_inference.avg_confidence, c.per_inference.avg_latency_s];
    assert.ok(
      c.inferences >= 220 && c.errors === 5,
      `the API counts ${c.inferences} inferences and ${c.errors} errors`,
    );
    assert.equal(digits(await tile("Total requests").locator(".value").innerText()), c.inferences);
    assert.equal(await tile("Average confidence").locator(".value").innerText(), conf.toFixed(3));
    assert.match(
      await tile("Average confidence").locator(".note").innerText(),
      new RegExp(`median ${c.median_confidence.toFixed(3)}`),
    );
    assert.equal(
      digits(await tile("Average inference time").locator(".value").innerText()),
      Number((time * 1000).toPrecision(3)),
    );
    assert.equal(digits(await tile("Errors").locator(".value").innerText()), c.errors);
    const change = ((c.inferences - s.previous.inferences) / s.previous.inferences) * 100;
    assert.match(
      await tile("Total requests").locator(".delta").innerText(),
      new RegExp(
        Math.abs(change) >= 1000
          ? `×${Math.round(c.inferences / s.previous.inferences)}`
          : `${change > 0 ? "\\+" : "−"}${change < 100 ? change.toFixed(1) : Math.round(change)} %`,
      ),
    );
    for (const m of s.models) {
      const row = table().locator("tbody tr", { has: page.getByRole("link", { name: m.model_id, exact: true }) });
      assert.equal(digits(await row.locator("td").nth(1).innerText()), m.inferences, m.model_id);
    }
  });
}

test("every number opens exactly the inferences it counts", async () => {
  await visit(page, origin, `/ui/?${window}`);
  const { current, models } = await server.api(`/api/v1/demo/stats?${window}&bucket=7200`);
  const { previous } = await server.api(`/api/v1/demo/stats?${window}&bucket=7200`);
  for (const [name, what, wanted] of [
    ["Total requests", ".value", current.inferences],
    ["Total requests", ".delta a", previous.inferences],
    ["Errors", ".value", current.errors],
    ["Average confidence", ".value", await count(`?${window}&filter=has:confidence`)],
    ["Average inference time", ".note a", await count(`?${window}&filter=has:latency+-has:error`)],
  ]) {
    await visit(page, origin, `/ui/?${window}`);
    await tile(name).locator(what).click();
    await settled(page);
    await until(total, wanted, `${name} ${what}`);
  }
  for (const m of models) {
    await visit(page, origin, `/ui/?${window}`);
    await table()
      .locator("tbody tr", { has: page.getByRole("link", { name: m.model_id, exact: true }) })
      .locator("td")
      .nth(1)
      .getByRole("link")
      .click();
    await settled(page);
    await until(total, m.inferences, m.model_id);
  }
  await visit(page, origin, `/ui/?${window}`);
  const link = await table().locator(".classes a", { hasText: "bottle" }).first().getAttribute("href");
  await table().locator(".classes a", { hasText: "bottle" }).first().click();
  await settled(page);
  await until(total, await count(link), "class");
});

test("a bar opens its bucket, by mouse and by keyboard; a drag zooms", async () => {
  await visit(page, origin, `/ui/?${window}`);
  const { series } = await server.api(`/api/v1/demo/stats?${window}&bucket=7200`);
  const chart = page.getByRole("slider", { name: /^Requests/ });
  await chart.focus();
  for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowLeft");
  const read = await page.locator(".chart .legend b").first().innerText();
  await page.keyboard.press("Enter");
  await settled(page);
  await page.waitForURL(/inferences\?from=/);
  await until(total, digits(read), "by keyboard");
  const from = new URL(page.url()).searchParams.get("from");
  assert.equal(await total(), series.find(b => Date.parse(b.time) === Date.parse(from))?.inferences ?? 0);

  await page.goBack();
  await settled(page);
  const plot = await page.locator(".u-over").first().boundingBox();
  await page.mouse.click(plot.x + plot.width / 2, plot.y + plot.height - 10);
  await page.waitForURL(/inferences\?from=/);
  await settled(page);
  const opened = new URL(page.url()).searchParams;
  assert.equal(Date.parse(opened.get("to")) - Date.parse(opened.get("from")), 7_200_000);
  await until(total, await count(page.url()), "by mouse");

  await page.goBack();
  await settled(page);
  await page.mouse.move(plot.x + 200, plot.y + 50);
  await page.mouse.down();
  await page.mouse.move(plot.x + 500, plot.y + 60, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(before => new URL(location.href).searchParams.get("from") !== before, window.get("from"));
  await settled(page);
  const zoomed = new URL(page.url()).searchParams,
    whole = 7 * 86_400_000;
  const span = Date.parse(zoomed.get("to")) - Date.parse(zoomed.get("from"));
  assert.ok(span > 0.15 * whole && span < 0.4 * whole, `zoomed to ${span} ms`);
});

test("a change against an empty period is new", async () => {
  const from = new Date(now - 40 * 86_400_000).toISOString(),
    to = new Date(now + 60_000).toISOString();
  await visit(page, origin, `/ui/?${new URLSearchParams({ from, to })}`);
  assert.match(await tile("Total requests").locator(".delta").innerText(), /new/);
});

test("of errors, inferences open the list and what servers counted the failures: each number just its own", async () => {
  const details = { error: "no such model", error_type: "ModelNotFound", error_status_code: 404 },
    failure = { timestamp_start: (now - 3_600_000) * 1e6, exec_session_id: "a", hostname: "5bce9", api_key: KEY };
  await server.api("/usage/inference", {
    method: "POST",
    body: ["weld/11", "weld/11", "gone/1"].map((resource_id, i) => ({
      ...{ ...failure, resource_id, category: "model", processed_frames: 1 },
      timestamp_start: failure.timestamp_start + i * 1e9,
      resource_details: JSON.stringify(details),
    })),
  });
  const weld = table().locator("tbody tr", { hasText: "weld/11" }).locator("td").nth(3);
  for (const [where, texts] of [
    [tile("Errors"), ["5", "3"]],
    [weld, ["5", "2"]],
  ]) {
    for (const [i, wanted] of texts.entries()) {
      await visit(page, origin, `/ui/?${window}`);
      const links = where === weld ? weld.getByRole("link") : where.locator("a.value");
      assert.deepEqual(await links.allInnerTexts(), texts);
      await links.nth(i).click();
      if (i === 0) await until(total, Number(wanted), "inferences with an error");
      else await page.getByRole("heading", { name: /Failures that servers counted.* 3 of models/ }).waitFor();
    }
  }
  const failed = page.getByRole("region", { name: "Failures by model" }).locator("tr", { hasText: "weld/11" });
  assert.equal(await failed.locator("td").nth(1).innerText(), "2");
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});

test("while the numbers are on their way the page says so, and claims nothing", async () => {
  const { context, page } = await open(tab.context.browser(), origin);
  await signIn(page, origin);
  let release;
  const held = new Promise(done => (release = done));
  await page.route(/\/(query|stats|devices)\b/, async route => (await held, route.continue()));
  await page.goto(`${origin}/ui/?range=30d`);
  await page.locator(".chart .blank").first().waitFor();
  assert.deepEqual([...new Set(await page.locator(".chart .blank").allInnerTexts())], ["Loading…"]);
  assert.equal(await page.locator(".asof").innerText(), "Loading…");
  release();
  await settled(page);
  assert.equal(await page.locator(".chart .blank.loading").count(), 0);
  assert.match(await page.locator(".asof").innerText(), /^As of/);
  // The numbers of a week are no numbers of a day, though they still stand there.
  await page.unroute(/\/(query|stats|devices)\b/);
  const again = new Promise(done => (release = done));
  await page.route(/\/(query|stats)\b/, async route => (await again, route.continue()));
  await page.getByRole("button", { name: "24 h" }).click();
  await until(() => page.locator(".asof").innerText(), "Loading…", "it says that others are on their way");
  release();
  await settled(page);
  assert.match(await page.locator(".asof").innerText(), /^As of/);
  await context.close();
});
