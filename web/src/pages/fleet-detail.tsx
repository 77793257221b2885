// Below the table of devices: one device with its servers, and what went wrong on the way here.
import { useEffect, useRef } from "preact/hooks";
import { api, enc, number, text } from "../api";
import { Chart } from "../chart";
import { clauseFor } from "../filter";
import { failures, setAside, type Aside, type Counted, type Failures, type Row, type Unserved } from "../fleet";
import { compact, confidence, count, NONE, seconds } from "../format";
import { narrowed, type Window } from "../numbers/load";
import { useLoad, useWorkspace } from "../state";
import { DataTable, type TableColumn } from "../table";
import { Ago, Icon, Time } from "../ui";
import { bucketFor, inferencesLink, modelLink } from "../url";

const iso = (t: number): string => new Date(t).toISOString();

// One device: the servers on it, what it asked for.
export function One({ row, window, onClose }: { row: Row; window: Window; onClose: () => void }) {
  // It is below a table of many rows: who opens it wants to see it.
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.scrollIntoView({ block: "nearest" }), [row.id]);
  const name = row.id ?? "no device id",
    link = (...clauses: string[]) =>
      inferencesLink({ filter: narrowed("", clauses), range: null, from: window.from, to: window.to });
  const servers: TableColumn<Row["servers"][number]>[] = [
    {
      id: "server",
      title: "Server",
      width: 208,
      value: s => s.id,
      cell: s =>
        s.id ? (
          <a class="clip mono" title={s.id} href={link(clauseFor("server", s.id))}>
            {s.id}
          </a>
        ) : (
          NONE
        ),
    },
    {
      id: "state",
      title: "State",
      width: 72,
      value: s => (s.silent ? "silent" : "alive"),
      cell: s => <span class={s.silent ? "state silent" : "state alive"}>{s.silent ? "silent" : "alive"}</span>,
    },
    { id: "version", title: "Version", width: 80, value: s => s.version, cell: s => s.version ?? NONE },
    {
      id: "host",
      title: "Host",
      width: 176,
      value: s => s.host,
      cell: s => <span class="clip">{[s.host, s.address].filter(Boolean).join(", ") || NONE}</span>,
    },
    {
      id: "platform",
      title: "Platform",
      width: 176,
      value: s => s.platform,
      cell: s => (
        <span class="clip" title={s.platform}>
          {s.platform || NONE}
        </span>
      ),
    },
    { id: "started", title: "Started", width: 160, value: s => s.started, cell: s => <Time iso={s.started} /> },
    { id: "heard", title: "Last heard", width: 96, value: s => s.lastSeen, cell: s => <Ago iso={s.lastSeen} /> },
    {
      id: "interval",
      title: "Reports every",
      width: 104,
      numeric: true,
      help: "Time between its last two reports; it is silent after three times that, or as the server is set",
      value: s => s.interval,
      cell: s => <span title={s.limit === null ? "" : `silent after ${seconds(s.limit)}`}>{seconds(s.interval)}</span>,
    },
    { id: "reports", title: "Reports", width: 80, numeric: true, value: s => s.reports, cell: s => count(s.reports) },
    {
      id: "aside",
      title: "Set aside",
      width: 80,
      numeric: true,
      help: "Items of its reports that could not be stored",
      value: s => s.setAside,
      cell: s => count(s.setAside),
    },
  ];
  return (
    <section class="block one-device" ref={box} aria-label={`Device ${name}`}>
      <header>
        <h2>
          {name} <span class="sub">{row.tags.join(", ")}</span>
        </h2>
        <button type="button" class="bare" aria-label="Close the device" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {row.servers.length > 0 ? (
        <DataTable
          label={`Servers on ${name}`}
          file="servers"
          rows={row.servers}
          columns={servers}
          rowKey={s => `${s.id} ${s.started}`}
          empty=""
          exports
          head={<h3>Servers</h3>}
        />
      ) : (
        <p class="hint">
          No inference server reports for this device: only inferences name it. Whether it is there is told by what it
          sends: {count(row.work.hour)} in the last hour, {count(row.work.hourBefore)} in this hour a week ago.
        </p>
      )}
      <Cameras row={row} window={window} />
      {row.models.length > 0 && (
        <p class="classes">
          {row.models.map(m => (
            <a
              key={m.id}
              href={modelLink(
                { filter: row.id === null ? "" : clauseFor("device", row.id), range: null, ...window },
                (m.id ?? "").replace(/\/[^/]*$/, ""),
              )}
            >
              {m.id} <b>{compact(m.inferences)}</b>
            </a>
          ))}
        </p>
      )}
      {row.unserved.length > 0 && <UnservedTable items={row.unserved} />}
    </section>
  );
}

interface Camera {
  name: string | null;
  inferences: number | null;
  confidence: number | null;
  latency: number | null;
  last: string | null;
}

