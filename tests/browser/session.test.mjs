import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { begin, elsewhere, fill, KEY, open, settled, visit } from "./support.mjs";

let server, browser, origin;

before(async () => ({ server, browser, origin } = await begin()));

// Every place of a page where a key could lie: its address and history, the document, storage, script-readable cookies.
const places = page =>
  page.evaluate(async () =>
    [
      location.href,
      document.documentElement.outerHTML,
      [...document.querySelectorAll("input")].map(i => i.value).join(),
      JSON.stringify({ ...localStorage }),
      JSON.stringify({ ...sessionStorage }),
      document.cookie,
      JSON.stringify(history.state),
      (await indexedDB.databases()).map(d => d.name).join(),
      performance
        .getEntriesByType("resource")
        .map(e => e.name)
        .join(),
    ].join("\n"),
  );

test("without a session there is only the sign-in page; a wrong key is refused in words", async () => {
  const { context, page } = await open(browser, origin);
  await page.goto(`${origin}/ui/inferences?filter=a:b`);
  await page.getByLabel("API key of your workspace").fill("sg_wrong");
  await page.keyboard.press("Enter");
  await page.getByText("No workspace has this key.").waitFor();
  assert.equal(await page.getByLabel("API key of your workspace").inputValue(), "");
  await context.close();
});

test("a pasted key is exchanged for a cookie, leads to the page that was asked for, and is nowhere", async () => {
  const { context, page, requests } = await open(browser, origin);
  await page.goto(`${origin}/ui/inferences?range=24h`);
  await page.getByLabel("API key of your workspace").fill(KEY);
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(page.url(), `${origin}/ui/inferences?range=24h`);
  assert.ok(!(await places(page)).includes(KEY));
  assert.ok(!requests.some(u => u.includes(KEY)));
  const cookies = await context.cookies();
  assert.equal(cookies.length, 1);
  assert.ok(cookies[0].httpOnly && cookies[0].sameSite === "Strict" && !cookies[0].value.includes(KEY));
  await page.reload();
  await settled(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("API key of your workspace").waitFor();
  await page.reload();
  await page.getByLabel("API key of your workspace").waitFor();
  await context.close();
});

test("a link's key is taken from the address at once, also in an open tab, and is not in the history", async () => {
  const { context, page, requests } = await open(browser, origin);
  await page.goto(`${origin}/ui/#key=${KEY}`);
  await settled(page);
  assert.equal(page.url(), `${origin}/ui/`);
  assert.ok(!(await places(page)).includes(KEY));
  await page.evaluate(key => (location.hash = `#key=${key}`), KEY);
  await page.waitForFunction(() => location.hash === "");
  await settled(page);
  assert.ok(!(await places(page)).includes(KEY));
  assert.ok(!requests.some(u => u.includes(KEY)));
  await context.close();
});

test("an empty workspace teaches, with its name and address in the commands, and shows the first inference by itself", async () => {
  const { context, page } = await open(browser, origin);
  await page.goto(`${origin}/ui/#key=${KEY}`);
  await page.getByText("No inference has arrived yet").waitFor();
  const text = (await page.locator(".command pre").allInnerTexts()).join("\n");
  for (const part of [
    `${origin}/demo/inference-stats/metadata`,
    `${origin}/coco/24`,
    `${origin}/api/v1/demo/inferences`,
  ])
    assert.ok(text.includes(part), part);
  assert.ok(!text.includes(KEY));
  await page.clock.install();
  await visit(page, origin, "/ui/inferences");
  await page.getByText("No inference has arrived yet").waitFor();
  await fill(server);
  await page.clock.runFor(11_000);
  await page.locator("a.row").first().waitFor();
  await context.close();
});

test("the file with the first key is told of and removed on request", async () => {
  const file = path.join(server.data, "first-key");
  writeFileSync(file, `demo ${KEY}\n`, { mode: 0o600 });
  const { context, page } = await open(browser, origin);
  await page.goto(`${origin}/ui/#key=${KEY}`);
  await page.getByText("The first key is still in a file.").waitFor();
  assert.ok(!(await places(page)).includes(KEY));
  await page.getByRole("button", { name: "Remove the file" }).click();
  await page.getByText("The first key is still in a file.").waitFor({ state: "detached" });
  assert.ok(!existsSync(file));
  await page.reload();
  await settled(page);
  assert.equal(await page.getByText("The first key is still in a file.").count(), 0);
  await context.close();
});

test("listening beyond this machine without TLS is told on every page", async () => {
  const { context, page } = await open(browser, origin);
  const answer = async server => {
    await page.unroute("**/api/v1/server").catch(() => undefined);
    await page.route("**/api/v1/server", route =>
      route.fulfill({ json: { name: "Sightglass", version: "0", listen: "0.0.0.0:9001", ...server } }),
    );
    await visit(page, origin, "/ui/inferences");
    await page.waitForLoadState("networkidle");
    return page.getByText("Not encrypted.").count();
  };
  await page.goto(`${origin}/ui/#key=${KEY}`);
  await settled(page);
  assert.equal(await page.getByText("Not encrypted.").count(), 0);
  assert.equal(await answer({ loopback: false, tls: false }), 1);
  assert.equal(await answer({ loopback: false, tls: true }), 0);
  assert.equal(await answer({ loopback: true, tls: false }), 0);
  await context.close();
});

test("a page that reaches no API says so and starts by itself when it answers", async () => {
  const { context, page } = await open(browser, origin);
  await page.goto(`${origin}/ui/#key=${KEY}`);
  await settled(page);
  await page.route("**/api/v1/**", route => route.abort());
  await page.reload();
  await page.getByText("Connection lost.").waitFor();
  await page.unroute("**/api/v1/**");
  await settled(page);
  assert.equal(await page.getByText("Connection lost.").count(), 0);
  await context.close();
});

test("a session that ends elsewhere leads back to signing in", async () => {
  const { context, page } = await open(browser, origin);
  await page.goto(`${origin}/ui/inferences#key=${KEY}`);
  await settled(page);
  await context.clearCookies();
  await page.getByRole("button", { name: "24 h" }).click();
  await page.getByText("The session has ended.").waitFor();
  await context.close();
});

test("nobody else was asked", () => assert.deepEqual(elsewhere, []));
