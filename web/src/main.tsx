// The frame around the pages: who is signed in, the rail, the banners.
import { render, type ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Answered, api, ApiError, events, type Missing, type Server, type Session } from "./api";
import { usePaper } from "./paper";
import { Fleet } from "./pages/fleet";
import { Inference } from "./pages/inference";
import { Inferences } from "./pages/inferences";
import { ModelPage, ModelsPage } from "./pages/model";
import { Overview } from "./pages/overview";
import { MetadataPage } from "./pages/metadata";
import { Review } from "./pages/review";
import { Settings } from "./pages/settings";
import { explain, SignIn } from "./pages/signin";
import { withClause } from "./filter";
import { plural, span } from "./format";
import { calendarKnown, setCalendar, USUAL } from "./shifts";
import { OpenView } from "./settings/views";
import { forget, SessionContext, useKeys, useRoute } from "./state";
import "./style.css";
import { Dialog, Icon, Logo, type IconName } from "./ui";
import {
  ANY,
  fleetLink,
  inferencesLink,
  metadataLink,
  modelsLink,
  overviewLink,
  RANGES,
  reviewLink,
  settingsLink,
  type Route,
  type Scope,
} from "./url";

// Takes the key out of a link's fragment, and the fragment out of the address and the history, before anything else
// runs.
function keyFromLink(): string | null {
  const m = /^#key=(.*)$/.exec(location.hash);
  if (!m) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  try {
    return decodeURIComponent(m[1]!).trim();
  } catch {
    return m[1]!.trim();
  }
}

interface Place {
  pages: Route["page"][]; // the first is where the rail leads
  title: string;
  icon: IconName;
  link: (scope: Scope) => string; // the range and the filter go along from page to page
  draw: (route: Route) => ComponentChildren;
}

// The rail, and which component draws what. What is not in here is not there: no dead buttons.
const PLACES: Place[] = [
  {
    pages: ["fleet"],
    title: "Fleet",
    icon: "fleet",
    link: scope => fleetLink(scope),
    draw: r => r.page === "fleet" && <Fleet scope={r.scope} chosen={r.device} sort={r.sort} />,
  },
  {
    pages: ["overview"],
    title: "Overview",
    icon: "overview",
    link: scope => overviewLink(scope),
    draw: r => r.page === "overview" && <Overview scope={r.scope} view={r.view} />,
  },
  {
    pages: ["models", "model"],
    title: "Models",
    icon: "models",
    link: scope => modelsLink(scope),
    draw: r =>
      r.page === "models" ? (
        <ModelsPage scope={r.scope} sort={r.sort} />
      ) : (
        r.page === "model" && (
          <ModelPage key={r.name} scope={r.scope} name={r.name} versions={r.versions} view={r.view} />
        )
      ),
  },
  {
    pages: ["inferences", "inference"],
    title: "Inferences",
    icon: "inferences",
    link: scope => inferencesLink(scope),
    draw: r =>
      r.page === "inferences" ? (
        <Inferences scope={r.scope} view={r.view} />
      ) : (
        r.page === "inference" && <Inference scope={r.scope} id={r.id} index={r.index} model={r.model} />
      ),
  },
  {
    pages: ["review"],
    title: "Review",
    icon: "review",
    link: scope => reviewLink({ ...scope, filter: ["-has:review", "-has:error"].reduce(withClause, scope.filter) }),
    draw: r => r.page === "review" && <Review scope={r.scope} order={r.order} />,
  },
  {
    pages: ["metadata"],
    title: "Metadata",
    icon: "metadata",
    link: () => metadataLink(),
    draw: () => <MetadataPage />,
  },
  {
    pages: ["settings", "view"],
    title: "Settings",
    icon: "settings",
    link: () => settingsLink(),
    draw: r => (r.page === "settings" ? <Settings section={r.section} /> : r.page === "view" && <OpenView id={r.id} />),
  },
];

const placeOf = (route: Route): Place | undefined => PLACES.find(p => p.pages.includes(route.page));

let linkKey = keyFromLink();

