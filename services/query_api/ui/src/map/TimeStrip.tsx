// The strip under the map: traffic of one service, times of trouble as bars, and a span to choose by dragging.
import { useRef, useState } from "preact/hooks";
import { all, get, part } from "../api/client";
import { useQuery } from "../api/query";
import type { Anomaly, TimeLine } from "../api/types.gen";
import { rate } from "../format/numbers";
import { clock, shortClock } from "../format/time";
import { areaPath, linePath, niceTop } from "../parts/chartPaths";
import { isTrouble, rank } from "../state/levels";
import { bounds } from "../state/range";
import { goLive, isLive, nameOf, now, range, selection, setRange, topology } from "../state/store";
import { pickedSpan, stripWindow } from "./strip";

const HEIGHT = 34;
const WIDTH = 1000;
const EVERY_MS = 10_000;

export function TimeStrip() {
  const map = topology.value;
  const shown = subject();
  // Whole steps, so that the question changes only every ten seconds.
  const at = Math.floor(now.value / EVERY_MS) * EVERY_MS;
  const frame = stripWindow(range.value, at);
  const ask = { from: new Date(frame.from).toISOString(), to: new Date(frame.to).toISOString() };
  const line = useQuery(
    `strip ${shown}`,
    (signal) => (shown ? get<TimeLine>(`services/${part(shown)}/timeline`, ask, signal) : Promise.resolve(null)),
    0,
    `${frame.from} ${frame.to}`,
  );
  const trouble = useQuery(
    "strip anomalies",
    (signal) => all<Anomaly>("anomalies", ask, 300, signal),
    0,
    `${frame.from} ${frame.to}`,
  );
  if (!map || map.services.length === 0) return null;
  const values = line.data?.points.map((point) => point.rates.requests_per_s) ?? [];
  const failed = line.data?.points.map((point) => point.rates.errors / line.data!.step_s) ?? [];
  const top = niceTop(Math.max(0, ...values));
  return (
    <section class="strip" aria-label="Time line">
      <p class="strip-title faint">
        {shown ? <>{nameOf(shown)}<br />{values.length ? `up to ${rate(Math.max(...values))}` : ""}</> : "Time line"}
      </p>
      <Track frame={frame}>
        {values.length > 1 && (
          <>
            <path class="chart-area look-requests" d={areaPath(values, top, WIDTH, HEIGHT)} />
            <path class="chart-line look-requests" d={linePath(values, top, WIDTH, HEIGHT)} />
            <path class="chart-area look-errors" d={areaPath(failed, top, WIDTH, HEIGHT)} />
          </>
        )}
        {(trouble.data ?? []).filter((one) => isTrouble(one.level)).sort((a, b) => rank(a.level) - rank(b.level)).map((one) => (
          <Trouble key={`${one.entity} ${one.started}`} anomaly={one} frame={frame} />
        ))}
      </Track>
      <button type="button" class="button" disabled={isLive.value} onClick={goLive}>
        Live
      </button>
    </section>
  );
}

/** The service whose traffic is drawn: the chosen one, or the one that most requests enter by. */
function subject(): string {
  const chosen = selection.value;
  if (chosen?.kind === "service") return chosen.id;
  const map = topology.value;
  if (!map) return "";
  const inner = new Set(map.relations.filter((one) => kindOf(one.source) !== "client").map((one) => one.target));
  const entries = map.services.filter((one) => !inner.has(one.id) && one.kind !== "client");
  const busiest = (entries.length ? entries : map.services).reduce<(typeof entries)[number] | null>(
    (best, one) => (best && best.provided.requests_per_s >= one.provided.requests_per_s ? best : one),
    null,
  );
  return busiest?.id ?? "";
}

function kindOf(id: string): string {
  return topology.value?.services.find((one) => one.id === id)?.kind ?? "";
}

type Frame = { from: number; to: number };

function place(at: number, frame: Frame): number {
  return Math.max(0, Math.min(WIDTH, ((at - frame.from) / (frame.to - frame.from)) * WIDTH));
}

function Trouble({ anomaly, frame }: { anomaly: Anomaly; frame: Frame }) {
  const start = place(Date.parse(anomaly.started), frame);
  const end = place(anomaly.ended ? Date.parse(anomaly.ended) : frame.to, frame);
  return <rect class={`strip-trouble fill-${anomaly.level}`} x={start} y={HEIGHT - 3.5} width={Math.max(2.5, end - start)} height="3.5" />;
}

function Track({ frame, children }: { frame: Frame; children: preact.ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<{ start: number; end: number } | null>(null);
  const timeAt = (event: PointerEvent) => {
    const { left, width } = box.current!.getBoundingClientRect();
    return frame.from + Math.max(0, Math.min(1, (event.clientX - left) / width)) * (frame.to - frame.from);
  };
  const chosen = bounds(range.value, frame.to, 10);
  const shown = drag ? { from: Math.min(drag.start, drag.end), to: Math.max(drag.start, drag.end) } : chosen;
  const [x, end] = [place(shown.from, frame), place(shown.to, frame)];
  const release = () => {
    const span = drag && pickedSpan(drag.start, drag.end, frame);
    setDrag(null);
    if (span) setRange({ kind: "span", ...span });
  };
  return (
    <div class="strip-track" ref={box}>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`From ${clock(frame.from)} to ${clock(frame.to)}. The time menu chooses a span by keyboard.`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ start: timeAt(event), end: timeAt(event) });
        }}
        onPointerMove={(event) => drag && setDrag({ start: drag.start, end: timeAt(event) })}
        onPointerUp={release}
        onPointerCancel={() => setDrag(null)}
      >
        <rect class="strip-ground" width={WIDTH} height={HEIGHT} />
        {children}
        <rect class="strip-chosen" x={Math.min(x, WIDTH - 3)} y="0" width={Math.max(3, end - x)} height={HEIGHT} />
      </svg>
      <div class="chart-axis faint">
        {[0, 0.25, 0.5, 0.75, 1].map((share) => (
          <span key={share}>{shortClock(frame.from + share * (frame.to - frame.from))}</span>
        ))}
      </div>
    </div>
  );
}
