// The callers or dependencies of a service; the name leads to the other service, the figures to the relation.
import type { RelationEdge } from "../api/types.gen";
import { duration, errorLook, rate, ratio } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { ProtocolName } from "../parts/Protocol";
import { seenRates } from "../state/graph";
import { levelWord, rank } from "../state/levels";
import { nameOf, select } from "../state/store";

interface Props {
  title: string;
  nobody: string;
  relations: readonly RelationEdge[];
  /** Which end is the other one. */
  end: "source" | "target";
}

export function RelationList({ title, nobody, relations, end }: Props) {
  const sorted = [...relations].sort(
    (a, b) => rank(b.state.own) - rank(a.state.own) || seenRates(b).requests_per_s - seenRates(a).requests_per_s,
  );
  return (
    <section class="panel-part">
      <h3>
        {title} <span class="faint">{relations.length || ""}</span>
      </h3>
      {relations.length === 0 && <p class="faint">{nobody}</p>}
      <ul class="relation-list">
        {sorted.map((one) => {
          const seen = seenRates(one);
          return (
            <li key={one.id}>
              <LevelIcon level={one.state.own} label={levelWord(one.state.own)} />
              <button type="button" class="link strong" onClick={() => select({ kind: "service", id: one[end] })}>
                {nameOf(one[end])}
              </button>
              <button
                type="button"
                class="relation-figures"
                title="Open this relation"
                aria-label={`Open the relation with ${nameOf(one[end])} over ${one.protocol}`}
                onClick={() => select({ kind: "relation", id: one.id })}
              >
                <ProtocolName {...one} />
                {seen.requests > 0 && (
                  <>
                    <span>{rate(seen.requests_per_s)}</span>
                    <span class={errorLook(seen.error_ratio)}>{ratio(seen.error_ratio)}</span>
                    <span>{duration(seen.p95_s)}</span>
                  </>
                )}
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
