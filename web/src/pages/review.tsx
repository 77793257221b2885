// Review: one inference after the other, judged with one key each. The verdict is metadata like any other: `review`,
// `review_comment` and, until there are users, the name that was typed as `reviewer`.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, events, serverNow, type Inference, type Value } from "../api";
import { countClasses, topConfidence } from "../columns";
import { clauses, withClause } from "../filter";
import { FilterBar } from "../filterbar";
import { confidence, count, plural } from "../format";
import { rowKey } from "../held";
import { Bars, colours, drawable, Picture } from "../picture";
import { Queue, reviewOf, VERDICTS, write, type Order, type Review as Judged, type Verdict } from "../queue";
import { navigate, useKeys, useLoad, useWorkspace } from "../state";
import { simulated, Simulated } from "../simulated";
import { Failure, Icon, RangePicker, Shown, Teach, Time } from "../ui";
import { inferenceLink, inferencesLink, reviewLink, UNREVIEWED, window as windowOf, type Scope } from "../url";
import "./review.css";

const AHEAD = 8;
const NAME = "sightglass.reviewer";

// One verdict, and what it took the place of.
interface Mark {
  key: string;
  id: string;
  at: number;
  verdict: Verdict;
  had: Judged;
  wanted: Judged;
  state: "saving" | "saved" | "failed" | "undone";
}

