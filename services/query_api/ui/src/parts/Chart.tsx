// A small line chart over time, with its figures under the pointer.
import { useRef, useState } from "preact/hooks";
import { shortClock } from "../format/time";
import { areaPath, linePath, niceTop } from "./chartPaths";

export interface Series {
  name: string;
  values: readonly (number | null)[];
  /** The class that colours it: `requests`, `errors`, `p50`, `p95`. */
  look: string;
  filled?: boolean;
}

interface Props {
  label: string;
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  height?: number;
}

const WIDTH = 400;

export function Chart({ label, times, series, format, height = 84 }: Props) {
  const [at, setAt] = useState<number | null>(null);
  const frame = useRef<HTMLElement>(null);
  const top = niceTop(Math.max(0, ...series.flatMap((one) => one.values.map((value) => value ?? 0))));
  const point = (event: PointerEvent) => {
    const box = frame.current!.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    setAt(Math.max(0, Math.min(times.length - 1, Math.round(share * (times.length - 1)))));
  };
  const shown = at === null ? times.length - 1 : at;
  return (
    <figure class="chart">
      <figcaption>
        <span>{label}</span>
        <span class="chart-legend">
          {series.map((one) => {
            const value = one.values[shown];
            return (
              <span key={one.name} class="chart-key">
                <i class={`swatch look-${one.look}`} aria-hidden="true" />
                {one.name} <b>{value === null || value === undefined ? "–" : format(value)}</b>
              </span>
            );
          })}
        </span>
      </figcaption>
      <svg
        ref={frame as never}
        viewBox={`0 0 ${WIDTH} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}, from ${shortClock(times[0] ?? 0)} to ${shortClock(times.at(-1) ?? 0)}`}
        onPointerMove={point}
        onPointerLeave={() => setAt(null)}
      >
        <path class="chart-grid" d={`M0 ${height / 2}H${WIDTH}M0 .5H${WIDTH}M0 ${height - 0.5}H${WIDTH}`} />
        {series.map((one) => (
          <g key={one.name} class={`look-${one.look}`}>
            {one.filled && <path class="chart-area" d={areaPath(one.values, top, WIDTH, height)} />}
            <path class="chart-line" d={linePath(one.values, top, WIDTH, height)} />
          </g>
        ))}
        {at !== null && <path class="chart-cursor" d={`M${(at / Math.max(1, times.length - 1)) * WIDTH} 0V${height}`} />}
      </svg>
      <div class="chart-axis faint">
        <span>{shortClock(times[0] ?? 0)}</span>
        <span>{at !== null ? shortClock(times[at] ?? 0) : `up to ${format(top)}`}</span>
        <span>{shortClock(times.at(-1) ?? 0)}</span>
      </div>
    </figure>
  );
}
