// A time chart: bars or a line over the range. A click (or Enter) on a point opens what it stands for, dragging zooms.
// What is under the cursor is read out in the chart's heading, which has its place reserved, so that nothing moves.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { NONE, span } from "./format";
import { alone, sparkline } from "./series";
import { useMedia } from "./state";

interface Props {
  title: string;
  times: number[]; // ms, the beginning of each bucket
  width: number; // ms
  values: (number | null)[];
  from: number;
  to: number;
  kind: "bars" | "line";
  tone?: "accent" | "alert";
  height: number;
  write: (v: number | null) => string;
  axis: (v: number) => string;
  extra?: (i: number) => string;
  whole?: boolean; // the values are counts: no half on the axis
  onOpen: (i: number) => void;
  onZoom: (from: number, to: number) => void;
}

const css = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null),
    plot = useRef<uPlot | null>(null),
    latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const dark = useMedia("(prefers-color-scheme: dark)");
  const { times, values, from, to, width, kind, height, tone } = props;
  const data: uPlot.AlignedData = [times.map(t => t / 1000), values];

  useLayoutEffect(() => {
    const element = box.current!;
    const p = new uPlot(options(latest, element.clientWidth, setAt), data, element);
    plot.current = p;
    let pressed = 0;
    p.over.addEventListener("mousedown", e => (pressed = e.clientX));
    p.over.addEventListener("click", e => {
      const i = p.cursor.idx;
      if (Math.abs(e.clientX - pressed) < 4 && typeof i === "number") latest.current.onOpen(i);
    });
    const resized = new ResizeObserver(() => {
      if (element.clientWidth) p.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      p.destroy();
    };
  }, [dark, kind, height, tone]);

  useEffect(() => plot.current?.setData(data), [times, values, from, to, width]);

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
    else if (e.key === "Enter" && at !== null) props.onOpen(at);
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  const t = at === null ? undefined : times[at];
  const read =
    t === undefined
      ? ""
      : `${span(new Date(t), new Date(t + width))}: ${props.write(values[at!] ?? null)}${props.extra ? props.extra(at!) : ""}`;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{props.title}</h3>
        <output>{read}</output>
      </figcaption>
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
        aria-valuetext={read || "no point chosen"}
        onKeyDown={key}
        onMouseLeave={() => setAt(null)}
        style={{ height: `${height}px` }}
      />
      {values.every(v => v === null) && <p class="blank">{NONE} nothing to draw in this range</p>}
    </figure>
  );
}

function options(latest: { current: Props }, width: number, setAt: (i: number | null) => void): uPlot.Options {
  const { kind, tone, height, whole } = latest.current;
  const ink = css("--muted"),
    line = css("--line"),
    colour = css(tone === "alert" ? "--alert" : "--accent");
  const font = `11px ${css("--font")}`;
  const axis: uPlot.Axis = {
    stroke: ink,
    font,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    gap: 6,
  };
  const series: uPlot.Series =
    kind === "bars"
      ? {
          fill: colour,
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars!({ align: 1, size: [0.86, 40], gap: 0 }),
        }
      : {
          stroke: colour,
          width: 1.5,
          spanGaps: false,
          points: { show: true, size: 5, fill: colour, width: 0, filter: (plot, index) => alone(plot.data[index]!) },
        };
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 8, 0, 0],
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      // The point under the cursor is the bucket it is in, not the nearest beginning of one.
      dataIdx: (u, _series, _closest, x) => {
        const t = u.data[0],
          { width: w } = latest.current,
          first = t[0];
        return first === undefined ? 0 : Math.max(0, Math.min(t.length - 1, Math.floor(((x - first) * 1000) / w)));
      },
      points: { show: kind === "line", size: 7, fill: colour, stroke: css("--surface"), width: 2 },
    },
    scales: {
      x: {
        range: () => [
          Math.min(latest.current.from, latest.current.times[0] ?? Infinity) / 1000,
          latest.current.to / 1000,
        ],
      },
      y: { range: (_u, low, high) => limits(low, high, kind === "bars", whole === true) },
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
        size: 52,
        space: height > 160 ? 32 : 24,
        ...(whole
          ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8] }
          : {}),
        values: (_u, splits) => splits.map(s => latest.current.axis(s)),
      },
    ],
    series: [{}, series],
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
    },
  };
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
