// What becomes of the map when something new is heard. Pure: the old map and the news give the new map.
import type { State, Topology } from "../api/types.gen";

export interface EntityState {
  entity: string;
  kind: "service" | "relation";
  state: State;
}

export interface Verdicts {
  start: string;
  end: string;
  states: EntityState[];
}

/** The newer of two live maps; a map that was asked for over a range replaces anything. */
export function heardTopology(old: Topology | null, heard: Topology): Topology {
  if (old?.live && heard.live && old.end > heard.end) return old;
  return heard;
}

/** The live map in its new colours; things that the verdicts do not name keep theirs. */
export function heardVerdicts(old: Topology | null, heard: Verdicts): Topology | null {
  if (!old?.live) return old;
  const states = new Map(heard.states.map((one) => [one.entity, one.state]));
  return {
    ...old,
    services: old.services.map((one) => recoloured(one, states)),
    relations: old.relations.map((one) => recoloured(one, states)),
  };
}

function recoloured<T extends { id: string; state: State }>(thing: T, states: Map<string, State>): T {
  const state = states.get(thing.id);
  return state ? { ...thing, state } : thing;
}

export type Freshness = "fresh" | "stale" | "unknown";

export const STALE_S = 30;

/** Whether a live map still tells the present: *heardAt* is when it came, *now* the clock, in ms. */
export function freshness(topology: Topology | null, heardAt: number, now: number): Freshness {
  if (!topology?.live || topology.age_s === null) return "unknown";
  return ageSeconds(topology, heardAt, now) > STALE_S ? "stale" : "fresh";
}

export function ageSeconds(topology: Topology, heardAt: number, now: number): number {
  return (topology.age_s ?? 0) + Math.max(0, now - heardAt) / 1000;
}

export function totalLost(lost: Record<string, number>): number {
  return Object.values(lost).reduce((sum, number) => sum + number, 0);
}