function App() {
  const [session, setSession] = useState<Session | null | undefined>(undefined),
    [message, setMessage] = useState<string | null>(null);
  const route = useRoute();

  const enter = (s: Session | null, said: string | null = null) => {
    forget();
    setMessage(said);
    setSession(s);
  };
  useEffect(() => {
    const start = () => {
      const key = linkKey ?? keyFromLink();
      linkKey = null;
      (key === null ? api.session() : api.signIn(key))
        .then(s => enter(s))
        .catch((e: unknown) => {
          // Unreachable: the banner says so, and the start is tried again when the server answers.
          if (e instanceof ApiError && e.status === 0) return;
          enter(null, key === null && e instanceof ApiError && e.status === 401 ? null : explain(e));
        });
    };
    const pasted = () => location.hash.startsWith("#key=") && start();
    const back = () => setSession(s => (s === undefined && start(), s));
    const out = () => enter(null, "The session has ended. Sign in again to go on where you were.");
    start();
    addEventListener("hashchange", pasted);
    events.addEventListener("connected", back);
    events.addEventListener("signedout", out);
    return () => {
      removeEventListener("hashchange", pasted);
      events.removeEventListener("connected", back);
      events.removeEventListener("signedout", out);
    };
  }, []);
  useEffect(() => {
    document.title = `${session ? (placeOf(route)?.title ?? "Not found") : "Sign in"} · Sightglass`;
  }, [route.page, session]);

  if (session === undefined)
    return (
      <div class="starting">
        <Logo />
        <Lost />
      </div>
    );
  if (session === null)
    return (
      <>
        <Lost />
        <SignIn message={message} onSession={s => enter(s)} />
      </>
    );
  return (
    <SessionContext.Provider value={session}>
      <Frame route={route} session={session} onSession={setSession} onSignOut={() => enter(null)} />
    </SessionContext.Provider>
  );
}

