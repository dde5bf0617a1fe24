// One relation: as its caller saw it beside how its callee saw it, and TCP underneath.
import { get, part } from "../api/client";
import { useQuery } from "../api/query";
import type { Rates, RelationEdge } from "../api/types.gen";
import { bytesPerSecond, count, duration, rate, ratio } from "../format/numbers";
import { TcpRows } from "../parts/figures";
import { LevelIcon } from "../parts/icons";
import { Answered, Empty } from "../parts/Notice";
import { encryptedWords, ProtocolName } from "../parts/Protocol";
import { Culprits, Reasons, StateLine } from "../parts/State";
import { mapParams, writeRange } from "../state/range";
import { entityName, go, isLive, nameOf, range, relationById, route, select, topology } from "../state/store";
import { PanelHead, Tabs } from "./PanelHead";
import { SpanRows } from "./SpanRows";
import { Timeline } from "./Timeline";

const TABS = ["overview", "requests", "network"] as const;

export function RelationPanel({ id }: { id: string }) {
  const onMap = relationById.value.get(id);
  const asked = useQuery(
    `relation ${id} ${writeRange(range.value)} ${onMap ? "map" : ""}`,
    (signal) => (onMap ? Promise.resolve(onMap) : get<RelationEdge>(`relations/${part(id)}`, mapParams(range.value), signal)),
    isLive.value ? 5000 : 0,
  );
  const relation = onMap ?? asked.data;
  const tab = TABS.find((one) => one === route.value.tab) ?? "overview";
  if (!relation) {
    return (
      <>
        <PanelHead kind="proxy" title={entityName(id)} under="not on the map of this time" />
        <Answered asked={asked} what="relation">
          {() => <Empty title="Not there in this time" />}
        </Answered>
      </>
    );
  }
  return (
    <>
      <PanelHead kind="proxy" title={<Ends relation={relation} />} under={<Speaks relation={relation} />} />
      <div class="panel-part">
        <Siblings relation={relation} />
        <StateLine state={relation.state} />
        <Culprits state={relation.state} />
        <Reasons reasons={relation.state.reasons} />
      </div>
      <Tabs
        tabs={TABS.map((one) => [one, one.charAt(0).toUpperCase() + one.slice(1)] as const)}
        open={tab}
        onOpen={(one) => go({ tab: one }, true)}
      />
      <div role="tabpanel" aria-label={tab}>
        {tab === "overview" && (
          <>
            <BothSides relation={relation} />
            <section class="panel-part timeline">
              <Timeline path={`relations/${part(id)}`} />
            </section>
          </>
        )}
        {tab === "requests" && (
          <div class="panel-part">
            <SpanRows ask={{ service: relation.target, role: "server", protocol: relation.protocol }} only={(span) => !span.peer || span.peer === relation.source} />
          </div>
        )}
        {tab === "network" && (
          <div class="panel-part">
            <TcpRows tcp={relation.tcp} />
          </div>
        )}
      </div>
    </>
  );
}

function Speaks({ relation }: { relation: RelationEdge }) {
  const locked = encryptedWords(relation.encrypted);
  return (
    <>
      <ProtocolName {...relation} />, port {relation.port || "unknown"}
      {locked && `, ${locked}`}
    </>
  );
}

function Ends({ relation }: { relation: RelationEdge }) {
  return (
    <>
      <button type="button" class="link" onClick={() => select({ kind: "service", id: relation.source })}>
        {nameOf(relation.source)}
      </button>
      <span class="faint"> → </span>
      <button type="button" class="link" onClick={() => select({ kind: "service", id: relation.target })}>
        {nameOf(relation.target)}
      </button>
    </>
  );
}

/** Other relations between the same two. */
function Siblings({ relation }: { relation: RelationEdge }) {
  const all = (topology.value?.relations ?? []).filter(
    (one) => one.source === relation.source && one.target === relation.target,
  );
  if (all.length < 2) return null;
  return (
    <p class="siblings">
      {all.map((one) => (
        <button key={one.id} type="button" class="pill" aria-pressed={one.id === relation.id} onClick={() => select({ kind: "relation", id: one.id })}>
          <LevelIcon level={one.state.own} /> <ProtocolName {...one} />
        </button>
      ))}
    </p>
  );
}

const LINES: readonly [string, (rates: Rates) => string][] = [
  ["Requests", (rates) => rate(rates.requests_per_s)],
  ["Counted", (rates) => count(rates.requests)],
  ["Failed", (rates) => ratio(rates.error_ratio)],
  ["Without an answer", (rates) => count(rates.no_responses)],
  ["p50", (rates) => duration(rates.p50_s)],
  ["p95", (rates) => duration(rates.p95_s)],
  ["p99", (rates) => duration(rates.p99_s)],
  ["Request bytes", (rates) => bytesPerSecond(rates.request_bytes_per_s)],
  ["Response bytes", (rates) => bytesPerSecond(rates.response_bytes_per_s)],
];

function BothSides({ relation }: { relation: RelationEdge }) {
  if (relation.client.requests + relation.server.requests === 0) {
    return (
      <p class="panel-part faint">
        No request of a known protocol in this time; the network figures say what was sent.
      </p>
    );
  }
  const seen = (rates: Rates, show: (rates: Rates) => string) => (rates.requests ? show(rates) : "–");
  return (
    <section class="panel-part">
      <table class="sides" aria-label="Both sides">
        <thead>
          <tr>
            <th scope="col" />
            <th scope="col" class="numeric">at {nameOf(relation.source)}</th>
            <th scope="col" class="numeric">at {nameOf(relation.target)}</th>
          </tr>
        </thead>
        <tbody>
          {LINES.map(([name, show]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td class="numeric">{seen(relation.client, show)}</td>
              <td class="numeric">{seen(relation.server, show)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Between relation={relation} />
    </section>
  );
}

/** What the caller waited longer than the callee worked: the network, and queues on the way. */
function Between({ relation }: { relation: RelationEdge }) {
  const [caller, callee] = [relation.client.p50_s, relation.server.p50_s];
  if (caller === null || callee === null || caller <= callee) return null;
  return (
    <p class="faint">
      The median at {nameOf(relation.source)} is {duration(caller - callee)} longer than at {nameOf(relation.target)}: the
      network, and queues on the way.
    </p>
  );
}
