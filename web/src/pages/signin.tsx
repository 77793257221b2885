// Signing in exchanges a key for a cookie that scripts cannot read. The key is sent once, in a body; the field is
// emptied before the answer comes, and nothing here keeps it.
import { useRef, useState } from "preact/hooks";
import { api, ApiError, type Session } from "../api";
import { Command, Logo } from "../ui";

export function SignIn({ message, onSession }: { message: string | null; onSession: (s: Session) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const [error, setError] = useState(message),
    [waiting, setWaiting] = useState(false);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    const field = input.current!,
      key = field.value.trim();
    field.value = "";
    if (!key) return setError("Paste a key first.");
    setWaiting(true);
    setError(null);
    try {
      onSession(await api.signIn(key));
    } catch (failed) {
      setWaiting(false);
      setError(explain(failed));
      field.focus();
    }
  };
  return (
    <main id="main" class="signin">
      <form onSubmit={submit} autocomplete="off">
        <Logo />
        <h1>Sightglass</h1>
        <label for="key">API key of your workspace</label>
        <input
          ref={input}
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          autofocus
          aria-describedby={error ? "signin-error" : undefined}
          aria-invalid={error !== null}
        />
        <p class="wrong" id="signin-error" role="alert">
          {error}
        </p>
        <button type="submit" class="button primary" disabled={waiting}>
          {waiting ? "Signing in…" : "Sign in"}
        </button>
        <p class="hint">
          The key is exchanged for a cookie and kept nowhere. A link that ends in <code>/ui/#key=…</code> signs in by
          itself.
        </p>
        <details>
          <summary>No key at hand?</summary>
          <p class="hint">On the server, where DIR is its data folder and SLUG the workspace:</p>
          <Command title="Make a new key" text="sightglass keys add --data DIR --workspace SLUG" />
        </details>
      </form>
    </main>
  );
}

export function explain(e: unknown): string {
  if (!(e instanceof ApiError)) return `Signing in failed: ${String(e)}`;
  if (e.status === 401) return "No workspace has this key. Was it copied whole, or revoked?";
  return e.status === 0 ? "The server cannot be reached. Is it running?" : e.message;
}
