import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, digits, fill, settled, until, visit } from "./support.mjs";

let server, origin, page, tab;

before(async () => ({ server, origin, tab, page } = await beginSignedIn(fill)));

const total = async () => digits(await page.locator(".total b").innerText());
const count = async link => {
  const q = new URL(link, origin).searchParams;
  q.delete("columns");
  return (await server.api(`/api/v1/demo/inferences/count?${q}`)).count;
};

test("filter: chips, completion, removal, narrowing by a value, and the same list from the link alone", async () => {
  await visit(page, origin, "/ui/inferences");
  await page.keyboard.press("/");
  await page.keyboard.type("camera_location:can");
  await page.getByRole("option", { name: "camera_location:canada" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL(/filter=/);
  await settled(page);
  const canada = await count("?filter=camera_location:canada");
  await until(total, canada, "by completion");
  await page.getByRole("combobox", { name: "Filter" }).fill("model:weld");
  await page.keyboard.press("Enter");
  await page.waitForURL(/weld/);
  await settled(page);
  await until(total, await count("?filter=camera_location:canada+model:weld"), "two clauses");
  await page.getByRole("button", { name: "Remove model:weld" }).click();
  await settled(page);
  await until(total, canada, "after removal");

  const row = page.locator(".table tbody tr").first();
  const device = row.locator("td", { hasText: /^line-/ });
  await device.hover();
  const value = (await device.innerText()).trim();
  await device.getByRole("button", { name: `Exclude device:${value}` }).click();
  await page.waitForURL(/-device/);
  await settled(page);
  const without = await count(`?${new URLSearchParams({ filter: `camera_location:canada -device:${value}` })}`);
  await until(total, without, "after excluding");

  const other = await tab.context.newPage();
  await other.goto(page.url());
  await settled(other);
  await until(async () => digits(await other.locator(".total b").innerText()), without, "from the link");
  await other.close();
});

test("a syntax error stands under its character and goes when it is corrected", async () => {
  await visit(page, origin, `/ui/inferences?${new URLSearchParams({ filter: "größe:1 confidence<x" })}`);
  const input = page.getByRole("textbox", { name: "Filter, as text" });
  await input.waitFor();
  const said = page.locator("#filter-error");
  assert.match(await said.innerText(), /Expected a number/);
  const [caret, box] = [await said.locator(".caret").boundingBox(), await input.boundingBox()];
  const at = await input.evaluate(e => {
    const c = document.createElement("canvas").getContext("2d");
    const { fontSize, fontFamily } = getComputedStyle(e);
    c.font = `${fontSize} ${fontFamily}`;
    return c.measureText("größe:1 confidence<").width;
  });
  assert.ok(Math.abs(caret.x - (box.x + at)) < 6, `the mark is at ${caret.x}, the character at ${box.x + at}`);
  await input.fill("confidence<0.5");
  await page.keyboard.press("Enter");
  await settled(page);
  await until(total, await count("?filter=confidence%3C0.5"), "corrected");
});

test("the list reads on as it is scrolled and holds every inference once, and Back finds the place", async () => {
  await visit(page, origin, "/ui/inferences");
  const all = await count("");
  const seen = new Set();
  const links = () =>
    page.locator("a.row").evaluateAll(l => l.map(a => a.pathname + new URL(a.href).searchParams.get("index")));
  assert.ok(all > 250 && (await links()).length < 100, "only what can be seen is drawn");
  const table = page.locator(".table");
  for (let i = 0; i < 200 && seen.size < all; i++) {
    for (const l of await links()) seen.add(l);
    await table.evaluate(e => e.scrollBy(0, e.clientHeight / 2));
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
  }
  assert.equal(seen.size, all);
  await page.getByText("That is the oldest.").waitFor();
  await table.evaluate(e => e.scrollTo(0, e.scrollHeight));
  await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
  const last = (await links()).at(-1);
  await page.locator("a.row").last().click();
  await page.waitForURL(/\/inference\//);
  await page.goBack();
  await settled(page);
  await until(async () => (await links()).includes(last), true, "the row is there again");
});

test("a jump to a time begins the list there", async () => {
  await visit(page, origin, "/ui/inferences");
  const { inferences } = await server.api("/api/v1/demo/inferences?limit=150");
  const middle = inferences[140];
  await page.getByRole("button", { name: "Jump to" }).click();
  const local = await page.evaluate(
    t => {
      const d = new Date(t);
      return new Date(d.getTime() - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
    },
    Math.ceil(Date.parse(middle.time) / 1000) * 1000,
  );
  await page.getByLabel("What was at").fill(local);
  await page.keyboard.press("Enter");
  await page.waitForURL(/at=/);
  await settled(page);
  await until(
    () =>
      page
        .locator("a.row")
        .first()
        .evaluate(a => decodeURIComponent(a.pathname.split("/").pop())),
    middle.inference_id,
    "the first row",
  );
  await page.getByRole("link", { name: "From the newest" }).click();
  await page.waitForURL(u => !u.searchParams.get("at"));
});

test("facets count what the API counts, and a click filters", async () => {
  await visit(page, origin, "/ui/inferences?facets=1");
  const facet = page.locator(".facets section", { hasText: "camera_location" });
  const { facets } = await server.api("/api/v1/demo/facets?fields=metadata.camera_location");
  const value = v => facet.getByRole("button", { name: new RegExp(`^${v}`) });
  for (const v of ["canada", "emea"])
    await until(
      async () => digits(await value(v).locator("b").innerText()),
      facets[0].top.find(t => t.value === v).count,
      v,
    );
  await value("canada").click();
  await page.waitForURL(/camera_location%3Acanada/);
  await settled(page);
  await until(total, await count("?filter=camera_location:canada"), "filtered");
  assert.equal(await value("canada").getAttribute("aria-pressed"), "true");
  await until(
    async () => digits(await value("emea").locator("b").innerText()),
    facets[0].top.find(t => t.value === "emea").count,
    "its own clause does not count",
  );
  await value("emea").click();
  await page.waitForURL(u => u.searchParams.get("filter") === "camera_location:emea");
  await value("emea").click();
  await page.waitForURL(u => !u.searchParams.get("filter"));
});

test("rows are selected, copied as CSV, and deleted after a confirm", async () => {
  const rows = Array.from({ length: 3 }, (_, i) => ({
    inference_id: `doomed-${i}`,
    model_id: "bottles/3",
    predictions: [],
    metadata: { batch: "doomed" },
  }));
  await server.api("/api/v1/demo/inferences", { method: "POST", body: rows });
  await visit(page, origin, "/ui/inferences?filter=batch:doomed&columns=id,m.batch");
  const boxes = page.getByRole("checkbox", { name: /^Select the inference/ });
  await boxes.nth(0).check();
  await boxes.nth(1).click({ modifiers: ["Shift"] });
  await page.getByText("2 selected").waitFor();
  await tab.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.getByRole("button", { name: "Copy as CSV", exact: true }).first().click();
  await page.getByText("Copied").first().waitFor();
  const csv = await page.evaluate(() => navigator.clipboard.readText());
  assert.equal(csv, "inference_id,Inference id,batch\r\ndoomed-2,doomed-2,doomed\r\ndoomed-1,doomed-1,doomed\r\n");
  await page.getByRole("button", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete 2 inferences?" });
  await dialog.getByRole("button", { name: "Keep them" }).click();
  assert.equal(await count("?filter=batch:doomed"), 3);
  await page.getByRole("button", { name: "Delete…" }).click();
  await dialog.getByRole("button", { name: "Delete 2 inferences" }).click();
  await until(() => count("?filter=batch:doomed"), 1, "deleted");
  await until(total, 1, "on the page");
  await until(() => page.locator("a.row").count(), 1, "rows");
});

test("columns are chosen, ordered and kept in the URL", async () => {
  await visit(page, origin, "/ui/inferences");
  await page.getByRole("button", { name: "Columns" }).click();
  await page.getByRole("checkbox", { name: "Source", exact: true }).uncheck();
  await page.getByRole("button", { name: "Move Model to the left" }).click();
  await page.waitForURL(/columns=model%2Ctime/);
  const heads = () => page.locator(".table thead th .clip").allInnerTexts();
  await until(
    async () =>
      (await heads())
        .filter(h => h !== "Picture")
        .slice(0, 3)
        .join(),
    "Open,Model,Time",
    "the order",
  );
  const wanted = await heads();
  assert.ok(!wanted.includes("Source") && wanted.includes("camera_location"));
  await page.reload();
  await settled(page);
  assert.deepEqual(await heads(), wanted);
});

test("columns out of sight are drawn when they are scrolled to, printed or copied", async () => {
  const ids = "time,model,classes,confidence,latency,device,source,id,received,source_info,size,m.count".split(",");
  await visit(page, origin, `/ui/inferences?filter=count>=10+count<=20+-has:error&columns=${ids}`);
  const table = page.locator(".table.tall"),
    row = table.locator("tr[data-row]").first(),
    cell = place => row.locator(`td[aria-colindex="${place}"]`),
    last = ids.length + 1;
  assert.equal(await table.locator("table").getAttribute("aria-colcount"), String(last));
  assert.equal(await row.getAttribute("aria-rowindex"), "2");
  assert.equal(await cell(last).count(), 0, "not drawn");
  const drawn = await row.locator("td[aria-colindex]").count();

  await tab.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate(() => navigator.clipboard.writeText("empty"));
  await page.getByRole("button", { name: "Copy Inferences, newest first as PNG" }).click();
  await page.locator(".exports .said", { hasText: "Copied" }).waitFor();
  const ink = await page.evaluate(async () => {
    const [item] = await navigator.clipboard.read(),
      picture = await createImageBitmap(await item.getType("image/png")),
      draw = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
    draw.drawImage(picture, 0, 0);
    // Between two lines, under the last head: two pixels for each of the page's.
    const { data } = draw.getImageData(picture.width - 256, (36 + 24 + 4) * 2, 200, 32);
    return new Set(new Uint32Array(data.buffer)).size;
  });
  assert.ok(ink > 1, "the picture has the last column");
  await until(() => row.locator("td[aria-colindex]").count(), drawn, "as before");

  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  await until(() => row.locator("td[aria-colindex]").count(), last, "on paper");
  await page.evaluate(() => dispatchEvent(new Event("afterprint")));
  await until(() => row.locator("td[aria-colindex]").count(), drawn, "as before");

  await table.evaluate(t => (t.scrollLeft = t.scrollWidth));
  await until(() => cell(last).innerText(), "20", "the last column");
  assert.equal(await cell(2).count(), 0, "out of sight on the left");
  assert.equal(await cell(1).locator("a.row").count(), 1, "what opens a row is always there");
  for (const place of [last, last - 1, last - 4]) {
    const head = await table.locator("thead th").nth(place - 1).boundingBox(),
      under = await cell(place).boundingBox();
    assert.deepEqual([under.x, under.width], [head.x, head.width], `column ${place} stands under its head`);
  }
  await table.evaluate(t => (t.scrollLeft = 0));
  const classes = table.locator("tr[data-row]").nth(1).locator('td[aria-colindex="4"]');
  await classes.hover();
  await classes.getByRole("button", { name: "bottle" }).click();
  await page.waitForURL(/class%3Abottle/);
});

test("keyboard: j, k, enter; then previous and next within the list", async () => {
  await visit(page, origin, "/ui/inferences?filter=model:bottles");
  const hrefs = await page.locator("a.row").evaluateAll(l => l.slice(0, 3).map(a => a.pathname));
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForURL(u => u.pathname === hrefs[1]);
  await settled(page);
  await page.keyboard.press("j");
  await page.waitForURL(u => u.pathname === hrefs[2]);
  await settled(page);
  await page.keyboard.press("k");
  await page.waitForURL(u => u.pathname === hrefs[1]);
  await settled(page);
  await page.getByRole("button", { name: "Previous" }).click();
  await page.waitForURL(u => u.pathname === hrefs[0]);
  await page.goBack();
  await settled(page);
  assert.match(page.url(), /inferences\?filter=model/);
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Help" }).waitFor();
  await page.keyboard.press("Escape");
});

test("metadata is attached, changed and removed in place, and its history tells", async () => {
  await visit(page, origin, "/ui/inference/rec-0010");
  const field = page.locator(".metadata .fields > div", { hasText: "operator" });
  const stored = async () => (await server.api("/api/v1/demo/inferences/rec-0010")).metadata.operator;
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByLabel("Field", { exact: true }).fill("operator");
  await page.getByLabel("Value", { exact: true }).fill("anna");
  await page.keyboard.press("Enter");
  await field.waitFor();
  assert.equal(await stored(), "anna");

  await page.getByRole("button", { name: "Change operator" }).click();
  await page.getByRole("combobox", { name: "Type" }).selectOption("number");
  await page.getByLabel("Value of operator").fill("x7");
  await page.keyboard.press("Enter");
  await page.getByText("That is not a number.").waitFor();
  await page.getByLabel("Value of operator").fill("7.5");
  await page.keyboard.press("Enter");
  await page.getByText("Changed operator.").waitFor();
  assert.equal(await stored(), 7.5);

  await page.getByRole("button", { name: "Remove operator" }).click();
  await page.getByText("Removed operator.").waitFor();
  await field.waitFor({ state: "detached" });
  assert.equal(await stored(), undefined);
  await page.getByRole("button", { name: "Undo" }).click();
  await field.waitFor();
  assert.equal(await stored(), 7.5);

  const { metadata_history: history } = await server.api("/api/v1/demo/inferences/rec-0010");
  const told = page.locator(".history li", { hasText: "operator" });
  await until(() => told.count(), history.filter(h => h.field === "operator").length, "history");
  const texts = await told.allInnerTexts();
  assert.match(texts[0], /set to 7\.5/);
  assert.match(texts[1], /removed, was 7\.5/);
  assert.match(texts[2], /“anna” became 7\.5/);
  assert.match(texts[3], /set to “anna”/);
});

test("an inference's page says what the record has and what it lacks", async () => {
  await visit(page, origin, "/ui/inference/rec-0003");
  const record = await server.api("/api/v1/demo/inferences/rec-0003");
  assert.equal(await page.locator(".detections tbody tr").count(), record.predictions.length);
  assert.equal(await page.locator(".bars li").count(), 3);
  assert.match(await page.locator(".lacking").innerText(), /TINY_CACHE=False/);
  await page.getByRole("button", { name: "Class" }).click();
  assert.deepEqual(await page.locator(".detections tbody th").allInnerTexts(), ["bottle", "cap", "label"]);
  await page.getByRole("button", { name: "Confidence" }).click();
  const shown = (await page.locator(".detections tbody td:nth-child(2)").allInnerTexts()).map(Number);
  assert.deepEqual(
    shown,
    [...shown].sort((a, b) => b - a),
  );
  await page.getByRole("checkbox", { name: /cap/ }).uncheck();
  assert.equal(await page.locator(".detections tbody tr").count(), 2);
  await page.getByText("Raw JSON", { exact: true }).click();
  assert.deepEqual(
    JSON.parse(await page.locator(".raw pre").innerText()),
    await server.api("/api/v1/demo/inferences/rec-0003"),
  );
  await page.getByRole("link", { name: "Inferences with the same model" }).click();
  await settled(page);
  await until(total, await count("?filter=model:bottles/3"), "same value");

  await visit(page, origin, "/ui/inference/rec-0221");
  const box = await page.locator(".found").boundingBox(),
    frame = await page.locator(".picture").boundingBox();
  assert.ok(Math.abs(frame.width / frame.height - 640 / 480) < 0.02, "the frame has the picture's shape");
  assert.ok(
    Math.abs(box.width / frame.width - 200 / 640) < 0.02 &&
      Math.abs((box.y - frame.y) / frame.height - 180 / 480) < 0.02 &&
      Math.abs((box.x - frame.x) / frame.width - 220 / 640) < 0.02,
  );
  await page.locator(".detections tbody tr").hover();
  await page.locator(".found.hover").waitFor();

  await visit(page, origin, "/ui/inference/rec-0220");
  assert.match(await page.locator(".failure").innerText(), /premature end of JPEG/);

  await visit(page, origin, "/ui/inference/batch?index=1");
  await page.locator(".siblings a").first().click();
  await page.waitForURL(u => !u.searchParams.get("index"));
});

test("masks, polygons and keypoints are drawn where the record has them; zoom and pan", async () => {
  await visit(page, origin, "/ui/inference/shapes");
  const drawn = name => page.locator(`.picture ${name}`);
  assert.equal(await drawn(".found").count(), 3);
  assert.equal(await drawn(".outline").getAttribute("d"), "M40 40L140 60L90 125z");
  const mask = await drawn(".mask").evaluate(e => {
    const { x, y, width, height } = e.getBBox();
    return [x, y, width, height];
  });
  assert.deepEqual(mask, [200, 50, 100, 50]);
  assert.equal(await drawn(".keypoint").count(), 3);
  assert.equal(await drawn(".keypoint.unsure").count(), 1);
  assert.equal(await drawn(".joints").getAttribute("d"), "M260 180L340 180M340 180L345 260");
  await page.getByRole("checkbox", { name: /seal/ }).uncheck();
  assert.equal(await drawn(".mask").count(), 0);

  const picture = page.locator(".picture"),
    wide = async () => (await drawn(".stage").boundingBox()).width,
    before = await wide();
  await page.getByRole("button", { name: "Zoom in" }).click();
  assert.ok(Math.abs((await wide()) / before - 1.5) < 0.01);
  await picture.focus();
  await page.keyboard.press("+");
  assert.ok(Math.abs((await wide()) / before - 2.25) < 0.01);
  const left = (await drawn(".stage").boundingBox()).x;
  await page.keyboard.press("ArrowLeft");
  assert.ok((await drawn(".stage").boundingBox()).x > left);
  const box = await picture.boundingBox();
  await page.mouse.move(box.x + 100, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 50, box.y + 100);
  await page.mouse.up();
  await page.keyboard.press("0");
  assert.equal(await wide(), before);
});

test("fields are hidden, and stay hidden", async () => {
  await visit(page, origin, "/ui/inference/rec-0003");
  const facts = page.locator("section", { has: page.locator("#facts-title") });
  assert.equal(await facts.getByText("Source info", { exact: true }).count(), 1);
  await facts.getByRole("button", { name: "Show" }).click();
  await facts.getByRole("checkbox", { name: "Source info" }).uncheck();
  await page.keyboard.press("Escape");
  await page.reload();
  await settled(page);
  await facts.getByText("Device", { exact: true }).waitFor();
  assert.equal(await facts.locator("dt", { hasText: /^Source info$/ }).count(), 0);
});

test("a picture is shown with its boxes, filtered by confidence, and can be downloaded", async t => {
  if (!server.photos) return t.skip("no model or no photos on this machine");
  await visit(page, origin, `/ui/inferences?${new URLSearchParams({ filter: 'photo:"dog.jpg"' })}`);
  const thumbnail = page.locator(".table td img");
  await thumbnail.waitFor();
  await page.waitForFunction(() => document.querySelector(".table td img").naturalWidth > 0);
  await page.locator("a.row").click();
  await settled(page);
  const id = decodeURIComponent(new URL(page.url()).pathname.split("/").pop());
  const record = await server.api(`/api/v1/demo/inferences/${id}`);
  assert.ok(record.predictions.length >= 2);
  await page.waitForFunction(() => document.querySelector(".picture img").naturalWidth > 0);
  assert.equal(await page.locator(".found").count(), record.predictions.length);
  const sorted = record.predictions.map(p => p.confidence).sort((a, b) => b - a);
  await page.getByRole("slider", { name: /Confidence at least/ }).fill(String(Math.ceil(sorted[1] * 100 + 0.5) / 100));
  await until(
    () => page.locator(".found").count(),
    record.predictions.filter(p => p.confidence >= Math.ceil(sorted[1] * 100 + 0.5) / 100).length,
    "slider",
  );
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Image" }).click(),
  ]);
  assert.equal(await download.failure(), null);
});

test("an unknown id teaches, and takes no command from the address", async () => {
  await visit(page, origin, `/ui/inference/${encodeURIComponent("x'; rm -rf ~ #")}`);
  const text = (await page.locator(".command pre").allInnerTexts()).join("\n");
  assert.match(text, /demo\/inference-stats\/metadata/);
  assert.match(text, new RegExp(origin.replace(/[.]/g, "\\.")));
  assert.doesNotMatch(text, /rm -rf/);
});

test("new inferences wait while somebody is at the table", async () => {
  await page.clock.install();
  await visit(page, origin, "/ui/inferences");
  const top = await page.locator("a.row").first().getAttribute("href");
  await page.locator("a.row").first().hover();
  await server.api("/api/v1/demo/inferences", {
    method: "POST",
    body: { inference_id: "late", model_id: "bottles/3", predictions: [] },
  });
  await page.clock.runFor(11_000);
  const fresh = page.getByRole("button", { name: "1 new" });
  await fresh.waitFor();
  assert.equal(await page.locator("a.row").first().getAttribute("href"), top);
  await fresh.click();
  await page.locator('a.row[href*="/late"]').waitFor();
  await page.clock.resume();
});

test("the rows of before stay until the answer is there, and only then all are counted", async () => {
  await page.clock.install();
  await visit(page, origin, "/ui/inferences");
  const first = () => page.locator("a.row").first().getAttribute("aria-label"),
    was = await first();
  let answer;
  await page.route(/inferences\?.*filter=/, route => new Promise(done => (answer = done)).then(() => route.continue()));
  await page.getByRole("combobox", { name: "Filter" }).fill("model:weld");
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 1000);
  const before = tab.requests.length,
    counts = () => tab.requests.slice(before).filter(url => url.includes("/count?")).length;
  await page.keyboard.press("Enter");
  await page.locator('main[aria-busy="true"]').waitFor();
  await page.clock.runFor(100);
  assert.equal(await page.locator(".table.stale").count(), 0);
  await page.clock.runFor(200);
  await page.locator(".table.stale").waitFor();
  assert.equal(await first(), was);
  assert.equal(counts(), 0, "the count takes nothing from the list");
  answer();
  await settled(page);
  assert.notEqual(await first(), was);
  assert.equal(await page.locator(".table.stale").count(), 0);
  await page.unroute(/inferences\?.*filter=/);
  await page.clock.resume();
  await until(total, await count("?filter=model:weld"), "counted");
});

test("a lost connection is told and recovers by itself", async () => {
  await page.clock.install();
  await visit(page, origin, "/ui/inferences");
  await server.pause();
  await page.clock.runFor(11_000);
  await page.getByText("Connection lost.").waitFor();
  assert.ok((await page.locator("a.row").count()) > 0, "what was there stays");
  await server.resume();
  await page.clock.runFor(5_000);
  await page.getByText("Connection lost.").waitFor({ state: "detached" });
  await page.clock.resume();
});

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
