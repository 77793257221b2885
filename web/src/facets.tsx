// The facet panel: of each column and field its values, with how many inferences have each. A field that the filter
// speaks of is counted without its own clauses: so one sees what else there would be.
import { useState } from "preact/hooks";
import { api, serverNow, type Facet, type Fields } from "./api";
import { clauseFor, clauses, metadataName, parts, withClause } from "./filter";
import { compact, count } from "./format";
import { useLoad, useWorkspace } from "./state";
import { Icon, Pick, Shown } from "./ui";
import { window as windowOf, type Scope } from "./url";

const OWN = ["model", "class", "device", "source", "source_info", "server", "error", "picture"];
const OPEN = ["model", "class", "device"];
const FIELDS_OPEN = 5;
const VALUES = 8;

const written = (of: string) => (of.startsWith("metadata.") ? metadataName(of.slice(9)) : of);

// The filter without what it says of this column or field.
export function without(filter: string, of: string): string {
  const names = [written(of), ...(of.startsWith("metadata.") ? [`metadata.${of.slice(9)}`] : [])];
  return clauses(filter)
    .filter(c => !names.includes(parts(c).field))
    .join(" ");
}

export function Facets({
  scope,
  fields,
  onFilter,
}: {
  scope: Scope;
  fields: Fields | null;
  onFilter: (f: string) => void;
}) {
  const named = [...(fields?.fields ?? [])].map(f => `metadata.${f.name}`);
  const [toggled, setToggled] = useState<string[]>([]);
  const usual = [...OPEN, ...named.slice(0, FIELDS_OPEN)];
  return (
    <aside class="facets" aria-label="Facets">
      {[...OWN, ...named].map(of => {
        const open = usual.includes(of) !== toggled.includes(of);
        return (
          <section key={of}>
            <h3>
              <button
                type="button"
                aria-expanded={open}
                onClick={() => setToggled(toggled.includes(of) ? toggled.filter(t => t !== of) : [...toggled, of])}
              >
                <Icon name={open ? "down" : "right"} />
                <span class="clip" title={of}>
                  {of.startsWith("metadata.") ? of.slice(9) : of}
                </span>
              </button>
            </h3>
            {open && <Values of={of} scope={scope} onFilter={onFilter} />}
          </section>
        );
      })}
    </aside>
  );
}

function Values({ of, scope, onFilter }: { of: string; scope: Scope; onFilter: (f: string) => void }) {
  const ws = useWorkspace(),
    [all, setAll] = useState(false),
    filter = without(scope.filter, of),
    limit = all ? 100 : VALUES;
  const { data, error } = useLoad(
    `facet ${ws} ${of} ${limit} ${filter} ${scope.range} ${scope.from} ${scope.to}`,
    signal => api.facets(ws, { filter, ...windowOf(scope, serverNow()), fields: of, limit }, signal),
    60_000,
  );
  const facet: Facet | null = data?.[0] ?? null;
  if (error && !facet) return <p class="hint">{error.message}</p>;
  if (!facet) return <p class="hint">Counting…</p>;
  if (!facet.top.length) return <p class="hint">No values here.</p>;
  const most = Math.max(...facet.top.map(t => t.count), 1),
    field = written(of);
  return (
    <>
      <ul>
        {facet.top.map(t => {
          const clause = of === "error" || of === "picture" ? has(of, t.value) : clauseFor(field, t.value);
          const on = clauses(scope.filter).includes(clause);
          return (
            <li key={`${typeof t.value} ${String(t.value)}`} class={on ? "on" : undefined}>
              <button
                type="button"
                class="value"
                aria-pressed={on}
                title={on ? `Remove ${clause}` : `Only ${clause}`}
                onClick={() =>
                  onFilter(
                    on
                      ? clauses(scope.filter)
                          .filter(c => c !== clause)
                          .join(" ")
                      : withClause(of === "class" ? scope.filter : filter, clause),
                  )
                }
              >
                <i style={{ width: `${(t.count / most) * 100}%` }} />
                <span class="clip">
                  <Shown value={t.value} />
                </span>
                <b title={count(t.count)}>{compact(t.count)}</b>
              </button>
              {of !== "error" && of !== "picture" && (
                <Pick field={field} value={t.value} filter={scope.filter} onFilter={onFilter} tab={false} />
              )}
            </li>
          );
        })}
      </ul>
      {facet.values > facet.top.length && (
        <p class="hint">
          {count(facet.values)} values{" "}
          {!all && (
            <button type="button" class="more" onClick={() => setAll(true)}>
              Show {Math.min(100, facet.values)}
            </button>
          )}
        </p>
      )}
    </>
  );
}

const has = (of: string, value: unknown) => `${value === true ? "" : "-"}has:${of}`;
