// The paths of a line chart. Pure; null is a gap, never 0.

/** The top of the axis: 1, 2 or 5 times a power of ten, at least *most*. */
export function niceTop(most: number): number {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const lead = most / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10) * power;
}

type Value = number | null;

function runs(values: readonly Value[]): { from: number; values: number[] }[] {
  const found: { from: number; values: number[] }[] = [];
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    if (!open) found.push({ from: index, values: [] });
    found.at(-1)!.values.push(value);
    open = true;
  });
  return found;
}

function points(run: { from: number; values: number[] }, total: number, top: number, width: number, height: number) {
  const step = width / Math.max(1, total - 1);
  return run.values.map((value, index) => {
    const y = height - 1 - (Math.min(value, top) / top) * (height - 3);
    return `${((run.from + index) * step).toFixed(1)} ${y.toFixed(1)}`;
  });
}

export function linePath(values: readonly Value[], top: number, width: number, height: number): string {
  return runs(values)
    .map((run) => {
      const drawn = points(run, values.length, top, width, height);
      return drawn.length === 1 ? `M${drawn[0]}h2` : `M${drawn.join("L")}`;
    })
    .join("");
}

export function areaPath(values: readonly Value[], top: number, width: number, height: number): string {
  const step = width / Math.max(1, values.length - 1);
  return runs(values)
    .map((run) => {
      const left = (run.from * step).toFixed(1);
      const right = ((run.from + run.values.length - 1) * step).toFixed(1);
      return `M${left} ${height}L${points(run, values.length, top, width, height).join("L")}L${right} ${height}Z`;
    })
    .join("");
}
