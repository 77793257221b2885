// The body of overview and model page: tiles, the switch of the counting, charts, markers, and the table of the split.
import type { ComponentChildren } from "preact";
import type { Fields } from "../api";
import { useLate, type Loaded } from "../state";
import { Ago } from "../ui";
import { inferencesLink, RANGES, type Scope, type View } from "../url";
import { Charts } from "./charts";
import { ComparePicker, SplitPicker } from "./compare";
import type { Numbers } from "./load";
import { AddMarker, MarkerList, useMarkers } from "./markers";
import { SplitTable } from "./tables";
import { EXPLAINED, linksOf, Tiles } from "./tiles";

const isOf = (id: string, name: string): boolean => id === name || id.startsWith(`${name}/`);

export function NumbersPage({
  page: { data, stale },
  filter,
  scope,
  view,
  fields,
  go,
  latest,
  ranged,
  splits = true,
  counted,
  model,
  children,
}: {
  page: Loaded<Numbers>;
  filter: string; // of all that is shown; the scope's is the part of it that somebody wrote
  scope: Scope;
  view: View;
  fields: Fields | null;
  go: (s: Partial<Scope>, v?: Partial<View>) => void;
  latest: string | null; // when the newest inference came, if this range has none
  ranged: string | null;
  splits?: boolean; // it can be chosen what to split by
  counted?: number; // failures that servers counted, where the statistics leave them out
  model?: string; // only its markers, and those of no model
  children: ComponentChildren;
}) {
  const markers = useMarkers(data?.window ?? null),
    marked = (markers.data ?? []).filter(m => model === undefined || m.model === null || isOf(m.model, model));
  const { now } = linksOf(data, filter, view.compare),
    none = data?.stats.previous.inferences === 0,
    late = useLate(stale);
  const onFilter = (filter: string) => go({ filter });
  return (
    <div class={late ? "numbers stale" : "numbers"}>
      <Tiles numbers={data} filter={filter} counting={view.counting} compare={view.compare} counted={counted} />
      <div class="counting">
        <div class="ranges" role="group" aria-label="How averages count">
          <button
            type="button"
            aria-pressed={view.counting === "inference"}
            onClick={() => go({}, { counting: "inference" })}
          >
            Per inference
          </button>
          <button
            type="button"
            aria-pressed={view.counting === "monitoring"}
            onClick={() => go({}, { counting: "monitoring" })}
          >
            As Model Monitoring counts
          </button>
        </div>
        <p class="hint">{EXPLAINED[view.counting]}</p>
        {splits && <SplitPicker by={view.by} fields={fields} onBy={by => go({}, { by, sort: null })} />}
        <ComparePicker
          key={JSON.stringify(view.compare)}
          compare={view.compare}
          filter={scope.filter}
          earlier={data?.earlier ?? null}
          onCompare={compare => go({}, { compare })}
        />
      </div>
      {data && data.stats.current.inferences === 0 && (
        <p class="notice">
          {scope.filter ? "Nothing matches this filter in " : "Nothing arrived in "}
          {RANGES.find(r => r.id === ranged)?.long ?? "this range"}.
          {latest && (
            <>
              {" "}
              The newest inference came <Ago iso={latest} />:{" "}
              <a href={inferencesLink({ filter: scope.filter, range: null, from: null, to: null })}>see the latest</a>.
            </>
          )}
        </p>
      )}
      <Charts
        numbers={data}
        filter={filter}
        counting={view.counting}
        markers={marked}
        tools={markers.error ? undefined : <AddMarker onDone={markers.reload} />}
        onZoom={(from, to) => go({ range: null, from, to })}
      />
      <MarkerList markers={marked} onDone={markers.reload} few={5} />
      {data?.split && splits && (
        <SplitTable
          split={data.split}
          uncounted={data.stats.current.errorsCounted}
          none={none}
          link={now}
          filter={scope.filter}
          onFilter={onFilter}
          sort={view.by ? view.sort : null}
          onSort={sort => go({}, { sort })}
          head={<h2>By {data.split.by.replace(/^metadata\./, "")}</h2>}
        />
      )}
      {children}
    </div>
  );
}
