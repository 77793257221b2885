// What a model sees: detections per class with their share, the mix over time, confidence as a histogram.
import { number, text, type Groups } from "../api";

export interface ClassRow {
  name: string | null; // null: nothing was found
  inferences: number | null;
  detections: number;
  share: number | null; // of all detections
  shareBefore: number | null;
  confidence: number | null;
  median: number | null;
}

// Groupings by class: now (inferences, detections, mean, median) and before (detections).
export function classRows(now: Groups | undefined, before: Groups | undefined): ClassRow[] {
  const rows = now?.rows ?? [],
    sum = (all: unknown[][], at: number) => all.reduce((n, r) => n + (r[0] === null ? 0 : (number(r[at]) ?? 0)), 0);
  const total = sum(rows, 2),
    past = before?.rows ?? [],
    pastTotal = sum(past, 1),
    earlier = new Map(past.map(r => [r[0], number(r[1]) ?? 0]));
  const row = (r: unknown[]): ClassRow => ({
    name: text(r[0]),
    inferences: number(r[1]),
    detections: number(r[2]) ?? 0,
    share: r[0] === null || !total ? null : (number(r[2]) ?? 0) / total,
    shareBefore: r[0] === null || !pastTotal ? null : (earlier.get(r[0]) ?? 0) / pastTotal,
    confidence: number(r[3]),
    median: number(r[4]),
  });
  const here = new Set(rows.map(r => r[0]));
  // A class that is no longer seen is news.
  const gone = past.filter(r => r[0] !== null && !here.has(r[0])).map(r => row([r[0], 0, 0, null, null]));
  return [...rows.map(row), ...gone];
}

export interface Mix {
  name: string;
  other: boolean;
  share: (number | null)[]; // of the bucket's detections
}

// A grouping by time and class, the measure detections: each class's part of each bucket.
export function mixOf(groups: Groups | undefined, times: number[]): Mix[] {
  const index = new Map(times.map((t, i) => [t, i])),
    sums = times.map(() => 0);
  const parts = new Map<string, { other: boolean; total: number; counts: number[] }>();
  for (const [time, of, n] of groups?.rows ?? []) {
    const i = index.get(Date.parse(text(time) ?? "")),
      count = number(n) ?? 0;
    if (i === undefined || of === null || !count) continue;
    const name = text(of) ?? "all others";
    const p = parts.get(name) ?? { other: typeof of !== "string", total: 0, counts: times.map(() => 0) };
    p.counts[i]! += count;
    p.total += count;
    sums[i]! += count;
    parts.set(name, p);
  }
  return [...parts]
    .sort(([, a], [, b]) => Number(a.other) - Number(b.other) || b.total - a.total)
    .map(([name, p]) => ({ name, other: p.other, share: p.counts.map((c, i) => (sums[i] ? c / sums[i]! : null)) }));
}

export const BIN = 0.05;

export interface Bins {
  name: string;
  total: number; // inferences with a confidence
  counts: number[]; // twenty bins, the last includes 1
}

// A grouping by confidence, in bins; `at` is where the bin stands in a row, the count follows.
export function binsOf(name: string, rows: unknown[][], at = 0): Bins {
  const counts = Array.from({ length: Math.round(1 / BIN) }, () => 0);
  for (const r of rows) {
    const low = number(r[at]);
    if (low !== null) counts[Math.min(counts.length - 1, Math.round(low / BIN))]! += number(r[at + 1]) ?? 0;
  }
  return { name, counts, total: counts.reduce((a, b) => a + b, 0) };
}

// How far apart two histograms are: half the sum of the differences of their shares. 0: the same; 1: nothing in common.
export function distance(a: Bins, b: Bins): number | null {
  if (!a.total || !b.total) return null;
  return a.counts.reduce((d, n, i) => d + Math.abs(n / a.total - b.counts[i]! / b.total), 0) / 2;
}
