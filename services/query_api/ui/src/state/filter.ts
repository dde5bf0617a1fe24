// Which part of the map is shown, and how it is grouped.
import type { LevelName, RelationEdge, ServiceNode, Topology } from "../api/types.gen";
import { rank, worse } from "./levels";

export type Grouping = "auto" | "none" | "prefix" | "kind" | "host";

export interface Filter {
  text: string;
  kinds: readonly string[];
  /** The least bad level that is shown; grey shows all. */
  level: LevelName;
  /** Only these with their neighbours, when not empty. */
  prefix: string;
  grouping: Grouping;
  expanded: readonly string[];
}

export const EVERYTHING: Filter = { text: "", kinds: [], level: "grey", prefix: "", grouping: "auto", expanded: [] };

export function isFiltering(filter: Filter): boolean {
  return filter.text !== "" || filter.kinds.length > 0 || filter.level !== "grey" || filter.prefix !== "";
}

export function effectiveLevel(service: ServiceNode): LevelName {
  return worse(service.state.own, service.state.inherited);
}

/** The part of a name that says to whom it belongs: `payments` of `payments-api`; else its name space's label. */
export function prefixOf(service: ServiceNode): string {
  const labelled = service.attributes["k8s.namespace.name"] ?? service.attributes["service.namespace"];
  if (labelled) return labelled;
  if (service.kind === "external" || service.id.startsWith("external:")) return "external";
  return /^([^-./:_]+)[-./:_]/.exec(service.name)?.[1] ?? service.name;
}

export function passes(service: ServiceNode, filter: Filter): boolean {
  if (filter.kinds.length && !filter.kinds.includes(service.kind)) return false;
  if (rank(effectiveLevel(service)) < rank(filter.level)) return false;
  if (filter.prefix && prefixOf(service) !== filter.prefix) return false;
  return matches(service, filter.text);
}

export function matches(service: ServiceNode, text: string): boolean {
  if (!text) return true;
  const wanted = text.toLowerCase();
  return (
    service.name.toLowerCase().includes(wanted) ||
    service.id.toLowerCase().includes(wanted) ||
    service.kind.includes(wanted) ||
    Object.values(service.attributes).some((value) => value.toLowerCase().includes(wanted))
  );
}

/** The services that pass, and the relations between them. */
export function filtered(map: Topology, filter: Filter): { services: ServiceNode[]; relations: RelationEdge[] } {
  const services = map.services.filter((one) => passes(one, filter));
  const shown = new Set(services.map((one) => one.id));
  return { services, relations: map.relations.filter((one) => shown.has(one.source) && shown.has(one.target)) };
}

export function kindsOf(map: Topology): string[] {
  return [...new Set(map.services.map((one) => one.kind))].sort();
}

/** The prefixes that at least two services share. */
export function prefixesOf(map: Topology): string[] {
  const counts = new Map<string, number>();
  for (const one of map.services) counts.set(prefixOf(one), (counts.get(prefixOf(one)) ?? 0) + 1);
  return [...counts].filter(([, number]) => number > 1).map(([name]) => name).sort();
}
