// Ground rules of the dashboard that hold on every page and have no page of their own: what is empty teaches, thin records
// are enough, the count never holds up the list, pages rest while nobody sees them, times, failures.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, fill, settled, until, visit } from "./support.mjs";

let server, origin, page, tab;

before(async () => {
  ({ server, origin, page, tab } = await beginSignedIn());
  await tab.context.grantPermissions(["clipboard-read", "clipboard-write"]);
});

test("empty pages teach: what to run, with this server's address and this workspace's name", async () => {
  for (const [link, name] of [
    ["/ui/fleet", `METRICS_URL=${origin}/inference-stats`],
    ["/ui/", `${origin}/api/v1/demo/inferences`],
    ["/ui/models", `${origin}/api/v1/demo/inferences`],
    ["/ui/inferences", `${origin}/api/v1/demo/inferences`],
    ["/ui/review", `${origin}/api/v1/demo/inferences`],
    ["/ui/metadata", `${origin}/demo/inference-stats/metadata`],
    ["/ui/inference/nobody", `${origin}/demo/inference-stats/metadata`],
  ]) {
    await visit(page, origin, link);
    const told = async () => (await page.locator(".command pre").allInnerTexts()).join("\n");
    await until(async () => (await told()).includes(name), true, `${link} teaches ${name}`);
  }
});

test("what is looked at without being asked: a week, and a day of the fleet", async () => {
  await fill(server);
  for (const [link, range, number, days] of [
    ["/ui/", "7 d", ".tile a.value", 7],
    ["/ui/fleet", "24 h", '[aria-label="Devices"] td:nth-child(6) a', 1],
  ]) {
    await visit(page, origin, link);
    const pressed = page.locator('.ranges button[aria-pressed="true"]', { hasText: / [hd]$|shift/ });
    assert.deepEqual(await pressed.allInnerTexts(), [range], link);
    const opened = new URL(await page.locator(number).first().evaluate(a => a.href)).searchParams,
      [from, to] = ["from", "to"].map(end => Date.parse(opened.get(end)));
    assert.equal(to - from, days * 86_400_000, link);
  }
});

test("thin records are enough: no column without pictures, a mark on partial ones, what is missing and what brings it", async () => {
  const body = { source: "workflow", inference_results: [{ model_id: "m/1", class_name: "a", confidence: 0.5 }] };
  body.inference_results[0].inference_id = "part";
  await server.api("/demo/inference-stats", { method: "POST", body });
  await visit(page, origin, "/ui/inferences?filter=device:line-1");
  const heads = (await page.locator(".table thead th").allInnerTexts()).map(h => h.trim());
  assert.ok(heads.includes("Model") && !heads.includes("Picture"), heads.join());
  assert.equal(await page.locator(".table tbody .mark", { hasText: "partial" }).count(), 0);
  await visit(page, origin, "/ui/inferences?filter=partial:true");
  await page.locator(".table tbody .mark", { hasText: "partial" }).waitFor();
  await visit(page, origin, "/ui/inference/rec-0003");
  const lacking = await page.locator(".lacking").innerText();
  for (const part of [/TINY_CACHE=False/, /Dataset Upload/, /picture/i]) assert.match(lacking, part);
});

test("the list is there before its count", async () => {
  let go;
  const asked = new Promise(done => (go = done));
  await page.route(/inferences\/count/, async route => (await asked, route.continue()));
  await page.goto(`${origin}/ui/inferences`);
  await page.locator("a.row").first().waitFor();
  assert.equal(await page.locator(".total b").count(), 0, "not counted yet");
  go();
  await page.locator(".total b").waitFor();
  await page.unroute(/inferences\/count/);
});

test("times are the viewer's, with the offset, and UTC when the pointer rests on them", async () => {
  await visit(page, origin, "/ui/inference/rec-0003");
  const time = page.locator("section[aria-labelledby=facts-title] time").first(),
    [iso, text, title] = await time.evaluate(t => [t.dateTime, t.innerText, t.title]);
  const berlin = new Intl.DateTimeFormat("sv-SE", {
    timeZone: "Europe/Berlin",
    ...{ year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" },
  }).format(new Date(iso));
  assert.ok(text.startsWith(berlin), `${text} is ${iso}`);
  assert.match(text, /\+0[12]:00/);
  assert.ok(title.includes(iso.slice(0, 19).replace("T", " ")) && title.includes("UTC"), title);
});

test("a failure says what failed, and trying again works", async () => {
  const told = { status: 500, json: { error: "the disk does not answer" } };
  for (const [link, path, what] of [
    ["/ui/", "**/stats?*", "The numbers could not be loaded."],
    ["/ui/fleet", "**/devices?*", "The fleet could not be loaded."],
    ["/ui/inference/rec-0003", "**/inferences/rec-0003", "The inference could not be loaded."],
  ]) {
    await page.route(path, route => route.fulfill(told));
    await page.goto(origin + link);
    await page.getByText(what).waitFor();
    assert.match(await page.locator("main").innerText(), /the disk does not answer/);
    await page.unroute(path);
    await page.getByRole("button", { name: /again/i }).click();
    await page.getByText(what).waitFor({ state: "detached" });
  }
});

test("a clause is edited in its chip, and a page's link is copied", async () => {
  await visit(page, origin, "/ui/inferences?filter=camera_location:canada");
  await page.locator(".chip .what", { hasText: "canada" }).click();
  const input = page.getByRole("combobox", { name: "Filter", exact: true });
  assert.equal(await input.inputValue(), "camera_location:canada");
  await input.fill("camera_location:emea");
  await page.keyboard.press("Enter");
  await page.waitForURL(u => u.searchParams.get("filter") === "camera_location:emea");
  await visit(page, origin, "/ui/inference/rec-0003");
  await page.getByRole("button", { name: "Copy link" }).click();
  await until(() => page.evaluate(() => navigator.clipboard.readText()), `${origin}/ui/inference/rec-0003`, "the link");
});

test("a page looks again every ten seconds, says of when it is, and rests while nobody sees it", async () => {
  await page.clock.install();
  for (const link of ["/ui/", "/ui/fleet", "/ui/inferences", "/ui/models"]) {
    await visit(page, origin, link);
    await page.locator(".asof", { hasText: /As of .*\d\d:\d\d:\d\d [+−]\d\d:\d\d/ }).waitFor();
    const seen = hidden =>
      page.evaluate(is => {
        Object.defineProperty(document, "hidden", { value: is, configurable: true });
        Object.defineProperty(document, "visibilityState", { value: is ? "hidden" : "visible", configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    // What was begun before has been sent when the page's own question is answered.
    const asked = async ms => {
      const before = tab.requests.length;
      await page.clock.runFor(ms);
      await page.evaluate(() => fetch("/api/v1/session").then(r => r.text()));
      return tab.requests.slice(before).filter(u => /\/(stats|devices|inferences)\?/.test(u)).length;
    };
    const looks = () => until(async () => (await asked(2000)) > 0, true, `${link} looks again`);
    await looks();
    await seen(true);
    await settled(page);
    await asked(1000);
    assert.equal(await asked(60_000), 0, `${link} rests`);
    await seen(false);
    await looks();
  }
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
