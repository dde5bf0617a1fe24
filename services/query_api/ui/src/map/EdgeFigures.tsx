// The figures of the edges that are looked at, above everything else, where the map has no room to show all.
import { EdgeLabel } from "./EdgeLabel";
import { placed } from "./labels";
import { edgeLabels, graph, hoveredId, layout, lit } from "./mapState";

const MOST = 24;

export function EdgeFigures() {
  const shown = lit.value;
  const over = hoveredId.value;
  const all = edgeLabels.value;
  const edges = graph.value.edges.filter(
    ({ id, source, target }) =>
      !all.get(id)?.clear && (id === over || id === shown?.edge || source === shown?.node || target === shown?.node),
  );
  const labels = placed(edges.slice(0, MOST), layout.value);
  return (
    <g class="edge-figures" aria-hidden="true">
      {[...labels].map(([id, label]) =>
        label.clear || id === over ? (
          <EdgeLabel key={id} label={label} />
        ) : null,
      )}
    </g>
  );
}
