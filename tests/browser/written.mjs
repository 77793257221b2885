// Numbers as pages write them, and whether what is shown is what the API says and what is true.
import assert from "node:assert/strict";

export const count = n => (n === null ? "–" : n.toLocaleString("en-US"));
export const confidence = c => (c === null ? "–" : c.toFixed(3));
export const seconds = s =>
  s === null ? "–" : s < 1 ? `${Number((s * 1000).toPrecision(3))} ms` : `${Number(s.toPrecision(3))} s`;
export const changed = (n, before) => {
  const percent = Math.abs((n - before) / before) * 100;
  if (!before || n === before || percent < 0.05) return before ? "no change" : "new";
  if (percent >= 1000) return `▲ ×${Math.round(n / before)}`;
  return `${n > before ? "▲ +" : "▼ −"}${percent < 100 ? percent.toFixed(1) : Math.round(percent)} %`;
};

// Sums are exact but for the order they are added in; a quantile comes from bins (docs/query.md).
export const EXACT = v => 1e-9 * Math.abs(v);
export const BIN = { confidence: () => 0.0006, seconds: v => 0.011 * v };
export function agree(shown, api, true_, write, what, slack = EXACT) {
  if (api === null || true_ === null) assert.equal(api, true_, what);
  else assert.ok(Math.abs(api - true_) <= slack(true_), `${what}: the API says ${api}, the truth is ${true_}`);
  assert.equal(shown, write(api), `${what}, as shown`);
}
