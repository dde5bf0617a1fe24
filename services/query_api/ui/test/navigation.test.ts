import { describe, expect, it } from "vitest";
import { fresh } from "../src/map/layout";
import { pickedSpan, stripWindow } from "../src/map/strip";
import { firstNode, step } from "../src/map/walk";
import { areaPath, linePath, niceTop } from "../src/parts/chartPaths";
import { inOrder } from "../src/parts/Table";
import { EVERYTHING } from "../src/state/filter";
import { drawnGraph } from "../src/state/graph";
import { LIVE, bounds, params, rangeWords, readRange, writeRange } from "../src/state/range";
import { readRoute, writeRoute } from "../src/state/route";
import { mapOf } from "./factory";

describe("the address", () => {
  it("brings back what it was written from", () => {
    const route = {
      view: "map" as const,
      selection: { kind: "relation" as const, id: "checkout->postgres:postgresql" },
      range: { kind: "span" as const, from: 1_760_000_000_000, to: 1_760_000_060_000 },
      tab: "network",
    };
    expect(readRoute(writeRoute(route))).toEqual(route);
  });

  it("falls back to the live map for anything else", () => {
    for (const hash of ["", "#", "#/nowhere?time=yesterday", "#/map?time=5-3", "#/%?&&"]) {
      expect(readRoute(hash)).toEqual({ view: "map", selection: null, range: LIVE, tab: "" });
    }
  });

  it("writes ranges that it reads again", () => {
    for (const range of [LIVE, { kind: "last" as const, seconds: 900 }]) expect(readRange(writeRange(range))).toEqual(range);
  });
});

describe("ranges", () => {
  it("ask the API in its own words", () => {
    expect(params({ kind: "last", seconds: 300 })).toEqual({ from: "-300s", to: "now" });
    expect(params({ kind: "span", from: 0, to: 10_000 })).toEqual({
      from: "1970-01-01T00:00:00.000Z",
      to: "1970-01-01T00:00:10.000Z",
    });
    expect([LIVE, { kind: "last" as const, seconds: 3600 }].map((one) => rangeWords(one, 300))).toEqual([
      "in the last 5 minutes",
      "in the last hour",
    ]);
    expect(bounds({ kind: "last", seconds: 60 }, 100_000)).toEqual({ from: 40_000, to: 100_000 });
  });
});

describe("arrow keys", () => {
  const graph = drawnGraph(mapOf(["load>edge", "edge>shop", "edge>cart", "shop>db", "cart>db"]), EVERYTHING);
  const { positions } = fresh(graph);

  it("walk to a dependency and back to a caller", () => {
    expect(step(graph, positions, "load", "right")).toBe("edge");
    expect(step(graph, positions, "edge", "left")).toBe("load");
    expect(["shop", "cart"]).toContain(step(graph, positions, "edge", "right"));
  });

  it("walk up and down a column", () => {
    const [upper, lower] = ["shop", "cart"].sort((a, b) => positions.get(a)!.y - positions.get(b)!.y) as [string, string];
    expect(step(graph, positions, upper, "down")).toBe(lower);
    expect(step(graph, positions, lower, "up")).toBe(upper);
  });

  it("stay where there is nowhere to go, and begin at the entry", () => {
    expect(step(graph, positions, "load", "left")).toBeNull();
    expect(firstNode(positions)).toBe("load");
    expect(step(graph, positions, "", "right")).toBe("load");
  });
});

describe("the time strip", () => {
  it("covers the last hour, or an older time with room around it", () => {
    const now = 1_760_000_000_000;
    expect(stripWindow(LIVE, now)).toEqual({ from: now - 3_600_000, to: now });
    const old = { kind: "span" as const, from: now - 9e7, to: now - 8.9e7 };
    const { from, to } = stripWindow(old, now);
    expect(from).toBeLessThan(old.from);
    expect(to).toBeGreaterThan(old.to);
  });

  it("takes a drag in whole windows, in either direction, but not a click", () => {
    const frame = { from: 0, to: 3_600_000 };
    expect(pickedSpan(65_000, 125_000, frame)).toEqual({ from: 60_000, to: 130_000 });
    expect(pickedSpan(125_000, 65_000, frame)).toEqual({ from: 60_000, to: 130_000 });
    expect(pickedSpan(65_000, 65_500, frame)).toBeNull();
  });
});

describe("charts", () => {
  it("leave a gap where nothing is known", () => {
    expect(linePath([1, 2, null, 2, 1], 2, 100, 20).match(/M/g)).toHaveLength(2);
    expect(areaPath([null, null], 2, 100, 20)).toBe("");
  });

  it("end at a round figure", () => {
    expect([0, 0.7, 1, 3, 7, 180].map(niceTop)).toEqual([1, 1, 1, 5, 10, 200]);
  });
});

describe("sorting a table", () => {
  it("puts what is not known last in both directions", () => {
    const columns = [{ key: "p95", title: "", cell: String, sort: (one: number | null) => one }];
    expect(inOrder([null, 1, 3, 2], columns, { key: "p95", descending: true })).toEqual([3, 2, 1, null]);
    expect(inOrder([null, 1, 3, 2], columns, { key: "p95", descending: false })).toEqual([1, 2, 3, null]);
  });
});
