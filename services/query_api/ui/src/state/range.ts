// Which time is shown: live, the last so many seconds, or a fixed span.

export type Range =
  | { kind: "live" }
  | { kind: "last"; seconds: number }
  | { kind: "span"; from: number; to: number };

export const LIVE: Range = { kind: "live" };

export const PRESETS: readonly { label: string; range: Range }[] = [
  { label: "Live", range: LIVE },
  { label: "Last 5 minutes", range: { kind: "last", seconds: 300 } },
  { label: "Last 15 minutes", range: { kind: "last", seconds: 900 } },
  { label: "Last hour", range: { kind: "last", seconds: 3600 } },
  { label: "Last 6 hours", range: { kind: "last", seconds: 21_600 } },
];

/** The parameters that ask the API for the map over *range*; none means live. */
export function mapParams(range: Range): Record<string, string> {
  return range.kind === "live" ? {} : params(range);
}

/** The parameters for lists: live means the last *liveSeconds*. */
export function params(range: Range, liveSeconds = 900): Record<string, string> {
  switch (range.kind) {
    case "live":
      return { from: `-${liveSeconds}s`, to: "now" };
    case "last":
      return { from: `-${range.seconds}s`, to: "now" };
    case "span":
      return { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
  }
}

export function bounds(range: Range, now: number, liveSeconds = 900): { from: number; to: number } {
  switch (range.kind) {
    case "live":
      return { from: now - liveSeconds * 1000, to: now };
    case "last":
      return { from: now - range.seconds * 1000, to: now };
    case "span":
      return { from: range.from, to: range.to };
  }
}

/** Which time a list covers, in words. */
export function rangeWords(range: Range, liveSeconds = 900): string {
  if (range.kind === "span") return "in the chosen time";
  const seconds = range.kind === "last" ? range.seconds : liveSeconds;
  if (seconds % 3600 === 0) return seconds === 3600 ? "in the last hour" : `in the last ${seconds / 3600} hours`;
  return seconds % 60 === 0 ? `in the last ${seconds / 60} minutes` : `in the last ${seconds} seconds`;
}

export function writeRange(range: Range): string {
  switch (range.kind) {
    case "live":
      return "live";
    case "last":
      return `${range.seconds}s`;
    case "span":
      return `${range.from}-${range.to}`;
  }
}

/** Reads what `writeRange` wrote; anything else is live. */
export function readRange(text: string | null): Range {
  const last = /^(\d{1,8})s$/.exec(text ?? "");
  if (last) return { kind: "last", seconds: Math.max(10, Number(last[1])) };
  const fixed = /^(\d{12,14})-(\d{12,14})$/.exec(text ?? "");
  if (fixed && Number(fixed[1]) < Number(fixed[2])) {
    return { kind: "span", from: Number(fixed[1]), to: Number(fixed[2]) };
  }
  return LIVE;
}
