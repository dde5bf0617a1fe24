// The running programs of a service, beside their siblings.
import type { Instance } from "../api/types.gen";
import { duration, rate, ratio } from "../format/numbers";
import { moment, span } from "../format/time";
import { Empty } from "../parts/Notice";
import { type Column, Table } from "../parts/Table";
import { now } from "../state/store";
import { useState } from "preact/hooks";

const COLUMNS: readonly Column<Instance>[] = [
  { key: "pid", title: "Instance", sort: (one) => one.pid, cell: (one) => <>{one.pid} <span class="faint">on {one.node}</span></> },
  { key: "rate", title: "Req", numeric: true, sort: (one) => one.provided.requests_per_s, cell: (one) => rate(one.provided.requests_per_s) },
  { key: "errors", title: "Errors", numeric: true, sort: (one) => one.provided.error_ratio, cell: (one) => ratio(one.provided.error_ratio) },
  { key: "p95", title: "p95", numeric: true, sort: (one) => one.provided.p95_s, cell: (one) => duration(one.provided.p95_s) },
  { key: "up", title: "Up", numeric: true, sort: (one) => one.started, cell: (one) => (one.ended ? "ended" : span((now.value - Date.parse(one.started)) / 1000)) },
];

export function InstanceTable({ instances }: { instances: readonly Instance[] }) {
  const [opened, setOpened] = useState("");
  if (instances.length === 0) return <Empty title="No instance in this time" />;
  return (
    <Table
      label="Instances"
      columns={COLUMNS}
      rows={instances}
      rowKey={(one) => one.id}
      first={{ key: "rate", descending: true }}
      opened={opened}
      onOpen={(one) => setOpened(one.id === opened ? "" : one.id)}
      below={(one) => (
        <dl class="rows">
          <dt>Executable</dt>
          <dd><code>{one.executable}</code></dd>
          <dt>Started</dt>
          <dd>{moment(one.started, now.value)}</dd>
          {one.ended && <><dt>Ended</dt><dd>{moment(one.ended, now.value)}</dd></>}
          {one.container && <><dt>Container</dt><dd><code>{one.container}</code></dd></>}
          {one.cgroup && <><dt>Control group</dt><dd><code>{one.cgroup}</code></dd></>}
          <dt>Addresses</dt>
          <dd>{one.addresses.join(", ") || "none seen"}</dd>
          {one.opaque && <><dt>Encrypted</dt><dd>Content not visible: {one.opaque}</dd></>}
          <dt>Listens on</dt>
          <dd>{one.listeners.join(", ") || "nothing seen"}</dd>
        </dl>
      )}
    />
  );
}
