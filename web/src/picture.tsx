// The picture with what was found in it, drawn here from the stored predictions. Without a picture the shapes stand on
// an empty frame; without shapes (most records of a migrated fleet) the classes are bars.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Inference, Prediction } from "./api";
import { confidence } from "./format";
import { maskPath, panned, polygonPath, skeletonPath, WHOLE, zoomed, type Look } from "./overlay";
import "./picture.css";
import { Icon } from "./ui";

export const COLOURS = 8;

// A class has the same colour wherever the same classes are together.
export function colours(predictions: Prediction[]): (name: string) => number {
  const order = [...new Set(predictions.map(p => p.class))].sort();
  return name => Math.max(order.indexOf(name), 0) % COLOURS;
}

export function placed(p: Prediction): p is Prediction & { x: number; y: number; width: number; height: number } {
  return p.x !== null && p.y !== null && p.width !== null && p.height !== null;
}

export function drawable(p: Prediction): boolean {
  return placed(p) || p.points.length > 2 || p.keypoints.length > 0 || p.mask !== null;
}

interface Size {
  width: number;
  height: number;
}

// The size that is known, else the picture's, else the room its shapes take.
function frame(
  given: { width: number | null; height: number | null } | null,
  predictions: Prediction[],
  natural: Size | null,
): Size {
  if (given?.width && given.height) return { width: given.width, height: given.height };
  if (natural) return natural;
  const corners = predictions.flatMap(p => [
    ...(placed(p) ? [{ x: p.x + p.width / 2, y: p.y + p.height / 2 }] : []),
    ...p.points,
    ...p.keypoints,
    ...(p.mask ? [{ x: p.mask.width, y: p.mask.height }] : []),
  ]);
  return {
    width: corners.reduce((most, c) => Math.max(most, c.x), 1),
    height: corners.reduce((most, c) => Math.max(most, c.y), 1),
  };
}

function Shape({ p, tone, size }: { p: Prediction; tone: string; size: Size }) {
  const mask = useMemo(() => (p.mask ? maskPath(p.mask) : ""), [p.mask]);
  return (
    <g class={tone}>
      {p.mask && (
        <path class="mask" d={mask} transform={`scale(${size.width / p.mask.width} ${size.height / p.mask.height})`} />
      )}
      {p.points.length > 2 && <path class="outline" d={polygonPath(p.points)} />}
      {p.keypoints.length > 0 && <path class="joints" d={skeletonPath(p.keypoints)} />}
      {p.keypoints.map((k, i) => (
        <path
          key={i}
          class={k.confidence !== null && k.confidence < 0.3 ? "keypoint unsure" : "keypoint"}
          d={`M${k.x} ${k.y}h0`}
        />
      ))}
    </g>
  );
}

