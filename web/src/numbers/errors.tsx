// A number of errors, and behind it just those: inferences with an error in the list, and what servers only counted on
// the page Fleet, where that number stands again. Where there are both, each is a number of its own.
import { compact } from "../format";
import { ANY, fleetLink } from "../url";
import type { Window } from "./load";

export const COUNTED = "Counted by servers: they are no inferences, the page Fleet has what is known of them";

export const failuresLink = (w: Window | null | undefined): string =>
  `${fleetLink({ ...ANY, from: w?.from ?? null, to: w?.to ?? null })}#failures`;

export function Errors({
  all,
  counted,
  list,
  failures,
  kind,
}: {
  all: number | null;
  counted: number; // of all, by servers
  list: string;
  failures: string;
  kind: string; // class of the links
}) {
  const stored = (all ?? 0) - counted;
  return (
    <span class="sum">
      {(stored > 0 || !counted) && (
        <a class={kind} href={list} title="Open what is behind this number">
          {compact(all === null ? null : stored)}
        </a>
      )}
      {stored > 0 && counted > 0 && " + "}
      {counted > 0 && (
        <a class={kind} href={failures} title={COUNTED}>
          {compact(counted)}
        </a>
      )}
    </span>
  );
}
