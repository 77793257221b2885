// A list that grows at its end, page by page, while its beginning is asked again and again: pure, the page draws it.
import type { Inference, Page } from "./api";

export interface Held {
  key: string; // the question it answers
  rows: Inference[];
  next: string | null; // where it goes on
  waiting: Page | null; // what has arrived since, while somebody is at the rows
  fresh: number; // how many of it are new
}

export const rowKey = (r: { id: string; index: number; model: string | null }) =>
  `${r.id}\n${r.index}\n${r.model ?? ""}`;

export const begun = (key: string, page: Page): Held => ({
  key,
  rows: page.inferences,
  next: page.next,
  waiting: null,
  fresh: 0,
});

// The first page once more. While nobody is at it and nothing was read beyond it, it takes the old one's place; else
// rows change in place, new ones are counted and none moves.
export function refreshed(held: Held, page: Page, busy: boolean, first: number): Held {
  const now = new Map(page.inferences.map(r => [rowKey(r), r])),
    had = new Set(held.rows.map(rowKey));
  const fresh = page.inferences.filter(r => !had.has(rowKey(r))).length;
  if ((!busy && held.rows.length <= first) || held.rows.length === 0) return begun(held.key, page);
  return {
    ...held,
    rows: held.rows.map(r => now.get(rowKey(r)) ?? r),
    waiting: fresh ? page : null,
    fresh,
  };
}

export function grown(held: Held, page: Page): Held {
  const had = new Set(held.rows.map(rowKey));
  return {
    ...held,
    rows: [...held.rows, ...page.inferences.filter(r => !had.has(rowKey(r)))],
    next: page.next,
  };
}

export function without(held: Held, keys: (r: Inference) => boolean): Held {
  return { ...held, rows: held.rows.filter(r => !keys(r)) };
}
