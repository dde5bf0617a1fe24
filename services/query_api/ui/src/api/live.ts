// Live updates: one event stream, opened again when it breaks, and the map over a range when one is asked for.
import { effect } from "@preact/signals";
import { mapParams } from "../state/range";
import { connection, heardAt, isLive, needsToken, news, problem, range, retryAt, session, topology } from "../state/store";
import { type Verdicts, heardTopology, heardVerdicts } from "../state/topology";
import { ApiError, get } from "./client";
import type { Session, Topology } from "./types.gen";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 15_000;
/** A range that ends now is asked for again this often. */
const REFRESH_MS = 10_000;

/** A tab that is out of sight for so long hangs up. */
const HIDDEN_MS = 30_000;

let waitMs = FIRST_WAIT_MS;
let timer = 0;
let source: EventSource | null = null;

function hear(map: Topology): void {
  topology.value = heardTopology(topology.value, map);
  heardAt.value = Date.now();
  problem.value = null;
}

function listen(to: EventSource): void {
  const on = <T>(name: string, then: (heard: T) => void) =>
    to.addEventListener(name, (event) => then(JSON.parse((event as MessageEvent<string>).data) as T));
  on<Topology>("topology", (map) => isLive.value && hear(map));
  on<Verdicts>("verdicts", (verdicts) => {
    if (isLive.value) topology.value = heardVerdicts(topology.value, verdicts);
  });
  for (const name of ["alert", "status", "probes", "change"] as const) on(name, () => (news[name].value += 1));
  on("gap", () => {
    for (const one of Object.values(news)) one.value += 1;
  });
}

export function connect(): void {
  clearTimeout(timer);
  source?.close();
  const opened = new EventSource("/api/v1/events");
  source = opened;
  listen(opened);
  opened.onopen = () => {
    waitMs = FIRST_WAIT_MS;
    connection.value = "open";
    problem.value = null;
  };
  opened.onerror = () => {
    opened.close();
    if (source !== opened) return;
    connection.value = "lost";
    retryAt.value = Date.now() + waitMs;
    timer = window.setTimeout(connect, waitMs);
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
    void whoAmI();
  };
}

let asked: AbortController | null = null;

/** Asks for the map of the chosen time. */
export async function refresh(): Promise<void> {
  asked?.abort();
  const mine = new AbortController();
  asked = mine;
  try {
    hear(await get<Topology>("topology", mapParams(range.value), mine.signal));
  } catch (error) {
    if (mine.signal.aborted) return;
    refused(error);
  }
}

function refused(error: unknown): void {
  if (error instanceof ApiError && error.status === 401) needsToken.value = true;
  problem.value = error instanceof Error ? error : new Error(String(error));
}

export async function whoAmI(): Promise<void> {
  try {
    session.value = await get<Session>("session");
    needsToken.value = false;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) needsToken.value = true;
  }
}

function hangUp(): void {
  clearTimeout(timer);
  source?.close();
  source = null;
}

/**
 * Hangs up while nobody looks: a browser opens only six connections to one address, and forgotten tabs must not
 * take them all.
 */
function watchAttention(): void {
  let leaving = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = window.setTimeout(hangUp, HIDDEN_MS);
    else if (!source) connect();
  });
  addEventListener("pagehide", hangUp);
  addEventListener("pageshow", (event) => event.persisted && connect());
}

export function start(): void {
  watchAttention();
  void whoAmI();
  connect();
  effect(() => {
    const chosen = range.value;
    void refresh();
    if (chosen.kind !== "last") return undefined;
    const again = setInterval(() => void refresh(), REFRESH_MS);
    return () => clearInterval(again);
  });
}
