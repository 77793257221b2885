// Fleet, first in the morning: is every device alive, does it do what it did in this hour a week ago, what fails, what
// does it ask for that this server doesn't do.
import { api, call, enc, list, object, query, serverNow, text, type Plan, type Schemas } from "../api";
import { clauseFor } from "../filter";
import { FilterBar } from "../filterbar";
import { away, device, rowsOf, urgency, type Row } from "../fleet";
import { ago, change, compact, confidence, count, NONE, parse, plural, seconds, stamp } from "../format";
import { Errors } from "../numbers/errors";
import { narrowed, windowCompared, windowFor, type Window } from "../numbers/load";
import { Changed, sortOf, sortText } from "../numbers/tables";
import { SaveView } from "../settings/views";
import { Simulated, simulatedDevice } from "../simulated";
import { navigate, useLate, useLoad, useNow, useWorkspace } from "../state";
import { DataTable, type TableColumn } from "../table";
import { Ago, AsOf, Command, Failure, Pick, RangePicker } from "../ui";
import { fleetLink, inferencesLink, type Scope } from "../url";
import { One, Troubles } from "./fleet-detail";
import "./fleet.css";

const HOUR = 3_600_000,
  WEEK = 7 * 86_400_000;

interface Fleet {
  rows: Row[];
  window: Window;
  hour: Window;
  asOf: string | null;
}

const marked = (r: Row): boolean => simulatedDevice(r.id) || r.tags.includes("simulated");
const iso = (t: number): string => new Date(t).toISOString();

function useFleet(scope: Scope) {
  const ws = useWorkspace();
  return useLoad(`fleet ${ws} ${JSON.stringify(scope)}`, async (signal): Promise<Fleet> => {
    const window = windowFor(scope),
      now = serverNow(),
      hour = { from: iso(now - HOUR), to: iso(now) },
      before = { from: iso(now - HOUR - WEEK), to: iso(now - WEEK) };
    const by = (w: Window, ...measures: string[]): Plan => ({
      ...w,
      filter: scope.filter,
      groups: [{ by: ["device"], measures, limit: 10_000 }],
    });
    const [raw, ...answers] = await Promise.all([
      call("GET", `/${enc(ws)}/devices${query({ ...window })}`, { signal }),
      api.query(ws, by(window, "inferences", "errors", "avg(confidence)", "avg(latency)", "max(time)"), signal),
      api.query(ws, by(hour, "inferences"), signal),
      api.query(ws, by(before, "inferences"), signal),
      api.query(ws, by(windowCompared(window, null), "avg(confidence)"), signal),
    ]);
    const r = object<Schemas["Devices"]>(raw);
    const rows = rowsOf(list(r.devices).map(device), answers.map(a => a[0]!), scope.filter !== "");
    return { rows, window, hour, asOf: text(r.as_of) };
  });
}

export function Fleet({ scope, chosen, sort }: { scope: Scope; chosen: string | null; sort: string | null }) {
  const seen: Scope = scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "24h" };
  const { data, stale, error, reload } = useFleet(seen),
    late = useLate(stale);
  const go = (s: Partial<Scope>, more: { device?: string | null; sort?: string | null } = {}) =>
    navigate(fleetLink({ ...scope, ...s }, { device: chosen, sort, ...more }), {
      replace: Object.keys(s).length === 0,
    });
  const onFilter = (filter: string) => go({ filter });
  const one = chosen === null ? undefined : data?.rows.find(r => (r.id ?? "") === chosen);
  return (
    <main id="main" class="page fleet" aria-busy={stale && !error}>
      <header class="head">
        <h1 tabIndex={-1}>Fleet</h1>
        <RangePicker
          scope={scope}
          usual="24h"
          now={() => data?.window ?? { from: null, to: null }}
          onScope={s => go(s)}
        />
        {data?.rows.some(marked) && <Simulated what="Some of these devices are simulated" />}
        <SaveView page="fleet" />
        <AsOf iso={data?.asOf ?? null} failed={error !== null} stale={stale} />
      </header>
      <FilterBar scope={seen} error={error} onFilter={onFilter} />
      {error && error.position === null && (
        <Failure error={error} what="The fleet could not be loaded." onRetry={reload} />
      )}
      {data && data.rows.length === 0 && !scope.filter ? (
        <NoFleet />
      ) : (
        <div class={late ? "numbers stale" : "numbers"}>
          <Summary fleet={data} scope={scope} />
          <Devices
            fleet={data}
            scope={scope}
            chosen={chosen}
            sort={sort}
            onSort={s => go({}, { sort: s })}
            onChoose={id => go({}, { device: id })}
            onFilter={onFilter}
          />
          {one && <One row={one} window={data!.window} onClose={() => go({}, { device: null })} />}
          {!scope.filter && data && <Troubles window={data.window} onZoom={w => go({ range: null, ...w })} />}
        </div>
      )}
    </main>
  );
}

