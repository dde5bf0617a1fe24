import { describe, expect, it } from "vitest";
import { causeSentence, sortedLosses, sum } from "../src/format/causes";
import { bytes, bytesPerSecond, count, duration, errorLook, rate, ratio, share, shortened, withUnit } from "../src/format/numbers";

const plain = (text: string) => text.replaceAll("\u202f", " ");

describe("figures for people", () => {
  it("keeps three digits and names the unit", () => {
    expect([0, 3.2e-8, 4.1e-5, 0.0042, 0.81, 1, 59.96, 119, 600, 86_400].map((one) => plain(duration(one)))).toEqual([
      "0 s", "0.03 µs", "41 µs", "4.2 ms", "810 ms", "1 s", "60 s", "119 s", "10 min", "24 h",
    ]);
  });

  it("moves to the next unit rather than write 1000", () => {
    expect(plain(duration(0.9996))).toBe("1 s");
    expect(plain(duration(0.00099999))).toBe("1 ms");
    expect(plain(bytes(999.9))).toBe("1 kB");
  });

  it("shows a dash for what is not known, never 0", () => {
    expect([ratio(null), duration(null)]).toEqual(["–", "–"]);
  });

  it("tells nothing from little", () => {
    expect([0, 0.00001, 0.0042, 0.31, 1].map((one) => plain(ratio(one)))).toEqual(["0 %", "<0.01 %", "0.42 %", "31 %", "100 %"]);
    expect([0, 0.001, 0.04, 128, 1234, 2_000_000].map((one) => plain(rate(one)))).toEqual([
      "0/s", "<0.01/s", "0.04/s", "128/s", "1.23 k/s", "2 M/s",
    ]);
  });

  it("shortens shares where there is little room", () => {
    expect([null, 0.0048, 0.0465, 0.0998, 0.512].map((one) => plain(share(one)))).toEqual(["–", "0.5 %", "4.7 %", "10 %", "51 %"]);
  });

  it("parts thousands in counts", () => {
    expect(plain(count(1234567))).toBe("1 234 567");
    expect(plain(bytesPerSecond(131_000))).toBe("131 kB/s");
  });

  it("follows the unit that the API names", () => {
    expect(plain(withUnit(0.31, "ratio"))).toBe("31 %");
    expect(plain(withUnit(0.31, "s"))).toBe("310 ms");
    expect(plain(withUnit(31, "1/s"))).toBe("31/s");
    expect(plain(withUnit(31, "1"))).toBe("31");
  });

  it("raises its voice from one percent of errors on", () => {
    expect([null, 0, 0.004, 0.01].map(errorLook)).toEqual(["faint", "faint", "", "bad"]);
  });

  it("shortens to the asked length", () => {
    expect(shortened("payments-gateway", 9)).toBe("payments…");
    expect(shortened("cart", 9)).toBe("cart");
  });
});

describe("losses", () => {
  it("tells lost counts from lost detail, the greatest first", () => {
    const { counts, detail } = sortedLosses({ sample_rate: 9, series_full: 2, pipeline_full: 5, unpaired_response: 0 });
    expect(counts.map((one) => one.cause)).toEqual(["pipeline_full", "series_full"]);
    expect([sum(counts), sum(detail)]).toEqual([7, 9]);
  });

  it("shows a cause that it does not know by its own words", () => {
    expect(causeSentence("moon_phase")).toBe("Moon phase");
  });
});
