// Choosing the time: live, the last so long, or from when to when.
import { useState } from "preact/hooks";
import { moment, toLocalInput } from "../format/time";
import { Glyph } from "../parts/icons";
import { Popover } from "../parts/Popover";
import { PRESETS, type Range, bounds, writeRange } from "../state/range";
import { now, range, setRange } from "../state/store";

export function TimeMenu() {
  const chosen = range.value;
  return (
    <Popover title="Time" side="right" label={<><Glyph name="clock" /> {titleOf(chosen)} <Glyph name="down" /></>}>
      {(close) => (
        <div class="time-menu">
          {PRESETS.map((one) => (
            <button
              key={one.label}
              type="button"
              class="menu-item"
              aria-pressed={writeRange(one.range) === writeRange(chosen)}
              onClick={() => {
                setRange(one.range);
                close();
              }}
            >
              {one.label}
            </button>
          ))}
          <Custom close={close} />
        </div>
      )}
    </Popover>
  );
}

function titleOf(chosen: Range): string {
  if (chosen.kind === "span") return `${moment(chosen.from, now.value)} – ${moment(chosen.to, now.value)}`;
  return PRESETS.find((one) => writeRange(one.range) === writeRange(chosen))?.label ?? `Last ${writeRange(chosen)}`;
}

function Custom({ close }: { close: () => void }) {
  const start = bounds(range.value, now.value);
  const [from, setFrom] = useState(toLocalInput(start.from));
  const [to, setTo] = useState(toLocalInput(start.to));
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  const valid = fromMs < toMs;
  return (
    <form
      class="custom-time"
      onSubmit={(event) => {
        event.preventDefault();
        if (!valid) return;
        setRange({ kind: "span", from: fromMs, to: toMs });
        close();
      }}
    >
      <label class="field">
        From
        <input type="datetime-local" step="1" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label class="field">
        To
        <input type="datetime-local" step="1" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      {!valid && <p class="bad">The start must be before the end.</p>}
      <button type="submit" class="button primary" disabled={!valid}>
        Show this time
      </button>
    </form>
  );
}
