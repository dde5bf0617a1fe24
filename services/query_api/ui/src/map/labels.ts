// Where the figures of edges are written: on the line, clear of nodes and of each other. Pure.
import type { Family } from "../parts/Protocol";
import type { Graph, GraphEdge } from "../state/graph";
import { isTrouble } from "../state/levels";
import { duration, rate, share } from "../format/numbers";
import { type Box, type Layout, NODE_H, NODE_W, type Point, along, cubics } from "./geometry";

export interface Label {
  text: string;
  /** What the edge speaks, where it is one kind of conversation. */
  family: Family | undefined;
  /** Of text and glyph together. */
  width: number;
  at: Point;
  /** Where the sign of a bad state is drawn. */
  sign: Point;
  /** False where there is no room: the figures then show only when the edge is looked at. */
  clear: boolean;
}

const LETTER = 6.1;
const HEIGHT = 15;
/** The room that the glyph takes. */
export const GLYPH = 15;
const SHARES = [0.5, 0.4, 0.6, 0.3, 0.7, 0.22, 0.78, 0.15, 0.85];
const SIGN_ABOVE = 20;
/** With more edges than this, figures show only on what is looked at. */
export const LABELLED = 48;

export function labelText(edge: GraphEdge): string {
  if (edge.requestsPerS === 0) return edge.protocols.join(", ");
  const failing = edge.errorRatio && edge.errorRatio >= 0.01 ? ` · ${share(edge.errorRatio)} err` : "";
  return `${rate(edge.requestsPerS)} · ${duration(edge.p95)}${failing}`;
}

/** The labels of a graph that has room for them; what is looked at in a fuller one gets its own from `placed`. */
export function labelsOf(graph: Graph, layout: Layout): Map<string, Label> {
  return graph.edges.length > LABELLED ? new Map() : placed(graph.edges, layout);
}

/** A label for each of *edges*: the bad and the busy choose first. */
export function placed(edges: readonly GraphEdge[], layout: Layout): Map<string, Label> {
  const taken: Box[] = [...layout.positions.values()].map((one) => around(one, NODE_W + 6, NODE_H + 6));
  const labels = new Map<string, Label>();
  const inTurn = [...edges].sort((a, b) => Number(isTrouble(b.level)) - Number(isTrouble(a.level)) || b.requestsPerS - a.requestsPerS);
  for (const edge of inTurn) {
    const [from, to] = [layout.positions.get(edge.source), layout.positions.get(edge.target)];
    if (!from || !to) continue;
    const curves = cubics(from, to, layout.routes.get(edge.id));
    const text = labelText(edge);
    const families = new Set(edge.relations.map((one) => one.encrypted >= 0.995 ? "encrypted" : one.family));
    const family = families.size === 1 ? [...families][0] : undefined;
    const width = text.length * LETTER + (family ? GLYPH : 0);
    const sized = (place: Point) => around(place, width, HEIGHT);
    const free = SHARES.map((share) => along(curves, share)).find((place) => !taken.some((box) => meet(box, sized(place))));
    const place = free ?? along(curves, 0.5);
    const clear = free !== undefined;
    if (clear) taken.push(sized(place));
    labels.set(edge.id, { text, family, width, at: place, sign: { x: place.x, y: place.y - (clear ? SIGN_ABOVE : 0) }, clear });
  }
  return labels;
}

function around(centre: Point, width: number, height: number): Box {
  return { x: centre.x - width / 2, y: centre.y - height / 2, width, height };
}

function meet(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
