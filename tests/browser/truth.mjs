// What the simulated fleet was (its truth files, docs/fleet-simulator.md), one inference at a time, and the few sums
// that pages show of it. Nothing here knows the program.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { beginSignedIn, simulate } from "./support.mjs";

const HOUR = 3_600_000;

export function readTruth(folder) {
  const read = name => readFileSync(path.join(folder, name), "utf8"),
    lines = name =>
      read(`${name}.ndjson`)
        .trimEnd()
        .split("\n")
        .map(l => JSON.parse(l)),
    timed = of => ({ ...of, at: Date.parse(of.time) });
  const writes = lines("metadata"),
    metadata = new Map();
  for (const w of writes) metadata.set(w.inference_id, { ...metadata.get(w.inference_id), [w.field]: w.value });
  const rows = lines("inferences").map(r => ({
    ...timed(r),
    id: r.inference_id,
    found: r.predictions,
    top: r.predictions.length ? Math.max(...r.predictions.map(d => d.confidence)) : null,
    metadata: metadata.get(r.inference_id) ?? {},
  }));
  const here = new Set(rows.map(r => r.id)),
    failures = lines("failures").map(timed),
    summary = JSON.parse(read("summary.json"));
  const within = (window, all = rows) => {
    const [from, to] = [window.from, window.to].map(t => new Date(t).getTime());
    return all.filter(r => r.at >= from && r.at < to);
  };
  return {
    rows,
    writes,
    failures,
    summary,
    ...halves(summary),
    within,
    failed: (window, of = () => true) => sum(within(window, failures).filter(of).map(f => f.count)),
    waiting: [...metadata.keys()].filter(id => !here.has(id)),
  };
}

// The second half, against the first; whole hours, as counted failures are kept.
function halves(summary) {
  const [from, to] = [summary.from, summary.to].map(t => Date.parse(t)),
    middle = Math.ceil((from + to) / 2 / HOUR) * HOUR,
    long = Math.ceil((to - middle) / HOUR) * HOUR,
    iso = t => new Date(t).toISOString();
  return {
    now: { from: iso(middle), to: iso(middle + long) },
    earlier: { from: iso(middle - long), to: iso(middle) },
  };
}

// As beginSignedIn, on eight days of the simulated fleet; `truth` is what it wrote down about them.
export async function beginWithTruth(events) {
  const folder = mkdtempSync(path.join(tmpdir(), "sightglass-truth-")),
    options = ["--events", String(events), "--days", "8", "--metadata", "60", "--markers", "--truth", folder];
  try {
    const begun = await beginSignedIn(s => simulate(s, ...options));
    return { ...begun, truth: readTruth(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const sum = values => values.reduce((a, b) => a + b, 0);
export const mean = values => (values.length ? sum(values) / values.length : null);

export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  if (!sorted.length) return null;
  const at = q * (sorted.length - 1),
    low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

export function groupBy(rows, key) {
  const groups = new Map();
  for (const r of rows) groups.set(key(r), [...(groups.get(key(r)) ?? []), r]);
  return groups;
}

export const tally = values => new Map([...groupBy(values, v => v)].map(([v, all]) => [v, all.length]));

// Both ways of counting: docs/dashboard.md, What averages mean.
export function sums(rows) {
  const tops = rows.flatMap(r => r.top ?? []),
    times = rows.flatMap(r => r.latency_s ?? []),
    counted = rows.flatMap(r =>
      (r.found.length ? r.found : [{ confidence: 0 }]).map(d => [d.confidence, r.latency_s ?? 0]),
    );
  return {
    inferences: rows.length,
    empty: rows.filter(r => !r.found.length).length,
    detections: sum(rows.map(r => r.found.length)),
    confidence: mean(tops),
    median: quantile(tops, 0.5),
    latency: mean(times),
    p50: quantile(times, 0.5),
    p95: quantile(times, 0.95),
    p99: quantile(times, 0.99),
    monitoring: { confidence: mean(counted.map(c => c[0])), latency: mean(counted.map(c => c[1])) },
  };
}
