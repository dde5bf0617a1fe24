// Says aloud, for screen readers, what turned bad or well again.
import { effect } from "@preact/signals";
import type { LevelName } from "../api/types.gen";
import { isTrouble, levelWord } from "../state/levels";
import { announcement, topology } from "../state/store";

const MOST = 3;

export function watchChanges(): void {
  let before = new Map<string, LevelName>();
  effect(() => {
    const map = topology.value;
    if (!map?.live) return;
    const after = new Map(map.services.map((one) => [one.name, one.state.own]));
    const turned = [...after].filter(([name, level]) => {
      const was = before.get(name);
      return was !== undefined && was !== level && (isTrouble(was) || isTrouble(level));
    });
    before = after;
    if (turned.length === 0) return;
    const told = turned.slice(0, MOST).map(([name, level]) => `${name} is ${levelWord(level)}`);
    const more = turned.length > MOST ? `, and ${turned.length - MOST} more changed` : "";
    announcement.value = told.join(", ") + more;
  });
}
