// The figures of an edge, behind the glyph of what it speaks.
import { FamilyShape } from "../parts/Protocol";
import type { Label } from "./labels";
import { GLYPH } from "./labels";

/** How wide a letter of the label is on average; room is kept for wider ones. */
const GLYPH_BESIDE = 5.3;

export function EdgeLabel({ label }: { label: Label }) {
  const left = label.at.x - (label.text.length * GLYPH_BESIDE + GLYPH) / 2;
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
