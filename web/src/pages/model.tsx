// Model: the overview of one model, of all its versions, one, or two beside each other; what it sees and how sure it is.
import { useMemo } from "preact/hooks";
import { api, text, type Stats } from "../api";
import { Chart, type Line, type Tone } from "../chart";
import { clauseFor } from "../filter";
import { FilterBar } from "../filterbar";
import { failures } from "../fleet";
import { change, confidence, count, NONE, seconds } from "../format";
import { Histogram } from "../numbers/histogram";
import { measured, modelFilter, narrowed, useNumbers, windowFor } from "../numbers/load";
import type { Measured, More, Numbers } from "../numbers/load";
import { BIN, binsOf, classRows, mixOf, type ClassRow } from "../numbers/mix";
import { NumbersPage } from "../numbers/page";
import { Changed, Models } from "../numbers/tables";
import { linksOf } from "../numbers/tiles";
import { bucketWindow } from "../series";
import { SaveView } from "../settings/views";
import { AnySimulated } from "../simulated";
import { navigate, RARELY, useLate, useLoad, useWorkspace } from "../state";
import { DataTable, type TableColumn } from "../table";
import { Ago, AsOf, Failure, Pick, RangePicker, Teach } from "../ui";
import { inferencesLink, modelLink, modelsLink, type Scope, type View } from "../url";
import "./model.css";

const BINNED = { key: "confidence", width: BIN };

// What is asked of the range beside the numbers. With two versions, confidence is asked of each.
function more(two: boolean): More {
  return {
    now: time => [
      {
        by: ["class"],
        measures: ["inferences", "detections", "avg(confidence)", "quantile(confidence,0.5)"],
        order: ["-detections"],
        limit: 1000,
      },
      { by: [time, { key: "class", top: 6, top_by: "detections" }], measures: ["detections"], limit: 10_000 },
      { by: two ? ["model", BINNED] : [BINNED], measures: ["inferences"], limit: 1000 },
    ],
    before: [
      { by: ["class"], measures: ["detections"], order: ["-detections"], limit: 1000 },
      { by: [BINNED], measures: ["inferences"], limit: 1000 },
    ],
  };
}

const MEASURES = {
  inferences: "inferences",
  errors: "errors",
  empty: "empty",
  detections: "detections",
  confidence: "avg(confidence)",
  median: "quantile(confidence,0.5)",
  p50: "quantile(latency,0.5)",
  p95: "quantile(latency,0.95)",
};

interface Version extends Measured<typeof MEASURES> {
  id: string;
  version: string;
}

function useVersions(scope: Scope, name: string) {
  const ws = useWorkspace();
  return useLoad(`versions ${ws} ${name} ${JSON.stringify(scope)}`, async (signal): Promise<Version[]> => {
    const [g] = await api.query(
      ws,
      {
        ...windowFor(scope),
        filter: modelFilter(scope.filter, name, []),
        groups: [{ by: ["model"], measures: Object.values(MEASURES), order: ["-inferences"], limit: 200 }],
      },
      signal,
    );
    return (g?.rows ?? []).map(r => {
      const id = text(r[0]) ?? "";
      return { ...measured(MEASURES, r), id, version: id.startsWith(`${name}/`) ? id.slice(name.length + 1) : id };
    });
  });
}

