// What each cause of a loss means. A cause that is not named here is shown by its own words.
import { words } from "./numbers";

const SENTENCES: Record<string, string> = {
  series_full: "Requests that found no room in the kernel's table",
  pipeline_full: "Requests beyond those one connection may have in flight",
  unpaired_response: "Responses without a request",
  attached_midstream: "Responses to requests from before meshlens looked",
  content_not_seen: "Requests whose bytes never passed through the program (sendfile, splice, io_uring)",
  stream_not_followed: "Requests in flight when a connection could not be followed",
  connection_state_full: "Connections that found no room for their state",
  sample_rate: "Single requests not shown: more than the sampling rate",
  sample_ring_full: "Single requests not shown: the ring was full",
  endpoint_names: "Requests counted under ~other: their instance has too many endpoints",
  datagram_unrecognised: "Datagrams of unknown protocols",
  dns_table_full: "DNS queries beyond those one socket may have in flight",
  program_busy: "Events that came while the same probe ran on that processor",
  process_map_full: "Processes that found no room: nothing of them is seen",
  instance_map_full: "Instances whose name found no room",
  connection_map_full: "TCP connections whose network figures are missing",
  listener_map_full: "Listening addresses that found no room",
  l4_series_full: "Network figures that found no room",
  join_map_full: "Connections whose two ends were not joined",
  malformed_message: "Messages that could not be read",
};

/** These leave every figure whole: only the name or the single request is missing. */
const DETAIL = new Set(["sample_rate", "sample_ring_full", "endpoint_names", "instance_map_full"]);

export function causeSentence(cause: string): string {
  const text = SENTENCES[cause] ?? words(cause.replaceAll(".", ": "));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export interface Loss {
  cause: string;
  number: number;
}

/** Losses of counts, and losses of mere detail, the greatest first. */
export function sortedLosses(lost: Record<string, number>): { counts: Loss[]; detail: Loss[] } {
  const all = Object.entries(lost)
    .filter(([, number]) => number > 0)
    .map(([cause, number]) => ({ cause, number }))
    .sort((a, b) => b.number - a.number);
  return { counts: all.filter((one) => !DETAIL.has(one.cause)), detail: all.filter((one) => DETAIL.has(one.cause)) };
}

export function sum(losses: readonly Loss[]): number {
  return losses.reduce((total, one) => total + one.number, 0);
}
