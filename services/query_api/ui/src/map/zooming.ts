// Moving and scaling the map; the scale decides how much detail the style sheet shows.
import { select } from "d3-selection";
import { type ZoomBehavior, type ZoomTransform, zoom, zoomIdentity } from "d3-zoom";
import type { Box, Point } from "./geometry";

const LEAST = 0.06;
const MOST = 2.2;
const MARGIN = 56;

export type Detail = "far" | "mid" | "near";

export function detailAt(scale: number): Detail {
  if (scale < 0.34) return "far";
  return scale < 0.68 ? "mid" : "near";
}

export class Zooming {
  private readonly behaviour: ZoomBehavior<SVGSVGElement, unknown>;
  private at: ZoomTransform = zoomIdentity;
  /** True until the user moves or scales the map: it may then be fitted again when its frame changes. */
  fitted = true;

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly world: SVGGElement,
    private readonly frame: HTMLElement,
    private readonly onDetail: (detail: Detail) => void,
  ) {
    this.behaviour = zoom<SVGSVGElement, unknown>()
      .scaleExtent([LEAST, MOST])
      .clickDistance(5)
      .on("zoom", (event: { transform: ZoomTransform; sourceEvent: Event | null }) => {
        if (event.sourceEvent) this.fitted = false;
        this.apply(event.transform);
      });
    select(svg).call(this.behaviour).on("dblclick.zoom", null);
  }

  private apply(at: ZoomTransform): void {
    this.at = at;
    this.world.setAttribute("transform", at.toString());
    this.frame.dataset["detail"] = detailAt(at.k);
    this.onDetail(detailAt(at.k));
    this.frame.style.setProperty("--scale", String(at.k));
    this.frame.style.setProperty("--inverse", String(1 / at.k));
  }

  private get size(): { width: number; height: number } {
    const { width, height } = this.svg.getBoundingClientRect();
    return { width, height };
  }

  fit(box: Box): void {
    this.fitted = true;
    const { width, height } = this.size;
    if (!width || !height) return;
    const scale = Math.min(1.15, (width - 2 * MARGIN) / box.width, (height - 2 * MARGIN - 24) / box.height);
    const k = Math.max(LEAST, scale);
    const x = width / 2 - (box.x + box.width / 2) * k;
    const y = height / 2 - (box.y + box.height / 2) * k;
    select(this.svg).call(this.behaviour.transform, zoomIdentity.translate(x, y).scale(k));
  }

  by(factor: number): void {
    this.fitted = false;
    select(this.svg).call(this.behaviour.scaleBy, factor);
  }

  /** Moves the map just so far that *place* is well inside. */
  reveal(place: Point, margin = 120): void {
    const { width, height } = this.size;
    const [x, y] = this.at.apply([place.x, place.y]);
    const dx = x < margin ? margin - x : x > width - margin ? width - margin - x : 0;
    const dy = y < 70 ? 70 - y : y > height - 70 ? height - 70 - y : 0;
    if (dx || dy) this.fitted = false;
    if (dx || dy) select(this.svg).call(this.behaviour.translateBy, dx / this.at.k, dy / this.at.k);
  }

  end(): void {
    select(this.svg).on(".zoom", null);
  }
}
