// The review queue: in which order it is walked, and how it is read. The list of the API is newest first; lowest
// confidence first is made of it by first asking how many inferences there are to each thousandth of confidence, and
// then for those of a few thousandths at a time.
import {
  ApiError,
  call,
  enc,
  inference,
  list,
  number,
  object,
  reachable,
  text,
  type Inference,
  type Value,
} from "./api";
import { topConfidence } from "./columns";
import { rowKey } from "./held";

export type Order = "confidence" | "newest";

export interface Question {
  filter: string;
  from: string | null;
  to: string | null;
}

// Inferences whose top confidence is in [from, to); from null: those without any confidence.
export interface Slice {
  from: number | null;
  to: number | null;
}

// The thousandths of a grouping by confidence, put together until a slice holds about `enough` inferences. What has
// no confidence comes last: there is nothing that a person could doubt less.
export function slices(bins: { from: number | null; count: number }[], enough: number): Slice[] {
  const out: Slice[] = [],
    known = bins.filter(b => b.from !== null && b.count > 0).sort((a, b) => a.from! - b.from!);
  let size = 0;
  for (const bin of known) {
    const last = out[out.length - 1];
    if (!last || size + bin.count > enough) {
      if (last) last.to = bin.from;
      out.push({ from: bin.from, to: null });
      size = bin.count;
    } else {
      size += bin.count;
    }
  }
  if (bins.some(b => b.from === null && b.count > 0)) out.push({ from: null, to: null });
  return out;
}

export function byConfidence(a: Inference, b: Inference): number {
  const x = topConfidence(a) ?? 2,
    y = topConfidence(b) ?? 2;
  return x - y || (b.time ?? "").localeCompare(a.time ?? "") || a.id.localeCompare(b.id) || a.index - b.index;
}

type Node = string | Record<string, unknown>;

export function within(filter: string, s: Slice): Node {
  const range: Node =
    s.from === null
      ? { not: { field: "confidence", any: [{ ">=": 0 }] } }
      : { field: "confidence", any: [{ ">=": s.from, ...(s.to === null ? {} : { "<": s.to }) }] };
  return { and: [...(filter ? [filter] : []), range] };
}

const ENOUGH = 50;
const PAGE = 100;
const MOST = 1000; // a slice is read whole to be sorted; a thousandth that holds more is walked newest first

// Reads on, a portion at a time; nothing comes twice. What arrives or changes meanwhile is in the next walk.
export class Queue {
  private left: Slice[] | null = null;
  private cursor: string | null = null;
  private seen = new Set<string>();
  private over = false;

  constructor(
    private readonly ws: string,
    private readonly question: Question,
    private readonly order: Order,
  ) {}

  get ended(): boolean {
    return this.over;
  }

  async next(signal: AbortSignal): Promise<Inference[]> {
    for (;;) {
      if (this.over) return [];
      const rows = (this.order === "newest" ? await this.newest(signal) : await this.doubtful(signal)).filter(
        r => !this.seen.has(rowKey(r)),
      );
      for (const r of rows) this.seen.add(rowKey(r));
      if (rows.length) return rows;
    }
  }

  private async newest(signal: AbortSignal): Promise<Inference[]> {
    const { rows, next } = await this.list(this.question.filter, PAGE, signal);
    this.cursor = next;
    this.over = next === null;
    return rows;
  }

  private async doubtful(signal: AbortSignal): Promise<Inference[]> {
    this.left ??= slices(await this.bins(signal), ENOUGH);
    const slice = this.left[0];
    if (!slice) {
      this.over = true;
      return [];
    }
    const { rows, next } = await this.list(within(this.question.filter, slice), MOST, signal);
    this.cursor = next;
    if (next === null) this.left.shift();
    this.over = this.left.length === 0;
    return rows.sort(byConfidence);
  }

  private async ask(plan: Record<string, unknown>, signal: AbortSignal): Promise<Record<string, unknown>> {
    const { from, to } = this.question;
    const body = { ...plan, ...(from ? { from } : {}), ...(to ? { to } : {}) };
    return object(await call("POST", `/${enc(this.ws)}/query`, { body, signal }));
  }

  private async bins(signal: AbortSignal): Promise<{ from: number | null; count: number }[]> {
    const answer = await this.ask(
      {
        ...(this.question.filter ? { filter: this.question.filter } : {}),
        groups: [{ by: [{ key: "confidence", width: 0.001 }], measures: ["inferences"], limit: 1002 }],
      },
      signal,
    );
    return list(object(list(answer["answers"])[0])["rows"]).map(row => {
      const [from, count] = list(row);
      return { from: number(from), count: number(count) ?? 0 };
    });
  }

  private async list(
    filter: Node,
    limit: number,
    signal: AbortSignal,
  ): Promise<{ rows: Inference[]; next: string | null }> {
    const answer = await this.ask(
      { ...(filter ? { filter } : {}), list: { limit, ...(this.cursor ? { cursor: this.cursor } : {}) } },
      signal,
    );
    return { rows: list(answer["inferences"]).map(inference), next: text(answer["next_cursor"]) };
  }
}

export type Verdict = "correct" | "incorrect" | "inconclusive";

export const VERDICTS: { verdict: Verdict; key: string; title: string }[] = [
  { verdict: "correct", key: "c", title: "Correct" },
  { verdict: "incorrect", key: "x", title: "Incorrect" },
  { verdict: "inconclusive", key: "i", title: "Inconclusive" },
];

export const FIELDS = ["review", "review_comment", "reviewer"] as const;

export type Review = Record<(typeof FIELDS)[number], Value | null>;

export function reviewOf(metadata: Record<string, Value>): Review {
  const of = (name: string) => (Object.hasOwn(metadata, name) ? metadata[name]! : null);
  return { review: of("review"), review_comment: of("review_comment"), reviewer: of("reviewer") };
}

// All that a verdict says is one write: the history has one time for it, and the list of activities who judged. While
// the server is away it waits. Whether the lost write arrived nobody knows; said again it changes nothing.
export async function write(ws: string, id: string, wanted: Review): Promise<void> {
  for (;;) {
    try {
      await call("PATCH", `/${enc(ws)}/inferences/${enc(id)}/metadata`, { body: wanted });
      return;
    } catch (e) {
      if (!(e instanceof ApiError) || e.status !== 0) throw e;
      await reachable();
    }
  }
}
