// Times for people, in the zone of the browser.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const SHORT_CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

export function clock(at: number | string): string {
  return CLOCK.format(new Date(at));
}

export function shortClock(at: number | string): string {
  return SHORT_CLOCK.format(new Date(at));
}

export function moment(at: number | string, now: number): string {
  const date = new Date(at);
  const today = new Date(now).toDateString() === date.toDateString();
  return today ? clock(at) : `${DAY.format(date)}, ${shortClock(at)}`;
}

export function ago(at: number | string, now: number): string {
  const seconds = Math.max(0, (now - new Date(at).getTime()) / 1000);
  return `${span(seconds)} ago`;
}

/** A length of time in whole units: `95 s`, `12 min`, `3 h 20 min`. */
export function span(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** What `<input type="datetime-local">` holds. */
export function toLocalInput(at: number): string {
  const date = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19);
}
