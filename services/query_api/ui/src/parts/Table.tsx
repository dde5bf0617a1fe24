// A table that can be sorted by its heads; a row can be opened with a click or with Enter.
import type { ComponentChildren } from "preact";
import { useMemo, useState } from "preact/hooks";

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ComponentChildren;
  /** What is compared; a column without it cannot be sorted. Null sorts last. */
  sort?: (row: T) => number | string | null;
  numeric?: boolean;
  /** Shown when there is little room. */
  hint?: string;
  wide?: boolean;
}

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  onOpen?: (row: T) => void;
  opened?: string;
  first?: { key: string; descending: boolean };
  below?: (row: T) => ComponentChildren;
}

export function Table<T>({ label, columns, rows, rowKey, onOpen, opened, first, below }: Props<T>) {
  const [order, setOrder] = useState(first ?? { key: "", descending: true });
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  return (
    <div class="table-frame">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.key} column={column} order={order} onOrder={setOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => {
            const key = rowKey(row);
            return [
              <tr
                key={key}
                class={`${onOpen ? "openable" : ""} ${opened === key ? "opened" : ""}`}
                tabIndex={onOpen ? 0 : undefined}
                aria-expanded={below && onOpen ? opened === key : undefined}
                onClick={onOpen && (() => onOpen(row))}
                onKeyDown={onOpen && ((event) => event.key === "Enter" && event.target === event.currentTarget && onOpen(row))}
              >
                {columns.map((column) => (
                  <td key={column.key} class={`${column.numeric ? "numeric" : ""} ${column.wide ? "wide" : ""}`}>
                    {column.cell(row)}
                  </td>
                ))}
              </tr>,
              below && opened === key && (
                <tr key={`${key} below`} class="below">
                  <td colSpan={columns.length}>{below(row)}</td>
                </tr>
              ),
            ];
          })}
        </tbody>
      </table>
    </div>
  );
}

type Order = { key: string; descending: boolean };

interface HeadProps<T> {
  column: Column<T>;
  order: Order;
  onOrder: (order: Order) => void;
}

function Head<T>({ column, order, onOrder }: HeadProps<T>) {
  const mine = order.key === column.key;
  const name = `${column.numeric ? "numeric" : ""} ${column.wide ? "wide" : ""}`;
  if (!column.sort) return <th scope="col" class={name} title={column.hint}>{column.title}</th>;
  return (
    <th scope="col" class={name} aria-sort={mine ? (order.descending ? "descending" : "ascending") : "none"} title={column.hint}>
      <button
        type="button"
        class="head"
        onClick={() => onOrder({ key: column.key, descending: mine ? !order.descending : Boolean(column.numeric) })}
      >
        {column.title}
        <span class="order" aria-hidden="true">{mine ? (order.descending ? "↓" : "↑") : ""}</span>
      </button>
    </th>
  );
}

export function inOrder<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): readonly T[] {
  const sort = columns.find((one) => one.key === order.key)?.sort;
  if (!sort) return rows;
  const sign = order.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, two] = [sort(a), sort(b)];
    if (one === null || two === null) return one === two ? 0 : one === null ? 1 : -1;
    return one < two ? -sign : one > two ? sign : 0;
  });
}
