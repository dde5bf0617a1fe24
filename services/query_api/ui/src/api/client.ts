// Asks the HTTP API; an error carries the sentence of its problem document.
import type { Page, Problem } from "./types.gen";

const BASE = "/api/v1/";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
  ) {
    super(title);
  }
}

export type Params = Record<string, string | number | boolean | undefined>;

function address(path: string, params: Params): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== "" && value !== false) given.set(name, String(value));
  }
  const query = given.toString();
  return BASE + path + (query ? `?${query}` : "");
}

async function ask<T>(path: string, params: Params, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address(path, params), { ...init, headers: { ...init.headers, Accept: "application/json" } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "meshlens does not answer", "The page cannot reach query-api. Is it running?");
  }
  if (!response.ok) throw await problem(response);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function problem(response: Response): Promise<ApiError> {
  try {
    const told = (await response.json()) as Partial<Problem>;
    return new ApiError(response.status, told.title ?? response.statusText, told.detail ?? "");
  } catch {
    return new ApiError(response.status, response.statusText || "Error", "The answer holds no explanation.");
  }
}

export function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>(path, params, signal ? { signal } : {});
}

export function send<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: object): Promise<T> {
  const init: RequestInit = { method };
  if (body) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  return ask<T>(path, {}, init);
}

/** Everything in a paged list, up to *limit* items. */
export async function all<T>(path: string, params: Params, limit: number, signal?: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<T> = await get<Page<T>>(
      path,
      { ...params, limit: Math.min(1000, limit), ...(cursor ? { cursor } : {}) },
      signal,
    );
    items.push(...page.items);
    cursor = page.next;
  } while (cursor && items.length < limit);
  return items;
}

export function part(id: string): string {
  return encodeURIComponent(id);
}
