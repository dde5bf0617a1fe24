// The colours: their order, and the words for them.
import type { LevelName, State } from "../api/types.gen";

export const LEVELS: readonly LevelName[] = ["grey", "green", "yellow", "orange", "red"];

const WORDS: Record<LevelName, string> = {
  grey: "no judgement yet",
  green: "healthy",
  yellow: "unusual",
  orange: "degraded",
  red: "failing",
};

export function rank(level: LevelName): number {
  return LEVELS.indexOf(level);
}

export function worse(a: LevelName, b: LevelName): LevelName {
  return rank(a) >= rank(b) ? a : b;
}

export function isTrouble(level: LevelName): boolean {
  return rank(level) >= 2;
}

export function levelWord(level: LevelName): string {
  return WORDS[level];
}

/** One sentence for a state: what it is itself, and what it suffers. */
export function stateSentence(state: State, nameOf: (id: string) => string = (id) => id): string {
  const own = state.own === "grey" && state.learning ? "still learning what is usual" : levelWord(state.own);
  if (!isTrouble(state.inherited)) return own;
  const from = state.culprits.map(nameOf).join(", ");
  return `${own}, but suffers from ${from || "a dependency"} (${levelWord(state.inherited)})`;
}
