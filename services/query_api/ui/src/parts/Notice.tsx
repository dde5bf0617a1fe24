// What is said instead of content: nothing there, still loading, something went wrong.
import type { ComponentChildren } from "preact";
import { ApiError } from "../api/client";

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="notice">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Failed({ error, again }: { error: Error; again?: () => void }) {
  return (
    <div class="notice" role="alert">
      <h2>{error.message}</h2>
      {error instanceof ApiError && error.detail && <p>{error.detail}</p>}
      {again && (
        <button type="button" class="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Loading({ what, rows = 3 }: { what: string; rows?: number }) {
  return (
    <div class="loading" role="status" aria-label={`Loading ${what}`}>
      {Array.from({ length: rows }, (_, index) => (
        <span key={index} class="bone" />
      ))}
    </div>
  );
}

interface Asked<T> {
  data: T | null;
  error: Error | null;
  loading: boolean;
  again: () => void;
}

/** The answer once it is there; before, that it loads; instead, why it does not. */
export function Answered<T>({ asked, what, children }: { asked: Asked<T>; what: string; children: (data: T) => ComponentChildren }) {
  if (asked.data !== null) return <>{children(asked.data)}</>;
  if (asked.error) return <Failed error={asked.error} again={asked.again} />;
  return <Loading what={what} />;
}
