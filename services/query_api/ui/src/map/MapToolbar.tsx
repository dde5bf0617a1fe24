// Filter and grouping, with what is in force shown as chips that can be taken away.
import type { ComponentChildren } from "preact";
import { Glyph, KindIcon, LevelIcon } from "../parts/icons";
import { Popover } from "../parts/Popover";
import { EVERYTHING, type Grouping, isFiltering, kindsOf, prefixesOf } from "../state/filter";
import { groupingOf } from "../state/graph";
import { levelWord } from "../state/levels";
import { filter, topology } from "../state/store";
import { graph } from "./mapState";

const GROUPINGS: readonly [Grouping, string][] = [
  ["auto", "Automatic"],
  ["none", "None"],
  ["prefix", "Name space or prefix"],
  ["kind", "Kind"],
  ["host", "Host"],
];

function set(change: Partial<typeof filter.value>): void {
  filter.value = { ...filter.value, ...change };
}

export function MapToolbar() {
  if (!topology.value?.services.length) return null;
  return (
    <div class="map-toolbar">
      <FilterMenu />
      <GroupMenu />
      <Chips />
    </div>
  );
}

function FilterMenu() {
  const map = topology.value!;
  const now = filter.value;
  const prefixes = prefixesOf(map);
  const toggle = (kind: string) =>
    set({ kinds: now.kinds.includes(kind) ? now.kinds.filter((one) => one !== kind) : [...now.kinds, kind] });
  return (
    <Popover title="Filter the map" look="button floating" label={<><Glyph name="filter" /> Filter</>}>
      {() => (
        <>
          <fieldset>
            <legend>Kind</legend>
            {kindsOf(map).map((kind) => (
              <label key={kind} class="check">
                <input type="checkbox" checked={now.kinds.includes(kind)} onChange={() => toggle(kind)} />
                <KindIcon kind={kind} /> {kind}
              </label>
            ))}
          </fieldset>
          <fieldset>
            <legend>State</legend>
            {(["grey", "yellow", "orange", "red"] as const).map((level) => (
              <label key={level} class="check">
                <input type="radio" name="level" checked={now.level === level} onChange={() => set({ level })} />
                {level === "grey" ? "All" : <><LevelIcon level={level} /> {levelWord(level)} or worse</>}
              </label>
            ))}
          </fieldset>
          {prefixes.length > 1 && (
            <label class="field">
              Name space or prefix
              <select value={now.prefix} onChange={(event) => set({ prefix: event.currentTarget.value })}>
                <option value="">All</option>
                {prefixes.map((one) => <option key={one}>{one}</option>)}
              </select>
            </label>
          )}
        </>
      )}
    </Popover>
  );
}

function GroupMenu() {
  const now = filter.value;
  const inForce = groupingOf(now, topology.value!.services.length);
  return (
    <Popover title="Group services" look="button floating" label={<><Glyph name="layers" /> {inForce === "none" ? "Group" : `By ${inForce}`}</>}>
      {(close) => (
        <fieldset>
          <legend>Group services by</legend>
          {GROUPINGS.map(([grouping, title]) => (
            <label key={grouping} class="check">
              <input
                type="radio"
                name="grouping"
                checked={now.grouping === grouping}
                onChange={() => {
                  set({ grouping, expanded: [] });
                  close();
                }}
              />
              {title}
            </label>
          ))}
        </fieldset>
      )}
    </Popover>
  );
}

function Chips() {
  const now = filter.value;
  const total = topology.value!.services.length;
  const shown = graph.value.nodes.reduce((sum, node) => sum + node.members.length, 0);
  return (
    <>
      {now.text && <Chip onRemove={() => set({ text: "" })}>“{now.text}”</Chip>}
      {now.kinds.map((kind) => <Chip key={kind} onRemove={() => set({ kinds: now.kinds.filter((one) => one !== kind) })}>{kind}</Chip>)}
      {now.level !== "grey" && <Chip onRemove={() => set({ level: "grey" })}>{levelWord(now.level)} or worse</Chip>}
      {now.prefix && <Chip onRemove={() => set({ prefix: "" })}>{now.prefix}</Chip>}
      {now.expanded.map((key) => (
        <Chip key={key} title="Collapse this group" onRemove={() => set({ expanded: now.expanded.filter((one) => one !== key) })}>{key} opened</Chip>
      ))}
      {isFiltering(now) && (
        <>
          <span class="shown faint">{shown} of {total} services</span>
          <button type="button" class="link" onClick={() => (filter.value = { ...EVERYTHING, grouping: now.grouping })}>Clear</button>
        </>
      )}
    </>
  );
}

function Chip({ children, onRemove, title = "Remove" }: { children: ComponentChildren; onRemove: () => void; title?: string }) {
  return (
    <span class="chip floating">
      {children}
      <button type="button" title={title} aria-label={title} onClick={onRemove}>
        <Glyph name="close" />
      </button>
    </span>
  );
}
