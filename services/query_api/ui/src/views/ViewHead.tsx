// The head of a view that is not the map: its name, what it is for, and its controls.
import type { ComponentChildren } from "preact";

export function ViewHead({ title, about, children }: { title: string; about: string; children?: ComponentChildren }) {
  return (
    <header class="view-head">
      <div>
        <h1>{title}</h1>
        <p class="faint">{about}</p>
      </div>
      <div class="view-controls">{children}</div>
    </header>
  );
}
