// How deep in the system each node lies: callers before what they call, also where calls go round in circles.
//
// The depths h minimise the sum of (h[target] - h[source] - 1)^2 over all edges. On a tree this is the distance from
// the entry; in a circle, where no order is right, it is the best compromise. Each node is moved to the mean of what
// its neighbours ask for, over and over (Gauss-Seidel).
import type { Graph } from "../state/graph";

const ROUNDS = 80;
const MOST_LAYERS = 9;

export function depthsOf(graph: Graph): Map<string, number> {
  const wishes = new Map<string, { other: string; offset: number }[]>(graph.nodes.map((node) => [node.id, []]));
  for (const { source, target } of graph.edges) {
    wishes.get(target)?.push({ other: source, offset: 1 });
    wishes.get(source)?.push({ other: target, offset: -1 });
  }
  const depth = new Map<string, number>(graph.nodes.map((node) => [node.id, 0]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [id, asked] of wishes) {
      if (asked.length === 0) continue;
      depth.set(id, asked.reduce((sum, one) => sum + depth.get(one.other)! + one.offset, 0) / asked.length);
    }
  }
  return depth;
}

/** The depths as whole layers from 0; each connected part begins at 0, and nodes without edges lie in a last layer. */
export function layersOf(graph: Graph): Map<string, number> {
  const depth = depthsOf(graph);
  const layers = new Map<string, number>();
  const linked = new Set(graph.edges.flatMap((edge) => [edge.source, edge.target]));
  for (const part of partsOf(graph)) {
    const least = Math.min(...part.map((id) => depth.get(id)!));
    const range = Math.max(...part.map((id) => depth.get(id)!)) - least;
    const shrink = Math.min(1, (MOST_LAYERS - 1) / Math.max(range, 1e-9));
    for (const id of part) layers.set(id, Math.round((depth.get(id)! - least) * shrink));
  }
  const last = Math.max(0, ...[...layers].filter(([id]) => linked.has(id)).map(([, layer]) => layer + 1));
  for (const node of graph.nodes) if (!linked.has(node.id)) layers.set(node.id, last);
  return layers;
}

/** The connected parts of the graph. */
function partsOf(graph: Graph): string[][] {
  const near = new Map<string, string[]>(graph.nodes.map((node) => [node.id, []]));
  for (const { source, target } of graph.edges) {
    near.get(source)?.push(target);
    near.get(target)?.push(source);
  }
  const seen = new Set<string>();
  const parts: string[][] = [];
  for (const { id } of graph.nodes) {
    if (seen.has(id)) continue;
    const part = [id];
    seen.add(id);
    for (let index = 0; index < part.length; index += 1) {
      for (const next of near.get(part[index]!)!) {
        if (!seen.has(next)) part.push(next);
        seen.add(next);
      }
    }
    parts.push(part);
  }
  return parts;
}
