// The filter is text; the server's parser is the only judge of it. This file knows just enough to show each clause as a
// chip, to write a clause for a value somebody clicked, and to place the server's error under its character.
import type { Value } from "./api";

// Names the filter gives to the record itself. A metadata field of the same name is written `metadata."name"`.
export const BUILT_IN = [
  "id",
  "model",
  "device",
  "source",
  "source_info",
  "server",
  "error",
  "class",
  "confidence",
  "latency",
  "detections",
  "index",
  "time",
  "partial",
  "picture",
];

// Splits at white space outside quotes, brackets and parentheses. What is left open runs to the end. Clauses joined by
// "or" are one chip: none of them means anything alone.
export function clauses(filter: string): string[] {
  const found = words(filter),
    out: string[] = [];
  if (found.includes("or")) return [filter.trim()];
  for (const word of found) {
    const last = out[out.length - 1];
    if (word === "and") continue;
    // Blanks may stand around a comparison.
    if (last !== undefined && (/^[<>]/.test(word) || /[<>]=?$/.test(last))) out[out.length - 1] = last + word;
    else out.push(word);
  }
  return out;
}

function words(filter: string): string[] {
  const found: string[] = [];
  let current = "",
    depth = 0,
    quoted = false;
  for (let i = 0; i < filter.length; i++) {
    const c = filter.charAt(i);
    if (quoted && c === "\\") {
      current += c + filter.charAt(++i);
      continue;
    }
    if (c === '"') quoted = !quoted;
    else if (!quoted && (c === "(" || c === "[")) depth++;
    else if (!quoted && (c === ")" || c === "]")) depth = Math.max(0, depth - 1);
    if (!quoted && depth === 0 && /\s/.test(c)) {
      if (current) found.push(current);
      current = "";
    } else {
      current += c;
    }
  }
  if (current) found.push(current);
  return found;
}

// A chip's parts, for showing only.
export function parts(clause: string): { negated: boolean; field: string; operator: string; value: string } {
  const m = /^(-?)((?:metadata\.)?(?:"(?:[^"\\]|\\.)*"|[^\s:<>="()[\]]+))(\[[^\]]*\])?(:|<=|>=|<|>)(.*)$/s.exec(clause);
  if (!m) return { negated: clause.startsWith("-"), field: "", operator: "", value: clause.replace(/^-/, "") };
  return { negated: m[1] === "-", field: m[2]! + (m[3] ?? ""), operator: m[4]!, value: m[5]! };
}

export function quoted(s: string): string {
  return /^[\p{L}\p{N}_./@+-]+$/u.test(s) && !s.startsWith("-") && !s.includes("..")
    ? s
    : `"${s.replace(/(["\\])/g, "\\$1")}"`;
}

export function metadataName(field: string): string {
  const plain = /^[\p{L}_][\p{L}\p{N}_-]*$/u.test(field) && !BUILT_IN.includes(field) && field !== "has";
  return plain ? field : `metadata."${field.replace(/(["\\])/g, "\\$1")}"`;
}

export function clauseFor(field: string, value: Value): string {
  return `${field}:${quoted(String(value))}`;
}

// Narrows a filter by a clause. Its opposite, if there, goes; the same again changes nothing. The language reads the
// same field again as "or", which would widen: so a value takes the place of the field's others, and for class, of
// which an inference has many, the clause is written as a count, which is "and".
export function withClause(filter: string, clause: string): string {
  const opposite = clause.startsWith("-") ? clause.slice(1) : `-${clause}`;
  const added = parts(clause),
    all = clauses(filter)
      .map(c => (words(c).includes("or") ? `(${c})` : c))
      .filter(c => c !== opposite);
  if (all.includes(clause)) return all.join(" ");
  const again = (c: string) => {
    const p = parts(c);
    return !p.negated && p.operator === ":" && p.field === added.field;
  };
  if (added.negated || added.operator !== ":" || added.field === "has" || !all.some(again))
    return [...all, clause].join(" ");
  if (added.field !== "class") return [...all.filter(c => !again(c)), clause].join(" ");
  return [...all, ...(all.includes(`${clause}>=1`) ? [] : [`${clause}>=1`])].join(" ");
}

export function withoutClause(filter: string, at: number): string {
  return clauses(filter)
    .filter((_, i) => i !== at)
    .join(" ");
}

// The server counts bytes of UTF-8; the page needs the place in its own string.
export function characterAt(filter: string, byte: number): number {
  let bytes = 0,
    at = 0;
  for (const c of filter) {
    if (bytes >= byte) break;
    const code = c.codePointAt(0)!;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    at += c.length;
  }
  return at;
}
