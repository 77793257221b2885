// What every page shares: ranges and shifts, completion, splitting and comparing, markers, copying, what is not complete.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, digits, fill, settled, until, visit } from "./support.mjs";

let server, origin, page, tab;

const mayCopy = t => t.context.grantPermissions(["clipboard-read", "clipboard-write"]);
before(async () => ({ server, origin, tab, page } = await beginSignedIn(fill, mayCopy)));

const HOUR = 3_600_000,
  now = Date.now();
const range = { from: new Date(now - 7 * 24 * HOUR).toISOString(), to: new Date(now + 60_000).toISOString() };
const at = more => new URLSearchParams({ ...range, ...more }).toString();
const get = (what, q) => server.api(`/api/v1/demo/${what}?${new URLSearchParams(q)}`);
const tile = name => page.locator(".tile", { hasText: name });
const total = async () => digits(await page.locator(".total b").innerText());

test("a shift is the calendar's, in the plant's zone", async () => {
  // The shift that runs began an hour ago and the last one nine hours ago, by the clock of a zone that is not the page's.
  const hhmm = t => new Date(t + 5.5 * HOUR).toISOString().slice(11, 16);
  const days = [1, 2, 3, 4, 5, 6, 7];
  await server.api("/api/v1/demo/shifts", {
    method: "PUT",
    body: {
      zone: "Asia/Kolkata",
      shifts: [
        { name: "now", from: hhmm(now - HOUR), to: hhmm(now + 7 * HOUR), days },
        { name: "before", from: hhmm(now - 9 * HOUR), to: hhmm(now - HOUR), days },
      ],
    },
  });
  const began = Math.floor((now - HOUR) / 60_000) * 60_000;
  await page.goto(`${origin}/ui/?range=last-shift`);
  await settled(page);
  await tile("Total requests").locator("a.value").click();
  await settled(page);
  const last = new URL(page.url()).searchParams;
  assert.equal(Date.parse(last.get("to")), began);
  assert.equal(Date.parse(last.get("from")), began - 8 * HOUR);
  await page.goto(`${origin}/ui/?range=shift`);
  await settled(page);
  assert.equal(await page.getByRole("button", { name: "This shift" }).getAttribute("aria-pressed"), "true");
  await tile("Total requests").locator("a.value").click();
  await settled(page);
  assert.equal(Date.parse(new URL(page.url()).searchParams.get("from")), began);
});

test("completion offers the server's values, with how many there are", async () => {
  await visit(page, origin, "/ui/");
  await page.keyboard.press("/");
  await page.keyboard.type("camera_location:");
  const { facets } = await get("facets", { fields: "metadata.camera_location", limit: 1, ...range });
  const { value, count } = facets[0].top[0];
  const offer = page.getByRole("option", { name: `camera_location:${value}` });
  await offer.waitFor();
  assert.equal(digits(await offer.locator(".sub").innerText()), count);
  await page.keyboard.type(value.slice(0, 3));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(url => url.searchParams.get("filter") === `camera_location:${value}`);
  await settled(page);
  await until(async () => digits(await tile("Total requests").locator(".value").innerText()), count, "narrowed");
});

test("breaking down by a field gives the API's groups, and each opens its inferences", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  await page.getByLabel("Break down by").selectOption("metadata.camera_location");
  await page.waitForURL(/by=metadata.camera_location/);
  await settled(page);
  const { answers } = await server.api("/api/v1/demo/query", {
    method: "POST",
    body: { ...range, groups: [{ by: ["metadata.camera_location"], measures: ["inferences", "avg(confidence)"] }] },
  });
  const table = page.getByRole("region", { name: "Broken down by metadata.camera_location" });
  assert.equal(await table.locator("tbody tr").count(), answers[0].rows.length);
  for (const [value, n, mean] of answers[0].rows) {
    const row = table.locator("tbody tr", { hasText: value ?? "no value" }).first();
    assert.equal(digits(await row.locator("td").nth(1).innerText()), n, value);
    assert.equal(await row.locator("td").nth(5).innerText(), mean === null ? "–" : mean.toFixed(3), value);
  }
  for (const [value, n] of answers[0].rows.slice(0, 3).concat([answers[0].rows.find(r => r[0] === null)])) {
    await visit(page, origin, `/ui/?${at({ by: "metadata.camera_location" })}`);
    await table
      .locator("tbody tr", { hasText: value ?? "no value" })
      .first()
      .locator("td")
      .nth(1)
      .getByRole("link")
      .click();
    await settled(page);
    await until(total, n, value ?? "no value");
  }
});

test("comparing sets the numbers against what was chosen, by range and by filter", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  await page.getByRole("button", { name: "Compare", exact: true }).click();
  await page.getByLabel("Compare with").selectOption("604800");
  await page.getByRole("group", { name: "Compare" }).getByRole("button", { name: "Compare" }).click();
  await page.waitForURL(/vs_back=604800/);
  await settled(page);
  const back = t => new Date(Date.parse(t) - 7 * 24 * HOUR).toISOString();
  const earlier = await get("inferences/count", { from: back(range.from), to: back(range.to) });
  assert.equal(digits(await tile("Total requests").locator(".delta a").innerText()), earlier.count);
  await tile("Total requests").locator(".delta a").click();
  await settled(page);
  await until(total, earlier.count, "a week earlier");

  await visit(page, origin, `/ui/?${at({ vs_filter: "device:line-2" })}`);
  const other = await get("inferences/count", { ...range, filter: "device:line-2" });
  assert.equal(digits(await tile("Total requests").locator(".delta a").innerText()), other.count);
  await page.getByRole("button", { name: /Against the same time, device:line-2/ }).click();
  await page.getByRole("button", { name: "Stop comparing" }).click();
  await page.waitForURL(url => !url.searchParams.has("vs_filter"));
});

