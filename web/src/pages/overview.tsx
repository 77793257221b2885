// Overview: is the fleet doing what it did before? Four numbers against the period before, the same over time, the
// models.
import type { ComponentChildren } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { api, serverNow, type Model, type Stats, type Totals } from "../api";
import { Chart, Spark } from "../chart";
import { clauseFor, withClause } from "../filter";
import { FilterBar } from "../filterbar";
import { change, compact, confidence, count, NONE, plural, seconds, span, type Delta } from "../format";
import { bucketWindow } from "../series";
import { navigate, RARELY, useLoad, useWorkspace } from "../state";
import { Ago, AsOf, Failure, Pick, RangePicker, Teach } from "../ui";
import {
  bucketFor,
  inferencesLink,
  overviewLink,
  RANGES,
  window as windowOf,
  type Counting,
  type Scope,
  type View,
} from "../url";

type Link = (...clauses: string[]) => string;

const EXPLAINED: Record<Counting, string> = {
  inference:
    "Per inference: confidence is the mean of each inference's top detection, over the inferences that have one; " +
    "time is the mean over those that report one. Failed ones are in neither. The median is over top detections.",
  monitoring:
    "As Model Monitoring counts: confidence and time are means over detections. An inference without " +
    "detections is one row of confidence 0, and an unknown time counts as 0. The median is over top detections.",
};

export function Overview({ scope, view }: { scope: Scope; view: View }) {
  const { counting } = view;
  const ws = useWorkspace();
  const custom = Boolean(scope.from || scope.to);
  const seen: Scope = custom ? scope : { ...scope, range: scope.range ?? "7d" };
  const now = () => {
    const w = windowOf(seen, serverNow()),
      to = w.to ?? new Date(serverNow()).toISOString();
    return { from: w.from ?? new Date(Date.parse(to) - 7 * 86_400_000).toISOString(), to };
  };
  const key = `stats ${ws} ${JSON.stringify(seen)}`;
  const { data, stale, error, reload } = useLoad(key, signal => {
    const { from, to } = now(),
      bucket = bucketFor((Date.parse(to) - Date.parse(from)) / 1000);
    return api.stats(ws, { filter: scope.filter, from, to, bucket }, signal);
  });
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY).data;
  const empty = data?.current.inferences === 0;
  const anything = useLoad(empty ? `any ${ws}` : null, signal => api.inferences(ws, { limit: 1 }, signal)).data;

  const go = (s: Scope, c = counting) => navigate(overviewLink(s, { ...view, counting: c }));
  const onFilter = (filter: string) => go({ ...scope, filter });
  return (
    <main id="main" class="page" aria-busy={stale && !error}>
      <header class="head">
        <h1>Overview</h1>
        <RangePicker scope={scope} now={now} onScope={s => go(s)} />
        <AsOf iso={data?.asOf ?? null} failed={error !== null} />
      </header>
      <FilterBar scope={seen} error={error} onFilter={onFilter} />
      {error && error.position === null && (
        <Failure error={error} what="The numbers could not be loaded." onRetry={reload} />
      )}
      {empty && anything && anything.inferences.length === 0 ? (
        <Empty />
      ) : (
        <Numbers
          stats={data}
          stale={stale}
          scope={seen}
          counting={counting}
          latest={anything?.inferences[0]?.time ?? null}
          onCounting={c => go(scope, c)}
          onFilter={onFilter}
          onZoom={(from, to) => go({ ...scope, range: null, from, to })}
        />
      )}
      {fields && fields.pending.ids > 0 && (
        <p class="hint">
          Metadata waits for {plural(fields.pending.ids, "id")} whose inference has not arrived yet; the oldest came{" "}
          <Ago iso={fields.pending.oldest} />.
        </p>
      )}
    </main>
  );
}

function Empty() {
  return (
    <section class="empty">
      <h2>No inference has arrived yet</h2>
      <p>
        This page shows requests, confidence, inference time and errors as soon as the first one does. It looks again
        every 10 seconds. Run:
      </p>
      <Teach />
    </section>
  );
}

