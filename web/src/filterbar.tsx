// The filter bar: each clause a chip that can be edited or removed, and a field with completion for the next one. When
// the server refuses the filter, the bar shows the whole text and the error under its character.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError, Fields } from "./api";
import { characterAt, clauses, metadataName, parts, quoted, withoutClause } from "./filter";
import { useKeys } from "./state";
import { Icon } from "./ui";

const NAMES = [
  "model:",
  "class:",
  "confidence<",
  "latency>",
  "detections>=",
  "device:",
  "source:",
  "has:error",
  "has:picture",
  "id:",
  "time>=",
];

// Values the page has seen, by field, for completion.
export type Known = Record<string, string[]>;

function completions(draft: string, fields: Fields | null, known: Known): string[] {
  const { negated, field, operator, value } = parts(draft),
    sign = negated ? "-" : "";
  const named = (fields?.fields ?? []).map(f => ({ ...f, written: metadataName(f.name) }));
  const like = (s: string, t: string) => s.toLowerCase().includes(t.toLowerCase());
  if (operator === ":" && field === "has")
    return ["error", "picture", "class", "latency", ...named.map(f => f.written)]
      .filter(n => like(n, value))
      .map(n => `${sign}has:${n}`);
  if (operator === ":") {
    const values = named.find(f => f.written === field)?.top.map(t => String(t.value)) ?? known[field] ?? [];
    return values.filter(v => like(v, value.replace(/"/g, ""))).map(v => `${sign}${field}:${quoted(v)}`);
  }
  if (operator) return [];
  return [...NAMES, ...named.map(f => `${f.written}:`)].filter(n => like(n, value)).map(n => sign + n);
}

export function FilterBar({
  filter,
  fields,
  known,
  error,
  onFilter,
}: {
  filter: string;
  fields: Fields | null;
  known: Known;
  error: ApiError | null;
  onFilter: (f: string) => void;
}) {
  const [asText, setAsText] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const refused = error?.status === 400 && error.position !== null;
  useKeys({ "/": () => input.current?.focus() });
  return asText || refused ? (
    <TextFilter
      key={filter}
      filter={filter}
      error={refused ? error : null}
      input={input}
      onFilter={onFilter}
      onChips={refused ? null : () => setAsText(false)}
    />
  ) : (
    <ChipFilter
      filter={filter}
      fields={fields}
      known={known}
      input={input}
      onFilter={onFilter}
      onText={() => setAsText(true)}
    />
  );
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
  filter,
  fields,
  known,
  input,
  onFilter,
  onText,
}: {
  filter: string;
  fields: Fields | null;
  known: Known;
  input: { current: HTMLInputElement | null };
  onFilter: (f: string) => void;
  onText: () => void;
}) {
  const [draft, setDraft] = useState(""),
    [editing, setEditing] = useState<number | null>(null);
  const [open, setOpen] = useState(false),
    [active, setActive] = useState(-1);
  const all = clauses(filter),
    offers = open ? completions(draft, fields, known).slice(0, 10) : [];

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
  const accept = (offer: string) => {
    setActive(-1);
    if (/[:<>=]$/.test(offer)) {
      setDraft(offer);
      input.current?.focus();
    } else {
      commit(offer);
    }
  };
  const key = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      setOpen(true);
      const n = offers.length;
      if (n) setActive(a => (e.key === "ArrowDown" ? (a + 1) % n : (a <= 0 ? n : a) - 1));
    } else if (e.key === "Enter") {
      e.preventDefault();
      if (active >= 0 && offers[active]) accept(offers[active]);
      else if (draft.trim() || editing !== null) commit(draft);
    } else if (e.key === "Tab" && !e.shiftKey && offers.length && draft && draft !== offers[0]) {
      e.preventDefault();
      accept(offers[Math.max(active, 0)]!);
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
        aria-expanded={offers.length > 0}
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
      <ul id="filter-offers" role="listbox" aria-label="Completions" hidden={!offers.length}>
        {offers.map((o, i) => (
          <li
            key={o}
            id={`offer-${i}`}
            role="option"
            aria-selected={i === active}
            onPointerDown={e => (e.preventDefault(), accept(o))}
          >
            {o}
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
              onRemove={() => onFilter(withoutClause(filter, i))}
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
