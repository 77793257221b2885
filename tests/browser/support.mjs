// What the browser tests share: the real program on a free port, records in it, and pages that may talk to nobody else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { browse } from "./chromium.mjs";

export { browse };

export const KEY = "sg_browser_tests_key_0123456789";
export const EVIL = `<img src=x onerror="window.broken=true">`;
export const OUT = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "out");
const PHOTOS = "/usr/share/darknet/data";
const HOUR = 3_600_000;

mkdirSync(OUT, { recursive: true });

export async function start() {
  const bin = process.env.SIGHTGLASS_BIN,
    data = mkdtempSync(path.join(tmpdir(), "sightglass-browser-"));
  const launch = listen =>
    new Promise((resolve, reject) => {
      const child = spawn(
        bin,
        ["serve", "--data", data, "--listen", listen, "--workspace", "demo", "--keep-images", "all"],
        { env: { ...process.env, SIGHTGLASS_API_KEY: KEY }, stdio: ["ignore", "pipe", "pipe"] },
      );
      let out = "",
        log = "";
      child.stderr.on("data", d => (log = (log + d).slice(-4000)));
      child.stdout.on("data", d => {
        out += d;
        const m = /^listening on (http:\/\/\S+)$/m.exec(out);
        if (m) resolve({ child, origin: m[1] });
      });
      child.on("exit", code => reject(new Error(`the program ended with ${code} before it was ready:\n${log}`)));
    });
  const ended = child =>
    new Promise(done => (child.exitCode !== null || child.signalCode !== null ? done() : child.once("exit", done)));
  let { child, origin } = await launch("127.0.0.1:0");
  return {
    origin,
    data,
    api: (p, init = {}) => call(origin, p, init),
    photos: existsSync(path.join(path.dirname(bin), "models")) && existsSync(PHOTOS),
    pause: async () => {
      child.kill("SIGTERM");
      await ended(child);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended(child);
    },
    resume: async () => ({ child } = await launch(new URL(origin).host)),
    stop: async () => {
      child.kill("SIGTERM");
      await ended(child);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function call(origin, p, { method = "GET", body } = {}) {
  const response = await fetch(origin + p, {
    method,
    headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${p}: ${response.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

// 230 records of the last six days and 40 of the week before: mostly thin, some with boxes, errors, two images under
// one id, a field whose name and value are markup. The same on every run but for the clock.
export async function fill(server) {
  const now = Date.now(),
    records = [];
  const add = (i, at, more) =>
    records.push({
      inference_id: `rec-${String(i).padStart(4, "0")}`,
      model_id: "bottles/3",
      time: new Date(at).toISOString(),
      latency_s: 0.02 + (i % 7) / 1000,
      device_id: `line-${(i % 3) + 1}`,
      source: "aggregator",
      predictions: Array.from({ length: i % 4 }, (_, k) => ({
        class: ["bottle", "cap", "label"][k],
        confidence: 0.95 - ((i * 7 + k * 11) % 60) / 100,
      })),
      metadata: { camera_location: ["canada", "emea", "united_states"][i % 3], count: i },
      ...more,
    });
  for (let i = 0; i < 220; i++) add(i, now - 6 * 24 * HOUR + i * 0.6 * HOUR, {});
  for (let i = 220; i < 230; i++) {
    add(i, now - 11 * HOUR + i * 60_000, {
      model_id: "weld/11",
      predictions: i % 2 ? [{ class: "porosity", confidence: 0.61, x: 320, y: 240, width: 200, height: 120 }] : [],
      ...(i % 2 ? {} : { error: "image cannot be decoded: premature end of JPEG" }),
      image: { width: 640, height: 480 },
    });
  }
  for (let i = 230; i < 270; i++) add(i, now - 13 * 24 * HOUR + i * 0.4 * HOUR, {});
  add(500, now - 3 * HOUR, {
    inference_id: "evil",
    metadata: { [EVIL]: EVIL, camera_location: EVIL },
    predictions: [{ class: EVIL, confidence: 0.7 }],
    device_id: EVIL,
    model_id: EVIL,
  });
  add(499, now - 4 * HOUR, {
    inference_id: "shapes",
    model_id: "shapes/1",
    image: { width: 400, height: 300 },
    predictions: [
      {
        class: "ring",
        confidence: 0.91,
        ...{ x: 90, y: 80, width: 100, height: 90 },
        points: [
          { x: 40, y: 40 },
          { x: 140, y: 60 },
          { x: 90, y: 125 },
        ],
      },
      {
        class: "seal",
        confidence: 0.8,
        ...{ x: 250, y: 75, width: 100, height: 50 },
        rle: { size: [300, 400], counts: [60050, ...Array.from({ length: 99 }, () => [50, 250]).flat(), 50, 30200] },
        mask_format: "rle",
      },
      {
        class: "person",
        confidence: 0.7,
        ...{ x: 300, y: 220, width: 120, height: 120 },
        keypoints: [
          { x: 260, y: 180, confidence: 0.9, class_id: 5, class: "left_shoulder" },
          { x: 340, y: 180, confidence: 0.9, class_id: 6, class: "right_shoulder" },
          { x: 345, y: 260, confidence: 0.1, class_id: 8, class: "right_elbow" },
        ],
      },
    ],
  });
  add(501, now - 2 * HOUR, { inference_id: "batch", index: 0 });
  add(502, now - 2 * HOUR, { inference_id: "batch", index: 1 });
  await server.api("/api/v1/demo/inferences", { method: "POST", body: records });
  if (server.photos) {
    for (const name of ["dog.jpg", "person.jpg", "horses.jpg"]) {
      const answer = await server.api("/infer/object_detection", {
        method: "POST",
        body: {
          api_key: KEY,
          model_id: "coco/24",
          image: { type: "base64", value: readFileSync(path.join(PHOTOS, name)).toString("base64") },
        },
      });
      await server.api("/demo/inference-stats/metadata", {
        method: "POST",
        body: {
          api_key: KEY,
          data: [{ inference_ids: [answer.inference_id], field_name: "photo", field_value: name }],
        },
      });
    }
  }
}

// What any page of this process asked anybody else for.
export const elsewhere = [];

// A page in which every request to another host is refused and remembered, and so is everything that goes wrong in it.
export async function open(browser, origin, { width = 1440, height = 900 } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    timezoneId: "Europe/Berlin",
    locale: "en-GB",
  });
  const faults = [],
    foreign = [],
    requests = [];
  await context.route("**/*", route => {
    const url = route.request().url();
    requests.push(url);
    if (new URL(url).origin === origin || /^(data|blob):/.test(url)) return route.continue();
    foreign.push(url);
    elsewhere.push(url);
    return route.abort();
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", e => faults.push(`script: ${e.message}`));
  page.on("websocket", w => (foreign.push(w.url()), elsewhere.push(w.url())));
  page.on("console", m => /Content Security Policy|Refused to/.test(m.text()) && faults.push(m.text()));
  return { context, page, faults, foreign, requests };
}

export async function signIn(page, origin, to = "/ui/") {
  await page.goto(`${origin}${to}#key=${KEY}`);
  await settled(page);
}

// The page has loaded what it asked for.
export async function settled(page) {
  await page.locator('main[aria-busy="false"]').waitFor();
}

// Goes by the page's own links, without a reload: so that what the page keeps between its pages is tested too.
export async function visit(page, origin, to) {
  await page.goto(origin + to);
  await settled(page);
}

// The number in a text as the page writes it.
export const digits = s => Number(s.replace(/[^\d.-]/g, ""));

// Asks again until the answer is what is wanted; else says what it was.
export const until = async (get, wanted, what) => {
  let got;
  for (let i = 0; i < 100; i++) {
    got = await get();
    if (got === wanted) return;
    await new Promise(done => setTimeout(done, 50));
  }
  assert.equal(got, wanted, what);
};

// What a file begins with: the program, filled by `give`, and a browser. Both go when the file's tests are over.
const begun = {};
after(async () => {
  await begun.browser?.close();
  await begun.server?.stop();
});

export async function begin(give) {
  begun.server = await start();
  await give?.(begun.server);
  begun.browser = await browse();
  return { ...begun, origin: begun.server.origin };
}

// The same and a page that is signed in; `prepare` has its tab before.
export async function beginSignedIn(give, prepare) {
  const stage = await begin(give),
    tab = await open(stage.browser, stage.origin);
  await prepare?.(tab);
  await signIn(tab.page, stage.origin);
  return { ...stage, tab, page: tab.page };
}

// The simulated fleet, as the program tools/fleet sends it; deterministic but for the clock.
export async function simulate(server, ...options) {
  const program = path.join(path.dirname(process.env.SIGHTGLASS_BIN), "fleet");
  await new Promise((resolve, reject) => {
    const child = spawn(program, ["--url", server.origin, ...options], {
      env: { ...process.env, SIGHTGLASS_API_KEY: KEY },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.on("data", d => (log += d));
    child.on("error", reject);
    child.on("exit", code => (code === 0 ? resolve() : reject(new Error(`fleet ended with ${code}: ${log}`))));
  });
}
