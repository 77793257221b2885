// The columns an inference can be listed with: its own, and one for each metadata field.
import type { ComponentChildren } from "preact";
import type { Inference } from "./api";
import { clauseFor, metadataName, withClause } from "./filter";
import { confidence, NONE, seconds } from "./format";
import { Pick, Shown, Time } from "./ui";

export interface Context {
  filter: string;
  onFilter: (f: string) => void;
  link: (r: Inference) => string;
  picks: boolean; // whether the cells carry their two buttons: only in the row under the pointer
}

export interface Column {
  id: string;
  title: string;
  width: number;
  numeric?: boolean;
  hidden?: boolean; // not shown until chosen
  cell: (r: Inference, c: Context) => ComponentChildren;
}

function value(field: string, v: string | null, c: Context): ComponentChildren {
  if (v === null) return <span class="none">{NONE}</span>;
  return (
    <>
      <span class="clip" title={v}>
        {v}
      </span>
      {c.picks && <Pick tab={false} field={field} value={v} filter={c.filter} onFilter={c.onFilter} />}
    </>
  );
}

export const COLUMNS: Column[] = [
  {
    id: "time",
    title: "Time",
    width: 160,
    cell: r => (
      <>
        <Time iso={r.time ?? r.received} />
        {r.partial && (
          <abbr class="mark" title="From a source that sends a part of the record only">
            {" "}
            partial
          </abbr>
        )}
      </>
    ),
  },
  {
    id: "model",
    title: "Model",
    width: 208,
    cell: (r, c) => (
      <span class="pair">
        {value("model", r.model, c)}
        {r.modelName && <span class="sub">({r.modelName})</span>}
      </span>
    ),
  },
  { id: "classes", title: "Classes", width: 208, cell: (r, c) => <Classes row={r} context={c} /> },
  { id: "confidence", title: "Top conf.", width: 88, numeric: true, cell: r => confidence(topConfidence(r)) },
  { id: "latency", title: "Time taken", width: 92, numeric: true, cell: r => seconds(r.latency) },
  { id: "device", title: "Device", width: 128, cell: (r, c) => value("device", r.device, c) },
  { id: "source", title: "Source", width: 112, cell: (r, c) => value("source", r.source, c) },
  {
    id: "id",
    title: "Inference id",
    width: 288,
    hidden: true,
    cell: r => (
      <span class="clip mono" title={r.id}>
        {r.id}
      </span>
    ),
  },
  { id: "received", title: "Received", width: 160, hidden: true, cell: r => <Time iso={r.received} /> },
  {
    id: "source_info",
    title: "Source info",
    width: 160,
    hidden: true,
    cell: (r, c) => value("source_info", r.sourceInfo, c),
  },
  { id: "index", title: "Index", width: 64, numeric: true, hidden: true, cell: r => r.index },
  {
    id: "size",
    title: "Image size",
    width: 112,
    hidden: true,
    cell: r => (r.image.width && r.image.height ? `${r.image.width} × ${r.image.height}` : NONE),
  },
  {
    id: "error",
    title: "Error",
    width: 240,
    hidden: true,
    cell: r =>
      r.error ? (
        <span class="clip" title={r.error}>
          {r.error}
        </span>
      ) : (
        <span class="none">{NONE}</span>
      ),
  },
];

export function metadataColumn(name: string): Column {
  return {
    id: `m.${name}`,
    title: name,
    width: Math.max(112, Math.min(208, 40 + name.length * 8)),
    cell: (r, c) => {
      const v = Object.hasOwn(r.metadata, name) ? r.metadata[name]! : null;
      if (v === null) return <span class="none">{NONE}</span>;
      return (
        <>
          <span class="clip" title={String(v)}>
            <Shown value={v} />
          </span>
          {c.picks && <Pick tab={false} field={metadataName(name)} value={v} filter={c.filter} onFilter={c.onFilter} />}
        </>
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
