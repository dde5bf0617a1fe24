// A collapsed group: its members, worst first, and opening it on the map.
import { duration, errorLook, plural, rate, ratio } from "../format/numbers";
import { nodeById } from "../map/mapState";
import { LevelIcon } from "../parts/icons";
import { Tile } from "../parts/figures";
import { Empty } from "../parts/Notice";
import { isTrouble, levelWord } from "../state/levels";
import { filter, select } from "../state/store";
import { PanelHead } from "./PanelHead";

export function GroupPanel({ id }: { id: string }) {
  const node = nodeById.value.get(id);
  const name = id.slice("group:".length);
  if (!node) {
    return (
      <>
        <PanelHead kind="group" title={name} under="group" />
        <Empty title="This group is open, or no longer there" />
      </>
    );
  }
  const bad = node.members.filter((one) => isTrouble(one.state.own)).length;
  const expand = () => {
    filter.value = { ...filter.value, expanded: [...filter.value.expanded, name] };
    select(null);
  };
  return (
    <>
      <PanelHead kind="group" title={name} under={`group of ${plural(node.members.length, "service")}`} />
      <div class="panel-part">
        <p class="state-line">
          <LevelIcon level={node.own} />
          {bad ? `${plural(bad, "service")} in trouble` : "None in trouble"}
        </p>
        <dl class="tiles">
          <Tile name="Requests" value={rate(node.requestsPerS)} />
          <Tile name="Errors" value={ratio(node.errorRatio)} look={errorLook(node.errorRatio)} />
          <Tile name="Worst p95" value={duration(node.p95)} />
        </dl>
        <button type="button" class="button primary" onClick={expand}>
          Open the group on the map
        </button>
      </div>
      <section class="panel-part">
        <h3>Services</h3>
        <ul class="relation-list">
          {node.members.map((one) => (
            <li key={one.id}>
              <LevelIcon level={one.state.own} label={levelWord(one.state.own)} />
              <button type="button" class="link strong" onClick={() => select({ kind: "service", id: one.id })}>
                {one.name}
              </button>
              <span class="relation-figures">
                <span>{rate(one.provided.requests_per_s)}</span>
                <span class={errorLook(one.provided.error_ratio)}>{ratio(one.provided.error_ratio)}</span>
                <span>{duration(one.provided.p95_s)}</span>
              </span>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
