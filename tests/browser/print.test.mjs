// What goes to paper: in a dark room too it is dark on white, says what it shows, and has nothing to click and no column
// cut off. Printed by the browser's own way to PDF, whose drawing is read; what has no words there, under print media.
import assert from "node:assert/strict";
import path from "node:path";
import { before, beforeEach, test } from "node:test";
import { inflateSync } from "node:zlib";
import { begin, fill, open, OUT, signIn, simulate, until, visit } from "./support.mjs";

const SHEET = 733, // px between the margins of A4
  SHRUNK = 1.33; // how much smaller the browser prints what is wider, before it cuts
let server, browser, origin, page;

const give = async s => {
  await fill(s);
  await simulate(s, "--events", "2000", "--days", "8");
};
before(async () => {
  ({ server, browser, origin } = await begin(give));
  ({ page } = await open(browser, origin, { scheme: "dark" }));
  await signIn(page, origin);
});

beforeEach(() => onScreen());

// #0b7a70 as a PDF says it.
const pdfColour = hex =>
  hex
    .match(/\w\w/g)
    .map(c => String(Math.round((parseInt(c, 16) / 255) * 1e4) / 1e4).replace(/^0\./, "."))
    .join(" ");

// What is drawn on all pages, with whatever says how.
async function printed(name) {
  const pdf = await page.pdf({ path: path.join(OUT, `print-${name}.pdf`), preferCSSPageSize: true });
  let drawn = "";
  for (let at = 0; (at = pdf.indexOf("stream", at)) >= 0; at += 6) {
    const from = pdf.indexOf("\n", at) + 1;
    try {
      drawn += inflateSync(pdf.subarray(from, pdf.indexOf("\nendstream", from))).toString("latin1");
    } catch {
      // A font or a picture.
    }
  }
  return { pdf: pdf.toString("latin1"), has: hex => drawn.includes(`${pdfColour(hex)} rg`) };
}

const words = async () => (await page.locator(".onpaper:visible").allInnerTexts()).filter(Boolean).join("\n");
const onPaper = () => page.emulateMedia({ media: "print", colorScheme: "dark" });
const onScreen = async () => {
  await page.emulateMedia({ media: null, colorScheme: "dark" });
  await until(() => page.locator("nav.rail").isVisible(), true, "the rail is back");
};

test("charts are dark on white, and no mask swallows the page", async () => {
  for (const [name, link] of [
    ["overview", "/ui/"],
    ["split", "/ui/?by=device"],
    ["model", "/ui/model/bottles"],
    ["fleet", "/ui/fleet"],
  ]) {
    await visit(page, origin, link);
    await page.waitForLoadState("networkidle");
    const { pdf, has } = await printed(name);
    assert.ok(has("#17201e") && has("#56605d"), `${name} has the ink of the light scheme`);
    if (name === "overview") assert.ok(has("#0b7a70"), "bars and lines of the light scheme");
    for (const hex of ["#35b3a4", "#131817", "#1a201f", "#e4e9e7", "#98a4a0", "#262e2c"])
      assert.ok(!has(hex), `${name} has ${hex} of the dark scheme`);
    assert.ok(!pdf.includes("/SMask"), name);
  }
  const corner = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(corner, "rgb(13, 17, 16)", "and the screen is dark again");
});

test("a page is one sheet of A4", async () => {
  for (const link of [
    "/ui/",
    "/ui/?by=metadata.line&vs_back=604800",
    "/ui/fleet?device=sim-south-01",
    "/ui/models",
    "/ui/model/bottle-inspection?version=1&version=2",
    "/ui/inferences",
    "/ui/inference/rec-0221",
    "/ui/review",
    "/ui/metadata",
    "/ui/settings/activity",
  ]) {
    await visit(page, origin, link);
    await page.waitForLoadState("networkidle");
    const { pdf } = await printed(link.match(/\w*$/)[0] || "sheet");
    const sheets = [...pdf.matchAll(/\/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]/g)].map(m => m.slice(1).map(pt => Math.round((pt / 72) * 25.4)));
    assert.deepEqual(sheets, [[210, 297]], link);
  }
});

