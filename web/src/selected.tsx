// What can be done with the rows that are selected: copied, or deleted for good.
import { useState } from "preact/hooks";
import { ApiError, call, enc, number, object, type Inference } from "./api";
import type { Column } from "./columns";
import { toCsv } from "./csv";
import { count, plural } from "./format";
import { useWorkspace } from "./state";
import { Copy, Dialog, Icon } from "./ui";

const MOST = 1000; // ids in one request

async function remove(ws: string, ids: string[]): Promise<number> {
  let deleted = 0;
  for (let at = 0; at < ids.length; at += MOST) {
    const answer = await call("POST", `/${enc(ws)}/inferences/delete`, { body: { ids: ids.slice(at, at + MOST) } });
    deleted += number(object(answer)["deleted"]) ?? 0;
  }
  return deleted;
}

export function Selected({
  rows,
  columns,
  onClear,
  onDeleted,
}: {
  rows: Inference[];
  columns: Column[];
  onClear: () => void;
  onDeleted: (ids: Set<string>) => void;
}) {
  const [asking, setAsking] = useState(false);
  const csv = () =>
    toCsv(
      ["inference_id", ...columns.map(c => c.title)],
      rows.map(r => [r.id, ...columns.map(c => c.value(r))]),
    );
  return (
    <span class="chosen">
      <b role="status">{count(rows.length)} selected</b>
      <Copy text={csv} label="Copy as CSV" />
      <button type="button" class="button" onClick={() => setAsking(true)}>
        <Icon name="trash" />
        Delete…
      </button>
      <button type="button" class="button" onClick={onClear}>
        Clear
      </button>
      {asking && <Confirm rows={rows} onClose={() => setAsking(false)} onDeleted={onDeleted} />}
    </span>
  );
}

function Confirm({
  rows,
  onClose,
  onDeleted,
}: {
  rows: Inference[];
  onClose: () => void;
  onDeleted: (ids: Set<string>) => void;
}) {
  const ws = useWorkspace(),
    ids = new Set(rows.map(r => r.id));
  const [waiting, setWaiting] = useState(false),
    [error, setError] = useState<ApiError | null>(null);
  const act = async () => {
    setWaiting(true);
    setError(null);
    try {
      await remove(ws, [...ids]);
      onDeleted(ids);
      onClose();
    } catch (e) {
      setError(e instanceof ApiError ? e : new ApiError(-1, String(e)));
    } finally {
      setWaiting(false);
    }
  };
  return (
    <Dialog title={`Delete ${plural(rows.length, "inference")}?`} onClose={onClose}>
      <p>
        {ids.size === 1 ? "Everything with this id goes" : `Everything with these ${count(ids.size)} ids goes`}: the
        record, its metadata and their history, and the picture. It cannot be undone. The activity list keeps that, when
        and by which key it was done.
      </p>
      {error && (
        <p class="wrong" role="alert">
          Not deleted, or not all. {error.message}
        </p>
      )}
      <p class="acts">
        <button type="button" class="button" onClick={onClose} autofocus>
          Keep them
        </button>{" "}
        <button type="button" class="button danger" disabled={waiting} onClick={() => void act()}>
          Delete {plural(rows.length, "inference")}
        </button>
      </p>
    </Dialog>
  );
}
