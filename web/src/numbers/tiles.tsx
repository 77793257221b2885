// The four numbers, each against the range before (or what was chosen instead) and with its course.
import type { ComponentChildren } from "preact";
import { Spark } from "../chart";
import { change, compact, confidence, count, NONE, seconds, span, type Delta } from "../format";
import { inferencesLink, type Compare, type Counting, type Scope } from "../url";
import { COUNTED, Errors, failuresLink } from "./errors";
import { narrowed, type Numbers } from "./load";

export const EXPLAINED: Record<Counting, string> = {
  inference:
    "Per inference: confidence is the mean of each inference's top detection, over the inferences that have one; " +
    "time is the mean over those that report one. Failed ones are in neither. The median is over top detections.",
  monitoring:
    "As Model Monitoring counts: confidence and time are means over detections. An inference without " +
    "detections is one row of confidence 0, and an unknown time counts as 0. The median is over top detections.",
};

export const MARK: Record<Delta["kind"], string> = { up: "▲", down: "▼", same: "", new: "", unknown: "" };

// Links into the exact windows of the answers on the page: a click opens what was counted, even minutes later.
export function linksOf(numbers: Numbers | null, filter: string, compare: Compare | null) {
  const link = (w: { from: string; to: string } | undefined, f: string, clauses: string[]) =>
    inferencesLink({ filter: narrowed(f, clauses), range: null, from: w?.from ?? null, to: w?.to ?? null });
  const exact: Scope["from"] = numbers?.stats.from ?? null;
  const window = exact && numbers?.stats.to ? { from: exact, to: numbers.stats.to } : undefined;
  return {
    now: (...clauses: string[]) => link(window, filter, clauses),
    before: (...clauses: string[]) => link(numbers?.earlier, compare?.filter ?? filter, clauses),
  };
}

export function againstWhat(numbers: Numbers | null, compare: Compare | null): string {
  if (!numbers) return "";
  const { from, to } = numbers.earlier,
    when = span(new Date(from), new Date(to));
  if (!compare) return `the period before, ${when}`;
  const filter = compare.filter === null ? "" : compare.filter ? `, ${compare.filter}` : ", no filter";
  return `${when}${filter}`;
}

export function Tiles({
  numbers,
  filter,
  counting,
  compare,
  counted: outside,
}: {
  numbers: Numbers | null;
  filter: string;
  counting: Counting;
  compare: Compare | null;
  counted?: number | undefined;
}) {
  const { now, before } = linksOf(numbers, filter, compare),
    monitoring = counting === "monitoring";
  const current = numbers?.stats.current,
    previous = numbers?.stats.previous,
    none = previous?.inferences === 0;
  const mean = monitoring ? current?.monitoring : current?.perInference,
    was = monitoring ? previous?.monitoring : previous?.perInference;
  const delta = (a: number | null | undefined, b: number | null | undefined) => change(a ?? null, b ?? null, none);
  const series = numbers?.series,
    against = againstWhat(numbers, compare);
  const inside = current?.errorsCounted ?? 0,
    counted = outside ?? inside,
    failures = failuresLink(numbers?.window);
  const share =
    current?.inferences && current.errors !== null
      ? `${((current.errors / current.inferences) * 100).toFixed(2)} % of requests`
      : "";
  const tile = (
    label: string,
    value: string | null,
    clauses: string[],
    d: Delta,
    wasText: string,
    note: ComponentChildren,
    spark: ComponentChildren,
    errors = false,
  ) => (
    <section class="tile">
      <h2>{label}</h2>
      {value === null ? (
        <span class="value waiting">{NONE}</span>
      ) : errors ? (
        <Errors
          all={current?.errors ?? null}
          counted={inside}
          list={now(...clauses)}
          failures={failures}
          kind="value"
        />
      ) : (
        <a class="value" href={now(...clauses)} title="Open what is behind this number">
          {value}
        </a>
      )}
      <p class="delta" title={`Against ${against}`}>
        {value !== null && d.kind !== "unknown" && (
          <>
            <b class={d.kind}>
              {MARK[d.kind]} {d.text}
            </b>{" "}
            {d.kind === "new" ? (
              <span>nothing {compare ? "in what it is compared with" : "in the period before"}</span>
            ) : errors ? (
              <>
                was{" "}
                <Errors
                  all={previous?.errors ?? null}
                  counted={previous?.errorsCounted ?? 0}
                  list={before(...clauses)}
                  failures={failuresLink(numbers?.earlier)}
                  kind="quiet"
                />
              </>
            ) : (
              <a class="quiet" href={before(...clauses)}>
                was {wasText}
              </a>
            )}
          </>
        )}
      </p>
      <p class="note">{note}</p>
      {spark}
    </section>
  );
  const top = monitoring ? ["-has:error"] : ["has:confidence"],
    timed = monitoring ? ["-has:error"] : ["has:latency", "-has:error"];
  return (
    <section class="tiles" aria-label="Totals">
      {tile(
        "Total requests",
        numbers && compact(current?.inferences ?? null),
        [],
        delta(current?.inferences, previous?.inferences),
        count(previous?.inferences ?? null),
        <a class="quiet" href={now("has:class")}>
          {current ? `${count(current.detections)} detections` : ""}
        </a>,
        <Spark values={series?.inferences ?? []} kind="bars" />,
      )}
      {tile(
        "Average confidence",
        numbers && confidence(mean?.confidence ?? null),
        top,
        delta(mean?.confidence, was?.confidence),
        confidence(was?.confidence ?? null),
        <a class="quiet" href={now("has:confidence")}>
          {current ? `median ${confidence(current.medianConfidence)}` : ""}
        </a>,
        <Spark values={(monitoring ? series?.monitoringConfidence : series?.confidence) ?? []} kind="line" />,
      )}
      {tile(
        "Average inference time",
        numbers && seconds(mean?.latency ?? null),
        timed,
        delta(mean?.latency, was?.latency),
        seconds(was?.latency ?? null),
        <a class="quiet" href={now("has:latency", "-has:error")}>
          {current ? `p50 ${seconds(current.p50)} · p95 ${seconds(current.p95)} · p99 ${seconds(current.p99)}` : ""}
        </a>,
        <Spark values={(monitoring ? series?.monitoringLatency : series?.latency) ?? []} kind="line" />,
      )}
      {tile(
        "Errors",
        numbers && compact(current?.errors ?? null),
        ["has:error"],
        delta(current?.errors, previous?.errors),
        count(previous?.errors ?? null),
        <>
          {share}
          {counted > 0 && (
            <a class="quiet" href={failures} title={COUNTED}>
              {" "}
              · {count(counted)} {outside === undefined ? "only" : "more"} counted by servers
            </a>
          )}
        </>,
        <Spark values={series?.errors ?? []} kind="bars" tone="alert" />,
        true,
      )}
    </section>
  );
}
