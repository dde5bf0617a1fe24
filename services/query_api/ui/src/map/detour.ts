// A way for an edge that came after the picture was made: over or under the nodes that it would cross. Pure.
import { NODE_H, NODE_W, type Point, type Positions } from "./geometry";

const CLEAR = NODE_H / 2 + 12;
const STEP = 8;

/** The bends from *from* to *to* past the nodes in the columns between them; none where nothing is in the way. */
export function detour(from: Point, to: Point, positions: Positions): Point[] {
  const [left, right] = [from.x + NODE_W, to.x - NODE_W];
  if (right < left) return [];
  const between = [...positions.values()].filter((one) => one.x >= left && one.x <= right).sort((a, b) => a.x - b.x);
  const bends: Point[] = [];
  let [x, y] = [from.x, from.y];
  for (const column of columnsOf(between)) {
    const middle = column.reduce((sum, one) => sum + one.x, 0) / column.length;
    const straight = y + ((to.y - y) * (middle - x)) / (to.x - x);
    y = freeNear(straight, column);
    x = middle;
    bends.push({ x: Math.min(...column.map((one) => one.x)) - NODE_W / 2, y });
    bends.push({ x: Math.max(...column.map((one) => one.x)) + NODE_W / 2, y });
  }
  return bends;
}

/** Nodes that overlap from left to right are one column. */
function columnsOf(sorted: readonly Point[]): Point[][] {
  const columns: Point[][] = [];
  for (const one of sorted) {
    const last = columns.at(-1);
    if (last && one.x - last.at(-1)!.x < NODE_W) last.push(one);
    else columns.push([one]);
  }
  return columns;
}

function freeNear(wanted: number, column: readonly Point[]): number {
  for (let off = 0; ; off += STEP) {
    for (const y of [wanted - off, wanted + off]) {
      if (column.every((one) => Math.abs(one.y - y) >= CLEAR)) return y;
    }
  }
}
