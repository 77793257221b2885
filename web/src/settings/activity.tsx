// Who did what, newest first.
import { useState } from "preact/hooks";
import { call, enc, number, object, query, text } from "../api";
import { count } from "../format";
import { useLoad, useWorkspace } from "../state";
import { DataTable, type TableColumn } from "../table";
import { Failure, Time } from "../ui";
import { items } from "./parts";

interface Entry {
  id: number;
  time: string | null;
  by: string | null;
  reviewer: string | null;
  action: string;
  subject: string;
  count: number;
  detail: string | null;
}

const DONE: Record<string, string> = {
  attach: "attached",
  review: "reviewed",
  delete: "deleted",
  setting: "set",
  marker: "marker",
  view: "view",
  key: "key",
};

const COLUMNS: TableColumn<Entry>[] = [
  { id: "time", title: "Time", width: 168, value: e => e.time, cell: e => <Time iso={e.time} /> },
  {
    id: "by",
    title: "Key",
    width: 128,
    value: e => e.by,
    cell: e => e.by ?? <span class="sub">the command line</span>,
  },
  { id: "reviewer", title: "Reviewer", width: 112, value: e => e.reviewer, cell: e => e.reviewer ?? "–" },
  { id: "action", title: "Did", width: 88, value: e => e.action, cell: e => DONE[e.action] ?? e.action },
  {
    id: "subject",
    title: "What",
    width: 176,
    value: e => e.subject,
    cell: e => (
      <span class="clip" title={e.subject}>
        {e.subject}
      </span>
    ),
  },
  { id: "count", title: "How many", width: 80, numeric: true, value: e => e.count, cell: e => count(e.count) },
  {
    id: "detail",
    title: "Detail",
    width: 240,
    value: e => e.detail,
    cell: e => (
      <span class="clip" title={e.detail ?? ""}>
        {e.detail ?? "–"}
      </span>
    ),
  },
];

async function activity(ws: string, before: number | null, signal?: AbortSignal) {
  const r = object(await call("GET", `/${enc(ws)}/activity${query({ limit: 100, before })}`, signal ? { signal } : {}));
  return {
    entries: items(r["activity"]).map((e): Entry => ({
      id: number(e["id"]) ?? 0,
      time: text(e["time"]),
      by: text(e["by"]),
      reviewer: text(e["reviewer"]),
      action: text(e["action"]) ?? "",
      subject: text(e["subject"]) ?? "",
      count: number(e["count"]) ?? 0,
      detail: text(e["detail"]),
    })),
    next: number(r["next"]),
  };
}

export function Activity() {
  const ws = useWorkspace();
  const first = useLoad(`activity ${ws}`, signal => activity(ws, null, signal));
  const [older, setOlder] = useState<{ entries: Entry[]; next: number | null } | null>(null);
  const known = first.data?.entries ?? [],
    all = [...known, ...(older?.entries ?? []).filter(e => !known.some(k => k.id === e.id))],
    next = older ? older.next : (first.data?.next ?? null);
  const more = async () => {
    const page = await activity(ws, next);
    setOlder({ entries: [...(older?.entries ?? []), ...page.entries], next: page.next });
  };
  if (first.error && !first.data)
    return <Failure error={first.error} what="The list could not be read." onRetry={first.reload} />;
  return (
    <>
      <DataTable
        label="Activity"
        file="activity"
        rows={first.data ? all : null}
        columns={COLUMNS}
        rowKey={e => String(e.id)}
        empty="Nothing yet."
        exports
        head={<span class="gap" />}
      />
      {next !== null && (
        <p>
          <button type="button" class="button" onClick={() => void more().catch(() => undefined)}>
            Older
          </button>
        </p>
      )}
    </>
  );
}
