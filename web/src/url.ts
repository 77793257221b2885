// The URL is the page's state: range, filter, columns, page. Copy the link and a colleague sees the same.
import { calendar, shiftsAt } from "./shifts";

// `seconds` null: a shift, by the workspace's calendar.
export const RANGES: { id: string; label: string; long: string; seconds: number | null }[] = [
  { id: "1h", label: "1 h", long: "the last hour", seconds: 3600 },
  { id: "24h", label: "24 h", long: "the last 24 hours", seconds: 86_400 },
  { id: "7d", label: "7 d", long: "the last 7 days", seconds: 7 * 86_400 },
  { id: "30d", label: "30 d", long: "the last 30 days", seconds: 30 * 86_400 },
  { id: "shift", label: "This shift", long: "this shift", seconds: null },
  { id: "last-shift", label: "Last shift", long: "the last shift", seconds: null },
];

// What is looked at: a filter, and a range that either follows the clock (`range`) or stands still (`from`, `to`).
export interface Scope {
  filter: string;
  range: string | null;
  from: string | null;
  to: string | null;
}

export type Counting = "inference" | "monitoring";

// What the numbers are compared with, when it is not the range just before: the same range some seconds earlier, a
// range of its own, another filter.
export interface Compare {
  back: number | null; // seconds
  from: string | null;
  to: string | null;
  filter: string | null;
}

// What overview and model page are set to beside the scope.
export interface View {
  counting: Counting;
  by: string | null; // the column or field that charts are split by
  compare: Compare | null;
  sort: string | null; // of the table: a column, "-" before it for the greatest first
}

export const PLAIN: View = { counting: "inference", by: null, compare: null, sort: null };

// What the list is set to beside the scope: its columns (null: the usual ones), the panel, a time to begin at.
export interface ListView {
  columns: string[] | null;
  facets: boolean;
  at: string | null;
}

export const USUAL_LIST: ListView = { columns: null, facets: false, at: null };

export type Route =
  | { page: "overview"; scope: Scope; view: View }
  | { page: "fleet"; scope: Scope; device: string | null; sort: string | null }
  | { page: "models"; scope: Scope; sort: string | null }
  | { page: "metadata"; scope: Scope }
  | { page: "review"; scope: Scope; order: "confidence" | "newest" }
  | { page: "model"; scope: Scope; name: string; versions: string[]; view: View }
  | { page: "inferences"; scope: Scope; view: ListView }
  | { page: "inference"; scope: Scope; id: string; index: number | null; model: string | null }
  | { page: "settings"; scope: Scope; section: string | null }
  | { page: "view"; scope: Scope; id: string }
  | { page: "unknown"; scope: Scope };

function instant(s: string | null): string | null {
  return s !== null && !Number.isNaN(Date.parse(s)) ? s : null;
}

export function parseScope(q: URLSearchParams): Scope {
  const from = instant(q.get("from")),
    to = instant(q.get("to")),
    range = q.get("range");
  const known = RANGES.some(r => r.id === range);
  return { filter: q.get("filter") ?? "", range: !from && !to && known ? range : null, from, to };
}

function parseView(q: URLSearchParams): View {
  const from = instant(q.get("vs_from")),
    to = instant(q.get("vs_to")),
    back = Number(q.get("vs_back")),
    filter = q.get("vs_filter");
  const fixed = from !== null && to !== null,
    shifted = !fixed && Number.isInteger(back) && back > 0;
  return {
    counting: q.get("count") === "monitoring" ? "monitoring" : "inference",
    by: q.get("by") || null,
    sort: q.get("sort") || null,
    compare:
      fixed || shifted || filter !== null
        ? { back: shifted ? back : null, from: fixed ? from : null, to: fixed ? to : null, filter }
        : null,
  };
}

function withView(q: URLSearchParams, view: View): URLSearchParams {
  const { counting, by, compare, sort } = view;
  if (counting === "monitoring") q.set("count", counting);
  if (by) q.set("by", by);
  if (sort) q.set("sort", sort);
  if (compare?.back) q.set("vs_back", String(compare.back));
  if (compare?.from && compare.to) {
    q.set("vs_from", compare.from);
    q.set("vs_to", compare.to);
  }
  if (compare && compare.filter !== null) q.set("vs_filter", compare.filter);
  return q;
}

function decoded(s: string): string {
  try {
    return decodeURIComponent(s);
  } catch {
    return s;
  }
}

