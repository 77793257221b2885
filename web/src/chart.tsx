// A time chart: bars or lines over the range, one or several, with the range it is compared with as a dashed line. A
// click (or Enter) on a point opens what it stands for, dragging zooms. What is under the cursor is read out in the
// legend, which has its place reserved, so that nothing moves; charts of a page share the cursor.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { toCsv } from "./csv";
import { chartPng, Exports } from "./exporting";
import { NONE, span, utcStamp } from "./format";
import { usePaper } from "./paper";
import { alone, sparkline, stacked } from "./series";
import { useMedia } from "./state";

export type Tone = "accent" | "alert" | "muted" | "c0" | "c1" | "c2" | "c3" | "c4" | "c5" | "c6" | "c7";

export interface Line {
  name: string;
  values: (number | null)[];
  tone: Tone;
  dashed?: boolean; // of the range that is compared with
  part?: string; // which split it is of: what a click on it opens
}

export interface Band {
  name: string;
  low: (number | null)[];
  high: (number | null)[];
}

export interface Marked {
  time: number; // ms
  text: string;
}

interface Props {
  title: string;
  help?: string;
  file: string;
  times: number[]; // ms, the beginning of each bucket
  width: number; // ms
  lines: Line[]; // bars: stacked on each other, the dashed ones are lines
  band?: Band | null;
  from: number;
  to: number;
  kind: "bars" | "line";
  height: number;
  write: (v: number | null) => string;
  axis: (v: number) => string;
  top?: number; // where the axis ends, if not at the greatest value
  whole?: boolean; // the values are counts: no half on the axis
  markers?: Marked[];
  tools?: ComponentChildren;
  onOpen: (i: number, line: Line) => void;
  onZoom: (from: number, to: number) => void;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// What is drawn: the stacked bars from the tallest to the lowest, so that each covers the rest of the one before.
interface Drawing {
  data: uPlot.AlignedData;
  series: { line: Line | null; tone: Tone; kind: "bars" | "line" | "edge" }[];
}

function drawing({ times, lines, band, kind }: Props): Drawing {
  const bars = kind === "bars" ? lines.filter(l => !l.dashed) : [],
    rest = lines.filter(l => !bars.includes(l));
  const sums = stacked(bars.map(l => l.values));
  const series: Drawing["series"] = [],
    data: (number | null)[][] = [times.map(t => t / 1000)];
  if (band) {
    data.push(band.high, band.low);
    series.push({ line: null, tone: "accent", kind: "edge" }, { line: null, tone: "accent", kind: "edge" });
  }
  for (let i = bars.length - 1; i >= 0; i--) {
    data.push(sums[i]!);
    series.push({ line: bars[i]!, tone: bars[i]!.tone, kind: "bars" });
  }
  for (const line of rest) {
    data.push(line.values);
    series.push({ line, tone: line.tone, kind: "line" });
  }
  return { data: data as uPlot.AlignedData, series };
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null),
    plot = useRef<uPlot | null>(null),
    latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const dark = useMedia("screen and (prefers-color-scheme: dark)"),
    paper = usePaper();
  const { times, lines, band, from, to, width, kind, height } = props;
  const drawn = useMemo(() => drawing(props), [times, lines, band, kind]);
  const current = useRef(drawn);
  current.current = drawn;
  const shape = drawn.series.map(s => `${s.kind} ${s.tone} ${s.line?.dashed}`).join();

