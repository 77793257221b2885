// What the numbers are set against, and what the charts are split by: two panels beside the switch of the counting.
import { useState } from "preact/hooks";
import type { Fields } from "../api";
import { parse, span, stamp } from "../format";
import { Popover } from "../ui";
import type { Compare } from "../url";

const BACK: [number, string][] = [
  [86_400, "A day earlier"],
  [7 * 86_400, "A week earlier"],
  [28 * 86_400, "Four weeks earlier"],
];

export function compareLabel(c: Compare | null): string {
  if (!c) return "Compare";
  const what = c.back
    ? (BACK.find(([s]) => s === c.back)?.[1] ?? `${c.back} s earlier`)
    : c.from && c.to
      ? span(new Date(c.from), new Date(c.to))
      : "the same time";
  const filter = c.filter === null ? "" : c.filter ? `, ${c.filter}` : ", all";
  return `Against ${what.charAt(0).toLowerCase()}${what.slice(1)}${filter}`;
}

const local = (iso: string | null): string => {
  const d = parse(iso);
  return d ? stamp(d).replace(" ", "T") : "";
};

export function ComparePicker({
  compare,
  filter,
  earlier,
  onCompare,
}: {
  compare: Compare | null;
  filter: string;
  earlier: { from: string; to: string } | null;
  onCompare: (c: Compare | null) => void;
}) {
  const [wrong, setWrong] = useState("");
  const apply = (close: () => void) => (e: SubmitEvent) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement),
      when = String(form.get("when")),
      text = String(form.get("filter") ?? "").trim();
    const f = text === filter ? null : text;
    if (when === "own") {
      const [from, to] = ["from", "to"].map(n => new Date(String(form.get(n) ?? "")));
      if (!from || !to || Number.isNaN(from.getTime()) || Number.isNaN(to.getTime()) || from >= to)
        return setWrong("Give a beginning, and an end after it.");
      close();
      return onCompare({ back: null, from: from.toISOString(), to: to.toISOString(), filter: f });
    }
    setWrong("");
    close();
    if (when === "before" && f === null) return onCompare(null);
    if (when === "same" && f === null) return setWrong("The same time with the same filter is the same.");
    onCompare({ back: Number(when) || null, from: null, to: null, filter: f });
  };
  const [when, setWhen] = useState(
    compare?.back ? String(compare.back) : compare?.from ? "own" : compare ? "same" : "before",
  );
  return (
    <Popover label={compareLabel(compare)} icon="compare" active={compare !== null}>
      {close => (
        <form class="custom compare" onSubmit={apply(close)}>
          <label>
            Compare with
            <select name="when" value={when} onChange={e => setWhen(e.currentTarget.value)}>
              <option value="before">The period before</option>
              {BACK.map(([s, label]) => (
                <option key={s} value={s}>
                  {label}
                </option>
              ))}
              <option value="same">The same time, another filter</option>
              <option value="own">A range of its own</option>
            </select>
          </label>
          {when === "own" && (
            <>
              <label>
                From
                <input type="datetime-local" step="1" name="from" defaultValue={local(earlier?.from ?? null)} />
              </label>
              <label>
                To
                <input type="datetime-local" step="1" name="to" defaultValue={local(earlier?.to ?? null)} />
              </label>
            </>
          )}
          {when !== "before" && (
            <label>
              With the filter
              <input
                type="text"
                name="filter"
                class="mono"
                spellcheck={false}
                autocomplete="off"
                defaultValue={compare?.filter ?? filter}
                placeholder="everything"
              />
            </label>
          )}
          {wrong && (
            <p class="wrong" role="alert">
              {wrong}
            </p>
          )}
          <div class="acts">
            <button type="submit" class="button primary">
              Compare
            </button>
            {compare && (
              <button type="button" class="button" onClick={() => (close(), onCompare(null))}>
                Stop comparing
              </button>
            )}
          </div>
        </form>
      )}
    </Popover>
  );
}

const COLUMNS: [string, string][] = [
  ["model", "Model and version"],
  ["model_base", "Model"],
  ["device", "Device"],
  ["source_info", "Source info"],
  ["source", "Source"],
  ["server", "Inference server"],
  ["class", "Class"],
  ["error", "Failed or not"],
  ["picture", "With picture or not"],
];

export function SplitPicker({
  by,
  fields,
  onBy,
}: {
  by: string | null;
  fields: Fields | null;
  onBy: (by: string | null) => void;
}) {
  const names = fields?.fields.map(f => f.name) ?? [];
  const unknown = by?.startsWith("metadata.") && !names.includes(by.slice(9)) ? [by.slice(9)] : [];
  return (
    <label class={by ? "splitter active" : "splitter"}>
      <span>Break down by</span>
      <select value={by ?? ""} onChange={e => onBy(e.currentTarget.value || null)}>
        <option value="">nothing</option>
        <optgroup label="Columns">
          {COLUMNS.map(([id, label]) => (
            <option key={id} value={id}>
              {label}
            </option>
          ))}
        </optgroup>
        {names.length + unknown.length > 0 && (
          <optgroup label="Metadata">
            {[...unknown, ...names].map(n => (
              <option key={n} value={`metadata.${n}`}>
                {n}
              </option>
            ))}
          </optgroup>
        )}
      </select>
    </label>
  );
}
