// What a person sees, on thin and odd records and on the fleet simulator's with its hostile names: accessibility by axe,
// markup as text, nobody else asked, no horizontal overflow, and screenshots in out/ to look at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { before, test } from "node:test";
import { begin, EVIL, fill, KEY, open, OUT, signIn, simulate, until, visit } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let server, browser, origin;

before(async () => {
  ({ server, browser, origin } = await begin(fill));
  await simulate(server, "--events", "3000", "--days", "8", "--metadata", "40", "--markers", "--hostile");
  await hostile();
});

// Markup wherever somebody can write: what is saved, marked and named, and an item that could not be stored.
async function hostile() {
  const post = (what, body) => server.api(what, { method: "POST", body });
  await post("/api/v1/demo/views", { name: EVIL, page: "inferences", query: "" });
  const marker = { time: new Date().toISOString(), text: EVIL, kind: "other", model_id: EVIL, device_id: EVIL };
  await post("/api/v1/demo/markers", marker);
  await post("/api/v1/demo/keys", { name: EVIL });
  const request = { api_key: KEY, source: EVIL, source_info: EVIL, model_id: EVIL };
  const item = { request_time: Date.now() / 1000, inference: { inference_id: EVIL, request, response: EVIL } };
  const { set_aside } = await post("/inference-stats", {
    api_key: KEY,
    timestamp: String(Math.floor(Date.now() / 1000)),
    device_id: EVIL,
    inference_server_id: EVIL,
    inference_server_version: EVIL,
    tags: [EVIL],
    platform: EVIL,
    hostname: EVIL,
    inference_results: [item],
  });
  assert.equal(set_aside, 1);
}

// Rules that look at colours; what the others say is the same in light and in dark.
const COLOURS = ["color-contrast", "link-in-text-block"];

// Injected by the debugger, not by a script element: the page's policy would refuse that, as it should.
async function findings(page, runOnly) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(
    rules => globalThis.axe.run(document, { resultTypes: ["violations"], ...(rules ? { runOnly: rules } : {}) }),
    runOnly,
  );
  return violations
    .filter(v => v.impact === "serious" || v.impact === "critical")
    .map(
      v =>
        `${v.id}: ${v.help}: ${v.nodes
          .slice(0, 3)
          .map(n => `${n.target.join(" ")} (${n.any.map(a => a.message).join("; ")})`)
          .join(", ")}`,
    );
}

// The same page in light and, as at dusk, in dark: each is looked at by axe and kept as a picture.
async function inBoth(page, name, width) {
  const found = [];
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    found.push(...(await findings(page, scheme === "dark" ? COLOURS : undefined)).map(f => `${name}, ${scheme}: ${f}`));
    const ground = await page.evaluate(() =>
      getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number),
    );
    assert.ok(scheme === "dark" ? ground[0] < 64 : ground[0] > 192, `${name}: the ground follows the system`);
    await page.screenshot({ path: path.join(OUT, `${name}-${scheme}-${width}.png`) });
  }
  return found;
}

