// Starts the page.
import { render } from "preact";
import { start } from "./api/live";
import { applyTheme } from "./state/prefs";
import { watchAddress } from "./state/store";
import { App } from "./views/App";
import { watchChanges } from "./views/announce";
import { watchKeys } from "./views/keys";
import "./styles/index.css";

applyTheme();
watchAddress();
watchKeys();
watchChanges();
start();
render(<App />, document.getElementById("page")!);