export function ModelPage({
  scope,
  name,
  versions,
  view,
}: {
  scope: Scope;
  name: string;
  versions: string[];
  view: View;
}) {
  const ws = useWorkspace();
  const seen: Scope = scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "7d" },
    two = versions.length === 2,
    filter = modelFilter(scope.filter, name, versions),
    // Two versions beside each other: the split is theirs.
    by = two ? "model" : view.by;
  const numbers = useNumbers(seen, filter, view.compare, by, more(two)),
    { data, stale, error, reload } = numbers;
  const known = useVersions(seen, name).data;
  // Failures that servers counted are in no filtered statistics, but their model is known.
  const failed = useLoad(
    data && !scope.filter ? `failures ${ws} ${data.window.from.slice(0, 15)} ${data.window.to.slice(0, 15)}` : null,
    signal => failures(ws, { ...data!.window, bucket: 86_400 }, signal),
    RARELY,
  ).data;
  const counted = failed?.models
    .filter(f =>
      versions.length ? versions.some(v => f.name === `${name}/${v}`) : f.name.replace(/\/[^/]*$/, "") === name,
    )
    .reduce((n, f) => n + f.errors, 0);
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY).data;
  const empty = data?.stats.current.inferences === 0;
  const latest = useLoad(empty ? `latest ${ws} ${name}` : null, signal =>
    api.inferences(ws, { limit: 1, filter: clauseFor("model", name) }, signal),
  ).data;

  const go = (s: Partial<Scope>, v: Partial<View> = {}, chosen = versions) =>
    navigate(modelLink({ ...scope, ...s }, name, chosen, { ...view, ...v }), { replace: "sort" in v });
  const onFilter = (f: string) => go({ filter: f });
  const choose = (v: string) =>
    versions.includes(v) ? versions.filter(x => x !== v) : [...versions.slice(versions.length === 2 ? 1 : 0), v];
  return (
    <main id="main" class="page model" aria-busy={stale && !error}>
      <header class="head">
        <h1 tabIndex={-1}>
          <a class="back" href={modelsLink(scope)}>
            Models
          </a>{" "}
          {name}
        </h1>
        <RangePicker scope={scope} now={() => data?.window ?? { from: null, to: null }} onScope={s => go(s)} />
        <AnySimulated window={data?.window ?? null} filter={filter} />
        <SaveView page={`model/${encodeURIComponent(name)}`} />
        <AsOf iso={data?.stats.asOf ?? null} failed={error !== null} stale={stale} />
      </header>
      <FilterBar scope={seen} error={error} onFilter={onFilter} />
      {error && error.position === null && (
        <Failure error={error} what="The numbers could not be loaded." onRetry={reload} />
      )}
      {known && known.length > 0 && (
        <div class="versions">
          <span class="hint">Version</span>
          <div class="ranges" role="group" aria-label="Versions; two stand beside each other">
            <button type="button" aria-pressed={versions.length === 0} onClick={() => go({}, {}, [])}>
              All versions
            </button>
            {known.map(v => (
              <button
                type="button"
                key={v.id}
                aria-pressed={versions.includes(v.version)}
                onClick={() => go({}, {}, choose(v.version))}
              >
                {v.version} <span class="sub">({count(v.inferences)})</span>
              </button>
            ))}
          </div>
          {known.length > 1 && versions.length < 2 && (
            <p class="hint">
              {versions.length ? "Choose a second one to see both side by side." : "Choose one, or two."}
            </p>
          )}
        </div>
      )}
      <NumbersPage
        page={numbers}
        filter={filter}
        scope={scope}
        view={view}
        fields={fields}
        go={go}
        latest={latest?.inferences[0]?.time ?? null}
        ranged={seen.range}
        splits={!two}
        model={name}
        counted={scope.filter ? 0 : (counted ?? 0)}
      >
        {two && known && (
          <Beside
            versions={versions.map(v => known.find(k => k.version === v))}
            name={name}
            data={data}
            scope={scope}
          />
        )}
        <Seen
          data={data}
          filter={filter}
          view={view}
          scope={scope}
          names={two ? versions.map(v => `${name}/${v}`) : null}
          onFilter={onFilter}
        />
      </NumbersPage>
    </main>
  );
}

