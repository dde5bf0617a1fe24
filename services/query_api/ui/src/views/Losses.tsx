// What could not be counted, and what was counted without detail, by cause.
import { type Loss, causeSentence, sortedLosses } from "../format/causes";
import { count } from "../format/numbers";

export function Losses({ lost }: { lost: Record<string, number> }) {
  const { counts, detail } = sortedLosses(lost);
  return (
    <div class="losses">
      {counts.length === 0 ? <p>Every figure is whole: nothing in scope was left uncounted.</p> : <Causes losses={counts} />}
      {detail.length > 0 && (
        <>
          <p class="faint">Counted, but without detail:</p>
          <Causes losses={detail} />
        </>
      )}
    </div>
  );
}

function Causes({ losses }: { losses: readonly Loss[] }) {
  return (
    <dl class="rows">
      {losses.map(({ cause, number }) => [
        <dt key={cause} title={cause}>
          {causeSentence(cause)}
        </dt>,
        <dd key={`${cause} number`}>{count(number)}</dd>,
      ])}
    </dl>
  );
}
