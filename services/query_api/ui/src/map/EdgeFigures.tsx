// The figures of the edges that are looked at, above everything else, where the map has no room to show all.
import { looseLabel } from "./labels";
import { edgeLabels, graph, hoveredId, layout, lit } from "./mapState";

const MOST = 24;

export function EdgeFigures() {
  const shown = lit.value;
  const over = hoveredId.value;
  const labels = edgeLabels.value;
  const edges = graph.value.edges.filter(
    (edge) =>
      edge.id === over || edge.id === shown?.edge || (shown?.node && (edge.source === shown.node || edge.target === shown.node)),
  );
  return (
    <g class="edge-figures" aria-hidden="true">
      {edges.slice(0, MOST).map((edge) => {
        const label = labels.get(edge.id) ?? looseLabel(edge, layout.value);
        if (!label || label.clear) return null;
        return (
          <text key={edge.id} class="edge-label" x={label.at.x} y={label.at.y}>
            {label.text}
          </text>
        );
      })}
    </g>
  );
}
