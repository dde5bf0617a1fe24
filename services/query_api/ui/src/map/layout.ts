// Where nodes lie. Pure and repeatable: the same graph gives the same picture.
//
// Callers lie left of what they call. A small graph is drawn by dagre (layers, few crossings, edges around nodes).
// One that is large, or that layers would draw out too far, is folded: its layers are
// broken into columns so that the picture has the shape of a screen.
// When a few nodes come or go, the others stay where they are: people remember places.
import dagre from "@dagrejs/dagre";
import type { Graph } from "../state/graph";
import { GAP_X, GAP_Y, type Layout, NODE_H, NODE_W, type Point, type Positions, boxOf } from "./geometry";
import { detour } from "./detour";
import { foldedPositions } from "./folded";

export const FOLD_FROM = 110;
/** Shapes beyond these, width by height and height by width, cannot be read on a screen. */
const WIDEST = 4;
const TALLEST = 1.5;
const KEEP_SHARE = 0.25;
const KEEP_LEAST = 2;

export function layoutOf(graph: Graph, before: Layout | null): Layout {
  return (before && kept(graph, before)) ?? fresh(graph);
}

export function fresh(graph: Graph): Layout {
  if (graph.nodes.length < FOLD_FROM) {
    const drawn = layered(graph);
    const { width, height } = boxOf(drawn.positions);
    if (width < WIDEST * Math.max(height, 600) && height < TALLEST * Math.max(width, 900)) return drawn;
  }
  return { positions: foldedPositions(graph), routes: new Map(), edges: edgeIds(graph), linked: linkedIds(graph) };
}

function layered(graph: Graph): Layout {
  const drawn = new dagre.graphlib.Graph({ multigraph: false });
  drawn.setGraph({ rankdir: "LR", nodesep: GAP_Y, edgesep: GAP_Y, ranksep: GAP_X, ranker: "network-simplex" });
  drawn.setDefaultEdgeLabel(() => ({}));
  const linked = linkedIds(graph);
  for (const node of graph.nodes) {
    if (linked.has(node.id)) drawn.setNode(node.id, { width: NODE_W, height: NODE_H });
  }
  for (const edge of graph.edges) drawn.setEdge(edge.source, edge.target, { weight: 1 });
  dagre.layout(drawn);
  const positions = new Map<string, Point>();
  for (const id of drawn.nodes()) {
    const { x, y } = drawn.node(id) as Point;
    positions.set(id, { x, y });
  }
  const routes = new Map<string, readonly Point[]>();
  for (const edge of graph.edges) {
    const bends = bendsOf(drawn.edge(edge.source, edge.target) as { points?: Point[] } | undefined);
    const [from, to] = [positions.get(edge.source)!, positions.get(edge.target)!];
    if (to.x - from.x > NODE_W * 2) routes.set(edge.id, bends);
  }
  shelve(graph.nodes.filter((node) => !linked.has(node.id)).map((node) => node.id), positions);
  return { positions, routes, edges: edgeIds(graph), linked };
}

function linkedIds(graph: Graph): Set<string> {
  return new Set(graph.edges.flatMap((edge) => [edge.source, edge.target]));
}

function edgeIds(graph: Graph): Set<string> {
  return new Set(graph.edges.map((edge) => edge.id));
}

/**
 * The bends in the layers that an edge crosses: dagre's points without those at the nodes and between layers. Each
 * layer is crossed in a straight line as wide as a node, so that the curves stay between the layers.
 */
function bendsOf(edge: { points?: Point[] } | undefined): Point[] {
  const points = (edge?.points ?? []).slice(1, -1);
  return points
    .filter((_, index) => index % 2 === 1 && index < points.length - 1)
    .flatMap(({ x, y }) => [
      { x: x - NODE_W / 2, y },
      { x: x + NODE_W / 2, y },
    ]);
}

