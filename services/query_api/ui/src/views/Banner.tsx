// One line under the bar when what is shown is not the present, with what to do.
import { connect, refresh } from "../api/live";
import { ApiError } from "../api/client";
import { clock, span } from "../format/time";
import { connection, heardAt, isLive, now, problem, topology } from "../state/store";
import { ageSeconds, freshness } from "../state/topology";

export function Banner() {
  const map = topology.value;
  if (!map) return null;
  if (isLive.value && connection.value === "lost") {
    return (
      <div class="banner bad-banner" role="alert">
        <b>Connection lost.</b> This is the map of {clock(heardAt.value)}.
        <button type="button" class="link" onClick={connect}>
          Try now
        </button>
      </div>
    );
  }
  if (problem.value) {
    return (
      <div class="banner bad-banner" role="alert">
        <b>{problem.value.message}.</b> {problem.value instanceof ApiError && problem.value.detail}
        <button type="button" class="link" onClick={() => void refresh()}>
          Try again
        </button>
      </div>
    );
  }
  if (freshness(map, heardAt.value, now.value) === "stale") {
    return (
      <div class="banner" role="status">
        <b>The map stands still.</b> The newest kernel data is {span(ageSeconds(map, heardAt.value, now.value))} old. Is
        probe-manager running? The status view says.
      </div>
    );
  }
  if (map.services.length > 0 && map.services.every((one) => one.state.own === "grey")) {
    return (
      <div class="banner calm" role="status">
        <b>Still learning.</b> Grey turns to a colour once there is enough history to judge by; outright failures show
        at once.
      </div>
    );
  }
  return null;
}
