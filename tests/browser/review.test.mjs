// The review queue, walked with the keyboard alone from the first to the last, and what it leaves in the store.
import assert from "node:assert/strict";
import path from "node:path";
import { before, test } from "node:test";
import { beginSignedIn, fill, KEY, open, OUT, settled, until, visit } from "./support.mjs";

let server, browser, origin, page, tab;

before(async () => ({ server, browser, origin, tab, page } = await beginSignedIn(fill)));

const queue = filter => `/ui/review?${new URLSearchParams({ filter })}`;
const left = async () => Number((await page.locator(".progress .total b").innerText()).replace(/\D/g, ""));
const count = async filter =>
  (await server.api(`/api/v1/demo/inferences/count?${new URLSearchParams({ filter })}`)).count;
const opened = async () =>
  decodeURIComponent(
    new URL(await page.getByRole("link", { name: /Open this inference/ }).evaluate(a => a.href)).pathname
      .split("/")
      .pop(),
  );
const record = id => server.api(`/api/v1/demo/inferences/${encodeURIComponent(id)}`);
const top = r => Math.max(...r.predictions.map(p => p.confidence));

test("a verdict waits for a name, and nothing is written before", async () => {
  await visit(page, origin, "/ui/review");
  await page.getByRole("button", { name: /^Correct/ }).waitFor();
  await page.keyboard.press("c");
  await page.getByText("Type your name above first").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "reviewer");
  assert.equal(await count("has:review"), 0);
  await page.keyboard.type("anna");
  await page.keyboard.press("Enter");
});

test("the queue is walked by keyboard, lowest confidence first, from the first to the last", async () => {
  const filter = "device:line-2 -has:review -has:error count<40";
  await visit(page, origin, queue(filter));
  const { inferences } = await server.api(`/api/v1/demo/inferences?${new URLSearchParams({ filter, limit: "1000" })}`);
  const found = inferences.filter(r => r.predictions.length).sort((a, b) => top(a) - top(b)),
    empty = inferences.filter(r => !r.predictions.length);
  assert.ok(found.length > 5 && empty.length > 2);
  await until(left, inferences.length, "left at the beginning");
  const seen = [];
  for (let i = 0; i < inferences.length; i++) {
    await until(async () => (seen.includes(await opened()) ? "the one before" : "a new one"), "a new one", `step ${i}`);
    seen.push(await opened());
    if (i === 2) {
      await page.keyboard.press("m");
      await page.keyboard.type("glare on the cap");
      await page.keyboard.press("Enter");
    }
    await page.keyboard.press(["c", "x", "i"][i % 3]);
  }
  await page.getByText("That was the last one").waitFor();
  await until(left, 0, "left at the end");
  const confidences = await Promise.all(seen.slice(0, found.length).map(async id => top(await record(id))));
  assert.deepEqual(confidences, found.map(top));
  assert.deepEqual(new Set(seen.slice(found.length)), new Set(empty.map(r => r.inference_id)));
  for (const [i, id] of seen.entries()) {
    const { metadata, metadata_history: history } = await record(id);
    assert.equal(metadata.review, ["correct", "incorrect", "inconclusive"][i % 3], id);
    assert.equal(metadata.reviewer, "anna");
    assert.equal(metadata.review_comment, i === 2 ? "glare on the cap" : undefined);
    const of = name => history.find(h => h.field === name).time;
    assert.equal(of("review"), of("reviewer"), "one write");
  }
  assert.equal(await count(filter), 0);
});

test("undo goes back step by step and leaves nothing behind", async () => {
  const filter = "device:line-1 -has:review -has:error class:bottle count<60";
  await visit(page, origin, queue(filter));
  const before = await count(filter);
  await until(left, before, "left");
  const ids = [];
  for (const key of ["x", "c"]) {
    await until(async () => !ids.includes(await opened()), true, "the next");
    ids.push(await opened());
    await page.keyboard.press(key);
  }
  await until(left, before - 2, "after two");
  await page.keyboard.press("u");
  await until(opened, ids[1], "the last one again");
  await page.keyboard.press("u");
  await until(opened, ids[0], "the first one again");
  await until(left, before, "as before");
  for (const id of ids) {
    const { metadata, metadata_history: history } = await record(id);
    for (const f of ["review", "reviewer", "review_comment"]) assert.equal(metadata[f], undefined, `${id} ${f}`);
    assert.ok(
      history.some(h => h.field === "review" && h.removed),
      "the history keeps both",
    );
  }
  await page.keyboard.press("i");
  await until(async () => (await record(ids[0])).metadata.review, "inconclusive", "judged again");
  await page.keyboard.press("k");
  await until(opened, ids[0], "back to it");
  await page.getByText("Judged “inconclusive” by anna.").waitFor();
  assert.equal(await page.getByRole("button", { name: /^Inconclusive/ }).getAttribute("aria-pressed"), "true");
});

