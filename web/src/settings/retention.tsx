// How long a workspace keeps: as the server says, so many days, or for ever.
import { useState } from "preact/hooks";
import { call, number } from "../api";
import { plural } from "../format";
import { useLoad, useWorkspace } from "../state";
import { Failure } from "../ui";
import { get, path, SavedForm } from "./parts";

type Kept = { days: number | null; server: number | null };

const long = (days: number | null) => (days === null ? "as it is set" : days === 0 ? "for ever" : plural(days, "day"));

export function Retention() {
  const ws = useWorkspace();
  const { data, error, reload } = useLoad(
    `retention ${ws}`,
    async (signal): Promise<Kept> => {
      const r = await get(ws, "retention", signal);
      return { days: number(r["days"]), server: number(r["server_days"]) };
    },
    0,
  );
  if (error && !data) return <Failure error={error} what="The retention could not be read." onRetry={reload} />;
  return data && <Form key={`${data.days}`} kept={data} onSaved={reload} />;
}

function Form({ kept, onSaved }: { kept: Kept; onSaved: () => void }) {
  const ws = useWorkspace(),
    [how, setHow] = useState(kept.days === null ? "server" : kept.days === 0 ? "ever" : "days"),
    [days, setDays] = useState(String(kept.days || 365));
  const wanted = how === "server" ? null : how === "ever" ? 0 : Number(days);
  const ends = (d: number | null) => (d === null ? kept.server : d) || Infinity;
  const shorter = ends(wanted) < ends(kept.days);
  const valid = wanted === null || wanted === 0 || (Number.isInteger(wanted) && wanted > 0 && wanted <= 36_500);
  const line = (id: string, label: preact.ComponentChildren) => (
    <label class="choice-line">
      <input type="radio" name="how" checked={how === id} onChange={() => setHow(id)} />
      {label}
    </label>
  );
  return (
    <SavedForm
      wrong={!valid && "Give whole days, 1 to 36,500."}
      changed={wanted !== kept.days}
      save={() => call("PUT", path(ws, "retention"), { body: { days: wanted } })}
      onSaved={onSaved}
    >
      {line("server", <>As the server is set: {long(kept.server)}</>)}
      {line(
        "days",
        <>
          <input
            type="number"
            min={1}
            max={36500}
            value={days}
            aria-label="Days"
            onInput={e => (setDays(e.currentTarget.value), setHow("days"))}
          />{" "}
          days
        </>,
      )}
      {line("ever", "For ever")}
      {shorter && (
        <p class="notice" role="status">
          This is shorter than before: what is older than {long(wanted ?? kept.server)} is deleted, records, metadata
          and pictures, and cannot be brought back.
        </p>
      )}
    </SavedForm>
  );
}
