// Every metadata field of the workspace: what it holds, how many inferences carry it, since when; names that are easily
// mistaken for each other; and what still waits for its inference.
import { call, enc, list, number, object, query, text, value, values, type Value } from "../api";
import { TableExports } from "../exporting";
import { clauseFor, metadataName } from "../filter";
import { count, plural } from "../format";
import { AnySimulated } from "../simulated";
import { RARELY, useLoad, useWorkspace } from "../state";
import { DataTable, type TableColumn } from "../table";
import { Ago, AsOf, Failure, Shown, Teach, Time } from "../ui";
import { ANY, inferenceLink, inferencesLink } from "../url";
import "./metadata.css";

const EVER = { from: null, to: null };

interface Field {
  name: string;
  types: { string: number; number: number; boolean: number };
  inferences: number;
  values: number;
  estimated: boolean;
  top: { value: Value; count: number }[];
  near: string[];
  first: string | null;
  last: string | null;
}

async function read(ws: string, signal: AbortSignal) {
  const r = object(await call("GET", `/${enc(ws)}/fields`, { signal })),
    pending = object(r["pending"]);
  const fields = list(r["fields"])
    .map(v => object(v))
    .map((f): Field => {
      const types = object(f["types"]);
      return {
        name: text(f["name"]) ?? "",
        types: {
          string: number(types["string"]) ?? 0,
          number: number(types["number"]) ?? 0,
          boolean: number(types["boolean"]) ?? 0,
        },
        inferences: number(f["inferences"]) ?? 0,
        values: number(f["values"]) ?? 0,
        estimated: f["estimated"] === true,
        top: list(f["top"])
          .map(v => object(v))
          .flatMap(t => {
            const v = value(t["value"]);
            return v === null ? [] : [{ value: v, count: number(t["count"]) ?? 0 }];
          }),
        near: list(f["near"]).filter((n): n is string => typeof n === "string"),
        first: text(f["first"]),
        last: text(f["last"]),
      };
    });
  return {
    fields,
    pending: { ids: number(pending["ids"]) ?? 0, oldest: text(pending["oldest"]) },
    asOf: text(r["as_of"]),
  };
}

// Groups of names that differ only in case, blanks or signs, the most used one first.
export function alike(fields: { name: string; inferences: number; near: string[] }[]): string[][] {
  const left = new Map(fields.map(f => [f.name, f])),
    groups: string[][] = [];
  for (const f of [...fields].sort((a, b) => b.inferences - a.inferences)) {
    if (!left.delete(f.name) || !f.near.length) continue;
    const others = f.near.filter(n => left.has(n));
    for (const n of others) left.delete(n);
    if (others.length) groups.push([f.name, ...others]);
  }
  return groups;
}

const named = (name: string) => `has:${metadataName(name)}`;

