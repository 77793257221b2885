import { describe, expect, it } from "vitest";
import * as f from "../src/format";

describe("numbers", () => {
  it("writes unknown as a dash, never as 0", () => {
    for (const write of [f.count, f.compact, f.confidence, f.seconds]) expect(write(null)).toBe("–");
    expect(f.count(0)).toBe("0");
    expect(f.seconds(0)).toBe("0 ms");
  });
  it("groups thousands and shortens only what is very large", () => {
    expect(f.count(1234567)).toBe("1,234,567");
    expect(f.compact(9_999_999)).toBe("9,999,999");
    expect(f.compact(12_340_000)).toBe("12.34M");
  });
  it("gives every time its unit", () => {
    expect(f.seconds(0.0523)).toBe("52.3 ms");
    expect(f.seconds(0.9994)).toBe("999 ms");
    expect(f.seconds(0.9996)).toBe("1 s");
    expect(f.seconds(1.239)).toBe("1.24 s");
    expect(f.seconds(125.4)).toBe("2 min 5 s");
    expect(f.seconds(99.96)).toBe("1 min 40 s");
  });
});

describe("change", () => {
  it("is new against an empty period, whatever its numbers say", () => {
    expect(f.change(12, 0, true)).toEqual({ kind: "new", text: "new" });
    expect(f.change(0.5, null, true)).toEqual({ kind: "new", text: "new" });
    expect(f.change(0, 0, true).text).toBe("–");
  });
  it("is unknown where a number is missing", () => {
    expect(f.change(null, 4, false).text).toBe("–");
    expect(f.change(null, 4, true).text).toBe("–");
    expect(f.change(4, null, false).text).toBe("–");
  });
  it("is a percentage of the period before", () => {
    expect(f.change(110, 100, false)).toEqual({ kind: "up", text: "+10.0 %" });
    expect(f.change(0, 100, false)).toEqual({ kind: "down", text: "−100 %" });
    expect(f.change(100, 100, false).kind).toBe("same");
    expect(f.change(1_000_001, 1_000_000, false).text).toBe("no change");
    expect(f.change(3400, 100, false).text).toBe("×34");
  });
  it("is a difference where the period before had traffic and a zero", () => {
    expect(f.change(3, 0, false)).toEqual({ kind: "up", text: "+3" });
  });
});

describe("times", () => {
  const d = new Date(2026, 10, 21, 9, 5, 3, 7);
  it("are the viewer's, with the offset, and UTC beside them", () => {
    expect(f.stamp(d)).toBe("2026-11-21 09:05:03");
    expect(f.fullStamp(d)).toMatch(/^2026-11-21 09:05:03\.007 [+−]\d\d:\d\d$/);
    expect(f.utcStamp(new Date("2026-11-21T08:05:03.007Z"))).toBe("2026-11-21 08:05:03.007 UTC");
  });
  it("reads half-hour and negative offsets", () => {
    const at = (minutes: number) => f.offset({ getTimezoneOffset: () => minutes } as Date);
    expect(at(-60)).toBe("+01:00");
    expect(at(-345)).toBe("+05:45");
    expect(at(210)).toBe("−03:30");
    expect(at(0)).toBe("+00:00");
  });
  it("rejects what is no time", () => {
    expect(f.parse("yesterday")).toBeNull();
    expect(f.parse(null)).toBeNull();
  });
  it("tells the age", () => {
    const now = d.getTime();
    expect(f.ago(new Date(now - 2_000), now)).toBe("just now");
    expect(f.ago(new Date(now - 59_000), now)).toBe("59 s ago");
    expect(f.ago(new Date(now - 3_599_000), now)).toBe("59 min ago");
    expect(f.ago(new Date(now - 47 * 3_600_000), now)).toBe("47 h ago");
    expect(f.ago(new Date(now - 49 * 3_600_000), now)).toBe("2 d ago");
    expect(f.ago(new Date(now + 120_000), now)).toBe("in the future");
  });
});
