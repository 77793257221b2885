import { describe, expect, it } from "vitest";
import type { Facet, Fields } from "../src/api";
import { offers, valuesAsked } from "../src/complete";

const fields: Fields = {
  fields: [
    { name: "camera_location", inferences: 12, top: [] },
    { name: "part no", inferences: 3, top: [] },
    { name: "model", inferences: 1, top: [] },
  ],
  pending: { ids: 0, oldest: null },
};
const facet: Facet = {
  of: "metadata.camera_location",
  inferences: 12,
  values: 3,
  top: [
    { value: "canada", count: 7 },
    { value: "new york", count: 4 },
    { value: "a:b", count: 1 },
  ],
};
const texts = (draft: string, f: Facet | null = null) => offers(draft, fields, f).map(o => o.text);

describe("completion", () => {
  it("offers names first, the ones that begin with what is typed before others", () => {
    expect(texts("cam")).toEqual(["camera_location:"]);
    expect(texts("source").slice(0, 2)).toEqual(["source:", "source_info:"]);
    expect(texts("mod")).toEqual(["model:", 'metadata."model":']);
    expect(texts("-part")).toContain('-metadata."part no":');
    expect(offers("has:err", fields, null)[0]).toMatchObject({ text: "has:error", whole: true });
  });
  it("offers the server's values, quoted where the language needs it", () => {
    expect(texts("camera_location:", facet)).toEqual([
      "camera_location:canada",
      'camera_location:"new york"',
      'camera_location:"a:b"',
    ]);
    expect(texts('-camera_location:"new', facet)).toEqual(['-camera_location:"new york"']);
  });
  it("asks for the facet of the field that is named, narrowed to what is typed", () => {
    expect(valuesAsked("camera_location:can", fields)).toEqual({
      of: "metadata.camera_location",
      clause: "camera_location:*can*",
    });
    expect(valuesAsked('metadata."part no":', fields)).toEqual({ of: "metadata.part no", clause: "" });
    expect(valuesAsked('metadata."model":x', fields)).toMatchObject({ of: "metadata.model" });
    expect(valuesAsked("model:co", fields)).toEqual({ of: "model", clause: "" });
    expect(valuesAsked("confidence<0", fields)).toBeNull();
    expect(valuesAsked("has:x", fields)).toBeNull();
    expect(valuesAsked("nobody:x", fields)).toBeNull();
  });
});
