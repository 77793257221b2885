// What charts need to know about time series.

// The part of a bucket that lies inside the range: what its point stands for.
export function bucketWindow(time: number, width: number, from: number, to: number): { from: string; to: string } {
  return {
    from: new Date(Math.max(time, from)).toISOString(),
    to: new Date(Math.max(Math.min(time + width, to), time)).toISOString(),
  };
}

// The points of a sparkline in a box of 100 by 24; a gap breaks the line.
export function sparkline(values: (number | null)[], zero: boolean): string {
  const known = values.filter((v): v is number => v !== null);
  if (!known.length) return "";
  const low = zero ? 0 : Math.min(...known),
    high = Math.max(...known),
    step = 100 / Math.max(values.length - 1, 1);
  const y = (v: number) => (high === low ? (zero ? 23 : 12) : 23 - ((v - low) / (high - low)) * 22);
  let d = "",
    pen = false;
  values.forEach((v, i) => {
    if (v === null) {
      pen = false;
      return;
    }
    d += `${pen ? "L" : "M"}${(i * step).toFixed(1)} ${y(v).toFixed(1)}`;
    // A point with a gap on both sides would not be seen as a line of no length.
    if (!pen && (values[i + 1] ?? null) === null) d += "h0.1";
    pen = true;
  });
  return d;
}

// Where a value stands between gaps: a line does not show it, so it is drawn as a dot.
export function alone(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i++)
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  return found;
}

// Sums from the first to each: what is drawn so that one stands on the other. A gap is a gap where all have one.
export function stacked(all: (number | null)[][]): (number | null)[][] {
  const out: (number | null)[][] = [];
  for (const values of all) {
    const below = out[out.length - 1];
    out.push(values.map((v, i) => (v === null && (below?.[i] ?? null) === null ? null : (v ?? 0) + (below?.[i] ?? 0))));
  }
  return out;
}
