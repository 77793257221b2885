import { describe, expect, it } from "vitest";
import * as u from "../src/url";

const at = (link: string) => {
  const url = new URL(link, "http://localhost");
  return u.parseRoute(url.pathname, url.search);
};
const scope: u.Scope = { filter: 'a:"b c" -d:é&=', range: "24h", from: null, to: null };
const fixed: u.Scope = { filter: "", range: null, from: "2026-11-21T00:00:00Z", to: "2026-11-21T01:00:00.5Z" };

describe("a link", () => {
  it("comes back as the state it was made from", () => {
    for (const s of [scope, fixed, u.ANY]) {
      for (const view of [
        u.PLAIN,
        {
          counting: "monitoring",
          by: 'metadata.a b"',
          compare: { back: 604_800, from: null, to: null, filter: null },
          sort: "-errors",
        },
        { ...u.PLAIN, compare: { back: null, from: fixed.from, to: fixed.to, filter: "" } },
      ] as u.View[]) {
        expect(at(u.overviewLink(s, view))).toEqual({ page: "overview", scope: s, view });
        expect(at(u.modelLink(s, "a/b", ["1", "2"], view))).toEqual({
          page: "model",
          scope: s,
          name: "a/b",
          versions: ["1", "2"],
          view,
        });
      }
      expect(at(u.fleetLink(s, { device: "a&b", sort: "-errors" }))).toEqual({
        page: "fleet",
        scope: s,
        device: "a&b",
        sort: "-errors",
      });
      expect(at(u.modelsLink(s))).toEqual({ page: "models", scope: s, sort: null });
      expect(
        at(u.inferencesLink(s, { columns: ["time", "m.a,b", "m.%"], facets: true, at: "2026-11-20T10:00:00.000Z" })),
      ).toEqual({
        page: "inferences",
        scope: s,
        view: { columns: ["time", "m.a,b", "m.%"], facets: true, at: "2026-11-20T10:00:00.000Z" },
      });
      expect(at(u.inferenceLink(s, "a/b?#%", 2, "coco/24"))).toEqual({
        page: "inference",
        scope: s,
        id: "a/b?#%",
        index: 2,
        model: "coco/24",
      });
    }
  });
  it("is short when nothing is set", () => {
    expect(u.overviewLink(u.ANY)).toBe("/ui/");
    expect(u.inferencesLink(u.ANY)).toBe("/ui/inferences");
    expect(u.inferenceLink(u.ANY, "x", null, null)).toBe("/ui/inference/x");
  });
  it("with nonsense in it still leads somewhere", () => {
    expect(at("/ui/?range=9y&from=soon")).toEqual({ page: "overview", scope: u.ANY, view: u.PLAIN });
    expect(at("/ui/inference/%E0%A4%A?index=-1")).toMatchObject({ page: "inference", id: "%E0%A4%A", index: null });
    expect(at("/ui/what/ever").page).toBe("unknown");
    expect(at("/ui/settings/keys")).toEqual({ page: "settings", scope: u.ANY, section: "keys" });
    expect(at("/ui/settings")).toMatchObject({ page: "settings", section: null });
    expect(at("/ui/view/k3jd9x2a")).toEqual({ page: "view", scope: u.ANY, id: "k3jd9x2a" });
    expect(at("/ui/model").page).toBe("unknown");
    expect(at("/ui").page).toBe("overview");
  });
});

describe("a range", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  it("follows the clock or stands still", () => {
    expect(u.window(scope, now)).toEqual({ from: "2026-11-20T12:00:00.000Z", to: "2026-11-21T12:00:00.000Z" });
    expect(u.window(fixed, now)).toEqual({ from: fixed.from, to: fixed.to });
    expect(u.window(u.ANY, now)).toEqual({ from: null, to: null });
  });
  it("is cut into at most 100 bars", () => {
    expect(u.bucketFor(3600)).toBe(60);
    expect(u.bucketFor(86_400)).toBe(900);
    expect(u.bucketFor(7 * 86_400)).toBe(7200);
    expect(u.bucketFor(30 * 86_400)).toBe(28_800);
    for (const s of [1, 1e3, 1e5, 1e7, 1e9]) expect(s / u.bucketFor(s)).toBeLessThanOrEqual(100);
  });
});
