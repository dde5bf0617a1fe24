// Which time the strip under the map covers, and what a drag on it chooses. Pure.
import type { Range } from "../state/range";

const HOUR_MS = 3_600_000;
const LEAST_MS = 10_000;

/** An hour up to *now*; where a longer or older time is chosen, that time with some room around it. */
export function stripWindow(range: Range, now: number): { from: number; to: number } {
  if (range.kind === "span") {
    const room = Math.max(HOUR_MS / 4, (range.to - range.from) / 2);
    if (range.from >= now - HOUR_MS) return { from: now - HOUR_MS, to: now };
    return { from: range.from - room, to: Math.min(now, range.to + room) };
  }
  const seconds = range.kind === "last" ? range.seconds : 0;
  return { from: now - Math.max(HOUR_MS, seconds * 1000), to: now };
}

/** The span of a drag in whole windows of 10 s; null for a mere click. */
export function pickedSpan(start: number, end: number, frame: { from: number; to: number }): { from: number; to: number } | null {
  const [from, to] = start < end ? [start, end] : [end, start];
  if (to - from < (frame.to - frame.from) * 0.004) return null;
  const first = Math.floor(from / LEAST_MS) * LEAST_MS;
  return { from: first, to: Math.max(first + LEAST_MS, Math.ceil(to / LEAST_MS) * LEAST_MS) };
}
