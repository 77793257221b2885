// Confidence of the top detection: how often each value, now and before (or of two versions), as shares, so that ranges
// of different traffic can be compared. Each bar opens its inferences.
import { useRef } from "preact/hooks";
import { toCsv } from "../csv";
import { Exports, histogramPng } from "../exporting";
import { count } from "../format";
import { BIN, distance, type Bins } from "./mix";

const percent = (x: number): string => `${(x * 100).toFixed(1)} %`;

export function Histogram({
  now,
  base,
  link,
}: {
  now: Bins;
  base: Bins;
  link: (from: number, to: number, base: boolean) => string;
}) {
  const svg = useRef<SVGSVGElement>(null);
  const share = (b: Bins, i: number) => (b.total ? b.counts[i]! / b.total : 0),
    top = Math.max(0.01, ...now.counts.map((_, i) => Math.max(share(now, i), share(base, i)))),
    n = now.counts.length,
    y = (s: number) => 100 - (s / top) * 96;
  const apart = distance(now, base);
  let outline = `M0 100`;
  base.counts.forEach((_, i) => (outline += `L${i * 10} ${y(share(base, i))}L${(i + 1) * 10} ${y(share(base, i))}`));
  const from = (i: number) => Math.round(i * BIN * 100) / 100;
  const source = () => ({
    csv: () =>
      toCsv(
        ["from", "to", now.name, base.name],
        now.counts.map((c, i) => [from(i), from(i + 1), c, base.counts[i]!]),
      ),
    png: () => histogramPng("Confidence of the top detection", now, base),
  });
  return (
    <figure class="chart histogram">
      <figcaption>
        <h3>Confidence of the top detection</h3>
        <output>
          {apart !== null && (
            <span title="Half the sum of the differences of the bars: 0 % the same, 100 % nothing in common">
              {percent(apart)} apart
            </span>
          )}
        </output>
        <Exports name="confidence-histogram" what="the histogram" source={source} />
      </figcaption>
      <ul class="legend">
        <li>
          <i class="key accent" /> {now.name} <b>{count(now.total)}</b>
        </li>
        <li>
          <i class="key dashed ink" /> {base.name} <b>{count(base.total)}</b>
        </li>
      </ul>
      <svg ref={svg} viewBox={`0 0 ${n * 10} 100`} preserveAspectRatio="none" class="bins">
        {now.counts.map((c, i) => (
          <a key={i} href={link(from(i), from(i + 1), c === 0 && base.counts[i]! > 0)}>
            <title>
              {`${from(i).toFixed(2)} to ${from(i + 1).toFixed(2)}: ${count(c)} (${percent(share(now, i))}); ` +
                `${base.name}: ${count(base.counts[i]!)} (${percent(share(base, i))})`}
            </title>
            <rect class="hit" x={i * 10} y={0} width={10} height={100} />
            <rect x={i * 10 + 0.6} y={y(share(now, i))} width={8.8} height={100 - y(share(now, i))} />
          </a>
        ))}
        {base.total > 0 && <path d={outline} />}
      </svg>
      <div class="scale" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75, 1].map(v => (
          <span key={v}>{v.toFixed(2)}</span>
        ))}
      </div>
      {now.total === 0 && base.total === 0 && <p class="blank">– no confidence in this range</p>}
    </figure>
  );
}
