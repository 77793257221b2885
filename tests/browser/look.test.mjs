// What a person sees: accessibility by axe, markup as text, no horizontal overflow, and screenshots in out/ to look at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { after, before, test } from "node:test";
import { browse, EVIL, fill, open, OUT, settled, signIn, start, visit } from "./support.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let server, browser, origin;

before(async () => {
  server = await start();
  origin = server.origin;
  await fill(server);
  browser = await browse();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

// Injected by the debugger, not by a script element: the page's policy would refuse that, as it should.
async function findings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
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

for (const scheme of ["light", "dark"]) {
  for (const width of [1440, 768]) {
    test(`every page, ${scheme}, ${width} px wide`, async () => {
      const { context, page, faults, foreign } = await open(browser, origin, {
        scheme,
        width,
        height: width === 768 ? 1024 : 900,
      });
      await page.goto(`${origin}/ui/`);
      await page.getByLabel("API key of your workspace").waitFor();
      if (width === 1440) assert.deepEqual(await findings(page), [], "sign-in");
      await page.screenshot({ path: path.join(OUT, `signin-${scheme}-${width}.png`) });
      await signIn(page, origin);
      const { inferences } = await server.api("/api/v1/demo/inferences?limit=50&filter=has:picture");
      const pages = {
        fleet: "/ui/fleet",
        device: "/ui/fleet?device=line-1",
        overview: "/ui/",
        split: "/ui/?by=metadata.camera_location&vs_back=604800",
        models: "/ui/models",
        model: "/ui/model/bottles",
        inferences: "/ui/inferences",
        filtered: "/ui/inferences?filter=camera_location:canada+-device:line-2",
        refused: "/ui/inferences?filter=confidence%3Cx",
        thin: "/ui/inference/rec-0003",
        boxes: "/ui/inference/rec-0221",
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
        ...(inferences[0] ? { inference: `/ui/inference/${inferences[0].inference_id}` } : {}),
      };
      const found = [];
      for (const [name, link] of Object.entries(pages)) {
        await visit(page, origin, link);
        await page.waitForFunction(() => [...document.images].every(i => i.complete));
        found.push(...(await findings(page)).map(f => `${name}: ${f}`));
        assert.ok(
          await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
          `${name} is wider than the window`,
        );
        await page.screenshot({ path: path.join(OUT, `${name}-${scheme}-${width}.png`) });
      }
      assert.deepEqual(found, []);
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light dark");
      const ground = await page.evaluate(() =>
        getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number),
      );
      assert.ok(scheme === "dark" ? ground[0] < 64 : ground[0] > 192, "the ground follows the system");
      assert.deepEqual(faults, []);
      assert.deepEqual(foreign, []);
      await context.close();
    });
  }
}

test("markup in names and values is text on every page", async () => {
  await server.api("/api/v1/demo/views", { method: "POST", body: { name: EVIL, page: "inferences", query: "" } });
  await server.api("/api/v1/demo/markers", {
    method: "POST",
    body: { time: new Date().toISOString(), text: EVIL, kind: "other", model_id: null, device_id: null },
  });
  await server.api("/api/v1/demo/keys", { method: "POST", body: { name: EVIL } });
  const { context, page, faults } = await open(browser, origin);
  await signIn(page, origin);
  const links = [
    "/ui/",
    "/ui/fleet",
    `/ui/fleet?${new URLSearchParams({ device: EVIL })}`,
    "/ui/models",
    `/ui/model/${encodeURIComponent(EVIL)}`,
    "/ui/?by=device",
    `/ui/?${new URLSearchParams({ by: `metadata.${EVIL}` })}`,
    "/ui/inferences",
    "/ui/inference/evil",
    "/ui/inferences?facets=1",
    "/ui/metadata",
    "/ui/settings/keys",
    "/ui/settings/views",
    "/ui/settings/markers",
    `/ui/review?${new URLSearchParams({ filter: "id:evil" })}`,
    `/ui/inferences?${new URLSearchParams({ filter: `metadata."${EVIL.replace(/"/g, '\\"')}":"${EVIL.replace(/"/g, '\\"')}"` })}`,
    `/ui/inference/${encodeURIComponent(EVIL)}`,
    `/ui/?${new URLSearchParams({ filter: EVIL })}`,
  ];
  for (const link of links) {
    await visit(page, origin, link);
    assert.equal(await page.evaluate(() => globalThis.broken), undefined, link);
    assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0, link);
    await page
      .waitForFunction(() =>
        (document.body.innerText + [...document.querySelectorAll("input")].map(i => i.value).join()).includes(
          "onerror",
        ),
      )
      .catch(() => assert.fail(`${link} does not show it`));
    assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0, link);
    assert.equal(await page.evaluate(() => globalThis.broken), undefined, link);
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
  assert.equal(await page.locator('img[src="x"], [onerror]').count(), 0);
  assert.equal(await page.evaluate(() => globalThis.broken), undefined);
  assert.deepEqual(faults, []);
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