export function MetadataPage() {
  const ws = useWorkspace();
  const { data, error, reload } = useLoad(`all fields ${ws}`, signal => read(ws, signal), RARELY);
  const of = new Map(data?.fields.map(f => [f.name, f]));
  const groups = data ? alike(data.fields) : [];
  return (
    <main id="main" class="page fieldpage" aria-busy={!data && !error}>
      <header class="head">
        <h1>Metadata</h1>
        {data && <span class="hint">{plural(data.fields.length, "field")}</span>}
        <AnySimulated window={EVER} filter="" />
        <AsOf iso={data?.asOf ?? null} failed={error !== null} stale={!data} />
      </header>
      {error && !data && <Failure error={error} what="The fields could not be read." onRetry={reload} />}
      {data && data.fields.length === 0 && data.pending.ids === 0 && (
        <section class="empty">
          <h2>No metadata yet</h2>
          <p>
            What the vision system did not know (line, shift, serial number, the operator's verdict) is attached by id:
          </p>
          <Teach />
        </section>
      )}
      {groups.length > 0 && (
        <section class="block" aria-labelledby="alike-title">
          <header>
            <h2 id="alike-title">Easily mistaken for each other</h2>
          </header>
          <p class="hint">
            Names are case-sensitive, as at the platform: each of these is a field of its own, and a filter on one finds
            nothing of the other.
          </p>
          <div class="alike">
            {groups.map(names => (
              <ul key={names[0]}>
                {names.map(n => (
                  <li key={n}>
                    <a class="mono clip" href={inferencesLink({ ...ANY, filter: named(n) })} title={n}>
                      {n}
                    </a>
                    <b>{plural(of.get(n)?.inferences ?? 0, "inference")}</b>
                    <span class="hint clip">
                      {of
                        .get(n)
                        ?.top.slice(0, 4)
                        .map(t => String(t.value))
                        .join(", ")}
                    </span>
                    <span class="hint">
                      last on <Time iso={of.get(n)?.last ?? null} />
                    </span>
                  </li>
                ))}
              </ul>
            ))}
          </div>
        </section>
      )}
      {data && data.fields.length > 0 && (
        <DataTable
          label="Metadata fields"
          file="metadata-fields"
          rows={data.fields}
          columns={COLUMNS}
          rowKey={f => f.name}
          empty="No field yet."
          rowHeight={40}
          keys
          exports
          head={<h2>Fields</h2>}
        />
      )}
      {data && <Waiting ids={data.pending.ids} oldest={data.pending.oldest} />}
    </main>
  );
}

function kinds(f: Field): string {
  const of: [string, number][] = [
    ["text", f.types.string],
    ["number", f.types.number],
    ["true/false", f.types.boolean],
  ];
  const held = of.filter(([, n]) => n > 0);
  return held.length > 1 ? held.map(([t, n]) => `${t} ${count(n)}`).join(", ") : (held[0]?.[0] ?? "–");
}

const COLUMNS: TableColumn<Field>[] = [
  {
    id: "name",
    title: "Field",
    width: 208,
    sortable: true,
    value: f => f.name,
    cell: f => (
      <a class="clip mono" href={inferencesLink({ ...ANY, filter: named(f.name) })} title={f.name}>
        {f.name}
      </a>
    ),
  },
  {
    id: "types",
    title: "Types seen",
    help: "More than one: the same field was sent as text here and as a number there",
    width: 152,
    sortable: true,
    value: kinds,
    cell: f => (
      <span class={Object.values(f.types).filter(n => n > 0).length > 1 ? "clip mixed" : "clip"} title={kinds(f)}>
        {kinds(f)}
      </span>
    ),
  },
  {
    id: "inferences",
    title: "Inferences",
    width: 104,
    numeric: true,
    sortable: true,
    value: f => f.inferences,
    cell: f => <a href={inferencesLink({ ...ANY, filter: named(f.name) })}>{count(f.inferences)}</a>,
  },
  {
    id: "values",
    title: "Values",
    help: "How many different ones",
    width: 96,
    numeric: true,
    sortable: true,
    value: f => f.values,
    cell: f => `${f.estimated ? "≈ " : ""}${count(f.values)}`,
  },
  {
    id: "top",
    title: "Most frequent",
    width: 336,
    value: f => f.top.map(t => `${String(t.value)} (${t.count})`).join(", "),
    cell: f => (
      <span class="clip tops">
        {f.top.slice(0, 5).map(t => (
          <a
            key={`${typeof t.value} ${String(t.value)}`}
            class="quiet"
            href={inferencesLink({ ...ANY, filter: clauseFor(metadataName(f.name), t.value) })}
            title={`${count(t.count)} inferences`}
          >
            <Shown value={t.value} /> <b>{count(t.count)}</b>
          </a>
        ))}
      </span>
    ),
  },
  {
    id: "first",
    title: "First seen",
    help: "The time of the first inference that carries it",
    width: 164,
    sortable: true,
    value: f => f.first,
    cell: f => <Time iso={f.first} />,
  },
  {
    id: "last",
    title: "Last seen",
    help: "The time of the last inference that carries it",
    width: 164,
    sortable: true,
    value: f => f.last,
    cell: f => <Time iso={f.last} />,
  },
];

interface Pending {
  ages: { upTo: number | null; ids: number }[];
  oldest: { id: string; since: string | null; metadata: Record<string, Value> }[];
}

const OLDEST = 20;
const LONGEST = "Ids that wait longest";

async function waiting(ws: string, signal: AbortSignal): Promise<Pending> {
  const r = object(await call("GET", `/${enc(ws)}/pending${query({ limit: OLDEST })}`, { signal }));
  return {
    ages: list(r["ages"])
      .map(v => object(v))
      .map(a => ({ upTo: number(a["up_to_s"]), ids: number(a["ids"]) ?? 0 })),
    oldest: list(r["pending"])
      .map(v => object(v))
      .map(p => ({ id: text(p["inference_id"]) ?? "", since: text(p["since"]), metadata: values(p["metadata"]) })),
  };
}

const AGES: [number, string][] = [
  [60, "a minute"],
  [600, "10 minutes"],
  [3600, "an hour"],
  [86_400, "a day"],
  [604_800, "a week"],
];

function age(upTo: number | null): string {
  const known = AGES.find(([s]) => s === upTo);
  return upTo === null ? "longer" : `up to ${known ? known[1] : plural(upTo, "second")}`;
}

function Waiting({ ids, oldest }: { ids: number; oldest: string | null }) {
  const ws = useWorkspace();
  const { data } = useLoad(ids > 0 ? `pending ${ws}` : null, signal => waiting(ws, signal), RARELY);
  const most = Math.max(1, ...(data?.ages.map(a => a.ids) ?? []));
  return (
    <section class="block" aria-labelledby="pending-title">
      <header>
        <h2 id="pending-title">Waiting for their inference</h2>
        {data && ids > 0 && <TableExports name="waiting" label={LONGEST} />}
      </header>
      {ids === 0 ? (
        <p class="hint">None: everything that was attached has found its inference.</p>
      ) : (
        <>
          <p>
            Metadata has come for <b>{plural(ids, "id")}</b> that no inference has yet; the oldest waits since{" "}
            <Time iso={oldest} /> (<Ago iso={oldest} />
            ).
          </p>
          <p class="hint">
            A minute is usual: fleets ship their results in batches. Hours mean that the inferences are not sent here,
            or that the id is misspelt.
          </p>
          {data && (
            <div class="pending">
              <dl class="ages" aria-label="Ids by how long they wait">
                {data.ages.map(a => (
                  <div key={a.upTo}>
                    <dt>{age(a.upTo)}</dt>
                    <dd>
                      <i style={{ width: `${(a.ids / most) * 100}%` }} />
                    </dd>
                    <dd class="num">{count(a.ids)}</dd>
                  </div>
                ))}
              </dl>
              <div class="scroll" tabIndex={0} role="region" aria-label={LONGEST}>
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Longest waiting ids</th>
                      <th scope="col">Since</th>
                      <th scope="col">Metadata</th>
                    </tr>
                  </thead>
                  <tbody>
                    {data.oldest.map(p => (
                      <tr key={p.id}>
                        <th scope="row">
                          <a class="mono" href={inferenceLink(ANY, p.id, null, null)}>
                            {p.id}
                          </a>
                        </th>
                        <td>
                          <Time iso={p.since} />
                        </td>
                        <td class="clip">
                          {Object.entries(p.metadata)
                            .map(([n, v]) => `${n}: ${String(v)}`)
                            .join(", ")}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </div>
          )}
        </>
      )}
    </section>
  );
}
