// An inference's metadata, changed in place, and everything it ever was.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { api, ApiError, type Change, type Detail, type Fields, type Value } from "./api";
import { clauseFor, metadataName } from "./filter";
import { useWorkspace } from "./state";
import { Icon, Shown, Time } from "./ui";
import { ANY, inferencesLink } from "./url";

type Kind = "text" | "number" | "boolean";

const kindOf = (v: Value | null): Kind =>
  typeof v === "number" ? "number" : typeof v === "boolean" ? "boolean" : "text";

function read(text: string, kind: Kind): Value | null {
  if (kind === "text") return text;
  if (kind === "boolean") return text === "true";
  const n = text.trim() === "" ? NaN : Number(text);
  return Number.isFinite(n) ? n : null;
}

export function Metadata({ row, fields, onChanged }: { row: Detail; fields: Fields | null; onChanged: () => void }) {
  const ws = useWorkspace();
  const [editing, setEditing] = useState<string | null>(null),
    [adding, setAdding] = useState(false);
  const [done, setDone] = useState<{ text: string; field: string; before: Value | null } | null>(null);
  const [error, setError] = useState<ApiError | null>(null),
    [waiting, setWaiting] = useState(false);
  const names = Object.keys(row.metadata).sort((a, b) => a.localeCompare(b));

  // Writes and, once it is on the server's disk, says so and offers the way back. Nothing is shown as done before that.
  const write = async (field: string, value: Value | null, said: string | null) => {
    const before = Object.hasOwn(row.metadata, field) ? row.metadata[field]! : null;
    setWaiting(true);
    setError(null);
    try {
      if (value === null) await api.removeMetadata(ws, row.id, field);
      else await api.setMetadata(ws, row.id, field, value);
      setDone(said === null ? null : { text: said, field, before });
      setEditing(null);
      setAdding(false);
      onChanged();
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError(-1, String(e)));
    } finally {
      setWaiting(false);
    }
  };
  return (
    <section class="block metadata" aria-labelledby="metadata-title">
      <header>
        <h2 id="metadata-title">Metadata</h2>
        {!adding && (
          <button
            type="button"
            class="button small"
            onClick={() => (setAdding(true), setEditing(null), setError(null))}
          >
            <Icon name="plus" />
            Add
          </button>
        )}
      </header>
      {names.length === 0 && !adding && (
        <p class="hint">
          None yet. What the vision system did not know (line, shift, serial number, the operator's verdict) goes here.
        </p>
      )}
      <dl class="fields">
        {names.map(n => (
          <div key={n}>
            <dt class="clip" title={n}>
              {n}
            </dt>
            {editing === n ? (
              <dd>
                <Editor
                  name={n}
                  value={row.metadata[n]!}
                  fields={fields}
                  waiting={waiting}
                  onCancel={() => (setEditing(null), setError(null))}
                  onSave={(_, v) => write(n, v, `Changed ${n}.`)}
                />
              </dd>
            ) : (
              <>
                <dd>
                  <span class="value">
                    <Shown value={row.metadata[n]!} />
                  </span>
                </dd>
                <dd class="acts">
                  <a
                    class="bare"
                    href={inferencesLink({ ...ANY, filter: clauseFor(metadataName(n), row.metadata[n]!) })}
                    aria-label={`Inferences with the same ${n}`}
                    title="Same value"
                  >
                    <Icon name="search" />
                  </a>
                  <button
                    type="button"
                    class="bare"
                    aria-label={`Change ${n}`}
                    title="Change"
                    onClick={() => (setEditing(n), setAdding(false), setError(null))}
                  >
                    <Icon name="edit" />
                  </button>
                  <button
                    type="button"
                    class="bare"
                    aria-label={`Remove ${n}`}
                    title="Remove"
                    disabled={waiting}
                    onClick={() => write(n, null, `Removed ${n}.`)}
                  >
                    <Icon name="close" />
                  </button>
                </dd>
              </>
            )}
          </div>
        ))}
      </dl>
      {adding && (
        <Editor
          name={null}
          value={null}
          fields={fields}
          waiting={waiting}
          onCancel={() => (setAdding(false), setError(null))}
          onSave={(n, v) => write(n, v, Object.hasOwn(row.metadata, n) ? `Changed ${n}.` : `Added ${n}.`)}
        />
      )}
      <p class="said" role="status">
        {done && !error && (
          <>
            {done.text}{" "}
            <button
              type="button"
              class="button small"
              disabled={waiting}
              onClick={() => write(done.field, done.before, null)}
            >
              Undo
            </button>
          </>
        )}
      </p>
      {error && (
        <p class="wrong" role="alert">
          Not saved. {error.message}
        </p>
      )}
    </section>
  );
}

