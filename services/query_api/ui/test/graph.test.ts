import { describe, expect, it } from "vitest";
import { EVERYTHING, filtered, matches, prefixOf, prefixesOf } from "../src/state/filter";
import { GROUP_FROM, drawnGraph, groupingOf, shapeOf } from "../src/state/graph";
import { stateSentence } from "../src/state/levels";
import { mapOf, relation, service, state } from "./factory";

describe("the drawn graph", () => {
  it("bundles the relations between two services into one edge with the worst colour", () => {
    const map = mapOf(["shop>db"]);
    map.relations.push(relation("shop", "db", { id: "shop->db:tcp", protocol: "tcp", state: state("orange") }));
    const { edges } = drawnGraph(map, EVERYTHING);
    expect(edges.map((one) => [one.id, one.level, one.protocols, one.requestsPerS])).toEqual([
      ["shop->db", "orange", ["http", "tcp"], 20],
    ]);
  });

  it("collapses groups of three, with the worst of their members and only the edges that leave", () => {
    const bad = service("pay-api", { state: state("red") });
    const map = mapOf(["edge>pay-api", "pay-api>pay-db", "pay-worker>pay-db"], [bad]);
    const { nodes, edges } = drawnGraph(map, { ...EVERYTHING, grouping: "prefix" });
    expect(nodes.map((one) => [one.id, one.own, one.instances])).toEqual([
      ["edge", "green", 1],
      ["group:pay", "red", 3],
    ]);
    expect(edges.map((one) => one.id)).toEqual(["edge->group:pay"]);
  });

  it("shows an opened group's members", () => {
    const map = mapOf(["pay-api>pay-db", "pay-worker>pay-db"]);
    const { nodes } = drawnGraph(map, { ...EVERYTHING, grouping: "prefix", expanded: ["pay"] });
    expect(nodes.map((one) => one.id)).toEqual(["pay-api", "pay-db", "pay-worker"]);
  });

  it("groups by itself only when there is much to see", () => {
    expect(groupingOf(EVERYTHING, 7)).toBe("none");
    expect(groupingOf(EVERYTHING, GROUP_FROM + 1)).toBe("prefix");
    expect(groupingOf({ ...EVERYTHING, grouping: "kind" }, 7)).toBe("kind");
  });

  it("keeps its shape when only figures and colours change", () => {
    const map = mapOf(["a>b"]);
    const changed = { ...map, services: map.services.map((one) => ({ ...one, state: state("red") })) };
    expect(shapeOf(drawnGraph(changed, EVERYTHING))).toBe(shapeOf(drawnGraph(map, EVERYTHING)));
  });

  it("says what a client asks where nobody asks it", () => {
    const { nodes } = drawnGraph(mapOf(["load>edge"]), EVERYTHING);
    expect(nodes.find((one) => one.id === "load")!.callsPerS).toBe(10);
  });
});

describe("the filter", () => {
  const map = mapOf(["edge>shop"], [service("shop", { state: state("green", "red") }), service("edge")]);

  it("counts what a service suffers as its level", () => {
    expect(filtered(map, { ...EVERYTHING, level: "orange" }).services.map((one) => one.id)).toEqual(["shop"]);
  });

  it("drops relations that lose an end", () => {
    expect(filtered(map, { ...EVERYTHING, text: "edge" }).relations).toEqual([]);
  });

  it("searches names, kinds and attributes", () => {
    const one = service("cart", { attributes: { "host.name": "rack-7" } });
    expect([matches(one, "CAR"), matches(one, "rack"), matches(one, "mail")]).toEqual([true, true, false]);
  });

  it("reads the name space from labels first, then from the name", () => {
    expect(prefixOf(service("pay-api"))).toBe("pay");
    expect(prefixOf(service("pay-api", { attributes: { "k8s.namespace.name": "money" } }))).toBe("money");
    expect(prefixOf(service("external:10.1.2.3:443"))).toBe("external");
    expect(prefixesOf(mapOf(["pay-api>pay-db", "edge>pay-api"]))).toEqual(["pay"]);
  });
});

describe("a state in words", () => {
  it("names the culprit, and says when it still learns", () => {
    expect(stateSentence({ ...state("green", "red"), culprits: ["db"] })).toBe("healthy, but suffers from db (failing)");
    expect(stateSentence({ ...state("grey"), learning: true })).toBe("still learning what is usual");
  });
});
