// The filter bar: each clause a chip that can be edited or removed, and a field with completion for the next one. When
// the server refuses the filter, the bar shows the whole text and the error under its character.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, serverNow, type ApiError, type Facet, type Fields } from "./api";
import { offers, valuesAsked, type Offer } from "./complete";
import { characterAt, clauses, parts, withoutClause } from "./filter";
import { count } from "./format";
import { RARELY, useKeys, useLoad, useWorkspace } from "./state";
import { Icon } from "./ui";
import { window as windowOf, type Scope } from "./url";

export function FilterBar({
  scope,
  error,
  onFilter,
}: {
  scope: Scope;
  error: ApiError | null;
  onFilter: (f: string) => void;
}) {
  const { filter } = scope;
  const [asText, setAsText] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const refused = error?.status === 400 && error.position !== null;
  useKeys({ "/": () => input.current?.focus() });
  return (
    <>
      <p class="onpaper">Filter: {filter ? <code>{filter}</code> : "none"}</p>
      {asText || refused ? (
        <TextFilter
          key={filter}
          filter={filter}
          error={refused ? error : null}
          input={input}
          onFilter={onFilter}
          onChips={refused ? null : () => setAsText(false)}
        />
      ) : (
        <ChipFilter scope={scope} input={input} onFilter={onFilter} onText={() => setAsText(true)} />
      )}
    </>
  );
}

