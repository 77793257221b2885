// Overview: is the fleet doing what it did before? Four numbers against the period before, the same over time, split by
// anything, the models.
import { api } from "../api";
import { FilterBar } from "../filterbar";
import { plural } from "../format";
import { useNumbers } from "../numbers/load";
import { NumbersPage } from "../numbers/page";
import { Models } from "../numbers/tables";
import { linksOf } from "../numbers/tiles";
import { SaveView } from "../settings/views";
import { AnySimulated } from "../simulated";
import { navigate, RARELY, useLoad, useWorkspace } from "../state";
import { Ago, AsOf, Failure, RangePicker, Teach } from "../ui";
import { overviewLink, type Scope, type View } from "../url";

export function Overview({ scope, view }: { scope: Scope; view: View }) {
  const ws = useWorkspace();
  const seen: Scope = scope.from || scope.to ? scope : { ...scope, range: scope.range ?? "7d" };
  const numbers = useNumbers(seen, scope.filter, view.compare, view.by),
    { data, stale, error, reload } = numbers;
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
        <SaveView page="overview" />
        <AsOf iso={data?.stats.asOf ?? null} failed={error !== null} stale={stale} />
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
        <NumbersPage
          page={numbers}
          filter={scope.filter}
          scope={scope}
          view={view}
          fields={fields}
          go={go}
          latest={anything?.inferences[0]?.time ?? null}
          ranged={seen.range}
        >
          {!view.by && (
            <Models
              models={data?.stats.models ?? null}
              none={data?.stats.previous.inferences === 0}
              window={data?.window ?? null}
              link={linksOf(data, scope.filter, view.compare).now}
              scope={scope}
              onFilter={onFilter}
              sort={view.sort}
              onSort={sort => go({}, { sort })}
              head={<h2>Models</h2>}
            />
          )}
        </NumbersPage>
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
