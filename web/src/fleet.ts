// Devices as the page shows them: what the server knows of each, beside what its inferences say.
import { call, enc, list, number, object, query, text, type Groups, type Schemas } from "./api";

export interface ServerOn {
  id: string | null;
  version: string | null;
  host: string | null;
  address: string | null;
  platform: string;
  tags: string[];
  started: string | null;
  lastSeen: string | null;
  interval: number | null;
  limit: number | null; // silent after so many seconds
  silent: boolean;
  reports: number | null;
  setAside: number | null;
}

export interface Unserved {
  method: string;
  path: string;
  agent: string;
  status: number | null;
  count: number;
  lastSeen: string | null;
}

export interface Device {
  id: string | null; // null: what names no device
  lastSeen: string | null;
  silent: boolean | null; // null: no server reports
  tags: string[];
  versions: string[];
  inferences: number | null;
  errors: number | null;
  models: { id: string | null; inferences: number | null }[];
  unserved: Unserved[];
  servers: ServerOn[];
}

type Wire = Schemas["Devices"]["devices"][number];
const texts = (v: unknown): string[] => list(v).filter((t): t is string => typeof t === "string");

export function device(raw: unknown): Device {
  const d = object<Wire>(raw);
  return {
    id: text(d.device_id),
    lastSeen: text(d.last_seen),
    silent: typeof d.silent === "boolean" ? d.silent : null,
    tags: texts(d.tags),
    versions: texts(d.versions),
    inferences: number(d.inferences),
    errors: number(d.errors),
    models: list(d.models)
      .map(m => object<Wire["models"][number]>(m))
      .map(m => ({ id: text(m.model_id), inferences: number(m.inferences) })),
    unserved: list(d.unserved)
      .map(u => object<Wire["unserved"][number]>(u))
      .map(u => ({
        method: text(u.method) ?? "",
        path: text(u.path) ?? "",
        agent: text(u.user_agent) ?? "",
        status: number(u.status),
        count: number(u.count) ?? 0,
        lastSeen: text(u.last_seen),
      })),
    servers: list(d.servers)
      .map(s => object<Wire["servers"][number]>(s))
      .map(s => ({
        id: text(s.server_id),
        version: text(s.version),
        host: text(s.hostname),
        address: text(s.ip_address),
        platform: [text(s.platform), text(s.platform_release), text(s.architecture)].filter(Boolean).join(" "),
        tags: texts(s.tags),
        started: text(s.started),
        lastSeen: text(s.last_seen),
        interval: number(s.interval_s),
        limit: number(s.silent_after_s),
        silent: s.silent === true,
        reports: number(s.reports),
        setAside: number(s.set_aside),
      })),
  };
}

// What a device did: by its inferences in the range, in the last hour, and in the same hour a week ago.
export interface Work {
  inferences: number | null;
  errors: number | null;
  failed: number; // those of them that are inferences; servers count others
  confidence: number | null;
  confidenceBefore: number | null; // in the range before
  latency: number | null;
  hour: number;
  hourBefore: number;
}

export type State = "alive" | "silent" | "sending" | "stopped" | "unknown";

export interface Row extends Device {
  work: Work;
  state: State;
}

const MISSED = 5; // requests; fewer in an hour may well be none in another

// Where no server reports, what a device sends tells of it: nothing in the last hour, but a week ago in this hour there
// was. What a filter lets through tells nothing.
export function stateOf(silent: boolean | null, { hour, hourBefore }: Work, filtered: boolean): State {
  if (silent !== null) return silent ? "silent" : "alive";
  if (hour > 0) return "sending";
  return hourBefore >= MISSED && !filtered ? "stopped" : "unknown";
}

export const away = (r: Row): boolean => r.state === "silent" || r.state === "stopped";

