// Sampled single requests: when, what, how long, how it ended, and why it was kept.
import { useState } from "preact/hooks";
import { all } from "../api/client";
import { useQuery } from "../api/query";
import type { SpanRecord } from "../api/types.gen";
import { duration, words } from "../format/numbers";
import { clock, moment } from "../format/time";
import { LevelIcon } from "../parts/icons";
import { Answered } from "../parts/Notice";
import { params, writeRange } from "../state/range";
import { nameOf, now, range } from "../state/store";

interface Props {
  ask: Record<string, string>;
  only?: (span: SpanRecord) => boolean;
}

const MOST = 100;

export function SpanRows({ ask, only }: Props) {
  const [failed, setFailed] = useState(false);
  const over = range.value;
  const asked = useQuery(
    `${JSON.stringify(ask)} ${writeRange(over)} ${failed}`,
    (signal) => all<SpanRecord>("spans", { ...params(over), ...ask, failed }, MOST, signal),
    over.kind === "span" ? 0 : 10_000,
  );
  return (
    <div class="spans">
      <label class="check">
        <input type="checkbox" checked={failed} onChange={() => setFailed(!failed)} /> Only failed
      </label>
      <Answered asked={asked} what="sampled requests">
        {(spans) => <Rows spans={only ? spans.filter(only) : spans} />}
      </Answered>
    </div>
  );
}

function Rows({ spans }: { spans: readonly SpanRecord[] }) {
  if (spans.length === 0) {
    return <p class="faint">No sampled request in this time. The first of each endpoint, failed and slow ones are kept.</p>;
  }
  const longest = Math.max(...spans.map((span) => span.duration_s));
  return (
    <ul class="span-list">
      {spans.map((span, index) => (
        <li key={`${span.started} ${span.duration_s} ${index}`}>
          <details>
            <summary>
              <LevelIcon level={outcomeLevel(span)} label={words(span.outcome)} />
              <span class="span-when">{clock(span.started)}</span>
              <span class="span-name">{span.name}</span>
              <span class="span-status">{span.status || words(span.outcome)}</span>
              <span class="span-took">
                <meter class="took" max={longest} value={span.duration_s} aria-hidden="true" />
                {duration(span.duration_s)}
              </span>
            </summary>
            <dl class="rows">
              <dt>Started</dt>
              <dd>{moment(span.started, now.value)}</dd>
              <dt>{span.role === "server" ? "Asked by" : "Asked"}</dt>
              <dd>{span.peer ? nameOf(span.peer) : "unknown"}</dd>
              <dt>Seen at</dt>
              <dd>
                {nameOf(span.service)}, as {span.role}
              </dd>
              <dt>Kept because</dt>
              <dd>{words(span.why)}</dd>
              {span.trace_id && (
                <>
                  <dt>Trace</dt>
                  <dd>
                    <code>{span.trace_id}</code>
                  </dd>
                </>
              )}
              {Object.entries(span.attributes).map(([key, value]) => [
                <dt key={key}>
                  <code>{key}</code>
                </dt>,
                <dd key={`${key} value`}>
                  <code>{value}</code>
                </dd>,
              ])}
            </dl>
          </details>
        </li>
      ))}
    </ul>
  );
}

function outcomeLevel(span: SpanRecord) {
  if (span.outcome === "ok") return "green";
  return span.outcome === "client_error" ? "yellow" : "red";
}