function NoFleet() {
  const { origin } = location;
  return (
    <section class="empty">
      <h2>No device has reported yet</h2>
      <p>
        Inference servers report here when two settings of theirs name this one; nothing else on them changes. Devices
        appear with their first report, within a minute.
      </p>
      <div class="teach">
        <Command
          title="In the environment of a stock inference server"
          text={`METRICS_URL=${origin}/inference-stats\nMETRICS_COLLECTOR_BASE_URL=${origin}`}
        />
        <Command
          title="Or look at a fleet that isn't there: a simulator, marked as such wherever it shows"
          text={`SIGHTGLASS_API_KEY=$SIGHTGLASS_KEY build/fleet --url ${origin}`}
        />
      </div>
    </section>
  );
}

// What an engineer wants to know before anything else: who is missing.
function Summary({ fleet, scope }: { fleet: Fleet | null; scope: Scope }) {
  const now = useNow(),
    rows = fleet?.rows ?? [];
  const silent = rows.filter(away).sort((a, b) => (b.lastSeen ?? "").localeCompare(a.lastSeen ?? "")),
    alive = rows.filter(r => r.state === "alive" || r.state === "sending"),
    known = alive.length + silent.length;
  const sum = (f: (r: Row) => number) => rows.reduce((n, r) => n + f(r), 0),
    hour = sum(r => r.work.hour),
    before = sum(r => r.work.hourBefore),
    errors = sum(r => r.work.errors ?? 0),
    failed = sum(r => r.work.failed),
    unserved = rows.filter(r => r.unserved.length);
  const link = (w: Window | undefined, ...clauses: string[]) =>
    inferencesLink({
      filter: narrowed(scope.filter, clauses),
      range: null,
      from: w?.from ?? null,
      to: w?.to ?? null,
    });
  const delta = change(fleet ? hour : null, before, before === 0);
  return (
    <section class="tiles fleet" aria-label="The fleet in short">
      <section class="tile">
        <h2>Alive</h2>
        <Value>{fleet && known ? `${alive.length} of ${known}` : null}</Value>
        <p class="note">{fleet ? `${plural(rows.length, "device")} known` : ""}</p>
      </section>
      <section class={silent.length ? "tile bad" : "tile"}>
        <h2>Silent</h2>
        <Value>{fleet && known ? silent.length : null}</Value>
        <p class="note">
          {silent.slice(0, 2).map(r => (
            <a key={r.id} class="clip" href={fleetLink(scope, { device: r.id ?? "" })}>
              {r.id ?? "no device id"}, {r.lastSeen ? ago(new Date(r.lastSeen), now) : NONE}
            </a>
          ))}
          {silent.length > 2 && ` and ${silent.length - 2} more`}
          {fleet &&
            !silent.length &&
            (known ? "every device was heard of" : "no server reports, and too little came to tell by")}
        </p>
      </section>
      <section class={fleet && !hour && before ? "tile bad" : "tile"}>
        <h2>Requests in the last hour</h2>
        <Value href={link(fleet?.hour)}>{fleet && compact(hour)}</Value>
        <p class="delta">
          {fleet && (
            <>
              <Changed delta={delta} />{" "}
              {delta.kind === "new" ? (
                <span>nothing in this hour last week</span>
              ) : (
                <span>{count(before)} last week</span>
              )}
            </>
          )}
        </p>
      </section>
      <section class={errors ? "tile bad" : "tile"}>
        <h2>Errors</h2>
        {fleet ? (
          <Errors
            all={errors}
            counted={errors - failed}
            list={link(fleet.window, "has:error")}
            failures="#failures"
            kind="value"
          />
        ) : (
          <Value>{null}</Value>
        )}
        <p class="note">
          in the range above
          {errors > failed && (
            <>
              , {failed ? `${count(errors - failed)} only` : "all"} counted by servers
            </>
          )}
          {unserved.length > 0 && `; ${plural(unserved.length, "device")} ask for what isn't served here`}
        </p>
      </section>
    </section>
  );
}