/** Puts nodes without relations in rows under the rest. */
function shelve(alone: readonly string[], positions: Map<string, Point>): void {
  if (alone.length === 0) return;
  let [left, right, bottom] = [NODE_W / 2, NODE_W / 2 + 3 * (NODE_W + GAP_Y), NODE_H / 2 - NODE_H - 3 * GAP_Y];
  for (const { x, y } of positions.values()) {
    right = Math.max(right, x);
    bottom = Math.max(bottom, y);
  }
  const perRow = Math.max(3, Math.floor((right - left) / (NODE_W + GAP_Y)) + 1);
  alone.forEach((id, index) => {
    positions.set(id, {
      x: left + (index % perRow) * (NODE_W + GAP_Y),
      y: bottom + NODE_H + 3 * GAP_Y + Math.floor(index / perRow) * (NODE_H + GAP_Y),
    });
  });
}

/** The old places with room found for the new nodes; null when too much is new. */
export function kept(graph: Graph, before: Layout): Layout | null {
  const edges = edgeIds(graph);
  const fresh = graph.edges.filter((edge) => !before.edges.has(edge.id)).length;
  if (fresh > Math.max(KEEP_LEAST, before.edges.size * KEEP_SHARE)) return null;
  const linked = linkedIds(graph);
  // A node that was alone and has got its first relation moves to its neighbour.
  const isNew = (id: string) => !before.positions.has(id) || (linked.has(id) && !before.linked.has(id));
  const added = graph.nodes.filter((node) => isNew(node.id));
  const stayed = graph.nodes.length - added.length;
  if (stayed === 0 || added.length > Math.max(KEEP_LEAST, stayed * KEEP_SHARE)) return null;
  if (stayed < before.positions.size * (1 - KEEP_SHARE) - KEEP_LEAST) return null;
  const positions = new Map<string, Point>();
  for (const node of graph.nodes) {
    const place = before.positions.get(node.id);
    if (place && !isNew(node.id)) positions.set(node.id, place);
  }
  for (const node of added) positions.set(node.id, roomFor(node.id, graph, positions));
  // New edges stay new until the picture is made anew: many small changes must not spoil it either.
  const routes = new Map([...before.routes].filter(([id]) => edges.has(id)));
  for (const edge of graph.nodes.length < FOLD_FROM ? graph.edges : []) {
    const bends = detour(positions.get(edge.source)!, positions.get(edge.target)!, positions);
    if (bends.length && !routes.has(edge.id)) routes.set(edge.id, bends);
  }
  return { positions, routes, edges: before.edges, linked };
}

function roomFor(id: string, graph: Graph, positions: Positions): Point {
  const places = (ids: string[]) => ids.map((one) => positions.get(one)).filter((one) => one !== undefined);
  const callers = places(graph.edges.filter((edge) => edge.target === id).map((edge) => edge.source));
  const callees = places(graph.edges.filter((edge) => edge.source === id).map((edge) => edge.target));
  const near = callers.length ? callers : callees;
  const step = NODE_W + GAP_X;
  let wanted: Point;
  if (near.length === 0) {
    const all = [...positions.values()];
    wanted = { x: Math.min(...all.map((one) => one.x)), y: Math.max(...all.map((one) => one.y)) + NODE_H + 3 * GAP_Y };
  } else {
    const side = callers.length ? step : -step;
    wanted = {
      x: Math.max(...near.map((one) => one.x * Math.sign(side))) * Math.sign(side) + side,
      y: near.reduce((sum, one) => sum + one.y, 0) / near.length,
    };
  }
  return freeNear(wanted, positions);
}

/** The free place nearest to *wanted*, up or down its column. */
function freeNear(wanted: Point, positions: Positions): Point {
  const taken = [...positions.values()].filter((one) => Math.abs(one.x - wanted.x) < NODE_W + 12);
  for (let step = 0; ; step += 1) {
    for (const way of step ? [1, -1] : [1]) {
      const place = { x: wanted.x, y: wanted.y + way * step * (GAP_Y / 2) };
      if (taken.every((one) => Math.abs(one.y - place.y) >= NODE_H + GAP_Y / 2)) return place;
    }
  }
}
