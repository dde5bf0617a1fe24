// What the map shows now: the drawn graph, its places, what is under the pointer, and where the focus is.
import { computed, effect, signal } from "@preact/signals";
import { type Graph, drawnGraph, neighbours, shapeOf } from "../state/graph";
import { filter, selection, topology } from "../state/store";
import type { Layout } from "./geometry";
import { labelsOf } from "./labels";
import { fresh, layoutOf } from "./layout";
import type { Detail } from "./zooming";

const NOTHING: Graph = { nodes: [], edges: [] };

export const graph = computed<Graph>(() => (topology.value ? drawnGraph(topology.value, filter.value) : NOTHING));
const shape = computed(() => shapeOf(graph.value));

export const layout = signal<Layout>({ positions: new Map(), routes: new Map(), edges: new Set(), linked: new Set() });
/** Counted up when all places changed, so that the view should be fitted again. */
export const refits = signal(0);

/** How much can be read at the present scale: what cannot be read is not drawn. */
export const detail = signal<Detail>("near");

export const edgeLabels = computed(() => labelsOf(graph.value, layout.value));

export interface Hovered {
  kind: "node" | "edge";
  id: string;
  x: number;
  y: number;
}

export const hovered = signal<Hovered | null>(null);
export const hoveredId = computed(() => hovered.value?.id ?? null);
export const focused = signal<string | null>(null);

export const nodeById = computed(() => new Map(graph.value.nodes.map((node) => [node.id, node])));
export const edgeById = computed(() => new Map(graph.value.edges.map((edge) => [edge.id, edge])));

/** The node or edge that is drawn for the selection: a member of a collapsed group is its group. */
export const selectedNode = computed(() => {
  const chosen = selection.value;
  if (!chosen || chosen.kind === "relation") return null;
  if (chosen.kind === "group") return chosen.id;
  return drawnAs(chosen.id);
});
export const selectedEdge = computed(() => {
  const chosen = selection.value;
  if (chosen?.kind !== "relation") return null;
  return graph.value.edges.find((edge) => edge.relations.some((one) => one.id === chosen.id))?.id ?? null;
});

export function drawnAs(service: string): string | null {
  if (nodeById.value.has(service)) return service;
  return graph.value.nodes.find((node) => node.group && node.members.some((one) => one.id === service))?.id ?? null;
}

/** What stands out: the chosen or pointed-at node with its neighbours, or an edge with its ends; null when nothing does. */
export const lit = computed<{ nodes: ReadonlySet<string>; edge: string | null; node: string | null } | null>(() => {
  const edgeId = selectedEdge.value;
  const edge = edgeId ? edgeById.value.get(edgeId) : undefined;
  if (edge) return { nodes: new Set([edge.source, edge.target]), edge: edge.id, node: null };
  const node = selectedNode.value;
  if (node && nodeById.value.has(node)) return { nodes: neighbours(graph.value, node), edge: null, node };
  return null;
});

export function tidy(): void {
  layout.value = fresh(graph.value);
  refits.value += 1;
}

export function watchShape(): () => void {
  return effect(() => {
    void shape.value;
    const before = layout.peek();
    const next = layoutOf(graph.peek(), before.positions.size ? before : null);
    const moved = [...next.positions].some(([id, place]) => before.positions.get(id) !== place);
    const stayed = [...next.positions].some(([id, place]) => before.positions.get(id) === place);
    layout.value = next;
    if (moved && !stayed) refits.value += 1;
  });
}
