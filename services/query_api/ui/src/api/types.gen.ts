// Written from services/query_api/answers.py by tests/ui/typescript.py; do not edit.

export type LevelName = "green" | "grey" | "orange" | "red" | "yellow";

export interface Reason {
  signal: string;
  detector: string;
  level: "green" | "grey" | "orange" | "red" | "yellow";
  value: number;
  expected: number;
  unit: string;
  score: number;
  since: string | null;
  text: string;
}

export interface State {
  own: "green" | "grey" | "orange" | "red" | "yellow";
  inherited: "green" | "grey" | "orange" | "red" | "yellow";
  learning: boolean;
  reasons: Reason[];
  culprits: string[];
}

export interface Rates {
  requests: number;
  requests_per_s: number;
  errors: number;
  error_ratio: number | null;
  client_errors: number;
  no_responses: number;
  mean_s: number | null;
  p50_s: number | null;
  p95_s: number | null;
  p99_s: number | null;
  request_bytes_per_s: number;
  response_bytes_per_s: number;
}

export interface TcpRates {
  opened: number;
  opened_per_s: number;
  closed: number;
  failed: Record<string, number>;
  bytes_sent_per_s: number;
  bytes_received_per_s: number;
  retransmits: number;
  retransmit_ratio: number | null;
  resets_sent: number;
  resets_received: number;
  listen_overflows: number;
  drops: Record<string, number>;
  connect_p95_s: number | null;
  rtt_p50_s: number | null;
  rtt_p95_s: number | null;
}

export interface ServiceNode {
  id: string;
  name: string;
  kind: string;
  instances: number;
  attributes: Record<string, string>;
  state: State;
  provided: Rates;
  tcp: TcpRates;
  seen_from: "client" | "server";
}

export interface RelationEdge {
  id: string;
  source: string;
  target: string;
  protocol: string;
  port: number;
  state: State;
  client: Rates;
  server: Rates;
  tcp: TcpRates;
  encrypted: number;
  family: "cache" | "database" | "directory" | "dns" | "encrypted" | "http" | "messaging" | "other" | "rpc";
}

export interface Topology {
  start: string;
  end: string;
  live: boolean;
  services: ServiceNode[];
  relations: RelationEdge[];
  lost: Record<string, number>;
  age_s: number | null;
}

export interface Endpoint {
  service: string;
  endpoint: string;
  name: string;
  protocol: string;
  rates: Rates;
  family: "cache" | "database" | "directory" | "dns" | "encrypted" | "http" | "messaging" | "other" | "rpc";
}

export interface Instance {
  id: string;
  service: string;
  node: string;
  pid: number;
  executable: string;
  started: string;
  ended: string | null;
  container: string;
  cgroup: string;
  addresses: string[];
  listeners: string[];
  provided: Rates;
  opaque: string;
}

export interface Point {
  start: string;
  rates: Rates;
}

export interface TimeLine {
  step_s: number;
  points: Point[];
}

export interface ServiceDetail {
  service: ServiceNode;
  callers: RelationEdge[];
  dependencies: RelationEdge[];
  endpoints: Endpoint[];
  instances: Instance[];
}

export interface SpanRecord {
  started: string;
  duration_s: number;
  name: string;
  protocol: string;
  role: "client" | "server";
  service: string;
  peer: string;
  outcome: "client_error" | "no_response" | "ok" | "server_error";
  status: number;
  why: string;
  trace_id: string;
  attributes: Record<string, number | string>;
}

export interface Anomaly {
  entity: string;
  kind: "relation" | "service";
  level: "green" | "grey" | "orange" | "red" | "yellow";
  started: string;
  ended: string | null;
  reasons: Reason[];
}

export interface Alert {
  id: string;
  template: string;
  family: string;
  severity: "critical" | "info" | "warning";
  entity: string;
  kind: string;
  state: "firing" | "pending" | "resolved";
  title: string;
  meaning: string;
  next_steps: string[];
  value: number;
  threshold: number;
  unit: string;
  started: string;
  fired: string | null;
  resolved: string | null;
  acknowledged_by: string;
  acknowledged: string | null;
  silenced: boolean;
  occurrences: number;
}

export interface Silence {
  id: string;
  template: string;
  entity: string;
  until: string;
  by: string;
  comment: string;
}

export interface Probe {
  node: string;
  name: string;
  question: string;
  state: "failed" | "off" | "on";
  hook: string;
  fallback: boolean;
  misses: string;
  cost: string;
  error: string;
  runs: number;
  run_time_s: number;
  instructions: number;
}

export interface ServiceHealth {
  service: string;
  node: string;
  state: "degraded" | "ready" | "silent" | "starting";
  waiting_for: string;
  lag_s: number;
  heard: string;
  started: string;
  version: string;
  lost: Record<string, number>;
  counters: Record<string, number>;
  resident_bytes: number;
  cpu_s: number;
}

export interface Status {
  services: ServiceHealth[];
  lost: Record<string, number>;
  scope: Record<string, string>;
}

export interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
}

export interface Session {
  role: "admin" | "operator" | "viewer";
  needs_token: boolean;
}

export interface Done {
  ok: boolean;
}
