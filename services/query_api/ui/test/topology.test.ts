import { describe, expect, it } from "vitest";
import { ageSeconds, freshness, heardTopology, heardVerdicts, totalLost } from "../src/state/topology";
import { mapOf, state } from "./factory";

const OLD = mapOf(["edge>checkout"]);

describe("what is heard", () => {
  it("replaces the map, unless it is older", () => {
    const newer = { ...OLD, end: "2026-01-01T00:00:12Z" };
    expect(heardTopology(OLD, newer)).toBe(newer);
    expect(heardTopology(newer, OLD)).toBe(newer);
  });

  it("shows a range that was asked for, and live again after it", () => {
    const range = { ...OLD, live: false, end: "2025-12-31T00:00:00Z" };
    expect(heardTopology(OLD, range)).toBe(range);
    expect(heardTopology(range, OLD)).toBe(OLD);
  });

  it("recolours what the verdicts name, and nothing else", () => {
    const verdicts = {
      start: OLD.start,
      end: OLD.end,
      states: [{ entity: "checkout", kind: "service" as const, state: state("red") }],
    };
    const after = heardVerdicts(OLD, verdicts)!;
    expect(after.services.map((one) => [one.id, one.state.own])).toEqual([
      ["edge", "green"],
      ["checkout", "red"],
    ]);
    expect(after.services[0]).toBe(OLD.services[0]);
    expect(after.relations).toEqual(OLD.relations);
  });

  it("leaves a map of the past as it was", () => {
    const past = { ...OLD, live: false };
    expect(heardVerdicts(past, { start: "", end: "", states: [{ entity: "edge", kind: "service", state: state("red") }] })).toBe(past);
  });

  it("grows old while nothing is heard", () => {
    expect(ageSeconds(OLD, 1_000, 11_000)).toBe(12);
    expect(freshness(OLD, 0, 20_000)).toBe("fresh");
    expect(freshness(OLD, 0, 40_000)).toBe("stale");
    expect(freshness({ ...OLD, age_s: null }, 0, 40_000)).toBe("unknown");
    expect(freshness({ ...OLD, live: false }, 0, 40_000)).toBe("unknown");
  });

  it("adds up what was lost", () => {
    expect(totalLost({ map_full: 3, ring_full: 4 })).toBe(7);
  });
});
