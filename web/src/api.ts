// The public API as this client sees it. Answers are read defensively: what is missing or of another type than the
// contract says becomes null (or an empty list), so that a page never shows an invented 0 and never breaks on a record
// that a partial source sent. Which members an answer has is told by the types that the build makes of
// docs/openapi.json: a name that is not there does not compile.
import type { components } from "../generated/schema";
import type { Keypoint, Mask, Point } from "./overlay";
import type { Calendar } from "./shifts";

export type Schemas = components["schemas"];

export type Value = string | number | boolean;

export interface Session {
  workspace: string;
  keyName: string | null;
  firstKey: boolean;
}

export interface Server {
  version: string | null;
  listen: string | null;
  loopback: boolean;
  tls: boolean;
}

export interface Prediction {
  class: string;
  confidence: number | null;
  x: number | null;
  y: number | null;
  width: number | null;
  height: number | null;
  points: Point[];
  keypoints: Keypoint[];
  mask: Mask | null;
}

export interface Inference {
  id: string;
  model: string | null;
  modelName: string | null;
  index: number;
  time: string | null;
  received: string | null;
  latency: number | null;
  device: string | null;
  source: string | null;
  sourceInfo: string | null;
  server: string | null;
  serverId: string | null;
  modelFile: string | null; // sha256
  image: {
    width: number | null;
    height: number | null;
    url: string | null;
    thumbnail: string | null;
    annotation: string | null; // what came with an uploaded picture
    uploads: string[]; // pictures of a request of which nobody knows whose each is
  };
  predictions: Prediction[];
  metadata: Record<string, Value>;
  error: string | null;
  partial: boolean; // from a source that sends a part of the record only
  clockSuspect: boolean; // its time is more than a day ahead or a year back
}

// Shapes that came with an uploaded picture, in that picture's pixels.
export interface Annotation {
  predictions: Prediction[];
  width: number | null;
  height: number | null;
}

export interface Change {
  field: string;
  value: Value | null;
  previous: Value | null;
  time: string | null;
  by: string | null;
  removed: boolean;
}

export interface Detail extends Inference {
  history: Change[];
  siblings: { model: string | null; index: number }[];
  raw: unknown;
}

export interface Page {
  inferences: Inference[];
  next: string | null;
  asOf: string | null;
}

export interface Field {
  name: string;
  inferences: number;
  top: { value: Value; count: number }[];
}

export interface Fields {
  fields: Field[];
  pending: { ids: number; oldest: string | null };
}

export interface Totals {
  inferences: number | null;
  errors: number | null;
  errorsCounted: number; // of these, by servers: they are no inferences
  detections: number | null;
  monitoring: { confidence: number | null; latency: number | null };
  perInference: { confidence: number | null; latency: number | null };
  medianConfidence: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Bucket {
  time: number;
  inferences: number;
  errors: number;
  errorsCounted: number;
  confidence: number | null;
  latency: number | null;
}

export interface Model {
  id: string;
  name: string | null;
  inferences: number | null;
  previous: number | null;
  errors: number | null;
  errorsCounted: number;
  detections: number | null;
  confidence: number | null;
  median: number | null;
  latency: number | null;
  lastSeen: string | null;
  classes: { class: string; detections: number }[];
}

export interface Stats {
  from: string | null;
  to: string | null;
  asOf: string | null;
  bucket: number;
  current: Totals;
  previous: Totals;
  series: Bucket[];
  models: Model[];
}

// What went wrong with a call: `status` 0 is a lost connection. `position` is a byte offset into the filter. `pending`
// is the metadata that already waits for an id that is not there.
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly position: number | null = null,
    readonly expected: string | null = null,
    readonly pending: Record<string, Value> = {},
  ) {
    super(message);
  }
}

type Json = Record<string, unknown>;

