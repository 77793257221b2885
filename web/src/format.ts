// How numbers, times and changes are written. Unknown is "–", never 0; every number that has a unit carries it.

export const NONE = "–";

const grouped = new Intl.NumberFormat("en-US");
const compacted = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });

export function count(n: number | null): string {
  return n === null ? NONE : grouped.format(n);
}

// A count for a narrow place: in full up to 9,999,999, then 12.3M.
export function compact(n: number | null): string {
  return n === null ? NONE : Math.abs(n) < 1e7 ? grouped.format(n) : compacted.format(n);
}

// Confidence is written as the filter takes it: 0.873, not 87.3 %.
export function confidence(c: number | null): string {
  return c === null ? NONE : c.toFixed(3);
}

export function seconds(s: number | null): string {
  if (s === null) return NONE;
  if (s === 0) return "0 ms";
  if (Math.abs(s) < 0.9995) return `${significant(s * 1000)} ms`;
  if (Math.abs(s) < 99.95) return `${significant(s)} s`;
  const whole = Math.round(s);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

function significant(v: number): string {
  return String(Number(v.toPrecision(3)));
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${grouped.format(n)} ${n === 1 ? one : many}`;
}

export interface Delta {
  kind: "unknown" | "new" | "same" | "up" | "down";
  text: string;
}

// The change of one number against the period before. `empty` says that nothing at all happened in that period: then
// the number is new. A period with traffic but a zero (no errors, say) has no percentage either: the difference is
// shown.
export function change(now: number | null, before: number | null, empty: boolean): Delta {
  if (now === null) return { kind: "unknown", text: NONE };
  if (empty) return now === 0 ? { kind: "unknown", text: NONE } : { kind: "new", text: "new" };
  if (before === null) return { kind: "unknown", text: NONE };
  if (now === before) return { kind: "same", text: "no change" };
  const kind = now > before ? "up" : "down",
    sign = now > before ? "+" : "−";
  if (before === 0) return { kind, text: `${sign}${grouped.format(Number(Math.abs(now).toPrecision(3)))}` };
  const percent = Math.abs((now - before) / before) * 100;
  if (percent < 0.05) return { kind: "same", text: "no change" };
  if (percent >= 1000) return { kind, text: `×${grouped.format(Math.round(now / before))}` };
  return { kind, text: `${sign}${percent < 100 ? percent.toFixed(1) : Math.round(percent)} %` };
}

const two = (n: number) => String(n).padStart(2, "0");

// The viewer's offset at that moment: +01:00.
export function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset(),
    size = Math.abs(minutes);
  return `${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function day(d: Date): string {
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

function clock(d: Date): string {
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function parse(iso: string | null): Date | null {
  const d = iso === null ? null : new Date(iso);
  return d && !Number.isNaN(d.getTime()) ? d : null;
}

// 2026-11-21 21:05:33, in the viewer's zone.
export function stamp(d: Date): string {
  return `${day(d)} ${clock(d)}`;
}

// The same with milliseconds and the offset.
export function fullStamp(d: Date): string {
  return `${day(d)} ${clock(d)}.${String(d.getMilliseconds()).padStart(3, "0")} ${offset(d)}`;
}

export function utcStamp(d: Date): string {
  return `${d.toISOString().replace("T", " ").replace("Z", "")} UTC`;
}

// A span for a heading, as short as stays clear: the day is not repeated.
export function span(from: Date, to: Date): string {
  return day(from) === day(to)
    ? `${day(from)} ${clock(from).slice(0, 5)} – ${clock(to).slice(0, 5)}`
    : `${day(from)} ${clock(from).slice(0, 5)} – ${day(to)} ${clock(to).slice(0, 5)}`;
}

export function ago(d: Date, now: number): string {
  const s = Math.round((now - d.getTime()) / 1000);
  if (s < -60) return "in the future";
  if (s < 5) return "just now";
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}
