// What the map says when there is nothing to draw.
import { Empty, Failed } from "../parts/Notice";
import { get } from "../api/client";
import { refresh } from "../api/live";
import { useQuery } from "../api/query";
import type { Status } from "../api/types.gen";
import { LevelIcon } from "../parts/icons";
import { EVERYTHING } from "../state/filter";
import { filter, goLive, isLive, problem, topology } from "../state/store";
import { graph } from "./mapState";

export function MapNotice() {
  const map = topology.value;
  if (!map && problem.value) {
    return (
      <div class="map-notice">
        <Failed error={problem.value} again={() => void refresh()} />
      </div>
    );
  }
  if (!map) {
    return (
      <div class="map-notice" role="status">
        <div class="notice">
          <span class="spinner" aria-hidden="true" />
          <h2>Reading the map</h2>
        </div>
      </div>
    );
  }
  if (map.services.length === 0) return <div class="map-notice">{isLive.value ? <NothingSeen /> : <NothingThen />}</div>;
  if (graph.value.nodes.length > 0) return null;
  return (
    <div class="map-notice">
      <Empty title="No service passes the filter">
        <button type="button" class="button" onClick={() => (filter.value = { ...EVERYTHING, grouping: filter.value.grouping })}>
          Show everything
        </button>
      </Empty>
    </div>
  );
}

function NothingSeen() {
  const status = useQuery("nothing seen", (signal) => get<Status>("status", {}, signal), 5000);
  const waiting = (status.data?.services ?? []).filter((one) => one.state !== "ready");
  return (
    <Empty title="Nothing seen yet">
      {waiting.length === 0 && (
        <p>The probes wait for the first request of a program in scope. A minute of quiet is normal; more is not.</p>
      )}
      {waiting.map((one) => (
        <p key={one.service + one.node} class="waiting">
          <LevelIcon level={one.state === "starting" ? "grey" : "orange"} label={one.state} /> <b>{one.service}</b>{" "}
          {one.state === "silent" ? "is silent" : `is ${one.state}`}
          {one.waiting_for && `, waits for ${one.waiting_for}`}
        </p>
      ))}
      <dl class="hints">
        <dt>
          <code>meshlens doctor</code>
        </dt>
        <dd>says which probes work on this kernel, and what is missed.</dd>
        <dt>
          <code>meshlens demo start</code>
        </dt>
        <dd>runs a small shop under load to look at.</dd>
        <dt>
          <code>meshlens up --scope …</code>
        </dt>
        <dd>chooses the programs that are watched.</dd>
      </dl>
    </Empty>
  );
}

function NothingThen() {
  return (
    <Empty title="Nothing was recorded in this time">
      <button type="button" class="button" onClick={goLive}>
        Back to live
      </button>
    </Empty>
  );
}
