// Copying what is seen: every table and chart as CSV and as a PNG. Pictures are drawn here, cell by cell and from the
// chart's own canvas; nothing is rendered from markup.
import { useEffect, useState } from "preact/hooks";
import { toCsv, type Cell } from "./csv";
import { copy, Icon, type IconName } from "./ui";

export interface Source {
  csv: () => string;
  png: () => HTMLCanvasElement | null | Promise<HTMLCanvasElement | null>;
}

function save(blob: Blob, name: string): void {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(blob);
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10_000);
}

// To the clipboard; where the browser does not let pages write pictures there (plain http), as a file.
async function copyPicture(canvas: HTMLCanvasElement, name: string): Promise<string> {
  const blob = await new Promise<Blob | null>(done => canvas.toBlob(done, "image/png"));
  if (!blob) return "Too large";
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    return "Copied";
  } catch {
    save(blob, `${name}.png`);
    return "Saved";
  }
}

export function Exports({ name, what, source }: { name: string; what: string; source: () => Source | null }) {
  const [said, say] = useState<[string, string]>(["", ""]);
  useEffect(() => {
    if (!said[1]) return undefined;
    const timer = setTimeout(() => say(["", ""]), 1600);
    return () => clearTimeout(timer);
  }, [said]);
  const csv = async () => {
    const s = source();
    if (!s) return;
    const text = s.csv();
    if (await copy(text)) return say(["csv", "Copied"]);
    save(new Blob([text], { type: "text/csv" }), `${name}.csv`);
    say(["csv", "Saved"]);
  };
  const png = async () => {
    const canvas = await source()?.png();
    say(["png", canvas ? await copyPicture(canvas, name) : "Nothing to copy"]);
  };
  const button = (id: string, icon: IconName, label: string, act: () => void) => (
    <button type="button" class="bare" aria-label={`Copy ${what} as ${label}`} title={`Copy as ${label}`} onClick={act}>
      <Icon name={said[0] === id ? "check" : icon} />
    </button>
  );
  return (
    <span class="exports">
      {button("csv", "copy", "CSV", csv)}
      {button("png", "image", "PNG", png)}
      <span class="said" role="status">
        {said[1]}
      </span>
    </span>
  );
}

// A cell as data: what `data-csv` says, a time in full, else its text.
function cellOf(td: HTMLElement): Cell {
  const raw = td.dataset["csv"];
  if (raw !== undefined) return raw;
  const time = td.querySelector("time")?.dateTime;
  if (time) return time;
  const copied = td.cloneNode(true) as HTMLElement;
  for (const e of copied.querySelectorAll(".pick, .offscreen, svg")) e.remove();
  const text = (copied.textContent ?? "").replace(/\s+/g, " ").trim();
  return text === "–" ? "" : text;
}

const rowsOf = (table: HTMLTableElement): HTMLElement[][] =>
  [...table.rows]
    .filter(r => !r.hasAttribute("aria-hidden"))
    .map(r => [...r.cells].filter(c => !c.matches("[data-skip], .acts")));

function tableCsv(table: HTMLTableElement): string {
  const [head = [], ...rows] = rowsOf(table);
  return toCsv(
    head.map(c => String(cellOf(c) ?? "")),
    rows.map(r => r.map(cellOf)),
  );
}

// Of a table that is no DataTable: the one in the region of that label, as it stands.
export function TableExports({ name, label }: { name: string; label: string }) {
  const source = (): Source | null => {
    const table = document.querySelector<HTMLTableElement>(`[aria-label=${JSON.stringify(label)}] table`);
    return table && { csv: () => tableCsv(table), png: () => tablePng(table, label) };
  };
  return <Exports name={name} what={label} source={source} />;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function sheet(width: number, height: number): { canvas: HTMLCanvasElement; draw: CanvasRenderingContext2D } | null {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * 2);
  canvas.height = Math.round(height * 2);
  const draw = canvas.getContext("2d");
  if (!draw) return null;
  draw.scale(2, 2);
  draw.fillStyle = css("--surface");
  draw.fillRect(0, 0, width, height);
  draw.textBaseline = "middle";
  return { canvas, draw };
}

function fit(draw: CanvasRenderingContext2D, text: string, width: number): string {
  if (draw.measureText(text).width <= width) return text;
  let n = text.length;
  while (n > 1 && draw.measureText(text.slice(0, n) + "…").width > width) n--;
  return text.slice(0, n) + "…";
}