// Two versions, number by number.
function Beside({
  versions: [a, b],
  name,
  data,
  scope,
}: {
  versions: (Version | undefined)[];
  name: string;
  data: Numbers | null;
  scope: Scope;
}) {
  if (!a || !b || !data) return null;
  const link = (v: Version, ...clauses: string[]) =>
    inferencesLink({
      filter: narrowed(scope.filter, [clauseFor("model", v.id), ...clauses]),
      range: null,
      from: data.window.from,
      to: data.window.to,
    });
  const share = (n: number | null, v: Version) => (n === null || !v.inferences ? null : n / v.inferences),
    percent = (x: number | null) => (x === null ? NONE : `${(x * 100).toFixed(2)} %`),
    each = (x: number | null) => (x === null ? NONE : x.toFixed(2));
  const rows: [string, (v: Version) => number | null, (x: number | null) => string, string[]][] = [
    ["Requests", v => v.inferences, count, []],
    ["Failed", v => share(v.errors, v), percent, ["has:error"]],
    ["Nothing found", v => share(v.empty, v), percent, ["-has:class", "-has:error"]],
    ["Detections an inference", v => share(v.detections, v), each, ["has:class"]],
    ["Mean confidence", v => v.confidence, confidence, ["has:confidence"]],
    ["Median confidence", v => v.median, confidence, ["has:confidence"]],
    ["Time, p50", v => v.p50, seconds, ["has:latency", "-has:error"]],
    ["Time, p95", v => v.p95, seconds, ["has:latency", "-has:error"]],
  ];
  type R = (typeof rows)[number];
  const columns: TableColumn<R>[] = [
    { id: "what", title: "", width: 208, value: r => r[0], cell: r => r[0] },
    ...[a, b].map(
      (v): TableColumn<R> => ({
        id: v.id,
        title: v.id,
        width: 160,
        numeric: true,
        value: r => r[1](v),
        cell: r => <a href={link(v, ...r[3])}>{r[2](r[1](v))}</a>,
      }),
    ),
    {
      id: "change",
      title: "Difference",
      width: 128,
      numeric: true,
      help: "The second against the first",
      value: r => (r[1](b) ?? 0) - (r[1](a) ?? 0),
      cell: r => <Changed delta={change(r[1](b), r[1](a), false)} />,
    },
  ];
  return (
    <section class="block">
      <DataTable
        label={`${a.id} and ${b.id}`}
        file={`${name}-versions`}
        rows={rows}
        columns={columns}
        rowKey={r => r[0]}
        empty=""
        exports
        head={<h2>Side by side</h2>}
      />
    </section>
  );
}

const TONES: Tone[] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];

// What it sees and how sure it is.
function Seen({
  data,
  filter,
  view,
  scope,
  names,
  onFilter,
}: {
  data: Numbers | null;
  filter: string;
  view: View;
  scope: Scope;
  names: string[] | null; // the two versions
  onFilter: (f: string) => void;
}) {
  const { now, before } = linksOf(data, filter, view.compare);
  const classes = useMemo(() => classRows(data?.more[0], data?.moreBefore[0]), [data]);
  const mix = useMemo(() => mixOf(data?.more[1], data?.times ?? []), [data]);
  const lines: Line[] = useMemo(
    () =>
      mix.map((m, i) => ({
        name: m.name,
        values: m.share,
        tone: m.other ? "c7" : TONES[i % 7]!,
        part: m.other ? "" : m.name,
      })),
    [mix],
  );
  if (!data) return null;
  const from = Date.parse(data.window.from),
    to = Date.parse(data.window.to);
  const binned = data.more[2]?.rows ?? [];
  const [one, other] = names
    ? names.map(n =>
        binsOf(
          n,
          binned.filter(r => r[0] === n),
          1,
        ),
      )
    : [binsOf("now", binned), binsOf(view.compare ? "compared" : "the period before", data.moreBefore[1]?.rows ?? [])];
  const percent = (v: number | null) => (v === null ? NONE : `${(v * 100).toFixed(1)} %`);
  const binLink = (a: number, b: number, base: boolean) => {
    const range = `confidence>=${a} ${b >= 1 ? "confidence<=1" : `confidence<${b}`}`;
    if (!names) return (base ? before : now)(`confidence>=${a}`, b >= 1 ? "confidence<=1" : `confidence<${b}`);
    return inferencesLink({
      filter: `${narrowed(scope.filter, [clauseFor("model", names[base ? 1 : 0]!)])} ${range}`,
      range: null,
      from: data.window.from,
      to: data.window.to,
    });
  };
  return (
    <>
      <section class="halves">
        <Chart
          title="Classes, share of detections"
          file="class-mix"
          kind="bars"
          times={data.times}
          width={data.width}
          lines={lines}
          from={from}
          to={to}
          height={160}
          write={percent}
          axis={v => `${Math.round(v * 100)} %`}
          top={1}
          onOpen={(i, line) =>
            navigate(
              inferencesLink({
                filter: narrowed(filter, [line.part ? clauseFor("class", line.part) : "has:class"]),
                range: null,
                ...bucketWindow(data.times[i] ?? from, data.width, from, to),
              }),
            )
          }
          onZoom={(a, b) =>
            navigate(
              inferencesLink({
                filter,
                range: null,
                from: new Date(Math.max(a, from)).toISOString(),
                to: new Date(Math.min(b, to)).toISOString(),
              }),
            )
          }
        />
        <Histogram now={one!} base={other!} link={binLink} />
      </section>
      <Classes rows={classes} link={now} mix={mix.map(m => m.name)} filter={scope.filter} onFilter={onFilter} />
    </>
  );
}

