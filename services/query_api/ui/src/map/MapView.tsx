// The map itself: draws the graph, and turns pointer and keys into choices.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { LEVELS, isTrouble } from "../state/levels";
import { select, selection } from "../state/store";
import { EdgeFigures } from "./EdgeFigures";
import { EdgePath } from "./EdgePath";
import { type Box, drawnBox } from "./geometry";
import { FarNames } from "./FarNames";
import { Legend } from "./Legend";
import { MapNotice } from "./MapNotice";
import { MapToolbar } from "./MapToolbar";
import { NodeCard, nodeElementId } from "./NodeCard";
import { Tip } from "./Tip";
import { ZoomButtons } from "./ZoomButtons";
import { detail, edgeById, edgeLabels, focused, graph, hovered, layout, lit, nodeById, refits, selectedNode, watchShape } from "./mapState";
import { LABELLED } from "./labels";
import { type Way, firstNode, step } from "./walk";
import { Zooming } from "./zooming";

/** With more edges than this, healthy ones are drawn faintly. */
const THIN_FROM = 260;
const WAYS: Record<string, Way> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export function MapView() {
  const frame = useRef<HTMLElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const world = useRef<SVGGElement>(null);
  const zooming = useRef<Zooming | null>(null);

  useLayoutEffect(() => {
    const made = new Zooming(svg.current!, world.current!, frame.current!, (now) => (detail.value = now));
    zooming.current = made;
    const stop = watchShape();
    return () => {
      stop();
      made.end();
    };
  }, []);
  useLayoutEffect(() => zooming.current?.fit(whole()), [refits.value]);
  useLayoutEffect(() => {
    if (zooming.current?.fitted) zooming.current.fit(whole());
  }, [layout.value]);
  useFrame(frame, zooming);
  useEffect(() => {
    const place = selectedNode.value ? layout.value.positions.get(selectedNode.value) : undefined;
    // The panel that opens takes room from the map first.
    const reveal = () => zooming.current?.fitted === false && zooming.current.reveal(place!);
    if (place) requestAnimationFrame(() => requestAnimationFrame(reveal));
  }, [selectedNode.value]);

  const onKey = (event: KeyboardEvent) => {
    const way = WAYS[event.key];
    const here = (event.target as Element).closest<SVGGElement>("[data-node]")?.dataset["node"];
    if (way) move(step(graph.value, layout.value.positions, here ?? "", way));
    else if ((event.key === "Enter" || event.key === " ") && here) open(here);
    else if (event.key === "+" || event.key === "=") zooming.current?.by(1.3);
    else if (event.key === "-") zooming.current?.by(1 / 1.3);
    else if (event.key === "0") zooming.current?.fit(whole());
    else return;
    event.preventDefault();
  };
  const move = (to: string | null) => {
    const place = to ? layout.value.positions.get(to) : undefined;
    if (!to || !place) return;
    focused.value = to;
    zooming.current?.reveal(place);
    document.getElementById(nodeElementId(to))?.focus({ preventScroll: true });
  };

  return (
    <section class="map" ref={frame} aria-label="Topology map" data-detail="near">
      <svg
        ref={svg}
        class="map-canvas"
        role="application"
        aria-label="Services and their relations. Arrow keys walk along the relations, Enter opens."
        onKeyDown={onKey}
        onClick={(event) => clicked(event)}
        onPointerMove={pointed}
        onPointerLeave={() => (hovered.value = null)}
      >
        <Arrows />
        <g ref={world} class={lit.value ? "world some-lit" : "world"}>
          <Edges />
          <Nodes />
          <EdgeFigures />
          <FarNames />
        </g>
      </svg>
      <MapToolbar />
      <Legend />
      <ZoomButtons
        onIn={() => zooming.current?.by(1.35)}
        onOut={() => zooming.current?.by(1 / 1.35)}
        onFit={() => zooming.current?.fit(whole())}
      />
      <MapNotice />
      <Tip frame={frame} />
    </section>
  );
}

function whole(): Box {
  return drawnBox(layout.peek(), graph.peek().edges);
}

function edgesLook(number: number): string {
  return number > THIN_FROM ? "edges many thinned" : number > LABELLED ? "edges many" : "edges";
}

function Edges() {
  const { positions, routes } = layout.value;
  const shown = lit.value;
  const labels = edgeLabels.value;
  const reach = detail.value !== "far" || graph.value.edges.length <= THIN_FROM;
  return (
    <g class={edgesLook(graph.value.edges.length)} aria-hidden="true">
      {graph.value.edges.map((edge) => {
        const [from, to] = [positions.get(edge.source), positions.get(edge.target)];
        if (!from || !to) return null;
        const bright = shown !== null && (shown.edge === edge.id || edge.source === shown.node || edge.target === shown.node);
        return <EdgePath key={edge.id} edge={edge} from={from} to={to} bends={routes.get(edge.id)} label={labels.get(edge.id)} reach={reach || bright || isTrouble(edge.level)} lit={bright} dim={shown !== null && !bright} />;
      })}
    </g>
  );
}

function Nodes() {
  const { positions } = layout.value;
  const shown = lit.value;
  const far = detail.value === "far";
  const reachable = focused.value && positions.has(focused.value) ? focused.value : (selectedNode.value ?? firstNode(positions));
  return (
    <g class="nodes">
      {graph.value.nodes.map((node) => {
        const place = positions.get(node.id);
        if (!place) return null;
        return (
          <NodeCard
            key={node.id}
            node={node}
            x={place.x}
            y={place.y}
            selected={selectedNode.value === node.id}
            dim={shown !== null && !shown.nodes.has(node.id)}
            reachable={reachable === node.id}
            far={far}
          />
        );
      })}
    </g>
  );
}

function Arrows() {
  return (
    <defs>
      {["calm", "lit", ...LEVELS].map((name) => (
        <marker key={name} id={`arrow-${name}`} class={`arrow arrow-${name}`} viewBox="0 0 10 10" refX="2" refY="5" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">
          <path d="M0 .8 9 5 0 9.2Z" />
        </marker>
      ))}
    </defs>
  );
}

function open(id: string): void {
  const node = nodeById.value.get(id);
  focused.value = id;
  select({ kind: node?.group ? "group" : "service", id });
}

function clicked(event: MouseEvent): void {
  const target = event.target as Element;
  const node = target.closest<SVGGElement>("[data-node]")?.dataset["node"];
  const edge = edgeById.value.get(target.closest<SVGGElement>("[data-edge]")?.dataset["edge"] ?? "");
  hovered.value = null;
  if (node) open(node);
  else if (edge) select({ kind: "relation", id: edge.relations[0]!.id });
  else if (selection.value) select(null);
}

function pointed(event: PointerEvent): void {
  const target = event.target as Element;
  const node = target.closest<SVGGElement>("[data-node]")?.dataset["node"];
  const edge = target.closest<SVGGElement>("[data-edge]")?.dataset["edge"];
  const id = node ?? edge;
  if (event.buttons || !id) hovered.value = null;
  else hovered.value = { kind: node ? "node" : "edge", id, x: event.clientX, y: event.clientY };
}

/** Fits again when the frame changes, unless the user has chosen a view. */
function useFrame(frame: { current: HTMLElement | null }, zooming: { current: Zooming | null }): void {
  useEffect(() => {
    const watch = new ResizeObserver(() => {
      if (zooming.current?.fitted) zooming.current.fit(whole());
    });
    watch.observe(frame.current!);
    return () => watch.disconnect();
  }, []);
}
