// Keys that work everywhere, except while somebody types.
import { VIEWS } from "../state/route";
import { goLive, helpOpen, select, selection, show } from "../state/store";
import { nextTheme } from "../state/prefs";
import { nodeElementId } from "../map/NodeCard";

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, select, textarea, [contenteditable]");
}

export function watchKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || helpOpen.value) return;
    if (event.key === "Escape") closePanel();
    else if (isTyping(event.target)) return;
    else if (!globalKey(event.key)) return;
    event.preventDefault();
  });
}

function globalKey(key: string): boolean {
  const view = VIEWS[Number(key) - 1];
  if (view) show(view);
  else if (key === "/") document.getElementById("search")?.focus();
  else if (key === "?") helpOpen.value = true;
  else if (key === "t") nextTheme();
  else if (key === "l") goLive();
  else return false;
  return true;
}

/** Closes the panel, and gives the focus back to the node it was about. */
function closePanel(): void {
  const was = selection.value;
  if (!was) return;
  select(null);
  requestAnimationFrame(() => document.getElementById(nodeElementId(was.id))?.focus({ preventScroll: true }));
}
