// What a workspace is set to: its keys, how long it keeps, its shifts, which pictures it asks for; and the lists of what
// people saved, marked and did.
import type { ComponentChildren } from "preact";
import { Activity } from "../settings/activity";
import { Capture } from "../settings/capture";
import { Keys } from "../settings/keys";
import { Markers } from "../settings/markers";
import { Retention } from "../settings/retention";
import { Shifts } from "../settings/shifts";
import { Views } from "../settings/views";
import { settingsLink } from "../url";
import "./settings.css";

const SECTIONS: { id: string; title: string; what: string; draw: () => ComponentChildren }[] = [
  { id: "keys", title: "Keys", what: "Who may send and read.", draw: () => <Keys /> },
  {
    id: "retention",
    title: "Retention",
    what: "How long inferences, their metadata and pictures are kept.",
    draw: () => <Retention />,
  },
  {
    id: "shifts",
    title: "Shifts",
    what: "What “this shift” and “last shift” mean, for everybody in this workspace.",
    draw: () => <Shifts />,
  },
  {
    id: "pictures",
    title: "Picture capture",
    what: "Of which inferences stock Inference servers send the picture. They ask for these rules themselves.",
    draw: () => <Capture />,
  },
  { id: "views", title: "Saved views", what: "Filters under a name, as links.", draw: () => <Views /> },
  {
    id: "markers",
    title: "Markers",
    what: "What happened when, on every time chart. New versions of a model mark themselves.",
    draw: () => <Markers />,
  },
  {
    id: "activity",
    title: "Activity",
    what: "Who attached, reviewed, deleted or changed what.",
    draw: () => <Activity />,
  },
];

export function Settings({ section }: { section: string | null }) {
  const shown = SECTIONS.find(s => s.id === section) ?? SECTIONS[0]!;
  return (
    <main id="main" class="page settings" aria-busy="false">
      <header class="head">
        <h1>Settings</h1>
      </header>
      <div class="sections">
        <nav aria-label="Settings">
          {SECTIONS.map(s => (
            <a key={s.id} href={settingsLink(s.id)} aria-current={s === shown ? "page" : undefined}>
              {s.title}
            </a>
          ))}
        </nav>
        <section aria-labelledby="section-title" key={shown.id}>
          <header>
            <h2 id="section-title">{shown.title}</h2>
            <p class="hint">{shown.what}</p>
          </header>
          {shown.draw()}
        </section>
      </div>
    </main>
  );
}
