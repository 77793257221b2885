import { describe, expect, it } from "vitest";
import * as f from "../src/filter";

describe("clauses", () => {
  it("split at white space outside quotes, brackets and parentheses", () => {
    expect(f.clauses('model:coco  -shift:night class:bottle[confidence>0.5 x]>=2 a:(x or y)\t"two words"')).toEqual([
      "model:coco",
      "-shift:night",
      "class:bottle[confidence>0.5 x]>=2",
      "a:(x or y)",
      '"two words"',
    ]);
  });
  it("keep an escaped quote inside its clause", () => {
    expect(f.clauses('a:"say \\"hi there\\"" b:1')).toEqual(['a:"say \\"hi there\\""', "b:1"]);
  });
  it("joined by or are one, blanks around a comparison belong to it, and says nothing", () => {
    expect(f.clauses(" a:b or c:d e:f ")).toEqual(["a:b or c:d e:f"]);
    expect(f.clauses("a:b and confidence < 0.5 c >=1")).toEqual(["a:b", "confidence<0.5", "c>=1"]);
  });
  it("keep what is left open as one clause, and bear stray closers", () => {
    expect(f.clauses('a:"b c')).toEqual(['a:"b c']);
    expect(f.clauses("a:(b c")).toEqual(["a:(b c"]);
    expect(f.clauses("a) b")).toEqual(["a)", "b"]);
    expect(f.clauses("   ")).toEqual([]);
  });
});

describe("a chip", () => {
  it("shows field, operator and value", () => {
    expect(f.parts("-shift:night")).toEqual({ negated: true, field: "shift", operator: ":", value: "night" });
    expect(f.parts("confidence<=0.5")).toEqual({ negated: false, field: "confidence", operator: "<=", value: "0.5" });
    expect(f.parts('metadata."a b":"c:d"')).toEqual({
      negated: false,
      field: 'metadata."a b"',
      operator: ":",
      value: '"c:d"',
    });
    expect(f.parts("abc")).toEqual({ negated: false, field: "", operator: "", value: "abc" });
  });
});

describe("a clause for a value", () => {
  it("quotes what the language would read otherwise", () => {
    expect(f.clauseFor("model", "coco/24")).toBe("model:coco/24");
    expect(f.clauseFor("class", "traffic light")).toBe('class:"traffic light"');
    expect(f.clauseFor("x", "A*")).toBe('x:"A*"');
    expect(f.clauseFor("x", "80..120")).toBe('x:"80..120"');
    expect(f.clauseFor("x", '<img onerror="a\\b">')).toBe('x:"<img onerror=\\"a\\\\b\\">"');
    expect(f.clauseFor("x", "")).toBe('x:""');
    expect(f.clauseFor("x", "-5")).toBe('x:"-5"');
    expect(f.clauseFor("x", true)).toBe("x:true");
  });
  it("reaches a field whose name is built in or odd", () => {
    expect(f.metadataName("camera_location")).toBe("camera_location");
    expect(f.metadataName("model")).toBe('metadata."model"');
    expect(f.metadataName("a b")).toBe('metadata."a b"');
    expect(f.metadataName('q"')).toBe('metadata."q\\""');
  });
  it("replaces its opposite and is not added twice", () => {
    expect(f.withClause("a:b -c:d", "c:d")).toBe("a:b c:d");
    expect(f.withClause("a:b", "-a:b")).toBe("-a:b");
    expect(f.withClause("a:b", "a:b")).toBe("a:b");
    expect(f.withClause("a:b or c:d", "e:f")).toBe("(a:b or c:d) e:f");
    expect(f.withClause("has:a", "has:b")).toBe("has:a has:b");
    expect(f.withoutClause("a:b c:d e", 1)).toBe("a:b e");
  });
  it("narrows: a value replaces the field's others, a class is counted beside them", () => {
    expect(f.withClause("model:coco -model:x confidence<0.5", "model:coco/24")).toBe(
      "-model:x confidence<0.5 model:coco/24",
    );
    expect(f.withClause("shift:(a or b) c:d", "shift:a")).toBe("c:d shift:a");
    expect(f.withClause("class:cat", "class:dog")).toBe("class:cat class:dog>=1");
    expect(f.withClause("class:cat class:dog>=1", "class:dog")).toBe("class:cat class:dog>=1");
  });
});

it("an error's byte is found in text beyond ASCII", () => {
  expect(f.characterAt("größe:x", 8)).toBe(6);
  expect(f.characterAt("😀:x", 4)).toBe(2);
  expect(f.characterAt("abc", 99)).toBe(3);
});