test("paper says what it shows, and has nothing to click", async () => {
  const from = new Date(Date.now() - 3 * 86_400_000).toISOString(),
    to = new Date().toISOString(),
    filter = "-device:line-2";
  for (const [link, range, asked] of [
    ["/ui/?filter=-device:line-2", /^Range: the last 7 days, \d{4}-\d\d-\d\d \d\d:\d\d – \d{4}.* \+0[12]:00$/m, filter],
    [`/ui/?from=${from}&to=${to}`, /^Range: \d{4}-\d\d-\d\d \d\d:\d\d – \d{4}-\d\d-\d\d \d\d:\d\d \+0[12]:00$/m, "none"],
    ["/ui/fleet", /^Range: the last 24 hours, /m, "none"],
    ["/ui/model/bottles?range=30d", /^Range: the last 30 days, /m, "none"],
    [`/ui/inferences?filter=${filter}`, /^Range: any time$/m, filter],
  ]) {
    await onScreen();
    await visit(page, origin, link);
    assert.equal(await words(), "", "on the screen are the buttons");
    await onPaper();
    await until(() => page.locator("nav.rail").isVisible(), false, "no navigation");
    const said = await words();
    assert.match(said, /^Sightglass, workspace demo$/m);
    assert.match(said, range);
    assert.ok(said.split("\n").includes(`Filter: ${asked}`), said);
    assert.match(await page.locator(".asof").innerText(), /As of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
    const left = await page
      .locator("button:not([aria-pressed=true]), input, select, textarea")
      .evaluateAll(all => all.filter(e => e.checkVisibility() && !e.closest("table")).map(e => e.textContent || e.name));
    assert.deepEqual(left.filter(text => !/counted by servers|^\d+$/.test(text)), [], link);
  }
});

test("no column is cut off", async () => {
  for (const link of ["/ui/fleet", "/ui/", "/ui/?by=device", "/ui/inferences", "/ui/metadata", "/ui/models"]) {
    await onScreen();
    await visit(page, origin, link);
    await onPaper();
    await until(() => page.locator("nav.rail").isVisible(), false, "no navigation");
    const cut = await page.evaluate(most => {
      const right = e => e.getBoundingClientRect().right;
      return (
        [...document.querySelectorAll("main *")]
          .filter(e => e.checkVisibility() && !e.closest(".offscreen, svg"))
          .filter(e => right(e) > Math.min(most, right(e.closest("th, td") ?? e)) + 1)
          .map(e => `${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`)
      );
    }, SHEET * SHRUNK);
    assert.deepEqual(cut.slice(0, 5), [], link);
  }
});

test("of a list the rows in view are printed, and how many there are is said", async () => {
  await visit(page, origin, "/ui/inferences");
  const row = page.locator("tr[data-row]");
  await row.nth(5).waitFor();
  await page.locator(".table.tall").evaluate(e => (e.scrollTop = 1600));
  await until(() => row.first().getAttribute("data-row").then(n => Number(n) > 10), true, "it is scrolled");
  const seen = await row.evaluateAll(all => all.map(e => e.dataset.row));
  await onPaper();
  await until(() => page.locator("nav.rail").isVisible(), false, "no navigation");
  // The frames in which a list that grew would draw more.
  await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))));
  const kept = await row.evaluateAll(all => all.map(e => e.dataset.row));
  assert.ok(kept.length > 10 && kept.length < seen.length, `${kept.length} of ${seen.length} rows that are drawn are in view`);
  assert.deepEqual(kept, seen.slice(seen.indexOf(kept[0])).slice(0, kept.length));
  assert.equal(await page.locator("tr[aria-hidden]:visible").count(), 0, "no blank sheets for what is out of sight");
  const { count } = await server.api("/api/v1/demo/inferences/count");
  assert.equal((await page.locator(".total").innerText()).replace(/\D/g, ""), String(count));
  assert.match(await words(), /On paper are the rows that were in view, of \d+ that were read; there are older ones\./);
});
