// Shapes of stored predictions, as paths that are drawn over the picture in its own pixels.

// Run lengths of a mask, column by column, beginning with what is outside: as a list of numbers or in COCO's
// compressed string (pycocotools, rleFrString: six bits a character from "0" on, five of them value, differences to the
// run before the last from the fourth on).
export interface Mask {
  height: number;
  width: number;
  counts: string | number[];
}

export function runs(counts: string | number[]): number[] {
  if (typeof counts !== "string") return counts;
  const out: number[] = [];
  for (let at = 0; at < counts.length;) {
    let value = 0,
      shift = 0;
    for (let more = true; more && at < counts.length; shift += 5) {
      const c = counts.charCodeAt(at++) - 48;
      value |= (c & 0x1f) << shift;
      more = (c & 0x20) !== 0;
      if (!more && c & 0x10) value |= -1 << (shift + 5);
    }
    if (out.length > 2) value += out[out.length - 2]!;
    out.push(value);
  }
  return out;
}

// A mask as upright strips, one for each piece of a column; whole columns that follow each other are one. Empty where
// the runs are not a mask.
export function maskPath({ height, width, counts }: Mask): string {
  const pieces: string[] = [];
  let at = 0,
    inside = false;
  for (const run of runs(counts)) {
    if (run < 0 || !Number.isFinite(run) || at + run > height * width) return "";
    if (inside) {
      for (let from = at; from < at + run;) {
        const x = Math.floor(from / height),
          y = from % height,
          left = at + run - from;
        const columns = y === 0 && left >= height ? Math.floor(left / height) : 0,
          tall = columns ? height : Math.min(left, height - y),
          wide = columns || 1;
        pieces.push(`M${x} ${y}h${wide}v${tall}h${-wide}z`);
        from += tall * wide;
      }
    }
    at += run;
    inside = !inside;
  }
  return pieces.join("");
}

export interface Point {
  x: number;
  y: number;
}

export const polygonPath = (points: Point[]): string =>
  points.length > 2 ? `M${points.map(p => `${p.x} ${p.y}`).join("L")}z` : "";

export interface Keypoint extends Point {
  name: string;
  confidence: number | null;
}

// Who is joined with whom in the poses of COCO; other keypoints stay points.
const JOINTS: [string, string][] = [
  ["nose", "left_eye"],
  ["nose", "right_eye"],
  ["left_eye", "left_ear"],
  ["right_eye", "right_ear"],
  ["left_shoulder", "right_shoulder"],
  ["left_shoulder", "left_elbow"],
  ["left_elbow", "left_wrist"],
  ["right_shoulder", "right_elbow"],
  ["right_elbow", "right_wrist"],
  ["left_shoulder", "left_hip"],
  ["right_shoulder", "right_hip"],
  ["left_hip", "right_hip"],
  ["left_hip", "left_knee"],
  ["left_knee", "left_ankle"],
  ["right_hip", "right_knee"],
  ["right_knee", "right_ankle"],
];

export function skeletonPath(points: Keypoint[]): string {
  const of = new Map(points.map(p => [p.name.replace(/[ -]/g, "_"), p]));
  return JOINTS.flatMap(([a, b]) => {
    const p = of.get(a),
      q = of.get(b);
    return p && q ? [`M${p.x} ${p.y}L${q.x} ${q.y}`] : [];
  }).join("");
}

// Where a picture stands in its frame: how many times larger than the frame, and its corner in frame widths and heights.
export interface Look {
  zoom: number;
  x: number;
  y: number;
}

export const WHOLE: Look = { zoom: 1, x: 0, y: 0 };
const MOST = 16;

const within = (v: number, zoom: number): number => Math.min(0, Math.max(1 - zoom, v));

// Zooms so that what is at (x, y) of the frame, both 0 to 1, stays there.
export function zoomed(look: Look, by: number, x = 0.5, y = 0.5): Look {
  const zoom = Math.min(MOST, Math.max(1, look.zoom * by)),
    scale = zoom / look.zoom;
  return { zoom, x: within(x - (x - look.x) * scale, zoom), y: within(y - (y - look.y) * scale, zoom) };
}

export function panned(look: Look, dx: number, dy: number): Look {
  return { ...look, x: within(look.x + dx, look.zoom), y: within(look.y + dy, look.zoom) };
}
