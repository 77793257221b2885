// The numbers of a range: what overview and model page are made of. One window for all of them, so that a page never
// shows two answers of different times beside each other.
import { api, number, serverNow, text, type Groups, type Plan, type Stats, type Value } from "../api";
import { clauseFor, metadataName, quoted, withClause } from "../filter";
import { useLoad, useWorkspace, type Loaded } from "../state";
import { bucketFor, window as windowOf, type Compare, type Scope } from "../url";

export interface Window {
  from: string;
  to: string;
}

// Columns of a chart, one value a bucket; null where there was nothing.
export type Series = Record<keyof typeof MEASURES, (number | null)[]>;

// What a row has of the measures that were asked under these names; they begin at column `at`.
export type Measured<M> = Record<keyof M, number | null>;
export const measured = <M extends Record<string, string>>(of: M, row: unknown[], at = 1) =>
  Object.fromEntries(Object.keys(of).map((name, i) => [name, number(row[at + i])])) as Measured<M>;

export interface Numbers {
  stats: Stats;
  window: Window;
  times: number[]; // ms
  width: number; // ms
  series: Series;
  counted: number[]; // errors that servers counted, of `series.errors`: no inferences, nothing else is known of them
  compared: Series | null; // of the range that was chosen to compare with, moved onto this one
  earlier: Window; // what `previous` is of
  split: Split | null;
  more: Groups[]; // what else was asked of the range,
  moreBefore: Groups[]; // and of what it is compared with
}

// Further groupings of the same window.
export interface More {
  now: (time: { key: string; width_s: number }) => Plan["groups"];
  before: Plan["groups"];
}

const MEASURES = {
  inferences: "inferences",
  errors: "errors",
  confidence: "avg(confidence)",
  low: "quantile(confidence,0.1)",
  high: "quantile(confidence,0.9)",
  latency: "avg(latency)",
  p50: "quantile(latency,0.5)",
  p95: "quantile(latency,0.95)",
  p99: "quantile(latency,0.99)",
  monitoringConfidence: "avg(monitoring_confidence)",
  monitoringLatency: "avg(monitoring_latency)",
};

const NAMES = Object.keys(MEASURES) as (keyof Series)[];
const COUNTS: (keyof Series)[] = ["inferences", "errors"];
const COLUMNS = NAMES.map(n => MEASURES[n]);

// The window that a scope stands for; without a range the last seven days.
export function windowFor(scope: Scope): Window {
  const w = windowOf(scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "7d" }, serverNow()),
    to = w.to ?? new Date(serverNow()).toISOString();
  return { from: w.from ?? new Date(Date.parse(to) - 7 * 86_400_000).toISOString(), to };
}

// What it is compared with: the equally long window before, unless something else was chosen.
export function windowCompared({ from, to }: Window, compare: Compare | null): Window {
  const [a, b] = [Date.parse(from), Date.parse(to)],
    moved = (by: number) => ({ from: new Date(a - by).toISOString(), to: new Date(b - by).toISOString() });
  if (compare?.from && compare.to) return { from: compare.from, to: compare.to };
  if (compare?.back) return moved(compare.back * 1000);
  if (compare) return { from, to };
  return moved(b - a);
}

// Rows of a grouping by time as columns over `times`. `shift`: how much earlier the rows' range began.
export function columnsOf(rows: unknown[][], at: number, times: number[], shift = 0): Series {
  const index = new Map(times.map((t, i) => [t, i]));
  const out = Object.fromEntries(
    NAMES.map(n => [n, times.map(() => (COUNTS.includes(n) ? 0 : null) as number | null)]),
  ) as unknown as Series;
  for (const row of rows) {
    const i = index.get(Date.parse(text(row[0]) ?? "") + shift);
    if (i === undefined) continue;
    NAMES.forEach((n, j) => (out[n][i] = number(row[at + j])));
  }
  return out;
}

export function timeKey(width: number, shift = 0): { key: string; width_s: number; offset_s?: number } {
  const w = Math.round(width / 1000),
    offset = ((Math.round(shift / 1000) % w) + w) % w;
  return offset ? { key: "time", width_s: w, offset_s: offset } : { key: "time", width_s: w };
}

