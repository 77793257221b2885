import { expect, test } from "vitest";
import { maskPath, panned, polygonPath, runs, skeletonPath, WHOLE, zoomed } from "../src/overlay";

test("run lengths are read as pycocotools writes them", () => {
  // mask.encode of a 6 x 8 mask whose columns 2..4 are set in rows 1..3: uncompressed 13 3 3 3 3 3 20.
  expect(runs([13, 3, 3])).toEqual([13, 3, 3]);
  expect(runs("=33000a0")).toEqual([13, 3, 3, 3, 3, 3, 20]);
  // Values past five bits go on in the next character: 1000 is 0b11111 01000.
  expect(runs("Xo0")).toEqual([1000]);
});

test("a mask is strips of its columns, whole columns in one", () => {
  expect(maskPath({ height: 6, width: 8, counts: [13, 3, 3, 3, 3, 3, 20] })).toBe(
    "M2 1h1v3h-1zM3 1h1v3h-1zM4 1h1v3h-1z",
  );
  expect(maskPath({ height: 4, width: 5, counts: [6, 11, 3] })).toBe("M1 2h1v2h-1zM2 0h2v4h-2zM4 0h1v1h-1z");
  expect(maskPath({ height: 2, width: 2, counts: [1, 9] }), "longer than the mask").toBe("");
});

test("polygons and skeletons", () => {
  expect(
    polygonPath([
      { x: 1, y: 2 },
      { x: 3, y: 4 },
    ]),
  ).toBe("");
  expect(
    polygonPath([
      { x: 1, y: 2 },
      { x: 3, y: 4 },
      { x: 5, y: 0 },
    ]),
  ).toBe("M1 2L3 4L5 0z");
  const at = (name: string, x: number) => ({ name, x, y: x, confidence: 1 });
  expect(skeletonPath([at("left shoulder", 1), at("left_elbow", 2), at("nose", 3)])).toBe("M1 1L2 2");
});

test("zooming keeps what is under the pointer, and the picture fills its frame", () => {
  const twice = zoomed(WHOLE, 2, 0.25, 0.5);
  expect(twice).toEqual({ zoom: 2, x: -0.25, y: -0.5 });
  expect((0.25 - twice.x) / twice.zoom).toBe(0.25);
  expect(panned(twice, 5, -5)).toEqual({ zoom: 2, x: 0, y: -1 });
  expect(zoomed(twice, 0.1)).toEqual(WHOLE);
  expect(zoomed(WHOLE, 1e9).zoom).toBe(16);
});
