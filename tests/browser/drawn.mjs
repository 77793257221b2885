// What a chart says and draws, read off the page: its table as copied, what it reads out at each point, and the places of
// its points and bars in pixels.
import { digits, settled, until } from "./support.mjs";

const cells = line => [...line.matchAll(/(?:^|,)("(?:[^"]|"")*"|[^,]*)/g)].map(m => m[1].replace(/^"|"$/g, ""));

export const figure = (page, title) =>
  page.locator("figure.chart", { has: page.getByRole("heading", { name: title, exact: true }) });

// The columns that "copy as CSV" gives: by name, numbers; `time` in milliseconds.
export async function copied(page, title) {
  const read = () => page.evaluate(() => navigator.clipboard.readText());
  await page.evaluate(() => navigator.clipboard.writeText("nothing"));
  await figure(page, title).getByRole("button", { name: / as CSV$/ }).click();
  await until(async () => (await read()) !== "nothing", true, `${title} is copied`);
  const [head, ...lines] = (await read()).trimEnd().split("\r\n").map(cells);
  const number = (v, i) => (head[i] === "time" ? Date.parse(v) : v === "" ? null : Number(v));
  return Object.fromEntries(head.map((name, i) => [name, lines.map(l => number(l[i], i))]));
}

// At each point, by the arrow keys: what is read out, and how far from the top its points are drawn (bars have none).
export async function walked(page, title) {
  return figure(page, title)
    .getByRole("slider")
    .evaluate(async plot => {
      const points = [],
        press = async key => {
          plot.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
          await new Promise(done => setTimeout(done));
        };
      for (let i = 0; i <= Number(plot.ariaValueMax); i++) {
        await press(i ? "ArrowRight" : "Home");
        points.push({
          said: plot.ariaValueText,
          tops: [...plot.querySelectorAll(".u-cursor-pt")].map(p =>
            p.classList.contains("u-off") ? null : new DOMMatrix(p.style.transform).f,
          ),
        });
      }
      return points;
    });
}

// Of each column of pixels how many are of each colour, by the names of the colours. Columns are told as times.
const pixels = (page, title, at, { from, to }, tones) =>
  figure(page, title)
    .getByRole("slider")
    .evaluate(
      (plot, { at, from, to, tones }) => {
        const canvas = plot.querySelector("canvas"),
          draw = canvas.getContext("2d"),
          box = canvas.getBoundingClientRect(),
          unit = canvas.width / box.width,
          over = plot.querySelector(".u-over").getBoundingClientRect(),
          [top, height] = [over.top - box.top, over.height].map(y => Math.round(y * unit));
        const probe = new OffscreenCanvas(1, 1).getContext("2d");
        const colours = tones.map(t => {
          probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${t}`);
          probe.fillRect(0, 0, 1, 1);
          return probe.getImageData(0, 0, 1, 1).data.join();
        });
        return at.map(t => {
          const x = Math.round((over.left - box.left + (over.width * (t - from)) / (to - from)) * unit),
            { data } = draw.getImageData(x, top, 1, height),
            counts = colours.map(() => 0);
          for (let k = 0; k < data.length; k += 4) {
            const of = colours.indexOf(data.slice(k, k + 4).join());
            if (of >= 0) counts[of]++;
          }
          return counts;
        });
      },
      { at, from, to, tones },
    );

// Of each bar the height of each colour. A marker's line may stand in one column: the one beside it has the bar too.
export async function bars(page, title, times, to, tones) {
  const width = times[1] - times[0],
    range = { from: times[0], to };
  const [a, b] = await Promise.all(
    [0.3, 0.5].map(part => pixels(page, title, times.map(t => t + part * width), range, tones)),
  );
  return a.map((counts, i) => counts.map((n, k) => Math.max(n, b[i][k])));
}

// How many pixels of the colour of markers stand at each of these times.
export const flags = async (page, title, times, range) =>
  (await pixels(page, title, times, range, ["muted"])).map(([n]) => n);

// The heights of a sparkline's points, from the top of its box; null where there is a gap.
export function spark(path, length) {
  const at = new Map([...path.matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map(m => [m[1], Number(m[2])]));
  return Array.from({ length }, (_, i) => at.get(((i * 100) / Math.max(length - 1, 1)).toFixed(1)) ?? null);
}

// How many failures the page Fleet tells of, once a number elsewhere has led there.
export async function failures(page) {
  await page.waitForURL(/\/ui\/fleet\?.*#failures$/);
  await settled(page);
  await page.waitForFunction(() => {
    const box = document.querySelector("#failures h2")?.getBoundingClientRect();
    return box && box.top >= 0 && box.bottom < innerHeight;
  });
  return digits(/([\d,]+) of models/.exec(await page.locator("#failures h2").innerText())[1]);
}

// A table as it is drawn: by the first line of each row's first cell, the texts of its cells, of the links
// in them, and their times.
export async function tableOf(page, name) {
  const rows = page.getByRole("region", { name, exact: true }).locator("tbody tr:not(.waiting)");
  await rows.first().waitFor();
  const read = await rows.evaluateAll(all =>
    all.map(tr =>
      [...tr.cells].map(td => ({
        text: td.innerText.trim(),
        times: [...td.querySelectorAll("time")].map(t => Date.parse(t.dateTime)),
        links: [...td.querySelectorAll("a")].map(a => a.innerText.trim()),
      })),
    ),
  );
  return new Map(read.map(cells => [cells[0].text.split("\n")[0].trim(), cells]));
}
