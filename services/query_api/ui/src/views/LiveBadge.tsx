// Whether what is shown is the present: live and how old, stale, lost, or a time in the past.
import { connect } from "../api/live";
import { span, shortClock } from "../format/time";
import { connection, goLive, heardAt, isLive, now, range, retryAt, topology } from "../state/store";
import { ageSeconds, freshness } from "../state/topology";

export function LiveBadge() {
  const map = topology.value;
  if (!isLive.value) {
    return (
      <button type="button" class="live past" title="Go back to live (l)" onClick={goLive}>
        <i class="dot" /> {pastLabel()}
      </button>
    );
  }
  if (connection.value === "lost") {
    const wait = Math.max(0, Math.round((retryAt.value - now.value) / 1000));
    return (
      <button type="button" class="live lost" title="Try now" onClick={connect}>
        <i class="dot" /> Connection lost{wait ? `, again in ${wait} s` : ""}
      </button>
    );
  }
  if (!map) return <span class="live"><i class="dot" /> Connecting</span>;
  const fresh = freshness(map, heardAt.value, now.value);
  const age = span(ageSeconds(map, heardAt.value, now.value));
  return (
    <span class={`live ${fresh}`} title={map.age_s === null ? "No kernel data has come yet" : `The newest kernel data is ${age} old`}>
      <i class="dot" /> {fresh === "stale" ? `Stale, ${age} old` : fresh === "fresh" ? `Live, ${age} old` : "Live, no data yet"}
    </span>
  );
}

function pastLabel(): string {
  const chosen = range.value;
  if (chosen.kind === "span") return `${shortClock(chosen.from)} to ${shortClock(chosen.to)}`;
  return "Not live";
}
