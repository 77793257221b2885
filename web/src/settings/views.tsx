// Saved views: a page with its filter and settings under a name. The link goes on working when the view is changed.
import { useEffect, useState } from "preact/hooks";
import { call, object, text } from "../api";
import { navigate, useLoad, useWorkspace } from "../state";
import { Ago, Copy, Failure, Popover } from "../ui";
import { settingsLink } from "../url";
import { get, items, path, Said, Sure, Table, useSaving } from "./parts";

export interface View {
  id: string;
  name: string;
  page: string;
  query: string;
  by: string | null;
  changed: string | null;
}

export const viewLink = (id: string): string => `/ui/view/${encodeURIComponent(id)}`;

async function views(ws: string, signal?: AbortSignal): Promise<View[]> {
  return items((await get(ws, "views", signal))["views"]).map(v => ({
    id: text(v["id"]) ?? "",
    name: text(v["name"]) ?? "",
    page: text(v["page"]) ?? "",
    query: text(v["query"]) ?? "",
    by: text(v["by"]),
    changed: text(v["changed"]),
  }));
}

// Where a view leads: a page of the dashboard, nowhere else, whatever it says.
export function target(v: View): string {
  const page = /^[a-z]+(\/[^/?#]+)?$/.test(v.page) && v.page !== "overview" ? v.page : "";
  return `/ui/${page}${v.query ? `?${new URLSearchParams(v.query)}` : ""}`;
}

export function Views() {
  const ws = useWorkspace(),
    saving = useSaving();
  const { data, error, reload } = useLoad(`views ${ws}`, signal => views(ws, signal));
  if (error && !data) return <Failure error={error} what="The views could not be read." onRetry={reload} />;
  if (!data) return null;
  if (!data.length)
    return <p class="notice">None yet. “Save view” on a page keeps its filter, range and columns under a name.</p>;
  const act = (what: () => Promise<unknown>, said: string) =>
    saving.run(async () => {
      await what();
      reload();
    }, said);
  return (
    <>
      <Table label="Saved views" columns={["Name", "Page", "What it shows", "Changed"]} acts="Change" file="views">
        {data.map(v => (
          <Line
            key={v.id}
            view={v}
            waiting={saving.waiting}
            onName={name =>
              void act(
                () => call("PUT", path(ws, "views", v.id), { body: { name, page: v.page, query: v.query } }),
                `Renamed to ${name}.`,
              )
            }
            onDelete={() => void act(() => call("DELETE", path(ws, "views", v.id)), `Deleted ${v.name}.`)}
          />
        ))}
      </Table>
      <Said said={saving.said} error={saving.error} />
    </>
  );
}

function Line({
  view,
  waiting,
  onName,
  onDelete,
}: {
  view: View;
  waiting: boolean;
  onName: (n: string) => void;
  onDelete: () => void;
}) {
  const [name, setName] = useState<string | null>(null);
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    if (name?.trim()) onName(name.trim());
    setName(null);
  };
  return (
    <tr>
      <th scope="row">
        {name === null ? (
          <a href={viewLink(view.id)}>{view.name}</a>
        ) : (
          <form class="choice-line" onSubmit={submit} onKeyDown={e => e.key === "Escape" && setName(null)}>
            <input
              type="text"
              value={name}
              aria-label={`New name of ${view.name}`}
              maxLength={100}
              ref={e => e?.focus()}
              onInput={e => setName(e.currentTarget.value)}
            />
            <button type="submit" class="button small">
              Save
            </button>
          </form>
        )}
      </th>
      <td>{view.page}</td>
      <td class="wrap mono">{view.query ? decodeURIComponent(view.query.replace(/\+/g, " ")) : "all of it"}</td>
      <td>
        <Ago iso={view.changed} />
        {view.by !== null && <span class="sub"> by {view.by}</span>}
      </td>
      <td class="acts">
        <Copy bare text={() => location.origin + viewLink(view.id)} label={`Copy the link of ${view.name}`} />
        <button type="button" class="button small" disabled={waiting} onClick={() => setName(view.name)}>
          Rename
        </button>
        <Sure label="Delete…" sure="Delete it" name={view.name} disabled={waiting} onSure={onDelete} />
      </td>
    </tr>
  );
}

// Keeps where one is, under a name, and gives the link to it.
export function SaveView({ page }: { page: string }) {
  const ws = useWorkspace(),
    saving = useSaving(),
    [name, setName] = useState(""),
    [made, setMade] = useState<string | null>(null);
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    const query = location.search.replace(/^\?/, "");
    void saving.run(async () => {
      const answer = object(await call("POST", path(ws, "views"), { body: { name: name.trim(), page, query } }));
      setMade(text(answer["id"]));
    }, `Saved as ${name.trim()}.`);
  };
  return (
    <Popover label="Save view" icon="link">
      {() => (
        <form class="custom" onSubmit={submit}>
          <label>
            Name of this view
            <input
              type="text"
              required
              maxLength={100}
              value={name}
              autocomplete="off"
              onInput={e => (setName(e.currentTarget.value), setMade(null))}
            />
          </label>
          <p class="hint">Filter, range and columns as they are now. A range like 24 h goes on following the clock.</p>
          <span class="acts">
            <button type="submit" class="button primary" disabled={saving.waiting || made !== null}>
              Save
            </button>{" "}
            {made && <Copy text={() => location.origin + viewLink(made)} label="Copy its link" />}
          </span>
          <Said said={saving.said} error={saving.error} />
        </form>
      )}
    </Popover>
  );
}

// /ui/view/ID: to where it leads.
export function OpenView({ id }: { id: string }) {
  const ws = useWorkspace();
  const { data, error, reload } = useLoad(`views ${ws}`, signal => views(ws, signal), 0);
  const found = data?.find(v => v.id === id);
  useEffect(() => {
    if (found) navigate(target(found), { replace: true });
  }, [found]);
  return (
    <main id="main" class="page" aria-busy={!data && !error}>
      {error && <Failure error={error} what="The view could not be read." onRetry={reload} />}
      {data && !found && (
        <section class="empty">
          <h1>There is no such view</h1>
          <p>
            It was deleted, or is another workspace's. <a href={settingsLink("views")}>All saved views</a>
          </p>
        </section>
      )}
    </main>
  );
}
