// The panel beside the map: what is chosen, in full.
import { useEffect, useRef } from "preact/hooks";
import { GroupPanel } from "./GroupPanel";
import { RelationPanel } from "./RelationPanel";
import { ServicePanel } from "./ServicePanel";
import { selection } from "../state/store";

export function Panel() {
  const chosen = selection.value;
  const frame = useRef<HTMLElement>(null);
  useEffect(() => {
    frame.current?.scrollTo({ top: 0 });
  }, [chosen?.kind, chosen?.id]);
  if (!chosen) return null;
  return (
    <aside class="panel" ref={frame} aria-label="Details" tabIndex={-1} id="panel">
      {chosen.kind === "service" && <ServicePanel key={chosen.id} id={chosen.id} />}
      {chosen.kind === "relation" && <RelationPanel key={chosen.id} id={chosen.id} />}
      {chosen.kind === "group" && <GroupPanel key={chosen.id} id={chosen.id} />}
    </aside>
  );
}
