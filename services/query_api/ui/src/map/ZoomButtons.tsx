// Larger, smaller, all of it, and set in order again.
import { Glyph } from "../parts/icons";
import { tidy } from "./mapState";

export function ZoomButtons({ onIn, onOut, onFit }: { onIn: () => void; onOut: () => void; onFit: () => void }) {
  return (
    <div class="zoom-buttons floating" role="group" aria-label="View">
      <button type="button" title="Zoom in (+)" aria-label="Zoom in" onClick={onIn}>
        <Glyph name="plus" />
      </button>
      <button type="button" title="Zoom out (-)" aria-label="Zoom out" onClick={onOut}>
        <Glyph name="minus" />
      </button>
      <button type="button" title="Show all (0)" aria-label="Show all" onClick={onFit}>
        <Glyph name="fit" />
      </button>
      <button type="button" title="Arrange anew" aria-label="Arrange anew" onClick={tidy}>
        <Glyph name="tidy" />
      </button>
    </div>
  );
}