export function object<T extends object = Json>(v: unknown): { [K in keyof T]?: unknown } {
  return typeof v === "object" && v !== null && !Array.isArray(v) ? v : {};
}
export const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
export const text = (v: unknown): string | null => (typeof v === "string" ? v : null);
export const number = (v: unknown): number | null => (typeof v === "number" && Number.isFinite(v) ? v : null);
const isValue = (v: unknown): v is Value => ["string", "number", "boolean"].includes(typeof v);
export const value = (v: unknown): Value | null => (isValue(v) ? v : null);
export const values = (v: unknown): Record<string, Value> =>
  Object.fromEntries(Object.entries(object(v)).filter((e): e is [string, Value] => isValue(e[1])));
export const name = (v: unknown): string | null =>
  typeof v === "string" ? v : v === null || v === undefined ? null : JSON.stringify(v);

// Objects with x and y, or pairs as Vision Events writes them.
function point(raw: unknown): Point[] {
  const [x, y] = Array.isArray(raw) ? raw : [object(raw)["x"], object(raw)["y"]];
  return typeof x === "number" && typeof y === "number" ? [{ x, y }] : [];
}

function mask(raw: unknown): Mask | null {
  const r = object(raw),
    [height, width] = list(r["size"]),
    counts = r["counts"];
  if (typeof height !== "number" || typeof width !== "number") return null;
  if (typeof counts === "string") return { height, width, counts };
  return Array.isArray(counts) && counts.every(c => typeof c === "number") ? { height, width, counts } : null;
}

export function prediction(raw: unknown): Prediction {
  const p = object<Schemas["Prediction"] & { points: unknown; keypoints: unknown; rle: unknown }>(raw);
  return {
    class: name(p.class) ?? "",
    confidence: number(p.confidence),
    points: list(p.points).flatMap(point),
    keypoints: list(p.keypoints).flatMap(k => {
      const r = object(k);
      return point(k).map(at => ({ ...at, name: name(r["class"] ?? r["id"]) ?? "", confidence: number(r["confidence"]) }));
    }),
    mask: mask(p.rle),
    x: number(p.x),
    y: number(p.y),
    width: number(p.width),
    height: number(p.height),
  };
}

export function inference(raw: unknown): Inference {
  const r = object<Schemas["Inference"]>(raw),
    image = object<Schemas["Image"] & { annotation_url: unknown; uploads: unknown }>(r["image"]);
  return {
    id: text(r["inference_id"]) ?? "",
    model: text(r["model_id"]),
    modelName: text(r["model_name"]),
    index: number(r["index"]) ?? 0,
    time: text(r["time"]),
    received: text(r["received"]),
    latency: number(r["latency_s"]),
    device: name(r["device_id"]),
    source: name(r["source"]),
    sourceInfo: name(r["source_info"]),
    modelFile: text(r["model_sha256"]),
    serverId: name(r["server_id"]),
    server: [name(r["server_id"]), name(r["server_version"])].filter(Boolean).join(" ") || null,
    image: {
      width: number(image["width"]),
      height: number(image["height"]),
      url: ownPath(image["url"]),
      thumbnail: ownPath(image["thumbnail_url"]),
      annotation: ownPath(image.annotation_url),
      uploads: list(image.uploads).flatMap(u => ownPath(object(u)["url"]) ?? []),
    },
    predictions: list(r["predictions"]).map(prediction),
    metadata: values(r["metadata"]),
    error: name(r["error"]),
    partial: r["partial"] === true,
    clockSuspect: r["clock_suspect"] === true,
  };
}

// Pictures come from this server only, whatever a record says.
function ownPath(v: unknown): string | null {
  if (typeof v !== "string" || typeof location === "undefined") return null;
  try {
    const url = new URL(v, location.origin);
    return url.origin === location.origin ? url.pathname + url.search : null;
  } catch {
    return null;
  }
}

function totals(raw: unknown): Totals {
  const t = object<Schemas["Totals"]>(raw),
    monitoring = object(t["monitoring"]),
    per = object(t["per_inference"]);
  return {
    inferences: number(t["inferences"]),
    errors: number(t["errors"]),
    errorsCounted: number(t["errors_counted"]) ?? 0,
    detections: number(t["detections"]),
    monitoring: { confidence: number(monitoring["avg_confidence"]), latency: number(monitoring["avg_response_time"]) },
    perInference: { confidence: number(per["avg_confidence"]), latency: number(per["avg_latency_s"]) },
    medianConfidence: number(t["median_confidence"]),
    p50: number(t["latency_p50_s"]),
    p95: number(t["latency_p95_s"]),
    p99: number(t["latency_p99_s"]),
  };
}

