// A relation: thickness says how many requests, colour and sign say its state; a healthy one stays quiet.
import { memo } from "preact/compat";
import { LevelShape } from "../parts/icons";
import type { GraphEdge } from "../state/graph";
import { isTrouble } from "../state/levels";
import { type Point, cubics, pathOf } from "./geometry";
import type { Label } from "./labels";

interface Props {
  edge: GraphEdge;
  from: Point;
  to: Point;
  bends: readonly Point[] | undefined;
  label: Label;
  lit: boolean;
  dim: boolean;
}

export function thickness(requestsPerS: number): number {
  return 1.2 + Math.log10(1 + requestsPerS) * 0.75;
}

export const EdgePath = memo(function EdgePath({ edge, from, to, bends, label, lit, dim }: Props) {
  const path = pathOf(cubics(from, to, bends));
  const trouble = isTrouble(edge.level);
  const names = ["edge", `edge-${edge.level}`];
  if (lit) names.push("lit");
  if (dim) names.push("dim");
  if (trouble) names.push("troubled");
  if (edge.requestsPerS === 0) names.push("silent");
  if (!label.clear) names.push("crowded");
  return (
    <g class={names.join(" ")} data-edge={edge.id}>
      <path
        class="edge-line"
        d={path}
        stroke-width={thickness(edge.requestsPerS)}
        marker-end={`url(#arrow-${trouble ? edge.level : lit ? "lit" : "calm"})`}
      />
      <path class="edge-reach" d={path} />
      <text class="edge-label" x={label.at.x} y={label.at.y}>
        {label.text}
      </text>
      {trouble && (
        <g class="edge-sign" transform={`translate(${label.sign.x - 7} ${label.sign.y - 7})`}>
          <g transform="scale(.875)">
            <LevelShape level={edge.level} />
          </g>
        </g>
      )}
    </g>
  );
});
