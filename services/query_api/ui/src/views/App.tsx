// The page: bar, banner, the chosen view, and the panel beside the map.
import { MapView } from "../map/MapView";
import { TimeStrip } from "../map/TimeStrip";
import { Panel } from "../panel/Panel";
import { announcement, connection, isLive, view } from "../state/store";
import { Banner } from "./Banner";
import { EndpointsView } from "./EndpointsView";
import { Header } from "./Header";
import { Help } from "./Help";
import { ProblemsView } from "./ProblemsView";
import { ServicesView } from "./ServicesView";
import { SignIn } from "./SignIn";
import { StatusView } from "./StatusView";

export function App() {
  const faded = isLive.value && connection.value === "lost" ? "faded" : "";
  return (
    <>
      <Header />
      <Banner />
      <main class={faded}>
        {view.value === "map" && (
          <div class="map-page">
            <div class="map-side">
              <MapView />
              <TimeStrip />
            </div>
            <Panel />
          </div>
        )}
        {view.value === "services" && <ServicesView />}
        {view.value === "endpoints" && <EndpointsView />}
        {view.value === "problems" && <ProblemsView />}
        {view.value === "status" && <StatusView />}
      </main>
      <p class="unseen" aria-live="polite">{announcement.value}</p>
      <Help />
      <SignIn />
    </>
  );
}
