// The list: newest first, a page of 100 at a time, one column for each metadata field. The server sorts and pages; a
// table library would only hold a second copy of what is already in the order it is shown in, so this is a plain table.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, serverNow, type Fields, type Inference, type Page } from "../api";
import { COLUMNS, metadataColumn, type Column, type Context } from "../columns";
import { FilterBar } from "../filterbar";
import { count, fullStamp, offset, parse } from "../format";
import { navigate, newerIsBehind, RARELY, scrolled, showList, useKeys, useLoad, useWorkspace } from "../state";
import { AsOf, Failure, Icon, Popover, RangePicker, Teach } from "../ui";
import { ANY, inferenceLink, inferencesLink, window as windowOf, type Scope } from "../url";

const PAGE = 100;
const METADATA_SHOWN = 12;

export function Inferences({
  scope,
  cursor,
  columns,
}: {
  scope: Scope;
  cursor: string | null;
  columns: string[] | null;
}) {
  const ws = useWorkspace();
  const selection = { filter: scope.filter, ...windowOf(scope, serverNow()) };
  const key = `${ws} ${JSON.stringify(scope)}`;
  // A range that follows the clock has no end: what arrives while the page loads belongs to it.
  const ask = () => ({ ...selection, ...windowOf(scope, serverNow()), ...(scope.range ? { to: null } : {}) });
  const list = useLoad(`list ${key} ${cursor ?? ""}`, signal =>
    api.inferences(ws, { ...ask(), cursor, limit: PAGE }, signal),
  );
  const total = useLoad(`count ${key}`, signal => api.count(ws, ask(), signal));
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY);

  const { page, stale, fresh, adopt, holds } = useHeld(
    list.stale ? null : list.data,
    `${key} ${cursor ?? ""}`,
    cursor === null,
  );
  const shown = useColumns(fields.data, page, columns);
  const ready = page !== null && (fields.data !== null || fields.error !== null);
  useLayoutEffect(() => {
    showList(
      page && !stale
        ? { items: page.inferences.map(r => ({ id: r.id, index: r.index, model: r.model })), next: page.next }
        : null,
    );
  }, [page, stale]);

  const go = (s: Scope, c: string[] | null = columns) => navigate(inferencesLink(s, null, c));
  const context: Context = {
    filter: scope.filter,
    onFilter: f => go({ ...scope, filter: f }),
    link: r => inferenceLink(scope, r.id, r.index, r.model),
    picks: false,
  };
  const plain = !scope.filter && !scope.range && !scope.from && !scope.to;
  return (
    <main id="main" class="page list" aria-busy={!list.error && (!ready || stale)}>
      <header class="head">
        <h1>Inferences</h1>
        <RangePicker scope={scope} any now={() => selection} onScope={s => go(s)} />
        <AsOf iso={list.data?.asOf ?? null} failed={list.error !== null} />
      </header>
      <FilterBar scope={scope} error={list.error} onFilter={context.onFilter} />
      <div class="toolbar">
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
        {fresh > 0 && (
          <button type="button" class="button fresh" onClick={adopt}>
            <Icon name="up" />
            {fresh}
            {fresh === PAGE ? "+" : ""} new
          </button>
        )}
        <Popover label="Columns" icon="columns" active={columns !== null}>
          {() => (
            <Chooser
              shown={shown.map(c => c.id)}
              all={shown.all}
              chosen={columns}
              onColumns={c => navigate(inferencesLink(scope, cursor, c), { replace: true })}
            />
          )}
        </Popover>
      </div>
      {list.error && list.error.position === null && (
        <Failure error={list.error} what="The list could not be loaded." onRetry={list.reload} />
      )}
      {list.error && stale ? (
        list.error.position !== null && (
          <p class="hint">
            The filter cannot be read. Correct it above; <kbd>?</kbd> shows what it can say.
          </p>
        )
      ) : ready && !stale && page.inferences.length === 0 && cursor === null ? (
        <Nothing plain={plain} scope={scope} />
      ) : (
        <Table
          key={`${key} ${cursor ?? ""}`}
          rows={ready ? page.inferences : null}
          stale={stale}
          columns={shown}
          context={context}
          holds={holds}
        />
      )}
      <nav class="pager" aria-label="Pages">
        {cursor && (
          <a class="button" href={inferencesLink(scope, null, columns)}>
            Newest
          </a>
        )}
        {cursor && newerIsBehind() && (
          <button type="button" class="button" onClick={() => history.back()}>
            <Icon name="left" />
            Newer
          </button>
        )}
        {ready && !stale && page.next && (
          <button
            type="button"
            class="button"
            onClick={() => navigate(inferencesLink(scope, page.next, columns), { older: true })}
          >
            Older
            <Icon name="right" />
          </button>
        )}
        {ready && !stale && !page.next && page.inferences.length > 0 && <span class="hint">That is the oldest.</span>}
      </nav>
    </main>
  );
}