export function stats(raw: unknown): Stats {
  const r = object<Schemas["Stats"]>(raw);
  return {
    from: text(r["from"]),
    to: text(r["to"]),
    asOf: text(r["as_of"]),
    bucket: number(r["bucket_s"]) ?? 0,
    current: totals(r["current"]),
    previous: totals(r["previous"]),
    series: list(r["series"])
      .map(object<Schemas["Stats"]["series"][number]>)
      .flatMap(b => {
        const time = Date.parse(text(b["time"]) ?? "");
        return Number.isNaN(time)
          ? []
          : [
              {
                time,
                inferences: number(b["inferences"]) ?? 0,
                errors: number(b["errors"]) ?? 0,
                errorsCounted: number(b["errors_counted"]) ?? 0,
                confidence: number(b["avg_confidence"]),
                latency: number(b["avg_latency_s"]),
              },
            ];
      }),
    models: list(r["models"])
      .map(object<Schemas["Stats"]["models"][number]>)
      .map(m => ({
        id: text(m["model_id"]) ?? "",
        name: text(m["model_name"]),
        inferences: number(m["inferences"]),
        previous: number(m["prev_inferences"]),
        errors: number(m["errors"]),
        errorsCounted: number(m["errors_counted"]) ?? 0,
        detections: number(m["detections"]),
        confidence: number(m["avg_confidence"]),
        median: number(m["median_confidence"]),
        latency: number(m["avg_latency_s"]),
        lastSeen: text(m["last_seen"]),
        classes: list(m["classes"])
          .map(object<Schemas["Stats"]["models"][number]["classes"][number]>)
          .map(c => ({
            class: name(c["class"]) ?? "",
            detections: number(c["detections"]) ?? 0,
          })),
      })),
  };
}

function detail(raw: unknown): Detail {
  const r = object<Schemas["InferenceDetail"]>(raw);
  return {
    ...inference(raw),
    history: list(r["metadata_history"])
      .map(object<Schemas["Change"]>)
      .map(h => ({
        field: text(h["field"]) ?? "",
        value: value(h["value"]),
        previous: value(h["previous"]),
        time: text(h["time"]),
        by: name(h["by"]),
        removed: h["removed"] === true,
      })),
    siblings: list(r["siblings"])
      .map(v => object(v))
      .map(s => ({ model: text(s["model_id"]), index: number(s["index"]) ?? 0 })),
    raw,
  };
}

function session(raw: unknown): Session {
  const r = object<Schemas["Session"]>(raw);
  return {
    workspace: text(r["workspace"]) ?? "",
    keyName: text(object(r["key"])["name"]),
    firstKey: r["first_key"] === true,
  };
}

// Told when the connection is lost and when it is back, and when the session has ended.
export const events = new EventTarget();

let connected = true;
let skew = 0;

// The server's clock, as near as its Date header tells: "the last hour" is the server's hour, however wrong this
// machine's clock is. Below 2 s the difference is only the header's rounding.
export function serverNow(): number {
  return Date.now() + (Math.abs(skew) < 2000 ? 0 : skew);
}

function setConnected(now: boolean): void {
  if (now === connected) return;
  connected = now;
  events.dispatchEvent(new Event(now ? "connected" : "lost"));
  if (!now) probe(1000);
}

// At once, or when the server can be reached again.
export function reachable(): Promise<void> {
  return connected
    ? Promise.resolve()
    : new Promise(done => events.addEventListener("connected", () => done(), { once: true }));
}

// A lost connection is tried again, ever more slowly up to 10 s, until any answer comes.
function probe(delay: number): void {
  setTimeout(() => {
    call("GET", "/session").catch((e: unknown) => {
      if (e instanceof ApiError && e.status === 0) probe(Math.min(delay * 1.6, 10_000));
    });
  }, delay);
}

