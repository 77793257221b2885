import { expect, it } from "vitest";
import { toCsv } from "../src/csv";

it("a table as CSV keeps what spreadsheets would break, and is no formula", () => {
  expect(
    toCsv(
      ["a", 'b "x"'],
      [
        ["1,5", null],
        [-2.5, true],
        ["two\nlines", "=1+1"],
        ["-12", "@x"],
      ],
    ),
  ).toBe('a,"b ""x"""\r\n"1,5",\r\n-2.5,true\r\n"two\nlines",\'=1+1\r\n-12,\'@x\r\n');
});