// What a device's servers call their sources: each is a camera, or what stands for one. Nobody reports for a camera, so
// its newest inference is the only sign of life.
function Cameras({ row, window }: { row: Row; window: Window }) {
  const ws = useWorkspace(),
    own = row.id === null ? "-has:device" : clauseFor("device", row.id);
  const { data } = useLoad(`cameras ${ws} ${own} ${window.from.slice(0, 16)} ${window.to.slice(0, 16)}`, async signal => {
    const measures = ["inferences", "avg(confidence)", "avg(latency)", "max(time)"];
    const plan = { ...window, filter: own, groups: [{ by: ["source_info"], measures, limit: 1000 }] };
    const [g] = await api.query(ws, plan, signal);
    return (g?.rows ?? []).map(
      (r): Camera => ({
        name: text(r[0]),
        inferences: number(r[1]),
        confidence: number(r[2]),
        latency: number(r[3]),
        last: text(r[4]),
      }),
    );
  });
  const link = (c: Camera, ...clauses: string[]) => {
    const camera = c.name === null ? "-has:source_info" : clauseFor("source_info", c.name);
    return inferencesLink({ filter: narrowed("", [own, camera, ...clauses]), range: null, ...window });
  };
  const columns: TableColumn<Camera>[] = [
    {
      id: "camera",
      title: "Camera",
      width: 208,
      sortable: true,
      help: "As the server names its source (source_info)",
      value: c => c.name,
      cell: c => <span class="clip">{c.name ?? "no source named"}</span>,
    },
    {
      id: "last",
      title: "Newest inference",
      width: 128,
      sortable: true,
      value: c => c.last,
      cell: c => <Ago iso={c.last} />,
    },
    {
      id: "requests",
      title: "Requests",
      width: 96,
      numeric: true,
      sortable: true,
      value: c => c.inferences,
      cell: c => <a href={link(c)}>{count(c.inferences)}</a>,
    },
    {
      id: "confidence",
      title: "Mean conf.",
      width: 104,
      numeric: true,
      sortable: true,
      value: c => c.confidence,
      cell: c => (
        <a class="quiet" href={link(c, "has:confidence")}>
          {confidence(c.confidence)}
        </a>
      ),
    },
    {
      id: "latency",
      title: "Time",
      width: 88,
      numeric: true,
      sortable: true,
      value: c => c.latency,
      cell: c => (
        <a class="quiet" href={link(c, "has:latency", "-has:error")}>
          {seconds(c.latency)}
        </a>
      ),
    },
  ];
  if (!data?.length) return null;
  return (
    <DataTable
      label={`Cameras of ${row.id ?? "no device"}`}
      file="cameras"
      rows={data}
      columns={columns}
      rowKey={c => c.name ?? "\n"}
      sort={{ id: "last", down: false }}
      empty=""
      exports
      head={<h3>Cameras, in the range above</h3>}
    />
  );
}

function UnservedTable({ items }: { items: Unserved[] }) {
  const columns: TableColumn<Unserved>[] = [
    { id: "count", title: "Times", width: 72, numeric: true, value: u => u.count, cell: u => count(u.count) },
    { id: "method", title: "Call", width: 72, value: u => u.method, cell: u => u.method },
    {
      id: "path",
      title: "Path",
      width: 320,
      value: u => u.path,
      cell: u => (
        <span class="clip mono" title={u.path}>
          {u.path}
        </span>
      ),
    },
    { id: "status", title: "Answered", width: 80, numeric: true, value: u => u.status, cell: u => u.status ?? NONE },
    {
      id: "agent",
      title: "Asked by",
      width: 240,
      value: u => u.agent,
      cell: u => (
        <span class="clip" title={u.agent}>
          {u.agent || NONE}
        </span>
      ),
    },
    { id: "last", title: "Last", width: 96, value: u => u.lastSeen, cell: u => <Ago iso={u.lastSeen} /> },
  ];
  return (
    <DataTable
      label="Asked for, and not served here"
      file="unserved"
      rows={items}
      columns={columns}
      rowKey={u => `${u.method} ${u.path} ${u.agent} ${u.status}`}
      empty=""
      exports
      head={<h3>Asked for, and not served here, since this server started</h3>}
    />
  );
}

// Failures that servers counted, and items that could not be stored.
export function Troubles({ window, onZoom }: { window: Window; onZoom: (w: Window) => void }) {
  const ws = useWorkspace();
  const bucket = bucketFor((Date.parse(window.to) - Date.parse(window.from)) / 1000);
  const failed = useLoad(`failures ${ws} ${window.from.slice(0, 16)} ${window.to.slice(0, 16)}`, signal =>
      failures(ws, { ...window, bucket }, signal),
    ).data,
    aside = useLoad(`aside ${ws}`, signal => setAside(ws, signal)).data;
  return (
    <>
      {failed && (failed.errors || failed.models.length > 0) ? (
        <Failed failed={failed} window={window} onZoom={onZoom} />
      ) : null}
      {aside && aside.total > 0 && <SetAside total={aside.total} items={aside.items} />}
    </>
  );
}