export function Picture({
  row,
  predictions = row.predictions,
  size: given,
  visible,
  colour,
  hover,
  onHover,
}: {
  row: Inference;
  predictions?: Prediction[];
  size?: { width: number | null; height: number | null } | null; // of the picture the predictions are of, if another
  visible: number[];
  colour: (name: string) => number;
  hover: number | null;
  onHover: (i: number | null) => void;
}) {
  const [failed, setFailed] = useState(false),
    [natural, setNatural] = useState<Size | null>(null);
  const box = useRef<HTMLDivElement>(null),
    { look, turn, drag } = useLook(box);
  const size = frame(given === undefined ? row.image : given, predictions, natural),
    picture = row.image.url !== null && !failed;
  const percent = (v: number, of: number) => `${(v / of) * 100}%`;
  const tone = (i: number) =>
    `c${colour(predictions[i]!.class)}${hover === i ? " hover" : hover !== null ? " faint" : ""}`;
  const keys: Record<string, (l: Look) => Look> = {
    "+": l => zoomed(l, 1.5),
    "=": l => zoomed(l, 1.5),
    "-": l => zoomed(l, 1 / 1.5),
    "0": () => WHOLE,
    ArrowLeft: l => panned(l, 0.1, 0),
    ArrowRight: l => panned(l, -0.1, 0),
    ArrowUp: l => panned(l, 0, 0.1),
    ArrowDown: l => panned(l, 0, -0.1),
  };
  return (
    <div
      class="viewer"
      style={{
        aspectRatio: `${size.width} / ${size.height}`,
        maxWidth: `min(100%, calc(72vh * ${size.width / size.height}))`,
      }}
    >
      <div
        class={`picture${picture ? "" : " blank"}${look.zoom > 1 ? " close" : ""}`}
        ref={box}
        tabIndex={0}
        role="group"
        aria-label="Picture with what was found. + and - zoom, arrows move, 0 shows all of it"
        onKeyDown={e => {
          const act = keys[e.key];
          if (!act || e.ctrlKey || e.metaKey || e.altKey || (look.zoom === 1 && e.key.startsWith("Arrow"))) return;
          e.preventDefault();
          turn(act);
        }}
        {...drag}
      >
        <div
          class="stage"
          style={{
            width: percent(look.zoom, 1),
            height: percent(look.zoom, 1),
            left: percent(look.x, 1),
            top: percent(look.y, 1),
          }}
        >
          {picture ? (
            <img
              src={row.image.url!}
              alt={`The picture of this inference, ${predictions.length} detections`}
              draggable={false}
              onError={() => setFailed(true)}
              onLoad={e =>
                setNatural({ width: e.currentTarget.naturalWidth || 1, height: e.currentTarget.naturalHeight || 1 })
              }
            />
          ) : (
            <p>{failed ? "The picture could not be loaded" : "No picture kept"}</p>
          )}
          <svg viewBox={`0 0 ${size.width} ${size.height}`} preserveAspectRatio="none" aria-hidden="true">
            {visible.map(i => (
              <Shape key={i} p={predictions[i]!} tone={tone(i)} size={size} />
            ))}
          </svg>
          {visible.map(i => {
            const p = predictions[i]!;
            if (!placed(p)) return null;
            const top = p.y - p.height / 2;
            return (
              <div
                key={i}
                class={`found ${tone(i)}`}
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
      </div>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => turn(l => zoomed(l, 1.5))}>
          <Icon name="plus" />
        </button>
        <button
          type="button"
          aria-label="Zoom out"
          title="Zoom out (-)"
          disabled={look.zoom === 1}
          onClick={() => turn(l => zoomed(l, 1 / 1.5))}
        >
          <Icon name="minus" />
        </button>
        <button type="button" title="All of it (0)" disabled={look.zoom === 1} onClick={() => turn(() => WHOLE)}>
          {look.zoom === 1 ? "Fit" : `${Math.round(look.zoom * 100)} %`}
        </button>
      </div>
    </div>
  );
}

// The wheel zooms once the picture is zoomed, or with Ctrl; before that it scrolls the page, as anywhere else.
function useLook(box: { current: HTMLDivElement | null }) {
  const [look, setLook] = useState(WHOLE);
  const latest = useRef(look),
    from = useRef<{ x: number; y: number } | null>(null);
  latest.current = look;
  const turn = (how: (l: Look) => Look) => setLook(how);
  const at = (e: MouseEvent) => {
    const r = box.current!.getBoundingClientRect();
    return { x: (e.clientX - r.left) / r.width, y: (e.clientY - r.top) / r.height };
  };
  useEffect(() => {
    const e = box.current;
    const wheel = (w: WheelEvent) => {
      if (!w.ctrlKey && !w.metaKey && latest.current.zoom === 1) return;
      w.preventDefault();
      const { x, y } = at(w);
      turn(l => zoomed(l, Math.exp(-w.deltaY / 300), x, y));
    };
    e?.addEventListener("wheel", wheel, { passive: false });
    return () => e?.removeEventListener("wheel", wheel);
  }, []);
  return {
    look,
    turn,
    drag: {
      onDblClick: (e: MouseEvent) => {
        const { x, y } = at(e);
        turn(l => zoomed(l, 2, x, y));
      },
      onPointerDown: (e: PointerEvent) => {
        if (e.button !== 0 || latest.current.zoom === 1) return;
        from.current = at(e);
        (e.currentTarget as Element).setPointerCapture(e.pointerId);
      },
      onPointerMove: (e: PointerEvent) => {
        const before = from.current;
        if (!before) return;
        const now = at(e);
        from.current = now;
        turn(l => panned(l, now.x - before.x, now.y - before.y));
      },
      onPointerUp: () => (from.current = null),
      onPointerCancel: () => (from.current = null),
    },
  };
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