export async function call(
  method: string,
  path: string,
  options: { body?: unknown; signal?: AbortSignal; base?: string } = {},
): Promise<unknown> {
  const init: RequestInit = { method, credentials: "same-origin", cache: "no-store" };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    init.headers = { "Content-Type": "application/json" };
  }
  let response: Response,
    body: unknown = null;
  try {
    response = await fetch(`${options.base ?? "/api/v1"}${path}`, init);
    const received = await response.text();
    if (received) {
      try {
        body = JSON.parse(received);
      } catch {
        if (response.ok) throw new ApiError(response.status, "The server's answer is not JSON.");
      }
    }
  } catch (e) {
    if (e instanceof ApiError || (e instanceof DOMException && e.name === "AbortError")) throw e;
    setConnected(false);
    throw new ApiError(0, "The server cannot be reached.");
  }
  setConnected(true);
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) skew = date - Date.now();
  if (response.ok) {
    const parts = object(body)["incomplete"];
    if (Array.isArray(parts)) events.dispatchEvent(new Answered(`${method} ${path.split("?")[0]}`, missing(parts)));
    return body;
  }
  const error = object(body);
  const said = text(error["error"]) ?? text(error["message"]) ?? `The server answered ${response.status}.`;
  if (response.status === 401 && path !== "/session") events.dispatchEvent(new Event("signedout"));
  throw new ApiError(
    response.status,
    said,
    number(error["position"]),
    text(error["expected"]),
    values(error["pending"]),
  );
}

export function query(parameters: Record<string, string | number | null | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(parameters)) if (v !== null && v !== undefined && v !== "") q.set(k, String(v));
  const s = q.toString();
  return s ? `?${s}` : "";
}

// A part of the store that could not be read: what it would have added to an answer is not in it.
export interface Missing {
  segment: number;
  from: string | null;
  to: string | null;
  inferences: number | null;
}

function missing(raw: unknown): Missing[] {
  return list(raw)
    .map(v => object<Schemas["Incomplete"][number]>(v))
    .map(m => ({
      segment: number(m.segment) ?? 0,
      from: text(m.from),
      to: text(m.to),
      inferences: number(m.inferences),
    }));
}

// Told of each answer which question it is to, and what is missing in it.
export class Answered extends Event {
  constructor(
    readonly question: string,
    readonly missing: Missing[],
  ) {
    super("answered");
  }
}

export interface Facet {
  of: string;
  inferences: number;
  values: number;
  top: { value: Value; count: number }[];
}

// The groups of one grouping of a plan, rows as the server wrote them.
export interface Groups {
  columns: string[];
  rows: unknown[][];
  groups: number;
}

export interface Plan {
  from?: string | null;
  to?: string | null;
  filter?: string;
  groups: {
    by: (
      | string
      | {
          key: string;
          width_s?: number;
          offset_s?: number;
          width?: number;
          top?: number;
          top_by?: string;
          other?: boolean;
        }
    )[];
    measures: string[];
    order?: string[];
    limit?: number;
    totals?: boolean;
  }[];
}

export interface Selection {
  filter?: string;
  from?: string | null;
  to?: string | null;
}

export const enc = encodeURIComponent;

const counted = (raw: unknown): { value: Value; count: number }[] =>
  list(raw)
    .map(v => object(v))
    .flatMap(t => {
      const v = value(t["value"]);
      return v === null ? [] : [{ value: v, count: number(t["count"]) ?? 0 }];
    });

