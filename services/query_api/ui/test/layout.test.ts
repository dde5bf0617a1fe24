import { describe, expect, it } from "vitest";
import { NODE_H, NODE_W, type Positions, along, boxOf, cubics } from "../src/map/geometry";
import { layersOf } from "../src/map/depth";
import { labelsOf } from "../src/map/labels";
import { FOLD_FROM, fresh, kept, layoutOf } from "../src/map/layout";
import { EVERYTHING } from "../src/state/filter";
import { drawnGraph } from "../src/state/graph";
import { estate, mapOf } from "./factory";

declare const process: { cpuUsage(since?: object): { user: number; system: number } };

const SHOP = ["load>edge", "edge>storefront", "edge>checkout", "storefront>redis", "storefront>postgres", "checkout>postgres"];
const graphOf = (lines: readonly string[]) => drawnGraph(mapOf(lines), { ...EVERYTHING, grouping: "none" });

function overlaps(positions: Positions): string[] {
  const all = [...positions];
  const found: string[] = [];
  all.forEach(([a, one], index) => {
    for (const [b, two] of all.slice(index + 1)) {
      if (Math.abs(one.x - two.x) < NODE_W && Math.abs(one.y - two.y) < NODE_H) found.push(`${a} on ${b}`);
    }
  });
  return found;
}

describe("the layout", () => {
  it("is the same for the same graph, whatever the order it is told in", () => {
    expect(fresh(graphOf([...SHOP].reverse()))).toEqual(fresh(graphOf(SHOP)));
  });

  it("puts callers left of what they call", () => {
    const { positions } = fresh(graphOf(SHOP));
    for (const line of SHOP) {
      const [source, target] = line.split(">") as [string, string];
      expect(positions.get(source)!.x).toBeLessThan(positions.get(target)!.x);
    }
  });

  it("never lays one node on another", () => {
    for (const size of [5, 40, FOLD_FROM, 500]) expect(overlaps(fresh(graphOf(estate(size))).positions)).toEqual([]);
  });

  it("gives 500 services about the shape of a screen", () => {
    const { width, height } = boxOf(fresh(graphOf(estate(500))).positions);
    expect(width / height).toBeGreaterThan(1.2);
    expect(width / height).toBeLessThan(2.6);
  });

  it("is done with 500 services in a moment", () => {
    const graph = graphOf(estate(500, 3));
    // Processor time: what else the machine does must not decide.
    const before = process.cpuUsage();
    fresh(graph);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(1500);
  });

  it("keeps every place when only figures change", () => {
    const before = fresh(graphOf(SHOP));
    expect(layoutOf(graphOf(SHOP), before).positions).toEqual(before.positions);
  });

  it("keeps the others' places when a node comes, and gives it room right of its caller", () => {
    const before = fresh(graphOf(SHOP));
    const after = layoutOf(graphOf([...SHOP, "checkout>mail"]), before);
    for (const [id, place] of before.positions) expect(after.positions.get(id)).toEqual(place);
    expect(after.positions.get("mail")!.x).toBeGreaterThan(after.positions.get("checkout")!.x);
    expect(overlaps(after.positions)).toEqual([]);
  });

  it("brings a node that was alone to the first that calls it", () => {
    const alone = drawnGraph({ ...mapOf(SHOP), services: mapOf([...SHOP, "checkout>mail"]).services }, EVERYTHING);
    const before = fresh(alone);
    const after = layoutOf(graphOf([...SHOP, "checkout>mail"]), before);
    expect(before.positions.get("mail")!.y).toBeGreaterThan(before.positions.get("checkout")!.y);
    expect(after.positions.get("mail")!.x).toBeGreaterThan(after.positions.get("checkout")!.x);
    expect(after.positions.get("postgres")).toEqual(before.positions.get("postgres"));
    const later = layoutOf(graphOf([...SHOP, "checkout>mail", "mail>redis"]), after);
    expect(later.positions).toEqual(after.positions);
  });

  it.each([
    ["at first", (lines: string[]) => fresh(graphOf([...SHOP, ...lines]))],
    ["later", (lines: string[]) => layoutOf(graphOf([...SHOP, ...lines]), fresh(graphOf(SHOP)))],
  ])("keeps edges off the nodes that they pass, when they come %s", (_, make) => {
    const lines = ["edge>redis", "load>postgres"];
    const graph = graphOf([...SHOP, ...lines]);
    const { positions, routes } = make(lines);
    for (const edge of graph.edges) {
      const curves = cubics(positions.get(edge.source)!, positions.get(edge.target)!, routes.get(edge.id));
      for (let share = 0.02; share < 1; share += 0.02) {
        const at = along(curves, share);
        for (const [id, place] of positions) {
          if (id === edge.source || id === edge.target) continue;
          const inside = Math.abs(at.x - place.x) < NODE_W / 2 && Math.abs(at.y - place.y) < NODE_H / 2;
          expect(inside, `${edge.id} behind ${id}`).toBe(false);
        }
      }
    }
  });

  it("keeps the others' places when a node goes", () => {
    const before = fresh(graphOf(SHOP));
    const after = layoutOf(graphOf(SHOP.filter((line) => !line.includes("redis"))), before);
    expect(after.positions.has("redis")).toBe(false);
    expect(after.positions.get("postgres")).toEqual(before.positions.get("postgres"));
  });

  it("begins anew when most of the map is new", () => {
    expect(kept(graphOf(estate(30)), fresh(graphOf(SHOP)))).toBeNull();
  });

  it("shelves nodes without relations under the rest", () => {
    const map = mapOf([...SHOP, "alone>alone"]);
    const graph = drawnGraph({ ...map, relations: map.relations.filter((one) => one.source !== "alone") }, EVERYTHING);
    const { positions } = fresh(graph);
    expect(positions.get("alone")!.y).toBeGreaterThan(positions.get("checkout")!.y);
  });

  it("finds layers where calls go round in circles", () => {
    const layers = layersOf(graphOf(["a>b", "b>c", "c>a", "c>d"]));
    expect(layers.get("d")!).toBeGreaterThan(layers.get("a")!);
    expect(Math.min(...layers.values())).toBe(0);
  });
});

describe("the figures of edges", () => {
  it("never cover each other or a node", () => {
    const graph = graphOf(estate(20, 1));
    const layout = fresh(graph);
    const boxes = [...labelsOf(graph, layout).values()]
      .filter((one) => one.clear)
      .map((one) => ({ x: one.at.x, y: one.at.y, width: one.text.length * 6 }));
    boxes.forEach((one, index) => {
      for (const two of boxes.slice(index + 1)) {
        const apart = Math.abs(one.x - two.x) >= (one.width + two.width) / 2 || Math.abs(one.y - two.y) >= 14;
        expect(apart).toBe(true);
      }
    });
  });
});
