import { expect, test } from "vitest";
import { without } from "../src/facets";
import { alike } from "../src/pages/metadata";
import { target } from "../src/settings/views";

test("names that are alike stand together once, the most used first", () => {
  const f = (name: string, inferences: number, ...near: string[]) => ({ name, inferences, near });
  expect(
    alike([
      f("My_location", 3, "my_location", "my location"),
      f("my_location", 90, "My_location", "my location"),
      f("shift", 50),
      f("my location", 1, "my_location", "My_location"),
    ]),
  ).toEqual([["my_location", "My_location", "my location"]]);
  expect(alike([f("a", 1, "gone")])).toEqual([]);
});

test("a facet is counted without what the filter says of it", () => {
  expect(without('model:coco shift:night -shift:late metadata."a b":x confidence<0.5', "metadata.shift")).toBe(
    'model:coco metadata."a b":x confidence<0.5',
  );
  expect(without('model:coco metadata."a b":x', "metadata.a b")).toBe("model:coco");
  expect(without("model:coco class:a", "model")).toBe("class:a");
});

test("a view leads to a page of the dashboard, whatever it says", () => {
  const view = (page: string, query = "") => target({ id: "a", name: "a", page, query, by: null, changed: null });
  expect(view("inferences", "range=24h&filter=a:b c")).toBe("/ui/inferences?range=24h&filter=a%3Ab+c");
  expect(view("model/coco")).toBe("/ui/model/coco");
  expect(view("overview")).toBe("/ui/");
  expect(view("//evil.example/x")).toBe("/ui/");
  expect(view("javascript:alert(1)")).toBe("/ui/");
});
