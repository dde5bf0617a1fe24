// What a relation or an endpoint speaks: a glyph for the kind of conversation, its word, and a lock where it is encrypted.
import type { RelationEdge } from "../api/types.gen";
import { share } from "../format/numbers";

export type Family = RelationEdge["family"];

const FAMILIES: Record<Family, { glyph: string; words: string }> = {
  http: { glyph: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2ZM2 8h12M8 2c2 2 2.500 4 2.500 6S10 12 8 14C6 12 5.500 10 5.500 8S6 4 8 2Z", words: "web" },
  rpc: { glyph: "M5 4 1.500 8 5 12M11 4l3.500 4L11 12M9.500 3l-3 10", words: "remote procedure calls" },
  database: { glyph: "M3 4c0-1.100 2.200-2 5-2s5 .900 5 2-2.200 2-5 2-5-.900-5-2Zm0 0v8c0 1.100 2.200 2 5 2s5-.900 5-2V4M3 8c0 1.100 2.200 2 5 2s5-.900 5-2", words: "database" },
  cache: { glyph: "M9 1.500 3.500 9H8l-1 5.500L12.500 7H8Z", words: "cache" },
  messaging: { glyph: "M1.500 3.500h13v9h-13ZM1.500 4 8 9l6.500-5", words: "messaging" },
  dns: { glyph: "M2 3h8l4 5-4 5H2l3-5Z", words: "names" },
  directory: { glyph: "M6 2h4v3.500H6ZM1.500 10.500h4V14h-4ZM10.500 10.500h4V14h-4ZM8 5.500v2.500M3.500 10.500V8h9v2.500", words: "directory and coordination" },
  encrypted: { glyph: "M3.500 7h9v7h-9ZM5 7V5a3 3 0 0 1 6 0v2", words: "encrypted, content not visible" },
  other: { glyph: "M2 5.500h12M11 2.500l3 3-3 3M14 10.500H2M5 7.500l-3 3 3 3", words: "connections" },
};
const LOCK = FAMILIES.encrypted.glyph;

/** The glyph of a family inside an SVG, 16 units wide, with its corner at 0,0. */
export function FamilyShape({ family }: { family: Family }) {
  return <path class="family-shape" d={FAMILIES[family].glyph} />;
}

/** How much of it is encrypted, in words; empty when nothing is. */
export function encryptedWords(encrypted: number): string {
  if (encrypted <= 0) return "";
  return encrypted >= 0.995 ? "encrypted" : `${share(encrypted)} encrypted`;
}

export function ProtocolName({ protocol, family, encrypted = 0 }: { protocol: string; family: Family; encrypted?: number }) {
  const locked = encryptedWords(encrypted);
  return (
    <span class="protocol" title={[FAMILIES[family].words, locked].filter(Boolean).join(", ")}>
      <svg class="protocol-icon" viewBox="0 0 16 16" aria-hidden="true">
        <FamilyShape family={family} />
      </svg>
      {protocol}
      {locked && family !== "encrypted" && (
        <svg class="protocol-icon locked" viewBox="0 0 16 16" role="img" aria-label={locked}>
          <path class="family-shape" d={LOCK} />
        </svg>
      )}
    </span>
  );
}
