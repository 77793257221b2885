// What the pages share: values, times, notices, commands to copy, the range picker, dialogs.
import type { ComponentChildren } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { serverNow, type ApiError, type Value } from "./api";
import { clauseFor, withClause } from "./filter";
import * as format from "./format";
import { usePaper } from "./paper";
import { calendar, shiftsAt } from "./shifts";
import { SessionContext, useNow } from "./state";
import { RANGES, type Scope } from "./url";

const PATHS = {
  overview: "M3 3v14h14M6 13l3-4 3 2 4-6",
  inferences: "M3 5h14M3 10h14M3 15h14",
  help: "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M10 14.4v.1",
  signout: "M8 4H4v12h4M9 10h8M14 7l3 3-3 3",
  search: "M9 3a6 6 0 1 1 0 12A6 6 0 0 1 9 3M13.5 13.5L17 17",
  plus: "M10 5v10M5 10h10",
  minus: "M5 10h10",
  close: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  copy: "M7 7h9v9H7zM4 13V4h9",
  check: "M4 10.5l4 4 8-9",
  columns: "M3 4h14v12H3zM8 4v12M12.5 4v12",
  text: "M4 6V4h12v2M10 4v12M8 16h4",
  left: "M12 4l-6 6 6 6",
  right: "M8 4l6 6-6 6",
  up: "M5 12l5-5 5 5",
  down: "M5 8l5 5 5-5",
  download: "M10 3v10M6 9.5l4 4 4-4M4 17h12",
  edit: "M4 16l1-4 8-8 3 3-8 8z",
  link: "M8.5 11.5l3-3M7 9L5 11a2.8 2.8 0 0 0 4 4l2-2M13 11l2-2a2.8 2.8 0 0 0-4-4L9 7",
  fleet: "M3 5h14v5H3zM3 12.5h14v3.5H3zM6 7.5h.1M6 14.2h.1",
  models: "M10 2.5l7 4-7 4-7-4zM3 10.5l7 4 7-4M3 14l7 4 7-4",
  review: "M3 4h14v9h-7l-4 4v-4H3zM7 8.5l2 2 4-4",
  metadata: "M3 4h6l8 8-5 5-9-8zM6.5 7h.1",
  trash: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11M8.5 9v5M11.5 9v5",
  settings: "M3 6h8M15 6h2M13 4v4M3 14h2M9 14h8M7 12v4",
  marker: "M5 17V3h10l-3 4 3 4H5",
  image: "M3 4h14v12H3zM3 14l4-5 4 4 2-2 4 4M13 8h.1",
  split: "M3 10h4l4-5h6M7 10l4 5h6",
  compare: "M4 14l4-5 4 3 4-7M4 17h12",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

// A moment in the viewer's zone; UTC on hover.
export function Time({ iso, full = false }: { iso: string | null; full?: boolean }) {
  const d = format.parse(iso);
  if (!d) return <span class="none">{format.NONE}</span>;
  const text = full ? format.fullStamp(d) : format.stamp(d);
  return (
    <time dateTime={iso ?? ""} title={format.utcStamp(d)}>
      {text}
    </time>
  );
}

export function Ago({ iso }: { iso: string | null }) {
  const d = format.parse(iso),
    now = useNow(),
    paper = usePaper();
  if (!d) return <span class="none">{format.NONE}</span>;
  return (
    <time dateTime={iso ?? ""} title={`${format.fullStamp(d)}\n${format.utcStamp(d)}`}>
      {paper ? format.stamp(d).slice(0, 16) : format.ago(d, now)}
    </time>
  );
}

// Of when what is shown is; while the answer to another question is on its way, that it is.
export function AsOf({ iso, failed, stale }: { iso: string | null; failed: boolean; stale: boolean }) {
  const d = stale && !failed ? null : format.parse(iso);
  return (
    <p class="asof">
      {d ? (
        <>
          As of <span class="onpaper">{format.stamp(d).slice(0, 10)} </span>
          <time dateTime={iso ?? ""} title={format.utcStamp(d)}>
            {format.stamp(d).slice(11)}
          </time>{" "}
          <abbr title="Your time zone's offset from UTC">{format.offset(d)}</abbr>
        </>
      ) : failed ? (
        ""
      ) : (
        "Loading…"
      )}
    </p>
  );
}

// A metadata value as text; a number or a boolean is told from the same text by its type's mark.
export function Shown({ value }: { value: Value | null }) {
  if (value === null) return <span class="none">{format.NONE}</span>;
  if (typeof value === "string") return value === "" ? <span class="none">empty text</span> : <>{value}</>;
  return (
    <span class={`typed ${typeof value}`} title={typeof value === "number" ? "number" : "true or false"}>
      {String(value)}
    </span>
  );
}

// Two small buttons beside a value: only this, everything but this.
export function Pick({
  field,
  value,
  filter,
  onFilter,
  tab = true,
}: {
  field: string;
  value: Value;
  filter: string;
  onFilter: (f: string) => void;
  tab?: boolean;
}) {
  const clause = clauseFor(field, value),
    stop = tab ? {} : { tabIndex: -1 };
  const act = (c: string) => (e: Event) => {
    e.stopPropagation();
    e.preventDefault();
    onFilter(withClause(filter, c));
  };
  return (
    <span class="pick">
      <button type="button" {...stop} aria-label={`Only ${clause}`} title={`Only ${clause}`} onClick={act(clause)}>
        <Icon name="plus" />
      </button>
      <button
        type="button"
        {...stop}
        aria-label={`Exclude ${clause}`}
        title={`Exclude ${clause}`}
        onClick={act(`-${clause}`)}
      >
        <Icon name="minus" />
      </button>
    </span>
  );
}

// The clipboard API exists only in secure contexts, and a plant's server is often plain http: then a selection is
// copied.
export async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function Copy({ text, label, bare = false }: { text: () => string; label: string; bare?: boolean }) {
  const [said, say] = useState("");
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => say(""), 1600);
    return () => clearTimeout(timer);
  }, [said]);
  const click = async () => say((await copy(text())) ? "Copied" : "Select and copy by hand");
  return (
    <button
      type="button"
      class={bare ? "bare" : "button"}
      aria-label={bare ? label : undefined}
      title={label}
      onClick={click}
    >
      <Icon name={said === "Copied" ? "check" : "copy"} />
      {bare ? (
        <span class="offscreen" role="status">
          {said}
        </span>
      ) : (
        <span role="status">{said || label}</span>
      )}
    </button>
  );
}

