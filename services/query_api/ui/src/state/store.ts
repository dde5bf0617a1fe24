// Everything the page knows, as signals.
import { computed, signal } from "@preact/signals";
import type { Session, Topology } from "../api/types.gen";
import { EVERYTHING, type Filter } from "./filter";
import { LIVE, type Range } from "./range";
import { type Route, type Selection, type View, readRoute, writeRoute } from "./route";

export type Connection = "connecting" | "open" | "lost";

export const now = signal(Date.now());
export const route = signal<Route>(readRoute(location.hash));
export const topology = signal<Topology | null>(null);
/** When *topology* came, in ms. */
export const heardAt = signal(0);
export const problem = signal<Error | null>(null);
export const connection = signal<Connection>("connecting");
/** When the next attempt to connect is made, in ms. */
export const retryAt = signal(0);
export const session = signal<Session | null>(null);
export const needsToken = signal(false);
export const filter = signal<Filter>(EVERYTHING);
export const helpOpen = signal(false);
/** Counted up when the lists of that name should be asked for again. */
export const news = { alert: signal(0), status: signal(0), probes: signal(0), change: signal(0) };
export const announcement = signal("");

export const range = computed(() => route.value.range);
export const selection = computed(() => route.value.selection);
export const view = computed(() => route.value.view);
export const isLive = computed(() => range.value.kind === "live");

export const serviceById = computed(() => new Map((topology.value?.services ?? []).map((one) => [one.id, one])));
export const relationById = computed(() => new Map((topology.value?.relations ?? []).map((one) => [one.id, one])));

export function nameOf(id: string): string {
  return serviceById.value.get(id)?.name ?? id;
}

/** A relation or service in words: `checkout → postgres`. */
export function entityName(id: string): string {
  const relation = relationById.value.get(id);
  if (relation) return `${nameOf(relation.source)} → ${nameOf(relation.target)}`;
  const arrow = id.indexOf("->");
  if (arrow < 0) return nameOf(id);
  return `${nameOf(id.slice(0, arrow))} → ${nameOf(id.slice(arrow + 2).replace(/:[^:]*$/, ""))}`;
}

export function go(change: Partial<Route>, replace = false): void {
  const next = { ...route.value, ...change };
  const hash = writeRoute(next);
  if (hash === writeRoute(route.value)) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  route.value = next;
}

export function select(chosen: Selection, tab = ""): void {
  go({ selection: chosen, tab });
}

export function openEntity(id: string): void {
  go({ view: "map", selection: { kind: id.includes("->") ? "relation" : "service", id }, tab: "" });
}

export function setRange(chosen: Range): void {
  go({ range: chosen });
}

export function goLive(): void {
  setRange(LIVE);
}

export function show(chosen: View): void {
  go({ view: chosen, tab: "" });
}

export function watchAddress(): void {
  const read = () => {
    route.value = readRoute(location.hash);
  };
  addEventListener("popstate", read);
  addEventListener("hashchange", read);
  setInterval(() => {
    now.value = Date.now();
  }, 1000);
}
