// The layout of large or entangled graphs: layers by depth, order by the mean place of the neighbours, and layers
// folded into columns so that the whole has about the shape of a screen. Linear in the size of the graph.
import type { Graph } from "../state/graph";
import { layersOf } from "./depth";
import { NODE_H, NODE_W, type Point, type Positions } from "./geometry";

const SHAPE = 1.75;
const SWEEPS = 8;

interface Spacing {
  stepX: number;
  stepY: number;
  layerGap: number;
}

/** Few nodes get room for the figures of their edges. */
function spacingFor(nodes: number): Spacing {
  if (nodes < 60) return { stepX: NODE_W + 90, stepY: NODE_H + 52, layerGap: 70 };
  return { stepX: NODE_W + 34, stepY: NODE_H + 22, layerGap: 70 };
}

export function foldedPositions(graph: Graph): Positions {
  const layers = ordered(graph, layersOf(graph));
  const { stepX, stepY, layerGap } = spacingFor(graph.nodes.length);
  const rows = rowsFor(layers.map((layer) => layer.length), spacingFor(graph.nodes.length));
  const positions = new Map<string, Point>();
  let x = 0;
  for (const layer of layers) {
    const columns = Math.ceil(layer.length / rows);
    const height = Math.ceil(layer.length / columns);
    layer.forEach((id, index) => {
      const row = Math.floor(index / columns);
      positions.set(id, { x: x + (index % columns) * stepX, y: (row - (height - 1) / 2) * stepY });
    });
    x += columns * stepX + layerGap;
  }
  return positions;
}

/** How many rows make the picture about `SHAPE` times as wide as high. */
function rowsFor(sizes: number[], { stepX, stepY, layerGap }: Spacing): number {
  let best = 1;
  let least = Infinity;
  for (let rows = 2; rows <= Math.max(2, ...sizes); rows += 1) {
    const width = sizes.reduce((sum, size) => sum + Math.ceil(size / rows) * stepX + layerGap, 0);
    const height = Math.min(rows, Math.max(...sizes)) * stepY;
    const off = Math.abs(Math.log(width / height / SHAPE));
    if (off < least) [best, least] = [rows, off];
  }
  return best;
}

/** The layers from left to right, each ordered by the mean place of its nodes' neighbours. */
function ordered(graph: Graph, layer: Map<string, number>): string[][] {
  const byDepth: string[][] = [];
  for (const node of graph.nodes) (byDepth[layer.get(node.id)!] ??= []).push(node.id);
  const layers = byDepth.filter((ids) => ids !== undefined);
  const near = new Map<string, string[]>(graph.nodes.map((node) => [node.id, []]));
  for (const edge of graph.edges) {
    near.get(edge.source)?.push(edge.target);
    near.get(edge.target)?.push(edge.source);
  }
  const share = new Map<string, number>();
  const remember = (ids: string[]) => ids.forEach((id, index) => share.set(id, (index + 0.5) / ids.length));
  layers.forEach(remember);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const ids of sweep % 2 ? [...layers].reverse() : layers) {
      const mean = new Map(ids.map((id) => [id, meanOf(near.get(id)!.map((one) => share.get(one)!), share.get(id)!)]));
      ids.sort((a, b) => mean.get(a)! - mean.get(b)! || (a < b ? -1 : 1));
      remember(ids);
    }
  }
  return layers;
}

function meanOf(values: number[], otherwise: number): number {
  return values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : otherwise;
}