for (const width of [1440, 768]) {
  test(`every page, light and dark, ${width} px wide`, async () => {
    const { context, page, faults, foreign } = await open(browser, origin, {
      width,
      height: width === 768 ? 1024 : 900,
    });
    await page.goto(`${origin}/ui/`);
    await page.getByLabel("API key of your workspace").waitFor();
    const found = await inBoth(page, "signin", width);
    await signIn(page, origin);
    const first = async filter =>
      (await server.api(`/api/v1/demo/inferences?limit=1&${new URLSearchParams({ filter })}`)).inferences[0]
        ?.inference_id;
    const pictured = await first("has:picture");
    const pages = {
      fleet: "/ui/fleet",
      device: "/ui/fleet?device=sim-south-01",
      overview: "/ui/",
      split: "/ui/?by=metadata.line&vs_back=604800",
      models: "/ui/models",
      model: "/ui/model/bottle-inspection?version=1&version=2",
      inferences: "/ui/inferences",
      filtered: "/ui/inferences?filter=camera_location:canada+-device:line-2",
      refused: "/ui/inferences?filter=confidence%3Cx",
      thin: "/ui/inference/rec-0003",
      boxes: "/ui/inference/rec-0221",
      reviewed: `/ui/inference/${await first("source:simulated has:review")}`,
      shapes: "/ui/inference/shapes",
      facets: "/ui/inferences?facets=1",
      review: "/ui/review",
      metadata: "/ui/metadata",
      keys: "/ui/settings/keys",
      retention: "/ui/settings/retention",
      shifts: "/ui/settings/shifts",
      capture: "/ui/settings/pictures",
      views: "/ui/settings/views",
      markers: "/ui/settings/markers",
      activity: "/ui/settings/activity",
      ...(pictured ? { inference: `/ui/inference/${pictured}` } : {}),
    };
    for (const [name, link] of Object.entries(pages)) {
      await page.emulateMedia({ colorScheme: "light" });
      await visit(page, origin, link);
      await page.waitForFunction(() => [...document.images].every(i => i.complete));
      found.push(...(await inBoth(page, name, width)));
      assert.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        `${name} is wider than the window`,
      );
      assert.deepEqual([faults, foreign], [[], []], name);
      const copies = what => page.locator(`main button[aria-label^="Copy "][aria-label$=" as ${what}"]`).count(),
        shown = await page.locator("main table:not(form table), main figure.chart").count();
      assert.deepEqual([await copies("CSV"), await copies("PNG")], [shown, shown], `${name}: tables and charts copy`);
    }
    assert.deepEqual(found, []);
    await context.close();
  });
}

test("what opens on a page has no serious finding either", async () => {
  const { context, page, faults } = await open(browser, origin);
  await signIn(page, origin);
  const button = name => page.getByRole("button", { name, exact: true }).first(),
    found = [];
  for (const [name, link, act] of [
    ["help", "/ui/", () => page.keyboard.press("?")],
    ["range", "/ui/", () => page.getByRole("button", { name: /Custom/ }).first().click()],
    ["comparing", "/ui/", () => button("Compare").click()],
    ["a marker", "/ui/", () => button("Marker").click()],
    ["saving a view", "/ui/inferences", () => button("Save view").click()],
    ["columns", "/ui/inferences", () => button("Columns").click()],
    ["jumping", "/ui/inferences", () => button("Jump to").click()],
    ["fields", "/ui/inference/rec-0003", () => button("Show").click()],
    ["a new field", "/ui/inference/rec-0003", () => button("Add").click()],
    [
      "completion",
      "/ui/inferences",
      async () => {
        await page.keyboard.press("/");
        await page.keyboard.type("camera");
        await page.getByRole("option").first().waitFor();
      },
    ],
    [
      "deleting",
      "/ui/inferences",
      async () => {
        await page.getByRole("checkbox", { name: /^Select the inference/ }).first().check();
        await button("Delete…").click();
      },
    ],
  ]) {
    await visit(page, origin, link);
    const before = await page.locator("body").evaluate(b => b.innerText.length);
    await act();
    await page.waitForFunction(n => document.body.innerText.length !== n, before);
    found.push(...(await findings(page)).map(f => `${name}: ${f}`));
  }
  assert.deepEqual([found, faults], [[], []]);
  await context.close();
});