function Classes({
  rows,
  link,
  mix,
  filter,
  onFilter,
}: {
  rows: ClassRow[];
  link: (...clauses: string[]) => string;
  mix: string[];
  filter: string;
  onFilter: (f: string) => void;
}) {
  const clauses = (r: ClassRow) => (r.name === null ? ["-has:class", "-has:error"] : [clauseFor("class", r.name)]);
  const points = (r: ClassRow) => (r.share === null || r.shareBefore === null ? null : r.share - r.shareBefore);
  const columns: TableColumn<ClassRow>[] = [
    {
      id: "class",
      title: "Class",
      width: 232,
      sortable: true,
      value: r => r.name,
      cell: r => (
        <span class="named">
          <i class={`key ${r.name !== null && mix.indexOf(r.name) >= 0 ? TONES[mix.indexOf(r.name) % 7] : "c7"}`} />
          <a class={r.name === null ? "none" : "clip"} href={link(...clauses(r))}>
            {r.name ?? "nothing found"}
          </a>
          {r.name !== null && <Pick field="class" value={r.name} filter={filter} onFilter={onFilter} tab={false} />}
        </span>
      ),
    },
    {
      id: "detections",
      title: "Detections",
      width: 104,
      numeric: true,
      sortable: true,
      value: r => (r.name === null ? null : r.detections),
      cell: r => (r.name === null ? NONE : <a href={link(...clauses(r))}>{count(r.detections)}</a>),
    },
    {
      id: "share",
      title: "Share",
      help: "Of all detections",
      width: 192,
      numeric: true,
      sortable: true,
      value: r => r.share,
      cell: r =>
        r.share === null ? (
          NONE
        ) : (
          <span class="share">
            <meter min={0} max={1} value={r.share} aria-label="Share" />
            <b>{(r.share * 100).toFixed(1)} %</b>
          </span>
        ),
    },
    {
      id: "change",
      title: "Change",
      help: "Of its share, in points of a percent, against the period before or what it is compared with",
      width: 104,
      numeric: true,
      sortable: true,
      value: points,
      cell: r => {
        const p = points(r);
        if (p === null) return NONE;
        if (!r.shareBefore) return <span class="delta new">new</span>;
        if (r.detections === 0) return <span class="delta down">gone</span>;
        if (Math.abs(p) < 0.0005) return <span class="delta same">no change</span>;
        return `${p > 0 ? "▲ +" : "▼ −"}${Math.abs(p * 100).toFixed(1)} pt`;
      },
    },
    {
      id: "inferences",
      title: "Inferences",
      help: "That have such a detection",
      width: 104,
      numeric: true,
      sortable: true,
      value: r => r.inferences,
      cell: r => <a href={link(...clauses(r))}>{count(r.inferences)}</a>,
    },
    {
      id: "confidence",
      title: "Mean conf.",
      help: "Of the class's detections",
      width: 104,
      numeric: true,
      sortable: true,
      value: r => r.confidence,
      cell: r => confidence(r.confidence),
    },
    {
      id: "median",
      title: "Median conf.",
      help: "Of the class's detections",
      width: 112,
      numeric: true,
      sortable: true,
      value: r => r.median,
      cell: r => confidence(r.median),
    },
  ];
  return (
    <section class="block">
      <DataTable
        label="Detections by class"
        file="classes"
        rows={rows}
        columns={columns}
        rowKey={r => r.name ?? "\n"}
        empty="No detection in this range."
        sort={{ id: "detections", down: true }}
        exports
        head={<h2>Detections by class</h2>}
      />
    </section>
  );
}

