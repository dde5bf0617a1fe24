// Figures for people: three significant digits, a unit, and a dash for what is not known.

export const UNKNOWN = "–";

const THIN = "\u202f";

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1).replace(/\.0$/, "");
  return value.toFixed(2).replace(/\.?0+$/, "");
}

function scaled(value: number, step: number, units: readonly string[]): string {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= step * 0.9995 && unit < units.length - 1) {
    size /= step;
    unit += 1;
  }
  return digits(size) + (units[unit] ? THIN + units[unit] : "");
}

export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, THIN);
}

export function short(value: number): string {
  return scaled(value, 1000, ["", "k", "M", "G"]);
}

export function rate(perSecond: number): string {
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.01) return "<0.01/s";
  return short(perSecond) + "/s";
}

export function ratio(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value === 0) return "0" + THIN + "%";
  if (value < 0.0001) return "<0.01" + THIN + "%";
  return digits(value * 100) + THIN + "%";
}

/** A share where there is little room: `4.7 %`, `51 %`. */
export function share(value: number | null): string {
  if (value === null) return UNKNOWN;
  const percent = value * 100;
  return (percent >= 9.95 ? percent.toFixed(0) : percent.toFixed(1)) + THIN + "%";
}

export function duration(seconds: number | null): string {
  if (seconds === null) return UNKNOWN;
  if (seconds === 0) return "0" + THIN + "s";
  if (seconds < 0.9995e-3) return digits(seconds * 1e6) + THIN + "µs";
  if (seconds < 0.9995) return digits(seconds * 1e3) + THIN + "ms";
  if (seconds < 120) return digits(seconds) + THIN + "s";
  if (seconds < 7200) return digits(seconds / 60) + THIN + "min";
  if (seconds < 172_800) return digits(seconds / 3600) + THIN + "h";
  return digits(seconds / 86_400) + THIN + "d";
}

export function bytes(value: number): string {
  return scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);
}

export function bytesPerSecond(value: number): string {
  return bytes(value) + "/s";
}

/** A signal's value in the unit that the API names. */
export function withUnit(value: number, unit: string): string {
  switch (unit) {
    case "ratio":
      return ratio(value);
    case "s":
      return duration(value);
    case "1/s":
      return rate(value);
    case "1":
    case "":
      return short(value);
    default:
      return digits(value) + THIN + unit;
  }
}

export function plural(number: number, word: string): string {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

/** The words of a machine name: `map_full` reads `map full`. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

export function shortened(text: string, characters: number): string {
  return text.length <= characters ? text : text.slice(0, Math.max(1, characters - 1)).trimEnd() + "…";
}

const NOTABLE = 0.01;

/** The class for a share of errors: loud from one percent on. */
export function errorLook(share: number | null): string {
  if (share === null || share === 0) return "faint";
  return share >= NOTABLE ? "bad" : "";
}
