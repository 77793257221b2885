// Where we are (the URL), who we are (the session), and the loading of data that refreshes by itself.
import { createContext } from "preact";
import { useCallback, useContext, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError, events, type Session } from "./api";
import { parseRoute, type Route } from "./url";

// The list an inference was opened from, so that its page can go to the previous and the next. It rides in the
// history entry: it survives a reload and Back, and is in no URL.
export interface List {
  items: { id: string; index: number; model: string | null }[];
  next: string | null;
}

const moved = new EventTarget();
let listShown: (() => List) | null = null;

export function showList(list: (() => List) | null): void {
  listShown = list;
}

interface Entry {
  list?: List | null;
  older?: boolean;
}

// `older` says that Back leads to the newer page of the same list.
export function navigate(link: string, options: { replace?: boolean; list?: List | null; older?: boolean } = {}): void {
  const list = options.list ?? (link.startsWith("/ui/inference/") ? (listShown?.() ?? null) : null);
  const entry: Entry = { list, older: options.older ?? (options.replace === true && newerIsBehind()) };
  if (options.replace) history.replaceState(entry, "", link);
  else history.pushState(entry, "", link);
  moved.dispatchEvent(new Event("moved"));
}

export function newerIsBehind(): boolean {
  return (history.state as Entry | null)?.older === true;
}

export function listBehind(): List | null {
  const list = (history.state as Entry | null)?.list;
  return list && Array.isArray(list.items) ? list : null;
}

const here = (): Route => parseRoute(location.pathname, location.search);

export function useRoute(): Route {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    const update = () => setRoute(here());
    // Links are plain anchors; a click without modifier keys is ours, everything else is the browser's.
    const click = (e: MouseEvent) => {
      const a = e.target instanceof Element ? e.target.closest("a") : null;
      if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
      if (a.origin !== location.origin || !/^\/ui(\/|$)/.test(a.pathname) || a.target || a.hasAttribute("download"))
        return;
      e.preventDefault();
      navigate(a.pathname + a.search + a.hash);
      if (a.hash) document.getElementById(a.hash.slice(1))?.scrollIntoView({ block: "start" });
    };
    addEventListener("popstate", update);
    moved.addEventListener("moved", update);
    document.addEventListener("click", click);
    return () => {
      removeEventListener("popstate", update);
      moved.removeEventListener("moved", update);
      document.removeEventListener("click", click);
    };
  }, []);
  return route;
}

export const SessionContext = createContext<Session>({ workspace: "", keyName: null, firstKey: false });

export function useWorkspace(): string {
  return useContext(SessionContext).workspace;
}

export interface Loaded<T> {
  data: T | null; // the last answer, kept while the next is on its way
  stale: boolean; // `data` answers an earlier question
  error: ApiError | null; // what went wrong last; a lost connection is the banner's to tell
  reload: () => void;
}

const REFRESH = 10_000;
export const RARELY = 60_000;

// The last answers, so that Back shows its page at once. Emptied whenever the session changes.
const remembered = new Map<string, unknown>();

export function forget(): void {
  remembered.clear();
  scrolled.clear();
  kept.clear();
}

function remember(key: string, data: unknown): void {
  remembered.delete(key);
  remembered.set(key, data);
  if (remembered.size > 24) remembered.delete(remembered.keys().next().value!);
}

// Lists as far as they were read.
export const kept = new Map<string, unknown>();

// How far each list was scrolled, by its link.
export const scrolled = new Map<string, number>();

// Loads when `key` changes and every 10 s after that (0: never again), while the page can be seen and the server
// reached.
export function useLoad<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  refresh = REFRESH,
): Loaded<T> {
  const [state, setState] = useState<{ key: string | null; data: T | null; error: ApiError | null }>(() => {
    const data = key === null ? undefined : (remembered.get(key) as T | undefined);
    return data === undefined ? { key: null, data: null, error: null } : { key, data, error: null };
  });
  const latest = useRef(load);
  latest.current = load;
  const again = useRef<() => void>(() => undefined);

  // Before the page is painted: the server answers meanwhile.
  useLayoutEffect(() => {
    if (key === null) return undefined;
    const known = remembered.get(key) as T | undefined;
    if (known !== undefined) setState(s => (s.key === key ? s : { key, data: known, error: null }));
    let timer = 0,
      controller = new AbortController(),
      ended = false;
    const run = () => {
      clearTimeout(timer);
      controller.abort();
      controller = new AbortController();
      const mine = controller;
      latest
        .current(mine.signal)
        .then(data => {
          if (ended || mine.signal.aborted) return;
          remember(key, data);
          setState({ key, data, error: null });
        })
        .catch((e: unknown) => {
          if (ended || mine.signal.aborted) return;
          const error = e instanceof ApiError ? e : new ApiError(-1, `This page failed: ${String(e)}`);
          if (error.status !== 0) setState(s => ({ key, data: s.key === key ? s.data : null, error }));
        })
        .finally(() => {
          if (!ended && !mine.signal.aborted && refresh) timer = window.setTimeout(tick, refresh);
        });
    };
    const tick = () => {
      if (!document.hidden) run();
    };
    again.current = run;
    run();
    if (refresh) document.addEventListener("visibilitychange", tick);
    events.addEventListener("connected", run);
    return () => {
      ended = true;
      clearTimeout(timer);
      controller.abort();
      document.removeEventListener("visibilitychange", tick);
      events.removeEventListener("connected", run);
    };
  }, [key, refresh]);

  const reload = useCallback(() => again.current(), []);
  return { data: state.data, stale: state.key !== key, error: state.error, reload };
}

// A keyboard shortcut. Typing into a field is never a shortcut, save where `always` says so.
export function useKeys(keys: Record<string, (e: KeyboardEvent) => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  // Before the page is painted: what can be seen can be used.
  useLayoutEffect(() => {
    const down = (e: KeyboardEvent) => {
      if (e.defaultPrevented || e.metaKey || e.ctrlKey || e.altKey) return;
      const t = e.target;
      if (t instanceof HTMLElement && (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName))) return;
      if (document.querySelector("dialog[open]")) return;
      const act = latest.current[e.key];
      if (!act) return;
      // Enter on a link or button is its own.
      if (e.key === "Enter" && t instanceof Element && t.closest("a, button, summary")) return;
      e.preventDefault();
      act(e);
    };
    document.addEventListener("keydown", down);
    return () => document.removeEventListener("keydown", down);
  }, []);
}

// Whether something has lasted for longer than one notices. What goes by sooner changes nothing that is drawn.
export function useLate(on: boolean, after = 150): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setTimeout(() => setLate(true), after);
    return () => {
      clearTimeout(timer);
      setLate(false);
    };
  }, [on, after]);
  return on && late;
}

// The clock for "3 min ago": ticks while somebody looks.
export function useNow(every = 10_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query),
      update = () => setMatches(list.matches);
    list.addEventListener("change", update);
    return () => list.removeEventListener("change", update);
  }, [query]);
  return matches;
}