  useLayoutEffect(() => {
    const element = box.current!;
    const p = new uPlot(options(latest, drawn, element.clientWidth, setAt), drawn.data, element);
    plot.current = p;
    if (paper) whiten(p.ctx);
    let pressed = 0;
    p.over.addEventListener("mousedown", e => (pressed = e.clientX));
    p.over.addEventListener("click", e => {
      const i = p.cursor.idx;
      if (Math.abs(e.clientX - pressed) >= 4 || typeof i !== "number") return;
      const line = under(p, current.current, i, p.cursor.top ?? 0);
      if (line) latest.current.onOpen(i, line);
    });
    const resized = new ResizeObserver(() => {
      if (element.clientWidth) p.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      p.destroy();
    };
  }, [dark, paper, height, shape]);

  useEffect(() => plot.current?.setData(drawn.data), [drawn, from, to, width]);
  useEffect(() => plot.current?.redraw(false), [props.markers]);

  const move = (i: number) => {
    const p = plot.current,
      next = Math.max(0, Math.min(times.length - 1, i)),
      t = times[next];
    if (!p || t === undefined) return;
    setAt(next);
    p.setCursor({ left: p.valToPos((t + width / 2) / 1000, "x"), top: 10 }, false);
  };
  const key = (e: KeyboardEvent) => {
    const now = at ?? times.length;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: times.length - 1 }[e.key];
    if (to !== undefined) move(to);
    else if (e.key === "Enter" && at !== null && lines[0]) props.onOpen(at, lines.find(l => l.values[at]) ?? lines[0]);
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const t = at === null ? undefined : times[at];
  const when = t === undefined ? "" : span(new Date(t), new Date(t + width));
  const near = t === undefined ? [] : (props.markers ?? []).filter(m => m.time >= t && m.time < t + width);
  const ends = (b: Band) => `${props.write(b.low[at!] ?? null)} to ${props.write(b.high[at!] ?? null)}`;
  const read =
    t === undefined
      ? ""
      : [
          ...lines.map(l => `${l.name}: ${props.write(l.values[at!] ?? null)}`),
          ...(band ? [`${band.name}: ${ends(band)}`] : []),
          ...near.map(m => m.text),
        ].join(", ");
  const source = () =>
    plot.current && {
      csv: () =>
        toCsv(
          ["time", ...lines.map(l => l.name), ...(band ? [`${band.name} low`, `${band.name} high`] : [])],
          times.map((x, i) => [
            new Date(x).toISOString(),
            ...lines.map(l => l.values[i] ?? null),
            ...(band ? [band.low[i] ?? null, band.high[i] ?? null] : []),
          ]),
        ),
      png: () =>
        chartPng(
          plot.current!.ctx.canvas,
          props.title,
          lines.map(l => [l.name, css(`--${l.tone}`)] as [string, string]),
        ),
    };
  return (
    <figure class="chart">
      <figcaption>
        <h3 title={props.help}>{props.title}</h3>
        <output>
          {when && (
            <>
              <span title={utcStamp(new Date(t!))}>{when}</span>
              {near.map(m => (
                <i key={`${m.time} ${m.text}`}>⚑ {m.text}</i>
              ))}
            </>
          )}
        </output>
        {props.tools}
        <Exports name={props.file} what={`the chart ${props.title}`} source={source} />
      </figcaption>
      <ul class={lines.length > 2 ? "legend many" : "legend"}>
        {lines.map(l => (
          <li key={l.name + (l.dashed ? " before" : "")} title={l.name}>
            <i class={`key ${l.tone}${l.dashed ? " dashed" : ""}`} />
            <span class="clip">{l.name}</span>
            <b>{at === null ? "" : props.write(l.values[at] ?? null)}</b>
          </li>
        ))}
        {band && (
          <li>
            <i class="key band" />
            <span class="clip">{band.name}</span>
            <b>{at === null ? "" : ends(band)}</b>
          </li>
        )}
      </ul>
      <div
        ref={box}
        class="plot"
        tabIndex={0}
        role="slider"
        aria-label={`${props.title} over time. Arrow keys move, Enter opens the inferences.`}
        aria-orientation="horizontal"
        aria-valuemin={0}
        aria-valuemax={Math.max(times.length - 1, 0)}
        aria-valuenow={at ?? 0}
        aria-valuetext={read ? `${when}: ${read}` : "no point chosen"}
        onKeyDown={key}
        onMouseLeave={() => setAt(null)}
        style={{ height: `${height}px` }}
      />
      {lines.every(l => l.values.every(v => v === null)) && (
        <p class={times.length ? "blank" : "blank loading"}>
          {times.length ? `${NONE} nothing to draw in this range` : "Loading…"}
        </p>
      )}
    </figure>
  );
}

// A canvas goes to paper as what was drawn on it. A hole that was cut becomes a mask there, over which some readers of PDF
// lose the rest of the page: what is cleared is painted white instead.
function whiten(ctx: CanvasRenderingContext2D): void {
  ctx.clearRect = (x, y, w, h) => {
    ctx.fillStyle = "#fff";
    ctx.fillRect(x, y, w, h);
  };
}

// The line that a click is meant for: of bars the part under the pointer, of lines the nearest.
function under(p: uPlot, { data, series }: Drawing, i: number, top: number): Line | null {
  const own = series.map((s, at) => ({ ...s, v: data[at + 1]![i] })).filter(s => s.line && !s.line.dashed);
  const known = own.filter(s => s.v != null);
  if (!known.length) return own[0]?.line ?? null;
  const value = p.posToVal(top, "y"),
    distance = (v: number) => Math.abs(p.valToPos(v, "y") - top);
  if (known[0]!.kind === "bars") {
    const reached = known.filter(s => s.v! >= value).at(-1) ?? known[0]!;
    return reached.line;
  }
  return known.sort((a, b) => distance(a.v!) - distance(b.v!))[0]!.line;
}

function options(
  latest: { current: Props },
  drawn: Drawing,
  width: number,
  setAt: (i: number | null) => void,
): uPlot.Options {
  const { kind, height, whole, band, top } = latest.current;
  const ink = css("--muted"),
    line = css("--line"),
    surface = css("--surface");
  const font = `11px ${css("--font")}`;
  const axis: uPlot.Axis = {
    stroke: ink,
    font,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    gap: 6,
  };
  const series = drawn.series.map((s): uPlot.Series => {
    const colour = css(`--${s.tone}`);
    if (s.kind === "bars")
      return {
        fill: colour,
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars!({ align: 1, size: [0.86, 40], gap: 0 }),
      };
    if (s.kind === "edge") return { width: 0, points: { show: false } };
    return {
      stroke: colour,
      width: s.line?.dashed ? 1 : 1.5,
      ...(s.line?.dashed ? { dash: [4, 4] } : {}),
      spanGaps: false,
      points: {
        show: true,
        size: 5,
        fill: colour,
        width: 0,
        filter: (plot, index) => alone(plot.data[index]!),
      },
    };
  });
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    ...(band ? { bands: [{ series: [1, 2], fill: css("--band") }] } : {}),
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      // The others follow the pointer, not what is pressed.
      sync: { key: "page", filters: { pub: type => type === "mousemove" || type === "mouseleave" } },
      // The point under the cursor is the bucket it is in, not the nearest beginning of one.
      dataIdx: (u, _series, _closest, x) => {
        const t = u.data[0],
          { width: w } = latest.current,
          first = t[0];
        return first === undefined ? 0 : Math.max(0, Math.min(t.length - 1, Math.floor(((x - first) * 1000) / w)));
      },
      points: {
        ...(kind === "line" ? {} : { show: false }), // uPlot makes them itself, unless anything is said here
        size: 7,
        fill: (_u, i) => css(`--${drawn.series[i - 1]?.tone ?? "accent"}`),
        stroke: surface,
        width: 2,
      },
    },
    scales: {
      x: {
        range: () => [
          Math.min(latest.current.from, latest.current.times[0] ?? Infinity) / 1000,
          latest.current.to / 1000,
        ],
      },
      y: {
        range: (_u, low, high) => (top === undefined ? limits(low, high, kind === "bars", whole === true) : [0, top]),
      },
    },
    axes: [
      {
        ...axis,
        size: 24,
        grid: { show: false },
        space: 80,
        values: (_u, splits, _a, _s, step) => splits.map(s => tick(s, step)),
      },
      {
        ...axis,
        size: 56,
        space: height > 160 ? 32 : 24,
        ...(whole
          ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8] }
          : {}),
        values: (_u, splits) => splits.map(s => latest.current.axis(s)),
      },
    ],
    series: [{}, ...series],
    hooks: {
      setCursor: [u => setAt(typeof u.cursor.idx === "number" && (u.cursor.left ?? -1) >= 0 ? u.cursor.idx : null)],
      setSelect: [
        u => {
          if (u.select.width < 4) return;
          const [a, b] = [u.select.left, u.select.left + u.select.width].map(x => u.posToVal(x, "x") * 1000);
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onZoom(a!, b!);
        },
      ],
      draw: [u => flags(u, latest.current, ink)],
    },
  };
}

