// Silences that last, and ending them.
import { useState } from "preact/hooks";
import { all, part, send } from "../api/client";
import { useQuery } from "../api/query";
import type { Silence } from "../api/types.gen";
import { span } from "../format/time";
import { Answered, Empty } from "../parts/Notice";
import { entityName, news, now, session } from "../state/store";

export function SilenceList() {
  const [error, setError] = useState("");
  const asked = useQuery("silences", (signal) => all<Silence>("silences", {}, 200, signal), 15_000, news.alert.value);
  const end = (id: string) =>
    send("DELETE", `silences/${part(id)}`).then(asked.again, (failed: Error) => setError(failed.message));
  return (
    <Answered asked={asked} what="silences">
      {(silences) =>
        silences.length === 0 ? (
          <Empty title="Nothing is silenced" />
        ) : (
          <>
            {error && <p class="bad" role="alert">{error}</p>}
            <ul class="anomaly-list">
              {silences.map((one) => (
                <li class="anomaly" key={one.id}>
                  <div>
                    <p class="strong">
                      {one.template === "*" ? "Every template" : one.template} on {one.entity === "*" ? "everything" : entityName(one.entity)}
                    </p>
                    <p class="faint">
                      by {one.by}
                      {one.comment && `: ${one.comment}`}
                    </p>
                  </div>
                  <div class="anomaly-when">
                    <p>{span(Math.max(0, (Date.parse(one.until) - now.value) / 1000))} left</p>
                    <button type="button" class="link" disabled={session.value?.role === "viewer"} onClick={() => void end(one.id)}>
                      End it
                    </button>
                  </div>
                </li>
              ))}
            </ul>
          </>
        )
      }
    </Answered>
  );
}
