// Said on every view while something could not be counted.
import { count } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { Popover } from "../parts/Popover";
import { show, topology } from "../state/store";
import { totalLost } from "../state/topology";
import { Losses } from "./Losses";

export function LossChip() {
  const lost = topology.value?.lost ?? {};
  const total = totalLost(lost);
  if (total === 0) return null;
  return (
    <Popover title="What could not be counted" look="loss-chip" side="right" label={<><LevelIcon level="yellow" label="Losses" /> {count(total)} not counted</>}>
      {(close) => (
        <div class="loss-popover">
          <h3>What could not be counted</h3>
          <p class="faint">Figures of this time are too low by these, by cause.</p>
          <Losses lost={lost} />
          <button
            type="button"
            class="link"
            onClick={() => {
              close();
              show("status");
            }}
          >
            All losses since start
          </button>
        </div>
      )}
    </Popover>
  );
}
