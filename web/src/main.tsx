// The frame around the pages: who is signed in, the rail, the banners.
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { api, ApiError, events, type Server, type Session } from "./api";
import { Inference } from "./pages/inference";
import { Inferences } from "./pages/inferences";
import { Overview } from "./pages/overview";
import { explain, SignIn } from "./pages/signin";
import { forget, SessionContext, useKeys, useRoute } from "./state";
import "./style.css";
import { Dialog, Icon, Logo } from "./ui";
import { ANY, inferencesLink, overviewLink, type Route } from "./url";

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

const TITLES: Record<Route["page"], string> = {
  overview: "Overview",
  inferences: "Inferences",
  inference: "Inference",
  unknown: "Not found",
};

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
    document.title = `${session ? TITLES[route.page] : "Sign in"} · Sightglass`;
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
  const here = (page: Route["page"]) => (route.page === page ? "page" : undefined);
  // The range and the filter go along from page to page.
  const scope = route.scope;
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
        <a href={overviewLink(scope, "inference")} aria-current={here("overview")}>
          <Icon name="overview" />
          <span>Overview</span>
        </a>
        <a
          href={inferencesLink(scope)}
          aria-current={here("inferences")}
          class={route.page === "inference" ? "within" : undefined}
        >
          <Icon name="inferences" />
          <span>Inferences</span>
        </a>
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
        <Banners session={session} onSession={onSession} />
        {route.page === "overview" && <Overview scope={scope} counting={route.counting} />}
        {route.page === "inferences" && <Inferences scope={scope} cursor={route.cursor} columns={route.columns} />}
        {route.page === "inference" && (
          <Inference scope={scope} id={route.id} index={route.index} model={route.model} />
        )}
        {route.page === "unknown" && (
          <main id="main" class="page">
            <section class="empty">
              <h1>There is no such page</h1>
              <p>
                <a href={overviewLink(ANY, "inference")}>To the overview</a>
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

function Banners({ session, onSession }: { session: Session; onSession: (s: Session) => void }) {
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