function Nothing({ plain, scope }: { plain: boolean; scope: Scope }) {
  if (!plain) {
    return (
      <section class="empty">
        <h2>Nothing matches</h2>
        <p>
          No inference is in this range{scope.filter && " and matches this filter"}.{" "}
          {scope.filter && <a href={inferencesLink({ ...scope, filter: "" })}>Remove the filter</a>}
          {scope.filter && (scope.range || scope.from || scope.to) && " or "}
          {(scope.range || scope.from || scope.to) && (
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

// New rows go in by themselves only when nobody is at the table: not while the pointer or the focus is on it or it is
// scrolled. Until then they are counted, and what is shown is brought up to date in place.
function useHeld(data: Page | null, key: string, first: boolean) {
  const busy = useRef(false),
    kept = useRef<{ key: string; page: Page } | null>(null),
    [, redraw] = useState(0);
  const id = (r: Inference) => `${r.id}\n${r.index}\n${r.model ?? ""}`;
  let fresh = 0;
  if (data) {
    const old = kept.current?.key === key ? kept.current.page : null;
    if (!old || !first || !busy.current || old.inferences.length === 0) {
      kept.current = { key, page: data };
    } else {
      const now = new Map(data.inferences.map(r => [id(r), r])),
        had = new Set(old.inferences.map(id));
      fresh = data.inferences.filter(r => !had.has(id(r))).length;
      if (fresh === 0) kept.current = { key, page: data };
      else kept.current = { key, page: { ...old, inferences: old.inferences.map(r => now.get(id(r)) ?? r) } };
    }
  }
  // Until an answer to a new question comes, the last one stays, dimmed.
  return {
    page: kept.current?.page ?? null,
    stale: kept.current?.key !== key,
    fresh,
    holds: (b: boolean) => (busy.current = b),
    adopt: () => {
      if (data) kept.current = { key, page: data };
      document.querySelector(".table")?.scrollTo({ top: 0 });
      redraw(n => n + 1);
    },
  };
}

// The columns of the page. A column that once was there stays where it is while the page refreshes.
function useColumns(fields: Fields | null, page: Page | null, chosen: string[] | null): Column[] & { all: Column[] } {
  const order = useRef<string[]>([]);
  const named = [...(fields?.fields ?? [])].sort((a, b) => b.inferences - a.inferences).map(f => f.name);
  if (!fields) for (const r of page?.inferences ?? []) named.push(...Object.keys(r.metadata));
  for (const n of named) if (n && !order.current.includes(n)) order.current.push(n);
  const metadata = order.current.map(metadataColumn),
    all = [...COLUMNS, ...metadata];
  const columns = chosen
    ? chosen.flatMap(
        id => all.find(c => c.id === id) ?? (id.startsWith("m.") && id.length > 2 ? metadataColumn(id.slice(2)) : []),
      )
    : [...COLUMNS.filter(c => !c.hidden), ...metadata.slice(0, METADATA_SHOWN)];
  return Object.assign(columns.length ? columns : COLUMNS.slice(0, 1), { all });
}

function Chooser({
  shown,
  all,
  chosen,
  onColumns,
}: {
  shown: string[];
  all: Column[];
  chosen: string[] | null;
  onColumns: (c: string[] | null) => void;
}) {
  const rest = all.filter(c => !shown.includes(c.id)),
    title = (id: string) => all.find(c => c.id === id)?.title ?? id.slice(2);
  const swap = (i: number, by: number) => {
    const next = [...shown];
    [next[i], next[i + by]] = [next[i + by]!, next[i]!];
    onColumns(next);
  };
  return (
    <div class="chooser">
      <ul>
        {shown.map((id, i) => (
          <li key={id}>
            <label>
              <input
                type="checkbox"
                checked
                disabled={shown.length === 1}
                onChange={() => onColumns(shown.filter(s => s !== id))}
              />
              <span class="clip">{title(id)}</span>
              {id.startsWith("m.") && <span class="sub">metadata</span>}
            </label>
            <button
              type="button"
              class="bare"
              disabled={i === 0}
              aria-label={`Move ${title(id)} to the left`}
              title="Move left"
              onClick={() => swap(i, -1)}
            >
              <Icon name="up" />
            </button>
            <button
              type="button"
              class="bare"
              disabled={i === shown.length - 1}
              aria-label={`Move ${title(id)} to the right`}
              title="Move right"
              onClick={() => swap(i, 1)}
            >
              <Icon name="down" />
            </button>
          </li>
        ))}
        {rest.map(c => (
          <li key={c.id}>
            <label>
              <input type="checkbox" checked={false} onChange={() => onColumns([...shown, c.id])} />
              <span class="clip">{c.title}</span>
              {c.id.startsWith("m.") && <span class="sub">metadata</span>}
            </label>
          </li>
        ))}
      </ul>
      {chosen && (
        <button type="button" class="button" onClick={() => onColumns(null)}>
          Back to the usual columns
        </button>
      )}
    </div>
  );
}

function Table({
  rows,
  stale,
  columns,
  context,
  holds,
}: {
  rows: Inference[] | null;
  stale: boolean;
  columns: Column[];
  context: Context;
  holds: (busy: boolean) => void;
}) {
  const box = useRef<HTMLDivElement>(null),
    pointer = useRef(false),
    pictured = useRef(false);
  const place = location.pathname + location.search;
  const now = offset(new Date());
  if (rows?.some(r => r.image.thumbnail)) pictured.current = true;
  const update = () => {
    const e = box.current;
    if (!e) return;
    scrolled.set(place, e.scrollTop);
    holds(pointer.current || e.scrollTop > 0 || (e.contains(document.activeElement) && document.activeElement !== e));
  };
  useLayoutEffect(() => {
    if (rows && box.current) box.current.scrollTop = scrolled.get(place) ?? 0;
  }, [rows !== null]);
  useEffect(() => () => holds(false), []);

  const step = (by: number) => {
    const links = [...(box.current?.querySelectorAll<HTMLAnchorElement>("a.row") ?? [])];
    const at = links.findIndex(l => l.closest("tr")?.contains(document.activeElement));
    const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useKeys({ j: () => step(1), k: () => step(-1) });
  const width = columns.reduce((w, c) => w + c.width, 32 + (pictured.current ? 68 : 0));
  return (
    <div
      class={`table${pictured.current ? " pictured" : ""}${stale && rows ? " stale" : ""}`}
      ref={box}
      tabIndex={0}
      role="region"
      aria-label="Inferences, newest first"
      onScroll={update}
      onFocusCapture={update}
      onBlurCapture={() => setTimeout(update)}
      onPointerEnter={e => ((pointer.current = e.pointerType === "mouse"), update())}
      onPointerLeave={() => ((pointer.current = false), update())}
    >
      <table style={{ minWidth: `${width}px` }}>
        <colgroup>
          <col style={{ width: "32px" }} />
          {pictured.current && <col style={{ width: "68px" }} />}
          {columns.map(c => (
            <col key={c.id} style={{ width: `${c.width}px` }} />
          ))}
          <col />
        </colgroup>
        <thead>
          <tr>
            <th scope="col">
              <span class="offscreen">Open</span>
            </th>
            {pictured.current && <th scope="col">Picture</th>}
            {columns.map(c => (
              <th
                scope="col"
                key={c.id}
                class={c.numeric ? "num" : c.id.startsWith("m.") ? "meta" : undefined}
                title={c.id.startsWith("m.") ? `Metadata: ${c.title}` : undefined}
              >
                <span class="clip">{c.title}</span>
                {(c.id === "time" || c.id === "received") && (
                  <abbr title="Your time zone's offset from UTC"> {now}</abbr>
                )}
              </th>
            ))}
            <td />
          </tr>
        </thead>
        <tbody>
          {rows?.map(r => (
            <Row
              key={`${r.id} ${r.index} ${r.model}`}
              row={r}
              columns={columns}
              context={context}
              pictured={pictured.current}
            />
          ))}
          {!rows &&
            Array.from({ length: 12 }, (_, i) => (
              <tr key={i} class="waiting" aria-hidden="true">
                {Array.from({ length: columns.length + 2 + (pictured.current ? 1 : 0) }, (_, j) => (
                  <td key={j}>
                    <span />
                  </td>
                ))}
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({
  row,
  columns,
  context,
  pictured,
}: {
  row: Inference;
  columns: Column[];
  context: Context;
  pictured: boolean;
}) {
  const [over, setOver] = useState(false),
    time = parse(row.time),
    link = context.link(row);
  const click = (e: MouseEvent) => {
    if (!(e.target as Element).closest("a, button") && !getSelection()?.toString()) navigate(link);
  };
  return (
    <tr onClick={click} onPointerEnter={() => setOver(true)} onPointerLeave={() => setOver(false)}>
      <td>
        <a class="row" href={link} aria-label={`Open the inference of ${time ? fullStamp(time) : row.id}`}>
          <Icon name="right" />
        </a>
      </td>
      {pictured && (
        <td class="thumb">
          {row.image.thumbnail && <img src={row.image.thumbnail} alt="" loading="lazy" width="56" height="42" />}
        </td>
      )}
      {columns.map(c => (
        <td key={c.id} class={c.numeric ? "num" : undefined}>
          {c.cell(row, { ...context, picks: over })}
        </td>
      ))}
      <td />
    </tr>
  );
}
