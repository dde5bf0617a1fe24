// A relation: thickness says how many requests, colour and sign say its state; a healthy one stays quiet.
import { memo } from "preact/compat";
import { LevelShape } from "../parts/icons";
import type { GraphEdge } from "../state/graph";
import type { LevelName } from "../api/types.gen";
import { isTrouble } from "../state/levels";
import { type Point, along, cubics, pathOf } from "./geometry";
import { EdgeLabel } from "./EdgeLabel";
import type { Label } from "./labels";

interface Props {
  edge: GraphEdge;
  from: Point;
  to: Point;
  bends: readonly Point[] | undefined;
  /** Its figures, in a graph that has room for them. */
  label: Label | undefined;
  /** Whether the pointer can find it. */
  reach: boolean;
  lit: boolean;
  dim: boolean;
}

export function thickness(requestsPerS: number): number {
  return Math.round(12 + Math.log10(1 + requestsPerS) * 7.5) / 10;
}

function same(a: Props, b: Props): boolean {
  return (
    a.from === b.from &&
    a.to === b.to &&
    a.bends === b.bends &&
    a.lit === b.lit &&
    a.dim === b.dim &&
    a.edge.level === b.edge.level &&
    a.edge.inherited === b.edge.inherited &&
    a.reach === b.reach &&
    sameLabel(a.label, b.label) &&
    thickness(a.edge.requestsPerS) === thickness(b.edge.requestsPerS)
  );
}

function sameLabel(a: Label | undefined, b: Label | undefined): boolean {
  if (!a || !b) return a === b;
  return a.text === b.text && a.family === b.family && a.clear === b.clear && a.at.x === b.at.x && a.at.y === b.at.y;
}

export const EdgePath = memo(function EdgePath({ edge, from, to, bends, label, reach, lit, dim }: Props) {
  const curves = cubics(from, to, bends);
  const path = pathOf(curves);
  const trouble = isTrouble(edge.level);
  const names = ["edge", `edge-${edge.level}`];
  if (lit) names.push("lit");
  if (dim) names.push("dim");
  if (trouble) names.push("troubled");
  const suffers = !trouble && isTrouble(edge.inherited);
  if (suffers) names.push("suffers", `ring-${edge.inherited}`);
  if (edge.requestsPerS === 0) names.push("silent");
  return (
    <g class={names.join(" ")} data-edge={edge.id}>
      <path
        class="edge-line"
        d={path}
        stroke-width={thickness(edge.requestsPerS)}
        marker-end={`url(#arrow-${trouble ? edge.level : suffers ? edge.inherited : lit ? "lit" : "calm"})`}
      />
      {reach && <path class="edge-reach" d={path} />}
      {label?.clear && <EdgeLabel label={label} />}
      {trouble && <Sign level={edge.level} at={label?.sign ?? along(curves, 0.5)} />}
    </g>
  );
}, same);

function Sign({ level, at }: { level: LevelName; at: Point }) {
  return (
    <g class="edge-sign" transform={`translate(${at.x - 7} ${at.y - 7})`}>
      <g transform="scale(.875)">
        <LevelShape level={level} />
      </g>
    </g>
  );
}
