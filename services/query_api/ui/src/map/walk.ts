// Which node the arrow keys lead to: right to what is called, left to callers, up and down within the column. Pure.
import type { Graph } from "../state/graph";
import { NODE_W, type Point, type Positions } from "./geometry";

export type Way = "left" | "right" | "up" | "down";

export function step(graph: Graph, positions: Positions, from: string, way: Way): string | null {
  const here = positions.get(from);
  if (!here) return firstNode(positions);
  if (way === "up" || way === "down") return vertical(positions, from, here, way);
  const along = graph.edges
    .filter((edge) => (way === "right" ? edge.source === from : edge.target === from))
    .map((edge) => (way === "right" ? edge.target : edge.source));
  return nearest(along, positions, here) ?? sideways(positions, from, here, way);
}

export function firstNode(positions: Positions): string | null {
  let best: [string, Point] | null = null;
  for (const [id, place] of positions) {
    if (!best || place.x < best[1].x || (place.x === best[1].x && place.y < best[1].y)) best = [id, place];
  }
  return best?.[0] ?? null;
}

function vertical(positions: Positions, from: string, here: Point, way: Way): string | null {
  const sign = way === "down" ? 1 : -1;
  const others = [...positions].filter(([id, place]) => id !== from && (place.y - here.y) * sign > 1);
  const column = others.filter(([, place]) => Math.abs(place.x - here.x) < NODE_W * 0.75);
  return nearest((column.length ? column : others).map(([id]) => id), positions, here);
}

function sideways(positions: Positions, from: string, here: Point, way: Way): string | null {
  const sign = way === "right" ? 1 : -1;
  const others = [...positions].filter(([id, place]) => id !== from && (place.x - here.x) * sign > NODE_W / 2);
  return nearest(others.map(([id]) => id), positions, here);
}

function nearest(ids: readonly string[], positions: Positions, here: Point): string | null {
  let best: string | null = null;
  let least = Infinity;
  for (const id of ids) {
    const place = positions.get(id);
    if (!place) continue;
    const far = Math.hypot(place.x - here.x, (place.y - here.y) * 1.5);
    if (far < least) [best, least] = [id, far];
  }
  return best;
}
