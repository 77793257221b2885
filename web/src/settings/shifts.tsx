// The shift calendar. The server keeps it, the pages compute with it; what it means now stands under the form.
import { useState } from "preact/hooks";
import { api, call, serverNow } from "../api";
import { span } from "../format";
import { setCalendar, shiftsAt, USUAL, type Calendar, type Shift } from "../shifts";
import { useLoad, useWorkspace } from "../state";
import { Failure, Icon } from "../ui";
import { path, Remove, SavedForm, Table } from "./parts";

const DAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const LONG = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const ZONES: string[] = (Intl as { supportedValuesOf?: (k: string) => string[] }).supportedValuesOf?.("timeZone") ?? [];

export function Shifts() {
  const ws = useWorkspace();
  const { data, error, reload } = useLoad(`shifts ${ws}`, () => api.shifts(ws), 0);
  if (error && !data) return <Failure error={error} what="The shifts could not be read." onRetry={reload} />;
  return data && <Form key={JSON.stringify(data)} calendar={data} onSaved={reload} />;
}

function Form({ calendar, onSaved }: { calendar: Calendar; onSaved: () => void }) {
  const ws = useWorkspace(),
    [zone, setZone] = useState(calendar.zone),
    [shifts, setShifts] = useState<Shift[]>(calendar.shifts);
  const changed = (at: number, to: Partial<Shift>) => setShifts(shifts.map((s, i) => (i === at ? { ...s, ...to } : s)));
  const wanted: Calendar = { zone, shifts };
  const wrong = shifts.some(s => !s.name.trim())
    ? "Give every shift a name."
    : shifts.some(s => !s.days.length)
      ? "A shift needs a day on which it begins."
      : "";
  const { current, last } = shiftsAt(wanted, serverNow());
  const save = async () => {
    await call("PUT", path(ws, "shifts"), { body: wanted });
    setCalendar(wanted);
  };
  return (
    <SavedForm
      wrong={wrong}
      changed={JSON.stringify(wanted) !== JSON.stringify(calendar)}
      save={save}
      onSaved={onSaved}
    >
      <label class="choice-line">
        Time zone of the plant
        <select value={zone} onChange={e => setZone(e.currentTarget.value)}>
          <option value="">The viewer's own</option>
          {[...new Set([...(zone ? [zone] : []), "UTC", ...ZONES])].map(z => (
            <option key={z} value={z}>
              {z}
            </option>
          ))}
        </select>
      </label>
      <Table label="Shifts" columns={["Name", "From", "To", "Begins on"]} acts="Remove">
        {shifts.map((s, i) => (
          <tr key={i}>
            <td>
              <input
                type="text"
                aria-label={`Name of shift ${i + 1}`}
                value={s.name}
                maxLength={50}
                onInput={e => changed(i, { name: e.currentTarget.value })}
              />
            </td>
            <td>
              <input
                type="time"
                required
                aria-label={`Shift ${i + 1} from`}
                value={s.from}
                onInput={e => changed(i, { from: e.currentTarget.value })}
              />
            </td>
            <td>
              <input
                type="time"
                required
                aria-label={`Shift ${i + 1} to`}
                value={s.to}
                onInput={e => changed(i, { to: e.currentTarget.value })}
              />
              {s.to <= s.from && <span class="sub"> next day</span>}
            </td>
            <td>
              <span class="days" role="group" aria-label={`Days of shift ${i + 1}`}>
                {DAYS.map((d, n) => (
                  <label key={d} title={LONG[n]}>
                    <input
                      type="checkbox"
                      aria-label={LONG[n]}
                      checked={s.days.includes(n + 1)}
                      onChange={() =>
                        changed(i, {
                          days: s.days.includes(n + 1) ? s.days.filter(x => x !== n + 1) : [...s.days, n + 1].sort(),
                        })
                      }
                    />
                    {d}
                  </label>
                ))}
              </span>
            </td>
            <Remove
              what={`shift ${s.name || i + 1}`}
              disabled={shifts.length === 1}
              onRemove={() => setShifts(shifts.filter((_, n) => n !== i))}
            />
          </tr>
        ))}
      </Table>
      <p>
        <button
          type="button"
          class="button"
          disabled={shifts.length >= 24}
          onClick={() => setShifts([...shifts, { ...USUAL.shifts[0]!, name: "" }])}
        >
          <Icon name="plus" />
          Add a shift
        </button>
      </p>
      <p class="hint" role="status">
        {current ? (
          <>
            This shift is now {current.name || "the time between shifts"}:{" "}
            {span(new Date(current.from), new Date(current.to))}, in your zone.
          </>
        ) : (
          "With these, there is no shift now."
        )}{" "}
        {last && (
          <>
            The last one was {last.name || "the time between shifts"}: {span(new Date(last.from), new Date(last.to))}.
          </>
        )}
      </p>
    </SavedForm>
  );
}
