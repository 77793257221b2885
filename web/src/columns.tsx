// The columns an inference can be listed with: its own, and one for each metadata field.
import type { Inference, Value } from "./api";
import { clauseFor, metadataName, withClause } from "./filter";
import { confidence, NONE, parse, seconds, stamp, utcStamp } from "./format";
import { simulated, Simulated } from "./simulated";
import type { Drawn, TableColumn } from "./table";
import { Pick } from "./ui";

export interface Context {
  filter: string;
  onFilter: (f: string) => void;
}

export interface Column extends TableColumn<Inference> {
  hidden?: boolean; // not shown until chosen
}

// A row of the list has as few elements as can be, since so many are made while one scrolls: a value is its cell's
// text, and what one can do with it is made when the pointer is there.
const plain = (of: (r: Inference) => Value | null): Drawn<Inference> => ({
  cell: r => {
    const v = of(r);
    return v === null ? NONE : v === "" ? "empty text" : String(v);
  },
  // A number or a boolean is told from the same text by its type's mark.
  look: r => {
    const v = of(r);
    return v === null || v === "" ? "none" : typeof v === "string" ? undefined : `typed ${typeof v}`;
  },
  tip: r => {
    const v = of(r);
    if (typeof v === "string") return v;
    return v === null ? undefined : `${v} (${typeof v === "number" ? "number" : "true or false"})`;
  },
});

const picked = (field: string, of: (r: Inference) => Value | null, context: Context): Drawn<Inference> => {
  const { cell, ...drawn } = plain(of);
  return { ...drawn, cell: (r, over) => (over ? [cell(r, over), pick(field, of(r), context)] : cell(r, over)) };
};

const pick = (field: string, value: Value | null, { filter, onFilter }: Context) =>
  value !== null && <Pick tab={false} field={field} value={value} filter={filter} onFilter={onFilter} />;

const moment = (of: (r: Inference) => string | null): Drawn<Inference> => ({
  cell: r => {
    const d = parse(of(r));
    return d ? <time dateTime={of(r)!}>{stamp(d)}</time> : NONE;
  },
  look: r => (parse(of(r)) ? undefined : "none"),
  tip: r => {
    const d = parse(of(r));
    return d ? utcStamp(d) : undefined;
  },
});

// Such rows stand above what is really the newest.
const ahead = (r: Inference) =>
  r.clockSuspect || (r.time !== null && r.received !== null && Date.parse(r.time) - Date.parse(r.received) > 600_000);

export function ownColumns(context: Context): Column[] {
  const time = moment(r => r.time ?? r.received);
  return [
    {
      id: "time",
      title: "Time",
      width: 272,
      value: r => r.time ?? r.received,
      ...time,
      cell: r => (
        <>
          {time.cell(r, false)}
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
      ...plain(r => r.model),
      cell: (r, over) => [
        r.model ?? NONE,
        r.model && r.modelName && <span class="sub"> ({r.modelName})</span>,
        over && pick("model", r.model, context),
      ],
    },
    {
      id: "classes",
      title: "Classes",
      width: 200,
      value: r => r.error ?? classesOf(r),
      ...classes(context),
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
    { id: "device", title: "Device", width: 128, value: r => r.device, ...picked("device", r => r.device, context) },
    { id: "source", title: "Source", width: 112, value: r => r.source, ...picked("source", r => r.source, context) },
    {
      id: "id",
      title: "Inference id",
      width: 288,
      hidden: true,
      value: r => r.id,
      ...plain(r => r.id),
      look: () => "mono",
    },
    {
      id: "received",
      title: "Received",
      width: 176,
      hidden: true,
      value: r => r.received,
      ...moment(r => r.received),
    },
    {
      id: "source_info",
      title: "Source info",
      width: 160,
      hidden: true,
      value: r => r.sourceInfo,
      ...picked("source_info", r => r.sourceInfo, context),
    },
    { id: "index", title: "Index", width: 64, numeric: true, hidden: true, value: r => r.index, cell: r => r.index },
    { id: "size", title: "Image size", width: 112, hidden: true, value: size, ...plain(size) },
    { id: "error", title: "Error", width: 240, hidden: true, value: r => r.error, ...plain(r => r.error) },
  ];
}

const size = ({ image: { width, height } }: Inference) => (width && height ? `${width} × ${height}` : null);

export function metadataColumn(name: string, context: Context): Column {
  const of = (r: Inference) => (Object.hasOwn(r.metadata, name) ? r.metadata[name]! : null);
  return {
    id: `m.${name}`,
    title: name,
    help: `Metadata: ${name}`,
    width: Math.max(112, Math.min(208, 56 + name.length * 8)),
    metadata: true,
    value: of,
    ...picked(metadataName(name), of, context),
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

const classText = ([name, n]: [string, number]) => (n > 1 ? `${name} × ${n}` : name);
const classesOf = (r: Inference) =>
  countClasses(r)
    .map(([c, n]) => `${c} × ${n}`)
    .join(", ");

// Under the pointer each class is a button.
function classes(context: Context): Drawn<Inference> {
  const only = (c: string) => (e: Event) => (
    e.stopPropagation(), context.onFilter(withClause(context.filter, clauseFor("class", c)))
  );
  return {
    cell: (r, over) => {
      if (r.error !== null) return [<b>Error</b>, ` ${r.error}`];
      const all = countClasses(r);
      if (!all.length) return "no detections";
      if (!over) return all.map(classText).join(", ");
      return all.map((c, i) => [
        i > 0 && ", ",
        <button type="button" tabIndex={-1} title={`Only class:${c[0]}`} onClick={only(c[0])}>
          {classText(c)}
        </button>,
      ]);
    },
    look: r => (r.error !== null ? "failed" : r.predictions.length ? undefined : "none"),
    tip: r => r.error ?? (classesOf(r) || undefined),
  };
}