// Groupings by device: over the range, over the last hour, over that hour a week ago, over the range before.
export function rowsOf(devices: Device[], [range, hour, week, before]: Groups[], filtered: boolean): Row[] {
  const by = (g: Groups | undefined) => new Map(g?.rows.map(r => [text(r[0]), r]));
  const [a, b, c, e] = [by(range), by(hour), by(week), by(before)];
  const known = new Set(devices.map(d => d.id));
  // A device that did something a week ago only, or is not among those that are listed, is one all the same.
  const more = [...new Set([...a.keys(), ...b.keys()])]
    .filter(id => !known.has(id))
    .map(
      (id): Device => ({
        id,
        lastSeen: text(a.get(id)?.[5]),
        silent: null,
        tags: [],
        versions: [],
        inferences: null,
        errors: null,
        models: [],
        unserved: [],
        servers: [],
      }),
    );
  return [...devices, ...more]
    .map(d => {
      const work: Work = {
        inferences: number(a.get(d.id)?.[1]) ?? 0,
        failed: number(a.get(d.id)?.[2]) ?? 0,
        errors: filtered ? (number(a.get(d.id)?.[2]) ?? 0) : d.errors,
        confidence: number(a.get(d.id)?.[3]),
        confidenceBefore: number(e.get(d.id)?.[1]),
        latency: number(a.get(d.id)?.[4]),
        hour: number(b.get(d.id)?.[1]) ?? 0,
        hourBefore: number(c.get(d.id)?.[1]) ?? 0,
      };
      return { ...d, work, state: stateOf(d.silent, work, filtered) };
    })
    .filter(r => !filtered || r.work.inferences !== 0 || r.work.hour > 0 || r.work.hourBefore > 0);
}

// Those that are away first, longest first; then those whose rate fell most against last week; then by name.
export function urgency(r: Row): number {
  if (away(r)) return 3e12 - (Date.parse(r.lastSeen ?? "") || 0);
  const fell = r.work.hourBefore > 0 ? 1 - r.work.hour / r.work.hourBefore : 0;
  return Math.max(0, Math.round(fell * 1000) / 1000);
}

export interface Counted {
  name: string;
  errors: number;
  lastSeen: string | null;
  message: string;
}

export interface Failures {
  asOf: string | null;
  bucket: number; // seconds
  errors: number | null;
  before: number | null;
  models: Counted[];
  hosts: Counted[];
  types: Counted[];
  series: { time: number; errors: number }[];
}

export async function failures(
  ws: string,
  w: { from: string; to: string; bucket: number },
  signal: AbortSignal,
): Promise<Failures> {
  const r = object<Schemas["Errors"]>(await call("GET", `/${enc(ws)}/errors${query(w)}`, { signal }));
  const counted = (v: unknown, key: string): Counted[] =>
    list(v)
      .map(x => object(x))
      .map(x => ({
        name: text(x[key]) ?? "",
        errors: number(x["errors"]) ?? 0,
        lastSeen: text(x["last_seen"]),
        message: text(x["message"]) ?? "",
      }));
  return {
    asOf: text(r.as_of),
    bucket: number(r.bucket_s) ?? 60,
    errors: number(r.errors),
    before: number(r.prev_errors),
    models: counted(r.resources, "resource_id"),
    hosts: counted(r.hosts, "host"),
    types: counted(r.types, "type"),
    series: list(r.series)
      .map(x => object(x))
      .map(x => ({ time: Date.parse(text(x["time"]) ?? ""), errors: number(x["errors"]) ?? 0 }))
      .filter(b => !Number.isNaN(b.time)),
  };
}

export interface Aside {
  id: number;
  time: string | null;
  source: string;
  device: string;
  server: string;
  reason: string;
  item: unknown;
}

export async function setAside(ws: string, signal: AbortSignal): Promise<{ total: number; items: Aside[] }> {
  const r = object<Schemas["SetAside"]>(await call("GET", `/${enc(ws)}/set-aside${query({ limit: 50 })}`, { signal }));
  return {
    total: number(r.total) ?? 0,
    items: list(r.set_aside)
      .map(x => object<Schemas["SetAside"]["set_aside"][number]>(x))
      .map(x => ({
        id: number(x.id) ?? 0,
        time: text(x.time),
        source: text(x.source) ?? "",
        device: text(x.device_id) ?? "",
        server: text(x.server_id) ?? "",
        reason: text(x.reason) ?? "",
        item: x.item,
      })),
  };
}
