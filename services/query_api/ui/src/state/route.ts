// Where the user is, kept in the address so that it can be shared and gone back to.
import { type Range, readRange, writeRange } from "./range";

export const VIEWS = ["map", "services", "endpoints", "problems", "status"] as const;
export type View = (typeof VIEWS)[number];

export type Selection = { kind: "service" | "relation" | "group"; id: string } | null;

export interface Route {
  view: View;
  selection: Selection;
  range: Range;
  /** The part of the open panel or view. */
  tab: string;
}

const KINDS = ["service", "relation", "group"] as const;

export function readRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const given = new URLSearchParams(query);
  const view = VIEWS.find((one) => one === path) ?? "map";
  let selection: Selection = null;
  for (const kind of KINDS) {
    const id = given.get(kind);
    if (id) selection = { kind, id };
  }
  return { view, selection, range: readRange(given.get("time")), tab: given.get("tab") ?? "" };
}

export function writeRoute(route: Route): string {
  const given = new URLSearchParams();
  if (route.selection) given.set(route.selection.kind, route.selection.id);
  if (route.tab) given.set("tab", route.tab);
  if (route.range.kind !== "live") given.set("time", writeRange(route.range));
  const query = given.toString();
  return `#/${route.view}${query ? `?${query}` : ""}`;
}
