// What could not be counted, by cause.
import { count, words } from "../format/numbers";
import { capital } from "../parts/State";

export function Losses({ lost }: { lost: Record<string, number> }) {
  const causes = Object.entries(lost)
    .filter(([, number]) => number > 0)
    .sort(([, a], [, b]) => b - a);
  if (causes.length === 0) return <p class="faint">Nothing was lost: what is shown is the whole truth in scope.</p>;
  return (
    <dl class="rows losses">
      {causes.map(([cause, number]) => [
        <dt key={cause}>{capital(words(cause.replaceAll(".", ": ")))}</dt>,
        <dd key={`${cause} number`}>{count(number)}</dd>,
      ])}
    </dl>
  );
}