test("a verdict that could not be saved is told and led back to", async () => {
  const filter = "device:line-3 -has:review -has:error count<60";
  await visit(page, origin, queue(filter));
  await page.getByRole("button", { name: /^Correct/ }).waitFor();
  const id = await opened();
  await page.route("**/metadata", r => r.fulfill({ status: 507, body: '{"error":"the disk is full"}' }));
  await page.keyboard.press("c");
  await page.getByText("A verdict was not saved.").waitFor();
  await page.unroute("**/metadata");
  assert.equal((await record(id)).metadata.review, undefined);
  await page.getByRole("button", { name: "Go back to it" }).click();
  await until(opened, id, "back");
  await page.keyboard.press("c");
  await until(async () => (await record(id)).metadata.review, "correct", "saved now");
  await page.getByText("A verdict was not saved.").waitFor({ state: "detached" });
});

test("the order is in the link, and the page of a record tells who judged it", async () => {
  await visit(page, origin, "/ui/review");
  await page.getByRole("button", { name: "Newest first" }).click();
  await page.waitForURL(/order=newest/);
  const newest = await server.api(
    `/api/v1/demo/inferences?${new URLSearchParams({ filter: "-has:review -has:error", limit: "1" })}`,
  );
  await until(opened, newest.inferences[0].inference_id, "the newest");
  await page.screenshot({ path: path.join(OUT, "review.png") });
  const judged = await server.api(
    `/api/v1/demo/inferences?${new URLSearchParams({ filter: "review:incorrect reviewer:anna", limit: "1" })}`,
  );
  await visit(page, origin, `/ui/inference/${judged.inferences[0].inference_id}`);
  await settled(page);
  assert.match(
    await page.locator(".history li", { hasText: /^review set/ }).innerText(),
    /“incorrect”[\s\S]*reviewer anna/,
  );
});

test("from signing in to the last word of a review without a mouse, and one always sees where one is", async () => {
  const { context, page, faults, foreign } = await open(browser, origin);
  const seen = () =>
    page.evaluate(() => {
      const e = document.activeElement,
        box = e.getBoundingClientRect();
      const outlined = n =>
        n &&
        (parseFloat(getComputedStyle(n).outlineWidth) >= 1 && getComputedStyle(n).outlineStyle !== "none"
          ? true
          : outlined(n.parentElement));
      return {
        name: (e.getAttribute("aria-label") ?? e.labels?.[0]?.innerText ?? e.innerText).trim(),
        shown: e !== document.body && e.matches(":focus-visible") && outlined(e) === true,
        inside: box.width > 0 && box.top < innerHeight && box.bottom > 0 && box.left < innerWidth && box.right > 0,
      };
    });
  const tabTo = async name => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const at = await seen();
      assert.ok(at.shown && at.inside, `the focus is seen on ${JSON.stringify(at)}`);
      if (name.test(at.name)) return;
    }
    assert.fail(`no ${name} within 60 steps`);
  };
  const opened = () =>
    page
      .getByRole("link", { name: /Open this inference/ })
      .evaluate(a => decodeURIComponent(a.pathname.split("/").pop()));
  const ids = [];
  const next = async () => {
    await until(async () => ids.includes(await opened()), false, "the next one");
    ids.push(await opened());
  };
  await page.goto(`${origin}/ui/`);
  await page.getByLabel("API key of your workspace").waitFor();
  await page.keyboard.type(KEY);
  await page.keyboard.press("Enter");
  await settled(page);
  await tabTo(/^Review$/);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/ui\/review/);
  await tabTo(/^Reviewer/);
  await page.keyboard.type("berta");
  await page.keyboard.press("Enter");
  await next();
  await page.keyboard.press("c");
  await next();
  await tabTo(/^Incorrect/);
  await page.keyboard.press("Enter");
  await next();
  assert.match((await seen()).name, /^Incorrect/, "the next one's button has the focus");
  assert.ok((await seen()).shown);
  await page.keyboard.press("m");
  assert.match((await seen()).name, /^Comment/);
  await page.keyboard.type("glare");
  await page.keyboard.press("Enter");
  await page.keyboard.press("i");
  await next();
  await page.keyboard.press("x");
  await until(async () => ids.includes(await opened()), false, "the one after");
  await page.keyboard.press("u");
  await until(opened, ids[3], "taken back");
  await tabTo(/^Open this inference/);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/ui\/inference\//);
  const wanted = ["correct", "incorrect", "inconclusive", undefined];
  for (const [i, id] of ids.entries())
    await until(async () => (await record(id)).metadata.review, wanted[i], `${i}, ${id}`);
  assert.equal((await record(ids[2])).metadata.review_comment, "glare");
  assert.equal((await record(ids[1])).metadata.reviewer, "berta");
  assert.deepEqual([faults, foreign], [[], []]);
  await context.close();
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
