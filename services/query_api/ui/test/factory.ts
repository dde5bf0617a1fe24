// Small maps for the tests.
import type { LevelName, Rates, RelationEdge, ServiceNode, State, TcpRates, Topology } from "../src/api/types.gen";

export function state(own: LevelName = "green", inherited: LevelName = "green"): State {
  return { own, inherited, learning: false, reasons: [], culprits: [] };
}

export function rates(perSecond = 0, errors = 0): Rates {
  const requests = perSecond * 10;
  return {
    requests,
    requests_per_s: perSecond,
    errors,
    error_ratio: requests ? errors / requests : null,
    client_errors: 0,
    no_responses: 0,
    mean_s: requests ? 0.01 : null,
    p50_s: requests ? 0.01 : null,
    p95_s: requests ? 0.02 : null,
    p99_s: requests ? 0.03 : null,
    request_bytes_per_s: 0,
    response_bytes_per_s: 0,
  };
}

const TCP: TcpRates = {
  opened: 0,
  opened_per_s: 0,
  closed: 0,
  failed: {},
  bytes_sent_per_s: 0,
  bytes_received_per_s: 0,
  retransmits: 0,
  retransmit_ratio: null,
  resets_sent: 0,
  resets_received: 0,
  listen_overflows: 0,
  drops: {},
  connect_p95_s: null,
  rtt_p50_s: null,
  rtt_p95_s: null,
};

export function service(id: string, change: Partial<ServiceNode> = {}): ServiceNode {
  return {
    id,
    name: id,
    kind: "service",
    instances: 1,
    attributes: {},
    state: state(),
    provided: rates(10),
    tcp: TCP,
    seen_from: "server",
    ...change,
  };
}

export function relation(source: string, target: string, change: Partial<RelationEdge> = {}): RelationEdge {
  return {
    id: `${source}->${target}:http`,
    source,
    target,
    protocol: "http",
    port: 80,
    state: state(),
    client: rates(10),
    server: rates(10),
    tcp: TCP,
    encrypted: 0,
    family: "http",
    ...change,
  };
}

/** A map from lines like `a>b`; services are made as they are named. */
export function mapOf(lines: readonly string[], services: readonly ServiceNode[] = []): Topology {
  const pairs = lines.map((line) => line.split(">") as [string, string]);
  const ids = new Set([...services.map((one) => one.id), ...pairs.flat()]);
  const given = new Map(services.map((one) => [one.id, one]));
  return {
    start: "2026-01-01T00:00:00Z",
    end: "2026-01-01T00:00:10Z",
    live: true,
    services: [...ids].map((id) => given.get(id) ?? service(id)),
    relations: pairs.map(([source, target]) => relation(source, target)),
    lost: {},
    age_s: 2,
  };
}

/** A repeatable stream of numbers from 0 to 1. */
export function dice(seed: number): () => number {
  let at = seed;
  return () => {
    at = (at * 1_103_515_245 + 12_345) & 0x7fffffff;
    return at / 0x7fffffff;
  };
}

export function estate(size: number, perNode = 2): string[] {
  const roll = dice(7);
  const lines = new Set<string>();
  for (let index = 0; index < size; index += 1) {
    for (let number = 0; number < perNode; number += 1) {
      const other = Math.min(size - 1, index + 1 + Math.floor(roll() * size * 0.3));
      if (other !== index) lines.add(`n${index}>n${other}`);
    }
  }
  return [...lines];
}
