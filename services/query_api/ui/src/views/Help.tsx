// Keys, and what the signs mean.
import { LevelIcon } from "../parts/icons";
import { Modal } from "../parts/Modal";
import { LEVELS, levelWord } from "../state/levels";
import { helpOpen } from "../state/store";

const KEYS: readonly [string, string][] = [
  ["/", "find a service"],
  ["1 … 5", "map, services, endpoints, problems, status"],
  ["← →", "on the map: to a caller, to a dependency"],
  ["↑ ↓", "on the map: up and down the column"],
  ["Enter", "open what has the focus"],
  ["Esc", "close the panel"],
  ["+ − 0", "larger, smaller, everything"],
  ["l", "back to live"],
  ["t", "light, dark, as the system"],
  ["?", "this help"],
];

export function Help() {
  if (!helpOpen.value) return null;
  const close = () => (helpOpen.value = false);
  return (
    <Modal title="Keys and signs" onClose={close}>
      <div class="help">
        <dl class="keys">
          {KEYS.map(([key, what]) => [
            <dt key={key}>
              <kbd>{key}</kbd>
            </dt>,
            <dd key={what}>{what}</dd>,
          ])}
        </dl>
        <div>
          <ul class="signs">
            {LEVELS.map((level) => (
              <li key={level}>
                <LevelIcon level={level} /> {levelWord(level)}
              </li>
            ))}
          </ul>
          <p>The fill and the badge of a node say how it is itself.</p>
          <p>
            A broken ring or line says that it suffers from something it depends on; the panel names the culprit.
          </p>
          <p>The thickness of a line grows with the requests a second.</p>
        </div>
      </div>
      <button type="button" class="button" onClick={close}>
        Close
      </button>
    </Modal>
  );
}
