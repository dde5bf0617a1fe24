// A state in words, with its sign and its reasons.
import type { Reason, State } from "../api/types.gen";
import { withUnit, words } from "../format/numbers";
import { ago } from "../format/time";
import { isTrouble, levelWord, stateSentence } from "../state/levels";
import { nameOf, now, openEntity } from "../state/store";
import { LevelIcon } from "./icons";

export function StateLine({ state }: { state: State }) {
  return (
    <p class="state-line">
      <LevelIcon level={state.own} />
      {isTrouble(state.inherited) && (
        <span class={`ring-sign ring-${state.inherited}`} aria-hidden="true">
          <LevelIcon level={state.inherited} />
        </span>
      )}
      <span>{capital(stateSentence(state, nameOf))}</span>
    </p>
  );
}

export function Reasons({ reasons }: { reasons: readonly Reason[] }) {
  if (reasons.length === 0) return null;
  return (
    <ul class="reasons" aria-label="Reasons">
      {reasons.map((one) => (
        <li key={one.signal + one.detector} class={`reason edge-${one.level}`}>
          <LevelIcon level={one.level} label={levelWord(one.level)} />
          <div>
            <p>{sentence(one.text || reasonText(one))}</p>
            <p class="faint">
              {words(one.signal)}
              {one.since && ` · since ${ago(one.since, now.value).replace(" ago", "")}`}
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}

export function Culprits({ state }: { state: State }) {
  if (!isTrouble(state.inherited) || state.culprits.length === 0) return null;
  return (
    <p class="culprits">
      Comes from{" "}
      {state.culprits.map((id) => (
        <button type="button" class="link" key={id} onClick={() => openEntity(id)}>
          {nameOf(id)}
        </button>
      ))}
    </p>
  );
}

function reasonText(reason: Reason): string {
  const [value, expected] = [withUnit(reason.value, reason.unit), withUnit(reason.expected, reason.unit)];
  return `${capital(words(reason.signal))} is ${value}; ${expected} is usual.`;
}

/** A sentence from elsewhere with a capital, and its figures kept on one line with their units. */
export function sentence(text: string): string {
  return capital(text).replace(/(\d) (?=%|[µmn]?s\b|min\b|[kMG]?B\b)/g, "$1\u202f");
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
