#!/usr/bin/env node
// What somebody waits for at the dashboard, in headless Chromium against a server that runs: first content, from a
// filter to its rows, frames while 10,000 rows are scrolled; with --pages also which questions each page asks.
//
//   SIGHTGLASS_API_KEY=... node bench/dashboard.mjs http://127.0.0.1:PORT [--rounds 3] [--pages] [--profile FILE]
//
// With --profile only 1,500 rows are scrolled; FILE is a trace for Chromium's tools, and the processor time in it is
// told: steadier than frames where others use the machine too.
//
// Needs tests/browser/node_modules (`make test-browser` installs it) and /usr/bin/chromium, or CHROMIUM. Prints medians
// of the rounds, in milliseconds; the rounds themselves to the error output.
import { readFileSync } from "node:fs";
import { browse } from "../tests/browser/chromium.mjs";

const [origin, ...options] = process.argv.slice(2);
const option = (name, usual) => (options.includes(name) ? options[options.indexOf(name) + 1] : usual);
const rounds = Number(option("--rounds", 3)),
  profile = option("--profile", null),
  key = process.env.SIGHTGLASS_API_KEY;
if (!origin?.startsWith("http") || !key) {
  console.error("usage: SIGHTGLASS_API_KEY=... node bench/dashboard.mjs URL [--rounds 3] [--pages] [--profile FILE]");
  process.exit(2);
}

const ROWS = 10_000; // the most that one list has
const STEP = 120; // px a frame: a wheel turned fast and evenly
const FAST = 1000; // a scroll bar that is dragged
const median = all => [...all].sort((a, b) => a - b)[all.length >> 1];
const ms = n => `${n.toFixed(n < 10 ? 1 : 0)} ms`;
const tell = (...said) => console.error(...said);

async function call(path, body) {
  const response = await fetch(origin + path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

// A browser that is signed in and has nothing in its cache.
async function visitor(browser) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-GB" });
  const answer = await context.request.post(`${origin}/api/v1/session`, { data: { key } });
  if (!answer.ok()) throw new Error(`the key was not taken: ${answer.status()}`);
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  return { context, page };
}

const ready = page => page.locator('main[aria-busy="false"]').waitFor();

// Runs in the page: when what is looked for is there and has been painted, on the page's own clock.
function whenShown(selector) {
  return new Promise(done => {
    const painted = () =>
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => done(performance.now());
        port2.postMessage(0);
      });
    const look = () => {
      if (!document.querySelector(selector)) return false;
      painted();
      return true;
    };
    if (look()) return;
    const watch = new MutationObserver(() => look() && watch.disconnect());
    watch.observe(document, { subtree: true, childList: true, attributes: true });
  });
}

async function firstContent(browser) {
  const { context, page } = await visitor(browser);
  await page.addInitScript(
    `globalThis.numbers = (${whenShown})(".tile .value:not(.waiting)");globalThis.frame = (${whenShown})("nav.rail")`,
  );
  await page.goto(`${origin}/ui/`, { waitUntil: "commit" });
  const found = await page.evaluate(async () => {
    const frame = await globalThis.frame,
      numbers = await globalThis.numbers;
    const asked = performance.getEntriesByType("resource").filter(r => /\/(stats|query)\b/.test(r.name));
    return {
      paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
      frame,
      numbers,
      server: Math.max(...asked.map(r => r.responseEnd)) - Math.min(...asked.map(r => r.requestStart)),
    };
  });
  await context.close();
  return found;
}

// From Enter in the filter to its rows painted; `server` is the time from the request for the list to its answer's end.
async function filterToTable(browser, filter) {
  const { context, page } = await visitor(browser);
  await page.goto(`${origin}/ui/inferences`);
  await ready(page);
  await page.locator("tr[data-row]").first().waitFor();
  await page.getByRole("combobox", { name: "Filter" }).fill(filter);
  await page.waitForTimeout(500); // completions have come
  await page.evaluate(
    `globalThis.rows = new Promise(done => addEventListener("keydown", e => {
       const began = e.timeStamp;
       // The page is busy with the next frame; until then the rows are those of before.
       const busy = new MutationObserver(() => {
         if (document.querySelector('main[aria-busy="true"]')) { busy.disconnect();
           (${whenShown})('main[aria-busy="false"] tr[data-row]').then(at => done({ began, at })); } });
       busy.observe(document, { subtree: true, childList: true, attributes: true });
     }, { capture: true, once: true }));void 0`,
  );
  await page.keyboard.press("Enter");
  const found = await page.evaluate(async () => {
    const { began, at } = await globalThis.rows;
    const lists = performance.getEntriesByType("resource").filter(r => /inferences\?/.test(r.name));
    const list = lists.filter(r => r.startTime >= began && r.name.includes("filter=")).at(0);
    return { whole: at - began, server: list.responseEnd - list.requestStart };
  });
  await context.close();
  return { ...found, page: found.whole - found.server };
}

