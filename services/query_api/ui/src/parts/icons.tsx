// Signs: one shape for each level, so that colour is never alone, and one glyph for each kind of node.
import type { LevelName } from "../api/types.gen";

const SHAPES: Record<LevelName, { outline: string; mark: string }> = {
  grey: { outline: "M8 1.2a6.8 6.8 0 1 0 0 13.600a6.8 6.8 0 1 0 0-13.600Z", mark: "M4.6 8h.01M8 8h.01M11.4 8h.01" },
  green: { outline: "M8 1.200a6.8 6.8 0 1 0 0 13.600a6.8 6.8 0 1 0 0-13.600Z", mark: "M5 8.2 7.2 10.4 11.2 6" },
  yellow: { outline: "M8 .6 15.4 8 8 15.4.6 8Z", mark: "M8 4.600V8.600M8 11h.01" },
  orange: { outline: "M8 .8 15.6 14.600H.4Z", mark: "M8 5.600V9.600M8 12h.01" },
  red: { outline: "M5 .8h6L15.2 5v6L11 15.200H5L.8 11V5Z", mark: "M5.4 5.400l5.2 5.200M10.6 5.400l-5.2 5.2" },
};

/** The sign of a level inside an SVG, 16 units wide, with its corner at 0,0. */
export function LevelShape({ level }: { level: LevelName }) {
  const { outline, mark } = SHAPES[level];
  return (
    <>
      <path class={`level-shape fill-${level}`} d={outline} />
      <path class={`level-mark mark-${level}`} d={mark} />
    </>
  );
}

export function LevelIcon({ level, label }: { level: LevelName; label?: string }) {
  return (
    <svg class="level-icon" viewBox="0 0 16 16" role="img" aria-label={label ?? level}>
      <LevelShape level={level} />
    </svg>
  );
}

const KINDS: Record<string, string> = {
  service: "M12 3 20 7.500v9L12 21 4 16.500v-9Z",
  database: "M5 6.500C5 4.6 8.1 3 12 3s7 1.6 7 3.5-3.1 3.5-7 3.5-7-1.6-7-3.500Zm0 0v11C5 19.4 8.1 21 12 21s7-1.6 7-3.500v-11M5 12c0 1.9 3.1 3.5 7 3.500s7-1.6 7-3.5",
  cache: "M13 2.5 5 13.500h6l-1 8 8.5-11.500H12Z",
  queue: "M4 6h16M4 12h16M4 18h9M16.5 15.5 20 18l-3.5 2.5",
  dns: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18ZM3 12h18M12 3c3 3 3.5 6 3.5 9s-.5 6-3.5 9c-3-3-3.5-6-3.5-9S9 6 12 3Z",
  proxy: "M4 12h6M10 12c4 0 3-6 8-6M10 12c4 0 3 6 8 6M10 12h9M16 3.5 18.8 6 16 8.500M16 15.5 18.8 18 16 20.5",
  client: "M4 4.500h16v11H4ZM9 20h6M12 15.500V20",
  external: "M7 18.500a4.3 4.3 0 0 1-.4-8.6 5.8 5.8 0 0 1 11.2 1.300A3.7 3.7 0 0 1 17.5 18.500Z",
  group: "M4 4h7v7H4ZM13 4h7v7h-7ZM4 13h7v7H4ZM13 13h7v7h-7Z",
};

/** The glyph of a kind inside an SVG, 24 units wide. */
export function KindShape({ kind }: { kind: string }) {
  return <path class="kind-shape" d={KINDS[kind] ?? KINDS["service"]} />;
}

export function KindIcon({ kind }: { kind: string }) {
  return (
    <svg class="kind-icon" viewBox="0 0 24 24" role="img" aria-label={kind}>
      <KindShape kind={kind} />
    </svg>
  );
}

const GLYPHS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13ZM15.3 15.3 20.5 20.5",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  sun: "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8ZM12 2.500v2M12 19.500v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4",
  moon: "M20 14.500A8.2 8.2 0 0 1 9.5 4 8.2 8.2 0 1 0 20 14.500Z",
  system: "M12 3.500a8.5 8.5 0 1 0 0 17ZM12 3.500a8.5 8.5 0 1 1 0 17",
  help: "M9 9.200a3 3 0 1 1 4.3 2.700c-.9.5-1.3 1-1.3 2.100M12 17.500h.01",
  clock: "M12 3.500a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17ZM12 7.500V12l3 2",
  down: "M6 9.500l6 6 6-6",
  right: "M9 5.500l6.5 6.500L9 18.5",
  back: "M15 5.5 8.5 12l6.5 6.5",
  arrow: "M4 12h15M13.5 6.5 19 12l-5.5 5.5",
  filter: "M4 5.500h16L14 13v6l-4-2v-4Z",
  layers: "M12 4 21 9l-9 5-9-5ZM4.5 13 12 17.2 19.5 13",
  tidy: "M4 5h5v5H4ZM15 3.500h5v5h-5ZM15 15.500h5v5h-5ZM9 7.500c4 0 2-1.5 6-1.500M9 8.500c4 0 2 9.5 6 9.5",
  map: "M4.5 9.500h5v5h-5ZM15 4h4.500v4.500H15ZM15 15.500h4.500V20H15ZM9.5 12H12V6.200h3M12 12v5.800h3",
  list: "M8.5 6.500H20M8.5 12H20M8.5 17.500H20M4.2 6.500h.01M4.2 12h.01M4.2 17.500h.01",
  endpoints: "M5 5h14M5 10h9M5 15h12M5 20h6",
  bell: "M6 16.500V11a6 6 0 1 1 12 0v5.500l1.5 2h-15ZM10 20.800c1 .8 3 .8 4 0",
  pulse: "M3 12.500h4l2.5-7 4 13 2.5-6H21",
} as const;

export type GlyphName = keyof typeof GLYPHS;

/** A small sign for a button; the button carries the words. */
export function Glyph({ name }: { name: GlyphName }) {
  return (
    <svg class="glyph" viewBox="0 0 24 24" aria-hidden="true">
      <path d={GLYPHS[name]} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg class="brand-mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" class="brand-ground" />
      <path class="brand-lines" d="M9 16 22 9M9 16l13 7M22 9v14" />
      <circle class="brand-lens" cx="9" cy="16" r="4" />
      <circle class="brand-dot" cx="22.5" cy="9" r="3.5" />
      <circle class="brand-dot" cx="22.5" cy="23" r="3.5" />
    </svg>
  );
}
