// One inference: the picture, what was found, everything known about it, and what people add.
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { api, serverNow, type Annotation, type Detail, type Inference as Row, type Value } from "../api";
import { countClasses } from "../columns";
import { TableExports } from "../exporting";
import { clauseFor } from "../filter";
import { confidence, count, NONE, parse, plural, seconds } from "../format";
import { History, Metadata } from "../metadata";
import { Bars, colours, drawable, Picture } from "../picture";
import { listBehind, navigate, RARELY, useKeys, useLoad, useWorkspace, type List } from "../state";
import { simulated, Simulated } from "../simulated";
import { Copy, Failure, Icon, Popover, Shown, Teach, Time } from "../ui";
import { ANY, inferenceLink, inferencesLink, settingsLink, window as windowOf, type Scope } from "../url";
import "./inference.css";

interface Props {
  scope: Scope;
  id: string;
  index: number | null;
  model: string | null;
}

export function Inference({ scope, id, index, model }: Props) {
  const ws = useWorkspace();
  const { data, stale, error, reload } = useLoad(`inference ${ws} ${id} ${index} ${model}`, signal =>
    api.inference(ws, id, index, model, signal),
  );
  const fields = useLoad(`fields ${ws}`, signal => api.fields(ws, signal), RARELY).data;
  return (
    <main id="main" class="page one" aria-busy={stale && !error}>
      <header class="head">
        <h1>
          <a class="back" href={inferencesLink(scope)} title="The list">
            Inferences
          </a>{" "}
          <span class="mono clip" title={id}>
            {id}
          </span>
        </h1>
        {data && !stale && simulated(data) && <Simulated />}
        {data && !stale && <Neighbours row={data} scope={scope} />}
        <span class="tools">
          <Copy text={() => location.href} label="Copy link" />
          {data?.image.url && (
            <a class="button" href={data.image.url} download="">
              <Icon name="download" />
              Image
            </a>
          )}
        </span>
      </header>
      {error && error.status === 404 && <NotFound id={id} pending={error.pending} />}
      {error && error.status !== 404 && (
        <Failure error={error} what="The inference could not be loaded." onRetry={reload} />
      )}
      {data && !stale && (
        <Found key={`${data.id} ${data.index} ${data.model}`} row={data} scope={scope}>
          <Metadata row={data} fields={fields} onChanged={reload} />
        </Found>
      )}
    </main>
  );
}

