// What is under the pointer, with its figures and reasons.
import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Reason } from "../api/types.gen";
import { bytesPerSecond, duration, rate, ratio } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { encryptedWords } from "../parts/Protocol";
import { capital, sentence } from "../parts/State";
import { type GraphEdge, type GraphNode, seenRates } from "../state/graph";
import { isTrouble, levelWord, stateSentence } from "../state/levels";
import { nameOf } from "../state/store";
import { edgeById, hovered, nodeById } from "./mapState";

export function Tip({ frame }: { frame: RefObject<HTMLElement | null> }) {
  const box = useRef<HTMLDivElement>(null);
  const over = hovered.value;
  useLayoutEffect(() => {
    if (!over || !box.current || !frame.current) return;
    const outer = frame.current.getBoundingClientRect();
    const { width, height } = box.current.getBoundingClientRect();
    const x = Math.min(over.x - outer.left + 16, outer.width - width - 8);
    const below = over.y - outer.top + 18;
    const y = below + height > outer.height ? over.y - outer.top - height - 12 : below;
    box.current.style.transform = `translate(${Math.max(8, x)}px, ${Math.max(8, y)}px)`;
  });
  if (!over) return null;
  const node = over.kind === "node" ? nodeById.value.get(over.id) : undefined;
  const edge = over.kind === "edge" ? edgeById.value.get(over.id) : undefined;
  if (!node && !edge) return null;
  return (
    <div class="tip" ref={box} role="presentation">
      {node && <AboutNode node={node} />}
      {edge && <AboutEdge edge={edge} />}
    </div>
  );
}

function AboutNode({ node }: { node: GraphNode }) {
  const one = node.members[0]!;
  const reasons = node.group ? node.members.flatMap((member) => member.state.reasons.slice(0, 1)) : one.state.reasons;
  const sentence = node.group ? groupSentence(node) : capital(stateSentence(one.state, nameOf));
  return (
    <>
      <p class="tip-title">
        <LevelIcon level={node.own} /> {node.name}
      </p>
      <p class="faint">{sentence}</p>
      <Why reasons={reasons} />
      <dl class="tip-figures">
        <dt>Requests</dt>
        <dd>{rate(node.requestsPerS)}</dd>
        <dt>Errors</dt>
        <dd>{ratio(node.errorRatio)}</dd>
        {!node.group && (
          <>
            <dt>p50 / p95 / p99</dt>
            <dd>{[one.provided.p50_s, one.provided.p95_s, one.provided.p99_s].map(duration).join(" / ")}</dd>
            <dt>Retransmissions</dt>
            <dd>{ratio(one.tcp.retransmit_ratio)}</dd>
          </>
        )}
      </dl>
    </>
  );
}

function groupSentence(node: GraphNode): string {
  const bad = node.members.filter((one) => isTrouble(one.state.own));
  if (bad.length === 0) return `${node.members.length} services, none in trouble`;
  return `${bad.length} of ${node.members.length} services in trouble: ${bad.slice(0, 4).map((one) => one.name).join(", ")}`;
}

function AboutEdge({ edge }: { edge: GraphEdge }) {
  const one = edge.relations[0]!;
  const seen = seenRates(one);
  const alone = edge.relations.length === 1;
  return (
    <>
      <p class="tip-title">
        <LevelIcon level={edge.level} /> {nameOf(edge.source).replace(/^group:/, "")} → {nameOf(edge.target).replace(/^group:/, "")}
      </p>
      <p class="faint">
        {alone ? [`${one.protocol}, port ${one.port}`, encryptedWords(one.encrypted)].filter(Boolean).join(", ") : `${edge.relations.length} relations: ${edge.protocols.join(", ")}`} · {levelWord(edge.level)}
      </p>
      <Why reasons={edge.relations.flatMap((relation) => relation.state.reasons)} />
      <dl class="tip-figures">
        <dt>Requests</dt>
        <dd>{rate(edge.requestsPerS)}</dd>
        <dt>Errors</dt>
        <dd>{ratio(edge.errorRatio)}</dd>
        {alone && (
          <>
            <dt>p50 / p95 / p99</dt>
            <dd>{[seen.p50_s, seen.p95_s, seen.p99_s].map(duration).join(" / ")}</dd>
            <dt>Bytes out / in</dt>
            <dd>
              {bytesPerSecond(one.tcp.bytes_sent_per_s)} / {bytesPerSecond(one.tcp.bytes_received_per_s)}
            </dd>
            <dt>Round trip p50</dt>
            <dd>{duration(one.tcp.rtt_p50_s)}</dd>
            <dt>Retransmissions</dt>
            <dd>{ratio(one.tcp.retransmit_ratio)}</dd>
          </>
        )}
      </dl>
    </>
  );
}

function Why({ reasons }: { reasons: readonly Reason[] }) {
  if (reasons.length === 0) return null;
  return (
    <ul class="tip-why">
      {reasons.slice(0, 3).map((one) => (
        <li key={one.signal + one.text}>
          <LevelIcon level={one.level} /> {sentence(one.text)}
        </li>
      ))}
    </ul>
  );
}