function Numbers({
  stats,
  stale,
  scope,
  counting,
  latest,
  onCounting,
  onFilter,
  onZoom,
}: {
  stats: Stats | null;
  stale: boolean;
  scope: Scope;
  counting: Counting;
  latest: string | null;
  onCounting: (c: Counting) => void;
  onFilter: (f: string) => void;
  onZoom: (from: string, to: string) => void;
}) {
  const from = Date.parse(stats?.from ?? ""),
    to = Date.parse(stats?.to ?? ""),
    width = (stats?.bucket ?? 0) * 1000;
  const pick = useMemo(() => {
    const series = stats?.series ?? [];
    return {
      times: series.map(b => b.time),
      requests: series.map(b => b.inferences),
      errors: series.map(b => b.errors),
      confidence: series.map(b => b.confidence),
      latency: series.map(b => b.latency),
    };
  }, [stats]);
  // The exact window of the answer on the page, so that a click opens what was counted even minutes later.
  const exact: Scope = { filter: scope.filter, range: null, from: stats?.from ?? null, to: stats?.to ?? null };
  const link: Link = (...clauses) => inferencesLink({ ...exact, filter: clauses.reduce(withClause, scope.filter) });
  const open =
    (...clauses: string[]) =>
    (i: number) =>
      navigate(
        inferencesLink({
          filter: clauses.reduce(withClause, scope.filter),
          range: null,
          ...bucketWindow(pick.times[i] ?? from, width, from, to),
        }),
      );
  const zoom = (a: number, b: number) =>
    onZoom(new Date(Math.max(a, from)).toISOString(), new Date(Math.min(b, to)).toISOString());
  const of = (t: Totals | undefined) => (t ? (counting === "monitoring" ? t.monitoring : t.perInference) : null);
  const { current, previous } = stats ?? {},
    none = previous?.inferences === 0;
  const share =
    current?.inferences && current.errors !== null
      ? `${((current.errors / current.inferences) * 100).toFixed(2)} % of requests`
      : "";
  const before = stats ? span(new Date(2 * from - to), new Date(from)) : "";
  const earlier: Link = (...clauses) =>
    inferencesLink({
      filter: clauses.reduce(withClause, scope.filter),
      range: null,
      from: stats && new Date(2 * from - to).toISOString(),
      to: stats?.from ?? null,
    });
  const change_ = (a: number | null | undefined, b: number | null | undefined) => change(a ?? null, b ?? null, none);
  const shared = { times: pick.times, width, from, to, onZoom: zoom };
  const range = RANGES.find(r => r.id === scope.range)?.long ?? "this range";
  return (
    <div class={stale ? "numbers stale" : "numbers"}>
      <section class="tiles" aria-label="Totals">
        <Tile
          label="Total requests"
          value={stats && compact(current?.inferences ?? null)}
          link={link}
          earlier={earlier}
          before={before}
          delta={change_(current?.inferences, previous?.inferences)}
          was={count(previous?.inferences ?? null)}
          note={current ? `${count(current.detections)} detections` : ""}
          noteHref={link("has:class")}
        >
          <Spark values={pick.requests} kind="bars" />
        </Tile>
        <Tile
          label="Average confidence"
          value={stats && confidence(of(current)?.confidence ?? null)}
          link={link}
          earlier={earlier}
          before={before}
          clauses={counting === "inference" ? ["has:confidence"] : ["-has:error"]}
          delta={change_(of(current)?.confidence, of(previous)?.confidence)}
          was={confidence(of(previous)?.confidence ?? null)}
          note={current ? `median ${confidence(current.medianConfidence)}` : ""}
          noteHref={link("has:confidence")}
        >
          <Spark values={pick.confidence} kind="line" />
        </Tile>
        <Tile
          label="Average inference time"
          value={stats && seconds(of(current)?.latency ?? null)}
          link={link}
          earlier={earlier}
          before={before}
          clauses={counting === "inference" ? ["has:latency", "-has:error"] : ["-has:error"]}
          delta={change_(of(current)?.latency, of(previous)?.latency)}
          was={seconds(of(previous)?.latency ?? null)}
          note={
            current ? `p50 ${seconds(current.p50)} · p95 ${seconds(current.p95)} · p99 ${seconds(current.p99)}` : ""
          }
          noteHref={link("has:latency", "-has:error")}
        >
          <Spark values={pick.latency} kind="line" />
        </Tile>
        <Tile
          label="Errors"
          value={stats && compact(current?.errors ?? null)}
          link={link}
          earlier={earlier}
          before={before}
          clauses={["has:error"]}
          delta={change_(current?.errors, previous?.errors)}
          was={count(previous?.errors ?? null)}
          note={share}
          noteHref={link("has:error")}
        >
          <Spark values={pick.errors} kind="bars" tone="alert" />
        </Tile>
      </section>
      <div class="counting">
        <div class="ranges" role="group" aria-label="How averages count">
          <button type="button" aria-pressed={counting === "inference"} onClick={() => onCounting("inference")}>
            Per inference
          </button>
          <button type="button" aria-pressed={counting === "monitoring"} onClick={() => onCounting("monitoring")}>
            As Model Monitoring counts
          </button>
        </div>
        <p class="hint">{EXPLAINED[counting]}</p>
      </div>
      {stats && current?.inferences === 0 && (
        <p class="notice">
          {scope.filter ? "Nothing matches this filter in " : "Nothing arrived in "}
          {range}.
          {latest && (
            <>
              {" "}
              The newest inference came <Ago iso={latest} />:{" "}
              <a href={inferencesLink({ ...exact, from: null, to: null })}>see the latest</a>.
            </>
          )}
        </p>
      )}
      <section class="charts" aria-label="Over time">
        <Chart
          {...shared}
          title="Requests"
          kind="bars"
          values={pick.requests}
          height={200}
          write={v => `${count(v)} requests`}
          whole
          axis={v => compact(v)}
          extra={i => ((pick.errors[i] ?? 0) > 0 ? `, ${plural(pick.errors[i]!, "error")}` : "")}
          onOpen={open()}
        />
        <Chart
          {...shared}
          title="Errors"
          kind="bars"
          tone="alert"
          values={pick.errors}
          height={128}
          write={v => plural(v ?? 0, "error")}
          whole
          axis={v => compact(v)}
          onOpen={open("has:error")}
        />
        <Chart
          {...shared}
          title="Average confidence, per inference"
          kind="line"
          values={pick.confidence}
          height={128}
          write={confidence}
          axis={v => v.toFixed(2)}
          onOpen={open("has:confidence")}
        />
        <Chart
          {...shared}
          title="Average inference time, per inference"
          kind="line"
          values={pick.latency}
          height={128}
          write={seconds}
          axis={seconds}
          onOpen={open("has:latency", "-has:error")}
        />
      </section>
      <Models
        models={stats?.models ?? []}
        loaded={stats !== null}
        none={none}
        link={link}
        filter={scope.filter}
        onFilter={onFilter}
      />
    </div>
  );
}