function rememberedName(): string {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

export function Review({ scope, order }: { scope: Scope; order: Order }) {
  const [reviewer, setReviewer] = useState(rememberedName),
    [round, setRound] = useState(0);
  const name = (n: string) => {
    setReviewer(n);
    try {
      localStorage.setItem(NAME, n.trim());
    } catch {
      // A browser that keeps nothing asks again next time.
    }
  };
  const [error, setError] = useState<ApiError | null>(null);
  const go = (s: Scope, o: Order = order) => navigate(reviewLink(s, o));
  const orders: [Order, string][] = [
    ["confidence", "Lowest confidence first"],
    ["newest", "Newest first"],
  ];
  return (
    <main id="main" class="page reviewing" aria-busy="false">
      <header class="head">
        <h1>Review</h1>
        <RangePicker
          scope={scope}
          any
          now={() => windowOf(scope, serverNow())}
          onScope={s => go({ ...s, filter: scope.filter })}
        />
        <div class="ranges" role="group" aria-label="Order">
          {orders.map(([o, title]) => (
            <button type="button" key={o} aria-pressed={order === o} onClick={() => go(scope, o)}>
              {title}
            </button>
          ))}
        </div>
        <label class="reviewer">
          Reviewer
          <input
            type="text"
            id="reviewer"
            value={reviewer}
            placeholder="Your name"
            autocomplete="name"
            maxLength={100}
            onInput={e => name(e.currentTarget.value)}
            onKeyDown={e => (e.key === "Enter" || e.key === "Escape") && e.currentTarget.blur()}
          />
        </label>
      </header>
      <FilterBar scope={scope} error={error} onFilter={f => go({ ...scope, filter: f })} />
      <Walk
        key={`${JSON.stringify(scope)} ${order} ${round}`}
        scope={scope}
        order={order}
        reviewer={reviewer.trim()}
        onError={setError}
        onAgain={() => setRound(round + 1)}
      />
    </main>
  );
}

function Walk({
  scope,
  order,
  reviewer,
  onError,
  onAgain,
}: {
  scope: Scope;
  order: Order;
  reviewer: string;
  onError: (e: ApiError | null) => void;
  onAgain: () => void;
}) {
  const ws = useWorkspace();
  const [items, setItems] = useState<Inference[]>([]),
    [at, setAt] = useState(0),
    [ended, setEnded] = useState(false),
    [failure, setFailure] = useState<ApiError | null>(null);
  const { marks, save, undo } = useMarks(ws, () => left.reload());
  const queue = useRef<Queue | null>(null),
    reading = useRef(false),
    gone = useRef(new AbortController());
  const selection = () => ({ filter: scope.filter, ...windowOf(scope, serverNow()) });
  const left = useLoad(`left ${ws} ${JSON.stringify(scope)}`, signal => api.count(ws, selection(), signal));

  const read = useCallback(async () => {
    if (reading.current) return;
    reading.current = true;
    queue.current ??= new Queue(ws, selection(), order);
    try {
      const more = await queue.current.next(gone.current.signal);
      setFailure(null);
      onError(null);
      if (more.length) setItems(all => [...all, ...more]);
      setEnded(queue.current.ended);
    } catch (e) {
      if (gone.current.signal.aborted) return;
      const error = e instanceof ApiError ? e : new ApiError(-1, String(e));
      setFailure(error);
      onError(error);
    } finally {
      reading.current = false;
    }
  }, []);
  useEffect(() => () => gone.current.abort(), []);
  const short = at + AHEAD >= items.length && !ended;
  useEffect(() => {
    if (short && !failure) void read();
  }, [short, items.length, failure]);
  useEffect(() => {
    const again = () => setFailure(f => (f?.status === 0 ? null : f));
    events.addEventListener("connected", again);
    return () => events.removeEventListener("connected", again);
  }, []);
  // The next pictures are fetched while this one is looked at.
  useEffect(() => {
    for (const r of items.slice(at + 1, at + 3)) if (r.image.url) new Image().src = r.image.url;
  }, [at, items.length]);

  const row = items[at] ?? null,
    pressed = useRef<Verdict | null>(null);
  const mark = (verdict: Verdict, comment: string, had: Judged) => {
    if (!row) return;
    pressed.current = document.activeElement?.classList.contains("choice") ? verdict : null;
    const wanted: Judged = { review: verdict, review_comment: comment.trim() || null, reviewer };
    // A verdict is of an id: whatever else in the queue has it is judged with it.
    setItems(all => all.map(r => (r.id === row.id ? { ...r, metadata: merged(r.metadata, wanted) } : r)));
    save({ key: rowKey(row), id: row.id, at, verdict, had, wanted, state: "saving" });
    setAt(Math.min(at + 1, items.length));
  };
  const back = () => {
    const last = undo();
    if (!last) return;
    setItems(all => all.map(r => (r.id === last.id ? { ...r, metadata: merged(r.metadata, last.had) } : r)));
    setAt(last.at);
  };
  const move = (by: number) => setAt(Math.max(0, Math.min(items.length - (ended ? 0 : 1), at + by)));
  useKeys({ j: () => move(1), k: () => move(-1), u: back });

  const leaving = marks.filter(m => m.state === "saving").length,
    failed = marks.filter(m => m.state === "failed");
  useEffect(() => {
    if (!leaving) return undefined;
    const ask = (e: BeforeUnloadEvent) => e.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [leaving > 0]);
  const unreviewed = clauses(scope.filter).includes("-has:review");
  const done = marks.filter(m => m.state === "saved").length;
  return (
    <>
      <div class="progress">
        <p class="total" role="status">
          {left.data === null ? (
            "Counting…"
          ) : unreviewed ? (
            <>
              <b>{count(left.data)}</b> left
            </>
          ) : (
            <>
              <b>{count(left.data)}</b> {left.data === 1 ? "inference" : "inferences"}
            </>
          )}
          {done > 0 && <span class="hint"> · {plural(done, "verdict")} now</span>}
          {leaving > 0 && <span class="hint"> · saving…</span>} {row && simulated(row) && <Simulated />}
        </p>
        <span class="tools">
          <button type="button" class="button" disabled={at === 0} title="Previous (k)" onClick={() => move(-1)}>
            <Icon name="left" />
            Previous
          </button>
          <button
            type="button"
            class="button"
            disabled={!row}
            title="Next, without a verdict (j)"
            onClick={() => move(1)}
          >
            Skip
            <Icon name="right" />
          </button>
          <button
            type="button"
            class="button"
            disabled={!marks.some(m => m.state === "saved" || m.state === "saving")}
            title="Take the last verdict back (u)"
            onClick={back}
          >
            Undo <kbd>u</kbd>
          </button>
        </span>
      </div>
      {failed.map(m => (
        <div class="failure" role="alert" key={m.key}>
          <p>
            <strong>A verdict was not saved.</strong> “{m.verdict}” on <span class="mono">{m.id}</span>.
          </p>
          <button type="button" class="button" onClick={() => setAt(m.at)}>
            Go back to it
          </button>
        </div>
      ))}
      {failure && failure.position === null && failure.status !== 0 && (
        <Failure error={failure} what="The queue could not be read." onRetry={() => void read()} />
      )}
      {row ? (
        <Judge key={rowKey(row)} row={row} scope={scope} reviewer={reviewer} pressed={pressed.current} onMark={mark} />
      ) : ended ? (
        <Done scope={scope} any={items.length > 0} onAgain={onAgain} />
      ) : (
        !failure && <p class="hint">Loading…</p>
      )}
    </>
  );
}

function merged(metadata: Record<string, Value>, review: Judged): Record<string, Value> {
  const out = { ...metadata };
  for (const [field, v] of Object.entries(review)) {
    if (v === null) delete out[field];
    else out[field] = v;
  }
  return out;
}

// Verdicts are written one after the other while the reviewer goes on; what fails is told and led back to.
function useMarks(ws: string, onWritten: () => void) {
  const [marks, setMarks] = useState<Mark[]>([]);
  const all = useRef<Mark[]>([]),
    chain = useRef<Promise<void>>(Promise.resolve());
  const set = (marks: Mark[]) => {
    all.current = marks;
    setMarks(marks);
  };
  const change = (m: Mark, state: Mark["state"]) =>
    set(all.current.map(o => (o === m || (o.key === m.key && o.at === m.at && o.had === m.had) ? { ...o, state } : o)));
  const save = (m: Mark) => {
    set([...all.current.filter(o => !(o.state === "failed" && o.id === m.id)), m]);
    chain.current = chain.current
      .then(() => write(ws, m.id, m.wanted))
      .then(
        () => change(m, "saved"),
        () => change(m, "failed"),
      )
      .then(onWritten);
  };
  const undo = (): Mark | null => {
    const last = [...all.current].reverse().find(m => m.state === "saved" || m.state === "saving");
    if (!last) return null;
    change(last, "undone");
    chain.current = chain.current
      .then(() => write(ws, last.id, last.had))
      .then(
        () => undefined,
        () => change({ ...last, state: "undone" }, "failed"),
      )
      .then(onWritten);
    return last;
  };
  return { marks, save, undo };
}

function Judge({
  row,
  scope,
  reviewer,
  pressed,
  onMark,
}: {
  row: Inference;
  scope: Scope;
  reviewer: string;
  pressed: Verdict | null; // the button that the verdict before was given with: it keeps the focus
  onMark: (v: Verdict, comment: string, had: Judged) => void;
}) {
  const ws = useWorkspace();
  // As it is now: somebody else may have judged it since the queue was read.
  const fresh = useLoad(`inference ${ws} ${row.id} ${row.index} ${row.model}`, signal =>
    api.inference(ws, row.id, row.index, row.model, signal),
  ).data;
  const judged = reviewOf(fresh?.id === row.id ? fresh.metadata : row.metadata);
  const stored = String(judged.review_comment ?? "");
  const [comment, setComment] = useState<string | null>(null),
    [asked, setAsked] = useState(false),
    [hover, setHover] = useState<number | null>(null);
  useLayoutEffect(() => {
    if (pressed) document.querySelector<HTMLElement>(`.choice.${pressed}`)?.focus();
  }, []);
  const give = (verdict: Verdict) => {
    if (!reviewer) {
      setAsked(true);
      document.getElementById("reviewer")?.focus();
      return;
    }
    onMark(verdict, comment ?? stored, judged);
  };
  useKeys({
    ...Object.fromEntries(VERDICTS.map(v => [v.key, () => give(v.verdict)])),
    m: () => document.getElementById("comment")?.focus(),
    Enter: () => navigate(inferenceLink(scope, row.id, row.index, row.model)),
  });
  const colour = colours(row.predictions),
    drawn = row.predictions.some(drawable),
    all = row.predictions.map((_, i) => i);
  const siblings = fresh?.id === row.id ? fresh.siblings.length : 0;
  const names = Object.keys(row.metadata)
    .filter(n => !["review", "review_comment", "reviewer"].includes(n))
    .sort((a, b) => a.localeCompare(b));
  return (
    <div class="columns judge">
      <div class="left">
        {row.image.url !== null || drawn ? (
          <Picture row={row} visible={drawn ? all : []} colour={colour} hover={hover} onHover={setHover} />
        ) : null}
        {row.error !== null ? (
          <p class="notice">
            <b>This inference failed.</b> {row.error}
          </p>
        ) : row.predictions.length === 0 ? (
          <p class="notice">Nothing was found in this picture.</p>
        ) : (
          !drawn && <Bars row={row} colour={colour} />
        )}
        {row.image.url === null && (
          <p class="hint">
            No picture was kept for this one: judge by what you know of the part, or answer “inconclusive”.
          </p>
        )}
      </div>
      <div class="right">
        <section class="block verdicts" aria-label="Verdict">
          <div class="choices">
            {VERDICTS.map(v => (
              <button
                type="button"
                key={v.verdict}
                class={`choice ${v.verdict}`}
                aria-pressed={judged.review === v.verdict}
                onClick={() => give(v.verdict)}
              >
                {v.title}
                <kbd>{v.key}</kbd>
              </button>
            ))}
          </div>
          {asked && !reviewer && (
            <p class="wrong" role="alert">
              Type your name above first: the history keeps who judged.
            </p>
          )}
          <label class="comment">
            <span>
              Comment <kbd>m</kbd>
            </span>
            <textarea
              id="comment"
              rows={2}
              maxLength={1000}
              value={comment ?? stored}
              placeholder="Optional; Enter goes back to the keys"
              onInput={e => setComment(e.currentTarget.value)}
              onKeyDown={e => {
                if (e.key !== "Escape" && (e.key !== "Enter" || e.shiftKey)) return;
                e.preventDefault();
                e.currentTarget.blur();
              }}
            />
          </label>
          <p class="hint" role="status">
            {judged.review !== null && (
              <>
                Judged “<Shown value={judged.review} />”{judged.reviewer !== null && <> by {String(judged.reviewer)}</>}
                .
              </>
            )}
            {siblings > 1 && <> The verdict is of the id: it counts for all {siblings} records that have it.</>}
          </p>
        </section>
        <section class="block" aria-label="What is known">
          <dl class="fields">
            <Fact title="Time">
              <Time iso={row.time} full />
            </Fact>
            <Fact title="Model">{row.model ?? "–"}</Fact>
            <Fact title="Found">
              {countClasses(row)
                .map(([c, n]) => (n > 1 ? `${c} × ${n}` : c))
                .join(", ") || "nothing"}
            </Fact>
            <Fact title="Top confidence">{confidence(topConfidence(row))}</Fact>
            <Fact title="Device">{row.device ?? "–"}</Fact>
            {names.map(n => (
              <Fact key={n} title={n}>
                <Shown value={row.metadata[n]!} />
              </Fact>
            ))}
          </dl>
          <p>
            <a href={inferenceLink(scope, row.id, row.index, row.model)}>
              Open this inference <kbd>Enter</kbd>
            </a>
          </p>
        </section>
      </div>
    </div>
  );
}

function Fact({ title, children }: { title: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt class="clip" title={title}>
        {title}
      </dt>
      <dd>{children}</dd>
    </div>
  );
}

function Done({ scope, any, onAgain }: { scope: Scope; any: boolean; onAgain: () => void }) {
  const rest = clauses(scope.filter).filter(c => c !== "-has:review");
  return (
    <section class="empty">
      <h2>{any ? "That was the last one" : "Nothing to review here"}</h2>
      <p>
        {any
          ? "Everything in this queue has been walked. What arrived meanwhile is in the next walk."
          : "No inference is in this range and matches this filter."}
      </p>
      <p class="acts">
        <button type="button" class="button primary" onClick={onAgain}>
          Look again
        </button>{" "}
        <a class="button" href={inferencesLink({ ...scope, filter: rest.concat("has:review").join(" ") })}>
          See what has been reviewed
        </a>{" "}
        {scope.filter !== UNREVIEWED && (
          <a class="button" href={reviewLink({ ...scope, filter: withClause(UNREVIEWED, "-has:error") })}>
            All that is not reviewed
          </a>
        )}
      </p>
      {!any && <Teach />}
    </section>
  );
}
