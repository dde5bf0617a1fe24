// The bar on top: views, search, time, and how live the page is.
import { all } from "../api/client";
import { useQuery } from "../api/query";
import type { Alert } from "../api/types.gen";
import { Glyph, type GlyphName, Mark } from "../parts/icons";
import { VIEWS, type View } from "../state/route";
import { helpOpen, news, show, topology, view } from "../state/store";
import { nextTheme, theme } from "../state/prefs";
import { isTrouble } from "../state/levels";
import { LiveBadge } from "./LiveBadge";
import { LossChip } from "./LossChip";
import { Search } from "./Search";
import { TimeMenu } from "./TimeMenu";

const TITLES: Record<View, { title: string; glyph: GlyphName }> = {
  map: { title: "Map", glyph: "map" },
  services: { title: "Services", glyph: "list" },
  endpoints: { title: "Endpoints", glyph: "endpoints" },
  problems: { title: "Problems", glyph: "bell" },
  status: { title: "Status", glyph: "pulse" },
};

export function Header() {
  return (
    <header class="top">
      <a class="brand" href="#/map" aria-label="meshlens, to the map">
        <Mark />
        <span>meshlens</span>
      </a>
      <nav class="views" aria-label="Views">
        {VIEWS.map((one, index) => (
          <button
            key={one}
            type="button"
            aria-current={view.value === one ? "page" : undefined}
            title={`${TITLES[one].title} (${index + 1})`}
            onClick={() => show(one)}
          >
            <Glyph name={TITLES[one].glyph} />
            <span>{TITLES[one].title}</span>
            {one === "problems" && <ProblemCount />}
          </button>
        ))}
      </nav>
      <Search />
      <div class="top-right">
        <LossChip />
        <LiveBadge />
        <TimeMenu />
        <button type="button" class="icon-button" title={`Theme: ${theme.value} (t)`} aria-label={`Theme: ${theme.value}. Change`} onClick={nextTheme}>
          <Glyph name={theme.value === "light" ? "sun" : theme.value === "dark" ? "moon" : "system"} />
        </button>
        <button type="button" class="icon-button" title="Keys and signs (?)" aria-label="Help" onClick={() => (helpOpen.value = true)}>
          <Glyph name="help" />
        </button>
      </div>
    </header>
  );
}

/** Alerts that nobody looks after yet; without any, what is in trouble on the map. */
function ProblemCount() {
  const asked = useQuery("firing", (signal) => all<Alert>("alerts", { state: "firing" }, 200, signal), 30_000, news.alert.value);
  const waiting = (asked.data ?? []).filter((one) => one.state === "firing" && !one.acknowledged_by && !one.silenced).length;
  const troubled = (topology.value?.services ?? []).filter((one) => isTrouble(one.state.own)).length;
  const number = waiting || troubled;
  if (!number) return null;
  const what = waiting ? "alerts that nobody looks after" : "services in trouble";
  return (
    <b class={`count-badge ${waiting ? "urgent" : ""}`} title={`${number} ${what}`} aria-label={`${number} ${what}`}>
      {number}
    </b>
  );
}
