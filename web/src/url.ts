// The URL is the page's state: range, filter, columns, page. Copy the link and a colleague sees the same.

export const RANGES = [
  { id: "1h", label: "1 h", long: "the last hour", seconds: 3600 },
  { id: "24h", label: "24 h", long: "the last 24 hours", seconds: 86_400 },
  { id: "7d", label: "7 d", long: "the last 7 days", seconds: 7 * 86_400 },
  { id: "30d", label: "30 d", long: "the last 30 days", seconds: 30 * 86_400 },
] as const;

// What is looked at: a filter, and a range that either follows the clock (`range`) or stands still (`from`, `to`).
export interface Scope {
  filter: string;
  range: string | null;
  from: string | null;
  to: string | null;
}

export type Counting = "inference" | "monitoring";

export type Route =
  | { page: "overview"; scope: Scope; counting: Counting }
  | { page: "inferences"; scope: Scope; cursor: string | null; columns: string[] | null }
  | { page: "inference"; scope: Scope; id: string; index: number | null; model: string | null }
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
  if (rest === "")
    return { page: "overview", scope, counting: q.get("count") === "monitoring" ? "monitoring" : "inference" };
  if (rest === "inferences") {
    const columns = q.get("columns");
    return {
      page: "inferences",
      scope,
      cursor: q.get("cursor"),
      columns: columns === null ? null : columns.split(",").filter(Boolean).map(decoded),
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

export function overviewLink(scope: Scope, counting: Counting): string {
  const q = withScope(scope);
  if (counting === "monitoring") q.set("count", "monitoring");
  return link("", q);
}

export function inferencesLink(scope: Scope, cursor: string | null = null, columns: string[] | null = null): string {
  const q = withScope(scope);
  if (columns) q.set("columns", columns.map(encodeURIComponent).join(","));
  if (cursor) q.set("cursor", cursor);
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
  const range = RANGES.find(r => r.id === scope.range);
  if (range) return { from: new Date(now - range.seconds * 1000).toISOString(), to: new Date(now).toISOString() };
  return { from: scope.from, to: scope.to };
}

// The width of a chart's bars: a round step that gives at most 100 of them.
export function bucketFor(spanSeconds: number): number {
  const steps = [1, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 7 * 86_400, 28 * 86_400];
  return steps.find(s => spanSeconds / s <= 100) ?? Math.ceil(spanSeconds / 100);
}
