import { expect, test } from "vitest";
import { inference, type Page } from "../src/api";
import { begun, grown, refreshed, without } from "../src/held";

const row = (id: string, metadata: Record<string, unknown> = {}) => inference({ inference_id: id, metadata });
const page = (ids: string[], next: string | null = null): Page => ({
  inferences: ids.map(i => row(i)),
  next,
  asOf: null,
});
const ids = (h: { rows: { id: string }[] }) => h.rows.map(r => r.id).join("");

test("new rows go in by themselves only while nobody is at the table", () => {
  const held = begun("k", page(["b", "a"], "c1"));
  expect(ids(refreshed(held, page(["c", "b", "a"], "c2"), false, 100))).toBe("cba");
  const busy = refreshed(held, page(["d", "c", "b"], "c2"), true, 100);
  expect([ids(busy), busy.fresh, busy.next]).toEqual(["ba", 2, "c1"]);
  expect(ids(begun("k", busy.waiting!))).toBe("dcb");
});

test("what was read beyond the first page stays, and nothing comes twice", () => {
  const held = grown(begun("k", page(["d", "c"], "n1")), page(["c", "b", "a"]));
  expect([ids(held), held.next]).toEqual(["dcba", null]);
  const later = refreshed(held, { ...page([]), inferences: [row("d", { shift: "late" }), row("c")] }, false, 2);
  expect(ids(later)).toBe("dcba");
  expect(later.rows[0]!.metadata).toEqual({ shift: "late" });
  expect(refreshed(held, page(["e", "d"]), false, 2).fresh).toBe(1);
  expect(ids(without(held, r => r.id === "c"))).toBe("dba");
});

test("an empty list is filled at once", () => {
  expect(ids(refreshed(begun("k", page([])), page(["a"]), true, 100))).toBe("a");
});
