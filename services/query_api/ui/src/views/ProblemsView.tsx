// What is wrong: alerts to take care of, and the anomalies behind them.
import { all } from "../api/client";
import { useQuery } from "../api/query";
import type { Alert, Anomaly } from "../api/types.gen";
import { Answered, Empty } from "../parts/Notice";
import { Tabs } from "../panel/PanelHead";
import { params, writeRange } from "../state/range";
import { go, isLive, news, range, route } from "../state/store";
import { AlertCard } from "./AlertCard";
import { AnomalyRow } from "./AnomalyRow";
import { SilenceList } from "./SilenceList";
import { ViewHead } from "./ViewHead";

const MOST = 500;
const DAY_S = 86_400;

export function ProblemsView() {
  const tab = route.value.tab === "anomalies" || route.value.tab === "silences" ? route.value.tab : "alerts";
  return (
    <section class="view narrow" aria-label="Problems">
      <ViewHead title="Problems" about="Alerts that want somebody, and the deviations behind them." />
      <Tabs
        tabs={[["alerts", "Alerts"], ["anomalies", "Anomalies"], ["silences", "Silences"]]}
        open={tab}
        onOpen={(one) => go({ tab: one }, true)}
      />
      <div role="tabpanel" aria-label={tab}>
        {tab === "alerts" && <Alerts />}
        {tab === "anomalies" && <Anomalies />}
        {tab === "silences" && <SilenceList />}
      </div>
    </section>
  );
}

const STATE_ORDER: Record<Alert["state"], number> = { firing: 0, pending: 1, resolved: 2 };
const SEVERITY_ORDER: Record<Alert["severity"], number> = { critical: 0, warning: 1, info: 2 };

export function alertOrder(a: Alert, b: Alert): number {
  return (
    STATE_ORDER[a.state] - STATE_ORDER[b.state] ||
    Number(Boolean(a.acknowledged_by)) - Number(Boolean(b.acknowledged_by)) ||
    SEVERITY_ORDER[a.severity] - SEVERITY_ORDER[b.severity] ||
    (a.started < b.started ? 1 : -1)
  );
}

function Alerts() {
  const asked = useQuery("alerts", (signal) => all<Alert>("alerts", {}, MOST, signal), 15_000, news.alert.value);
  return (
    <Answered asked={asked} what="alerts">
      {(alerts) => {
        if (alerts.length === 0) {
          return (
            <Empty title="No alerts">
              <p>An alert appears here when a template's condition holds long enough.</p>
            </Empty>
          );
        }
        const sorted = [...alerts].sort(alertOrder);
        const open = sorted.filter((one) => one.state !== "resolved");
        const past = sorted.filter((one) => one.state === "resolved");
        return (
          <>
            {open.length === 0 && <p class="all-well">Nothing fires now.</p>}
            {open.map((one) => <AlertCard key={one.id} alert={one} changed={asked.again} />)}
            {past.length > 0 && <h2 class="list-title">Resolved</h2>}
            {past.map((one) => <AlertCard key={one.id} alert={one} changed={asked.again} />)}
          </>
        );
      }}
    </Answered>
  );
}

function Anomalies() {
  const over = range.value;
  const asked = useQuery(
    `anomalies ${writeRange(over)}`,
    (signal) => all<Anomaly>("anomalies", params(over, DAY_S), MOST, signal),
    isLive.value ? 10_000 : 0,
  );
  return (
    <Answered asked={asked} what="anomalies">
      {(anomalies) =>
        anomalies.length === 0 ? (
          <Empty title={isLive.value ? "No anomaly in the last day" : "No anomaly in this time"} />
        ) : (
          <ul class="anomaly-list">
            {anomalies.map((one) => (
              <AnomalyRow key={`${one.entity} ${one.started}`} anomaly={one} />
            ))}
          </ul>
        )
      }
    </Answered>
  );
}
