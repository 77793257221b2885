// The list: newest first, read on in pages of 100 as one scrolls, one column for each metadata field.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, serverNow, type ApiError, type Fields, type Inference, type Page } from "../api";
import { metadataColumn, ownColumns, type Column, type Context } from "../columns";
import { Chooser } from "../chooser";
import { Facets } from "../facets";
import { FilterBar } from "../filterbar";
import { count, fullStamp, offset, parse, stamp } from "../format";
import { begun, grown, refreshed, rowKey, without, type Held } from "../held";
import { RARELY, kept, navigate, scrolled, showList, useKeys, useLoad, useWorkspace } from "../state";
import { Selected } from "../selected";
import { SaveView } from "../settings/views";
import { DataTable } from "../table";
import { AsOf, Failure, Icon, Popover, RangePicker, Teach } from "../ui";
import { ANY, inferenceLink, inferencesLink, window as windowOf, type ListView, type Scope } from "../url";
import "./inferences.css";

const PAGE = 100;
const MOST = 10_000; // rows in one list; what is older is reached by going on from the last one's time
const METADATA_SHOWN = 12;

export function Inferences({ scope, view }: { scope: Scope; view: ListView }) {
  const ws = useWorkspace();
  const selection = { filter: scope.filter, ...windowOf(scope, serverNow()) };
  const key = `${ws} ${JSON.stringify(scope)}`;
  // A range that follows the clock has no end: what arrives while the page loads belongs to it.
  const ask = () => ({ ...selection, ...windowOf(scope, serverNow()), ...(scope.range ? { to: null } : {}) });
  const listKey = `${key} ${view.at ?? ""}`;
  const { list, held, stale, more, reading, adopt, holds, drop } = useList(ws, listKey, () => {
    const asked = ask();
    return view.at && (!asked.to || view.at < asked.to) ? { ...asked, to: after(view.at) } : asked;
  });
  // All of it is counted when its newest rows have been painted: a count of millions takes the processors from the rows.
  const [drawn, setDrawn] = useState<string | null>(stale ? null : key);
  useEffect(() => setDrawn(stale && !list.error ? null : key), [stale, list.error, key]);
  const total = useLoad(drawn === key ? `count ${key}` : null, signal => api.count(ws, ask(), signal));
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY);

  const [selected, setSelected] = useState<Set<string>>(new Set());
  useEffect(() => setSelected(s => (s.size ? new Set() : s)), [key, view.at]);
  const lastPicked = useRef<string | null>(null);
  const rows = held?.rows ?? null;
  const select = (r: Inference, on: boolean, through: boolean) => {
    const all = (rows ?? []).map(rowKey),
      to = all.indexOf(rowKey(r)),
      from = through && lastPicked.current !== null ? all.indexOf(lastPicked.current) : to;
    const next = new Set(selected);
    for (const k of all.slice(Math.min(from < 0 ? to : from, to), Math.max(from, to) + 1)) {
      if (on) next.add(k);
      else next.delete(k);
    }
    lastPicked.current = rowKey(r);
    setSelected(next);
  };

  const go = (s: Scope, v: ListView = { ...view, at: null }) => navigate(inferencesLink(s, v));
  // The rows of the question before stay as they are until the answer is there.
  const place = location.pathname + location.search,
    drawnFor = useRef(place);
  if (!stale) drawnFor.current = place;
  const context: Context = useMemo(
    () => ({ filter: scope.filter, onFilter: f => go({ ...scope, filter: f }) }),
    [drawnFor.current],
  );
  const shown = useColumns(fields.data, rows, view.columns, context);
  const pictured = useRef(false);
  if (rows?.some(r => r.image.thumbnail)) pictured.current = true;
  const ready = held !== null;
  useLayoutEffect(() => {
    showList(
      held && !stale
        ? () => ({ items: held.rows.map(r => ({ id: r.id, index: r.index, model: r.model })), next: held.next })
        : null,
    );
  }, [held, stale]);

  const link = (r: Inference) => inferenceLink(scope, r.id, r.index, r.model);
  const latest = useRef(select);
  latest.current = select;
  // As long as they are the same, no row that is drawn is drawn again.
  const columns = useMemo(() => {
    const lead: Column = {
      id: "open",
      title: "Open",
      width: 60,
      value: r => r.id,
      cell: r => {
        const time = parse(r.time),
          name = time ? fullStamp(time) : r.id;
        return [
          <input
            type="checkbox"
            checked={selected.has(rowKey(r))}
            aria-label={`Select the inference of ${name}`}
            onClick={e => latest.current(r, e.currentTarget.checked, e.shiftKey)}
          />,
          <a class="row" href={link(r)} aria-label={`Open the inference of ${name}`} />,
        ];
      },
    };
    const picture: Column = {
      id: "picture",
      title: "Picture",
      width: 68,
      value: r => r.image.url,
      cell: r => r.image.thumbnail && <img src={r.image.thumbnail} alt="" loading="lazy" width="56" height="42" />,
    };
    return [lead, ...(pictured.current ? [picture] : []), ...shown].map(c => ({
      ...c,
      ...(c.id === "time" || c.id === "received" ? { note: offset(new Date()) } : {}),
    }));
  }, [shown, pictured.current, selected]);
  // The row that has the focus, by its place in the table.
  const focused = () => Number(document.activeElement?.closest<HTMLElement>("tr[data-row]")?.dataset["row"] ?? NaN);
  useKeys({
    x: () => {
      const r = rows?.[focused()];
      if (r) select(r, !selected.has(rowKey(r)), false);
    },
  });
  const plain = !scope.filter && !scope.range && !scope.from && !scope.to;
  const chosen = selected.size ? (rows ?? []).filter(r => selected.has(rowKey(r))) : [];
  const empty = ready && !stale && held.rows.length === 0 && !view.at;
  return (
    <main id="main" class="page list" aria-busy={!list.error && (!ready || stale)}>
      <header class="head">
        <h1>Inferences</h1>
        <RangePicker scope={scope} any now={() => selection} onScope={s => go(s)} />
        <AsOf iso={list.data?.asOf ?? null} failed={list.error !== null} stale={stale} />
      </header>
      <FilterBar scope={scope} error={list.error} onFilter={f => go({ ...scope, filter: f })} />
      {list.error && list.error.position === null && (
        <Failure error={list.error} what="The list could not be loaded." onRetry={list.reload} />
      )}
      <div class={view.facets ? "beside" : "alone"}>
        {view.facets && <Facets scope={scope} fields={fields.data} onFilter={f => go({ ...scope, filter: f })} />}
        <div class={pictured.current ? "listed pictured" : "listed"}>
          {list.error && stale ? (
            list.error.position !== null && (
              <p class="hint">
                The filter cannot be read. Correct it above; <kbd>?</kbd> shows what it can say.
              </p>
            )
          ) : (
            <DataTable
              label="Inferences, newest first"
              file="inferences"
              rows={ready && !empty ? held.rows : empty ? [] : null}
              columns={columns}
              rowKey={rowKey}
              empty=""
              tall
              keys
              exports
              stale={stale && rows !== null}
              rowHeight={pictured.current ? 48 : 32}
              rowClass={r => (selected.size && selected.has(rowKey(r)) ? "selected" : undefined)}
              widths={{}}
              onOrder={ids =>
                navigate(
                  inferencesLink(scope, { ...view, columns: ids.filter(i => i !== "open" && i !== "picture") }),
                  { replace: true },
                )
              }
              onOpen={r => navigate(link(r))}
              onEnd={more}
              onHeld={holds}
              onScroll={top => stale || scrolled.set(place, top)}
              listed={held?.key}
              scrollTop={scrolled.get(place) ?? 0}
              head={
                <div class="toolbar">
                  {selected.size > 0 ? (
                    <Selected
                      rows={chosen}
                      columns={shown}
                      onClear={() => setSelected(new Set())}
                      onDeleted={ids => {
                        drop(r => ids.has(r.id));
                        setSelected(new Set());
                        list.reload();
                        total.reload();
                      }}
                    />
                  ) : (
                    <Total total={total} />
                  )}
                  {held && held.fresh > 0 && (
                    <button type="button" class="button fresh" onClick={adopt}>
                      <Icon name="up" />
                      {held.fresh}
                      {held.fresh === PAGE ? "+" : ""} new
                    </button>
                  )}
                  {view.at && (
                    <span class="chip">
                      <span class="what">from {stamp(parse(view.at)!)} back</span>
                      <a class="x" href={inferencesLink(scope, { ...view, at: null })} aria-label="From the newest">
                        <Icon name="close" />
                      </a>
                    </span>
                  )}
                  <span class="gap" />
                  <Jump at={view.at} onJump={at => navigate(inferencesLink(scope, { ...view, at }))} />
                  <button
                    type="button"
                    class={view.facets ? "button active" : "button"}
                    aria-pressed={view.facets}
                    onClick={() =>
                      navigate(inferencesLink(scope, { ...view, facets: !view.facets }), { replace: true })
                    }
                  >
                    <Icon name="metadata" />
                    Facets
                  </button>
                  <SaveView page="inferences" />
                  <Popover label="Columns" icon="columns" active={view.columns !== null}>
                    {() => (
                      <Chooser
                        shown={shown.map(c => c.id)}
                        all={shown.all}
                        chosen={view.columns}
                        onColumns={c => navigate(inferencesLink(scope, { ...view, columns: c }), { replace: true })}
                      />
                    )}
                  </Popover>
                </div>
              }
            />
          )}
          {empty && <Nothing plain={plain} scope={scope} />}
          {ready && !stale && rows !== null && rows.length > 0 && (
            <p class="onpaper">
              On paper are the rows that were in view, of {count(rows.length)} that were read
              {held.next ? "; there are older ones." : "."}
            </p>
          )}
          <p class="pager hint" role="status">
            {reading
              ? "Reading on…"
              : ready && !stale && rows !== null && rows.length > 0
                ? !held.next
                  ? `${count(rows.length)} rows. That is the oldest.`
                  : rows.length >= MOST
                    ? ""
                    : `${count(rows.length)} rows read, more as you scroll.`
                : ""}
            {held?.next && rows !== null && rows.length >= MOST && (
              <a href={inferencesLink(scope, { ...view, at: rows.at(-1)!.time })}>Go on from here</a>
            )}
          </p>
        </div>
      </div>
    </main>
  );
}

