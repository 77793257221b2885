// A picture of every page on the data of the simulated fleet, into out/screens/: look at them. With SCREENS=docs they go
// to docs/screens/, where docs/dashboard.md shows them.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { begin, open, OUT, settled, signIn, simulate, visit } from "./support.mjs";

const into = process.env.SCREENS === "docs" ? path.join(OUT, "../../../docs/screens") : path.join(OUT, "screens");
let server, browser, origin;

before(async () => {
  ({ server, browser, origin } = await begin(s => simulate(s, "--events", "20000", "--days", "15")));
  mkdirSync(into, { recursive: true });
});

test("every page has something true to show", async () => {
  const { context, page, faults, foreign } = await open(browser, origin, { width: 1440, height: 1000 });
  await signIn(page, origin);
  const { inferences } = await server.api("/api/v1/demo/inferences?limit=1&filter=has:review+has:serial_number");
  const pages = {
    fleet: "/ui/fleet",
    overview: "/ui/?vs_back=604800",
    split: "/ui/?by=metadata.line",
    model: "/ui/model/bottle-inspection?version=1&version=2",
    inferences: "/ui/inferences?facets=1",
    inference: `/ui/inference/${inferences[0].inference_id}`,
    review: "/ui/review",
    metadata: "/ui/metadata",
    settings: "/ui/settings",
  };
  for (const [name, link] of Object.entries(pages)) {
    await visit(page, origin, link);
    await page.waitForFunction(() => [...document.images].every(i => i.complete));
    await page.waitForLoadState("networkidle");
    await settled(page);
    assert.ok((await page.locator("#main").innerText()).length > 200, `${name} shows something`);
    await page.screenshot({ path: path.join(into, `${name}.jpg`), type: "jpeg", quality: 72 });
  }
  assert.deepEqual(faults, []);
  assert.deepEqual(foreign, []);
  await context.close();
});
