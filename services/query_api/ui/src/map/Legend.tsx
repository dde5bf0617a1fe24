// What the colours and shapes mean, and how many services are in each state; a state can be picked.
import { LevelIcon } from "../parts/icons";
import { LEVELS, levelWord } from "../state/levels";
import { filter, topology } from "../state/store";

export function Legend() {
  const services = topology.value?.services ?? [];
  if (services.length === 0) return null;
  return (
    <aside class="legend floating" aria-label="Legend">
      {[...LEVELS].reverse().map((level) => {
        const number = services.filter((one) => one.state.own === level).length;
        const picked = level !== "grey" && filter.value.level === level;
        return (
          <button
            key={level}
            type="button"
            class={`legend-item ${number ? "" : "none"}`}
            aria-pressed={picked}
            title={level === "grey" ? "Show all" : `Show only services that are ${levelWord(level)} or worse`}
            onClick={() => (filter.value = { ...filter.value, level: picked ? "grey" : level })}
          >
            <LevelIcon level={level} />
            <span>{levelWord(level)}</span>
            <b>{number}</b>
          </button>
        );
      })}
      <span class="legend-ring">
        <i class="ring-sample" aria-hidden="true" /> broken: suffers from a dependency
      </span>
    </aside>
  );
}
