import { expect, it } from "vitest";
import { alone, bucketWindow, sparkline, stacked } from "../src/series";

it("a bucket's window stays inside the range", () => {
  expect(bucketWindow(0, 10_000, 4000, 60_000)).toEqual({
    from: "1970-01-01T00:00:04.000Z",
    to: "1970-01-01T00:00:10.000Z",
  });
  expect(bucketWindow(50_000, 20_000, 4000, 60_000).to).toBe("1970-01-01T00:01:00.000Z");
});

it("a sparkline breaks at gaps and never divides by zero", () => {
  expect(sparkline([null, null], false)).toBe("");
  expect(sparkline([0, 10], true)).toBe("M0.0 23.0L100.0 1.0");
  expect(sparkline([1, null, 1], false)).toBe("M0.0 12.0h0.1M100.0 12.0h0.1");
  expect(sparkline([0, 0], true)).toBe("M0.0 23.0L100.0 23.0");
});

it("a value between gaps is alone", () => {
  expect(alone([5, null, 1, 2, null, 3, null])).toEqual([0, 5]);
  expect(alone([])).toEqual([]);
});

it("what is stacked stands on what is below it, and only a gap of all is one", () => {
  expect(
    stacked([
      [1, null, null, 2],
      [3, 4, null, null],
    ]),
  ).toEqual([
    [1, null, null, 2],
    [4, 4, null, 2],
  ]);
  expect(stacked([])).toEqual([]);
});