export function useNumbers(
  scope: Scope,
  filter: string,
  compare: Compare | null,
  by: string | null,
  more?: More,
): Loaded<Numbers> {
  const ws = useWorkspace();
  return useLoad(`numbers${more ? "+" : ""} ${ws} ${JSON.stringify([scope, filter, compare, by])}`, async signal => {
    const w = windowFor(scope),
      bucket = bucketFor((Date.parse(w.to) - Date.parse(w.from)) / 1000),
      earlier = windowCompared(w, compare),
      // Whole seconds, as buckets are.
      shift = Math.round((Date.parse(w.from) - Date.parse(earlier.from)) / 1000) * 1000;
    const current: Plan = {
      ...w,
      filter,
      groups: [{ by: [timeKey(bucket * 1000)], measures: COLUMNS, limit: 10_000 }],
    };
    if (by)
      current.groups.push(
        { by: [timeKey(bucket * 1000), { key: by, top: PARTS }], measures: COLUMNS, limit: 10_000 },
        { by: [by], measures: [...Object.values(TABLE), "max(time)"], order: ["-inferences"], limit: 1000 },
      );
    const asked = current.groups.length;
    if (more) current.groups.push(...more.now(timeKey(bucket * 1000)));
    const past: Plan = {
      ...earlier,
      filter: compare?.filter ?? filter,
      groups: by ? [{ by: [by], measures: ["inferences"], limit: 10_000 }] : [],
    };
    if (compare) past.groups.push({ by: [timeKey(bucket * 1000, shift)], measures: COLUMNS, limit: 10_000 });
    const before = past.groups.length;
    if (more) past.groups.push(...more.before);
    const [stats, groups, other] = await Promise.all([
      api.stats(
        ws,
        {
          filter,
          ...w,
          bucket,
          ...(compare
            ? { compare_from: earlier.from, compare_to: earlier.to, compare_filter: compare.filter ?? filter }
            : {}),
        },
        signal,
      ),
      api.query(ws, current, signal),
      past.groups.length ? api.query(ws, past, signal) : [],
    ]);
    const times = stats.series.map(b => b.time),
      series = columnsOf(groups[0]?.rows ?? [], 1, times);
    // What servers counted is in the statistics only.
    series.errors = stats.series.map(b => b.errors);
    return {
      stats,
      window: w,
      times,
      width: bucket * 1000,
      series,
      counted: stats.series.map(b => b.errorsCounted),
      compared: compare && columnsOf(other[before - 1]?.rows ?? [], 1, times, shift),
      earlier,
      split: by ? splitOf(by, groups.slice(1), other, times) : null,
      more: groups.slice(asked),
      moreBefore: other.slice(before),
    };
  });
}

// One value of what the page is split by.
export interface Part {
  value: Value | null;
  other: boolean; // all values beyond the first
}

export interface Split {
  by: string;
  parts: (Part & { name: string; series: Series })[];
  rows: (Part & Measured<typeof TABLE> & { name: string; before: number | null; last: string | null })[];
  groups: number; // how many values there are
}

const TABLE = {
  inferences: "inferences",
  errors: "errors",
  detections: "detections",
  confidence: "avg(confidence)",
  median: "quantile(confidence,0.5)",
  latency: "avg(latency)",
  p95: "quantile(latency,0.95)",
};
export const PARTS = 6;

function part(raw: unknown): Part {
  if (typeof raw === "string" || typeof raw === "number" || typeof raw === "boolean")
    return { value: raw, other: false };
  return { value: null, other: raw !== null };
}

export function partName(by: string, p: Part): string {
  if (p.other) return "all others";
  if (p.value === null) return by === "class" ? "nothing found" : "no value";
  if (p.value === "") return "empty text";
  if (by === "error") return p.value ? "failed" : "answered";
  return String(p.value);
}

// The clauses that find a part's inferences; null: no filter says that.
export function partClauses(by: string, p: Part): string[] | null {
  const field = by.startsWith("metadata.") ? metadataName(by.slice(9)) : by;
  if (p.other) return null;
  if (by === "error") return [p.value ? "has:error" : "-has:error"];
  if (by === "picture") return [p.value ? "has:picture" : "-has:picture"];
  if (p.value === null) return by === "class" ? ["-has:class", "-has:error"] : [`-has:${field}`];
  if (by === "model_base") return [clauseFor("model", p.value)];
  return [clauseFor(field, p.value)];
}

export const narrowed = (filter: string, clauses: string[]): string => clauses.reduce(withClause, filter);

export function splitOf(by: string, groups: Groups[], before: Groups[], times: number[]): Split {
  const key = (raw: unknown) => JSON.stringify(raw ?? null);
  const earlier = new Map((before[0]?.rows ?? []).map(r => [key(r[0]), number(r[1])]));
  const series = new Map<string, unknown[][]>();
  for (const row of groups[0]?.rows ?? []) {
    const k = key(row[1]);
    series.set(k, [...(series.get(k) ?? []), row]);
  }
  const rows = (groups[1]?.rows ?? []).map(r => {
    const p = part(r[0]);
    return {
      ...p,
      ...measured(TABLE, r),
      name: partName(by, p),
      before: earlier.get(key(r[0])) ?? 0,
      last: text(r.at(-1)),
    };
  });
  // The order of the table: the greatest first, then what has no value, then the others.
  const place = (k: string) => rows.findIndex(r => !r.other && key(r.value) === k);
  const parts = [...series]
    .map(([k, of]) => {
      const p = part(JSON.parse(k));
      return { ...p, name: partName(by, p), series: columnsOf(of, 2, times), at: p.other ? Infinity : place(k) };
    })
    .sort((a, b) => a.at - b.at);
  return { by, parts, rows, groups: groups[1]?.groups ?? rows.length };
}

// The filter of a model's page: what somebody wrote, and the model. Two versions are one "or"; what is written stays as
// it is.
export function modelFilter(filter: string, name: string, versions: string[]): string {
  const own = (versions.length ? versions.map(v => `${name}/${v}`) : [name]).map(m => `model:${quoted(m)}`).join(" ");
  if (!filter) return own;
  return /\bor\b|model:/.test(filter) ? `(${filter}) (${own})` : `${filter} ${own}`;
}
