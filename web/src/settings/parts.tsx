// What the sections of the settings share: a form that is saved, a table, and buttons: one that asks once more.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, call, enc, list, object } from "../api";
import { TableExports } from "../exporting";
import { Icon } from "../ui";

export const path = (ws: string, what: string, id?: string | number | null): string =>
  `/${enc(ws)}/${what}${id === undefined || id === null ? "" : `/${enc(String(id))}`}`;

export const get = async (ws: string, what: string, signal?: AbortSignal) =>
  object(await call("GET", path(ws, what), signal ? { signal } : {}));

export const items = (v: unknown) => list(v).map(i => object(i));

// A change that is on its way, done, or refused.
export function useSaving(): {
  waiting: boolean;
  said: string;
  error: ApiError | null;
  run: (what: () => Promise<unknown>, said?: string) => Promise<boolean>;
} {
  const [waiting, setWaiting] = useState(false),
    [said, say] = useState(""),
    [error, setError] = useState<ApiError | null>(null);
  const run = async (what: () => Promise<unknown>, done = "Saved.") => {
    setWaiting(true);
    setError(null);
    say("");
    try {
      await what();
      say(done);
      return true;
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError(-1, String(e)));
      return false;
    } finally {
      setWaiting(false);
    }
  };
  return { waiting, said, error, run };
}

export function Said({ said, error }: { said: string; error: ApiError | null }) {
  return (
    <>
      <span class="hint" role="status">
        {!error && said}
      </span>
      {error && (
        <p class="wrong" role="alert">
          Not saved. {error.message}
        </p>
      )}
    </>
  );
}

// A form with the button that saves it, and with what is wrong in it.
export function SavedForm({
  wrong,
  changed,
  save,
  onSaved,
  children,
  hint,
}: {
  wrong: string | false;
  changed: boolean;
  save: () => Promise<unknown>;
  onSaved: () => void;
  children: ComponentChildren;
  hint?: string;
}) {
  const saving = useSaving();
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    if (!wrong) void saving.run(save).then(ok => ok && onSaved());
  };
  return (
    <form class="stack" onSubmit={submit}>
      {children}
      {wrong && (
        <p class="wrong" role="alert">
          {wrong}
        </p>
      )}
      <p>
        <button type="submit" class="button primary" disabled={saving.waiting || !!wrong || !changed}>
          Save
        </button>{" "}
        <Said said={saving.said} error={saving.error} />
      </p>
      {hint && <p class="hint">{hint}</p>}
    </form>
  );
}

// Rows with buttons in a last column, which only those who hear the page are told the name of.
export function Table({
  label,
  columns,
  acts,
  file,
  children,
}: {
  label: string;
  columns: string[];
  acts: string;
  file?: string; // what its copies are called; without it, it is a form
  children: ComponentChildren;
}) {
  return (
    <>
      {file && (
        <header class="over">
          <span class="gap" />
          <TableExports name={file} label={label} />
        </header>
      )}
      <div class="scroll" tabIndex={0} role="region" aria-label={label}>
        <table>
          <thead>
            <tr>
              {columns.map(c => (
                <th key={c} scope="col">
                  {c}
                </th>
              ))}
              <th scope="col" class="acts">
                <span class="offscreen">{acts}</span>
              </th>
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </div>
    </>
  );
}

export function Remove({ what, disabled, onRemove }: { what: string; disabled?: boolean; onRemove: () => void }) {
  return (
    <td class="acts">
      <button
        type="button"
        class="bare"
        aria-label={`Remove ${what}`}
        title="Remove"
        disabled={disabled}
        onClick={onRemove}
      >
        <Icon name="close" />
      </button>
    </td>
  );
}

// The first press asks, the second does it. Left alone it forgets the first.
export function Sure({
  label,
  sure,
  name,
  disabled = false,
  onSure,
}: {
  label: string;
  sure: string;
  name: string; // what it is about, for those who hear the page
  disabled?: boolean;
  onSure: () => void;
}) {
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    if (!asked) return undefined;
    const timer = setTimeout(() => setAsked(false), 6000);
    return () => clearTimeout(timer);
  }, [asked]);
  return (
    <button
      type="button"
      class={asked ? "button small danger" : "button small"}
      disabled={disabled}
      aria-label={`${asked ? sure : label} ${name}`}
      onClick={() => (asked ? (setAsked(false), onSure()) : setAsked(true))}
      onBlur={() => setAsked(false)}
    >
      {asked ? sure : label}
    </button>
  );
}
