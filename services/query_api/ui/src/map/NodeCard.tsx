// A node: fill says its own state, the broken ring what it suffers from others, the badge repeats the level as a shape.
import { memo } from "preact/compat";
import { duration, rate, share, shortened } from "../format/numbers";
import { KindShape, LevelShape } from "../parts/icons";
import type { GraphNode } from "../state/graph";
import { LEVELS, isTrouble, levelWord, rank } from "../state/levels";
import { NODE_H, NODE_W } from "./geometry";

const LEFT = -NODE_W / 2;
const TOP = -NODE_H / 2;
const TILE = 44;
/** A smaller share of errors is left to the panel. */
const WORTH_SAYING = 0.005;

interface Props {
  node: GraphNode;
  x: number;
  y: number;
  selected: boolean;
  dim: boolean;
  reachable: boolean;
  /** Too far away for words. */
  far: boolean;
}

export function nodeElementId(id: string): string {
  return `node ${id}`;
}

function look(node: GraphNode, selected: boolean, dim: boolean): string {
  const names = ["node", `own-${node.own}`];
  if (isTrouble(node.own) || isTrouble(node.inherited)) names.push("troubled");
  if (node.group) names.push("grouped");
  if (selected) names.push("selected");
  if (dim) names.push("dim");
  return names.join(" ");
}

export function spoken(node: GraphNode): string {
  const own = node.own === "grey" && node.learning ? "still learning" : levelWord(node.own);
  const suffers = isTrouble(node.inherited) ? `, suffers from a dependency (${levelWord(node.inherited)})` : "";
  const many = node.group ? `group of ${node.instances}` : node.kind;
  return `${node.name}, ${many}, ${own}${suffers}, ${figures(node).join(", ")}`;
}

export function figures(node: GraphNode): string[] {
  if (node.requestsPerS > 0) {
    const failing = (node.errorRatio ?? 0) >= WORTH_SAYING || (isTrouble(node.own) && !node.group && node.errorRatio);
    return [rate(node.requestsPerS), failing ? `${share(node.errorRatio)} err` : "", duration(node.p95)].filter(Boolean);
  }
  return node.callsPerS > 0 ? [`asks ${rate(node.callsPerS)}`] : ["no requests"];
}

/** Whether two cards look the same: most updates change the figures of few. */
function same(a: Props, b: Props): boolean {
  return (
    a.x === b.x &&
    a.y === b.y &&
    a.selected === b.selected &&
    a.dim === b.dim &&
    a.reachable === b.reachable &&
    a.far === b.far &&
    (a.node === b.node || face(a.node, a.far && !a.reachable) === face(b.node, b.far && !b.reachable))
  );
}

function face(node: GraphNode, far: boolean): string {
  const shares = node.group ? LEVELS.map((level) => node.members.filter((one) => one.state.own === level).length) : [];
  return [node.name, node.kind, node.own, node.inherited, node.learning, node.instances, ...(far ? [] : figures(node)), ...shares].join();
}

export const NodeCard = memo(function NodeCard({ node, x, y, selected, dim, reachable, far }: Props) {
  return (
    <g
      id={nodeElementId(node.id)}
      class={look(node, selected, dim)}
      transform={`translate(${x} ${y})`}
      data-node={node.id}
      role="button"
      aria-label={spoken(node)}
      aria-pressed={selected}
      tabindex={reachable ? 0 : -1}
    >
      <rect class="focus-ring" x={LEFT - 9} y={TOP - 9} width={NODE_W + 18} height={NODE_H + 18} rx="18" />
      {isTrouble(node.inherited) && (
        <rect class={`ring ring-${node.inherited}`} x={LEFT - 5} y={TOP - 5} width={NODE_W + 10} height={NODE_H + 10} rx="15" />
      )}
      {node.group && <rect class="card behind" x={LEFT + 6} y={TOP - 5} width={NODE_W - 12} height={NODE_H} rx="10" />}
      <rect class="card" x={LEFT} y={TOP} width={NODE_W} height={NODE_H} rx="11" />
      <path class="tile" d={`M${LEFT + 11} ${TOP}h${TILE - 11}v${NODE_H}h-${TILE - 11}a11 11 0 0 1 -11 -11v-${NODE_H - 22}a11 11 0 0 1 11 -11Z`} />
      {!far && (
        <>
          <g class="tile-icon" transform={`translate(${LEFT + 10} -12)`}>
            <KindShape kind={node.kind} />
          </g>
          <Words node={node} />
          {node.group && <Share node={node} />}
        </>
      )}
      {(isTrouble(node.own) || node.own === "grey") && (
        <g class="badge">
          <g transform={`translate(${NODE_W / 2 - 11} ${TOP - 8})`}>
            <LevelShape level={node.own} />
          </g>
        </g>
      )}
    </g>
  );
}, same);

function Words({ node }: { node: GraphNode }) {
  const left = LEFT + TILE + 11;
  return (
    <>
      <text class="node-name" x={left} y={-4}>
        {shortened(node.name, node.group || node.instances > 1 ? 14 : 17)}
        {node.instances > 1 && (
          <tspan class="instances" dx="6">
            {node.group ? node.instances : `×${node.instances}`}
          </tspan>
        )}
      </text>
      <text class="node-figures" x={left} y={15}>
        {figures(node).map((text, index) => (
          <tspan key={index} class={text.endsWith("err") ? "err" : ""} dx={index ? 7 : 0}>
            {text}
          </tspan>
        ))}
      </text>
      <text class="node-name-large" x={left} y={8}>
        {shortened(node.name, 10)}
      </text>
    </>
  );
}

/** How many members of a group are in which state. */
function Share({ node }: { node: GraphNode }) {
  const width = NODE_W - TILE - 22;
  let x = LEFT + TILE + 11;
  return (
    <g class="share">
      {[...LEVELS].reverse().map((level) => {
        const number = node.members.filter((one) => rank(one.state.own) === rank(level)).length;
        if (!number) return null;
        const part = (number / node.members.length) * width;
        const bar = <rect key={level} class={`fill-${level}`} x={x} y={NODE_H / 2 - 8} width={Math.max(2, part - 1.5)} height="3.5" rx="1.5" />;
        x += part;
        return bar;
      })}
    </g>
  );
}
