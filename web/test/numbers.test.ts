import { describe, expect, it } from "vitest";
import type { Groups } from "../src/api";
import { device, rowsOf, urgency, type Device } from "../src/fleet";
import { columnsOf, modelFilter, partClauses, partName, splitOf, timeKey, windowCompared } from "../src/numbers/load";
import { binsOf, classRows, distance, mixOf } from "../src/numbers/mix";

const groups = (rows: unknown[][]): Groups => ({ columns: [], rows, groups: rows.length });
const HOUR = 3_600_000,
  t0 = Date.parse("2026-11-22T00:00:00Z"),
  times = [t0, t0 + HOUR, t0 + 2 * HOUR];

describe("what it is compared with", () => {
  const w = { from: "2026-11-22T00:00:00.000Z", to: "2026-11-22T06:00:00.000Z" };
  it("is the range just before, unless something else was chosen", () => {
    const plain = { back: null, from: null, to: null, filter: null };
    expect(windowCompared(w, null)).toEqual({ from: "2026-11-21T18:00:00.000Z", to: w.from });
    expect(windowCompared(w, { ...plain, back: 86_400 })).toEqual({
      from: "2026-11-21T00:00:00.000Z",
      to: "2026-11-21T06:00:00.000Z",
    });
    expect(windowCompared(w, { ...plain, filter: "shift:night" })).toEqual(w);
    expect(windowCompared(w, { ...plain, from: w.to, to: "2026-11-23T00:00:00Z" }).from).toBe(w.to);
  });
  it("has buckets that lie on those of the range", () => {
    expect(timeKey(HOUR)).toEqual({ key: "time", width_s: 3600 });
    expect(timeKey(HOUR, 90 * 60_000)).toEqual({ key: "time", width_s: 3600, offset_s: 1800 });
    expect(timeKey(HOUR, -10 * 60_000)).toEqual({ key: "time", width_s: 3600, offset_s: 3000 });
    const moved = columnsOf([["2026-11-21T23:30:00Z", 7]], 1, times, 30 * 60_000);
    expect(moved.inferences).toEqual([7, 0, 0]);
  });
});

describe("series", () => {
  it("have 0 where nothing was counted and a gap where nothing was measured", () => {
    const s = columnsOf([["2026-11-22T01:00:00Z", 4, 1, 0.5, 0.25, null]], 1, times);
    expect(s.inferences).toEqual([0, 4, 0]);
    expect(s.errors).toEqual([0, 1, 0]);
    expect(s.confidence).toEqual([null, 0.5, null]);
    expect(s.high).toEqual([null, null, null]);
  });
});

describe("a split", () => {
  const over = groups([
    ["2026-11-22T00:00:00Z", "b", 1],
    ["2026-11-22T01:00:00Z", "a", 5],
    ["2026-11-22T01:00:00Z", { other: true }, 2],
    ["2026-11-22T02:00:00Z", null, 1],
  ]);
  const table = groups([
    ["a", 5, 0, 6, 0.9, 0.8, 0.02, 0.03, "2026-11-22T01:10:00Z"],
    ["b", 1],
    [null, 1],
  ]);
  it("has its parts in the order of the table, those without a value and the others behind", () => {
    const s = splitOf("metadata.line", [over, table], [groups([["a", 3]])], times);
    expect(s.parts.map(p => p.name)).toEqual(["a", "b", "no value", "all others"]);
    expect(s.parts[0]!.series.inferences).toEqual([0, 5, 0]);
    expect(s.rows.map(r => [r.name, r.inferences, r.before])).toEqual([
      ["a", 5, 3],
      ["b", 1, 0],
      ["no value", 1, 0],
    ]);
    const { errors, detections, median, p95, last } = s.rows[0]!;
    expect([errors, detections, median, p95, last]).toEqual([0, 6, 0.8, 0.03, "2026-11-22T01:10:00Z"]);
  });
  it("opens exactly its inferences, where a filter can say which they are", () => {
    const clauses = (by: string, value: string | number | boolean | null, other = false) =>
      partClauses(by, { value, other });
    expect(clauses("metadata.part no", 'a "b"')).toEqual([String.raw`metadata."part no":"a \"b\""`]);
    expect(clauses("metadata.line", null)).toEqual(["-has:line"]);
    expect(clauses("class", null)).toEqual(["-has:class", "-has:error"]);
    expect(clauses("error", false)).toEqual(["-has:error"]);
    expect(clauses("model_base", "coco")).toEqual(["model:coco"]);
    expect(clauses("device", null, true)).toBeNull();
    expect(partName("error", { value: true, other: false })).toBe("failed");
  });
});