// The list's end is not included: a moment later, so that what is of that moment is.
const after = (iso: string) => new Date(Date.parse(iso) + 1).toISOString();

function Total({ total }: { total: { data: number | null; stale: boolean; error: ApiError | null } }) {
  return (
    <p class="total" role="status">
      {total.data !== null && !total.stale ? (
        <>
          <b>{count(total.data)}</b> {total.data === 1 ? "inference" : "inferences"}
        </>
      ) : total.error ? (
        ""
      ) : (
        "Counting…"
      )}
    </p>
  );
}

function Jump({ at, onJump }: { at: string | null; onJump: (iso: string) => void }) {
  return (
    <Popover label="Jump to" icon="down" active={at !== null}>
      {close => (
        <form
          class="custom"
          onSubmit={e => {
            e.preventDefault();
            const d = new Date(String(new FormData(e.currentTarget).get("at") ?? ""));
            if (Number.isNaN(d.getTime())) return;
            close();
            onJump(d.toISOString());
          }}
        >
          <label>
            What was at
            <input
              type="datetime-local"
              step="1"
              name="at"
              required
              defaultValue={stamp(parse(at) ?? new Date(serverNow())).replace(" ", "T")}
            />
          </label>
          <p class="hint">Your time zone, {offset(new Date())}. The list begins there and goes back.</p>
          <button type="submit" class="button primary">
            Jump
          </button>
        </form>
      )}
    </Popover>
  );
}

