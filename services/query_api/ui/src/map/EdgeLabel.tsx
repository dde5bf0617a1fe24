// The figures of an edge, behind the glyph of what it speaks.
import { FamilyShape } from "../parts/Protocol";
import type { Label } from "./labels";
import { GLYPH } from "./labels";

export function EdgeLabel({ label }: { label: Label }) {
  const left = label.at.x - label.width / 2;
  return (
    <>
      {label.family && (
        <g class="edge-family" transform={`translate(${left} ${label.at.y - 5.5}) scale(.69)`}>
          <FamilyShape family={label.family} />
        </g>
      )}
      <text class="edge-label" x={label.at.x + (label.family ? GLYPH / 2 : 0)} y={label.at.y}>
        {label.text}
      </text>
    </>
  );
}