test("a marker is set, changed and removed by hand", async () => {
  await visit(page, origin, "/ui/?range=24h");
  await page.getByRole("button", { name: "Marker", exact: true }).click();
  await page.getByLabel("What happened").fill(`lens <img src=x onerror="window.broken=true">`);
  await page.getByLabel("Kind").selectOption("cleaned");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const list = page.getByRole("region", { name: "Markers in this range" }),
    own = list.locator("li", { hasText: "lens" });
  await own.waitFor();
  const { markers } = await get("markers", { from: new Date(now - 24 * HOUR).toISOString() });
  assert.equal(markers.filter(m => m.kind === "cleaned").length, 1);
  assert.equal(await page.locator('img[src="x"]').count(), 0);
  await own.getByRole("button", { name: "Edit" }).click();
  await own.getByLabel("What happened").fill("lens cleaned");
  await own.getByRole("button", { name: "Change" }).click();
  await list.getByText("lens cleaned", { exact: true }).waitFor();
  await own.getByRole("button", { name: "Edit" }).click();
  await own.getByRole("button", { name: "Remove" }).click();
  await own.waitFor({ state: "detached" });
});

test("tables and charts copy as CSV and as a picture", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  const read = () => page.evaluate(() => navigator.clipboard.readText());
  await page.getByRole("button", { name: "Copy Table of models as CSV" }).click();
  const { models } = await get("stats", { ...range, bucket: 7200 });
  await until(async () => (await read()).trim().split("\r\n").length, models.length + 1, "a line a model");
  assert.match(await read(), new RegExp(`^bottles/3,${models.find(m => m.model_id === "bottles/3").inferences},`, "m"));
  await page.getByRole("button", { name: "Copy the chart Requests as CSV" }).click();
  await until(async () => (await read()).startsWith("time,requests\r\n"), true, "the chart's head");
  const rows = (await read()).trim().split("\r\n").slice(1);
  const all = rows.reduce((n, l) => n + Number(l.split(",")[1]), 0);
  assert.equal(all, models.reduce((n, m) => n + m.inferences, 0));
  for (const what of ["Table of models", "the chart Requests"]) {
    await page.getByRole("button", { name: `Copy ${what} as PNG` }).click();
    await until(
      () =>
        page.evaluate(async () => {
          const [item] = await navigator.clipboard.read();
          return item.types.includes("image/png") && (await item.getType("image/png")).size > 1000;
        }),
      true,
      `${what} as a picture`,
    );
    await page.evaluate(() => navigator.clipboard.writeText("empty"));
  }
});

test("columns of a table sort and can be made wider, by keyboard too", async () => {
  await visit(page, origin, `/ui/?${at()}`);
  const table = page.getByRole("region", { name: "Table of models" });
  await table.getByRole("button", { name: "Model", exact: true }).click();
  await page.waitForURL(/sort=model/);
  const names = await table.locator("tbody tr td:first-child").allInnerTexts();
  assert.deepEqual(names, [...names].sort((a, b) => a.localeCompare(b, "en", { numeric: true })));
  const head = table.locator("thead th").nth(1),
    before = (await head.boundingBox()).width;
  await table.getByRole("separator", { name: "Width of Requests" }).focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
  assert.ok((await head.boundingBox()).width > before + 20);
});

test("what could not be read is told on the page, and no longer when it is there again", async () => {
  const part = { segment: 4, from: "2026-01-02T10:00:00Z", to: "2026-01-02T12:00:00Z", inferences: 1234 };
  await page.route("**/api/v1/demo/stats**", async route => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, json: { ...(await answer.json()), incomplete: [part] } });
  });
  await visit(page, origin, "/ui/?range=1h");
  const banner = page.getByText("Not complete.");
  await banner.waitFor();
  assert.match(await page.locator(".banner", { has: banner }).innerText(), /1,234 inferences of 2026-01-02 11:00 – 13:00/);
  await page.unroute("**/api/v1/demo/stats**");
  await page.getByRole("button", { name: "24 h" }).click();
  await settled(page);
  await banner.waitFor({ state: "detached" });
});

test("? helps, and every page of the rail is there", async () => {
  await visit(page, origin, "/ui/");
  await page.keyboard.press("?");
  await page.getByRole("dialog").getByText("Keyboard").waitFor();
  await page.keyboard.press("Escape");
  const links = await page.getByRole("navigation", { name: "Main" }).getByRole("link").all();
  const targets = await Promise.all(links.map(l => l.getAttribute("href")));
  for (const to of targets) {
    await visit(page, origin, to);
    assert.equal(await page.getByText("There is no such page").count(), 0, to);
  }
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