function Editor({
  name,
  value,
  fields,
  waiting,
  onSave,
  onCancel,
}: {
  name: string | null;
  value: Value | null;
  fields: Fields | null;
  waiting: boolean;
  onSave: (name: string, value: Value) => void;
  onCancel: () => void;
}) {
  const [field, setField] = useState(name ?? ""),
    [text, setText] = useState(value === null ? "" : String(value));
  const [kind, setKind] = useState<Kind>(kindOf(value)),
    [wrong, setWrong] = useState("");
  const id = useId(),
    first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    first.current?.focus();
    first.current?.select();
  }, []);
  const known = fields?.fields.find(f => f.name === field);
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    const v = read(text, kind);
    if (!field) setWrong("Give the field a name.");
    else if (v === null) setWrong("That is not a number.");
    else onSave(field, v);
  };
  return (
    <form class="editor" onSubmit={submit} onKeyDown={e => e.key === "Escape" && (e.stopPropagation(), onCancel())}>
      {name === null && (
        <label class="offlabel">
          <span>Field</span>
          <input
            type="text"
            value={field}
            list={`${id}f`}
            autocomplete="off"
            spellcheck={false}
            ref={first}
            onInput={e => setField(e.currentTarget.value)}
            placeholder="camera_location"
          />
        </label>
      )}
      <label class="offlabel">
        <span>Type</span>
        <select value={kind} onChange={e => (setKind(e.currentTarget.value as Kind), setWrong(""))}>
          <option value="text">text</option>
          <option value="number">number</option>
          <option value="boolean">true / false</option>
        </select>
      </label>
      <label class="offlabel grow">
        <span>{name === null ? "Value" : `Value of ${name}`}</span>
        {kind === "boolean" ? (
          <select value={text === "true" ? "true" : "false"} onChange={e => setText(e.currentTarget.value)}>
            <option value="true">true</option>
            <option value="false">false</option>
          </select>
        ) : (
          <input
            type="text"
            inputMode={kind === "number" ? "decimal" : "text"}
            value={text}
            list={`${id}v`}
            autocomplete="off"
            spellcheck={false}
            ref={name === null ? null : first}
            onInput={e => (setText(e.currentTarget.value), setWrong(""))}
          />
        )}
      </label>
      <datalist id={`${id}f`}>
        {fields?.fields.map(f => (
          <option key={f.name} value={f.name} />
        ))}
      </datalist>
      <datalist id={`${id}v`}>
        {known?.top.map(t => (
          <option key={String(t.value)} value={String(t.value)} />
        ))}
      </datalist>
      <span class="acts">
        <button type="submit" class="button primary" disabled={waiting}>
          Save
        </button>
        <button type="button" class="button" onClick={onCancel}>
          Cancel
        </button>
      </span>
      {wrong && (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
    </form>
  );
}

function Quoted({ value }: { value: Value | null }) {
  return typeof value === "string" ? <>“{value}”</> : <Shown value={value} />;
}

// Who reviewed, as it was written with the verdict: the field `reviewer` at that time.
function reviewerAt(row: Detail, h: Change): string | null {
  if (!/^review(_comment)?$/.test(h.field) || h.removed) return null;
  const then = row.history.find(o => o.field === "reviewer" && (o.time ?? "") <= (h.time ?? ""));
  return then && !then.removed && then.value !== null ? String(then.value) : null;
}

export function History({ row }: { row: Detail }) {
  return (
    <section class="block" aria-labelledby="history-title">
      <header>
        <h2 id="history-title">Metadata history</h2>
      </header>
      {row.history.length === 0 && <p class="hint">No change yet.</p>}
      <ol class="history" tabIndex={0} aria-labelledby="history-title">
        {row.history.map((h, i) => (
          <li key={i}>
            <p>
              <b>{h.field}</b>{" "}
              {h.removed ? (
                <>
                  removed, was <Quoted value={h.previous} />
                </>
              ) : h.previous === null ? (
                <>
                  set to <Quoted value={h.value} />
                </>
              ) : (
                <>
                  <Quoted value={h.previous} /> became <Quoted value={h.value} />
                </>
              )}
            </p>
            <p class="hint">
              <Time iso={h.time} full />
              {h.by !== null && <> · by {h.by}</>}
              {h.field !== "reviewer" && reviewerAt(row, h) !== null && <>, reviewer {reviewerAt(row, h)}</>}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