describe("what a model sees", () => {
  it("is shares of all detections, with what is new and what is gone", () => {
    const rows = classRows(
      groups([
        ["cap", 3, 6, 0.9, 0.9],
        ["dent", 2, 2, 0.5, 0.5],
        [null, 4, 0, null, null],
      ]),
      groups([
        ["cap", 1],
        ["label", 3],
        [null, 0],
      ]),
    );
    expect(rows.map(r => [r.name, r.share, r.shareBefore])).toEqual([
      ["cap", 0.75, 0.25],
      ["dent", 0.25, 0],
      [null, null, null],
      ["label", 0, 0.75],
    ]);
  });
  it("is a mix of each bucket's own detections", () => {
    const mix = mixOf(
      groups([
        ["2026-11-22T00:00:00Z", "cap", 3],
        ["2026-11-22T00:00:00Z", "dent", 1],
        ["2026-11-22T00:00:00Z", { other: true }, 4],
        ["2026-11-22T02:00:00Z", "dent", 5],
        ["2026-11-22T02:00:00Z", null, 0],
      ]),
      times,
    );
    expect(mix).toEqual([
      { name: "dent", other: false, share: [0.125, null, 1] },
      { name: "cap", other: false, share: [0.375, null, 0] },
      { name: "all others", other: true, share: [0.5, null, 0] },
    ]);
  });
  it("has histograms that can be compared whatever their size", () => {
    const a = binsOf("a", [
        [0.9, 10],
        [0.95, 30],
        [null, 5],
      ]),
      b = binsOf("b", [["x", 0.95, 3]], 1);
    expect(a.total).toBe(40);
    expect(a.counts[18]).toBe(10);
    expect(distance(a, b)).toBeCloseTo(0.25);
    expect(distance(a, binsOf("none", []))).toBeNull();
  });
  it("is found by its name or its versions, whatever else is asked", () => {
    expect(modelFilter("", "coco", [])).toBe("model:coco");
    expect(modelFilter("line:3", "coco", ["1", "2"])).toBe("line:3 model:coco/1 model:coco/2");
    expect(modelFilter("a:1 or b:2", "co co", [])).toBe('(a:1 or b:2) (model:"co co")');
    expect(modelFilter("-model:x", "coco", ["1"])).toBe("(-model:x) (model:coco/1)");
  });
});

describe("the fleet", () => {
  const known = (id: string, silent: boolean | null, last = "2026-11-22T00:00:00Z"): Device =>
    device({ device_id: id, silent, last_seen: last, errors: 2, inferences: 9 });
  const rows = (filtered: boolean) =>
    rowsOf(
      [known("a", false), known("b", true), known("idle", null)],
      [
        groups([
          ["a", 9, 1, 0.8, 0.02],
          ["new", 1, 0, null, null, "2026-11-22T00:10:00Z"],
        ]),
        groups([["a", 2]]),
        groups([
          ["a", 8],
          ["b", 5],
        ]),
        groups([["a", 0.9]]),
      ],
      filtered,
    );
  it("is every device, with the last hour beside the same hour a week ago", () => {
    expect(rows(false).map(r => [r.id, r.work.inferences, r.work.errors, r.work.hour, r.work.hourBefore])).toEqual([
      ["a", 9, 2, 2, 8],
      ["b", 0, 2, 0, 5],
      ["idle", 0, 2, 0, 0],
      ["new", 1, null, 0, 0],
    ]);
  });
  it("under a filter is those that have such inferences, with such errors", () => {
    expect(rows(true).map(r => [r.id, r.work.errors])).toEqual([
      ["a", 1],
      ["b", 0],
      ["new", 0],
    ]);
  });
  it("tells by what came of a device whose servers report nothing", () => {
    const states = (filtered: boolean, sent: [hour: number, week: number][]) =>
      rowsOf(
        sent.map((_, i) => known(`d${i}`, null)),
        [[], sent.map(([n], i) => [`d${i}`, n]), sent.map(([, n], i) => [`d${i}`, n])].map(groups),
        filtered,
      ).map(r => r.state);
    const sent: [number, number][] = [[1, 0], [0, 5], [0, 4], [0, 0]];
    expect(states(false, sent)).toEqual(["sending", "stopped", "unknown", "unknown"]);
    expect(states(true, sent).filter(s => s === "stopped")).toEqual([]);
    expect(rows(false).map(r => r.state)).toEqual(["alive", "silent", "unknown", "unknown"]);
    expect(rows(false)[0]!.work.confidenceBefore).toBe(0.9);
  });
  it("has the longest silent first, then whose rate fell most", () => {
    const [a, b, idle] = rows(false);
    const longer = { ...b!, lastSeen: "2026-11-21T00:00:00Z" };
    expect([a!, b!, idle!, longer].sort((x, y) => urgency(y) - urgency(x)).map(r => r.id)).toEqual([
      "b",
      "b",
      "a",
      "idle",
    ]);
    expect(urgency(longer)).toBeGreaterThan(urgency(b!));
  });
});
