// How meshlens itself is: its services, what it lost, what it observes, and its probes.
import { all, get } from "../api/client";
import { useQuery } from "../api/query";
import type { LevelName, Probe, ServiceHealth, Status } from "../api/types.gen";
import { bytes, count, duration } from "../format/numbers";
import { ago, span } from "../format/time";
import { LevelIcon } from "../parts/icons";
import { Answered, Empty } from "../parts/Notice";
import { type Column, Table } from "../parts/Table";
import { totalLost } from "../state/topology";
import { news, now } from "../state/store";
import { Losses } from "./Losses";
import { ProbeList } from "./ProbeList";
import { ViewHead } from "./ViewHead";

const LEVEL: Record<ServiceHealth["state"], LevelName> = { ready: "green", starting: "grey", degraded: "orange", silent: "red" };

const COLUMNS: readonly Column<ServiceHealth>[] = [
  { key: "state", title: "State", sort: (one) => one.state, cell: (one) => <span class="state-cell"><LevelIcon level={LEVEL[one.state]} label={one.state} /> {one.state}</span> },
  { key: "service", title: "Service", wide: true, sort: (one) => one.service, cell: (one) => <><strong>{one.service}</strong> <span class="faint">on {one.node}</span></> },
  { key: "waits", title: "Waits for", cell: (one) => one.waiting_for || <span class="faint">nothing</span> },
  { key: "lag", title: "Lag", numeric: true, hint: "Age of the oldest message not yet applied", sort: (one) => one.lag_s, cell: (one) => duration(one.lag_s) },
  { key: "lost", title: "Lost", numeric: true, sort: (one) => totalLost(one.lost), cell: (one) => count(totalLost(one.lost)) },
  { key: "memory", title: "Memory", numeric: true, sort: (one) => one.resident_bytes, cell: (one) => bytes(one.resident_bytes) },
  { key: "cpu", title: "CPU", numeric: true, hint: "Share of one processor since start", sort: cpuShare, cell: (one) => `${(cpuShare(one) * 100).toFixed(1)} %` },
  { key: "up", title: "Up", numeric: true, sort: (one) => one.started, cell: (one) => span((now.value - Date.parse(one.started)) / 1000) },
  { key: "heard", title: "Heard", numeric: true, sort: (one) => one.heard, cell: (one) => ago(one.heard, now.value) },
];

function cpuShare(one: ServiceHealth): number {
  return one.cpu_s / Math.max(1, (Date.parse(one.heard) - Date.parse(one.started)) / 1000);
}

export function StatusView() {
  const status = useQuery("status", (signal) => get<Status>("status", {}, signal), 5000, news.status.value);
  const probes = useQuery("probes", (signal) => all<Probe>("probes", {}, 1000, signal), 10_000, news.probes.value);
  return (
    <section class="view" aria-label="Status">
      <ViewHead title="Status" about="How meshlens itself is, and what it could not see." />
      <Answered asked={status} what="status">
        {(told) => (
          <>
            {told.services.length === 0 ? (
              <Empty title="No service has reported yet" />
            ) : (
              <Table label="Services of meshlens" columns={COLUMNS} rows={told.services} rowKey={(one) => `${one.service} ${one.node}`} first={{ key: "service", descending: false }} />
            )}
            <div class="status-pair">
              <section class="card-part">
                <h2>Losses since start</h2>
                <Losses lost={told.lost} />
              </section>
              <section class="card-part">
                <h2>Scope</h2>
                {Object.keys(told.scope).length === 0 && <p class="faint">No node has told its scope yet.</p>}
                <dl class="rows">
                  {Object.entries(told.scope).map(([node, scope]) => [
                    <dt key={node}>{node}</dt>,
                    <dd key={`${node} scope`}>{scope}</dd>,
                  ])}
                </dl>
              </section>
            </div>
          </>
        )}
      </Answered>
      <h2 class="list-title">Probes</h2>
      <Answered asked={probes} what="probes">
        {(list) => <ProbeList probes={list} changed={probes.again} />}
      </Answered>
    </section>
  );
}
