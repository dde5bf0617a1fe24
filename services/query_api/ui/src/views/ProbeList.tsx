// The probes of every node, with a switch each.
import { useState } from "preact/hooks";
import { part, send } from "../api/client";
import type { LevelName, Probe } from "../api/types.gen";
import { count, duration } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { Empty } from "../parts/Notice";
import { session } from "../state/store";

const LEVEL: Record<Probe["state"], LevelName> = { on: "green", off: "grey", failed: "red" };

export function ProbeList({ probes, changed }: { probes: readonly Probe[]; changed: () => void }) {
  const [error, setError] = useState("");
  if (probes.length === 0) return <Empty title="No node has reported its probes yet" />;
  const turn = (probe: Probe, on: boolean) =>
    send("PUT", `probes/${part(probe.name)}`, { on, node: probe.node }).then(
      () => {
        setError("");
        changed();
      },
      (failed: Error & { detail?: string }) => setError(`${failed.message}. ${failed.detail ?? ""}`),
    );
  return (
    <>
      {error && <p class="bad" role="alert">{error}</p>}
      <ul class="probe-list">
        {probes.map((one) => (
          <li key={`${one.node} ${one.name}`} class="probe">
            <LevelIcon level={LEVEL[one.state]} label={one.state} />
            <div class="probe-body">
              <p>
                <strong>{one.name}</strong> <span class="faint">on {one.node}</span>
              </p>
              <p>{one.question}</p>
              <p class="faint">
                {one.hook && <code>{one.hook}</code>}
                {one.fallback && <span class="pill">fall-back</span>}
                {one.cost && <span>{one.cost}</span>}
              </p>
              {one.misses && <p class={one.state !== "on" || one.fallback ? "misses now" : "misses"}>Not seen: {one.misses}</p>}
              {one.error && <p class="bad">{one.error}</p>}
            </div>
            <dl class="probe-figures">
              <dt>Runs</dt>
              <dd>{one.runs ? count(one.runs) : "–"}</dd>
              <dt>Each</dt>
              <dd>{one.runs && one.run_time_s ? duration(one.run_time_s / one.runs) : "–"}</dd>
            </dl>
            <button
              type="button"
              role="switch"
              class="switch"
              aria-checked={one.state === "on"}
              aria-label={`${one.name} on ${one.node}`}
              disabled={session.value !== null && session.value.role !== "admin"}
              title={session.value && session.value.role !== "admin" ? "Needs the role admin" : one.state === "on" ? "Switch off" : "Switch on"}
              onClick={() => void turn(one, one.state !== "on")}
            >
              <span />
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
