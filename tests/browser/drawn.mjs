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

// Of each bar the pixels of each colour in its column, by the names of the colours.
export async function bars(page, title, times, to, tones) {
  return figure(page, title)
    .getByRole("slider")
    .evaluate(
      (plot, { times, to, tones }) => {
        const canvas = plot.querySelector("canvas"),
          draw = canvas.getContext("2d"),
          unit = canvas.width / canvas.getBoundingClientRect().width,
          over = plot.querySelector(".u-over").getBoundingClientRect(),
          left = over.left - canvas.getBoundingClientRect().left,
          top = over.top - canvas.getBoundingClientRect().top,
          step = (over.width * (times[1] - times[0])) / (to - times[0]);
        const probe = new OffscreenCanvas(1, 1).getContext("2d");
        const colours = tones.map(t => {
          probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${t}`);
          probe.fillRect(0, 0, 1, 1);
          return probe.getImageData(0, 0, 1, 1).data.join();
        });
        return times.map((_, i) => {
          const x = Math.round((left + i * step + Math.min(0.86 * step, 40) / 2) * unit);
          // A marker's line may stand in one column: the one beside it has the bar too.
          const counts = [x, x + 1].map(at => {
            const { data } = draw.getImageData(at, Math.round(top * unit), 1, Math.round(over.height * unit)),
              of = colours.map(() => 0);
            for (let k = 0; k < data.length; k += 4) {
              const at = colours.indexOf(data.slice(k, k + 4).join());
              if (at >= 0) of[at]++;
            }
            return of;
          });
          return colours.map((_, k) => Math.max(counts[0][k], counts[1][k]));
        });
      },
      { times, to, tones },
    );
}

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

// A table as it is drawn: by the first line of each row's first cell, the texts of its cells and of the links in them.
export async function tableOf(page, name) {
  const rows = page.getByRole("region", { name, exact: true }).locator("tbody tr:not(.waiting)");
  await rows.first().waitFor();
  const read = await rows.evaluateAll(all =>
    all.map(tr =>
      [...tr.cells].map(td => ({
        text: td.innerText.trim(),
        links: [...td.querySelectorAll("a")].map(a => a.innerText.trim()),
      })),
    ),
  );
  return new Map(read.map(cells => [cells[0].text.split("\n")[0].trim(), cells]));
}