function Nothing({ plain, scope }: { plain: boolean; scope: Scope }) {
  const ranged = Boolean(scope.range || scope.from || scope.to);
  if (!plain) {
    return (
      <section class="empty">
        <h2>Nothing matches</h2>
        <p>
          No inference {ranged && "is in this range"}
          {ranged && scope.filter && " and "}
          {scope.filter && "matches this filter"}.{" "}
          {scope.filter && <a href={inferencesLink({ ...scope, filter: "" })}>Remove the filter</a>}
          {scope.filter && ranged && " or "}
          {ranged && (
            <a href={inferencesLink({ ...ANY, filter: scope.filter })}>look at any time</a>
          )}
          .
        </p>
      </section>
    );
  }
  return (
    <section class="empty">
      <h2>No inference has arrived yet</h2>
      <p>Each one will be a row here, with its metadata as columns. Run:</p>
      <Teach />
    </section>
  );
}

// The rows that were read stay when one comes Back to them.
function useList(ws: string, key: string, ask: () => { filter: string; from: string | null; to: string | null }) {
  const list = useLoad(`list ${key}`, signal => api.inferences(ws, { ...ask(), limit: PAGE }, signal));
  const busy = useRef(false),
    taken = useRef<Page | null>(null),
    reading = useRef<string | null>(null),
    [, redraw] = useState(0);
  const current = useRef<Held | null>((kept.get(key) as Held | undefined) ?? null);
  const set = (h: Held) => {
    current.current = h;
    kept.set(h.key, h);
  };
  if (list.data && !list.stale && list.data !== taken.current) {
    taken.current = list.data;
    const held = current.current?.key === key ? current.current : ((kept.get(key) as Held | undefined) ?? null);
    set(
      held
        ? refreshed(held, list.data, busy.current || (scrolled.get(location.pathname + location.search) ?? 0) > 0, PAGE)
        : begun(key, list.data),
    );
  }
  const held = current.current;
  const more = async () => {
    if (!held || held.key !== key || !held.next || reading.current === held.next || held.rows.length >= MOST) return;
    reading.current = held.next;
    redraw(n => n + 1);
    try {
      const page = await api.inferences(ws, { ...ask(), cursor: held.next, limit: PAGE });
      if (current.current?.key === key && current.current.next === held.next) set(grown(current.current, page));
    } catch {
      // The next scroll asks again; a lost connection is the banner's to tell.
    } finally {
      reading.current = null;
      redraw(n => n + 1);
    }
  };
  return {
    list,
    held, // of the question before, dimmed, until the first answer to a new one
    stale: held?.key !== key,
    more: () => void more(),
    reading: reading.current !== null,
    holds: (b: boolean) => (busy.current = b),
    adopt: () => {
      const h = current.current;
      if (h?.waiting) set(begun(h.key, h.waiting));
      document.querySelector(".table")?.scrollTo({ top: 0 });
      redraw(n => n + 1);
    },
    drop: (of: (r: Inference) => boolean) => {
      if (current.current) set(without(current.current, of));
      redraw(n => n + 1);
    },
  };
}

// The columns of the page. A column that once was there stays where it is while the page refreshes.
function useColumns(
  fields: Fields | null,
  rows: Inference[] | null,
  chosen: string[] | null,
  context: Context,
): Column[] & { all: Column[] } {
  const order = useRef<string[]>([]);
  const named = [...(fields?.fields ?? [])].sort((a, b) => b.inferences - a.inferences).map(f => f.name);
  if (!fields) for (const r of rows ?? []) named.push(...Object.keys(r.metadata));
  for (const n of named) if (n && !order.current.includes(n)) order.current.push(n);
  return useMemo(() => {
    const own = ownColumns(context),
      metadata = order.current.map(n => metadataColumn(n, context)),
      all = [...own, ...metadata];
    const columns = chosen
      ? chosen.flatMap(
          id =>
            all.find(c => c.id === id) ??
            (id.startsWith("m.") && id.length > 2 ? metadataColumn(id.slice(2), context) : []),
        )
      : [...own.filter(c => !c.hidden), ...metadata.slice(0, METADATA_SHOWN)];
    return Object.assign(columns.length ? columns : own.slice(0, 1), { all });
  }, [context, chosen?.join("\n"), order.current.length]);
}
