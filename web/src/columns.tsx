// The columns an inference can be listed with: its own, and one for each metadata field.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Inference, Value } from "./api";
import { clauseFor, metadataName, withClause } from "./filter";
import { confidence, NONE, seconds } from "./format";
import { simulated, Simulated } from "./simulated";
import type { TableColumn } from "./table";
import { Pick, Shown, Time } from "./ui";

export interface Context {
  filter: string;
  onFilter: (f: string) => void;
}

export interface Column extends TableColumn<Inference> {
  hidden?: boolean; // not shown until chosen
}

// A value with its two buttons, which are made when the pointer is there.
function Picked({
  field,
  value,
  context,
  children,
}: {
  field: string;
  value: Value;
  context: Context;
  children: ComponentChildren;
}) {
  const [over, setOver] = useState(false);
  return (
    <span class="picked" onPointerEnter={() => setOver(true)} onPointerLeave={() => setOver(false)}>
      <span class="clip" title={String(value)}>
        {children}
      </span>
      {over && <Pick tab={false} field={field} value={value} filter={context.filter} onFilter={context.onFilter} />}
    </span>
  );
}

const none = <span class="none">{NONE}</span>;

// Such rows stand above what is really the newest.
const ahead = (r: Inference) =>
  r.clockSuspect || (r.time !== null && r.received !== null && Date.parse(r.time) - Date.parse(r.received) > 600_000);

export function ownColumns(context: Context): Column[] {
  const text = (field: string, of: (r: Inference) => string | null) => (r: Inference) => {
    const v = of(r);
    return v === null ? (
      none
    ) : (
      <Picked field={field} value={v} context={context}>
        {v}
      </Picked>
    );
  };
  return [
    {
      id: "time",
      title: "Time",
      width: 228,
      value: r => r.time ?? r.received,
      cell: r => (
        <>
          <Time iso={r.time ?? r.received} />
          {r.partial && (
            <abbr class="mark" title="From a source that sends a part of the record only">
              {" "}
              partial
            </abbr>
          )}
          {ahead(r) && (
            <abbr class="mark" title="Later than it was received: the sender's clock is wrong">
              {" "}
              clock?
            </abbr>
          )}
          {simulated(r) && (
            <>
              {" "}
              <Simulated />
            </>
          )}
        </>
      ),
    },
    {
      id: "model",
      title: "Model",
      width: 192,
      value: r => r.model,
      cell: r =>
        r.model === null ? (
          none
        ) : (
          <Picked field="model" value={r.model} context={context}>
            {r.model}
            {r.modelName && <span class="sub"> ({r.modelName})</span>}
          </Picked>
        ),
    },
    {
      id: "classes",
      title: "Classes",
      width: 200,
      value: r =>
        r.error ??
        countClasses(r)
          .map(([c, n]) => `${c} × ${n}`)
          .join(", "),
      cell: r => <Classes row={r} context={context} />,
    },
    {
      id: "confidence",
      title: "Top conf.",
      help: "Confidence of the top detection",
      width: 88,
      numeric: true,
      value: topConfidence,
      cell: r => confidence(topConfidence(r)),
    },
    {
      id: "latency",
      title: "Time taken",
      width: 92,
      numeric: true,
      value: r => r.latency,
      cell: r => seconds(r.latency),
    },
    { id: "device", title: "Device", width: 128, value: r => r.device, cell: text("device", r => r.device) },
    { id: "source", title: "Source", width: 112, value: r => r.source, cell: text("source", r => r.source) },
    {
      id: "id",
      title: "Inference id",
      width: 288,
      hidden: true,
      value: r => r.id,
      cell: r => (
        <span class="clip mono" title={r.id}>
          {r.id}
        </span>
      ),
    },
    {
      id: "received",
      title: "Received",
      width: 176,
      hidden: true,
      value: r => r.received,
      cell: r => <Time iso={r.received} />,
    },
    {
      id: "source_info",
      title: "Source info",
      width: 160,
      hidden: true,
      value: r => r.sourceInfo,
      cell: text("source_info", r => r.sourceInfo),
    },
    { id: "index", title: "Index", width: 64, numeric: true, hidden: true, value: r => r.index, cell: r => r.index },
    {
      id: "size",
      title: "Image size",
      width: 112,
      hidden: true,
      value: size,
      cell: r => size(r) ?? none,
    },
    {
      id: "error",
      title: "Error",
      width: 240,
      hidden: true,
      value: r => r.error,
      cell: r =>
        r.error === null ? (
          none
        ) : (
          <span class="clip" title={r.error}>
            {r.error}
          </span>
        ),
    },
  ];
}

const size = ({ image: { width, height } }: Inference) => (width && height ? `${width} × ${height}` : null);

export function metadataColumn(name: string, context: Context): Column {
  const of = (r: Inference) => (Object.hasOwn(r.metadata, name) ? r.metadata[name]! : null);
  return {
    id: `m.${name}`,
    title: name,
    help: `Metadata: ${name}`,
    width: Math.max(112, Math.min(208, 40 + name.length * 8)),
    metadata: true,
    value: of,
    cell: r => {
      const v = of(r);
      return v === null ? (
        none
      ) : (
        <Picked field={metadataName(name)} value={v} context={context}>
          <Shown value={v} />
        </Picked>
      );
    },
  };
}

export function topConfidence(r: Inference): number | null {
  return r.predictions.reduce<number | null>(
    (top, p) => (p.confidence !== null && (top === null || p.confidence > top) ? p.confidence : top),
    null,
  );
}

export function countClasses(r: Inference): [string, number][] {
  const counts = new Map<string, number>();
  for (const p of r.predictions) counts.set(p.class, (counts.get(p.class) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

function Classes({ row, context }: { row: Inference; context: Context }) {
  if (row.error !== null)
    return (
      <span class="clip failed" title={row.error}>
        <b>Error</b> {row.error}
      </span>
    );
  const all = countClasses(row);
  if (!all.length) return <span class="none">no detections</span>;
  return (
    <span class="clip classes" title={all.map(([c, n]) => `${c} × ${n}`).join(", ")}>
      {all.slice(0, 4).map(([c, n]) => (
        <button
          type="button"
          tabIndex={-1}
          key={c}
          title={`Only class:${c}`}
          onClick={e => (e.stopPropagation(), context.onFilter(withClause(context.filter, clauseFor("class", c))))}
        >
          {c}
          {n > 1 && <b> {n}</b>}
        </button>
      ))}
      {all.length > 4 && <span class="sub">+{all.length - 4}</span>}
    </span>
  );
}
