// The tables under the charts: models, and the values of what the page is split by.
import type { ComponentChildren } from "preact";
import type { Model } from "../api";
import { clauseFor, metadataName } from "../filter";
import { change, compact, confidence, count, NONE, seconds, type Delta } from "../format";
import { DataTable, type Sort, type TableColumn } from "../table";
import { Ago, Pick } from "../ui";
import { modelLink, type Scope } from "../url";
import { Errors, failuresLink } from "./errors";
import { partClauses, type Split, type Window } from "./load";
import { toneOf } from "./charts";
import { MARK } from "./tiles";

type Link = (...clauses: string[]) => string;

export function sortOf(text: string | null, usual: Sort): Sort {
  return text === null ? usual : { id: text.replace(/^-/, ""), down: text.startsWith("-") };
}

export const sortText = (s: Sort): string => (s.down ? "-" : "") + s.id;

export function Changed({ delta }: { delta: Delta }) {
  return (
    <span class={`delta ${delta.kind}`}>
      {MARK[delta.kind]} {delta.text}
    </span>
  );
}

const ratio = (now: number | null, before: number | null): number | null =>
  now === null || !before ? null : (now - before) / before;

export function Models({
  models,
  none,
  window,
  link,
  scope,
  onFilter,
  sort,
  onSort,
  head,
}: {
  models: Model[] | null;
  none: boolean; // nothing at all happened in the range before
  window: Window | null;
  link: Link;
  scope: Scope;
  onFilter: (f: string) => void;
  sort: string | null;
  onSort: (s: string) => void;
  head: ComponentChildren;
}) {
  const clause = (m: Model) => clauseFor("model", m.id),
    delta = (m: Model) => change(m.inferences, m.previous, none || m.previous === 0);
  const columns: TableColumn<Model>[] = [
    {
      id: "model",
      title: "Model",
      width: 232,
      sortable: true,
      value: m => m.id,
      cell: m => (
        <span class="named">
          <a
            href={modelLink(scope, m.id.replace(/\/[^/]*$/, ""), m.id.includes("/") ? [m.id.replace(/^.*\//, "")] : [])}
          >
            {m.id || NONE}
          </a>
          {m.name && <span class="sub clip">({m.name})</span>}
          <Pick field="model" value={m.id} filter={scope.filter} onFilter={onFilter} tab={false} />
        </span>
      ),
    },
    {
      id: "requests",
      title: "Requests",
      width: 96,
      numeric: true,
      sortable: true,
      value: m => m.inferences,
      cell: m => <a href={link(clause(m))}>{count(m.inferences)}</a>,
    },
    {
      id: "change",
      title: "Change",
      width: 104,
      numeric: true,
      sortable: true,
      value: m => ratio(m.inferences, m.previous),
      cell: m => <Changed delta={delta(m)} />,
    },
    {
      id: "errors",
      title: "Errors",
      width: 80,
      numeric: true,
      sortable: true,
      value: m => m.errors,
      cell: m =>
        m.errors ? (
          <Errors
            all={m.errors}
            counted={m.errorsCounted}
            list={link(clause(m), "has:error")}
            failures={failuresLink(window)}
            kind="wrong"
          />
        ) : (
          count(m.errors)
        ),
    },
    {
      id: "confidence",
      title: "Mean conf.",
      help: "Mean of each inference's top detection",
      width: 96,
      numeric: true,
      sortable: true,
      value: m => m.confidence,
      cell: m => (
        <a class="quiet" href={link(clause(m), "has:confidence")}>
          {confidence(m.confidence)}
        </a>
      ),
    },
    {
      id: "median",
      title: "Median conf.",
      help: "Median of each inference's top detection",
      width: 104,
      numeric: true,
      sortable: true,
      value: m => m.median,
      cell: m => (
        <a class="quiet" href={link(clause(m), "has:confidence")}>
          {confidence(m.median)}
        </a>
      ),
    },
    {
      id: "latency",
      title: "Time",
      help: "Mean inference time",
      width: 88,
      numeric: true,
      sortable: true,
      value: m => m.latency,
      cell: m => (
        <a class="quiet" href={link(clause(m), "has:latency", "-has:error")}>
          {seconds(m.latency)}
        </a>
      ),
    },
    {
      id: "classes",
      title: "Classes, by detections",
      width: 320,
      value: m => m.classes.map(c => `${c.class} ${c.detections}`).join("; "),
      cell: m => (
        <span class="classes">
          {m.classes.slice(0, 4).map(c => (
            <a key={c.class} class="quiet" href={link(clause(m), clauseFor("class", c.class))}>
              {c.class} <b>{compact(c.detections)}</b>
            </a>
          ))}
          {m.classes.length > 4 && (
            <span
              class="sub"
              title={m.classes
                .slice(4)
                .map(c => c.class)
                .join(", ")}
            >
              and {m.classes.length - 4} more
            </span>
          )}
          {m.classes.length === 0 && NONE}
        </span>
      ),
    },
    {
      id: "last",
      title: "Last seen",
      width: 104,
      sortable: true,
      value: m => m.lastSeen,
      cell: m => <Ago iso={m.lastSeen} />,
    },
  ];
  return (
    <section class="block">
      <DataTable
        label="Table of models"
        file="models"
        rows={models}
        columns={columns}
        rowKey={m => m.id}
        empty="No model in this range."
        sort={sortOf(sort, { id: "requests", down: true })}
        onSort={s => onSort(sortText(s))}
        exports
        head={head}
      />
    </section>
  );
}

type Row = Split["rows"][number];

export function SplitTable({
  split,
  uncounted,
  none,
  link,
  filter,
  onFilter,
  sort,
  onSort,
  head,
}: {
  split: Split;
  uncounted: number; // failures that are no inferences
  none: boolean;
  link: Link;
  filter: string;
  onFilter: (f: string) => void;
  sort: string | null;
  onSort: (s: string) => void;
  head: ComponentChildren;
}) {
  const { by, rows } = split,
    field = by.startsWith("metadata.") ? metadataName(by.slice(9)) : by;
  const linked = (r: Row, text: string, ...more: string[]) => {
    const clauses = partClauses(by, r);
    return clauses ? (
      <a class="quiet" href={link(...more, ...clauses)}>
        {text}
      </a>
    ) : (
      text
    );
  };
  const tone = (r: Row) => {
    const at = split.parts.findIndex(p => !p.other && p.value === r.value);
    return at < 0 ? "c7" : toneOf(r, at);
  };
  const numeric = (
    id: string,
    title: string,
    width: number,
    value: (r: Row) => number | null,
    write: (v: number | null) => string,
    ...clauses: string[]
  ): TableColumn<Row> => ({
    id,
    title,
    width,
    numeric: true,
    sortable: true,
    value,
    cell: r => linked(r, write(value(r)), ...clauses),
  });
  const columns: TableColumn<Row>[] = [
    {
      id: "value",
      title: by.startsWith("metadata.") ? by.slice(9) : by,
      width: 232,
      sortable: true,
      metadata: by.startsWith("metadata."),
      value: r => r.value,
      cell: r => (
        <span class="named">
          <i class={`key ${tone(r)}`} />
          <span class={r.value === null ? "none clip" : "clip"} title={r.name}>
            {linked(r, r.name)}
          </span>
          {r.value !== null && by !== "error" && by !== "picture" && (
            <Pick
              field={by === "model_base" ? "model" : field}
              value={r.value}
              filter={filter}
              onFilter={onFilter}
              tab={false}
            />
          )}
        </span>
      ),
    },
    numeric("requests", "Requests", 96, r => r.inferences, count),
    {
      id: "change",
      title: "Change",
      width: 104,
      numeric: true,
      sortable: true,
      value: r => ratio(r.inferences, r.before),
      cell: r => <Changed delta={change(r.inferences, r.before, none || r.before === 0)} />,
    },
    {
      ...numeric("errors", "Errors", 80, r => r.errors, count),
      cell: r => (r.errors ? linked(r, count(r.errors), "has:error") : count(r.errors)),
    },
    numeric("detections", "Detections", 96, r => r.detections, count, "has:class"),
    numeric("confidence", "Mean conf.", 96, r => r.confidence, confidence, "has:confidence"),
    numeric("median", "Median conf.", 104, r => r.median, confidence, "has:confidence"),
    numeric("latency", "Mean time", 96, r => r.latency, seconds, "has:latency", "-has:error"),
    numeric("p95", "p95 time", 96, r => r.p95, seconds, "has:latency", "-has:error"),
    {
      id: "last",
      title: "Last seen",
      width: 104,
      sortable: true,
      value: r => r.last,
      cell: r => <Ago iso={r.last} />,
    },
  ];
  return (
    <section class="block">
      <DataTable
        label={`Broken down by ${by}`}
        file={`by-${by}`}
        rows={rows}
        columns={columns}
        rowKey={r => JSON.stringify(r.value)}
        empty="Nothing in this range."
        sort={sortOf(sort, { id: "requests", down: true })}
        onSort={s => onSort(sortText(s))}
        exports
        head={head}
      />
      {uncounted > 0 && (
        <p class="hint">
          {count(uncounted)} failures that servers counted are in no group: of each only its number and model are known.
        </p>
      )}
      {split.groups > rows.length && (
        <p class="hint">
          The {count(rows.length)} values with the most requests, of {count(split.groups)}.
        </p>
      )}
    </section>
  );
}