const MARK: Record<Delta["kind"], string> = { up: "▲", down: "▼", same: "", new: "", unknown: "" };

function Tile({
  label,
  value,
  link,
  earlier,
  clauses = [],
  delta,
  was,
  before,
  note,
  noteHref,
  children,
}: {
  label: string;
  value: string | null;
  link: Link;
  earlier: Link;
  clauses?: string[];
  delta: Delta;
  was: string;
  before: string;
  note: string;
  noteHref: string;
  children: ComponentChildren;
}) {
  return (
    <section class="tile">
      <h2>{label}</h2>
      {value === null ? (
        <span class="value waiting">{NONE}</span>
      ) : (
        <a class="value" href={link(...clauses)} title="Open the inferences behind this number">
          {value}
        </a>
      )}
      <p class="delta" title={`Against ${before}`}>
        {value !== null && delta.kind !== "unknown" && (
          <>
            <b class={delta.kind}>
              {MARK[delta.kind]} {delta.text}
            </b>{" "}
            {delta.kind === "new" ? (
              <span>nothing in the period before</span>
            ) : (
              <a class="quiet" href={earlier(...clauses)}>
                was {was}
              </a>
            )}
          </>
        )}
      </p>
      <p class="note">
        <a class="quiet" href={noteHref}>
          {note}
        </a>
      </p>
      {children}
    </section>
  );
}

