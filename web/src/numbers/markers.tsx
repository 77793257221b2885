// What happened, on the charts: a changeover, a lens that was cleaned, another model. By hand here, by the API, and new
// versions of a model by themselves.
import { useState } from "preact/hooks";
import { call, enc, list, number, object, query, serverNow, text, type ApiError } from "../api";
import { stamp } from "../format";
import { useLoad, useWorkspace } from "../state";
import { Icon, Popover, Time } from "../ui";
import type { Window } from "./load";

export interface Marker {
  id: number | null; // null: by itself
  time: number; // ms
  iso: string;
  text: string;
  kind: string;
  model: string | null;
  device: string | null;
  by: string | null;
}

const KINDS: [string, string][] = [
  ["changeover", "Changeover"],
  ["cleaned", "Lens cleaned"],
  ["model", "Model changed"],
  ["other", "Something else"],
];

export function useMarkers(window: Window | null) {
  const ws = useWorkspace();
  return useLoad(window && `markers ${ws} ${window.from.slice(0, 15)} ${window.to.slice(0, 15)}`, async signal => {
    // A range that ends now has no end here: what is set a moment later shows at once.
    const ends = serverNow() - Date.parse(window!.to) > 300_000;
    const asked = query({ from: window!.from, to: ends ? window!.to : null });
    const r = object(await call("GET", `/${enc(ws)}/markers${asked}`, { signal }));
    return list(r["markers"])
      .map(v => object(v))
      .flatMap((m): Marker[] => {
        const iso = text(m["time"]) ?? "",
          time = Date.parse(iso);
        return Number.isNaN(time)
          ? []
          : [
              {
                id: number(m["id"]),
                time,
                iso,
                text: text(m["text"]) || (KINDS.find(([k]) => k === m["kind"])?.[1] ?? "Marker"),
                kind: text(m["kind"]) ?? "other",
                model: text(m["model_id"]),
                device: text(m["device_id"]),
                by: text(m["by"]),
              },
            ];
      });
  });
}

const local = (t: number): string => stamp(new Date(t)).replace(" ", "T");

function Form({ marker, onDone }: { marker: Marker | null; onDone: () => void }) {
  const ws = useWorkspace(),
    [wrong, setWrong] = useState("");
  const act = (method: string, body?: unknown) =>
    call(method, `/${enc(ws)}/markers${marker ? `/${marker.id}` : ""}`, body === undefined ? {} : { body }).then(
      onDone,
      (e: ApiError) => setWrong(e.message),
    );
  const save = (e: SubmitEvent) => {
    e.preventDefault();
    const form = new FormData(e.currentTarget as HTMLFormElement),
      field = (n: string) => String(form.get(n) ?? "").trim(),
      time = new Date(field("time"));
    if (Number.isNaN(time.getTime())) return setWrong("Give a time.");
    void act(marker ? "PUT" : "POST", {
      time: time.toISOString(),
      text: field("text"),
      kind: field("kind"),
      model_id: field("model") || null,
      device_id: field("device") || null,
    });
  };
  return (
    <form class="custom" onSubmit={save}>
      <label>
        When
        <input type="datetime-local" step="1" name="time" defaultValue={local(marker?.time ?? Date.now())} />
      </label>
      <label>
        Kind
        <select name="kind" defaultValue={marker?.kind ?? "changeover"}>
          {KINDS.map(([k, label]) => (
            <option key={k} value={k} selected={k === (marker?.kind ?? "changeover")}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label>
        What happened
        <input type="text" name="text" maxLength={200} defaultValue={marker?.text ?? ""} autocomplete="off" />
      </label>
      <label>
        Device (optional)
        <input type="text" name="device" defaultValue={marker?.device ?? ""} autocomplete="off" />
      </label>
      <label>
        Model (optional)
        <input type="text" name="model" defaultValue={marker?.model ?? ""} autocomplete="off" />
      </label>
      {wrong && (
        <p class="wrong" role="alert">
          Not saved. {wrong}
        </p>
      )}
      <div class="acts">
        <button type="submit" class="button primary">
          {marker ? "Change" : "Add"}
        </button>
        {marker && (
          <button type="button" class="button" onClick={() => void act("DELETE")}>
            Remove
          </button>
        )}
      </div>
    </form>
  );
}

export function AddMarker({ onDone }: { onDone: () => void }) {
  return (
    <Popover label="Marker" icon="marker">
      {close => <Form marker={null} onDone={() => (close(), onDone())} />}
    </Popover>
  );
}

// `few`: only the newest of them until all are asked for, where what follows should be in sight.
export function MarkerList({ markers, onDone, few }: { markers: Marker[]; onDone: () => void; few?: number }) {
  const [all, setAll] = useState(false);
  if (!markers.length) return null;
  const shown = all || few === undefined ? markers : markers.slice(-few);
  return (
    <section class="markers" aria-label="Markers in this range">
      <h3>Markers</h3>
      <ul>
        {shown.map(m => (
          <li key={`${m.id} ${m.iso} ${m.text}`}>
            <Icon name="marker" />
            <Time iso={m.iso} />
            <span class="clip" title={[m.text, m.model, m.device, m.by && `by ${m.by}`].filter(Boolean).join(", ")}>
              {m.text}
            </span>
            {m.id === null ? (
              <span class="sub">by itself</span>
            ) : (
              <Popover label="Edit">{close => <Form marker={m} onDone={() => (close(), onDone())} />}</Popover>
            )}
          </li>
        ))}
        {shown.length < markers.length && (
          <li>
            <button type="button" class="link" onClick={() => setAll(true)}>
              All {markers.length}
            </button>
          </li>
        )}
      </ul>
    </section>
  );
}
