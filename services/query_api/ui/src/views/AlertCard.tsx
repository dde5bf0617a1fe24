// One alert: what fires, since when, who looks after it, and what to do next.
import { useState } from "preact/hooks";
import { part, send } from "../api/client";
import type { Alert, LevelName } from "../api/types.gen";
import { withUnit } from "../format/numbers";
import { ago, moment, span } from "../format/time";
import { LevelIcon } from "../parts/icons";
import { Popover } from "../parts/Popover";
import { entityName, news, now, openEntity, session } from "../state/store";

const LEVEL: Record<Alert["severity"], LevelName> = { critical: "red", warning: "orange", info: "yellow" };
const SILENCES: readonly [string, number][] = [
  ["1 hour", 3600],
  ["4 hours", 14_400],
  ["1 day", 86_400],
];

export function alertLevel(alert: Alert): LevelName {
  return alert.state === "resolved" ? "green" : LEVEL[alert.severity];
}

export function AlertCard({ alert, changed }: { alert: Alert; changed: () => void }) {
  const [error, setError] = useState("");
  const mayAct = session.value?.role !== "viewer";
  const act = (done: Promise<unknown>) =>
    done.then(
      () => {
        setError("");
        changed();
        news.alert.value += 1;
      },
      (failed: Error) => setError(failed.message),
    );
  const acknowledge = () => act(send("POST", `alerts/${part(alert.id)}/acknowledge`, { by: "operator" }));
  const silence = (seconds: number) =>
    act(send("POST", "silences", { template: alert.template, entity: alert.entity, for_s: seconds }));
  const open = alert.state !== "resolved";
  return (
    <article class={`alert-card edge-${alertLevel(alert)} ${open ? "" : "past"}`} aria-label={alert.title}>
      <LevelIcon level={alertLevel(alert)} label={`${alert.severity}, ${alert.state}`} />
      <div class="alert-body">
        <h3>{alert.title}</h3>
        <p class="faint">
          <button type="button" class="link" onClick={() => openEntity(alert.entity)}>
            {entityName(alert.entity)}
          </button>{" "}
          · {alert.severity} · {alert.state} {when(alert)}
          {alert.occurrences > 1 && ` · ${alert.occurrences} times`}
          {alert.silenced && " · silenced"}
        </p>
        <details>
          <summary>What it means, and what to do</summary>
          <p>{alert.meaning}</p>
          <p class="faint">
            Measured {withUnit(alert.value, alert.unit)}, limit {withUnit(alert.threshold, alert.unit)}. Template{" "}
            <code>{alert.template}</code>.
          </p>
          <ol>
            {alert.next_steps.map((one) => (
              <li key={one}>{one}</li>
            ))}
          </ol>
        </details>
        {error && <p class="bad" role="alert">{error}</p>}
      </div>
      <div class="alert-actions">
        {alert.acknowledged_by ? (
          <span class="pill" title={alert.acknowledged ? moment(alert.acknowledged, now.value) : ""}>
            {alert.acknowledged_by} looks after it
          </span>
        ) : (
          open && (
            <button type="button" class="button primary" disabled={!mayAct} onClick={acknowledge}>
              Acknowledge
            </button>
          )
        )}
        {open && !alert.silenced && mayAct && (
          <Popover title="Silence this alert" label="Silence" side="right">
            {(close) =>
              SILENCES.map(([title, seconds]) => (
                <button key={title} type="button" class="menu-item" onClick={() => {
                  void silence(seconds);
                  close();
                }}>
                  for {title}
                </button>
              ))
            }
          </Popover>
        )}
      </div>
    </article>
  );
}

function when(alert: Alert): string {
  if (alert.state === "resolved" && alert.resolved) {
    const lasted = (Date.parse(alert.resolved) - Date.parse(alert.started)) / 1000;
    return `${ago(alert.resolved, now.value)}, after ${span(lasted)}`;
  }
  return `for ${ago(alert.fired ?? alert.started, now.value).replace(" ago", "")}`;
}
