import { expect, test } from "vitest";
import { inference } from "../src/api";
import { byConfidence, reviewOf, slices, within } from "../src/queue";

test("thousandths are put together until a slice is full, what has no confidence comes last", () => {
  const bins = [
    { from: 0.4, count: 30 },
    { from: null, count: 7 },
    { from: 0.1, count: 10 },
    { from: 0.2, count: 15 },
    { from: 0.9, count: 500 },
    { from: 0.95, count: 1 },
  ];
  expect(slices(bins, 50)).toEqual([
    { from: 0.1, to: 0.4 },
    { from: 0.4, to: 0.9 },
    { from: 0.9, to: 0.95 },
    { from: 0.95, to: null },
    { from: null, to: null },
  ]);
  expect(slices([], 50)).toEqual([]);
  expect(slices([{ from: null, count: 0 }], 50)).toEqual([]);
});

test("a slice is the filter and a range of confidence", () => {
  expect(within("-has:review", { from: 0.1, to: 0.4 })).toEqual({
    and: ["-has:review", { field: "confidence", any: [{ ">=": 0.1, "<": 0.4 }] }],
  });
  expect(within("", { from: null, to: null })).toEqual({
    and: [{ not: { field: "confidence", any: [{ ">=": 0 }] } }],
  });
});

test("lowest confidence first, then the newest", () => {
  const row = (id: string, time: string, ...found: number[]) =>
    inference({ inference_id: id, time, predictions: found.map(confidence => ({ class: "a", confidence })) });
  const rows = [
    row("none", "2026-01-03T00:00:00Z"),
    row("old", "2026-01-01T00:00:00Z", 0.3),
    row("new", "2026-01-02T00:00:00Z", 0.3, 0.1),
    row("low", "2026-01-01T00:00:00Z", 0.2),
  ];
  expect(rows.sort(byConfidence).map(r => r.id)).toEqual(["low", "new", "old", "none"]);
});

test("what a record's review is", () => {
  expect(reviewOf({ review: "correct", reviewer: "anna", other: 1 })).toEqual({
    review: "correct",
    review_comment: null,
    reviewer: "anna",
  });
  expect(reviewOf(Object.create({ review: "x" })).review).toBe(null);
});
