import { describe, expect, it } from "vitest";
import { shiftsAt, USUAL, type Calendar } from "../src/shifts";

const berlin: Calendar = { ...USUAL, zone: "Europe/Berlin" };
const at = (c: Calendar, iso: string) => {
  const { current, last } = shiftsAt(c, Date.parse(iso));
  const show = (s: typeof last) =>
    s && [s.name, new Date(s.from).toISOString(), new Date(s.to).toISOString()].join(" ");
  return { current: show(current), last: show(last) };
};

describe("shifts", () => {
  it("are of the plant's clock, and the night one began yesterday", () => {
    expect(at(berlin, "2026-11-22T02:00:00Z")).toEqual({
      current: "night 2026-11-21T21:00:00.000Z 2026-11-22T05:00:00.000Z",
      last: "late 2026-11-21T13:00:00.000Z 2026-11-21T21:00:00.000Z",
    });
    // A shift begins at its first instant and has ended at its last.
    expect(at(berlin, "2026-11-22T05:00:00Z").current).toMatch(/^early 2026-11-22T05:00/);
    expect(at(berlin, "2026-11-22T04:59:59.999Z").current).toMatch(/^night/);
  });
  it("are an hour longer or shorter when the clocks change in them", () => {
    const length = (iso: string) => {
      const s = shiftsAt(berlin, Date.parse(iso)).current!;
      return (s.to - s.from) / 3_600_000;
    };
    expect(length("2026-10-24T22:00:00Z")).toBe(9);
    expect(length("2026-03-28T23:00:00Z")).toBe(7);
  });
  it("of working days leave a gap, which is named as none", () => {
    const week: Calendar = {
      zone: "UTC",
      shifts: [{ name: "day", from: "08:00", to: "16:00", days: [1, 2, 3, 4, 5] }],
    };
    // 2026-11-22 is a Sunday.
    expect(at(week, "2026-11-22T12:00:00Z")).toEqual({
      current: " 2026-11-20T16:00:00.000Z 2026-11-22T12:00:00.000Z",
      last: "day 2026-11-20T08:00:00.000Z 2026-11-20T16:00:00.000Z",
    });
  });
  it("of no calendar, or of a zone that nobody knows, are no fault", () => {
    expect(shiftsAt({ zone: "UTC", shifts: [] }, 0)).toEqual({ current: null, last: null });
    expect(shiftsAt({ ...USUAL, zone: "Mars/Olympus" }, Date.now()).current?.name).not.toBe("");
  });
});