// As it stands on the page: the widths of its columns, its font and colours, without its buttons. At most 400 rows.
export function tablePng(table: HTMLTableElement, title: string): HTMLCanvasElement | null {
  const rows = rowsOf(table).slice(0, 401),
    line = 24,
    top = 36;
  const widths = (rows[0] ?? []).map(c => Math.max(24, c.getBoundingClientRect().width));
  const on = sheet(
    widths.reduce((a, b) => a + b, 32),
    top + rows.length * line + 16,
  );
  if (!on) return null;
  const { canvas, draw } = on,
    font = css("--font");
  draw.fillStyle = css("--ink");
  draw.font = `600 13px ${font}`;
  draw.fillText(title, 16, 20);
  rows.forEach((cells, r) => {
    let x = 16;
    const y = top + r * line;
    cells.forEach((c, i) => {
      const width = widths[i] ?? 80,
        copied = c.cloneNode(true) as HTMLElement;
      for (const e of copied.querySelectorAll(".pick, .offscreen, svg")) e.remove();
      draw.font = `${r === 0 ? 500 : 400} 12px ${font}`;
      draw.fillStyle = css(r === 0 ? "--muted" : "--ink");
      const text = fit(draw, (copied.textContent ?? "").replace(/\s+/g, " ").trim(), width - 12);
      const right = c.classList.contains("num");
      draw.textAlign = right ? "right" : "left";
      draw.fillText(text, right ? x + width - 8 : x, y + line / 2);
      x += width;
    });
    draw.fillStyle = css("--line");
    draw.fillRect(16, y + line - 1, x - 16, 1);
  });
  draw.textAlign = "left";
  return canvas;
}

// The chart's own canvas under its title and legend.
export function chartPng(plot: HTMLCanvasElement, title: string, legend: [string, string][]): HTMLCanvasElement | null {
  const ratio = plot.width / Math.max(1, plot.clientWidth || plot.width),
    width = plot.width / ratio,
    height = plot.height / ratio;
  const on = sheet(width + 16, height + 36);
  if (!on) return null;
  const { canvas, draw } = on,
    font = css("--font");
  draw.fillStyle = css("--ink");
  draw.font = `600 13px ${font}`;
  draw.fillText(title, 8, 16);
  let x = 24 + draw.measureText(title).width;
  draw.font = `12px ${font}`;
  for (const [name, colour] of legend) {
    draw.fillStyle = colour;
    draw.fillRect(x, 12, 10, 8);
    draw.fillStyle = css("--muted");
    draw.fillText(name, x + 14, 16);
    x += 30 + draw.measureText(name).width;
  }
  draw.drawImage(plot, 8, 32, width, height);
  return canvas;
}

// Bars of one, outline of the other, both as shares.
export function histogramPng(
  title: string,
  now: { name: string; total: number; counts: number[] },
  base: { name: string; total: number; counts: number[] },
): HTMLCanvasElement | null {
  const on = sheet(640, 280);
  if (!on) return null;
  const { canvas, draw } = on,
    font = css("--font"),
    share = (b: typeof now, i: number) => (b.total ? b.counts[i]! / b.total : 0),
    top = Math.max(0.01, ...now.counts.map((_, i) => Math.max(share(now, i), share(base, i)))),
    width = 600 / now.counts.length,
    y = (s: number) => 244 - (s / top) * 180;
  draw.fillStyle = css("--ink");
  draw.font = `600 13px ${font}`;
  draw.fillText(title, 20, 18);
  draw.font = `12px ${font}`;
  draw.fillStyle = css("--muted");
  draw.fillText(`bars: ${now.name} (${now.total}), line: ${base.name} (${base.total})`, 20, 40);
  [0, 0.25, 0.5, 0.75, 1].forEach(v => draw.fillText(v.toFixed(2), 8 + v * 600, 260));
  draw.fillStyle = css("--accent");
  now.counts.forEach((_, i) => draw.fillRect(21 + i * width, y(share(now, i)), width - 2, 244 - y(share(now, i))));
  draw.strokeStyle = css("--ink");
  draw.beginPath();
  draw.moveTo(20, 244);
  base.counts.forEach((_, i) => {
    draw.lineTo(20 + i * width, y(share(base, i)));
    draw.lineTo(20 + (i + 1) * width, y(share(base, i)));
  });
  draw.stroke();
  return canvas;
}