function NotFound({ id, pending }: { id: string; pending: Record<string, Value> }) {
  const waiting = Object.entries(pending);
  return (
    <section class="empty">
      <h2>There is no inference with this id here</h2>
      <p>
        It may be in another workspace, or not have arrived yet: a fleet ships its results up to a minute after they
        were computed. Metadata sent for it now waits and joins it on arrival. This page looks again every 10 seconds.
      </p>
      {waiting.length > 0 && (
        <>
          <h3>Metadata that waits for it</h3>
          <dl class="fields">
            {waiting.map(([n, v]) => (
              <div key={n}>
                <dt class="clip" title={n}>
                  {n}
                </dt>
                <dd>
                  <Shown value={v} />
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
      <Teach id={id} />
    </section>
  );
}

const same = (a: { id: string; index: number; model: string | null }, b: Row) =>
  a.id === b.id && a.index === b.index && a.model === b.model;

// Previous and next within the list this inference was opened from. A link from elsewhere brings no list: then what is
// older is asked for, and what is newer is only in the list.
function Neighbours({ row, scope }: { row: Detail; scope: Scope }) {
  const ws = useWorkspace(),
    behind = listBehind();
  const listed = behind && behind.items.some(i => same(i, row)) ? behind : null;
  const time = parse(row.time);
  const asked = useLoad(
    listed || !time ? null : `around ${ws} ${row.id} ${row.index} ${row.model} ${JSON.stringify(scope)}`,
    async signal => {
      const until = new Date(time!.getTime() + 1).toISOString();
      const page = await api.inferences(
        ws,
        { filter: scope.filter, from: windowOf(scope, serverNow()).from, to: until, limit: 50 },
        signal,
      );
      return { items: page.inferences.map(r => ({ id: r.id, index: r.index, model: r.model })), next: page.next };
    },
    0,
  ).data;
  const list: List | null = listed ?? asked,
    at = list ? list.items.findIndex(i => same(i, row)) : -1;
  const to = async (by: number) => {
    if (!list || at < 0) return;
    let known = list;
    if (at + by >= list.items.length && list.next) {
      const more = await api
        .inferences(ws, {
          filter: scope.filter,
          ...windowOf(scope, serverNow()),
          ...(scope.range ? { to: null } : {}),
          limit: 100,
          cursor: list.next,
        })
        .catch(() => null);
      if (!more) return;
      known = {
        items: [...list.items, ...more.inferences.map(r => ({ id: r.id, index: r.index, model: r.model }))].slice(-500),
        next: more.next,
      };
    }
    const target = known.items[known.items.findIndex(i => same(i, row)) + by];
    if (target) navigate(inferenceLink(scope, target.id, target.index, target.model), { replace: true, list: known });
  };
  const older = at >= 0 && (at + 1 < list!.items.length || list!.next !== null);
  useKeys({ j: () => void to(1), k: () => void to(-1) });
  return (
    <nav class="neighbours" aria-label="Within the list">
      <button
        type="button"
        class="button"
        disabled={at <= 0}
        title={listed ? "Newer (k)" : "Newer ones are in the list"}
        onClick={() => to(-1)}
      >
        <Icon name="left" />
        Previous
      </button>
      <button type="button" class="button" disabled={!older} title="Older (j)" onClick={() => to(1)}>
        Next
        <Icon name="right" />
      </button>
    </nav>
  );
}

type Sort = { by: "confidence" | "class"; down: boolean };

function Found({ row, scope, children }: { row: Detail; scope: Scope; children: ComponentChildren }) {
  const [off, setOff] = useState<string[]>([]),
    [least, setLeast] = useState(0),
    [hover, setHover] = useState<number | null>(null);
  const [sort, setSort] = useState<Sort>({ by: "confidence", down: true });
  const classes = countClasses(row),
    annotation = useAnnotation(row),
    colour = colours([...row.predictions, ...(annotation?.predictions ?? [])]);
  const visible = row.predictions.flatMap((p, i) =>
    !off.includes(p.class) && (p.confidence ?? 1) >= least ? [i] : [],
  );
  const drawn = row.predictions.some(drawable),
    shapes = !drawn && annotation ? annotation.predictions : row.predictions,
    annotated = shapes !== row.predictions && shapes.some(drawable);
  const outlines = shapes.flatMap((p, i) => (off.includes(p.class) ? [] : [i]));
  const key = (i: number) => (sort.by === "class" ? row.predictions[i]!.class : (row.predictions[i]!.confidence ?? -1));
  const sorted = [...visible].sort((a, b) => {
    const x = key(a),
      y = key(b);
    return (x < y ? -1 : x > y ? 1 : a - b) * (x === y ? 1 : sort.down ? -1 : 1);
  });
  useLayoutEffect(() => document.querySelector("#main")?.scrollTo({ top: 0 }), []);
  const header = (by: Sort["by"], title: string, numeric = false) => (
    <th
      scope="col"
      class={numeric ? "num" : undefined}
      aria-sort={sort.by === by ? (sort.down ? "descending" : "ascending") : "none"}
    >
      <button
        type="button"
        class="sort"
        onClick={() => setSort({ by, down: sort.by === by ? !sort.down : by === "confidence" })}
      >
        {title}
        <Icon name={sort.by === by && !sort.down ? "up" : "down"} />
      </button>
    </th>
  );
  return (
    <div class="columns">
      <div class="left">
        {row.error !== null && (
          <div class="failure" role="note">
            <p>
              <strong>This inference failed.</strong> {row.error}
            </p>
          </div>
        )}
        {(row.image.url !== null || drawn || annotated) && (
          <Picture
            row={row}
            {...(annotated
              ? { predictions: shapes, size: annotation, visible: outlines }
              : { visible: drawn ? visible : [] })}
            colour={colour}
            hover={annotated ? null : hover}
            onHover={annotated ? () => undefined : setHover}
          />
        )}
        {annotated && (
          <p class="hint">
            The boxes are from the annotation that came with the picture; the record itself has classes and confidence
            only.
          </p>
        )}
        {row.image.url === null && row.image.uploads.length > 0 && (
          <figure class="uploads">
            <figcaption>Pictures of this request; which of them is this inference's is not known</figcaption>
            {row.image.uploads.map((u, i) => (
              <a key={u} href={u}>
                <img src={u} alt={`Picture ${i + 1} of this request`} loading="lazy" />
              </a>
            ))}
          </figure>
        )}
        {!drawn && row.predictions.length > 0 && <Bars row={row} colour={colour} />}
        <Lacking row={row} drawn={drawn} annotated={annotated} />
        {classes.length > 0 && (
          <div class="controls">
            <div class="toggles" role="group" aria-label="Classes shown">
              {classes.map(([c, n]) => (
                <label key={c} class={`toggle c${colour(c)}`}>
                  <input
                    type="checkbox"
                    checked={!off.includes(c)}
                    onChange={() => setOff(off.includes(c) ? off.filter(o => o !== c) : [...off, c])}
                  />
                  <i aria-hidden="true" />
                  <span class="clip">{c}</span> <b>{count(n)}</b>
                </label>
              ))}
            </div>
            <label class="slider">
              Confidence at least
              <input
                type="range"
                min="0"
                max="1"
                step="0.01"
                value={least}
                onInput={e => setLeast(Number(e.currentTarget.value))}
              />
              <output>{least.toFixed(2)}</output>
            </label>
          </div>
        )}
        <section class="block" aria-labelledby="detections-title">
          <header>
            <h2 id="detections-title">Detections</h2>
            <span class="hint" role="status">
              {visible.length === row.predictions.length
                ? plural(row.predictions.length, "detection")
                : `${visible.length} of ${plural(row.predictions.length, "detection")}`}
            </span>
            {row.predictions.length > 0 && <TableExports name="detections" label="Table of detections" />}
          </header>
          {row.predictions.length === 0 ? (
            <p class="hint">
              {row.error !== null ? "None: the inference failed." : "Nothing was found in this picture."}
            </p>
          ) : (
            <div class="scroll" tabIndex={0} role="region" aria-label="Table of detections">
              <table class="detections">
                <thead>
                  <tr>
                    {header("class", "Class")}
                    {header("confidence", "Confidence", true)}
                    {drawn && (
                      <>
                        <th scope="col" class="num">
                          <abbr title="Box centre, pixels">Centre x, y</abbr>
                        </th>
                        <th scope="col" class="num">
                          <abbr title="Box size, pixels">Width × height</abbr>
                        </th>
                      </>
                    )}
                    <th scope="col" class="acts">
                      <span class="offscreen">Search</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {sorted.map(i => {
                    const p = row.predictions[i]!;
                    return (
                      <tr
                        key={i}
                        class={hover === i ? "hover" : undefined}
                        onPointerEnter={() => setHover(i)}
                        onPointerLeave={() => setHover(null)}
                      >
                        <th scope="row">
                          <i class={`swatch c${colour(p.class)}`} aria-hidden="true" />
                          {p.class || NONE}
                        </th>
                        <td class="num">{confidence(p.confidence)}</td>
                        {drawn && (
                          <>
                            <td class="num">{p.x === null || p.y === null ? NONE : `${round(p.x)}, ${round(p.y)}`}</td>
                            <td class="num">
                              {p.width === null || p.height === null ? NONE : `${round(p.width)} × ${round(p.height)}`}
                            </td>
                          </>
                        )}
                        <td class="acts">
                          <a
                            class="bare"
                            href={inferencesLink({ ...ANY, filter: clauseFor("class", p.class) })}
                            onFocus={() => setHover(i)}
                            onBlur={() => setHover(null)}
                            aria-label={`Inferences with class ${p.class}`}
                            title="Same class"
                          >
                            <Icon name="search" />
                          </a>
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
          )}
        </section>
      </div>
      <div class="right">
        {children}
        <Facts row={row} scope={scope} />
        <History row={row} />
        <details class="block raw">
          <summary>Raw JSON</summary>
          <Copy text={() => JSON.stringify(row.raw, null, 2)} label="Copy JSON" />
          <pre tabIndex={0} aria-label="Raw JSON">
            {JSON.stringify(row.raw, null, 2)}
          </pre>
        </details>
      </div>
    </div>
  );
}

const round = (v: number) => String(Math.round(v * 10) / 10);

// The annotation is asked for only where the record has no shapes of its own.
function useAnnotation(row: Detail): Annotation | null {
  const path = row.predictions.some(drawable) ? null : row.image.annotation;
  return useLoad(path && `annotation ${path}`, signal => api.annotation(path!, signal), 0).data;
}

function Lacking({ row, drawn, annotated }: { row: Detail; drawn: boolean; annotated: boolean }) {
  if (row.error !== null) return null;
  const boxes = row.predictions.length > 0 && !drawn && !annotated,
    picture = row.image.url === null && row.image.uploads.length === 0;
  if (!boxes && !picture && !row.partial) return null;
  return (
    <aside class="notice lacking" aria-label="What this record lacks">
      <h2>What this record lacks</h2>
      <ul>
        {row.partial && (
          <li>
            <b>The rest of it.</b> It came from a source that sends a part of each record; it is in no statistic and
            gives way to the complete one.
          </li>
        )}
        {boxes && (
          <li>
            <b>Boxes.</b> Its source sent classes and confidence only. An Inference server sends boxes when it runs with{" "}
            <code>TINY_CACHE=False</code>.
          </li>
        )}
        {picture && (
          <li>
            <b>The picture.</b> None was kept. A fleet sends pictures with the Dataset Upload block of its workflow, or
            by <a href={settingsLink("pictures")}>picture capture</a>; for inferences computed here, set{" "}
            <code>keep_images</code> to <code>all</code>, <code>sample:P</code> or <code>below:C</code>.
          </li>
        )}
      </ul>
    </aside>
  );
}

const HIDDEN = "sightglass.hidden-fields";

function rememberedHidden(): string[] {
  try {
    const names: unknown = JSON.parse(localStorage.getItem(HIDDEN) ?? "[]");
    return Array.isArray(names) ? names.filter(n => typeof n === "string") : [];
  } catch {
    return [];
  }
}

interface Fact {
  title: string;
  shown: ComponentChildren;
  clause: string | null;
}

function facts(row: Detail): Fact[] {
  const { width, height } = row.image;
  const text = (v: string | null) => v ?? <span class="none">{NONE}</span>;
  const named = (title: string, field: string, v: string | null, shown: ComponentChildren = text(v)): Fact => ({
    title,
    shown,
    clause: v === null ? null : clauseFor(field, v),
  });
  const plain = (title: string, shown: ComponentChildren): Fact => ({ title, shown, clause: null });
  const id = (
    <>
      <span class="mono">{row.id}</span> <Copy bare text={() => row.id} label="Copy the inference id" />
    </>
  );
  const model = (
    <>
      {row.model}
      {row.modelName && <span class="sub"> ({row.modelName})</span>}
    </>
  );
  const time = (
    <>
      <Time iso={row.time} full />
      {row.clockSuspect && (
        <abbr class="mark" title="More than a day ahead or a year back: the sender's clock may be wrong">
          {" "}
          clock?
        </abbr>
      )}
    </>
  );
  return [
    named("Inference id", "id", row.id, id),
    named("Model", "model", row.model, row.model === null ? text(null) : model),
    ...(row.modelFile === null
      ? []
      : [
          plain(
            "Model file",
            <span class="mono" title={row.modelFile}>
              sha256 {row.modelFile.slice(0, 12)}…
            </span>,
          ),
        ]),
    plain("Time", time),
    plain("Received", <Time iso={row.received} full />),
    plain("Inference time", seconds(row.latency)),
    named("Device", "device", row.device),
    named("Source", "source", row.source),
    named("Source info", "source_info", row.sourceInfo),
    named("Server", "server", row.serverId, text(row.server)),
    plain("Image size", width && height ? `${width} × ${height} px` : text(null)),
    plain("Place in its request", String(row.index)),
    ...(row.error === null ? [] : [{ title: "Error", shown: row.error, clause: "has:error" }]),
  ];
}

// Which fields somebody looks at is a habit, not a part of what is shown: it stays in the browser.
function Facts({ row, scope }: { row: Detail; scope: Scope }) {
  const [hidden, setHidden] = useState(rememberedHidden);
  const all = facts(row);
  const hide = (names: string[]) => {
    setHidden(names);
    try {
      localStorage.setItem(HIDDEN, JSON.stringify(names));
    } catch {
      // A browser that keeps nothing shows them all next time.
    }
  };
  return (
    <section class="block" aria-labelledby="facts-title">
      <header>
        <h2 id="facts-title">Fields</h2>
        <Popover label="Show" icon="settings" active={all.some(f => hidden.includes(f.title))}>
          {() => (
            <ul class="picks-list">
              {all.map(f => (
                <li key={f.title}>
                  <label>
                    <input
                      type="checkbox"
                      checked={!hidden.includes(f.title)}
                      onChange={() =>
                        hide(hidden.includes(f.title) ? hidden.filter(h => h !== f.title) : [...hidden, f.title])
                      }
                    />
                    {f.title}
                  </label>
                </li>
              ))}
            </ul>
          )}
        </Popover>
      </header>
      <dl class="fields">
        {all
          .filter(f => !hidden.includes(f.title))
          .map(f => (
            <div key={f.title}>
              <dt>{f.title}</dt>
              <dd>
                <span class="value">{f.shown}</span>
              </dd>
              <dd class="acts">
                {f.clause && (
                  <a
                    class="bare"
                    href={inferencesLink({ ...ANY, filter: f.clause })}
                    aria-label={`Inferences with the same ${f.title.toLowerCase()}`}
                    title="Same value"
                  >
                    <Icon name="search" />
                  </a>
                )}
              </dd>
            </div>
          ))}
      </dl>
      {row.siblings.length > 0 && (
        <>
          <h3>Same inference id</h3>
          <ul class="siblings">
            {row.siblings.map(s => {
              const here = s.index === row.index && s.model === row.model;
              return (
                <li key={`${s.model} ${s.index}`}>
                  {here ? (
                    <b>
                      {s.model ?? NONE}, image {s.index} (this one)
                    </b>
                  ) : (
                    <a href={inferenceLink(scope, row.id, s.index, s.model)}>
                      {s.model ?? NONE}, image {s.index}
                    </a>
                  )}
                </li>
              );
            })}
          </ul>
        </>
      )}
    </section>
  );
}
