// Keys: made here and shown once, revoked for good.
import { useState } from "preact/hooks";
import { call, number, object, text } from "../api";
import { useLoad, useWorkspace } from "../state";
import { Ago, Copy, Dialog, Failure, Time } from "../ui";
import { get, items, path, Said, Sure, Table, useSaving } from "./parts";

interface Key {
  id: number;
  name: string;
  prefix: string;
  created: string | null;
  revoked: string | null;
  current: boolean;
}

export function Keys() {
  const ws = useWorkspace(),
    saving = useSaving();
  const [made, setMade] = useState<{ name: string; key: string } | null>(null),
    [name, setName] = useState("");
  const { data, error, reload } = useLoad(`keys ${ws}`, async signal =>
    items((await get(ws, "keys", signal))["keys"]).map((k): Key => ({
      id: number(k["id"]) ?? 0,
      name: text(k["name"]) ?? "",
      prefix: text(k["prefix"]) ?? "",
      created: text(k["created"]),
      revoked: text(k["revoked"]),
      current: k["current"] === true,
    })),
  );
  const create = (e: SubmitEvent) => {
    e.preventDefault();
    void saving.run(async () => {
      const answer = object(await call("POST", path(ws, "keys"), { body: { name: name.trim() } }));
      setMade({ name: name.trim(), key: text(answer["key"]) ?? "" });
      setName("");
      reload();
    }, "");
  };
  const revoke = (k: Key) =>
    saving.run(async () => {
      await call("DELETE", path(ws, "keys", k.id));
      reload();
    }, `Revoked ${k.name}.`);
  return (
    <>
      <form class="form" onSubmit={create}>
        <label>
          Name of a new key
          <input
            type="text"
            value={name}
            required
            maxLength={100}
            placeholder="line 3, north"
            autocomplete="off"
            onInput={e => setName(e.currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary" disabled={saving.waiting}>
          Create
        </button>
      </form>
      <Said said={saving.said} error={saving.error} />
      {error && !data && <Failure error={error} what="The keys could not be read." onRetry={reload} />}
      {data && (
        <Table label="Keys" columns={["Name", "Begins with", "Created", "State"]} acts="Change" file="keys">
          {data.map(k => (
            <tr key={k.id} class={k.revoked ? "off" : undefined}>
              <th scope="row">{k.name}</th>
              <td class="mono">{k.prefix}…</td>
              <td>
                <Time iso={k.created} />
              </td>
              <td>
                {k.revoked ? (
                  <>
                    revoked <Ago iso={k.revoked} />
                  </>
                ) : k.current ? (
                  "yours, in use here"
                ) : (
                  "valid"
                )}
              </td>
              <td class="acts">
                {!k.revoked && !k.current && (
                  <Sure
                    label="Revoke…"
                    sure="Revoke for good"
                    name={k.name}
                    disabled={saving.waiting}
                    onSure={() => void revoke(k)}
                  />
                )}
              </td>
            </tr>
          ))}
        </Table>
      )}
      {made && (
        <Dialog title={`The key “${made.name}”`} onClose={() => setMade(null)}>
          <p>Copy it now: it is shown this once, the server keeps only what proves it.</p>
          <div class="secret">
            <code>{made.key}</code>
            <Copy text={() => made.key} label="Copy the key" />
          </div>
        </Dialog>
      )}
    </>
  );
}
