// Which pictures stock Inference servers are asked for: a share of all, and of those that are unsure, at most so many an
// hour.
import { useState } from "preact/hooks";
import { call, number, text } from "../api";
import { useLoad, useWorkspace } from "../state";
import { Failure, Icon } from "../ui";
import { get, items, path, Remove, SavedForm, Table } from "./parts";

interface Rule {
  model: string; // without version; "": every model
  share: number; // 0..1
  below: number | null;
  hourly: number | null;
}

export function Capture() {
  const ws = useWorkspace();
  const { data, error, reload } = useLoad(
    `capture ${ws}`,
    async signal =>
      items((await get(ws, "picture-capture", signal))["rules"]).map((r): Rule => ({
        model: text(r["model"]) ?? "",
        share: number(r["share"]) ?? 0,
        below: number(r["below_confidence"]),
        hourly: number(r["per_hour"]),
      })),
    0,
  );
  if (error && !data) return <Failure error={error} what="The rules could not be read." onRetry={reload} />;
  return data && <Form key={JSON.stringify(data)} rules={data} onSaved={reload} />;
}

const optional = (s: string): number | null => (s.trim() === "" ? null : Number(s));

function Form({ rules, onSaved }: { rules: Rule[]; onSaved: () => void }) {
  const ws = useWorkspace(),
    [all, setAll] = useState(rules);
  const changed = (at: number, to: Partial<Rule>) => setAll(all.map((r, i) => (i === at ? { ...r, ...to } : r)));
  const wrong = all.some(r => r.model.includes("/"))
    ? "Name the model without its version: servers ask for all versions of it together."
    : "";
  const save = () => {
    const body = {
      rules: all.map(r => ({
        model: r.model.trim(),
        share: r.share,
        below_confidence: r.below,
        per_hour: r.hourly,
      })),
    };
    return call("PUT", path(ws, "picture-capture"), { body });
  };
  return (
    <SavedForm
      wrong={wrong}
      changed={JSON.stringify(all) !== JSON.stringify(rules)}
      save={save}
      onSaved={onSaved}
      hint="Servers ask again after 15 minutes. Pictures count as any other data for retention."
    >
      {all.length === 0 ? (
        <p class="notice">No rule: no server is asked for pictures.</p>
      ) : (
        <Table
          label="Rules"
          columns={["Model", "Share of pictures", "Only below confidence", "At most an hour"]}
          acts="Remove"
        >
          {all.map((r, i) => (
            <tr key={i}>
              <td>
                <input
                  type="text"
                  aria-label={`Model of rule ${i + 1}`}
                  value={r.model}
                  placeholder="every model"
                  autocomplete="off"
                  onInput={e => changed(i, { model: e.currentTarget.value })}
                />
              </td>
              <td>
                <input
                  type="number"
                  required
                  min={0}
                  max={100}
                  step="any"
                  aria-label={`Share of rule ${i + 1}, percent`}
                  value={Number((r.share * 100).toPrecision(12))}
                  onInput={e => changed(i, { share: Number(e.currentTarget.value) / 100 })}
                />{" "}
                %
              </td>
              <td>
                <input
                  type="number"
                  min={0}
                  max={1}
                  step="any"
                  aria-label={`Rule ${i + 1} only below confidence`}
                  placeholder="any"
                  value={r.below ?? ""}
                  onInput={e => changed(i, { below: optional(e.currentTarget.value) })}
                />
              </td>
              <td>
                <input
                  type="number"
                  min={1}
                  step={1}
                  aria-label={`Rule ${i + 1} at most an hour`}
                  placeholder="no limit"
                  value={r.hourly ?? ""}
                  onInput={e => changed(i, { hourly: optional(e.currentTarget.value) })}
                />
              </td>
              <Remove what={`rule ${i + 1}`} onRemove={() => setAll(all.filter((_, n) => n !== i))} />
            </tr>
          ))}
        </Table>
      )}
      <p>
        <button
          type="button"
          class="button"
          onClick={() => setAll([...all, { model: "", share: 0.01, below: null, hourly: 60 }])}
        >
          <Icon name="plus" />
          Add a rule
        </button>
      </p>
    </SavedForm>
  );
}
