// Overview: is the fleet doing what it did before? Four numbers against the period before, the same over time, split by
// anything, the models.
import { api } from "../api";
import { FilterBar } from "../filterbar";
import { plural } from "../format";
import { Charts } from "../numbers/charts";
import { ComparePicker, SplitPicker } from "../numbers/compare";
import { useNumbers } from "../numbers/load";
import { AddMarker, MarkerList, useMarkers } from "../numbers/markers";
import { Models, SplitTable } from "../numbers/tables";
import { EXPLAINED, linksOf, Tiles } from "../numbers/tiles";
import { AnySimulated } from "../simulated";
import { navigate, RARELY, useLoad, useWorkspace } from "../state";
import { Ago, AsOf, Failure, RangePicker, Teach } from "../ui";
import { inferencesLink, overviewLink, RANGES, type Scope, type View } from "../url";

export function Overview({ scope, view }: { scope: Scope; view: View }) {
  const ws = useWorkspace();
  const seen: Scope = scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "7d" };
  const { data, stale, error, reload } = useNumbers(seen, scope.filter, view.compare, view.by);
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY).data;
  const empty = data?.stats.current.inferences === 0;
  const anything = useLoad(empty ? `any ${ws}` : null, signal => api.inferences(ws, { limit: 1 }, signal)).data;

  const go = (s: Partial<Scope>, v: Partial<View> = {}) =>
    navigate(overviewLink({ ...scope, ...s }, { ...view, ...v }), { replace: "sort" in v });
  const onFilter = (filter: string) => go({ filter });
  return (
    <main id="main" class="page" aria-busy={stale && !error}>
      <header class="head">
        <h1 tabIndex={-1}>Overview</h1>
        <RangePicker scope={scope} now={() => data?.window ?? { from: null, to: null }} onScope={go} />
        <AnySimulated window={data?.window ?? null} filter={scope.filter} />
        <AsOf iso={data?.stats.asOf ?? null} failed={error !== null} />
      </header>
      <FilterBar scope={seen} error={error} onFilter={onFilter} />
      {error && error.position === null && (
        <Failure error={error} what="The numbers could not be loaded." onRetry={reload} />
      )}
      {empty && anything && anything.inferences.length === 0 ? (
        <section class="empty">
          <h2>No inference has arrived yet</h2>
          <p>
            This page shows requests, confidence, inference time and errors as soon as the first one does. It looks
            again every 10 seconds. Run:
          </p>
          <Teach />
        </section>
      ) : (
        <NumbersOf
          page={{ data, stale }}
          scope={scope}
          view={view}
          fields={fields}
          go={go}
          latest={anything?.inferences[0]?.time ?? null}
          ranged={seen.range}
        />
      )}
      {fields && fields.pending.ids > 0 && (
        <p class="hint">
          Metadata waits for {plural(fields.pending.ids, "id")} whose inference has not arrived yet; the oldest came{" "}
          <Ago iso={fields.pending.oldest} />.
        </p>
      )}
    </main>
  );
}

function NumbersOf({
  page: { data, stale },
  scope,
  view,
  fields,
  go,
  latest,
  ranged,
}: {
  page: { data: ReturnType<typeof useNumbers>["data"]; stale: boolean };
  scope: Scope;
  view: View;
  fields: Parameters<typeof SplitPicker>[0]["fields"];
  go: (s: Partial<Scope>, v?: Partial<View>) => void;
  latest: string | null;
  ranged: string | null;
}) {
  const markers = useMarkers(data?.window ?? null);
  const { now } = linksOf(data, scope.filter, view.compare),
    none = data?.stats.previous.inferences === 0;
  const onFilter = (filter: string) => go({ filter });
  return (
    <div class={stale ? "numbers stale" : "numbers"}>
      <Tiles numbers={data} filter={scope.filter} counting={view.counting} compare={view.compare} />
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
        <SplitPicker by={view.by} fields={fields} onBy={by => go({}, { by, sort: null })} />
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
        filter={scope.filter}
        counting={view.counting}
        markers={markers.data ?? []}
        tools={markers.error ? undefined : <AddMarker onDone={markers.reload} />}
        onZoom={(from, to) => go({ range: null, from, to })}
      />
      <MarkerList markers={markers.data ?? []} onDone={markers.reload} />
      {data?.split ? (
        <SplitTable
          split={data.split}
          none={none}
          link={now}
          filter={scope.filter}
          onFilter={onFilter}
          sort={view.sort}
          onSort={sort => go({}, { sort })}
          head={<h2>By {data.split.by.replace(/^metadata\./, "")}</h2>}
        />
      ) : (
        <Models
          models={data?.stats.models ?? null}
          none={none}
          link={now}
          scope={scope}
          onFilter={onFilter}
          sort={view.sort}
          onSort={sort => go({}, { sort })}
          head={<h2>Models</h2>}
        />
      )}
    </div>
  );
}