function Frame({
  route,
  session,
  onSession,
  onSignOut,
}: {
  route: Route;
  session: Session;
  onSession: (s: Session) => void;
  onSignOut: () => void;
}) {
  const [help, setHelp] = useState(false);
  useKeys({ "?": () => setHelp(true) });
  usePaper();
  const place = placeOf(route),
    scope = route.scope;
  // A range by shifts has no times before the calendar is here.
  const [ready, setReady] = useState(calendarKnown());
  useEffect(() => {
    setCalendar(null);
    const load = () =>
      api.shifts(session.workspace).then(
        c => (setCalendar(c), setReady(true)),
        (e: unknown) => {
          if (e instanceof ApiError && e.status === 0) return;
          setCalendar(USUAL);
          setReady(true);
        },
      );
    void load();
    events.addEventListener("connected", load);
    return () => events.removeEventListener("connected", load);
  }, [session.workspace]);
  const waits = !ready && RANGES.some(r => r.id === scope.range && r.seconds === null);
  return (
    <div class="frame">
      <a
        class="skip"
        href="#main"
        onClick={e => (e.preventDefault(), document.querySelector<HTMLElement>("#main h1")?.focus())}
      >
        To the content
      </a>
      <nav class="rail" aria-label="Main">
        <a class="brand" href="/ui/" aria-label="Sightglass, overview">
          <Logo />
        </a>
        {PLACES.map(p => (
          <a
            key={p.title}
            href={p.link(scope)}
            aria-current={route.page === p.pages[0] ? "page" : undefined}
            class={p === place && route.page !== p.pages[0] ? "within" : undefined}
          >
            <Icon name={p.icon} />
            <span>{p.title}</span>
          </a>
        ))}
        <span class="gap" />
        <span
          class="workspace"
          title={`Workspace ${session.workspace}${session.keyName ? `, key ${session.keyName}` : ""}`}
        >
          {session.workspace}
        </span>
        <button type="button" onClick={() => setHelp(true)}>
          <Icon name="help" />
          <span>Help</span>
        </button>
        <button type="button" onClick={() => void api.signOut().then(onSignOut, () => undefined)}>
          <Icon name="signout" />
          <span>Sign out</span>
        </button>
      </nav>
      <div class="surface">
        <p class="onpaper">Sightglass, workspace {session.workspace}</p>
        <Banners session={session} onSession={onSession} page={route.page} />
        {!waits && place?.draw(route)}
        {!place && (
          <main id="main" class="page">
            <section class="empty">
              <h1>There is no such page</h1>
              <p>
                <a href={overviewLink(ANY)}>To the overview</a>
              </p>
            </section>
          </main>
        )}
      </div>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function Lost() {
  const [lost, setLost] = useState(false);
  useEffect(() => {
    const on = () => setLost(true),
      off = () => setLost(false);
    events.addEventListener("lost", on);
    events.addEventListener("connected", off);
    return () => {
      events.removeEventListener("lost", on);
      events.removeEventListener("connected", off);
    };
  }, []);
  return (
    <div role="alert">
      {lost && (
        <p class="banner alert">
          <b>Connection lost.</b> What you see may be old. Trying again by itself.
        </p>
      )}
    </div>
  );
}

// What could not be read of the store, as the answers that this page is made of said last.
function Incomplete({ page }: { page: string }) {
  const [parts, setParts] = useState<Record<string, Missing[]>>({});
  useEffect(() => {
    setParts({});
    const answered = (e: Event) => {
      const { question, missing } = e as Answered;
      setParts(p => (missing.length || p[question]?.length ? { ...p, [question]: missing } : p));
    };
    events.addEventListener("answered", answered);
    return () => events.removeEventListener("answered", answered);
  }, [page]);
  const all = [...new Map(Object.values(parts).flatMap(m => m.map(x => [x.segment, x] as const))).values()];
  if (!all.length) return null;
  const known = all.reduce<number | null>((n, m) => (n === null || m.inferences === null ? null : n + m.inferences), 0);
  const times = all
    .filter(m => m.from && m.to)
    .sort((a, b) => a.from!.localeCompare(b.from!))
    .map(m => span(new Date(m.from!), new Date(m.to!)));
  return (
    <p class="banner alert" role="status">
      <b>Not complete.</b> {known === null ? "Inferences" : plural(known, "inference")}{" "}
      {times.length ? `of ${times.slice(0, 4).join(", ")}` : ""}
      {times.length > 4 ? ` and ${times.length - 4} other times` : ""} cannot be read from the disk. Numbers and lists
      on this page are of all the rest. On the server, <code>sightglass check</code> says what is damaged.
    </p>
  );
}

function Banners({ session, onSession, page }: { session: Session; onSession: (s: Session) => void; page: string }) {
  const [server, setServer] = useState<Server | null>(null),
    [failed, setFailed] = useState<string | null>(null);
  useEffect(() => {
    api.server().then(setServer, () => undefined);
  }, [session.workspace]);
  const remove = () =>
    api.removeFirstKey().then(
      () => onSession({ ...session, firstKey: false }),
      (e: unknown) => setFailed(String(e instanceof Error ? e.message : e)),
    );
  return (
    <aside aria-label="Notices">
      <Lost />
      <Incomplete page={page} />
      {server && !server.loopback && !server.tls && (
        <p class="banner">
          <span>
            <b>Not encrypted.</b> This server listens beyond this machine ({server.listen ?? "all addresses"}) without
            TLS: keys and pictures can be read on the network. Put a TLS proxy in front of it, or let it listen on
            127.0.0.1.
          </span>
        </p>
      )}
      {session.firstKey && (
        <p class="banner">
          <span>
            <b>The first key is still in a file.</b> DATA/first-key on the server holds it for the sign-in link. Keep a
            copy of the key, then remove the file.{" "}
            {failed && (
              <span class="wrong" role="alert">
                Not removed. {failed}
              </span>
            )}
          </span>
          <button type="button" class="button" onClick={remove}>
            Remove the file
          </button>
        </p>
      )}
    </aside>
  );
}

const KEYS = [
  ["/", "to the filter"],
  ["j, k", "next and previous row, or inference"],
  ["Enter", "open the row"],
  ["x", "select the row that has the focus"],
  ["c, x, i", "in the review: correct, incorrect, inconclusive"],
  ["m, u", "in the review: comment; take the last verdict back"],
  ["+, -, 0", "zoom a picture that has the focus; arrows move it"],
  ["←, →", "move along a chart that has the focus; Enter opens its point"],
  ["Esc", "leave the filter, close a panel"],
  ["?", "this help"],
];

const FILTERS = [
  ["model:coco/24", "equal; several fields: and"],
  ["class:dog class:cat", "the same field again: or"],
  ["-shift:night", "not"],
  ["confidence<0.5", "below; also <= > >=; the inference's top detection"],
  ["has:serial_number", "has the field; -has: has it not"],
  ['metadata."any name":x', "a metadata field, whatever its name"],
  ['line:"A 1"', "quotes around a space, a colon, a quote"],
  ["A1-0001", "exactly this id or metadata value"],
];

function Help({ onClose }: { onClose: () => void }) {
  const rows = (all: string[][]) => (
    <dl class="help">
      {all.map(([k, what]) => (
        <div key={k}>
          <dt>
            <kbd>{k}</kbd>
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
  return (
    <Dialog title="Help" onClose={onClose}>
      <h3>Keyboard</h3>
      {rows(KEYS)}
      <h3>Filter</h3>
      {rows(FILTERS)}
      <h3>Charts</h3>
      <p>
        Click a bar or a point for its inferences; drag to zoom. Times are in your zone, UTC when you hover over one.
      </p>
    </Dialog>
  );
}

render(<App />, document.getElementById("app")!);