// Scrolls by the wheel, as the browser's own input does it, and looks how long each frame took.
async function wheel(page, cdp, step, most) {
  const box = await page.locator(".table.tall").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.evaluate(() => {
    const frames = (globalThis.frames = []);
    globalThis.long = [];
    new PerformanceObserver(l => globalThis.long.push(...l.getEntries().map(e => Math.round(e.duration)))).observe({
      type: "longtask",
    });
    let before = 0;
    globalThis.counting = true;
    const tick = now => {
      if (before) frames.push(now - before);
      before = now;
      if (globalThis.counting) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  });
  const length = most * (await page.locator("tr[data-row]").first().evaluate(e => e.offsetHeight));
  await cdp.send("Input.synthesizeScrollGesture", {
    x: Math.round(box.x + box.width / 2),
    y: Math.round(box.y + box.height / 2),
    yDistance: -length,
    speed: Math.round((step * 1000) / 16.67),
    gestureSourceType: "mouse",
    preventFling: true,
  });
  return page.evaluate(() => {
    globalThis.counting = false;
    const f = globalThis.frames.sort((a, b) => a - b),
      t = document.querySelector(".table.tall");
    return {
      frames: f.length,
      median: f[f.length >> 1],
      p99: f[Math.floor(f.length * 0.99)],
      most: f.at(-1),
      over50: f.filter(x => x > 50).length,
      tasks: globalThis.long.sort((a, b) => b - a).slice(0, 5),
      rows: Math.round(t.scrollTop / document.querySelector("tr[data-row]").offsetHeight),
    };
  });
}

async function scrolling(browser, rows, file) {
  const { context, page } = await visitor(browser),
    cdp = await context.newCDPSession(page);
  await page.goto(`${origin}/ui/inferences`);
  await ready(page);
  await page.waitForTimeout(1000);
  if (file) await browser.startTracing(page, { path: file, categories: TRACED });
  const reading = await wheel(page, cdp, STEP, rows);
  if (file) await browser.stopTracing();
  await page.locator(".table.tall").evaluate(t => (t.scrollTop = 0));
  await page.waitForTimeout(1000);
  const fast = await wheel(page, cdp, FAST, rows);
  await context.close();
  return { reading, fast };
}

const TRACED = ["devtools.timeline", "disabled-by-default-devtools.timeline", "cc", "blink", "v8"];
const PHASES = {
  script: ["PageAnimator::serviceScriptedAnimations"],
  "style and layout": ["LocalFrameView::RunStyleAndLayoutLifecyclePhases"],
  paint: ["LocalFrameView::RunPrePaintLifecyclePhase", "LocalFrameView::RunPaintLifecyclePhase", "Commit"],
};

// The processor time of the page's own thread for a frame, and of each kind of thread in all.
function costs(file) {
  const { traceEvents } = JSON.parse(readFileSync(file, "utf8")),
    named = new Map(traceEvents.filter(e => e.name === "thread_name").map(e => [`${e.pid} ${e.tid}`, e.args.name])),
    timed = traceEvents.filter(e => e.ph === "X" && e.tdur !== undefined).sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  const until = new Map(),
    threads = new Map(),
    spent = names => timed.filter(e => names.includes(e.name)).reduce((sum, e) => sum + e.tdur / 1000, 0);
  for (const e of timed) {
    const thread = `${e.pid} ${e.tid}`,
      name = named.get(thread);
    if (e.ts < (until.get(thread) ?? 0)) continue; // within one that is counted
    until.set(thread, e.ts + e.dur);
    threads.set(name, (threads.get(name) ?? 0) + e.tdur / 1000);
  }
  const frames = timed.filter(e => e.name === "ProxyMain::BeginMainFrame").map(e => e.tdur / 1000);
  frames.sort((a, b) => a - b);
  const phases = Object.entries(PHASES).map(([what, names]) => `${what} ${ms(spent(names))}`);
  console.log(
    `processor time of the page's thread: a frame ${ms(median(frames))}, ` +
      `p99 ${ms(frames[Math.floor(frames.length * 0.99)])}, most ${ms(frames.at(-1))}; ` +
      `of ${frames.length} frames ${phases.join(", ")}`,
  );
  const most = [...threads].sort((a, b) => b[1] - a[1]).slice(0, 5);
  console.log(`all threads: ${most.map(([name, t]) => `${name} ${ms(t)}`).join(", ")}`);
}

// Every page: when it says that it is there, and what it asked.
async function pages(browser) {
  const { fields } = await call(`/api/v1/${workspace}/fields`);
  const { inferences } = await call(`/api/v1/${workspace}/inferences?limit=1`);
  const field = fields.find(f => f.values <= 20)?.name ?? fields[0]?.name,
    value = fields.find(f => f.name === field)?.top[0]?.value,
    name = inferences[0]?.model_id.split("/")[0];
  const filter = encodeURIComponent(`${field}:${value}`),
    by = encodeURIComponent(`metadata.${field}`);
  const links = [
    "/ui/fleet", "/ui/", "/ui/?range=1h", "/ui/?range=30d", `/ui/?range=30d&filter=${filter}`, `/ui/?range=30d&by=${by}`,
    "/ui/?range=30d&by=model", "/ui/?range=30d&vs_back=604800", "/ui/models", `/ui/model/${name}`,
    `/ui/model/${name}?range=30d`, "/ui/inferences", `/ui/inferences?filter=${filter}`,
    "/ui/inferences?filter=confidence%3C0.5", "/ui/inferences?range=30d&facets=1",
    `/ui/inferences?facets=1&filter=${filter}`, `/ui/inference/${encodeURIComponent(inferences[0]?.inference_id)}`,
    "/ui/review", "/ui/metadata", "/ui/settings/activity",
  ]; // prettier-ignore
  for (const link of links) {
    const { context, page } = await visitor(browser),
      asked = [];
    page.on("requestfinished", r => {
      if (!r.url().includes("/api/")) return;
      const t = r.timing();
      asked.push({ ms: t.responseEnd - t.requestStart, what: r.url().replace(origin, "").slice(0, 150), body: r.postData() });
    });
    await page.addInitScript(`globalThis.there = (${whenShown})('main[aria-busy="false"]')`);
    await page.goto(origin + link, { waitUntil: "commit" });
    const there = await page.evaluate(() => globalThis.there);
    await page.waitForLoadState("networkidle").catch(() => tell("not idle"));
    console.log(`${link}: there after ${ms(there)}, ${asked.length} questions`);
    const seen = new Map();
    for (const a of asked) seen.set(a.what + a.body, (seen.get(a.what + a.body) ?? 0) + 1);
    for (const a of asked)
      if (a.ms > 200 || seen.get(a.what + a.body) > 1)
        console.log(`    ${ms(a.ms)} ${seen.get(a.what + a.body)} x ${a.what} ${a.body?.slice(0, 400) ?? ""}`);
    await context.close();
  }
}

const { workspace } = await call("/api/v1/session", { key });
const { count } = await call(`/api/v1/${workspace}/inferences/count`);
const { fields } = await call(`/api/v1/${workspace}/fields`);
const frequent = fields.map(f => [f.name, f.top[0]]).filter(([, t]) => typeof t?.value === "string");
const [name, top] = frequent.sort((a, b) => b[1].count - a[1].count)[0];
const browser = await browse();
try {
  console.log(`${count.toLocaleString("en")} inferences, medians of ${rounds}`);
  if (options.includes("--pages")) await pages(browser);
  else if (profile) {
    const found = await scrolling(browser, Math.min(count, 1500), profile);
    tell(JSON.stringify(found));
    costs(profile);
  } else {
    const first = [];
    for (let i = 0; i < rounds; i++) first.push(await firstContent(browser));
    tell(JSON.stringify(first));
    const of = (all, what) => ms(median(all.map(x => x[what])));
    console.log(
      `first content ${of(first, "paint")}, the page's frame ${of(first, "frame")}, numbers of Overview ` +
        `${of(first, "numbers")} (its questions ${of(first, "server")})`,
    );
    for (const filter of [`${name}:${top.value}`, "confidence<0.5"]) {
      const all = [];
      for (let i = 0; i < rounds; i++) all.push(await filterToTable(browser, filter));
      tell(filter, JSON.stringify(all));
      console.log(
        `${filter}: Enter to rows ${of(all, "whole")}, the server's answer ${of(all, "server")}, the page ${of(all, "page")}`,
      );
    }
    const scrolled = [];
    for (let i = 0; i < rounds; i++) scrolled.push(await scrolling(browser, Math.min(count, ROWS), null));
    tell(JSON.stringify(scrolled));
    for (const [what, step] of [["reading", STEP], ["fast", FAST]]) {
      const all = scrolled.map(s => s[what]);
      console.log(
        `${what === "fast" ? "the same rows again" : "reading on"}, ${step} px a frame: ${Math.max(...all.map(f => f.rows))} ` +
          `rows, ${median(all.map(f => f.frames))} frames, median ${of(all, "median")}, p99 ${of(all, "p99")}, ` +
          `longest ${of(all, "most")}, over 50 ms ${median(all.map(f => f.over50))}`,
      );
    }
  }
} finally {
  await browser.close();
}