test("markup in names and values is text on every page", async () => {
  const { context, page, faults, foreign, requests } = await open(browser, origin),
    dialogs = [];
  page.on("dialog", d => (dialogs.push(d.message()), d.dismiss()));
  await signIn(page, origin);
  const { devices } = await server.api("/api/v1/demo/devices"),
    simulated = devices.find(d => d.device_id?.startsWith("sim-") && d.device_id.includes("<img")).device_id,
    field = name => `metadata."${name.replace(/"/g, '\\"')}"`;
  const query = q => new URLSearchParams(q).toString();
  const ALERT = "<img src=x onerror=alert(1)>"; // the simulator's
  const links = {
    "/ui/": [EVIL],
    "/ui/?by=device": [EVIL, ALERT],
    "/ui/?by=class": [EVIL],
    "/ui/?by=source_info": [ALERT],
    "/ui/?by=metadata.operator": [ALERT],
    [`/ui/?${query({ by: `metadata.${EVIL}` })}`]: [EVIL],
    [`/ui/?${query({ filter: EVIL })}`]: [EVIL],
    "/ui/fleet": [EVIL, ALERT, "Set aside"],
    [`/ui/fleet?${query({ device: EVIL })}`]: [EVIL],
    [`/ui/fleet?${query({ device: simulated })}`]: [ALERT],
    "/ui/models": [EVIL],
    [`/ui/model/${encodeURIComponent(EVIL)}`]: [EVIL],
    "/ui/inferences?filter=-source:simulated": [EVIL],
    "/ui/inferences?facets=1&filter=-source:simulated": [EVIL],
    "/ui/inferences?facets=1&filter=source:simulated": [ALERT],
    [`/ui/inferences?${query({ filter: `${field(EVIL)}:"${EVIL.replace(/"/g, '\\"')}"` })}`]: [EVIL],
    [`/ui/inferences?${query({ filter: `has:${field(ALERT)}` })}`]: [ALERT],
    "/ui/inference/evil": [EVIL],
    [`/ui/inference/${encodeURIComponent(EVIL)}`]: [EVIL],
    [`/ui/review?${query({ filter: "id:evil" })}`]: [EVIL],
    "/ui/metadata": [EVIL, ALERT],
    "/ui/settings/keys": [EVIL],
    "/ui/settings/views": [EVIL],
    "/ui/settings/markers": [EVIL],
    "/ui/settings/activity": [EVIL],
  };
  const clean = async where => {
    assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0, where);
    assert.equal(await page.evaluate(() => globalThis.broken), undefined, where);
    assert.deepEqual([dialogs, faults, foreign], [[], [], []], where);
    assert.deepEqual(
      requests.filter(u => new URL(u).pathname.endsWith("/x")),
      [],
      where,
    );
  };
  for (const [link, texts] of Object.entries(links)) {
    await visit(page, origin, link);
    await clean(link);
    for (const text of texts)
      await page
        .waitForFunction(
          wanted =>
            (document.body.innerText + [...document.querySelectorAll("input")].map(i => i.value).join()).includes(
              wanted,
            ),
          text,
        )
        .catch(() => assert.fail(`${link} does not show ${text}`));
    await clean(link);
  }
  await visit(page, origin, "/ui/inference/evil");
  await page.getByRole("button", { name: `Change ${EVIL}` }).click();
  await page.getByRole("button", { name: "Columns" }).count();
  await visit(page, origin, "/ui/inferences");
  await page.getByRole("button", { name: "Columns" }).click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type("onerror");
  await page.getByRole("option").first().waitFor();
  await clean("the offers of the filter");
  await context.close();
});

test("whoever asked somebody else would be refused and noticed", async () => {
  const { context, page, faults, foreign } = await open(browser, origin);
  await signIn(page, origin);
  await page.evaluate(() => fetch("http://elsewhere.invalid/").catch(() => undefined));
  await page.evaluate(() => (new Image().src = "http://elsewhere.invalid/x.png"));
  await until(() => faults.length + foreign.length >= 2, true, "both are noticed");
  await context.close();
});

test("the first load is small and nothing of it is inline", async () => {
  const { context, page } = await open(browser, origin);
  let bytes = 0;
  page.on("response", async r => {
    if (new URL(r.url()).pathname.startsWith("/ui/"))
      bytes += Number((await r.headerValue("content-length")) ?? (await r.body()).length);
  });
  const response = await page.goto(`${origin}/ui/`);
  await page.getByLabel("API key of your workspace").waitFor();
  await page.waitForLoadState("networkidle");
  assert.ok(bytes > 0 && bytes < 300_000, `${bytes} bytes at first load`);
  const policy = response.headers()["content-security-policy"] ?? "";
  for (const part of [/default-src '(none|self)'/, /script-src 'self'/, /style-src 'self'/]) assert.match(policy, part);
  assert.doesNotMatch(policy, /unsafe/);
  const html = await response.text();
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  await context.close();
});
