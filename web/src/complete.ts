// What the filter bar offers while somebody types: names of columns and fields, then the values of the one that is
// named. Which values there are is asked of the server (`valuesAsked`); the rest is here.
import type { Facet, Fields } from "./api";
import { metadataName, parts, quoted } from "./filter";

export interface Offer {
  text: string; // what the clause becomes
  hint: string;
  whole: boolean; // the clause is complete with it
}

const BUILT_IN_HINTS: [string, string][] = [
  ["model:", "coco or coco/24"],
  ["class:", "a detection of the class"],
  ["confidence<", "the top detection's"],
  ["confidence>=", "the top detection's"],
  ["latency>", "seconds"],
  ["detections>=", "how many"],
  ["device:", "device id"],
  ["source:", ""],
  ["source_info:", ""],
  ["server:", "inference server id"],
  ["has:error", "failed"],
  ["has:picture", "a picture is kept"],
  ["has:", "has a value"],
  ["id:", "inference id"],
  ["time>=", "RFC 3339"],
  ["partial:true", "from partial sources"],
];

// Columns that facets can be asked of.
const FACETED = [
  "model",
  "model_name",
  "device",
  "source",
  "source_info",
  "server",
  "error",
  "partial",
  "picture",
  "class",
];

function unquoted(s: string): string {
  return s.replace(/^"|"$/g, "").replace(/\\(["\\])/g, "$1");
}

// The facet to ask for the draft's values, and the clause that narrows it to what is typed, where one can be written.
export function valuesAsked(draft: string, fields: Fields | null): { of: string; clause: string } | null {
  const { field, operator, value } = parts(draft);
  if (operator !== ":" || !field || field === "has") return null;
  const named = fields?.fields.find(f => metadataName(f.name) === field || `metadata.${quoted(f.name)}` === field);
  const of = named ? `metadata.${named.name}` : FACETED.includes(field) ? field : null;
  if (of === null) return null;
  const narrow = named !== undefined && /^[\p{L}\p{N}_./@+-]+$/u.test(value) && !value.includes("..");
  return { of, clause: narrow ? `${field}:*${value}*` : "" };
}

export function offers(draft: string, fields: Fields | null, facet: Facet | null): Offer[] {
  const { negated, field, operator, value } = parts(draft),
    sign = negated ? "-" : "";
  const typed = unquoted(value).toLowerCase(),
    rank = (s: string) => (s.toLowerCase().startsWith(typed) ? 0 : s.toLowerCase().includes(typed) ? 1 : 2);
  const best = <T>(all: T[], name: (t: T) => string): T[] =>
    all.filter(t => rank(name(t)) < 2).sort((a, b) => rank(name(a)) - rank(name(b)));
  const named = (fields?.fields ?? []).map(f => ({ written: metadataName(f.name), n: f.inferences, name: f.name }));
  if (operator === ":" && field === "has") {
    const all = ["error", "picture", "class", "confidence", "latency", "device"].map(n => ({
      written: n,
      n: null,
      name: n,
    }));
    return best([...all, ...named], f => f.name).map(f => ({
      text: `${sign}has:${f.written}`,
      hint: f.n === null ? "" : String(f.n),
      whole: true,
    }));
  }
  if (operator === ":")
    return best(facet?.top ?? [], t => String(t.value)).map(t => ({
      text: `${sign}${field}:${quoted(String(t.value))}`,
      hint: String(t.count),
      whole: true,
    }));
  if (operator) return [];
  return best(
    [
      ...BUILT_IN_HINTS.map(([text, hint]) => ({ text, hint, name: text })),
      ...named.map(f => ({ text: `${f.written}:`, hint: `metadata, ${f.n}`, name: f.name })),
    ],
    o => o.name,
  ).map(o => ({ text: sign + o.text, hint: o.hint, whole: !/[:<>=]$/.test(o.text) }));
}
