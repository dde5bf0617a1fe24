// The map as a table: for those who read better in rows, and for screen readers.
import type { ServiceNode } from "../api/types.gen";
import { bytesPerSecond, duration, errorLook, plural, rate, ratio } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { Empty } from "../parts/Notice";
import { type Column, Table } from "../parts/Table";
import { effectiveLevel, matches } from "../state/filter";
import { isTrouble, levelWord, rank, stateSentence } from "../state/levels";
import { nameOf, openEntity, topology } from "../state/store";
import { useState } from "preact/hooks";
import { ViewHead } from "./ViewHead";

const COLUMNS: readonly Column<ServiceNode>[] = [
  {
    key: "state",
    title: "State",
    numeric: false,
    sort: (one) => -(rank(one.state.own) * 10 + rank(effectiveLevel(one))),
    cell: (one) => (
      <span class="state-cell" title={stateSentence(one.state, nameOf)}>
        <LevelIcon level={one.state.own} label={levelWord(one.state.own)} />
        {isTrouble(one.state.inherited) && (
          <span class={`ring-sign ring-${one.state.inherited}`}>
            <LevelIcon level={one.state.inherited} label={`suffers: ${levelWord(one.state.inherited)}`} />
          </span>
        )}
      </span>
    ),
  },
  { key: "name", title: "Service", wide: true, sort: (one) => one.name, cell: (one) => <strong>{one.name}</strong> },
  { key: "kind", title: "Kind", sort: (one) => one.kind, cell: (one) => one.kind },
  { key: "instances", title: "Instances", numeric: true, sort: (one) => one.instances, cell: (one) => one.instances },
  { key: "rate", title: "Requests", numeric: true, sort: (one) => one.provided.requests_per_s, cell: (one) => rate(one.provided.requests_per_s) },
  {
    key: "errors",
    title: "Errors",
    numeric: true,
    sort: (one) => one.provided.error_ratio,
    cell: (one) => <span class={errorLook(one.provided.error_ratio)}>{ratio(one.provided.error_ratio)}</span>,
  },
  { key: "p50", title: "p50", numeric: true, sort: (one) => one.provided.p50_s, cell: (one) => duration(one.provided.p50_s) },
  { key: "p95", title: "p95", numeric: true, sort: (one) => one.provided.p95_s, cell: (one) => duration(one.provided.p95_s) },
  { key: "p99", title: "p99", numeric: true, sort: (one) => one.provided.p99_s, cell: (one) => duration(one.provided.p99_s) },
  { key: "out", title: "Out", numeric: true, sort: (one) => one.provided.response_bytes_per_s, cell: (one) => bytesPerSecond(one.provided.response_bytes_per_s) },
  { key: "retransmits", title: "Retrans.", hint: "Share of segments sent again", numeric: true, sort: (one) => one.tcp.retransmit_ratio, cell: (one) => ratio(one.tcp.retransmit_ratio) },
];

export function ServicesView() {
  const [text, setText] = useState("");
  const services = topology.value?.services ?? [];
  const shown = services.filter((one) => matches(one, text));
  return (
    <section class="view" aria-label="Services">
      <ViewHead title="Services" about="Everything on the map, as a table.">
        <input type="search" placeholder="Name, kind or attribute" aria-label="Name, kind or attribute" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </ViewHead>
      {shown.length === 0 ? (
        <Empty title={services.length ? "No service has that in its name" : "Nothing seen yet"} />
      ) : (
        <Table label="Services" columns={COLUMNS} rows={shown} rowKey={(one) => one.id} first={{ key: "state", descending: false }} onOpen={(one) => openEntity(one.id)} />
      )}
      <p class="faint count">{plural(shown.length, "service")}</p>
    </section>
  );
}
