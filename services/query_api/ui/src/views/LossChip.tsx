// Said on every view while something could not be counted, and more quietly while detail is missing.
import { sortedLosses, sum } from "../format/causes";
import { short } from "../format/numbers";
import { LevelIcon } from "../parts/icons";
import { Popover } from "../parts/Popover";
import { show, topology } from "../state/store";
import { Losses } from "./Losses";

export function LossChip() {
  const lost = topology.value?.lost ?? {};
  const { counts, detail } = sortedLosses(lost);
  if (counts.length + detail.length === 0) return null;
  const loud = counts.length > 0;
  const label = loud ? (
    <>
      <LevelIcon level="yellow" label="Losses" /> {short(sum(counts))} not counted
    </>
  ) : (
    <>{short(sum(detail))} without detail</>
  );
  return (
    <Popover title="What could not be counted" look={loud ? "loss-chip" : "loss-chip quiet"} side="right" label={label}>
      {(close) => (
        <div class="loss-popover">
          <h3>{loud ? "Figures of this time are too low by these" : "Nothing is missing from the figures of this time"}</h3>
          <Losses lost={lost} />
          <button
            type="button"
            class="link"
            onClick={() => {
              close();
              show("status");
            }}
          >
            All since start
          </button>
        </div>
      )}
    </Popover>
  );
}
