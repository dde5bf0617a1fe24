// The measures of the map, in its own units (pixels at zoom 1).

export const NODE_W = 204;
export const NODE_H = 58;
export const GAP_X = 132;
export const GAP_Y = 30;

export interface Point {
  x: number;
  y: number;
}

/** Where each node's centre lies, by id. */
export type Positions = ReadonlyMap<string, Point>;

export interface Layout {
  positions: Positions;
  /** The bends of edges that go around nodes, by edge id; other edges go straight. */
  routes: ReadonlyMap<string, readonly Point[]>;
  /** The edges that it was made for, before nodes came and went. */
  edges: ReadonlySet<string>;
  /** The nodes that have an edge now. */
  linked: ReadonlySet<string>;
}

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export function boxOf(positions: Positions): Box {
  if (positions.size === 0) return { x: 0, y: 0, width: NODE_W, height: NODE_H };
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of positions.values()) {
    left = Math.min(left, x - NODE_W / 2);
    right = Math.max(right, x + NODE_W / 2);
    top = Math.min(top, y - NODE_H / 2);
    bottom = Math.max(bottom, y + NODE_H / 2);
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The box around nodes and edges. */
export function drawnBox(layout: Layout, edges: readonly { id: string; source: string; target: string }[]): Box {
  const nodes = boxOf(layout.positions);
  let [right, bottom] = [nodes.x + nodes.width, nodes.y + nodes.height];
  for (const edge of edges) {
    const [from, to] = [layout.positions.get(edge.source), layout.positions.get(edge.target)];
    if (!from || !to) continue;
    const { x, y } = along(cubics(from, to, layout.routes.get(edge.id)), 0.5);
    right = Math.max(right, x);
    bottom = Math.max(bottom, y);
  }
  return { x: nodes.x, y: nodes.y, width: right - nodes.x, height: bottom - nodes.y };
}

/** A cubic curve: start, two handles, end. */
type Cubic = readonly [Point, Point, Point, Point];

const ARROW = 7;
/** How far two centres may differ and still be in one column. */
const COLUMN = 12;

/** The curve from *from* to *to*, through *bends*; edges leave to the right and arrive from the left. */
export function cubics(from: Point, to: Point, bends: readonly Point[] = []): Cubic[] {
  const start = { x: from.x + NODE_W / 2, y: from.y };
  const end = { x: to.x - NODE_W / 2 - ARROW, y: to.y };
  if (end.x < start.x - COLUMN) return [backwards(from, to)];
  const stops = [start, ...bends, end];
  return stops.slice(1).map((b, index) => {
    const a = stops[index]!;
    const reach = Math.max(24, (b.x - a.x) / 2);
    return [a, { x: a.x + reach, y: a.y }, { x: b.x - reach, y: b.y }, b];
  });
}

/** An edge against the reading direction bows out under both its ends, one within a column to its right. */
function backwards(from: Point, to: Point): Cubic {
  if (Math.abs(from.x - to.x) < COLUMN) {
    const start = { x: from.x + NODE_W / 2, y: from.y };
    const end = { x: to.x + NODE_W / 2 + ARROW, y: to.y };
    const out = start.x + 46 + Math.min(40, Math.abs(from.y - to.y) / 8);
    return [start, { x: out, y: start.y }, { x: out, y: end.y }, end];
  }
  const start = { x: from.x, y: from.y + NODE_H / 2 };
  const end = { x: to.x, y: to.y + NODE_H / 2 + ARROW };
  const low = Math.max(start.y, end.y) + 44;
  return [start, { x: start.x, y: low }, { x: end.x, y: low }, end];
}

export function pathOf(curves: readonly Cubic[]): string {
  const start = curves[0]![0];
  return `M${at(start)}${curves.map(([, b, c, d]) => `C${at(b)} ${at(c)} ${at(d)}`).join("")}`;
}

/** The point at *share* (0 to 1) of the way. */
export function along(curves: readonly Cubic[], share: number): Point {
  const whole = Math.min(share * curves.length, curves.length - 1e-9);
  const [a, b, c, d] = curves[Math.floor(whole)]!;
  const t = whole - Math.floor(whole);
  const mix = (w: number, x: number, y: number, z: number) =>
    (1 - t) ** 3 * w + 3 * (1 - t) ** 2 * t * x + 3 * (1 - t) * t ** 2 * y + t ** 3 * z;
  return { x: mix(a.x, b.x, c.x, d.x), y: mix(a.y, b.y, c.y, d.y) };
}

function at(point: Point): string {
  return `${point.x.toFixed(1)},${point.y.toFixed(1)}`;
}