// The values that the server has for what is being typed, within the range and the other clauses. A short pause in the
// typing asks; the answers of this page are kept, so that the list does not blink while letters come and go.
function useValues(draft: string, scope: Scope, others: string[], fields: Fields | null, open: boolean): Facet | null {
  const ws = useWorkspace();
  const asked = open ? valuesAsked(draft, fields) : null;
  const [facet, setFacet] = useState<Facet | null>(null);
  const filter = [...others, ...(asked?.clause ? [asked.clause] : [])].join(" ");
  const key = asked ? `${asked.of}\n${filter}\n${scope.range} ${scope.from} ${scope.to}` : null;
  useEffect(() => {
    if (!asked) return undefined;
    const controller = new AbortController();
    const ask = (f: string) =>
      api
        .facets(ws, { ...windowOf(scope, serverNow()), filter: f, fields: asked.of, limit: 20 }, controller.signal)
        .then(all => setFacet(all[0] ?? null));
    const timer = setTimeout(
      () =>
        void ask(filter)
          // Another clause may be what the server refuses.
          .catch((e: ApiError) => (e.status === 400 && !controller.signal.aborted ? ask("") : undefined))
          .catch(() => undefined),
      120,
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key]);
  return facet?.of === asked?.of ? facet : null;
}

function TextFilter({
  filter,
  error,
  input,
  onFilter,
  onChips,
}: {
  filter: string;
  error: ApiError | null;
  input: { current: HTMLInputElement | null };
  onFilter: (f: string) => void;
  onChips: (() => void) | null;
}) {
  const [draft, setDraft] = useState(filter),
    [shift, setShift] = useState(0);
  const at = error ? characterAt(filter, error.position ?? 0) : 0;
  useEffect(() => {
    if (!error || !input.current) return;
    input.current.focus({ preventScroll: true });
    input.current.setSelectionRange(at, at);
  }, [error?.message, at]);
  return (
    <form class="filterbar astext" role="search" onSubmit={e => (e.preventDefault(), onFilter(draft.trim()))}>
      <div class="box">
        <Icon name="search" />
        <input
          ref={input}
          type="text"
          class="mono"
          value={draft}
          aria-label="Filter, as text"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          aria-invalid={error !== null}
          aria-describedby={error ? "filter-error" : undefined}
          onInput={e => setDraft(e.currentTarget.value)}
          onScroll={e => setShift(e.currentTarget.scrollLeft)}
          onKeyDown={e => e.key === "Escape" && (onChips ? onChips() : e.currentTarget.blur())}
        />
        {error && (
          <button type="button" class="button small" onClick={() => onFilter("")}>
            Clear
          </button>
        )}
        {onChips && (
          <button
            type="button"
            class="bare"
            aria-label="Show the filter as chips"
            title="Show as chips"
            onClick={onChips}
          >
            <Icon name="close" />
          </button>
        )}
      </div>
      {error && (
        <div class="pointer mono" id="filter-error" role="alert">
          {draft === filter && (
            <span class="under" style={{ marginLeft: `${-shift}px` }} aria-hidden="true">
              {filter.slice(0, at)}
            </span>
          )}
          <span class="caret" aria-hidden="true">
            ▲
          </span>{" "}
          <span class="said">{error.expected ? `Expected ${error.expected}.` : error.message}</span>
        </div>
      )}
    </form>
  );
}

function ChipFilter({
  scope,
  input,
  onFilter,
  onText,
}: {
  scope: Scope;
  input: { current: HTMLInputElement | null };
  onFilter: (f: string) => void;
  onText: () => void;
}) {
  const ws = useWorkspace();
  const [draft, setDraft] = useState(""),
    [editing, setEditing] = useState<number | null>(null);
  const [open, setOpen] = useState(false),
    [active, setActive] = useState(-1);
  const all = clauses(scope.filter);
  const fields = useLoad(open ? `fields ${ws}` : null, signal => api.fields(ws, signal), RARELY).data;
  const facet = useValues(
    draft,
    scope,
    all.filter((_, i) => i !== editing),
    fields,
    open,
  );
  const found = useMemo(() => (open ? offers(draft, fields, facet).slice(0, 12) : []), [open, draft, fields, facet]);

  const commit = (text: string) => {
    const next = editing === null ? [...all, text.trim()] : all.map((c, i) => (i === editing ? text.trim() : c));
    setDraft("");
    setEditing(null);
    setActive(-1);
    setOpen(false);
    onFilter(next.filter(Boolean).join(" "));
  };
  const edit = (at: number) => {
    setEditing(at);
    setDraft(all[at] ?? "");
    requestAnimationFrame(() => input.current?.focus());
  };
  const accept = (offer: Offer) => {
    setActive(-1);
    if (offer.whole) {
      commit(offer.text);
    } else {
      setDraft(offer.text);
      input.current?.focus();
    }
  };
  const key = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setOpen(true);
      const n = found.length;
      if (n) setActive(a => (e.key === "ArrowDown" ? (a + 1) % n : (a <= 0 ? n : a) - 1));
    } else if (e.key === "Enter") {
      e.preventDefault();
      if (active >= 0 && found[active]) accept(found[active]);
      else if (draft.trim() || editing !== null) commit(draft);
    } else if (e.key === "Tab" && !e.shiftKey && found.length && draft && draft !== found[0]!.text) {
      e.preventDefault();
      accept(found[Math.max(active, 0)]!);
    } else if (e.key === "Escape") {
      setDraft("");
      setEditing(null);
      setOpen(false);
      setActive(-1);
      if (!draft) input.current?.blur();
    } else if (e.key === "Backspace" && !draft && editing === null && all.length) {
      e.preventDefault();
      edit(all.length - 1);
    }
  };
  const field = (
    <span class="entry" key="entry">
      <input
        ref={input}
        type="text"
        role="combobox"
        aria-label="Filter"
        aria-autocomplete="list"
        aria-expanded={found.length > 0}
        aria-controls="filter-offers"
        aria-activedescendant={active >= 0 ? `offer-${active}` : undefined}
        placeholder={all.length ? "" : "Filter: model:coco/24  confidence<0.5  -shift:night  has:serial_number"}
        value={draft}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        onInput={e => (setDraft(e.currentTarget.value), setOpen(true), setActive(-1))}
        onKeyDown={key}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
      />
      <ul id="filter-offers" role="listbox" aria-label="Completions" hidden={!found.length}>
        {found.map((o, i) => (
          <li
            key={o.text}
            id={`offer-${i}`}
            role="option"
            aria-selected={i === active}
            onPointerDown={e => (e.preventDefault(), accept(o))}
          >
            <span class="clip">{o.text}</span>{" "}
            {o.hint && <span class="sub">{/^\d+$/.test(o.hint) ? count(Number(o.hint)) : o.hint}</span>}
          </li>
        ))}
      </ul>
    </span>
  );
  return (
    <div class="filterbar" role="search">
      <div class="box" onClick={e => e.target === e.currentTarget && input.current?.focus()}>
        <Icon name="search" />
        {all.map((c, i) =>
          i === editing ? (
            field
          ) : (
            <Chip
              key={`${i} ${c}`}
              clause={c}
              onEdit={() => edit(i)}
              onRemove={() => onFilter(withoutClause(scope.filter, i))}
            />
          ),
        )}
        {editing === null && field}
        <span class="tools">
          {all.length > 1 && (
            <button type="button" class="button small" onClick={() => onFilter("")}>
              Clear
            </button>
          )}
          <button type="button" class="bare" aria-label="Edit the filter as text" title="Edit as text" onClick={onText}>
            <Icon name="text" />
          </button>
        </span>
      </div>
    </div>
  );
}

function Chip({ clause, onEdit, onRemove }: { clause: string; onEdit: () => void; onRemove: () => void }) {
  const { negated, field, operator, value } = parts(clause);
  return (
    <span class={negated ? "chip negated" : "chip"}>
      <button type="button" class="what" title="Edit" onClick={onEdit}>
        {negated && <b>not</b>}
        {field && <i>{field}</i>}
        {operator && <i>{operator}</i>}
        <span>{value}</span>
      </button>
      <button type="button" class="x" aria-label={`Remove ${clause}`} title="Remove" onClick={onRemove}>
        <Icon name="close" />
      </button>
    </span>
  );
}