export function Command({ title, text }: { title: string; text: string }) {
  return (
    <figure class="command">
      <figcaption>{title}</figcaption>
      <pre tabIndex={0} aria-label={title}>
        {text}
      </pre>
      <Copy bare text={() => text} label={`Copy: ${title}`} />
    </figure>
  );
}

export function Failure({ error, what, onRetry }: { error: ApiError; what: string; onRetry?: () => void }) {
  return (
    <div class="failure" role="alert">
      <p>
        <strong>{what}</strong> {error.message}
      </p>
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

// What to run to see data here, with this workspace's name and this server's address in it. An id is part of the page's
// address, which anybody can write: it goes into a command only if no shell reads anything in it.
export function Teach({ id }: { id?: string }) {
  const { workspace } = useContext(SessionContext);
  const { origin } = location;
  const attached = id !== undefined && /^[\w.-]{1,128}$/.test(id) ? id : "THE_INFERENCE_ID";
  return (
    <div class="teach">
      <Command
        title="1 · Once in your shell: paste the key you signed in with, then Enter"
        text={"read -rs SIGHTGLASS_KEY"}
      />
      <Command
        title="2 · An inference: a photo through the demo model"
        text={`base64 -w0 photo.jpg | curl -sS --data-binary @- \\\n  "${origin}/coco/24?api_key=$SIGHTGLASS_KEY"`}
      />
      <Command
        title={`3 · Metadata: attach it to the inference_id that came back`}
        text={`curl -sS "${origin}/${workspace}/inference-stats/metadata" \\
  -H "Content-Type: application/json" \\
  --data-raw '{"api_key": "'"$SIGHTGLASS_KEY"'", "data": [{
    "inference_ids": ["${attached}"],
    "field_name": "camera_location", "field_value": "canada"}]}'`}
      />
      <Command
        title="Or send a result that something else computed"
        text={`curl -sS "${origin}/api/v1/${workspace}/inferences" \\
  -H "Authorization: Bearer $SIGHTGLASS_KEY" -H "Content-Type: application/json" \\
  --data-raw '{"model_id": "bottles/3", "latency_s": 0.021, "device_id": "line-1",
    "predictions": [{"class": "bottle", "confidence": 0.93}],
    "metadata": {"serial_number": "A1-0001"}}'`}
      />
    </div>
  );
}

// A button with a panel under it; closes on Escape and on a click elsewhere.
export function Popover({
  label,
  icon,
  children,
  active = false,
}: {
  label: string;
  icon?: IconName;
  children: (close: () => void) => ComponentChildren;
  active?: boolean;
}) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null),
    button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (e: Event) => !box.current?.contains(e.target as Node) && setOpen(false);
    document.addEventListener("pointerdown", away);
    document.addEventListener("focusin", away);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("focusin", away);
    };
  }, [open]);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <div class="popover" ref={box} onKeyDown={e => e.key === "Escape" && open && (e.stopPropagation(), close())}>
      <button
        type="button"
        ref={button}
        class={active ? "button active" : "button"}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        {icon && <Icon name={icon} />}
        {label}
      </button>
      {open && (
        <div class="panel" role="group" aria-label={label}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

function localInput(iso: string | null): string {
  const d = format.parse(iso);
  return d ? format.stamp(d).replace(" ", "T") : "";
}

export function RangePicker({
  scope,
  any = false,
  usual = "7d",
  now,
  onScope,
}: {
  scope: Scope;
  any?: boolean;
  usual?: string; // the range of a page whose address names none
  now: () => { from: string | null; to: string | null };
  onScope: (s: Scope) => void;
}) {
  const custom = Boolean(scope.from || scope.to);
  const chosen = custom ? "custom" : (scope.range ?? (any ? "any" : usual));
  const [wrong, setWrong] = useState("");
  const apply = (close: () => void) => (e: SubmitEvent) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement);
    const [from, to] = ["from", "to"].map(n => {
      const d = new Date(String(form.get(n) ?? ""));
      return Number.isNaN(d.getTime()) ? null : d.toISOString();
    }) as [string | null, string | null];
    if ((!any && (!from || !to)) || (!from && !to)) return setWrong("Give both a beginning and an end.");
    if (from && to && from >= to) return setWrong("The end must be after the beginning.");
    setWrong("");
    close();
    onScope({ ...scope, range: null, from, to });
  };
  const pick = (range: string | null) => () => onScope({ ...scope, range, from: null, to: null });
  const shown = now(),
    exact = shown.from || shown.to ? `${customLabel({ ...scope, ...shown })} ${format.offset(new Date())}` : null,
    named = chosen === "any" ? "any time" : RANGES.find(r => r.id === chosen)?.long;
  return (
    <div class="ranges" role="group" aria-label="Time range">
      <p class="onpaper">Range: {[named, exact].filter(Boolean).join(", ")}</p>
      {any && (
        <button type="button" aria-pressed={chosen === "any"} onClick={pick(null)}>
          Any time
        </button>
      )}
      {RANGES.map(r => (
        <button type="button" key={r.id} aria-pressed={chosen === r.id} title={rangeTitle(r.id)} onClick={pick(r.id)}>
          {r.label}
        </button>
      ))}
      <Popover label={custom ? customLabel(scope) : "Custom"} active={custom}>
        {close => (
          <form class="custom" onSubmit={apply(close)}>
            <label>
              From
              <input type="datetime-local" step="1" name="from" defaultValue={localInput(scope.from ?? now().from)} />
            </label>
            <label>
              To
              <input type="datetime-local" step="1" name="to" defaultValue={localInput(scope.to ?? now().to)} />
            </label>
            <p class="hint">Your time zone, {format.offset(new Date())}</p>
            {wrong && (
              <p class="wrong" role="alert">
                {wrong}
              </p>
            )}
            <button type="submit" class="button primary">
              Apply
            </button>
          </form>
        )}
      </Popover>
    </div>
  );
}