function Value({ href, children }: { href?: string; children: string | number | null }) {
  if (children === null) return <span class="value waiting">{NONE}</span>;
  return href ? (
    <a class="value" href={href}>
      {children}
    </a>
  ) : (
    <span class="value">{children}</span>
  );
}

function State({ row }: { row: Row }) {
  const now = useNow(),
    d = parse(row.lastSeen),
    by = "No server of it reports: told by what it sends. ";
  if (away(row))
    return (
      <span
        class="state silent"
        title={
          row.state === "stopped"
            ? `${by}Nothing in the last hour, ${count(row.work.hourBefore)} in this hour a week ago`
            : d
              ? `Last heard of ${stamp(d)}`
              : undefined
        }
      >
        <b>{row.state}</b> since {d ? stamp(d).slice(now - d.getTime() > 20 * HOUR ? 5 : 11, 16) : "ever"}
      </span>
    );
  if (row.state === "alive") return <span class="state alive">alive</span>;
  if (row.state === "sending")
    return (
      <span class="state alive" title={`${by}${plural(row.work.hour, "inference")} in the last hour`}>
        sending
      </span>
    );
  return (
    <span class="state unknown" title={`${by}Too little came in this hour of either week to say`}>
      unknown
    </span>
  );
}

const slide = ({ work: { confidence: now, confidenceBefore: before } }: Row): number | null =>
  now !== null && before ? now / before - 1 : null;

