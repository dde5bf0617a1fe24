// The head of a panel: what it is about, the way back, and closing.
import type { ComponentChildren } from "preact";
import { Glyph, KindIcon } from "../parts/icons";
import { select } from "../state/store";

interface Props {
  kind: string;
  title: ComponentChildren;
  under: ComponentChildren;
}

export function PanelHead({ kind, title, under }: Props) {
  return (
    <header class="panel-head">
      <span class="panel-kind">
        <KindIcon kind={kind} />
      </span>
      <div class="panel-title">
        <h2>{title}</h2>
        <p class="faint">{under}</p>
      </div>
      <button type="button" class="icon-button" title="Back to what was open before" aria-label="Back" onClick={() => history.back()}>
        <Glyph name="back" />
      </button>
      <button type="button" class="icon-button" title="Close (Esc)" aria-label="Close" onClick={() => select(null)}>
        <Glyph name="close" />
      </button>
    </header>
  );
}

export function Tabs({ tabs, open, onOpen }: { tabs: readonly (readonly [string, ComponentChildren])[]; open: string; onOpen: (tab: string) => void }) {
  const key = (event: KeyboardEvent) => {
    const way = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!way) return;
    event.preventDefault();
    const here = tabs.findIndex(([name]) => name === open);
    const next = tabs[(here + way + tabs.length) % tabs.length]!;
    onOpen(next[0]);
    const list = event.currentTarget as HTMLElement;
    requestAnimationFrame(() => list.querySelector<HTMLElement>("[aria-selected=true]")?.focus());
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={key}>
      {tabs.map(([name, title]) => (
        <button key={name} type="button" role="tab" aria-selected={name === open} tabIndex={name === open ? 0 : -1} onClick={() => onOpen(name)}>
          {title}
        </button>
      ))}
    </div>
  );
}
