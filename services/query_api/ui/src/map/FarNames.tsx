// Names above everything else, for when the map is too far away to read the cards: of few nodes all, of many those
// that are in trouble or looked at.
import { shortened } from "../format/numbers";
import { rank } from "../state/levels";
import { NODE_H } from "./geometry";
import { focused, graph, hoveredId, layout, selectedNode } from "./mapState";

const NAME_ALL = 50;
const LOUD = rank("orange");

export function FarNames() {
  const { positions } = layout.value;
  const { nodes } = graph.value;
  const looked = new Set([focused.value, selectedNode.value, hoveredId.value]);
  const named = nodes.filter((node) => nodes.length <= NAME_ALL || rank(node.own) >= LOUD || looked.has(node.id));
  return (
    <g class="far-names" aria-hidden="true">
      {named.map((node) => {
        const place = positions.get(node.id);
        if (!place) return null;
        return (
          <text key={node.id} x={place.x} y={place.y + NODE_H / 2}>
            {shortened(node.name, 22)}
          </text>
        );
      })}
    </g>
  );
}
