// Requests, confidence, latency and errors over time: of all, or split by what was chosen.
import type { ComponentChildren } from "preact";
import { Chart, type Line, type Marked, type Tone } from "../chart";
import { compact, confidence, count, plural, seconds } from "../format";
import { bucketWindow } from "../series";
import { navigate } from "../state";
import { inferencesLink, type Counting } from "../url";
import { failuresLink } from "./errors";
import { narrowed, partClauses, type Numbers, type Part, type Series } from "./load";

const TONES: Tone[] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];

const COUNTED = "counted by servers";

export function toneOf(p: Part, i: number): Tone {
  return p.other || p.value === null ? "c7" : TONES[i % TONES.length]!;
}

export function Charts({
  numbers,
  filter,
  counting,
  markers,
  tools,
  onZoom,
}: {
  numbers: Numbers | null;
  filter: string;
  counting: Counting;
  markers: Marked[];
  tools?: ComponentChildren;
  onZoom: (from: string, to: string) => void;
}) {
  const from = Date.parse(numbers?.stats.from ?? ""),
    to = Date.parse(numbers?.stats.to ?? ""),
    times = numbers?.times ?? [],
    width = numbers?.width ?? 0;
  const monitoring = counting === "monitoring",
    split = numbers?.split ?? null,
    series = numbers?.series,
    compared = numbers?.compared;
  const open =
    (...clauses: string[]) =>
    (i: number, line: Line) => {
      const p = split?.parts.find(x => x.name === line.part),
        own = p && split ? (partClauses(split.by, p) ?? []) : [];
      navigate(
        inferencesLink({
          filter: narrowed(filter, [...clauses, ...own]),
          range: null,
          ...bucketWindow(times[i] ?? from, width, from, to),
        }),
      );
    };
  const lines = (name: string, of: keyof Series, tone: Tone = "accent"): Line[] => {
    if (split)
      return split.parts.map((p, i) => ({ name: p.name, values: p.series[of], tone: toneOf(p, i), part: p.name }));
    if (!series) return [];
    return [
      { name, values: series[of], tone },
      ...(compared ? [{ name: `${name}, compared`, values: compared[of], tone: "muted" as Tone, dashed: true }] : []),
    ];
  };
  const shared = {
    times,
    width,
    from,
    to,
    markers,
    onZoom: (a: number, b: number) =>
      onZoom(new Date(Math.max(a, from)).toISOString(), new Date(Math.min(b, to)).toISOString()),
  };
  // What servers counted is a part of its own: it opens what is known of it, which is no inference.
  const counted = numbers?.counted ?? [],
    any = !split && counted.some(n => n > 0);
  const errors = (): Line[] => {
    const [all, ...compared] = lines("errors", "errors", "alert");
    if (!all || !any) return lines("errors", "errors", "alert");
    const stored = { ...all, values: all.values.map((v, i) => (v ?? 0) - (counted[i] ?? 0)) };
    return [stored, { name: COUNTED, values: counted, tone: "c0" }, ...compared];
  };
  const openErrors = (i: number, line: Line) =>
    line.name === COUNTED
      ? navigate(failuresLink(bucketWindow(times[i] ?? from, width, from, to)))
      : open("has:error")(i, line);
  const whole = { whole: true, axis: (v: number) => compact(v) };
  const by = split ? " by " + (split.by.startsWith("metadata.") ? split.by.slice(9) : split.by) : "";
  return (
    <section class="charts" aria-label="Over time">
      <Chart
        {...shared}
        {...whole}
        title={`Requests${by}`}
        file="requests"
        kind="bars"
        lines={lines("requests", "inferences")}
        height={200}
        write={v => `${count(v)} ${v === 1 ? "request" : "requests"}`}
        tools={tools}
        onOpen={open()}
      />
      <Chart
        {...shared}
        title={`Average confidence, ${monitoring ? "as Model Monitoring counts" : "per inference"}${by}`}
        file="confidence"
        kind="line"
        lines={lines("mean", monitoring ? "monitoringConfidence" : "confidence")}
        band={!split && !monitoring && series ? { name: "p10 to p90", low: series.low, high: series.high } : null}
        height={148}
        write={confidence}
        axis={v => v.toFixed(2)}
        onOpen={open(...(monitoring ? ["-has:error"] : ["has:confidence"]))}
      />
      <Chart
        {...shared}
        title={split ? `Inference time, p95${by}` : "Inference time"}
        file="latency"
        kind="line"
        lines={
          split
            ? lines("p95", "p95")
            : [
                ...lines("p50", "p50", "c2").slice(0, 1),
                ...lines("p95", "p95", "c0"),
                ...lines("p99", "p99", "c1").slice(0, 1),
              ]
        }
        height={148}
        write={seconds}
        axis={seconds}
        onOpen={open("has:latency", "-has:error")}
      />
      <Chart
        {...shared}
        {...whole}
        title={`Errors${by}`}
        file="errors"
        kind="bars"
        lines={errors()}
        height={148}
        write={v => plural(v ?? 0, "error")}
        onOpen={openErrors}
      />
    </section>
  );
}
