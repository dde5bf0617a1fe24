// One service: state with reasons, figures, callers, dependencies, endpoints, instances, sampled requests, network.
import { get, part } from "../api/client";
import { useQuery } from "../api/query";
import type { ServiceDetail, ServiceNode } from "../api/types.gen";
import { plural } from "../format/numbers";
import { RateTiles, TcpRows } from "../parts/figures";
import { Answered, Empty } from "../parts/Notice";
import { Culprits, Reasons, StateLine } from "../parts/State";
import { params, rangeWords, writeRange } from "../state/range";
import { go, isLive, range, route, serviceById, topology } from "../state/store";
import { EndpointTable } from "../views/EndpointTable";
import { InstanceTable } from "./InstanceTable";
import { PanelHead, Tabs } from "./PanelHead";
import { RelationList } from "./RelationList";
import { SpanRows } from "./SpanRows";
import { Timeline } from "./Timeline";

const EVERY_MS = 5000;
/** Live, endpoints and instances are about so many seconds: ten are too few to know a rare endpoint. */
const DETAIL_S = 300;
const TABS = ["overview", "endpoints", "instances", "requests", "network"] as const;

export function ServicePanel({ id }: { id: string }) {
  const over = range.value;
  const asked = useQuery(
    `service ${id} ${writeRange(over)}`,
    (signal) => get<ServiceDetail>(`services/${part(id)}`, params(over, DETAIL_S), signal),
    isLive.value || over.kind === "last" ? EVERY_MS : 0,
  );
  const service = serviceById.value.get(id) ?? asked.data?.service;
  const tab = TABS.find((one) => one === route.value.tab) ?? "overview";
  if (!service) {
    return (
      <>
        <PanelHead kind="service" title={id} under="not on the map of this time" />
        <Answered asked={asked} what="service">
          {() => <Empty title="Not there in this time" />}
        </Answered>
      </>
    );
  }
  return (
    <>
      <PanelHead kind={service.kind} title={service.name} under={subtitle(service)} />
      <div class="panel-part">
        <StateLine state={service.state} />
        <Culprits state={service.state} />
        <Reasons reasons={service.state.reasons} />
        <RateTiles rates={service.provided} />
      </div>
      <Tabs
        tabs={TABS.map((one) => [one, one.charAt(0).toUpperCase() + one.slice(1)] as const)}
        open={tab}
        onOpen={(one) => go({ tab: one }, true)}
      />
      <div role="tabpanel" aria-label={tab}>
        {tab === "overview" && <Overview service={service} />}
        {(tab === "endpoints" || tab === "instances") && <p class="about faint">Requests {rangeWords(over, DETAIL_S)}</p>}
        {tab === "endpoints" && (
          <Answered asked={asked} what="endpoints">
            {(detail) => <EndpointTable endpoints={detail.endpoints} narrow />}
          </Answered>
        )}
        {tab === "instances" && (
          <Answered asked={asked} what="instances">
            {(detail) => <InstanceTable instances={detail.instances} />}
          </Answered>
        )}
        {tab === "requests" && (
          <div class="panel-part">
            <SpanRows ask={{ service: id }} />
          </div>
        )}
        {tab === "network" && (
          <div class="panel-part">
            <TcpRows tcp={service.tcp} />
          </div>
        )}
      </div>
    </>
  );
}

function subtitle(service: ServiceNode): string {
  const seen = service.seen_from === "client" ? ", known only from its callers" : "";
  return `${service.kind}, ${plural(service.instances, "instance")}${seen}`;
}

function Overview({ service }: { service: ServiceNode }) {
  const relations = topology.value?.relations ?? [];
  return (
    <>
      <section class="panel-part timeline">
        <Timeline path={`services/${part(service.id)}`} />
      </section>
      <RelationList
        title="Callers"
        nobody="Nobody called it in this time."
        end="source"
        relations={relations.filter((one) => one.target === service.id)}
      />
      <RelationList
        title="Dependencies"
        nobody="It called nobody in this time."
        end="target"
        relations={relations.filter((one) => one.source === service.id)}
      />
      {Object.keys(service.attributes).length > 0 && (
        <section class="panel-part">
          <h3>Attributes</h3>
          <dl class="rows attributes">
            {Object.entries(service.attributes).map(([key, value]) => [
              <dt key={key}>
                <code>{key}</code>
              </dt>,
              <dd key={`${key} value`}>{value}</dd>,
            ])}
          </dl>
        </section>
      )}
    </>
  );
}
