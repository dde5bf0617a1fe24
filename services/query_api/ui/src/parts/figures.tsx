// Figures with their names, as tiles and as rows.
import type { ComponentChildren } from "preact";
import type { Rates, TcpRates } from "../api/types.gen";
import { bytesPerSecond, count, duration, errorLook, rate, ratio, words } from "../format/numbers";

export function Tile({ name, value, look = "", hint }: { name: string; value: ComponentChildren; look?: string; hint?: string }) {
  return (
    <div class={`tile-figure ${look}`} title={hint}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

export function RateTiles({ rates }: { rates: Rates }) {
  return (
    <dl class="tiles">
      <Tile name="Requests" value={rate(rates.requests_per_s)} hint={`${count(rates.requests)} in this time`} />
      <Tile name="Errors" value={ratio(rates.error_ratio)} look={errorLook(rates.error_ratio)} hint={errorHint(rates)} />
      <Tile name="p50" value={duration(rates.p50_s)} />
      <Tile name="p95" value={duration(rates.p95_s)} />
      <Tile name="p99" value={duration(rates.p99_s)} />
      <Tile name="In / out" value={<>{bytesPerSecond(rates.request_bytes_per_s)}<br />{bytesPerSecond(rates.response_bytes_per_s)}</>} look="small" />
    </dl>
  );
}

function errorHint(rates: Rates): string {
  const parts = [`${count(rates.errors)} failed`];
  if (rates.no_responses) parts.push(`${count(rates.no_responses)} of them without an answer`);
  if (rates.client_errors) parts.push(`${count(rates.client_errors)} refused as the client's mistake, not counted as failed`);
  return parts.join(", ");
}

export function TcpRows({ tcp }: { tcp: TcpRates }) {
  const counted: [string, Record<string, number>][] = [
    ["Failed to connect", tcp.failed],
    ["Dropped packets", tcp.drops],
  ];
  return (
    <dl class="rows">
      <Row name="Connections opened" value={`${count(tcp.opened)} (${rate(tcp.opened_per_s)})`} />
      <Row name="Connections closed" value={count(tcp.closed)} />
      <Row name="Connect, p95" value={duration(tcp.connect_p95_s)} />
      <Row name="Round trip, p50 / p95" value={`${duration(tcp.rtt_p50_s)} / ${duration(tcp.rtt_p95_s)}`} />
      <Row name="Sent / received" value={`${bytesPerSecond(tcp.bytes_sent_per_s)} / ${bytesPerSecond(tcp.bytes_received_per_s)}`} />
      <Row name="Retransmissions" value={`${count(tcp.retransmits)} (${ratio(tcp.retransmit_ratio)})`} bad={(tcp.retransmit_ratio ?? 0) > 0.01} />
      <Row name="Resets sent / received" value={`${count(tcp.resets_sent)} / ${count(tcp.resets_received)}`} />
      <Row name="Accept queue overflows" value={count(tcp.listen_overflows)} bad={tcp.listen_overflows > 0} />
      {counted.flatMap(([title, numbers]) =>
        Object.entries(numbers).map(([cause, number]) => (
          <Row key={title + cause} name={`${title}: ${words(cause)}`} value={count(number)} bad={number > 0} />
        )),
      )}
    </dl>
  );
}

export function Row({ name, value, bad = false }: { name: string; value: ComponentChildren; bad?: boolean }) {
  return (
    <>
      <dt>{name}</dt>
      <dd class={bad ? "bad" : ""}>{value}</dd>
    </>
  );
}