export function parseRoute(path: string, search: string): Route {
  const q = new URLSearchParams(search),
    scope = parseScope(q);
  const rest = path.replace(/^\/ui\/?/, "").replace(/\/$/, "");
  if (rest === "") return { page: "overview", scope, view: parseView(q) };
  if (rest === "fleet") return { page: rest, scope, device: q.get("device"), sort: q.get("sort") || null };
  if (rest === "models") return { page: rest, scope, sort: q.get("sort") || null };
  if (rest === "metadata") return { page: rest, scope };
  if (rest === "review") {
    const filter = q.get("filter") ?? UNREVIEWED;
    return { page: rest, scope: { ...scope, filter }, order: q.get("order") === "newest" ? "newest" : "confidence" };
  }
  const two = /^(model|settings|view)(?:\/([^/]+))?$/.exec(rest),
    second = two?.[2] === undefined ? null : decoded(two[2]);
  if (two?.[1] === "settings") return { page: "settings", scope, section: second };
  if (two?.[1] === "view" && second) return { page: "view", scope, id: second };
  if (two?.[1] === "model" && second)
    return { page: "model", scope, name: second, versions: q.getAll("version").slice(0, 2), view: parseView(q) };
  if (rest === "inferences") {
    const columns = q.get("columns");
    return {
      page: "inferences",
      scope,
      view: {
        columns: columns === null ? null : columns.split(",").filter(Boolean).map(decoded),
        facets: q.get("facets") === "1",
        at: instant(q.get("at")),
      },
    };
  }
  const one = /^inference\/([^/]+)$/.exec(rest);
  if (one) {
    const index = q.get("index");
    return {
      page: "inference",
      scope,
      id: decoded(one[1]!),
      model: q.get("model"),
      index: index !== null && /^\d{1,9}$/.test(index) ? Number(index) : null,
    };
  }
  return { page: "unknown", scope };
}

function withScope(scope: Scope): URLSearchParams {
  const q = new URLSearchParams();
  if (scope.filter) q.set("filter", scope.filter);
  if (scope.range) q.set("range", scope.range);
  if (scope.from) q.set("from", scope.from);
  if (scope.to) q.set("to", scope.to);
  return q;
}

function link(path: string, q: URLSearchParams): string {
  const s = q.toString();
  return `/ui/${path}${s ? `?${s}` : ""}`;
}

export function overviewLink(scope: Scope, view: View = PLAIN): string {
  return link("", withView(withScope(scope), view));
}

export function modelLink(scope: Scope, name: string, versions: string[] = [], view: View = PLAIN): string {
  const q = withView(withScope(scope), view);
  for (const v of versions) q.append("version", v);
  return link(`model/${encodeURIComponent(name)}`, q);
}

export function fleetLink(scope: Scope, more: { device?: string | null; sort?: string | null } = {}): string {
  const q = withScope(scope);
  for (const [k, v] of Object.entries(more)) if (v !== null && v !== undefined) q.set(k, v);
  return link("fleet", q);
}

export function modelsLink(scope: Scope, sort: string | null = null): string {
  const q = withScope(scope);
  if (sort) q.set("sort", sort);
  return link("models", q);
}

// What the queue holds unless it is told otherwise: a failed inference has nothing to judge.
export const UNREVIEWED = "-has:review -has:error";

export function reviewLink(scope: Scope, order: "confidence" | "newest" = "confidence"): string {
  const q = withScope(scope);
  if (scope.filter === UNREVIEWED) q.delete("filter");
  else q.set("filter", scope.filter);
  if (order === "newest") q.set("order", order);
  return link("review", q);
}

export const metadataLink = (): string => link("metadata", new URLSearchParams());
export const settingsLink = (section?: string): string =>
  link(section ? `settings/${encodeURIComponent(section)}` : "settings", new URLSearchParams());

export function inferencesLink(scope: Scope, view: ListView = USUAL_LIST): string {
  const q = withScope(scope);
  if (view.columns) q.set("columns", view.columns.map(encodeURIComponent).join(","));
  if (view.facets) q.set("facets", "1");
  if (view.at) q.set("at", view.at);
  return link("inferences", q);
}

export function inferenceLink(scope: Scope, id: string, index: number | null, model: string | null): string {
  const q = withScope(scope);
  if (index) q.set("index", String(index));
  if (model) q.set("model", model);
  return link(`inference/${encodeURIComponent(id)}`, q);
}

export const ANY: Scope = { filter: "", range: null, from: null, to: null };

// The instants a scope stands for now; null is open.
export function window(scope: Scope, now: number): { from: string | null; to: string | null } {
  const range = RANGES.find(r => r.id === scope.range),
    iso = (t: number) => new Date(t).toISOString();
  if (range && range.seconds !== null) return { from: iso(now - range.seconds * 1000), to: iso(now) };
  if (range) {
    const { current, last } = shiftsAt(calendar(), now),
      span = range.id === "shift" ? current : last;
    return span
      ? { from: iso(span.from), to: iso(Math.min(span.to, now)) }
      : { from: iso(now - 8 * 3_600_000), to: iso(now) };
  }
  return { from: scope.from, to: scope.to };
}

// The width of a chart's bars: a round step that gives at most 100 of them.
export function bucketFor(spanSeconds: number): number {
  const steps = [1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 7 * 86_400, 28 * 86_400];
  return steps.find(s => spanSeconds / s <= 100) ?? Math.ceil(spanSeconds / 100);
}
