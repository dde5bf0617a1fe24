// One time of trouble, with its reasons; it opens the map at that time.
import type { Anomaly } from "../api/types.gen";
import { moment, span } from "../format/time";
import { LevelIcon } from "../parts/icons";
import { sentence } from "../parts/State";
import { levelWord } from "../state/levels";
import { entityName, go, now, openEntity } from "../state/store";

const AROUND_MS = 120_000;

export function AnomalyRow({ anomaly }: { anomaly: Anomaly }) {
  const end = anomaly.ended ? Date.parse(anomaly.ended) : now.value;
  const lasted = span((end - Date.parse(anomaly.started)) / 1000);
  const look = () => {
    const from = Date.parse(anomaly.started) - AROUND_MS;
    const kind = anomaly.kind;
    go({ view: "map", selection: { kind, id: anomaly.entity }, tab: "", range: { kind: "span", from, to: Math.min(now.value, end + AROUND_MS) } });
  };
  return (
    <li class={`anomaly edge-${anomaly.level} ${anomaly.ended ? "past" : ""}`}>
      <LevelIcon level={anomaly.level} label={levelWord(anomaly.level)} />
      <div>
        <button type="button" class="link strong" onClick={() => openEntity(anomaly.entity)}>
          {entityName(anomaly.entity)}
        </button>
        {anomaly.reasons.map((one) => (
          <p key={one.signal + one.detector}>{sentence(one.text)}</p>
        ))}
      </div>
      <div class="anomaly-when">
        <p>{anomaly.ended ? `lasted ${lasted}` : `for ${lasted}`}</p>
        <p class="faint">{moment(anomaly.started, now.value)}</p>
        {anomaly.ended && (
          <button type="button" class="link" onClick={look}>
            Map at that time
          </button>
        )}
      </div>
    </li>
  );
}
