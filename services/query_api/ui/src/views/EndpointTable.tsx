// Endpoints with their figures; a row opens its sampled requests.
import { useState } from "preact/hooks";
import type { Endpoint } from "../api/types.gen";
import { bytesPerSecond, duration, errorLook, rate, ratio } from "../format/numbers";
import { SpanRows } from "../panel/SpanRows";
import { Empty } from "../parts/Notice";
import { ProtocolName } from "../parts/Protocol";
import { type Column, Table } from "../parts/Table";
import { nameOf, openEntity } from "../state/store";

const NAME: Column<Endpoint> = { key: "name", title: "Endpoint", wide: true, sort: (one) => one.name, cell: (one) => <Name endpoint={one} /> };

const HASH = /^[0-9a-f]{16}$/;

function Name({ endpoint }: { endpoint: Endpoint }) {
  if (!endpoint.name) return <span class="faint">without text</span>;
  if (endpoint.name === "~other") return <span title="All endpoints beyond the limit of their instance">other endpoints</span>;
  if (!HASH.test(endpoint.name)) return <>{endpoint.name}</>;
  return (
    <span class="faint" title="No sampled request has told its text yet">
      not named yet <code>{endpoint.name.slice(0, 8)}</code>
    </span>
  );
}

const SERVICE: Column<Endpoint> = {
  key: "service",
  title: "Service",
  sort: (one) => nameOf(one.service),
  cell: (one) => (
    <button
      type="button"
      class="link"
      onClick={(event) => {
        event.stopPropagation();
        openEntity(one.service);
      }}
    >
      {nameOf(one.service)}
    </button>
  ),
};

const FIGURES: readonly Column<Endpoint>[] = [
  { key: "rate", title: "Requests", numeric: true, sort: (one) => one.rates.requests_per_s, cell: (one) => rate(one.rates.requests_per_s) },
  {
    key: "errors",
    title: "Errors",
    numeric: true,
    sort: (one) => one.rates.error_ratio,
    cell: (one) => <span class={errorLook(one.rates.error_ratio)}>{ratio(one.rates.error_ratio)}</span>,
  },
  { key: "p50", title: "p50", numeric: true, sort: (one) => one.rates.p50_s, cell: (one) => duration(one.rates.p50_s) },
  { key: "p95", title: "p95", numeric: true, sort: (one) => one.rates.p95_s, cell: (one) => duration(one.rates.p95_s) },
  { key: "p99", title: "p99", numeric: true, sort: (one) => one.rates.p99_s, cell: (one) => duration(one.rates.p99_s) },
];

const WIDE: readonly Column<Endpoint>[] = [
  NAME,
  SERVICE,
  { key: "protocol", title: "Protocol", sort: (one) => one.protocol, cell: (one) => <ProtocolName {...one} /> },
  ...FIGURES,
  { key: "bytes", title: "Out", numeric: true, sort: (one) => one.rates.response_bytes_per_s, cell: (one) => bytesPerSecond(one.rates.response_bytes_per_s) },
];

const NARROW: readonly Column<Endpoint>[] = [NAME, FIGURES[0]!, FIGURES[1]!, FIGURES[3]!];

export function endpointKey(one: Endpoint): string {
  return `${one.service} ${one.protocol} ${one.endpoint}`;
}

export function EndpointTable({ endpoints, narrow = false }: { endpoints: readonly Endpoint[]; narrow?: boolean }) {
  const [opened, setOpened] = useState("");
  if (endpoints.length === 0) return <Empty title="No endpoint was asked in this time" />;
  return (
    <Table
      label="Endpoints"
      columns={narrow ? NARROW : WIDE}
      rows={endpoints}
      rowKey={endpointKey}
      first={{ key: "rate", descending: true }}
      opened={opened}
      onOpen={(one) => setOpened(endpointKey(one) === opened ? "" : endpointKey(one))}
      below={(one) => <SpanRows ask={{ service: one.service, endpoint: one.endpoint }} />}
    />
  );
}