// Rows keep their order while the pointer is over the table: numbers change in place, nothing moves under a click.
function Models({
  models,
  loaded,
  none,
  link,
  filter,
  onFilter,
}: {
  models: Model[];
  loaded: boolean;
  none: boolean;
  link: Link;
  filter: string;
  onFilter: (f: string) => void;
}) {
  const held = useRef(false),
    order = useRef<string[]>([]);
  const place = (id: string) => (order.current.includes(id) ? order.current.indexOf(id) : Infinity);
  const sorted = [...models].sort(
    (a, b) =>
      (held.current ? place(a.id) - place(b.id) || 0 : 0) ||
      (b.inferences ?? 0) - (a.inferences ?? 0) ||
      a.id.localeCompare(b.id),
  );
  order.current = sorted.map(m => m.id);
  return (
    <section class="block">
      <h2>Models</h2>
      <div
        class="scroll"
        tabIndex={0}
        role="region"
        aria-label="Table of models"
        onPointerEnter={() => (held.current = true)}
        onPointerLeave={() => (held.current = false)}
      >
        <table class="models">
          <thead>
            <tr>
              <th scope="col">Model</th>
              <th scope="col" class="num">
                Requests
              </th>
              <th scope="col" class="num">
                Change
              </th>
              <th scope="col" class="num">
                Errors
              </th>
              <th scope="col" class="num">
                <abbr title="Mean of each inference's top detection">Mean conf.</abbr>
              </th>
              <th scope="col" class="num">
                <abbr title="Median confidence of the detections">Median conf.</abbr>
              </th>
              <th scope="col" class="num">
                Time
              </th>
              <th scope="col">Classes, by detections</th>
              <th scope="col">Last seen</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map(m => {
              const clause = clauseFor("model", m.id),
                delta = change(m.inferences, m.previous, none || m.previous === 0);
              return (
                <tr key={m.id}>
                  <th scope="row">
                    <span class="named">
                      <a href={link(clause)}>{m.id || NONE}</a>
                      {m.name && <span class="sub">({m.name})</span>}
                      <Pick field="model" value={m.id} filter={filter} onFilter={onFilter} tab={false} />
                    </span>
                  </th>
                  <td class="num">
                    <a href={link(clause)}>{count(m.inferences)}</a>
                  </td>
                  <td class="num">
                    <span class={`delta ${delta.kind}`}>
                      {MARK[delta.kind]} {delta.text}
                    </span>
                  </td>
                  <td class="num">
                    {m.errors ? <a href={link(clause, "has:error")}>{count(m.errors)}</a> : count(m.errors)}
                  </td>
                  <td class="num">
                    <a class="quiet" href={link(clause, "has:confidence")}>
                      {confidence(m.confidence)}
                    </a>
                  </td>
                  <td class="num">
                    <a class="quiet" href={link(clause, "has:confidence")}>
                      {confidence(m.median)}
                    </a>
                  </td>
                  <td class="num">
                    <a class="quiet" href={link(clause, "has:latency", "-has:error")}>
                      {seconds(m.latency)}
                    </a>
                  </td>
                  <td class="classes">
                    {m.classes.slice(0, 5).map(c => (
                      <a key={c.class} class="quiet" href={link(clause, clauseFor("class", c.class))}>
                        {c.class} <b>{compact(c.detections)}</b>
                      </a>
                    ))}
                    {m.classes.length > 5 && (
                      <span
                        class="sub"
                        title={m.classes
                          .slice(5)
                          .map(c => c.class)
                          .join(", ")}
                      >
                        and {m.classes.length - 5} more
                      </span>
                    )}
                    {m.classes.length === 0 && NONE}
                  </td>
                  <td>
                    <Ago iso={m.lastSeen} />
                  </td>
                </tr>
              );
            })}
            {loaded && sorted.length === 0 && (
              <tr>
                <td colSpan={9} class="none">
                  No model in this range.
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
    </section>
  );
}