// A marker is a thin line with a flag at its head.
function flags(u: uPlot, { markers = [], from, to }: Props, ink: string): void {
  const { ctx, bbox } = u,
    unit = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = ink;
  ctx.lineWidth = unit;
  for (const m of markers) {
    if (m.time < from || m.time > to) continue;
    const x = Math.round(u.valToPos(m.time / 1000, "x", true)) + unit / 2;
    ctx.setLineDash([2 * unit, 2 * unit]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x + 7 * unit, bbox.top + 3 * unit);
    ctx.lineTo(x, bbox.top + 6 * unit);
    ctx.fill();
  }
  ctx.restore();
}

function limits(low: number | null, high: number | null, zero: boolean, whole: boolean): [number, number] {
  if (low === null || high === null) return [0, 1];
  if (zero) return [0, Math.max(high * 1.08, whole ? 4 : Number.MIN_VALUE)];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  return [Math.max(low - room, low >= 0 ? 0 : low - room), high + room];
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function tick(s: number, step: number): string {
  const d = new Date(s * 1000),
    two = (n: number) => String(n).padStart(2, "0");
  const day = `${d.getDate()} ${MONTHS[d.getMonth()]}`;
  if (step >= 86_400 || (d.getHours() === 0 && d.getMinutes() === 0 && d.getSeconds() === 0)) return day;
  return `${two(d.getHours())}:${two(d.getMinutes())}${step < 60 ? `:${two(d.getSeconds())}` : ""}`;
}

export function Spark({
  values,
  kind,
  tone = "accent",
}: {
  values: (number | null)[];
  kind: "bars" | "line";
  tone?: "accent" | "alert";
}) {
  return (
    <svg class={`spark ${tone}`} viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <path d={sparkline(values, kind === "bars")} />
    </svg>
  );
}
