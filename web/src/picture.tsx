// The picture with what was found in it, drawn here from the stored predictions. Without a picture the boxes stand on
// an empty frame; without boxes (most records of a migrated fleet) the classes are bars.
import { useState } from "preact/hooks";
import type { Inference, Prediction } from "./api";
import { confidence } from "./format";

export function placed(p: Prediction): p is Prediction & { x: number; y: number; width: number; height: number } {
  return p.x !== null && p.y !== null && p.width !== null && p.height !== null;
}

// The record's size if it has one, else the room its boxes take.
function frame(r: Inference, natural: { width: number; height: number } | null): { width: number; height: number } {
  if (r.image.width && r.image.height) return { width: r.image.width, height: r.image.height };
  if (natural) return natural;
  const boxes = r.predictions.filter(placed);
  return {
    width: Math.max(1, ...boxes.map(b => b.x + b.width / 2)),
    height: Math.max(1, ...boxes.map(b => b.y + b.height / 2)),
  };
}

export function Picture({
  row,
  visible,
  colour,
  hover,
  onHover,
}: {
  row: Inference;
  visible: number[];
  colour: (name: string) => number;
  hover: number | null;
  onHover: (i: number | null) => void;
}) {
  const [failed, setFailed] = useState(false),
    [natural, setNatural] = useState<{ width: number; height: number } | null>(null);
  const size = frame(row, natural),
    picture = row.image.url !== null && !failed;
  const percent = (v: number, of: number) => `${(v / of) * 100}%`;
  return (
    <div
      class={picture ? "picture" : "picture blank"}
      style={{
        aspectRatio: `${size.width} / ${size.height}`,
        maxWidth: `min(100%, calc(72vh * ${size.width / size.height}))`,
      }}
    >
      {picture ? (
        <img
          src={row.image.url!}
          alt={`The picture of this inference, ${row.predictions.length} detections`}
          onError={() => setFailed(true)}
          onLoad={e =>
            setNatural({ width: e.currentTarget.naturalWidth || 1, height: e.currentTarget.naturalHeight || 1 })
          }
        />
      ) : (
        <p>{failed ? "The picture could not be loaded" : "No picture kept"}</p>
      )}
      <svg viewBox={`0 0 ${size.width} ${size.height}`} preserveAspectRatio="none" aria-hidden="true">
        {visible.map(i => {
          const p = row.predictions[i]!;
          return (
            p.points.length > 2 && (
              <polygon
                key={i}
                class={`c${colour(p.class)}${hover === i ? " hover" : ""}`}
                points={p.points.map(q => `${q.x},${q.y}`).join(" ")}
              />
            )
          );
        })}
      </svg>
      {visible.map(i => {
        const p = row.predictions[i]!;
        if (!placed(p)) return null;
        const top = p.y - p.height / 2;
        return (
          <div
            key={i}
            class={`found c${colour(p.class)}${hover === i ? " hover" : hover !== null ? " faint" : ""}`}
            style={{
              left: percent(p.x - p.width / 2, size.width),
              top: percent(top, size.height),
              width: percent(p.width, size.width),
              height: percent(p.height, size.height),
            }}
            onPointerEnter={() => onHover(i)}
            onPointerLeave={() => onHover(null)}
          >
            <span class={top / size.height < 0.05 ? "inside" : undefined}>
              {p.class} {p.confidence !== null && <b>{p.confidence.toFixed(2)}</b>}
            </span>
          </div>
        );
      })}
    </div>
  );
}

export function Bars({ row, colour }: { row: Inference; colour: (name: string) => number }) {
  const classes = new Map<string, { n: number; top: number | null }>();
  for (const p of row.predictions) {
    const c = classes.get(p.class) ?? { n: 0, top: null };
    classes.set(p.class, { n: c.n + 1, top: p.confidence === null ? c.top : Math.max(c.top ?? 0, p.confidence) });
  }
  return (
    <ul class="bars" aria-label="Classes found, by top confidence">
      {[...classes]
        .sort((a, b) => (b[1].top ?? -1) - (a[1].top ?? -1))
        .map(([name, c]) => (
          <li key={name}>
            <span class="clip" title={name}>
              {name}
              {c.n > 1 && <b> × {c.n}</b>}
            </span>
            <span class={`bar c${colour(name)}`}>
              <i style={{ width: `${Math.max(0, Math.min(1, c.top ?? 0)) * 100}%` }} />
            </span>
            <span class="num">{confidence(c.top)}</span>
          </li>
        ))}
    </ul>
  );
}
