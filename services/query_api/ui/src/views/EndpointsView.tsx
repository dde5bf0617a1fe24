// Every endpoint over the chosen time: which fail, which are slow, and the requests behind them.
import { useState } from "preact/hooks";
import { all } from "../api/client";
import { useQuery } from "../api/query";
import type { Endpoint } from "../api/types.gen";
import { plural } from "../format/numbers";
import { Answered } from "../parts/Notice";
import { params, rangeWords, writeRange } from "../state/range";
import { nameOf, range, topology } from "../state/store";
import { EndpointTable } from "./EndpointTable";
import { ViewHead } from "./ViewHead";

const MOST = 1000;
const SLOW: readonly [string, string][] = [
  ["", "any duration"],
  ["0.01", "p95 from 10 ms"],
  ["0.1", "p95 from 100 ms"],
  ["0.5", "p95 from 500 ms"],
  ["1", "p95 from 1 s"],
  ["5", "p95 from 5 s"],
];

export function EndpointsView() {
  const [text, setText] = useState("");
  const [service, setService] = useState("");
  const [protocol, setProtocol] = useState("");
  const [failing, setFailing] = useState(false);
  const [slow, setSlow] = useState("");
  const over = range.value;
  const asked = useQuery(
    `endpoints ${writeRange(over)} ${service} ${protocol} ${failing} ${slow}`,
    (signal) => all<Endpoint>("endpoints", { ...params(over), service, protocol, failing, slow_s: slow, sort: failing ? "errors" : "requests" }, MOST, signal),
    over.kind === "span" ? 0 : 10_000,
  );
  const protocols = [...new Set((topology.value?.relations ?? []).map((one) => one.protocol))].sort();
  const wanted = text.toLowerCase();
  const pass = (one: Endpoint) => `${one.name} ${nameOf(one.service)}`.toLowerCase().includes(wanted);
  return (
    <section class="view" aria-label="Endpoints">
      <ViewHead title="Endpoints" about="Interfaces that services provide; open one to see sampled requests.">
        <input type="search" placeholder="Part of a name" aria-label="Part of a name" value={text} onInput={(event) => setText(event.currentTarget.value)} />
        <select aria-label="Service" value={service} onChange={(event) => setService(event.currentTarget.value)}>
          <option value="">All services</option>
          {(topology.value?.services ?? []).map((one) => (
            <option key={one.id} value={one.id}>
              {one.name}
            </option>
          ))}
        </select>
        <select aria-label="Protocol" value={protocol} onChange={(event) => setProtocol(event.currentTarget.value)}>
          <option value="">All protocols</option>
          {protocols.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </select>
        <select aria-label="Slow" value={slow} onChange={(event) => setSlow(event.currentTarget.value)}>
          {SLOW.map(([value, title]) => (
            <option key={value} value={value}>
              {title}
            </option>
          ))}
        </select>
        <label class="check">
          <input type="checkbox" checked={failing} onChange={() => setFailing(!failing)} /> Only failing
        </label>
      </ViewHead>
      <Answered asked={asked} what="endpoints">
        {(endpoints) => {
          const shown = endpoints.filter(pass);
          return (
            <>
              <EndpointTable endpoints={shown} />
              <p class="faint count">{plural(shown.length, "endpoint")} {rangeWords(over)}{endpoints.length >= MOST ? `, of the first ${MOST}` : ""}</p>
            </>
          );
        }}
      </Answered>
    </section>
  );
}
