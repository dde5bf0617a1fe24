// Finds services and relations by name; Enter goes there, the last entry filters the map.
import { useRef, useState } from "preact/hooks";
import { plural } from "../format/numbers";
import { Glyph, KindIcon, LevelIcon } from "../parts/icons";
import { effectiveLevel, matches } from "../state/filter";
import { rank } from "../state/levels";
import { filter, go, openEntity, topology } from "../state/store";

const MOST = 8;

interface Found {
  id: string;
  title: string;
  kind: string;
  level: Parameters<typeof rank>[0];
}

export function find(text: string): { found: Found[]; services: number } {
  const map = topology.value;
  if (!map || !text.trim()) return { found: [], services: 0 };
  const wanted = text.trim();
  const lead = wanted.toLowerCase();
  const services = map.services
    .filter((one) => matches(one, wanted))
    .sort(
      (a, b) =>
        Number(b.name.toLowerCase().startsWith(lead)) - Number(a.name.toLowerCase().startsWith(lead)) ||
        rank(effectiveLevel(b)) - rank(effectiveLevel(a)) ||
        (a.name < b.name ? -1 : 1),
    );
  const relations = map.relations.filter((one) => one.id.toLowerCase().includes(lead) && wanted.includes(">"));
  const found = [
    ...services.map((one) => ({ id: one.id, title: one.name, kind: one.kind, level: one.state.own })),
    ...relations.map((one) => ({ id: one.id, title: `${one.source} → ${one.target} (${one.protocol})`, kind: "proxy", level: one.state.own })),
  ];
  return { found: found.slice(0, MOST), services: services.length };
}

export function Search() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const { found, services } = find(text);
  const entries = found.length + (services > 1 ? 1 : 0);
  const leave = () => {
    setText("");
    setOpen(false);
    input.current?.blur();
  };
  const choose = (index: number) => {
    const one = found[index];
    if (one) openEntity(one.id);
    else if (services > 1) {
      filter.value = { ...filter.value, text: text.trim() };
      go({ view: "map" });
    } else return;
    leave();
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((at + 1) % Math.max(1, entries));
    else if (event.key === "ArrowUp") setAt((at + Math.max(1, entries) - 1) % Math.max(1, entries));
    else if (event.key === "Enter") choose(at);
    else if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    } else return;
    event.preventDefault();
  };
  return (
    <div class="search" role="search">
      <Glyph name="search" />
      <input
        ref={input}
        id="search"
        type="text"
        role="combobox"
        aria-label="Find a service"
        aria-expanded={open && entries > 0}
        aria-controls="found"
        aria-activedescendant={open && entries ? `found-${at}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder="Find a service"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setAt(0);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={key}
      />
      <kbd aria-hidden="true">/</kbd>
      {open && text.trim() && (
        <ul class="found" id="found" role="listbox" aria-label="Found">
          {found.map((one, index) => (
            <li key={one.id} id={`found-${index}`} role="option" aria-selected={index === at} onPointerDown={(event) => event.preventDefault()} onClick={() => choose(index)}>
              <KindIcon kind={one.kind} />
              <span>{one.title}</span>
              <LevelIcon level={one.level} />
            </li>
          ))}
          {services > 1 && (
            <li id={`found-${found.length}`} role="option" aria-selected={at === found.length} class="found-all" onPointerDown={(event) => event.preventDefault()} onClick={() => choose(found.length)}>
              <Glyph name="filter" />
              <span>Show only these {plural(services, "service")} on the map</span>
            </li>
          )}
          {entries === 0 && <li class="faint nothing">No service has “{text.trim()}” in its name or attributes.</li>}
        </ul>
      )}
    </div>
  );
}