// All models of a range: where the rail leads.
export function ModelsPage({ scope, sort }: { scope: Scope; sort: string | null }) {
  const ws = useWorkspace();
  const seen: Scope = scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "7d" };
  const { data, stale, error, reload } = useLoad(
    `models ${ws} ${JSON.stringify(seen)}`,
    async (signal): Promise<Stats> =>
      api.stats(ws, { filter: scope.filter, ...windowFor(seen), bucket: 7 * 86_400 }, signal),
  );
  const late = useLate(stale);
  const window = data?.from && data.to ? { from: data.from, to: data.to } : null;
  const go = (s: Scope, by = sort) => navigate(modelsLink(s, by), { replace: by !== sort });
  const now = (...clauses: string[]) =>
    inferencesLink({
      filter: narrowed(scope.filter, clauses),
      range: null,
      from: data?.from ?? null,
      to: data?.to ?? null,
    });
  return (
    <main id="main" class="page" aria-busy={stale && !error}>
      <header class="head">
        <h1 tabIndex={-1}>Models</h1>
        <RangePicker
          scope={scope}
          now={() => ({ from: data?.from ?? null, to: data?.to ?? null })}
          onScope={s => go(s)}
        />
        <AnySimulated window={window} filter={scope.filter} />
        <AsOf iso={data?.asOf ?? null} failed={error !== null} stale={stale} />
      </header>
      <FilterBar scope={seen} error={error} onFilter={filter => go({ ...scope, filter })} />
      {error && error.position === null && (
        <Failure error={error} what="The models could not be loaded." onRetry={reload} />
      )}
      {data && data.models.length === 0 && !scope.filter && !scope.range && !scope.from ? (
        <section class="empty">
          <h2>No model has worked in the last 7 days</h2>
          <p>Each model that sends an inference is a row here, its versions beside each other behind it. Run:</p>
          <Teach />
        </section>
      ) : (
        <div class={late ? "stale" : undefined}>
          <Models
            models={data?.models ?? null}
            none={data?.previous.inferences === 0}
            window={window}
            link={now}
            scope={scope}
            onFilter={filter => go({ ...scope, filter })}
            sort={sort}
            onSort={s => go(scope, s)}
            head={
              <h2>
                In this range <span class="sub">{data ? `${count(data.models.length)} versions of models` : ""}</span>
              </h2>
            }
          />
        </div>
      )}
      {data && data.models.length > 0 && (
        <p class="hint">
          Newest:{" "}
          <Ago
            iso={data.models.reduce<string | null>(
              (a, m) => (a && m.lastSeen && a > m.lastSeen ? a : m.lastSeen),
              null,
            )}
          />
        </p>
      )}
    </main>
  );
}
