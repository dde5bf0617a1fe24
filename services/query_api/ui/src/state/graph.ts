// The drawn graph: services or groups of them as nodes, all relations between two nodes as one edge. Pure.
import type { LevelName, RelationEdge, ServiceNode, Topology } from "../api/types.gen";
import { type Filter, type Grouping, effectiveLevel, filtered, prefixOf } from "./filter";
import { rank, worse } from "./levels";

export const GROUP_FROM = 90;
const GROUP_LEAST = 3;

export interface GraphNode {
  id: string;
  name: string;
  kind: string;
  own: LevelName;
  inherited: LevelName;
  learning: boolean;
  requestsPerS: number;
  /** What it asks of others. */
  callsPerS: number;
  errorRatio: number | null;
  p95: number | null;
  instances: number;
  /** The services in it: one, unless it is a group. */
  members: ServiceNode[];
  group: boolean;
}

export interface GraphEdge {
  id: string;
  source: string;
  target: string;
  level: LevelName;
  /** What it suffers from what lies behind it. */
  inherited: LevelName;
  requestsPerS: number;
  p95: number | null;
  errorRatio: number | null;
  protocols: string[];
  relations: RelationEdge[];
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export function groupingOf(filter: Filter, services: number): Exclude<Grouping, "auto"> {
  if (filter.grouping !== "auto") return filter.grouping;
  return services > GROUP_FROM ? "prefix" : "none";
}

export function groupKey(service: ServiceNode, grouping: Grouping): string {
  switch (grouping) {
    case "prefix":
      return prefixOf(service);
    case "kind":
      return service.kind;
    case "host":
      return service.attributes["host.name"] ?? "unknown host";
    default:
      return "";
  }
}

/** The collapsed group that each service is drawn in, by service id. */
export function collapsed(services: ServiceNode[], filter: Filter, grouping: Grouping): Map<string, string> {
  const inside = new Map<string, string>();
  if (grouping === "none") return inside;
  const members = new Map<string, ServiceNode[]>();
  for (const one of services) {
    const key = groupKey(one, grouping);
    members.set(key, [...(members.get(key) ?? []), one]);
  }
  for (const [key, ones] of members) {
    if (ones.length < GROUP_LEAST || filter.expanded.includes(key)) continue;
    for (const one of ones) inside.set(one.id, key);
  }
  return inside;
}

export function drawnGraph(map: Topology, filter: Filter): Graph {
  const { services, relations } = filtered(map, filter);
  const inside = collapsed(services, filter, groupingOf(filter, services.length));
  const nodeOf = (id: string) => (inside.has(id) ? `group:${inside.get(id)}` : id);
  const groups = new Map<string, ServiceNode[]>();
  const nodes: GraphNode[] = [];
  for (const one of services) {
    if (inside.has(one.id)) groups.set(nodeOf(one.id), [...(groups.get(nodeOf(one.id)) ?? []), one]);
    else nodes.push(single(one));
  }
  for (const [id, members] of groups) nodes.push(groupNode(id, members));
  const bundles = new Map<string, RelationEdge[]>();
  for (const one of relations) {
    const [source, target] = [nodeOf(one.source), nodeOf(one.target)];
    if (source === target) continue;
    const id = `${source}->${target}`;
    bundles.set(id, [...(bundles.get(id) ?? []), one]);
  }
  const edges = [...bundles].map(([id, ones]) => bundle(id, nodeOf(ones[0]!.source), nodeOf(ones[0]!.target), ones));
  const byNode = new Map(nodes.map((node) => [node.id, node]));
  for (const edge of edges) byNode.get(edge.source)!.callsPerS += edge.requestsPerS;
  const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
  return { nodes: nodes.sort(byId), edges: edges.sort(byId) };
}

function single(one: ServiceNode): GraphNode {
  return {
    id: one.id,
    name: one.name,
    kind: one.kind,
    own: one.state.own,
    inherited: one.state.inherited,
    learning: one.state.learning,
    requestsPerS: one.provided.requests_per_s,
    callsPerS: 0,
    errorRatio: one.provided.error_ratio,
    p95: one.provided.p95_s,
    instances: one.instances,
    members: [one],
    group: false,
  };
}

function groupNode(id: string, members: ServiceNode[]): GraphNode {
  const requests = members.reduce((sum, one) => sum + one.provided.requests, 0);
  const errors = members.reduce((sum, one) => sum + one.provided.errors, 0);
  const p95s = members.map((one) => one.provided.p95_s).filter((one) => one !== null);
  return {
    id,
    name: id.slice("group:".length),
    kind: "group",
    own: members.map((one) => one.state.own).reduce(worse),
    inherited: members.map((one) => one.state.inherited).reduce(worse),
    learning: members.some((one) => one.state.learning),
    requestsPerS: members.reduce((sum, one) => sum + one.provided.requests_per_s, 0),
    callsPerS: 0,
    errorRatio: requests ? errors / requests : null,
    p95: p95s.length ? Math.max(...p95s) : null,
    instances: members.length,
    members: [...members].sort((a, b) => rank(effectiveLevel(b)) - rank(effectiveLevel(a))),
    group: true,
  };
}

/** The figures of a relation that are worth showing: the caller's, or the callee's where it is out of sight. */
export function seenRates(one: RelationEdge): RelationEdge["client"] {
  return one.client.requests > 0 ? one.client : one.server;
}

function bundle(id: string, source: string, target: string, relations: RelationEdge[]): GraphEdge {
  const seen = relations.map(seenRates);
  const requests = seen.reduce((sum, one) => sum + one.requests, 0);
  const errors = seen.reduce((sum, one) => sum + one.errors, 0);
  const p95s = seen.map((one) => one.p95_s).filter((one) => one !== null);
  return {
    id,
    source,
    target,
    level: relations.map((one) => one.state.own).reduce(worse),
    inherited: relations.map((one) => one.state.inherited).reduce(worse),
    requestsPerS: seen.reduce((sum, one) => sum + one.requests_per_s, 0),
    p95: p95s.length ? Math.max(...p95s) : null,
    errorRatio: requests ? errors / requests : null,
    protocols: [...new Set(relations.map((one) => one.protocol))].sort(),
    relations,
  };
}

/** A text that changes only when nodes or edges come or go: the layout depends on nothing else. */
export function shapeOf(graph: Graph): string {
  return `${graph.nodes.map((one) => one.id).join("\n")}\n\n${graph.edges.map((one) => one.id).join("\n")}`;
}

export function neighbours(graph: Graph, id: string): Set<string> {
  const near = new Set([id]);
  for (const edge of graph.edges) {
    if (edge.source === id) near.add(edge.target);
    if (edge.target === id) near.add(edge.source);
  }
  return near;
}
