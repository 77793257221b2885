// Pages that stay open while things happen: what another tab attaches, a server that dies and comes back.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, digits, fill, until, visit } from "./support.mjs";

let server, origin, page, tab;

before(async () => ({ server, origin, tab, page } = await beginSignedIn(fill, t => t.page.clock.install())));

const send = body => server.api("/api/v1/demo/inferences", { method: "POST", body });
const record = id => server.api(`/api/v1/demo/inferences/${encodeURIComponent(id)}`);
const lost = () => page.getByText("Connection lost.");
// As if so much time had passed: what is due happens.
const pass = ms => page.clock.runFor(ms);
const recovered = () => until(async () => (await pass(2000), await lost().count()), 0, "the banner goes by itself");

test("what one tab attaches shows in the other at its next look, and no row moves under the pointer", async () => {
  const other = await tab.context.newPage();
  await visit(other, origin, "/ui/inferences?filter=device:line-1&columns=time,id,m.operator");
  const rows = () =>
    other
      .locator(".table tr[data-row]")
      .evaluateAll(all => all.map(r => [r.querySelector("a.row").getAttribute("href"), r.getBoundingClientRect().top]));
  const row = other.locator(".table tr[data-row]").nth(2),
    id = await row.locator("td").nth(2).innerText();
  await row.hover();
  const was = await rows();

  await visit(page, origin, `/ui/inference/${encodeURIComponent(id)}`);
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByLabel("Field", { exact: true }).fill("operator");
  await page.getByLabel("Value", { exact: true }).fill("anna");
  await page.keyboard.press("Enter");
  await page.getByText("Added operator.").waitFor();
  await send({ inference_id: "meanwhile", model_id: "bottles/3", device_id: "line-1", predictions: [] });
  assert.equal(await row.locator("td").nth(3).innerText(), "–");
  await pass(11_000);
  await row.getByText("anna").waitFor();
  await other.getByRole("button", { name: "1 new" }).waitFor();
  assert.deepEqual(await rows(), was);
  await other.close();
});

test("a table that is sorted by its numbers keeps its order under the pointer", async () => {
  await visit(page, origin, "/ui/");
  const table = page.getByRole("region", { name: "Table of models" });
  const names = async () => (await table.locator("tbody tr td:first-child").allInnerTexts()).map(t => t.trim());
  const requests = name => table.locator("tbody tr", { hasText: name }).locator("td").nth(1).innerText().then(digits);
  const was = await names(),
    first = was[0],
    many = Array.from({ length: (await requests(first)) + 10 }, (_, i) => ({
      inference_id: `many-${i}`,
      model_id: "shapes/1",
      predictions: [],
    }));
  await table.locator("tbody tr").first().hover();
  await send(many);
  await pass(11_000);
  await until(async () => (await requests("shapes/1")) > many.length - 1, true, "the numbers are new");
  assert.deepEqual(await names(), was);
  await page.mouse.move(2, 2);
  await pass(11_000);
  await until(async () => (await names())[0], "shapes/1", "the order, once the pointer has gone");
});

test("the overview tells that the server died, keeps its numbers, and goes on by itself", async () => {
  await visit(page, origin, "/ui/");
  const value = page.locator(".tile", { hasText: "Total requests" }).locator(".value"),
    shown = async () => digits(await value.innerText()),
    from = new Date(Date.now() - 7 * 86_400_000).toISOString(),
    was = (await server.api(`/api/v1/demo/inferences/count?${new URLSearchParams({ from })}`)).count;
  await until(async () => (await pass(2000), await shown()), was, "as the API says");
  await server.kill();
  await pass(11_000);
  await lost().waitFor();
  assert.equal(await shown(), was);
  await server.resume();
  await send({ inference_id: "after", model_id: "bottles/3", predictions: [] });
  await recovered();
  await until(shown, was + 1, "the number is new");
});

test("a server that dies in a review loses no verdict and keeps none twice", async () => {
  const filter = "device:line-2 -has:review -has:error count<60";
  await visit(page, origin, `/ui/review?${new URLSearchParams({ filter })}`);
  await page.getByLabel("Reviewer").fill("anna");
  await page.keyboard.press("Enter");
  const opened = () =>
    page
      .getByRole("link", { name: /Open this inference/ })
      .evaluate(a => decodeURIComponent(a.pathname.split("/").pop()));
  const left = async () => digits(await page.locator(".progress .total b").innerText()),
    before = (await server.api(`/api/v1/demo/inferences/count?${new URLSearchParams({ filter })}`)).count;
  const ids = [],
    answered = [];
  page.on("response", r => r.request().method() === "PATCH" && answered.push(r.url()));
  const judge = async key => {
    ids.push(await opened());
    await page.keyboard.press(key);
    await until(async () => ids.includes(await opened()), false, "the next one");
  };
  await judge("c");
  await until(async () => (await record(ids[0])).metadata.review, "correct", "written");

  // The second verdict is written, but the server dies before the page is told.
  const path = "**/api/v1/demo/inferences/*/metadata";
  await page.route(path, async route => {
    const request = route.request();
    await server.api(new URL(request.url()).pathname, { method: "PATCH", body: request.postDataJSON() });
    await server.kill();
    await route.abort();
  });
  await judge("x");
  await lost().waitFor();
  await page.unroute(path);
  await judge("i");
  await page.getByText("saving…").waitFor();
  assert.equal(await page.getByText("A verdict was not saved.").count(), 0);
  await server.resume();
  await recovered();
  await page.getByText("saving…").waitFor({ state: "detached" });
  await until(left, before - 3, "left");
  for (const [i, id] of ids.entries()) {
    const { metadata, metadata_history: history } = await record(id);
    assert.equal(metadata.review, ["correct", "incorrect", "inconclusive"][i], id);
    assert.equal(metadata.reviewer, "anna");
    assert.equal(history.filter(h => h.field === "review").length, 1, `${id}: one entry`);
  }
  assert.equal(answered.length, 3);
  assert.equal(new Set(answered).size, 3);
});

test("a queue that could not be read is read when the server is back", async () => {
  await visit(page, origin, "/ui/review");
  await server.kill();
  await page.getByRole("button", { name: "Newest first" }).click();
  await lost().waitFor();
  await server.resume();
  await recovered();
  await page.getByRole("link", { name: /Open this inference/ }).waitFor();
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
