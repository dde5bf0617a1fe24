// How the figures of a service or relation went: requests with errors, and durations.
import { useQuery } from "../api/query";
import { get } from "../api/client";
import type { TimeLine } from "../api/types.gen";
import { duration, rate } from "../format/numbers";
import { Chart } from "../parts/Chart";
import { Answered } from "../parts/Notice";
import { params, writeRange } from "../state/range";
import { isLive, range } from "../state/store";

const EVERY_MS = 10_000;

export function Timeline({ path }: { path: string }) {
  const over = range.value;
  const asked = useQuery(
    `${path} ${writeRange(over)}`,
    (signal) => get<TimeLine>(`${path}/timeline`, params(over), signal),
    isLive.value || over.kind === "last" ? EVERY_MS : 0,
  );
  return (
    <Answered asked={asked} what="time line">
      {(line) => (line.points.length > 1 ? <Lines line={line} /> : <p class="faint">No figures in this time yet.</p>)}
    </Answered>
  );
}

function Lines({ line }: { line: TimeLine }) {
  const times = line.points.map((point) => Date.parse(point.start));
  const pick = (of: (point: TimeLine["points"][number]) => number | null) => line.points.map(of);
  return (
    <>
      <Chart
        label="Requests"
        times={times}
        format={rate}
        series={[
          { name: "all", look: "requests", filled: true, values: pick((point) => point.rates.requests_per_s) },
          { name: "failed", look: "errors", filled: true, values: pick((point) => point.rates.errors / line.step_s) },
        ]}
      />
      <Chart
        label="Duration"
        times={times}
        format={duration}
        series={[
          { name: "p99", look: "p99", values: pick((point) => point.rates.p99_s) },
          { name: "p95", look: "p95", values: pick((point) => point.rates.p95_s) },
          { name: "p50", look: "p50", values: pick((point) => point.rates.p50_s) },
        ]}
      />
    </>
  );
}