// When a shift is, in the viewer's zone, and which one.
function rangeTitle(id: string): string {
  const range = RANGES.find(r => r.id === id)!;
  if (range.seconds !== null) return range.long;
  const { current, last } = shiftsAt(calendar(), serverNow()),
    shift = id === "shift" ? current : last;
  if (!shift) return "The calendar has no shifts";
  const when = format.span(new Date(shift.from), new Date(shift.to));
  return shift.name
    ? `${shift.name}: ${when}`
    : `Between shifts: since ${format.stamp(new Date(shift.from)).slice(0, 16)}`;
}

function customLabel(scope: Scope): string {
  const from = format.parse(scope.from),
    to = format.parse(scope.to);
  if (from && to) return format.span(from, to);
  return from ? `since ${format.stamp(from).slice(0, 16)}` : to ? `until ${format.stamp(to).slice(0, 16)}` : "Custom";
}

export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => box.current?.showModal(), []);
  return (
    <dialog
      ref={box}
      aria-labelledby="dialog-title"
      onClose={onClose}
      onClick={e => e.target === e.currentTarget && box.current?.close()}
    >
      <header>
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="bare" aria-label="Close" onClick={() => box.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
      <circle cx="16" cy="16" r="11" />
      <path d="M7.2 18.4q4.4-3 8.8 0t8.8 0A9 9 0 0 1 7.2 18.4Z" />
    </svg>
  );
}