export const api = {
  signIn: async (key: string) => session(await call("POST", "/session", { body: { key } })),
  session: async () => session(await call("GET", "/session")),
  signOut: () => call("DELETE", "/session"),
  removeFirstKey: () => call("DELETE", "/first-key"),
  server: async (): Promise<Server> => {
    const r = object(await call("GET", "/server"));
    return {
      version: text(r["version"]),
      listen: text(r["listen"]),
      loopback: r["loopback"] !== false,
      tls: r["tls"] === true,
    };
  },
  inferences: async (
    ws: string,
    s: Selection & { limit?: number; cursor?: string | null },
    signal?: AbortSignal,
  ): Promise<Page> => {
    const r = object<Schemas["InferenceList"]>(
      await call("GET", `/${enc(ws)}/inferences${query({ ...s })}`, signal ? { signal } : {}),
    );
    return { inferences: list(r["inferences"]).map(inference), next: text(r["next_cursor"]), asOf: text(r["as_of"]) };
  },
  count: async (ws: string, s: Selection, signal?: AbortSignal) =>
    number(
      object(await call("GET", `/${enc(ws)}/inferences/count${query({ ...s })}`, signal ? { signal } : {}))["count"],
    ),
  inference: async (ws: string, id: string, index: number | null, model: string | null, signal?: AbortSignal) =>
    detail(await call("GET", `/${enc(ws)}/inferences/${enc(id)}${query({ index, model })}`, signal ? { signal } : {})),
  annotation: async (path: string, signal?: AbortSignal): Promise<Annotation> => {
    const r = object(await call("GET", path, signal ? { signal, base: "" } : { base: "" })),
      size = object(r["image"]);
    return {
      predictions: list(r["predictions"]).map(prediction),
      width: number(size["width"]),
      height: number(size["height"]),
    };
  },
  setMetadata: (ws: string, id: string, field: string, v: Value) =>
    call("PUT", `/${enc(ws)}/inferences/${enc(id)}/metadata/${enc(field)}`, { body: { value: v } }),
  removeMetadata: (ws: string, id: string, field: string) =>
    call("DELETE", `/${enc(ws)}/inferences/${enc(id)}/metadata/${enc(field)}`),
  fields: async (ws: string, signal?: AbortSignal): Promise<Fields> => {
    const r = object<Schemas["Fields"]>(await call("GET", `/${enc(ws)}/fields`, signal ? { signal } : {}));
    const pending = object<Schemas["Fields"]["pending"]>(r["pending"]);
    return {
      fields: list(r["fields"])
        .map(object<Schemas["Fields"]["fields"][number]>)
        .map(f => ({
          name: text(f["name"]) ?? "",
          inferences: number(f["inferences"]) ?? 0,
          top: counted(f["top"]),
        })),
      pending: { ids: number(pending["ids"]) ?? 0, oldest: text(pending["oldest"]) },
    };
  },
  facets: async (
    ws: string,
    s: Selection & { fields?: string; limit?: number },
    signal?: AbortSignal,
  ): Promise<Facet[]> =>
    list(
      object<Schemas["Facets"]>(await call("GET", `/${enc(ws)}/facets${query({ ...s })}`, signal ? { signal } : {}))
        .facets,
    )
      .map(v => object<Schemas["Facets"]["facets"][number]>(v))
      .map(f => ({
        of: text(f.of) ?? "",
        inferences: number(f.inferences) ?? 0,
        values: number(f.values) ?? 0,
        top: counted(f.top),
      })),
  query: async (ws: string, plan: Plan, signal?: AbortSignal): Promise<Groups[]> => {
    const body = Object.fromEntries(Object.entries(plan).filter(([, v]) => v !== null && v !== "" && v !== undefined));
    const r = object<Schemas["Groups"]>(await call("POST", `/${enc(ws)}/query`, signal ? { body, signal } : { body }));
    return list(r.answers)
      .map(v => object<Schemas["Groups"]["answers"][number]>(v))
      .map(a => ({
        columns: list(a.columns).map(String),
        rows: list(a.rows).map(list),
        groups: number(a.groups) ?? 0,
      }));
  },
  shifts: async (ws: string): Promise<Calendar> => {
    const r = object(await call("GET", `/${enc(ws)}/shifts`));
    const shifts = list(r["shifts"])
      .map(v => object(v))
      .map(s => ({
        name: text(s["name"]) ?? "",
        from: text(s["from"]) ?? "00:00",
        to: text(s["to"]) ?? "00:00",
        days: list(s["days"]).filter((d): d is number => typeof d === "number"),
      }));
    return { zone: text(r["zone"]) ?? "", shifts };
  },
  stats: async (
    ws: string,
    s: Selection & {
      bucket: number;
      compare_from?: string | null;
      compare_to?: string | null;
      compare_filter?: string | null;
    },
    signal?: AbortSignal,
  ) => stats(await call("GET", `/${enc(ws)}/stats${query({ ...s })}`, signal ? { signal } : {})),
};