function Devices({
  fleet,
  scope,
  chosen,
  sort,
  onSort,
  onChoose,
  onFilter,
}: {
  fleet: Fleet | null;
  scope: Scope;
  chosen: string | null;
  sort: string | null;
  onSort: (s: string) => void;
  onChoose: (id: string | null) => void;
  onFilter: (f: string) => void;
}) {
  const clause = (r: Row) => (r.id === null ? "-has:device" : clauseFor("device", r.id));
  const link = (w: Window, ...clauses: string[]) =>
    inferencesLink({ filter: narrowed(scope.filter, clauses), range: null, from: w.from, to: w.to });
  const weekly = (r: Row) => change(r.work.hour, r.work.hourBefore, r.work.hourBefore === 0);
  const columns: TableColumn<Row>[] = [
    {
      id: "device",
      title: "Device",
      width: 208,
      sortable: true,
      value: r => r.id,
      cell: r => (
        <span class="named">
          <button
            type="button"
            class="link clip"
            aria-expanded={chosen === (r.id ?? "")}
            title="What is known of it"
            onClick={() => onChoose(chosen === (r.id ?? "") ? null : (r.id ?? ""))}
          >
            {r.id ?? <i class="none">no device id</i>}
          </button>
          {marked(r) && <Simulated />}
          {r.id !== null && <Pick field="device" value={r.id} filter={scope.filter} onFilter={onFilter} tab={false} />}
        </span>
      ),
    },
    { id: "state", title: "State", width: 148, sortable: true, value: urgency, cell: r => <State row={r} /> },
    {
      id: "heard",
      title: "Last heard",
      width: 100,
      sortable: true,
      value: r => r.lastSeen,
      cell: r => <Ago iso={r.lastSeen} />,
    },
    {
      id: "hour",
      title: "Last hour",
      width: 88,
      numeric: true,
      sortable: true,
      help: "Requests in the last hour",
      value: r => r.work.hour,
      cell: r => <a href={link(fleet!.hour, clause(r))}>{count(r.work.hour)}</a>,
    },
    {
      id: "week",
      title: "vs last week",
      width: 108,
      numeric: true,
      sortable: true,
      help: "Against the same hour a week ago",
      value: r => (r.work.hourBefore ? r.work.hour / r.work.hourBefore - 1 : null),
      cell: r => (
        <span title={`${count(r.work.hourBefore)} in the same hour a week ago`}>
          <Changed delta={weekly(r)} />
        </span>
      ),
    },
    {
      id: "requests",
      title: "Requests",
      width: 92,
      numeric: true,
      sortable: true,
      help: "In the range above",
      value: r => r.work.inferences,
      cell: r => <a href={link(fleet!.window, clause(r))}>{count(r.work.inferences)}</a>,
    },
    {
      id: "errors",
      title: "Errors",
      width: 76,
      numeric: true,
      sortable: true,
      help: "Inferences with an error, and failures that its servers counted",
      value: r => r.work.errors,
      cell: r =>
        r.work.errors ? (
          <Errors
            all={r.work.errors}
            counted={r.work.errors - r.work.failed}
            list={link(fleet!.window, clause(r), "has:error")}
            failures="#failures"
            kind="wrong"
          />
        ) : (
          count(r.work.errors)
        ),
    },
    {
      id: "confidence",
      title: "Mean conf.",
      width: 100,
      numeric: true,
      sortable: true,
      value: r => r.work.confidence,
      cell: r => (
        <a class="quiet" href={link(fleet!.window, clause(r), "has:confidence")}>
          {confidence(r.work.confidence)}
        </a>
      ),
    },
    {
      id: "slide",
      title: "vs before",
      width: 92,
      numeric: true,
      sortable: true,
      help: "Mean confidence against the period before",
      value: r => slide(r),
      cell: r => (
        <span title={`${confidence(r.work.confidenceBefore)} in the period before`}>
          <Changed delta={change(r.work.confidence, r.work.confidenceBefore, false)} />
        </span>
      ),
    },
    {
      id: "latency",
      title: "Time",
      width: 68,
      numeric: true,
      sortable: true,
      value: r => r.work.latency,
      cell: r => (
        <a class="quiet" href={link(fleet!.window, clause(r), "has:latency", "-has:error")}>
          {seconds(r.work.latency)}
        </a>
      ),
    },
    {
      id: "models",
      title: "Models",
      width: 176,
      value: r => r.models.map(m => m.id ?? "").join("; "),
      cell: r => (
        <span class="classes" title={r.models.map(m => `${m.id ?? NONE}: ${count(m.inferences)}`).join("\n")}>
          {r.models.slice(0, 3).map(m => (
            <a key={m.id} class="quiet" href={link(fleet!.window, clause(r), clauseFor("model", m.id ?? ""))}>
              {m.id}
            </a>
          ))}
          {r.models.length > 3 && <span class="sub">+{r.models.length - 3}</span>}
          {!r.models.length && <span class="none">{NONE}</span>}
        </span>
      ),
    },
    {
      id: "version",
      title: "Server",
      width: 76,
      sortable: true,
      help: "Version of the inference server",
      value: r => r.versions.join(", "),
      cell: r => <span class="clip">{r.versions.join(", ") || NONE}</span>,
    },
    {
      id: "unserved",
      title: "Unserved",
      width: 92,
      numeric: true,
      sortable: true,
      help: "What it asked for that this server doesn't do",
      value: r => r.unserved.reduce((n, u) => n + u.count, 0),
      cell: r => {
        const n = r.unserved.reduce((s, u) => s + u.count, 0);
        return n ? (
          <button type="button" class="link wrong" onClick={() => onChoose(r.id ?? "")}>
            {count(n)}
          </button>
        ) : (
          <span class="none">0</span>
        );
      },
    },
  ];
  return (
    <section class="block">
      <DataTable
        label="Devices"
        file="fleet"
        rows={fleet?.rows ?? null}
        columns={columns}
        rowKey={r => r.id ?? ""}
        empty={scope.filter ? "No device has inferences that match this filter." : "No device."}
        sort={sortOf(sort, { id: "state", down: true })}
        onSort={s => onSort(sortText(s))}
        onOpen={r => onChoose(chosen === (r.id ?? "") ? null : (r.id ?? ""))}
        rowClass={r => (chosen === (r.id ?? "") ? "opened" : away(r) ? "bad" : undefined)}
        exports
        keys
        head={<h2>Devices</h2>}
      />
    </section>
  );
}
