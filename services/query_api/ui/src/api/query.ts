// A question to the API as a hook: keeps the last answer on show while the next one is on its way.
import { useEffect, useRef, useState } from "preact/hooks";

export interface Answer<T> {
  data: T | null;
  error: Error | null;
  loading: boolean;
  again: () => void;
}

/**
 * Asks *ask* when *key* or *version* changes, and every *everyMs* (0: never).
 * A new *key* is another question: its old answer is forgotten. A new *version* is the same question.
 */
export function useQuery<T>(
  key: string,
  ask: (signal: AbortSignal) => Promise<T>,
  everyMs = 0,
  version: unknown = 0,
): Answer<T> {
  const [answer, setAnswer] = useState<{ key: string; data: T | null; error: Error | null }>({
    key,
    data: null,
    error: null,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    const mine = new AbortController();
    const once = () =>
      latest.current(mine.signal).then(
        (data) => !mine.signal.aborted && setAnswer({ key, data, error: null }),
        (error: Error) =>
          !mine.signal.aborted && setAnswer((old) => ({ key, data: old.key === key ? old.data : null, error })),
      );
    void once();
    const timer = everyMs ? setInterval(() => void once(), everyMs) : 0;
    return () => {
      mine.abort();
      clearInterval(timer);
    };
  }, [key, version, turn, everyMs]);
  const mine = answer.key === key;
  return {
    data: mine ? answer.data : null,
    error: mine ? answer.error : null,
    loading: !mine || (answer.data === null && answer.error === null),
    again: () => setTurn((one) => one + 1),
  };
}
