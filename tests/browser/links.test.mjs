// Every number that is a link, on every page, on the data of the simulated fleet: what it opens is what it was made of.
// The list's own filter and range are asked what they come to, and the number is among that.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { beginSignedIn, simulate, visit } from "./support.mjs";
import { confidence, count, seconds } from "./written.mjs";

let server, origin, page, tab;

before(
  async () =>
    ({ server, origin, page, tab } = await beginSignedIn(s =>
      simulate(s, "--events", "4000", "--days", "8", "--metadata", "60"),
    )),
);

const HOUR = 3_600_000,
  end = Math.ceil(Date.now() / HOUR) * HOUR,
  now = { from: new Date(end - 96 * HOUR).toISOString(), to: new Date(end).toISOString() };
const at = more => new URLSearchParams({ ...now, ...more }).toString();

// All that a page may say of a list, as it would write it.
const CONFIDENCES = ["avg(confidence)", "quantile(confidence,0.5)"],
  MEANS = [...CONFIDENCES, "avg(monitoring_confidence)"],
  TIMES = ["avg(latency)", "quantile(latency,0.5)", "quantile(latency,0.95)", "quantile(latency,0.99)"],
  ALL = ["inferences", "detections", ...MEANS, ...TIMES, "avg(monitoring_latency)"];

async function behind(href) {
  const q = new URL(href, origin).searchParams,
    filter = q.get("filter") ?? "";
  const range = Object.fromEntries(["from", "to"].flatMap(end => (q.get(end) ? [[end, q.get(end)]] : [])));
  const { answers } = await server.api("/api/v1/demo/query", {
    method: "POST",
    body: {
      ...range,
      ...(filter && { filter }),
      groups: [
        { by: [], measures: ALL },
        { by: ["class"], measures: ["detections", ...CONFIDENCES] },
      ],
    },
  });
  const [[inferences, detections, ...rest]] = answers[0].rows;
  const classes = answers[1].rows.filter(([name]) => name !== null && filter.includes(`class:${name}`));
  return {
    inferences,
    texts: [
      ...[inferences, detections].map(count),
      ...rest.slice(0, MEANS.length).map(confidence),
      ...rest.slice(MEANS.length).map(seconds),
      ...classes.flatMap(([, n, ...of]) => [count(n), ...of.map(confidence)]),
    ],
  };
}

// The numbers of a link's text: "was 0.912", "p50 21 ms · p95 40 ms", "bottle 120", "34 detections"; none in a name.
const PREFIX = /^(was|median|p50|p95|p99) /;
function numbers(text) {
  const bar = /^[\d.]+ to [\d.]+: ([\d,]+) .*: ([\d,]+) \(/.exec(text);
  // Where there is none now, a bar of the histogram opens those of the outline.
  if (bar) return [bar[1] === "0" ? bar[2] : bar[1]];
  const parts = text.split(" · ").map(p => p.replace(PREFIX, "").replace(/ detections?$/, ""));
  if (parts.every(p => /^([\d,]+|\d\.\d{3}|[\d.]+ m?s|–)$/.test(p))) return parts;
  const [, , n] = /^(.*\S)\s+([\d,]+)$/.exec(text) ?? [];
  return n ? [n] : [];
}

const links = () =>
  page.locator('main a[href^="/ui/inferences"]').evaluateAll(all =>
    all.map(a => [
      a.getAttribute("href"),
      // What is drawn as SVG has text, but none that is laid out.
      (a.innerText ?? a.textContent).replace(/\s+/g, " ").trim(),
    ]),
  );

const PAGES = {
  overview: [`/ui/?${at()}`, 60],
  "overview, as Model Monitoring counts": [`/ui/?${at({ count: "monitoring" })}`, 60],
  "overview with a filter": [`/ui/?${at({ filter: "shift:night confidence<0.9" })}`, 40],
  "overview, compared": [`/ui/?${at({ vs_filter: "plant:north", vs_back: "86400" })}`, 60],
  "broken down by a field": [`/ui/?${at({ by: "metadata.line" })}`, 20],
  "broken down by class": [`/ui/?${at({ by: "class" })}`, 40],
  "broken down by model": [`/ui/?${at({ by: "model_base", filter: "plant:north" })}`, 15],
  "broken down by failure": [`/ui/?${at({ by: "error" })}`, 6],
  models: [`/ui/models?${at()}`, 40],
  model: [`/ui/model/bottle-inspection?${at()}`, 35],
  "two versions": [`/ui/model/bottle-inspection?${at()}&version=1&version=2`, 45],
  "one version": [`/ui/model/bottle-inspection?${at({ version: "2", filter: "-shift:night" })}`, 35],
  fleet: [`/ui/fleet?${at()}`, 40],
  "fleet with a filter": [`/ui/fleet?${at({ filter: "class:bottle or class:scratch" })}`, 20],
  "a device": [`/ui/fleet?${at({ device: "sim-south-01" })}`, 45],
  metadata: ["/ui/metadata", 20],
};

for (const [name, [link, least]] of Object.entries(PAGES))
  test(`${name}: each number opens what it was made of`, async () => {
    await visit(page, origin, link);
    const told = (await links()).flatMap(([href, text]) => numbers(text).map(n => [href, n, text])),
      known = new Map();
    assert.ok(told.length >= least, `${told.length} numbers`);
    for (const [href, n, text] of told) {
      if (!known.has(href)) known.set(href, await behind(href));
      assert.ok(known.get(href).texts.includes(n), `“${text}” opens ${href}: ${known.get(href).texts.join(", ")}`);
    }
  });

// The newest point with something at it, and what it reads out.
async function newest(chart) {
  await chart.focus();
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press("ArrowLeft");
    const said = (await chart.getAttribute("aria-valuetext")).replace(/^.*?: (?=\D)/, "");
    if (/[1-9]/.test(said.replace(/p\d+/g, ""))) return said;
  }
  assert.fail("nothing to open");
}

for (const [name, link, charts] of [
  ["overview", `/ui/?${at()}`, ["Requests", "Average confidence", "Inference time"]],
  ["overview, as Model Monitoring counts", `/ui/?${at({ count: "monitoring" })}`, ["Average confidence"]],
  ["overview, broken down", `/ui/?${at({ by: "device" })}`, ["Requests", "Average confidence", "Inference time"]],
  ["model", `/ui/model/bottle-inspection?${at()}`, ["Requests", "Average confidence", "Inference time"]],
])
  test(`${name}: a point of a chart opens what it was made of`, async () => {
    for (const title of charts) {
      await visit(page, origin, link);
      const said = await newest(page.getByRole("slider", { name: new RegExp(`^${title}`) })),
        shown = said.split(", ").map(s => s.replace(/^.*: /, "").replace(/ requests?$/, ""));
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/ui\/inferences\?/);
      const { texts } = await behind(page.url());
      assert.ok(shown.some(n => n !== "–" && texts.includes(n)), `${title}: “${said}” opens ${texts.join(", ")}`);
    }
  });

test("nothing went wrong on the way, and nobody else was asked", () => {
  assert.deepEqual(tab.faults, []);
  assert.deepEqual(tab.foreign, []);
});