function Failed({ failed, window, onZoom }: { failed: Failures; window: Window; onZoom: (w: Window) => void }) {
  const from = Date.parse(window.from),
    to = Date.parse(window.to),
    width = failed.bucket * 1000;
  const box = useRef<HTMLElement>(null);
  // A number of failures elsewhere leads to here.
  useEffect(() => {
    if (location.hash === "#failures") box.current?.scrollIntoView({ block: "start" });
  }, [window.from, window.to]);
  const zoom = (a: number, b: number) => onZoom({ from: iso(Math.max(a, from)), to: iso(Math.min(b, to)) });
  const table = (title: string, what: string, rows: Counted[]) => {
    const columns: TableColumn<Counted>[] = [
      {
        id: "name",
        title: what,
        width: 112,
        sortable: true,
        value: r => r.name,
        cell: r => (
          <span class="clip" title={r.name}>
            {r.name || NONE}
          </span>
        ),
      },
      {
        id: "errors",
        title: "Errors",
        width: 64,
        numeric: true,
        sortable: true,
        value: r => r.errors,
        cell: r => count(r.errors),
      },
      {
        id: "message",
        title: "Newest message",
        width: 112,
        value: r => r.message,
        cell: r => (
          <span class="clip" title={r.message}>
            {r.message || NONE}
          </span>
        ),
      },
      {
        id: "last",
        title: "Last",
        width: 80,
        sortable: true,
        value: r => r.lastSeen,
        cell: r => <Ago iso={r.lastSeen} />,
      },
    ];
    return (
      <div class="block">
        <DataTable
          label={`Failures ${title}`}
          file={`failures-${what}`}
          rows={rows}
          columns={columns}
          rowKey={r => r.name}
          sort={{ id: "errors", down: true }}
          empty="None."
          exports
          head={<h3>{title}</h3>}
        />
      </div>
    );
  };
  return (
    <section class="block" id="failures" ref={box}>
      <h2>
        Failures that servers counted{" "}
        <span class="sub">
          on all devices: {count(failed.errors)} of models, {count(failed.before)} in the period before. They are no
          inferences: of each only the count and the newest message are known
        </span>
      </h2>
      <Chart
        title="Failures"
        file="failures"
        kind="bars"
        times={failed.series.map(b => b.time)}
        width={width}
        lines={[{ name: "failures", values: failed.series.map(b => b.errors), tone: "alert" }]}
        from={from}
        to={to}
        height={120}
        whole
        write={v => count(v)}
        axis={v => compact(v)}
        onOpen={i => zoom(failed.series[i]!.time, failed.series[i]!.time + width)}
        onZoom={zoom}
      />
      <div class="thirds">
        {table("by model", "Model", failed.models)}
        {table("by kind", "Kind", failed.types)}
        {table("by host", "Host", failed.hosts)}
      </div>
    </section>
  );
}

function SetAside({ total, items }: { total: number; items: Aside[] }) {
  const ws = useWorkspace();
  const columns: TableColumn<Aside>[] = [
    { id: "time", title: "Time", width: 160, value: a => a.time, cell: a => <Time iso={a.time} /> },
    {
      id: "reason",
      title: "Reason",
      width: 320,
      value: a => a.reason,
      cell: a => (
        <span class="clip" title={a.reason}>
          {a.reason}
        </span>
      ),
    },
    {
      id: "device",
      title: "Device",
      width: 128,
      value: a => a.device,
      cell: a => <span class="clip">{a.device || NONE}</span>,
    },
    { id: "source", title: "Came with", width: 88, value: a => a.source, cell: a => a.source },
    {
      id: "item",
      title: "Item",
      width: 320,
      value: a => JSON.stringify(a.item),
      cell: a => (
        <span class="clip mono" title={a.item === null ? "over 16 KiB, not kept" : JSON.stringify(a.item, null, 1)}>
          {a.item === null ? NONE : JSON.stringify(a.item)}
        </span>
      ),
    },
  ];
  return (
    <section class="block">
      <DataTable
        label="Set aside"
        file="set-aside"
        rows={items}
        columns={columns}
        rowKey={a => String(a.id)}
        empty="None."
        exports
        head={
          <h2>
            Set aside{" "}
            <span class="sub">
              {count(total)} reported items ever could not be stored; the newest {count(items.length)}.{" "}
              <a href={`/api/v1/${enc(ws)}/set-aside?format=ndjson`} download="set-aside.ndjson">
                Export all that are kept
              </a>
            </span>
          </h2>
        }
      />
    </section>
  );
}
